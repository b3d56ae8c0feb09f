"""What runs from the image: Procfile where there is one, else what the gems come with."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kaiun.init.lockfile import Bundle
    from kaiun.init.tree import Tree

PORT = 3000
_NEEDS_SHELL = re.compile(r"[$`;&|<>*?~]|^\w+=")
_SEVERAL = re.compile(r"[;&|]")
_ASSIGNS = re.compile(r"\w+=")


@dataclass(frozen=True, slots=True)
class Process:
    """A process, and what in the app it was read from."""

    name: str
    command: str | tuple[str, ...]
    place: str
    env: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Processes:
    """All that runs: the web first, then the workers, and the command that migrates."""

    web: Process
    workers: tuple[Process, ...]
    migrate: Process | None
    port: int = PORT


# Gem → name, command and environment of its worker.
_WORKERS: dict[str, tuple[str, str, Mapping[str, str] | None]] = {
    "sidekiq": ("worker", "bundle exec sidekiq", None),
    "solid_queue": ("worker", "bundle exec rake solid_queue:start", None),
    "good_job": ("worker", "bundle exec good_job start", None),
    "resque": ("worker", "bundle exec rake resque:work", {"QUEUE": "*"}),
    "delayed_job_active_record": ("worker", "bundle exec rake jobs:work", None),
    "que": ("worker", "bundle exec que", None),
}


def find(tree: Tree, bundle: Bundle, *, migrates: bool) -> Processes:
    """Return what runs. `migrates`: the app has a database."""
    listed = dict(_procfile(tree))
    web = _listed(listed, "web") or _web(tree, bundle)
    workers = [
        Process(name.replace("_", "-").lower(), shell(command), "Procfile")
        for name, command in listed.items()
        if name not in {"web", "release"}
    ]
    found = workers if listed else list(_workers(bundle))
    migrate = _listed(listed, "release")
    if migrate is None and migrates:
        migrate = _migrate(bundle)
    if migrate is not None:
        migrate = replace(migrate, name="migrate")
    return Processes(web, tuple(found), migrate, PORT if web.env else port(tree))


def port(tree: Tree) -> int:
    """Return the port that config/puma.rb names, by default that of Rails."""
    lines = re.findall(r"(?m)^\s*port[\s(]+(.*)$", tree.code("config/puma.rb"))
    numbers = re.findall(r"\b\d{2,5}\b", lines[-1]) if lines else ()
    return int(numbers[-1]) if numbers else PORT


def shell(command: str) -> str | tuple[str, ...]:
    """Return a command line as kaiun.yml has it: through a shell where it needs one."""
    if not _NEEDS_SHELL.search(command):
        return command
    if _SEVERAL.search(command):
        return "sh", "-c", command
    # exec: the process itself hears SIGTERM, not the shell.
    return "sh", "-c", f"exec {'env ' if _ASSIGNS.match(command) else ''}{command}"


def _procfile(tree: Tree) -> Iterator[tuple[str, str]]:
    for line in tree.text("Procfile").splitlines():
        if found := re.match(r"([A-Za-z][\w-]*):\s*(\S.*)$", line):
            yield found[1], found[2].strip()


def _listed(listed: Mapping[str, str], name: str) -> Process | None:
    if name not in listed:
        return None
    env = {"PORT": str(PORT)} if name == "web" and "PORT" in listed[name] else None
    return Process(name, shell(listed[name]), "Procfile", env)


def _web(tree: Tree, bundle: Bundle) -> Process:
    if "puma" in bundle:
        config = " -C config/puma.rb" if tree.has("config/puma.rb") else f" --port {PORT}"
        return Process("web", f"bundle exec puma{config}", "the gem puma")
    if "unicorn" in bundle:
        config = " -c config/unicorn.rb" if tree.has("config/unicorn.rb") else ""
        command = f"bundle exec unicorn{config} --port {PORT}"
        return Process("web", command, "the gem unicorn")
    return Process("web", f"bundle exec rails server -b 0.0.0.0 -p {PORT}", "Rails' own server")


def _workers(bundle: Bundle) -> Iterator[Process]:
    """Yield the worker of each queue, the first named worker, the others by their gem."""
    for number, gem in enumerate(bundle.any_of(*_WORKERS)):
        name, command, env = _WORKERS[gem]
        yield Process(
            name if number == 0 else gem.replace("_", "-"), command, f"the gem {gem}", env
        )


def _migrate(bundle: Bundle) -> Process:
    """Return what brings the database up to date; db:prepare, where Rails has it, also makes it."""
    command = "db:prepare" if bundle.version("railties") >= (6, 1) else "db:migrate"
    return Process("migrate", f"bundle exec rails {command}", "Rails")
