"""kaiun's layer on real images: Ruby, users, read-only roots, docker stop, secrets."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.containers import docker

from kaiun.config.loader import every
from kaiun.image import client as clients
from kaiun.image import layer, probe
from kaiun.image.build import Recipe, build
from kaiun.image.events import BuildEvent, silent
from kaiun.image.leftovers import plain_name
from kaiun.image.stop import Stop

pytestmark = pytest.mark.docker

RAILS, BASE = "kaiun-rails:bookworm", "kaiun-base:bookworm"
HEAD = "app: shop\nimage: {repository: localhost:5000/shop}\n"
KEY = "ab" * 32
PASSWORD = "correct-horse-battery"


@dataclass
class Built:
    """An image with the layer; `run` starts it."""

    name: str
    notes: list[str]

    def run(
        self, *words: str, options: Sequence[str] = (), **env: Any
    ) -> subprocess.CompletedProcess[str]:
        variables = [f"--env={name}={value}" for name, value in env.items()]
        return subprocess.run(
            ["docker", "run", "--rm", *variables, *options, self.name, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def stopped(self, *words: str, after: str, options: tuple[str, ...] = ()) -> tuple[int, float]:
        """Start it, `docker stop` it once its log says `after`; return exit code and seconds."""
        container = docker("run", "--detach", *options, self.name, *words)
        try:
            deadline = time.monotonic() + 30
            while after not in self.log(container):
                assert time.monotonic() < deadline, self.log(container)
                time.sleep(0.05)
            began = time.monotonic()
            docker("stop", "--time=8", container)
            seconds = time.monotonic() - began
            return int(docker("inspect", "--format={{.State.ExitCode}}", container)), seconds
        finally:
            docker("rm", "--force", container)

    def log(self, container: str) -> str:
        done = subprocess.run(["docker", "logs", container], capture_output=True, check=False)
        return (done.stdout + done.stderr).decode()


class Yard:
    """Builds images and forgets them at the end."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names: list[str] = []

    def make(self, config: str, dockerfile: str, files: Mapping[str, str] | None = None) -> Built:
        folder = self.root / uuid.uuid4().hex
        folder.mkdir(parents=True)
        for path, text in {"Dockerfile": dockerfile, **(files or {})}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        (folder / "kaiun.yml").write_text(HEAD + config)
        client, stop = clients.find(), Stop()
        notes: list[str] = []

        def hear(event: BuildEvent) -> None:
            if event.phase == "note":
                notes.append(event.line)

        plain, name = plain_name(folder, "entry"), f"kaiun-test-entry:{folder.name[:12]}"
        self.names.append(name)
        recipe = Recipe(name, folder, "Dockerfile", {})
        configs = every(folder / "kaiun.yml")
        try:
            build(client, Recipe(plain, folder, "Dockerfile", {}), progress=silent, stop=stop)
            layering = layer.Layering(client, hear, stop, configs, "f" * 40)
            layer.add(layer.look(plain, layering), recipe, layering)
        finally:
            probe.untag(client, plain)
        return Built(name, notes)


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    for image in (RAILS, BASE):
        if not docker("images", "--quiet", image):
            pytest.skip("scripts/base-image has not been run")
    yard = Yard(tmp_path_factory.mktemp("yard"))
    yield yard
    for name in yard.names:
        subprocess.run(["docker", "image", "rm", name], capture_output=True, check=False)


ERB = """\
start:
  templates: [config/database.yml.erb, config/b.yml.erb]
  directory: /run/kaiun
secrets: {DATABASE_URL: /shop/database}
processes: {web: {command: cat config/database.yml config/b.yml}}
environments: {staging: {}}
"""
FILES = {
    "config/database.yml.erb": 'url: <%= ENV["DATABASE_URL"] %>\npool: <%= ENV["POOL"] || 5 %>\n',
    "config/b.yml.erb": "<%- 2.times do |n| -%>\n- <%= n %> é\n<%- end -%>\n"
    '<%= "#{ENV["HOST"]}" %>\n',
}
USER = 'FROM {base}\nRUN useradd -u 901 app\nWORKDIR /app\nCOPY . .\nUSER app\nCMD ["sleep", "9"]\n'


