"""What a container runs, by the first word of its command.

web [ARGUMENT…]        a process of kaiun.yml; `web -- COMMAND…` is that process run by another
                       command, which is how task definitions are written
tasks                  lists the tasks of kaiun.yml; `tasks migrate [ARGUMENT…]` is one of them
shell [ARGUMENT…]      a shell, even where a step fails
console [ARGUMENT…]    the app's console: `start: {console: …}`, bin/console or bin/rails
anything else          is that command, behind the image's own entry point
"""

from __future__ import annotations

import os

from kaiun.entry.failure import SETTINGS, Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kaiun.entry.settings import Item, Settings

SHELLS = ("bash", "ash", "dash", "ksh", "zsh", "sh")


class Command:
    """What to run. `lenient`: a step that fails is told, but the command runs all the same."""

    def __init__(self, argv: list[str], process: str = "", *, lenient: bool = False) -> None:
        self.argv = argv
        self.process = process
        self.lenient = lenient
        self.beside: list[Item] = []
        self.stop_timeout_s = 30.0


def resolve(words: list[str], settings: Settings) -> Command:
    """Return what the words of a container's command stand for. Raises Failure."""
    if not words:
        raise Failure("there is no command", code=SETTINGS)
    first, rest = words[0], words[1:]
    if first in settings.processes:
        return _process(first, settings.processes[first], rest, settings)
    if first == "tasks" and rest:
        return _task(rest[0], rest[1:], settings)
    if first == "shell":
        return Command([_shell(), *rest], lenient=True)
    if first == "console":
        return Command([*_console(settings), *rest])
    lenient = len(words) == 1 and os.path.basename(first) in SHELLS
    return Command([*settings.entrypoint, *words], lenient=lenient)


def _process(name: str, item: Item, rest: list[str], settings: Settings) -> Command:
    own = item["command"] if item["command"] is not None else settings.image_command
    command = Command([*settings.entrypoint, *_words(own, rest)], name)
    command.beside = item.get("with", [])
    command.stop_timeout_s = item.get("stop_timeout", 30)
    if not command.argv:
        raise Failure(f"the process {name} has no command, nor has the image", code=SETTINGS)
    return command


def _task(name: str, rest: list[str], settings: Settings) -> Command:
    if name not in settings.tasks:
        known = ", ".join(sorted(settings.tasks)) or "none"
        raise Failure(f"there is no task {name!r}, there are: {known}", code=SETTINGS)
    own = settings.tasks[name]["command"]
    return Command([*settings.entrypoint, *_words(own, rest)], name)


def _words(own: list[str], rest: list[str]) -> list[str]:
    words = rest[1:] if rest[:1] == ["--"] and len(rest) > 1 else [*own, *rest]
    for word in words if words is not rest else ():
        if word.startswith("${") and ":" in word and word.endswith("}"):
            raise Failure(f"only `kaiun deploy` fills {word}", code=SETTINGS)
    return words


def _shell() -> str:
    for path in (f"{folder}/{name}" for name in SHELLS for folder in ("/bin", "/usr/bin")):
        if os.access(path, os.X_OK):
            return path
    return "sh"


def _console(settings: Settings) -> list[str]:
    if settings.console:
        return settings.console
    for path, words in (("bin/console", []), ("bin/rails", ["console"])):
        if os.access(os.path.join(settings.workdir, path), os.X_OK):
            return [os.path.join(settings.workdir, path), *words]
    raise Failure("the app has no console: write `start: {console: COMMAND}`", code=SETTINGS)
