"""Load kaiun.yml: read, merge, interpolate, validate, complete."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from kaiun.config import defaults, environments, places
from kaiun.config.interpolate import Resolver
from kaiun.config.places import Found, NotYamlError
from kaiun.config.schema import Config, Environment
from kaiun.errors import ConfigError, ConfigErrors

FILE = "kaiun.yml"


def load(
    path: Path | None,
    environment: str = "local",
    *,
    resolve: Resolver | None = None,
    revision: str | None = None,
) -> Config:
    """Return the configuration of one environment.

    Without a path, kaiun.yml is looked for from the working directory upwards. `revision` is the
    commit SHA for `${revision}`; without one the placeholder stays. Raises ConfigErrors with
    every problem of the file.
    """
    file = path or discover(Path.cwd())
    found: list[Found] = []
    try:
        root = places.parse(file.read_text(), found)
        node = environments.selected(root, environment)
        given = Environment.model_validate(node.plain())
    except NotYamlError as error:
        raise ConfigErrors([ConfigError(error.found.message)]) from None
    except ValidationError as error:
        raise ConfigErrors([ConfigError(str(error))]) from None
    return defaults.complete(given, environment, file.resolve().parent)


def discover(start: Path) -> Path:
    """Return the kaiun.yml of `start` or of a directory above it, inside the git work tree."""
    for folder in (start, *start.parents):
        if (folder / FILE).exists():
            return folder / FILE
        if (folder / ".git").exists():
            break
    raise ConfigErrors([ConfigError(f"no {FILE} in {start} or above")])
