"""start.json: what kaiun.yml says of the start, for every environment at once. Pure.

Its format is described, and read, by kaiun/entry/settings.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from pydantic import JsonValue

    from kaiun.config.schema import Config, Process
    from kaiun.config.start import Fetch, Part, Secret, Start, Template

    Json = dict[str, JsonValue]

FORMAT = 1
KEY_VARIABLES = {
    "yaml_vault": ("YAML_VAULT_PASSPHRASE", "YAML_VAULT_SIGN_PASSPHRASE"),
    "rails": ("RAILS_MASTER_KEY",),
    "kaiun": ("KAIUN_SECRETS_KEY",),
}
INTEGERS = frozenset({"key_len", "signature_key_len"})
SWITCHES = frozenset({"use_sign_passphrase"})


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What the image of the user's Dockerfile says of itself."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""
    workdir: str = "/"
    size: int = field(default=0, compare=False)  # bytes
    variables: tuple[str, ...] = ()  # NAME=value


def document(
    configs: Mapping[str, Config], facts: ImageFacts, assets: Mapping[str, Json] | None = None
) -> Json:
    """Return the content of start.json; environments that say the same share their part.

    `assets` are the items of their assets steps, by environment.
    """
    parts: list[Json] = []
    places: dict[str, JsonValue] = {}
    for name, config in configs.items():
        part = settings(config, (assets or {}).get(name))
        if part not in parts:
            parts.append(part)
        places[name] = parts.index(part)
    return {
        "format": FORMAT,
        "app": next(iter(configs.values())).app,
        "workdir": facts.workdir or "/",
        "entrypoint": list(facts.entrypoint),
        "command": list(facts.command),
        "environments": places,
        "settings": list(parts),
    }


def settings(config: Config, assets: Json | None = None) -> Json:
    """Return the part of one environment; `assets` is the item of its assets step."""
    start = config.start
    processes = {name: each for name, each in config.processes.items() if each.uses_app_image}
    tasks = {name: each for name, each in config.tasks.items() if each.uses_app_image}
    given: Json = {
        "steps": [[kind, cast("JsonValue", list(items))] for kind, items in steps(config, assets)],
        "processes": {name: _process(each) for name, each in processes.items()},
        "tasks": {name: {"command": list(each.command)} for name, each in tasks.items()},
        "secret": cast("JsonValue", secret_names(config)),
        "keys": cast("JsonValue", key_names(start)),
        "console": list(start.console) if start.console else None,
        "directory": start.directory,
        "region": config.region or "",
    }
    return given


def steps(config: Config, assets: Json | None = None) -> Iterator[tuple[str, list[Json]]]:
    """Yield the steps of an environment in the order of the file, empty ones left out.

    Where kaiun.yml gives the assets step no place, it comes right after `require`.
    """
    order = list(config.start.order)
    if "assets" not in order:
        order.insert(order[:1] == ["require"], "assets")
    for kind in order:
        if kind == "assets":
            items = [assets] if assets and config.start.assets else []
        else:
            items = [
                item | _processes(part)
                for part, item in _items(kind, config.start)
                if not part.when.environment or config.environment in part.when.environment
            ]
        if items:
            yield kind, items


def secret_names(config: Config) -> list[str]:
    """Return the variables that hold secrets: those that ECS reads from SSM and the like."""
    workloads = [*config.processes.values(), *config.tasks.values()]
    names = {name for each in workloads if each.uses_app_image for name in each.secrets}
    return sorted(names | set(config.secrets))


def key_names(start: Start) -> list[str]:
    """Return the variables that hold keys of vault files."""
    sources = [source for secret in start.secrets for source in keys(secret).values()]
    return sorted({source.removeprefix("env:") for source in sources if source.startswith("env:")})


def keys(secret: Secret) -> dict[str, str]:
    """Return where each key of a vault file is: {"RAILS_MASTER_KEY": "env:RAILS_MASTER_KEY"}."""
    given = (secret.key, secret.sign_key)
    return {
        name: source or f"env:{name}"
        for name, source in zip(KEY_VARIABLES[secret.format], given, strict=False)
    }


def _items(kind: str, start: Start) -> Iterator[tuple[Part, Json]]:
    from kaiun.config.start import target

    if kind == "require":
        for variable in start.require:
            yield variable, {"name": variable.name, "timeout": 0}
    elif kind == "fetch":
        for fetch in start.fetch:
            yield fetch, _fetch(fetch)
    elif kind == "secrets":
        for secret in start.secrets:
            yield secret, _secret(secret)
    elif kind == "templates":
        for template in start.templates:
            yield template, _template(template, target(template))
    elif kind == "wait":
        for wait in start.wait:
            yield wait, {"name": wait.address, "timeout": wait.timeout}
    elif kind == "hooks":
        for name, hook in start.hooks.items():
            yield hook, {"name": name, "timeout": hook.timeout, "command": list(hook.command)}


def _fetch(fetch: Fetch) -> Json:
    return _given(
        name=fetch.source,
        timeout=fetch.timeout,
        **{"from": fetch.source},
        to=fetch.to,
        env=fetch.env,
        key=fetch.key,
        mode=fetch.mode,
        owner=fetch.owner,
        retries=fetch.retries,
        cache=fetch.cache,
        region=fetch.region,
        headers=dict(fetch.headers),
        sha256=fetch.sha256,
        secret=fetch.secret,
    )


def _secret(secret: Secret) -> Json:
    return {
        **_given(mode=secret.mode, owner=secret.owner),
        "name": secret.file,
        "timeout": secret.timeout,
        "file": secret.file,
        "to": secret.to or secret.file,
        "format": secret.format,
        "keys": cast("JsonValue", keys(secret)),
        "options": dict(_options(secret.options)),
    }


def _template(template: Template, to: str) -> Json:
    return {
        **_given(
            mode=template.mode, owner=template.owner, check=template.check and list(template.check)
        ),
        "name": template.file,
        "timeout": template.timeout,
        "file": template.file,
        "to": to,
    }


def _options(given: Mapping[str, str]) -> Iterator[tuple[str, JsonValue]]:
    """Yield the options of a vault file as its reader takes them."""
    for written, text in given.items():
        name = written.lstrip("-").replace("-", "_")
        if name in INTEGERS and text.isdigit():
            yield name, int(text)
        elif name in SWITCHES:
            yield name, text.lower() == "true"
        else:
            yield name, text


def _processes(part: Part) -> Json:
    return {"processes": list(part.when.process)} if part.when.process else {}


def _process(process: Process) -> Json:
    given: Json = {"command": list(process.command) if process.command else None}
    if process.beside:
        given["with"] = [
            {"name": name, "command": list(each.command), "signal": each.signal}
            for name, each in process.beside.items()
        ]
        given["stop_timeout"] = process.stop_timeout
    return given


def _given(**values: object) -> Json:
    """Return those that say something."""
    return cast(
        "Json", {name: value for name, value in values.items() if value not in (None, {}, [])}
    )


def files(document: Json) -> Arrangement:
    """Return what the layer prepares in the image's file system."""
    arrangement = Arrangement()
    for part in cast("Sequence[Json]", document["settings"]):
        made: set[str] = set()
        for kind, items in cast("Sequence[tuple[str, Sequence[Json]]]", part["steps"]):
            for item in items:
                arrangement.add(kind, item, cast("str | None", part["directory"]), made)
    return arrangement


@dataclass(slots=True)
class Arrangement:
    """Sources that must be there, those to be kept aside, and links into the directory."""

    sources: list[str] = field(default_factory=list)
    originals: list[str] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, item: Json, directory: str | None, made: set[str]) -> None:
        """Note what one item of a step reads and writes."""
        file, to = str(item.get("file") or ""), str(item.get("to") or "")
        if kind in {"secrets", "templates"} and "$" not in file:
            if file not in made and file not in self.sources:
                self.sources.append(file)
            if file == to and file not in self.originals:
                self.originals.append(file)
        if to and "$" not in to:
            made.add(to)
            if directory and not to.startswith(f"{directory}/"):
                self.links[to] = directory
