"""start.json, and the Dockerfiles of the layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from kaiun.config.loader import every
from kaiun.image import layer, probe, startfile
from kaiun.image.probe import MANAGERS, Found, Need
from kaiun.image.startfile import ImageFacts

HEAD = "app: shop\nimage: {repository: localhost:5000/shop}\n"
FACTS = ImageFacts(("tini", "--"), ("puma", "-w 2"), "app:app", "/app")


def document(tmp_path: Path, text: str) -> dict[str, Any]:
    file = tmp_path / "kaiun.yml"
    file.write_text(HEAD + text)
    return cast("dict[str, Any]", startfile.document(every(file), FACTS))


def part(found: dict[str, Any], environment: str) -> dict[str, Any]:
    return cast("dict[str, Any]", found["settings"][found["environments"][environment]])


def kinds(found: dict[str, Any], environment: str = "") -> list[str]:
    return [kind for kind, _ in part(found, environment)["steps"]]


def test_steps_keep_the_order_of_the_file(tmp_path: Path) -> None:
    text = "start: {wait: ['tcp://a:1'], templates: [a.erb], require: [A], hooks: {x: ls}}\n"
    assert kinds(document(tmp_path, text)) == ["wait", "templates", "require", "hooks"]


def test_environments_that_say_the_same_share_their_part(tmp_path: Path) -> None:
    text = "region: eu-west-1\nstart: {require: [A]}\n"
    text += "environments: {a: {}, b: {start: {require: [B]}}}\n"
    found = document(tmp_path, text)
    assert found["environments"] == {"": 0, "local": 0, "a": 0, "b": 1}


def test_when_chooses_environments_while_writing_and_processes_at_the_start(tmp_path: Path) -> None:
    text = """\
start:
  require: [{name: A, when: {environment: staging}}, {name: B, when: {process: web}}]
processes: {web: {command: puma}}
environments: {staging: {}}
"""
    found = document(tmp_path, text)
    web = {"name": "B", "timeout": 0, "processes": ["web"]}
    assert part(found, "")["steps"] == [["require", [web]]]
    assert part(found, "staging")["steps"] == [["require", [{"name": "A", "timeout": 0}, web]]]


def test_secrets_and_keys_are_known_by_name(tmp_path: Path) -> None:
    text = """\
start:
  secrets:
    - {file: a.yml, format: yaml_vault, sign_key: "ssm:/sign", options: {key-len: 16}}
    - {file: config/credentials.yml.enc, format: rails}
secrets: {TOKEN: /token}
processes: {web: {command: puma, secrets: {DB: /db}}, redis: {image: redis, secrets: {NO: /no}}}
"""
    found = part(document(tmp_path, text), "")
    assert found["secret"] == ["DB", "TOKEN"]
    assert found["keys"] == ["RAILS_MASTER_KEY", "YAML_VAULT_PASSPHRASE"]
    item = found["steps"][0][1][0]
    assert item["options"] == {"key_len": 16}
    assert item["keys"]["YAML_VAULT_SIGN_PASSPHRASE"] == "ssm:/sign"
    assert list(found["processes"]) == ["web"]


def test_links_and_originals_of_files(tmp_path: Path) -> None:
    text = """\
start:
  fetch: [{from: "s3://b/k", to: late.tmpl}]
  secrets: [a.yml]
  templates: [b.erb, late.tmpl, {file: "${X}.tmpl", to: /run/kaiun/c}]
  directory: /run/kaiun
"""
    found = startfile.files(document(tmp_path, text))
    assert found.sources == ["a.yml", "b.erb"]
    assert found.originals == ["a.yml"]
    assert sorted(found.links) == ["a.yml", "b", "late", "late.tmpl"]


def test_need_follows_the_steps(tmp_path: Path) -> None:
    assert layer.need(document(tmp_path, "")) is Need.LITTLE
    assert layer.need(document(tmp_path, "start: {templates: [a.erb]}\n")) is Need.LITTLE
    assert layer.need(document(tmp_path, "start: {templates: [a.j2]}\n")) is Need.LIBRARY
    only = "environments: {a: {start: {secrets: [a.yml]}}}\n"
    assert layer.need(document(tmp_path, only)) is Need.CRYPTOGRAPHY


def test_layer_restates_command_and_user() -> None:
    assert layer.dockerfile("kaiun-plain:1", FACTS, "kaiun-python:2").splitlines() == [
        "FROM kaiun-plain:1",
        "USER 0:0",
        "COPY --from=kaiun-python:2 / /",
        "RUN --mount=type=bind,target=/mnt sh /mnt/setup.sh arrange",
        'ENTRYPOINT ["/opt/kaiun/entry"]',
        'CMD ["puma", "-w 2"]',
        "USER app:app",
    ]


def test_python_of_the_distribution_is_installed_by_its_manager() -> None:
    """apk and dnf can be seen here alone: no such image can be made on this machine."""
    commands = {}
    for manager in MANAGERS:
        found = Found("", manager, "k", Need.CRYPTOGRAPHY)
        lines = layer.python_dockerfile("plain", found).splitlines()
        commands[manager.program] = lines[2].partition("sh /mnt/")[2]
        assert lines[-2:] == ["FROM scratch", "COPY --from=installed /kaiun-python /"]
    assert commands["apt-get"] == "setup.sh install apt-get python3-cryptography ca-certificates"
    assert commands["apk"] == "setup.sh install apk py3-cryptography ca-certificates-bundle"
    assert commands["dnf"] == "setup.sh install dnf python3-cryptography ca-certificates"


def test_probe_asks_for_what_is_needed() -> None:
    assert "http.client" not in probe.script(Need.LITTLE)
    assert "http.client" in probe.script(Need.LIBRARY)
    assert "cryptography" in probe.script(Need.CRYPTOGRAPHY)


def test_what_is_carried_is_what_is_used(tmp_path: Path) -> None:
    for text, carried in (
        ("", ["kaiun"]),
        ("start: {templates: [a.tmpl]}\n", ["kaiun"]),
        ("start: {templates: [a.j2]}\n", ["jinja2", "kaiun", "markupsafe"]),
        ("start: {secrets: [a.yml]}\n", ["kaiun", "yaml"]),
    ):
        context = tmp_path / f"layer-{len(list(tmp_path.iterdir()))}"
        layer.write(context, document(tmp_path, text), FACTS, "f" * 40)
        assert sorted(path.name for path in (context / "source").iterdir()) == carried
        assert (context / "REVISION").read_text() == "f" * 40 + "\n"