@pytest.fixture(scope="module")
def erb(yard: Yard) -> Built:
    return yard.make(ERB, USER.format(base=RAILS), FILES)


def test_erb_is_rendered_for_a_user_that_is_not_root(erb: Built) -> None:
    done = erb.run("web", DATABASE_URL="pg://a", HOST="h")
    assert done.stdout == "url: pg://a\npool: 5\n- 0 é\n- 1 é\nh\n"
    assert done.returncode == 0


@pytest.mark.parametrize("options", [(), ("--read-only", "--tmpfs=/run/kaiun")])
def test_files_belong_to_the_user_and_those_with_secrets_to_nobody_else(
    erb: Built, options: tuple[str, ...]
) -> None:
    stat = "stat -Lc '%a %u' config/database.yml config/b.yml"
    done = erb.run("sh", "-c", stat, options=options, DATABASE_URL="pg://a", HOST="h")
    assert done.stdout.splitlines() == ["600 901", "644 901"], done.stderr


@pytest.mark.parametrize(
    ("env", "line"),
    [
        ({"HOST": "h"}, "config/database.yml.erb:1: DATABASE_URL is not set"),
        ({"DATABASE_URL": "u"}, "config/b.yml.erb:4: HOST is not set"),
    ],
)
def test_erb_names_a_missing_variable(erb: Built, env: dict[str, str], line: str) -> None:
    done = erb.run("web", **env)
    assert (done.returncode, done.stdout) == (68, "")
    last = done.stderr.splitlines()[-1]
    assert last == f"kaiun: start failed at templates {line}"


def test_image_keeps_command_and_user_and_ours_is_the_last_layer(erb: Built) -> None:
    found = json.loads(docker("inspect", erb.name))[0]["Config"]
    assert (found["Entrypoint"], found["Cmd"]) == (["/opt/kaiun/entry"], ["sleep", "9"])
    assert (found["User"], found["WorkingDir"]) == ("app", "/app")
    sizes = docker("history", "--format={{.Size}}", erb.name).splitlines()
    assert [size for size in sizes[:4] if size != "0B"] == [sizes[3]]
    assert re.search(r"kaiun's layer: \d+\.\d MB, \d+\.\d s \(Python by apt-get\)", erb.notes[-1])
    left = erb.run("sh", "-c", "ls -A /tmp; cat /opt/kaiun/REVISION", KAIUN_START="skip").stdout
    assert left.split() == ["f" * 40]


def test_layer_of_python_is_the_same_for_every_commit(yard: Yard) -> None:
    """So it is packed, pushed and pulled once, whatever the layers below it."""
    layers = []
    for text in ("1", "2"):
        dockerfile = f"FROM {RAILS}\nWORKDIR /app\nRUN echo {text} >/etc/changed\nCOPY . .\n"
        name = yard.make(ERB, dockerfile, FILES).name
        said = docker("inspect", "--format={{json .RootFS.Layers}}", name)
        layers.append(json.loads(said))
    first, second = layers
    differ = [n for n, pair in enumerate(zip(first, second, strict=True)) if len(set(pair)) == 2]
    *_, changed, python, _ours = range(len(first))
    assert python not in differ
    assert changed - 1 in differ  # what was below it


def test_erb_that_needs_a_gem_and_erb_that_is_broken(yard: Yard) -> None:
    config = "start: {templates: [a.erb]}\n"
    gem = '<% require "active_support" %><%= ActiveSupport::VERSION::MAJOR %>'
    built = yard.make(config, f"FROM {RAILS}\nWORKDIR /app\nCOPY . .\n", {"a.erb": gem})
    assert built.run("cat", "a").stdout == "6"
    broken = yard.make(config, f"FROM {RAILS}\nWORKDIR /app\nCOPY . .\n", {"a.erb": "\n<% if %>"})
    done = broken.run("true")
    assert (done.returncode, "templates a.erb" in done.stderr) == (68, True)
    assert "Traceback" not in done.stderr


