"""What the lifecycle of one task is shown, and what it answers.

Level-triggered: the view is built from the store and from observed containers, so that an
engine that was killed continues where it was. A command comes back at every step until the
view shows that it has been carried out; carrying it out twice must be harmless.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from kaiun.scheduler.model import Health, StopCode, Target, TaskStatus


class Condition(StrEnum):
    """ContainerDependency.condition."""

    START = "START"
    COMPLETE = "COMPLETE"
    SUCCESS = "SUCCESS"
    HEALTHY = "HEALTHY"


class ContainerStatus(StrEnum):
    """ABSENT: never started. CREATED: being started. GONE: it was there and has been removed."""

    ABSENT = "ABSENT"
    CREATED = "CREATED"
    RUNNING = "RUNNING"
    EXITED = "EXITED"
    GONE = "GONE"


@dataclass(frozen=True, slots=True)
class Dependency:
    container: str
    condition: Condition = Condition.START


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """Of a container that may run again when it has exited after `period_s` at least."""

    period_s: float
    ignored_exit_codes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ContainerView:
    """One container: the first block from its definition, the second as observed."""

    name: str
    essential: bool = True
    depends_on: tuple[Dependency, ...] = ()
    start_timeout_s: float | None = None
    stop_timeout_s: int = 30
    has_health_check: bool = False
    restart: RestartPolicy | None = None

    status: ContainerStatus = ContainerStatus.ABSENT
    exit_code: int | None = None
    reason: str | None = None  # "OutOfMemoryError: …"
    failure: str | None = None  # "CannotStartContainerError: …": it could not be had
    health: Health = Health.UNKNOWN
    started_at: float | None = None
    finished_at: float | None = None


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task with its containers. `target_groups` is how many it must be registered in."""

    id: str
    containers: tuple[ContainerView, ...]
    last_status: TaskStatus = TaskStatus.PROVISIONING
    desired_status: TaskStatus = TaskStatus.RUNNING
    prepared: bool = False  # images are here, the network is made
    failure: str | None = None  # "CannotPullContainerError: …": prepare failed
    target_groups: int = 0
    targets: tuple[Target, ...] = ()  # registrations that are not yet drained
    removed: bool = False  # containers and network are gone
    cut_off: bool = False  # its network namespace has ended behind its back
    stop_code: StopCode | None = None
    stopped_reason: str = ""


@dataclass(frozen=True, slots=True)
class Prepare:
    """Pull images, make the network."""


@dataclass(frozen=True, slots=True)
class StartContainer:
    name: str


@dataclass(frozen=True, slots=True)
class RestartContainer:
    """Start a container again that has exited."""

    name: str


@dataclass(frozen=True, slots=True)
class RegisterTargets:
    """Register the task in all its target groups."""


@dataclass(frozen=True, slots=True)
class DeregisterTargets:
    """Begin to drain every registration of the task."""


@dataclass(frozen=True, slots=True)
class StopContainer:
    """SIGTERM, SIGKILL after `timeout_s`."""

    name: str
    timeout_s: int


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove all containers and the network of the task."""


Command = (
    Prepare
    | StartContainer
    | RestartContainer
    | RegisterTargets
    | DeregisterTargets
    | StopContainer
    | Remove
)


@dataclass(frozen=True, slots=True)
class Step:
    """The task's next statuses and what is to be done now.

    `wake_at`: when the next step may say something else though nothing was observed.
    """

    last_status: TaskStatus
    desired_status: TaskStatus
    health: Health = Health.UNKNOWN
    stop_code: StopCode | None = None
    stopped_reason: str = ""
    commands: tuple[Command, ...] = ()
    wake_at: float | None = None
