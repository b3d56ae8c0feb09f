"""Run the app's own commands, in the order written. Their exit codes are kept."""

from __future__ import annotations

from kaiun.entry import child
from kaiun.entry.failure import Failure
from kaiun.entry.steps import limited

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kaiun.entry.settings import Item
    from kaiun.entry.steps import Context


def step(items: list[Item], context: Context) -> None:
    """Run each hook to its end; the first that fails ends the start with its exit code."""

    def run(item: Item) -> None:
        try:
            ended = child.run(item["command"], context.environ())
        except OSError as problem:
            raise Failure(f"cannot run {item['command'][0]!r}: {problem.strerror}") from None
        if ended.code:
            raise Failure(f"{item['command'][0]} {ended.words()}", code=ended.code)

    for item in items:
        limited(item, run)