def test_docker_stop_while_ruby_renders(yard: Yard) -> None:
    text = '<% STDERR.puts "rendering"; sleep 50 %>'
    built = yard.make(
        "start: {templates: [a.erb]}\n", f"FROM {RAILS}\nWORKDIR /a\nCOPY . .\n", {"a.erb": text}
    )
    code, seconds = built.stopped("true", after="rendering")
    assert code == 143
    assert seconds < 4


STEPS = """\
start:
  hooks:
    begun: {command: "echo begun", when: {process: [wait, hook]}}
    long: {command: sleep 50, when: {process: hook}}
  wait: [{address: "tcp://192.0.2.1:9", when: {process: wait}}]
processes:
  wait: {command: sleep 50}
  hook: {command: sleep 50}
  duo:
    command: "sh -c 'trap \\"exit 5\\" TERM; echo begun; while :; do sleep 0.1; done'"
    with: {side: sleep 50}
  quits: {command: sleep 50, with: {side: "sh -c 'sleep 0.2; exit 3'"}}
"""


@pytest.fixture(scope="module")
def plain(yard: Yard) -> Built:
    return yard.make(STEPS, f'FROM {BASE}\nENTRYPOINT ["env", "OWN=1"]\nCMD ["printenv", "OWN"]\n')


@pytest.mark.parametrize(("process", "code"), [("wait", 143), ("hook", 143), ("duo", 5)])
def test_docker_stop_is_answered_at_once(plain: Built, process: str, code: int) -> None:
    found, seconds = plain.stopped(process, after="begun")
    assert found == code
    assert seconds < 4


def test_own_entry_point_stays_and_exit_codes_are_real(plain: Built) -> None:
    assert plain.run().stdout == "1\n"
    assert plain.run("sh", "-c", "exit 7").returncode == 7
    assert plain.run("no-such").returncode == 127
    assert plain.run("quits").returncode == 3


def test_image_that_can_have_no_python_stays_as_it_is_unless_it_must(
    yard: Yard, image: str
) -> None:
    built = yard.make("", f'FROM {image}\nCMD ["echo", "as it was"]\n')
    assert built.run().stdout == "as it was\n"
    assert built.notes[-1].startswith("no layer of kaiun: the image has no Python 3.9")
    from kaiun.errors import ImageError

    with pytest.raises(ImageError, match=r"no Python 3\.9 and no package manager"):
        yard.make("start: {require: [A]}\n", f"FROM {image}\n")


def test_source_that_the_image_has_not_fails_the_build(yard: Yard) -> None:
    from kaiun.errors import ImageError

    with pytest.raises(ImageError) as caught:
        yard.make("start: {templates: [gone.tmpl]}\n", f"FROM {BASE}\n")
    assert any("the image has no gone.tmpl" in line for line in caught.value.detail)


def sealed(folder: Path) -> str:
    """A file of kaiun's own format, encrypted by the command line."""
    from kaiun.cli.main import run

    file = folder / "secrets.yml"
    file.write_text(f"password: {PASSWORD}\n")
    assert run(["secrets", "encrypt", "--format", "kaiun", str(file)]) == 0
    return file.read_text()


