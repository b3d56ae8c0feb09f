"""kaiun start explain: what would happen in a container before its process."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from kaiun.cli.common import Setup, verb

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kaiun.config.schema import Config
    from kaiun.image.startfile import Json

MASK = "•••"
SHARED = "RAILS_ENV"


@click.group(name="start")
def command() -> None:
    """What happens in a container before its process."""


@command.command()
@click.argument("process", default="")
@click.option("--diff", "other", metavar="ENVIRONMENT", help="Show what differs there.")
@verb
def explain(setup: Setup, process: str, other: str | None) -> None:
    """Show the steps, variables and command of PROCESS (or task) in an environment.

    Without PROCESS, of any other command. Secrets are masked. Nothing is looked up in AWS.
    """
    from kaiun.config import discover
    from kaiun.config.loader import every

    configs = every(setup.file or discover(Path.cwd()))
    lines = explained(configs, setup.environment, process)
    if other:
        theirs = explained(configs, other, process)
        lines = _difference(lines, theirs, setup.environment, other)
    for line in lines:
        setup.console.data(line)
    for warning in shared(configs):
        setup.console.warn(warning)
    setup.console.document(
        {
            "environment": setup.environment,
            "process": process,
            "lines": lines,
            "warnings": list(shared(configs)),
        }
    )


def explained(configs: Mapping[str, Config], environment: str, process: str) -> list[str]:
    """Return what would happen, a line each. Raises UsageError for what kaiun.yml has not."""
    from kaiun.errors import UsageError
    from kaiun.image import startfile

    if environment not in configs:
        known = ", ".join(name for name in configs if name)
        raise UsageError(f"no environment {environment!r}", hint=f"there are: {known}")
    config = configs[environment]
    workloads = {**config.processes, **config.tasks}
    if process and process not in workloads:
        raise UsageError(
            f"no process or task {process!r}", hint=f"there are: {', '.join(workloads)}"
        )
    part = startfile.settings(config, _assets(config))
    return [*_steps(part, process), *_variables(config, process), *_command(config, process)]


def shared(configs: Mapping[str, Config]) -> Iterator[str]:
    """Yield a warning for each value of RAILS_ENV that several environments have."""
    values: dict[str, list[str]] = {}
    for name, config in configs.items():
        asked = SHARED in config.env or any(each.name == SHARED for each in config.start.require)
        if name and asked:
            values.setdefault(config.env.get(SHARED, ""), []).append(name)
    for value, names in values.items():
        if len(names) > 1:
            what = f"{SHARED}={value}" if value else f"the image's own {SHARED}"
            yield (
                f"{what} is shared by {', '.join(names)}: what the app chooses by {SHARED} "
                "cannot tell them apart"
            )


def _assets(config: Config) -> Json | None:
    """Return the assets step as far as kaiun.yml tells: what is put in place, a build knows."""
    if config.assets is None:
        return None
    host = f", ASSET_HOST={config.assets.host}" if config.assets.host else ""
    where = "image" if config.assets.in_image else "bucket"
    name = f"{', '.join(config.assets.output)}, files from the {where}{host}"
    return {"name": name, "timeout": 0}


def _steps(part: Json, process: str) -> Iterator[str]:
    number = 0
    for kind, items in cast("Sequence[tuple[str, Sequence[Json]]]", part["steps"]):
        for item in items:
            if "processes" in item and process not in cast("list[str]", item["processes"]):
                continue
            number += 1
            yield f"{number}. {kind:10} {_about(kind, item)}"
    if not number:
        yield "no steps"


def _about(kind: str, item: Json) -> str:
    name = str(item["name"])
    limit = f" (at most {item['timeout']} s)" if item["timeout"] else ""
    if kind == "hooks":
        return f"{name}: {' '.join(cast('list[str]', item['command']))}{limit}"
    if kind == "fetch":
        return f"{name} → {item.get('to') or '$' + str(item.get('env'))}{limit}"
    if kind == "secrets":
        sources = ", ".join(cast("dict[str, str]", item["keys"]).values())
        return f"{name} → {item['to']}, {item['format']}, key from {sources}{limit}"
    if kind == "templates":
        check = (
            f", checked by {' '.join(cast('list[str]', item['check']))}" if "check" in item else ""
        )
        return f"{name} → {item['to']}{check}{limit}"
    return f"{name}{limit}"


def _variables(config: Config, process: str) -> Iterator[str]:
    workload = config.processes.get(process) or config.tasks.get(process)
    env = {**(workload.env if workload else config.env), "KAIUN_ENVIRONMENT": config.environment}
    secrets = workload.secrets if workload else config.secrets
    for name in sorted({**env, **secrets}):
        if name in secrets:
            yield f"   {name}={MASK} (from {secrets[name]})"
        else:
            yield f"   {name}={MASK if _telling(name, env[name]) else env[name]}"


def _telling(name: str, value: str) -> bool:
    """Return whether a plain variable looks like a secret: by its name, or a password in a URL."""
    words = name.upper().split("_")
    secret = {"PASSWORD", "SECRET", "TOKEN", "KEY", "PASSPHRASE", "CREDENTIALS"}.intersection(words)
    login = value.partition("://")[2].rpartition("@")[0]
    return bool(secret) or ":" in login or "${ssm:" in value or "${secret:" in value


def _command(config: Config, process: str) -> Iterator[str]:
    workload = config.processes.get(process) or config.tasks.get(process)
    if workload is None:
        return
    words = " ".join(workload.command or ("the image's own command",))
    beside = getattr(workload, "beside", {})
    yield f"{'then' if not beside else 'then, together:'} {words}"
    for name, each in beside.items():
        yield f"   beside it {name}: {' '.join(each.command)}"


def _difference(ours: list[str], theirs: list[str], left: str, right: str) -> list[str]:
    lines = list(difflib.unified_diff(ours, theirs, left, right, lineterm="", n=0))
    kept = [line for line in lines if not line.startswith("@@")]
    return kept or [f"the same in {left} and {right}"]
