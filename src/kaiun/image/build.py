"""Build one image with BuildKit and follow it while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kaiun.errors import ImageError
from kaiun.image import client as clients
from kaiun.image import stop as stops
from kaiun.image.events import silent
from kaiun.image.plain import PlainProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from kaiun.image.client import Client
    from kaiun.image.events import Progress
    from kaiun.image.stop import Stop

_SHOWN = 120  # characters of a step in a message


@dataclass(frozen=True, slots=True)
class Recipe:
    """One call of `docker build`."""

    name: str  # repository:tag of the result
    context: Path
    dockerfile: str  # relative to the context, or absolute
    labels: Mapping[str, str]
    target: str = ""
    args: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    no_cache: bool = False
    cache_from: tuple[str, ...] = ()  # images in a registry whose layers may be taken
    read: Callable[[str], str] = str  # a line of the build's output → what is shown of it


def build(client: Client, recipe: Recipe, *, progress: Progress, stop: Stop) -> None:
    """Build the image and load it into the engine.

    Raises ImageError with the failed step and its last lines; Interrupted when asked to stop.
    """
    _follow(client, recipe, _command(client, recipe), progress, stop)


def run(client: Client, recipe: Recipe, stop: Stop, output: Path) -> None:
    """Build, and write the files of the result to a folder, no image. Raises ImageError."""
    words = [*client.build_command(load=False), f"--output=type=local,dest={output}"]
    _follow(client, recipe, [*words, *_options(recipe)], silent, stop)


def _follow(
    client: Client, recipe: Recipe, command: list[str], progress: Progress, stop: Stop
) -> None:
    plain = PlainProgress()
    _, variables = clients.passed("--build-arg", recipe.args)
    environment = client.environment() | variables
    with stops.child(command, environment, stop) as process:
        for line in stops.lines(process):
            if event := plain.feed(recipe.read(line)):
                progress(event)
    if process.returncode:
        raise _failure(recipe, plain)


def _command(client: Client, recipe: Recipe) -> list[str]:
    return [*client.build_command(), f"--tag={recipe.name}", *_options(recipe)]


def _options(recipe: Recipe) -> list[str]:
    return [
        "--progress=plain",
        f"--file={recipe.context / recipe.dockerfile}",
        *(f"--label={name}={value}" for name, value in sorted(recipe.labels.items())),
        *clients.passed("--build-arg", recipe.args)[0],
        *([f"--target={recipe.target}"] if recipe.target else []),
        *(f"--cache-from={name}" for name in recipe.cache_from),
        *(["--no-cache"] if recipe.no_cache else []),
        str(recipe.context),
    ]


def _failure(recipe: Recipe, plain: PlainProgress) -> ImageError:
    step, lines = plain.failure()
    shown = step if len(step) <= _SHOWN else step[: _SHOWN - 1] + "…"
    message = f"the build failed at {shown}" if step else "the build failed before its first step"
    return ImageError(message, where=recipe.name, hint=_hint(" ".join(lines)), detail=lines)


def _hint(said: str) -> str:
    lowered = said.lower()
    if "no space left" in lowered:
        return "make room: docker builder prune"
    if "dockerfile parse error" in lowered or "failed to parse" in lowered:
        return "the Dockerfile of the commit is wrong there"
    if "pull access denied" in lowered or "unauthorized" in lowered:
        return "the base image is private or does not exist: docker login"
    if "failed to resolve source metadata" in lowered or "failed to do request" in lowered:
        return "the base image cannot be fetched: is its registry reachable?"
    return ""
