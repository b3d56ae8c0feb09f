"""From what was found to the texts of the files that `kaiun init` writes."""

from __future__ import annotations

import json
import re
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import jinja2
import yaml

from kaiun.errors import UsageError
from kaiun.init import container, rails, services

if TYPE_CHECKING:
    from kaiun.init.container import Container
    from kaiun.init.debian import Package
    from kaiun.init.rails import Rails
    from kaiun.init.tree import Tree

CONFIG, DOCKERFILE, IGNORED = "kaiun.yml", "Dockerfile", ".dockerignore"
WORKDIR = "/app"
_OWN_DOCKERFILE = "the app's own Dockerfile is used; --force Dockerfile puts kaiun's in its place"
_WIDTH = 100
_WRITABLE = ("log", "storage", "tmp", "tmp/cache", "tmp/pids")


@dataclass(frozen=True, slots=True)
class Draft:
    """The texts by the names of their files, what they were made of, and what to know."""

    files: Mapping[str, str]
    found: Mapping[str, object]
    notes: tuple[str, ...]


def draft(tree: Tree, app: str, *, anew: bool = False) -> Draft:
    """Return the files for the app in the folder. `anew`: its own Dockerfile does not count.

    Raises UsageError where it is no app that can be told apart.
    """
    own = container.read(tree.text(DOCKERFILE)) if tree.has(DOCKERFILE) else None
    if rails.is_rails(tree):
        return _for_rails(app, rails.look(tree), None if anew else own)
    if own is None:
        raise UsageError(
            "there is neither a Rails app (config/application.rb, Gemfile) nor a Dockerfile",
            where=str(tree.root),
            hint="go to the folder of the app, or write a Dockerfile first",
        )
    return _for_container(app, own)


def name_for(folder: str) -> str:
    """Return the name of the app for the name of its folder: 1–32 of a–z, 0–9 and '-'."""
    plain = re.sub(r"[^a-z0-9]+", "-", folder.lower()).lstrip("-0123456789")
    return plain[:32].rstrip("-") or "app"


def _for_rails(app: str, found: Rails, own: Container | None) -> Draft:
    values = {field: getattr(found, field) for field in found.__slots__}
    addresses = services.addresses(app, found)
    key = "RAILS_MASTER_KEY" if found.credentials else "SECRET_KEY_BASE"
    compiled = None if own and own.compiles_assets else found.assets
    values |= {
        "app": app,
        "assets": compiled,
        "compiles_assets": bool(own and own.compiles_assets),
        "addresses": addresses,
        "required": list(addresses),
        "secrets": [*addresses, key],
        "services": services.beside(app, found),
        "sqlite": found.database.kind == "sqlite",
        "workdir": own.workdir if own else WORKDIR,
        "outputs": found.assets.output if found.assets else (),
        "writable": _WRITABLE,
    }
    files = {CONFIG: _render("rails.yml.j2", values)}
    if own is None:
        files[DOCKERFILE] = _render("Dockerfile.j2", values)
        files[IGNORED] = _render("dockerignore.j2", values)
    notes = found.notes if own is None else (*found.notes, _OWN_DOCKERFILE)
    return Draft(files, {"kind": "rails", **asdict(found)}, notes)


def _for_container(app: str, own: Container) -> Draft:
    values = {"app": app, **asdict(own)}
    return Draft(
        {CONFIG: _render("container.yml.j2", values)}, {"kind": "container", **asdict(own)}, ()
    )


def _render(template: str, values: Mapping[str, Any]) -> str:
    environment = jinja2.Environment(  # noqa: S701  (configuration files, no HTML)
        loader=jinja2.PackageLoader("kaiun.init"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "argv": _argv, "reasons": _reasons, "shell": shlex.quote, "yaml": _yaml,
    }  # fmt: skip
    return environment.get_template(template).render(values)


def _argv(command: str | Sequence[str]) -> str:
    """Return a command as CMD has it."""
    words = shlex.split(command) if isinstance(command, str) else command
    return json.dumps(list(words))


def _reasons(packages: Sequence[Package]) -> str:
    """Return the comment that says what each package is for."""
    listed = ", ".join(f"{package.name} ({package.reason})" for package in packages)
    return textwrap.fill(listed, _WIDTH, initial_indent="# ", subsequent_indent="# ",
                         break_on_hyphens=False)  # fmt: skip


def _yaml(value: object) -> str:
    """Return a value as it stands in one line of YAML; its ${…} are no placeholders of kaiun's."""
    plain = list(value) if isinstance(value, tuple) else value
    written = yaml.safe_dump(
        plain, default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf")
    )
    return written.removesuffix("...\n").strip().replace("${", "$${")
