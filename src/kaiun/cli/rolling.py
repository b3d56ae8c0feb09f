"""Show a deploy while it runs: a live table on a terminal, plain lines with times elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kaiun.deploy.eventlog import plain
from kaiun.deploy.events import (
    Did,
    Note,
    Rolled,
    StageBegan,
    StageEnded,
    TaskLogged,
    TaskMoved,
)
from kaiun.deploy.runner import Choice

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from rich.live import Live
    from rich.table import Table

    from kaiun.cli.console import Console
    from kaiun.deploy.events import Event
    from kaiun.deploy.rollout import Progress

WIDE = 40


class Rolling:
    """A listener for the events of a deploy."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live: Live | None = None
        self._told: dict[str, tuple[object, ...]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the table as it stands; go on with plain lines."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __call__(self, event: Event) -> None:
        match event:
            case StageBegan(name=name):
                self._line(f"{name} …")
            case StageEnded():
                self.close()
            case Did(what=what):
                self._line(f"  {what}")
            case Note(text=text, warning=warning):
                self.close()
                (self.console.warn if warning else self.console.faint)(f"  {text}")
            case TaskMoved(name=name, task=task, status=status):
                self._line(f"  {name} {task[:8]} {status}")
            case TaskLogged(name=name, lines=lines):
                for line in lines:
                    self._line(f"  {name} | {line.message.rstrip()}")
            case Rolled(rollouts=rollouts):
                self._rolled(rollouts)

    def _rolled(self, rollouts: tuple[Progress, ...]) -> None:
        for progress in rollouts:
            for event in progress.new_events:
                self._line(f"  {_unprefixed(event.message)}", trouble=event.trouble)
        if self.console.live:
            self._redraw(rollouts)
        else:
            self._plain(rollouts)

    def _plain(self, rollouts: tuple[Progress, ...]) -> None:
        for p in rollouts:
            shape = (p.verdict, p.old, p.new, p.pending, p.healthy, p.standing)
            if self._told.get(p.follow.process) != shape:
                self._told[p.follow.process] = shape
                self._line(f"  {p.follow.process}: {_counts(p)}")

    def _redraw(self, rollouts: tuple[Progress, ...]) -> None:
        from rich.console import Console as RichConsole
        from rich.live import Live

        if self._live is None:
            terminal = RichConsole(stderr=True)
            self._live = Live(console=terminal, auto_refresh=False, transient=False)
            self._live.start()
        self._live.update(_table(rollouts), refresh=True)

    def _line(self, text: str, *, trouble: bool = False) -> None:
        stamped = f"{time.strftime('%H:%M:%S')} {text}"
        if self._live is not None:
            self._live.console.print(stamped, markup=False, highlight=False, soft_wrap=True)
        elif trouble:
            self.console.warn(stamped)
        else:
            self.console.say(stamped)


def ask(console: Console, rolling: Rolling) -> Choice:
    """Ask what to do with the rollout under way; without a terminal leave it."""
    rolling.close()
    if not console.interactive:
        return Choice.LEAVE
    try:
        answer = console.ask("\nwait on (w), roll back (r), or leave it to ECS (l)? [l]")
    except KeyboardInterrupt:
        return Choice.LEAVE
    by_letter = {"w": Choice.WAIT, "r": Choice.ROLL_BACK}
    return by_letter.get(answer[:1].lower(), Choice.LEAVE)


def _table(rollouts: tuple[Progress, ...]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("service", no_wrap=True)
    for header in ("old", "new", "pending", "healthy", "wanted"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True, overflow="ellipsis")
    for p in rollouts:
        state = _state(p)
        numbers = (p.old, p.new, p.pending, p.healthy, p.desired)
        table.add_row(p.follow.process, *map(str, numbers), _unprefixed(state)[:WIDE])
    return table


def _counts(p: Progress) -> str:
    counts = f"old {p.old}, new {p.new}, pending {p.pending}, healthy {p.healthy} of {p.desired}"
    return f"{counts} ({_state(p)})"


def _state(p: Progress) -> str:
    more = p.cause or ("" if p.over else str(p.standing))
    return f"{p.verdict}: {more}" if more else str(p.verdict)


def _unprefixed(message: str) -> str:
    """Shorten an event of ECS: "(service web) registered … in (target-group ARN)"."""
    return plain(message.removeprefix("(service ").replace(")", "", 1))
