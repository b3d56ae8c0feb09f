"""What `kaiun init` writes for recorded apps of several generations of Rails.

`python tests/unit/init/test_drafts.py` writes the expected files anew; read the diff.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from kaiun.config import load
from kaiun.init.draft import CONFIG, DOCKERFILE, Draft, draft
from kaiun.init.tree import Tree

HERE = Path(__file__).parent
# The app, the folder in it, and whether its own Dockerfile is replaced.
APPS = {
    "ledger": ("ledger", False),  # Rails 5.2: Sprockets, yarn 1, unicorn, MySQL, Resque
    "market": ("market", False),  # 6.1: Sprockets and Shakapacker, npm, Sidekiq
    "pilot-api": ("pilot-api", False),  # 7.0: API only, Procfile, two databases
    "atlas": ("atlas", False),  # 7.1: Propshaft, importmap, Tailwind, GoodJob, libvips
    "quay": ("quay", False),  # 7.2: jsbundling, yarn 4
    "fleet": ("fleet/services/web", False),  # 7.2 in a folder: Vite, pnpm, gems by path and git
    "beacon": ("beacon", False),  # 8.0 with Rails' own Dockerfile: Solid Queue, SQLite
    "beacon-anew": ("beacon", True),
    "crane": ("crane", False),  # no Rails, a Dockerfile
}


def drafted(name: str) -> Draft:
    folder, anew = APPS[name]
    return draft(Tree(HERE / "apps" / folder), name, anew=anew)


def expected(name: str) -> dict[str, str]:
    folder = HERE / "written" / name
    return {path.name.replace("dot-", "."): path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize("name", APPS)
def test_files_for_an_app_are_these(name: str) -> None:
    assert dict(drafted(name).files) == expected(name)


@pytest.mark.parametrize("name", APPS)
def test_written_configuration_loads_and_names_what_was_found(name: str, tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text(drafted(name).files[CONFIG])
    config = load(tmp_path / CONFIG, "local", environ={})
    assert config.app == name
    assert config.processes["web"].listen == 8080


@pytest.mark.parametrize("name", APPS)
def test_commented_production_loads_once_it_is_no_comment(name: str, tmp_path: Path) -> None:
    text = drafted(name).files[CONFIG]
    before, _, after = text.partition("  # production:")
    (tmp_path / CONFIG).write_text(f"{before}  production:{re.sub(r'(?m)^  # ', '  ', after)}")
    config = load(tmp_path / CONFIG, "production", environ={})
    assert config.region == "ap-northeast-1"
    assert config.processes["web"].target_group == f"{name}-production"
    assert set(config.processes) == set(yaml.safe_load(text)["processes"])


@pytest.mark.parametrize("name", APPS)
def test_dockerfile_has_what_docker_20_10_knows_and_kaiun_recognises(name: str) -> None:
    text = drafted(name).files.get(DOCKERFILE, "")
    assert not re.search(r"(?m)^# *(syntax|check) *=|<<\s*['\"A-Z]|^COPY --link|--parents", text)
    ids = set(re.findall(r"type=cache,id=([^,]+)", text))
    assert ids <= {"kaiun-apt", "kaiun-bundle", "kaiun-npm", "kaiun-yarn", "kaiun-pnpm"}
    assert "assets:precompile" not in text


def test_notes_tell_what_would_fail_later() -> None:
    notes = "\n".join(drafted("pilot-api").notes)
    assert "bundle lock --add-platform x86_64-linux" in notes
    assert "forces SSL" in "\n".join(drafted("atlas").notes)
    assert "sets no asset host" in "\n".join(drafted("atlas").notes)
    assert "whenever" in "\n".join(drafted("ledger").notes)
    assert "../shared lies outside" in "\n".join(drafted("fleet").notes)
    assert drafted("quay").notes == ()


def test_own_dockerfile_that_compiles_assets_gets_no_assets_section() -> None:
    assert "assets" not in yaml.safe_load(drafted("beacon").files[CONFIG])
    assert "assets" in yaml.safe_load(drafted("beacon-anew").files[CONFIG])


def _write_anew() -> None:
    for name in APPS:
        folder = HERE / "written" / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in drafted(name).files.items():
            (folder / re.sub(r"^\.", "dot-", file)).write_text(text)


if __name__ == "__main__":
    _write_anew()
