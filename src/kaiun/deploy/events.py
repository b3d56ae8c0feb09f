"""What a deploy tells while it runs. The CLI renders these; nothing here prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kaiun.aws.types import LogEvent
    from kaiun.deploy.rollout import Progress


@dataclass(frozen=True, slots=True)
class StageBegan:
    """A stage of the deploy (a wave of the plan, the lock, the history) begins."""

    name: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StageEnded:
    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Did:
    """One step is done: "registered task definition shop-web:3"."""

    what: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth knowing that is neither progress nor an error."""

    text: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class TaskMoved:
    """A one-off task has a new lastStatus."""

    name: str
    task: str
    status: str


@dataclass(frozen=True, slots=True)
class TaskLogged:
    """Lines that a one-off task wrote."""

    name: str
    lines: tuple[LogEvent, ...]


@dataclass(frozen=True, slots=True)
class Rolled:
    """The rollouts followed at present, after an answer of ECS."""

    rollouts: tuple[Progress, ...]
    next_s: float  # until the next question


Event = StageBegan | StageEnded | Did | Note | TaskMoved | TaskLogged | Rolled
Listener = Callable[[Event], None]


def silent(_: Event) -> None:
    """Tell nobody."""
