"""What is wrong with the address of the assets, in real repositories."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.deployed import app
from support.repository import Repository

from kaiun.deploy import assethost
from kaiun.errors import AssetsError

RAILS = {
    "config/application.rb": "class Shop < Rails::Application\nend\n",
    "config/environments/production.rb": "# config.asset_host = 'http://assets.example.com'\n",
    "Gemfile.lock": "GEM\n  specs:\n    sprockets-rails (3.5.2)\n",
    "README.md": "Set ASSET_HOST.\n",
}
READS = 'config.asset_host = ENV["ASSET_HOST"].presence\n'
PROPSHAFT = {"Gemfile.lock": "GEM\n  specs:\n    propshaft (1.3.2)\n      rack\n"}
HOST = "https://assets.example.com"


def problems(
    path: Path, files: dict[str, str], host: str = HOST, context: str = "."
) -> list[AssetsError]:
    """Commit the files where the image's context is; return what is wrong."""
    sha = Repository(path).commit({f"{context}/{name}": text for name, text in files.items()})
    return problems_of(sha, path, host, context)


def problems_of(sha: str, path: Path, host: str = HOST, context: str = ".") -> list[AssetsError]:
    given = {"command": "make", "bucket": "s3://assets", "host": host}
    image = {"repository": "localhost:5000/shop", "context": context}
    config = app(assets=given, image=image).model_copy(update={"root": path})
    return list(assethost.problems(config, "http://127.0.0.1:4580", sha))


@pytest.mark.parametrize("context", [".", "apps/shop"])
def test_rails_that_sets_no_asset_host_is_told(tmp_path: Path, context: str) -> None:
    (found,) = problems(tmp_path, RAILS, context=context)
    assert "pages would ask the app itself" in found.message
    place = "config/environments/production.rb"
    assert found.where == (place if context == "." else f"{context}/{place}")
    assert 'ENV["ASSET_HOST"]' in found.hint


@pytest.mark.parametrize(
    "files",
    [
        {"config/environments/production.rb": READS},
        {"config/initializers/assets.rb": "Rails.application.config.asset_host = 'https://a.b'\n"},
        {"config/vite.json": '{"production": {"assetHost": "https://a.b"}}\n'},
        {"lib/cdn.rb": 'HOST = ENV.fetch("ASSET_HOST")\n'},
    ],
)
def test_rails_that_sets_one_is_believed(tmp_path: Path, files: dict[str, str]) -> None:
    assert problems(tmp_path, RAILS | files) == []


def test_other_apps_are_not_asked(tmp_path: Path) -> None:
    assert problems(tmp_path, {"manage.py": "import django\n"}) == []


def test_only_the_commit_counts(tmp_path: Path) -> None:
    assert problems(tmp_path, RAILS)
    (tmp_path / "config/environments/production.rb").write_text(READS)
    sha = Repository(tmp_path).git("rev-parse", "HEAD")
    assert problems_of(sha, tmp_path)


@pytest.mark.parametrize(
    ("host", "hint"),
    [
        ("http://localhost:4580/shop-assets", "write `host: http://shop-assets.localhost:4580`"),
        ("https://cdn.example.com/shop", "give the assets a host without a path"),
    ],
)
def test_propshaft_below_a_path_is_told(tmp_path: Path, host: str, hint: str) -> None:
    read = {"config/environments/production.rb": READS}
    (found,) = problems(tmp_path, RAILS | read | PROPSHAFT, host)
    assert "Propshaft's stylesheets would ask" in found.message
    assert found.hint == hint


@pytest.mark.parametrize("host", [HOST, "http://shop-assets.localhost:4580"])
def test_propshaft_with_a_host_of_its_own_is_right(tmp_path: Path, host: str) -> None:
    read = {"config/environments/production.rb": READS}
    assert problems(tmp_path, RAILS | read | PROPSHAFT, host) == []
