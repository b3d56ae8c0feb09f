"""Take the steps in the order of kaiun.yml, each within its time, and tell how long they took."""

from __future__ import annotations

import time

from kaiun.entry import signals
from kaiun.entry.failure import Failure, say
from kaiun.entry.files import Staged
from kaiun.entry.variables import Missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kaiun.entry.settings import Item, Settings
    from kaiun.entry.variables import Variables


class Context:
    """What every step is given."""

    def __init__(self, settings: Settings, process: str, variables: Variables) -> None:
        self.settings = settings
        self.process = process
        self.variables = variables

    def environ(self) -> dict[str, str]:
        """Return the environment for commands: as the process will have it, without keys."""
        keys = set(self.settings.keys)
        return {name: each for name, each in self.variables.environ.items() if name not in keys}

    def path(self, name: str) -> str:
        """Return a path of kaiun.yml, variables replaced, absolute in the image."""
        name = self.variables.expand(name)
        return name if name.startswith("/") else f"{self.settings.workdir.rstrip('/')}/{name}"


_staged: list[Staged] = []


def stage(target: str) -> Staged:
    """Return a new staged file, which is removed should the start end before its commit."""
    staged = Staged(target)
    _staged.append(staged)
    staged.open()
    return staged


def abandon() -> None:
    """Remove what is staged and not committed."""
    for staged in _staged:
        staged.drop()


def take(
    settings: Settings, process: str, variables: Variables, began: float, *, quiet: bool = False
) -> None:
    """Take the steps of this process, and tell how long they took. Raises Failure with the step
    and what it was about."""
    context = Context(settings, process, variables)
    times: list[tuple[str, float]] = []
    try:
        todo = settings.steps_of(process)
        if _ruby_can_load_meanwhile(todo):
            from kaiun.entry import erb

            erb.ahead(context)
        for kind, items in todo:
            at = time.monotonic()
            try:
                _take(kind, items, context)
            finally:
                times.append((kind, time.monotonic() - at))
    finally:
        if times and not quiet:
            say(_told(settings.environment, process, times, time.monotonic() - began))


def _ruby_can_load_meanwhile(todo: list[tuple[str, list[Item]]]) -> bool:
    """Return whether vault files are opened before .erb is rendered, in the same environment."""
    kinds = [kind for kind, _ in todo]
    if "fetch" in kinds or kinds[:1] == ["templates"] or "templates" not in kinds:
        return False
    before = kinds[: kinds.index("templates")]
    names = [item["name"] for item in todo[len(before)][1]]
    return "secrets" in before and any(name.endswith(".erb") for name in names)


def limited(item: Item, action: Callable[[Item], None]) -> None:
    """Do something about one item within its time. Raises Failure, the item named."""
    name = str(item["name"])
    try:
        with signals.Limit(item["timeout"]):
            action(item)
    except signals.TimedOut:
        raise Failure(f"not within {item['timeout']:g} s", item=name) from None
    except Missing as missing:
        line = f":{missing.line}" if missing.line else ""
        raise Failure(missing.why, item=name + line) from None
    except Failure as failure:
        failure.item = failure.item or name
        raise


def _take(kind: str, items: list[Item], context: Context) -> None:
    try:
        _function(kind)(items, context)
    except Failure as failure:
        failure.step = kind
        raise


def _function(kind: str) -> Callable[[list[Item], Context], None]:
    """Return the function of a step; its module is imported now."""
    if kind == "require":
        return _require
    module = __import__(f"kaiun.entry.{kind}", None, None, ["step"])
    function: Callable[[list[Item], Context], None] = module.step
    return function


def _require(items: list[Item], context: Context) -> None:
    missing = [item["name"] for item in items if not context.variables.environ.get(item["name"])]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise Failure(f"{', '.join(missing)} {verb} not set")


def _told(environment: str, process: str, times: list[tuple[str, float]], total: float) -> str:
    """Return the JSON line of times, in milliseconds. Nothing in it needs escaping."""
    each = ",".join(f'"{kind}":{seconds * 1000:.1f}' for kind, seconds in times)
    return (
        f'{{"kaiun":"start","environment":"{environment}","process":"{process}",'
        f'"steps_ms":{{{each}}},"total_ms":{total * 1000:.1f}}}'
    )