def test_no_secret_is_seen_anywhere(
    yard: Yard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAIUN_SECRETS_KEY", KEY)
    config = """\
start:
  secrets: [{file: secrets.yml, key: "file:/run/secrets/key"}]
  templates: [{file: a.tmpl, check: cat}]
  directory: /run/kaiun
secrets: {TOKEN: /shop/token}
processes: {web: {command: sleep 60}, duo: {command: sleep 60, with: {side: sleep 60}}}
"""
    dockerfile = f"FROM {BASE}\nWORKDIR /app\nCOPY secrets.yml a.tmpl ./\n"
    files = {"secrets.yml": sealed(tmp_path), "a.tmpl": "plain\n"}
    built = yard.make(config, dockerfile, files)
    key = tmp_path / "key"
    key.write_text(KEY)
    for process in ("web", "duo"):
        mount = f"--volume={key}:/run/secrets/key:ro"
        container = docker("run", "--detach", mount, built.name, process)
        try:
            _await(container)
            password = docker("exec", container, "cat", "/app/secrets.yml")
            assert password == f"password: {PASSWORD}"
            seen = [
                docker("inspect", built.name),
                docker("inspect", container),
                built.log(container),
            ]
            script = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' ' '"
            seen.append(docker("exec", container, "sh", "-c", script))
        finally:
            docker("rm", "--force", container)
        assert not [text for text in seen if KEY in text or PASSWORD in text]
    assert not list(_leaks(built.name))


def _await(container: str) -> None:
    deadline = time.monotonic() + 20
    while "sleep" not in docker("exec", container, "cat", "/proc/1/cmdline"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _leaks(image: str) -> Iterator[str]:
    """Yield what in the image's layers holds the key or the password."""
    saved = subprocess.run(["docker", "save", image], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(saved)) as outer:
        for member in outer:
            file = outer.extractfile(member)
            data: Any = file.read() if file else b""
            if KEY.encode() in data or PASSWORD.encode() in data:
                yield member.name


VECTORS = Path(__file__).parents[1] / "unit/secrets/vectors"
OPEN_ALL = """\
import json, sys
sys.path[:0] = ["/opt/kaiun/entry.pyz"]
sys.path += ["/usr/lib/python3/dist-packages"]
from kaiun.entry.vault import VaultError, bare, open_vault
opened = refused = 0
short = []
real = bare.decrypt
bare.decrypt = lambda *given: short.append(real(*given)) or short[-1]
for vector in json.load(open("/vectors/yaml_vault/index.json")):
    data = open("/vectors/yaml_vault/" + vector["encrypted"], "rb").read()
    plain = open("/vectors/yaml_vault/" + vector["decrypted"], "rb").read()
    keys = {"YAML_VAULT_PASSPHRASE": vector["passphrase"]}
    if vector["sign_passphrase"]:
        keys["YAML_VAULT_SIGN_PASSPHRASE"] = vector["sign_passphrase"]
    names = "key salt prefix suffix cipher digest key_len kdf_hash signature_key_len".split()
    options = {name: vector[name] for name in names}
    assert open_vault(data, "yaml_vault", keys, options) == plain, vector["name"]
    opened += 1
    try:
        open_vault(data, "yaml_vault", {**keys, "YAML_VAULT_PASSPHRASE": "wrong"}, options)
    except VaultError:
        refused += 1
print(opened, refused, len(short) > 0 and None not in short)
"""


def test_vectors_open_by_the_cryptography_of_the_distribution(yard: Yard) -> None:
    config = "start: {secrets: [a.yml]}\n"
    built = yard.make(config, f"FROM {BASE}\nWORKDIR /app\nCOPY . .\n", {"a.yml": "a: b\n"})
    mount = f"--volume={VECTORS}:/vectors:ro"
    done = built.run("python3", "-I", "-S", "-c", OPEN_ALL, options=(mount,), KAIUN_START="skip")
    count = len(json.loads((VECTORS / "yaml_vault/index.json").read_text()))
    assert done.stdout == f"{count} {count} True\n", done.stderr


def test_ruby_that_was_started_ahead_renders_all_the_same(
    yard: Yard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAIUN_SECRETS_KEY", KEY)
    config = "start: {secrets: [secrets.yml], templates: [a.erb]}\n"
    files = {"secrets.yml": sealed(tmp_path), "a.erb": '<%= ENV["A"] %> <%= ENV["B"] || 1 %>'}
    built = yard.make(config, f"FROM {RAILS}\nWORKDIR /app\nCOPY . .\n", files)
    assert built.run("cat", "a", A="x", KAIUN_SECRETS_KEY=KEY).stdout == "x 1"
    assert "a.erb:1: A is not set" in built.run("cat", "a", KAIUN_SECRETS_KEY=KEY).stderr
    wrong = built.run("cat", "a", A="x", KAIUN_SECRETS_KEY="cd" * 32)
    assert (wrong.returncode, wrong.stdout) == (67, "")
