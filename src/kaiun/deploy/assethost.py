"""The address that pages ask for assets: what is wrong with it, as far as that shows beforehand."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kaiun.errors import AssetsError
from kaiun.image import git

if TYPE_CHECKING:
    from collections.abc import Iterator
    from urllib.parse import SplitResult

    from kaiun.config import Config

# In the app's own words: config.asset_host, ENV["ASSET_HOST"], assetHost; not in a comment.
_READS_IT = r"^[^#]*asset_?host"
_KEY = "kaiun.yml: assets/host"
_CODE = ("*.rb", "*.yml", "*.json", "*.js", "*.ts")


def problems(config: Config, endpoint: str, revision: str) -> Iterator[AssetsError]:
    """Yield what keeps pages of a commit from finding their assets; `endpoint` is that of AWS."""
    asked = urlsplit((config.assets and config.assets.host) or "")
    yield from _elsewhere(asked, urlsplit(endpoint))
    yield from _unread(config, revision)
    yield from _rooted(asked, config, revision)


def _elsewhere(asked: SplitResult, ours: SplitResult) -> Iterator[AssetsError]:
    """Look for an address that names another port than the local ECS has."""
    if asked.hostname == "localhost" and ours.port not in {None, asked.port}:
        yield AssetsError(
            f"pages would ask port {asked.port}, the local ECS answers on {ours.port}",
            where=_KEY,
            hint=f"write `host: http://localhost:{ours.port}{asked.path}`",
        )


def _unread(config: Config, revision: str) -> Iterator[AssetsError]:
    """Look for a Rails app that was never told that its assets are elsewhere.

    Rails reads no variable by itself: its pages would ask the app, which has no files.
    """
    place = "config/environments/production.rb"
    rails = _found(config, revision, "Rails::Application", "config/application.rb")
    if rails and not _found(config, revision, _READS_IT, *(f"**/{kind}" for kind in _CODE)):
        yield AssetsError(
            "pages would ask the app itself for assets: nothing in it sets an asset host",
            where=posixpath.normpath(posixpath.join(config.image.context, place)),
            hint='write `config.asset_host = ENV["ASSET_HOST"].presence`, and commit it',
        )


def _rooted(asked: SplitResult, config: Config, revision: str) -> Iterator[AssetsError]:
    """Look for Propshaft and an address with a path: its stylesheets name files from the root.

    Source: Propshaft 1.3, lib/propshaft/compiler.rb, url_prefix.
    """
    if asked.path and _found(config, revision, r"^ +propshaft \(", "Gemfile.lock"):
        name = asked.path.strip("/").partition("/")[0]
        ours = f"http://{name}.localhost:{asked.port}" if asked.hostname == "localhost" else ""
        yield AssetsError(
            f"Propshaft's stylesheets would ask {asked.netloc} for /assets, without {asked.path}",
            where=_KEY,
            hint=f"write `host: {ours}`" if ours else "give the assets a host without a path",
        )


def _found(config: Config, revision: str, pattern: str, *paths: str) -> bool:
    """Return whether the commit has a line in files of the context, in whatever case."""
    places = (f":(glob){posixpath.join(config.image.context, path)}" for path in paths)
    words = ("grep", "-q", "-i", "-E", "-e", pattern, revision, "--")
    return git.attempt(config.root, *words, *places).returncode == 0
