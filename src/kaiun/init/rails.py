"""A Rails app: everything that the templates ask about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kaiun.errors import UsageError
from kaiun.init import assets, database, debian, javascript, lockfile, processes, versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaiun.init.assets import Assets
    from kaiun.init.database import Database
    from kaiun.init.debian import Package
    from kaiun.init.javascript import JavaScript
    from kaiun.init.lockfile import Bundle
    from kaiun.init.processes import Processes
    from kaiun.init.tree import Tree
    from kaiun.init.versions import Version

_REDIS_GEMS = ("redis", "redis-client", "sidekiq", "resque")
_PRODUCTION = "config/environments/production.rb"


@dataclass(frozen=True, slots=True)
class Rails:
    """What was found in a Rails app."""

    rails: str  # its version
    ruby: Version
    bundler: str  # the version to install first, "" where Ruby's own will do
    gemfiles: tuple[str, ...]  # the files that `bundle install` reads
    gem_folders: tuple[str, ...]  # folders of gems that are part of the repository
    build_packages: tuple[Package, ...]
    run_packages: tuple[Package, ...]
    javascript: JavaScript | None
    bootsnap: bool
    processes: Processes
    health: str  # the path that tells the load balancer whether it is well; "" where none is known
    database: Database
    redis: bool
    assets: Assets | None
    credentials: bool  # config/credentials.yml.enc is there
    logs_to_stdout: bool  # production does so only when RAILS_LOG_TO_STDOUT is set
    serves_files: bool  # production does so only when RAILS_SERVE_STATIC_FILES is set
    git: bool  # the bundle holds git checkouts
    notes: tuple[str, ...]  # what a human should know


def is_rails(tree: Tree) -> bool:
    """Return whether the folder holds a Rails app."""
    return tree.has("config/application.rb") and tree.has("Gemfile")


def look(tree: Tree) -> Rails:
    """Return what is found. Raises UsageError where Gemfile.lock is missing."""
    if not tree.has("Gemfile.lock"):
        raise UsageError(
            "there is no Gemfile.lock",
            where=str(tree.root),
            hint="run `bundle lock` and commit it: the image installs exactly what it names",
        )
    bundle = lockfile.read(tree.text("Gemfile.lock"))
    ruby = versions.ruby(tree, bundle)
    script = javascript.find(tree, bundle)
    base = database.find(tree, bundle)
    unused = (_unused_image_library(tree, bundle),)
    compiled = assets.find(tree, bundle, script)
    production = tree.code(_PRODUCTION)
    return Rails(
        rails=bundle.gems.get("railties", ""),
        ruby=ruby,
        bundler=versions.bundler_to_install(ruby.number, bundle),
        gemfiles=lockfile.gemfile_needs(tree),
        gem_folders=(*bundle.inside, *tree.only(("vendor/cache",))),
        build_packages=debian.to_build(bundle, without=unused),
        run_packages=debian.to_run(bundle, without=unused),
        javascript=script,
        bootsnap="bootsnap" in bundle,
        processes=processes.find(tree, bundle, migrates=bool(base.kind)),
        health="/up" if "rails/health#show" in tree.code("config/routes.rb") else "",
        database=base,
        redis=bool(bundle.any_of(*_REDIS_GEMS)),
        assets=compiled,
        credentials=tree.has("config/credentials.yml.enc"),
        logs_to_stdout="RAILS_LOG_TO_STDOUT" in production,
        serves_files="RAILS_SERVE_STATIC_FILES" in production,
        git=bundle.git,
        notes=(*_notes(tree, bundle, ruby, script), *_asset_notes(tree, compiled)),
    )


def _unused_image_library(tree: Tree, bundle: Bundle) -> str:
    """Return which of the two gems that image_processing brings the app does not use.

    Source: `config.active_storage.variant_processor`, vips since `load_defaults 7.0`.
    """
    if "image_processing" not in bundle:
        return ""
    gemfile = tree.code("Gemfile")
    if "mini_magick" in gemfile and "ruby-vips" in gemfile:
        return ""
    settings = tree.code("config/application.rb") + tree.code(_PRODUCTION)
    said = re.search(r"variant_processor\s*=\s*:(\w+)", settings)
    defaults = re.search(r"load_defaults[\s(]+[\"']?(\d+)", settings)
    vips = said[1] == "vips" if said else bool(defaults and int(defaults[1]) >= 7)
    return "mini_magick" if vips else "ruby-vips"


def _notes(tree: Tree, bundle: Bundle, ruby: Version, script: JavaScript | None) -> Iterator[str]:
    """Yield what would go wrong later, and what was guessed."""
    if not ruby.place:
        yield f"no file names the Ruby: {ruby.number} was taken; write .ruby-version"
    if not bundle.for_linux:
        yield (
            f"Gemfile.lock is for {' '.join(bundle.platforms)} only: "
            "bundle lock --add-platform x86_64-linux"
        )
    for folder in bundle.outside:
        yield (
            f"the gem in {folder} lies outside of this folder, which is all that the build gets: "
            "set `image: {context: …}` to a folder that holds both, and mend the COPY lines"
        )
    yield from _production_notes(tree)
    if script and script.manager and not script.locked:
        yield "package.json has no lock file: each build may install something else"
    if script and script.manager == "bun":
        yield "bun is not known here: the Dockerfile installs the packages by npm"
    yield from _schedules(tree, bundle)


def _production_notes(tree: Tree) -> Iterator[str]:
    production = tree.code(_PRODUCTION)
    if production and "stdout" not in production.lower():
        yield f"{_PRODUCTION} logs to a file, which nobody sees: `config.logger` to STDOUT"
    forced = re.search(r"config\.force_ssl\s*=\s*true", production)
    if forced and not re.search(r"config\.assume_ssl\s*=\s*true", production):
        yield (
            f"{_PRODUCTION} forces SSL, which the local load balancer has not: "
            'config.force_ssl = ENV["FORCE_SSL"] != "0"'
        )


def _asset_notes(tree: Tree, compiled: Assets | None) -> Iterator[str]:
    settings = "".join(tree.code(file) for file in (_PRODUCTION, "config/application.rb"))
    if compiled and "asset_host" not in settings.lower():
        yield (
            f"{_PRODUCTION} sets no asset host, which pages need once a bucket has the assets: "
            'config.asset_host = ENV["ASSET_HOST"].presence'
        )


def _schedules(tree: Tree, bundle: Bundle) -> Iterator[str]:
    if "whenever" in bundle or tree.has("config/schedule.rb"):
        yield (
            "config/schedule.rb (whenever) wants a cron daemon, which a container has not: "
            "its jobs are not run by what was written"
        )
    if "clockwork" in bundle:
        yield "clockwork wants a process of its own, with `count: 1`: bundle exec clockwork FILE"
    for gem in bundle.any_of("sidekiq-cron", "sidekiq-scheduler"):
        yield f"{gem} schedules its jobs in the worker: nothing else is needed"
