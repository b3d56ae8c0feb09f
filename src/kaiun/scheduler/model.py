"""What the service scheduler sees and what it asks for: the nouns of a service.

Words are those of ECS; times are seconds of whatever clock the caller keeps. The state is the
caller's: `reconcile` reads a ServiceState and tasks, its actions are carried out by the caller,
and `transition.apply` folds the very same actions into the next ServiceState.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from kaiun.scheduler.stages import ROLLING, Procedure, Shift


class ServiceStatus(StrEnum):
    ACTIVE = "ACTIVE"
    DRAINING = "DRAINING"
    INACTIVE = "INACTIVE"


class DeploymentStatus(StrEnum):
    PRIMARY = "PRIMARY"
    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"


class RolloutState(StrEnum):
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


class TaskStatus(StrEnum):
    """lastStatus, in the order in which a task goes through them; desiredStatus uses two."""

    PROVISIONING = "PROVISIONING"
    PENDING = "PENDING"
    ACTIVATING = "ACTIVATING"
    RUNNING = "RUNNING"
    DEACTIVATING = "DEACTIVATING"
    STOPPING = "STOPPING"
    DEPROVISIONING = "DEPROVISIONING"
    STOPPED = "STOPPED"


class Health(StrEnum):
    """Of a task: all its essential containers that have an ECS healthCheck."""

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    UNKNOWN = "UNKNOWN"


class TargetState(StrEnum):
    """The state of ELBv2 DescribeTargetHealth."""

    INITIAL = "initial"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNUSED = "unused"
    DRAINING = "draining"
    UNAVAILABLE = "unavailable"


class StopCode(StrEnum):
    TASK_FAILED_TO_START = "TaskFailedToStart"
    ESSENTIAL_CONTAINER_EXITED = "EssentialContainerExited"
    USER_INITIATED = "UserInitiated"
    SERVICE_SCHEDULER_INITIATED = "ServiceSchedulerInitiated"
    SPOT_INTERRUPTION = "SpotInterruption"
    TERMINATION_NOTICE = "TerminationNotice"


class ThresholdKind(StrEnum):
    """ThresholdConfiguration.type."""

    BOUNDED_PERCENT = "BOUNDED_PERCENT"
    COUNT = "COUNT"
    UNBOUNDED_PERCENT = "UNBOUNDED_PERCENT"


@dataclass(frozen=True, slots=True)
class Breaker:
    """DeploymentCircuitBreaker with its ThresholdConfiguration."""

    enable: bool = False
    rollback: bool = False
    kind: ThresholdKind = ThresholdKind.BOUNDED_PERCENT
    value: int = 50
    reset_on_healthy_task: bool = True


@dataclass(frozen=True, slots=True)
class Attempts:
    """How starting tasks of a deployment has gone lately; the memory of the back-off."""

    failures: int = 0  # in a row
    retry_at: float = 0.0  # no task is started before
    unplaced_since: float | None = None  # no container instance has had room since


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment of a service. The two has_… flags belong to its task definition."""

    id: str  # ecs-svc/N
    task_definition: str
    status: DeploymentStatus = DeploymentStatus.PRIMARY
    rollout_state: RolloutState = RolloutState.IN_PROGRESS
    rollout_state_reason: str = ""
    failed_tasks: int = 0
    created_at: float = 0.0
    updated_at: float = 0.0
    has_load_balancer: bool = False
    has_health_check: bool = False  # an essential container has an ECS healthCheck
    rolled_back_to: bool = False  # it is PRIMARY because a newer one failed
    attempts: Attempts = Attempts()
    procedure: Procedure = ROLLING
    shift: Shift | None = None  # while it shifts traffic; never with ROLLING
    serving_since: float | None = None  # its bake time has begun; only with ROLLING


@dataclass(frozen=True, slots=True)
class ServiceState:
    """A service as its scheduler knows it. `deployments` has PRIMARY first.

    The last four fields are the scheduler's own memory: store them, do not touch them.
    """

    name: str
    desired_count: int
    deployments: tuple[Deployment, ...]
    status: ServiceStatus = ServiceStatus.ACTIVE
    minimum_healthy_percent: int = 100
    maximum_percent: int = 200
    grace_period_s: float = 0.0  # healthCheckGracePeriodSeconds
    breaker: Breaker = Breaker()
    steady_s: float = 40.0  # RUNNING this long is healthy, where nothing checks health
    last_completed: Deployment | None = None
    steady: bool = False
    blocked: bool = False
    reported: frozenset[str] = frozenset()  # unhealthy tasks that an event was emitted for

    @property
    def primary(self) -> Deployment:
        """The deployment that the service is to end up with."""
        return self.deployments[0]


@dataclass(frozen=True, slots=True)
class Target:
    """One registration of a task in a target group."""

    target_group_arn: str
    port: int
    state: TargetState = TargetState.INITIAL
    reason: str = ""  # Target.FailedHealthChecks, …
    description: str = "Health checks failed"


@dataclass(frozen=True, slots=True)
class Task:
    """One task of a service. Pass each task until it is STOPPED *and* settled."""

    id: str
    deployment_id: str
    last_status: TaskStatus = TaskStatus.PROVISIONING
    desired_status: TaskStatus = TaskStatus.RUNNING  # RUNNING or STOPPED
    health: Health = Health.UNKNOWN
    targets: tuple[Target, ...] = ()  # empty until registered
    created_at: float = 0.0
    running_since: float | None = None  # startedAt
    stop_code: StopCode | None = None
    stopped_reason: str = ""
    was_healthy: bool = False  # set by ConfirmTask; it has served
    settled: bool = False  # set by SettleTask; its end is accounted for
    leaving: bool = False  # its container instance is DRAINING
    protected: bool = False  # no scale-in and no deployment may stop it now
    instance: str = ""
    zone: str = ""


@dataclass(frozen=True, slots=True)
class StartTasks:
    """Start `count` tasks. The caller places them, then emits events.started(…)."""

    deployment_id: str
    count: int


@dataclass(frozen=True, slots=True)
class StopTask:
    """Set desiredStatus STOPPED; the lifecycle then deregisters, drains and stops it."""

    task_id: str
    reason: str
    stop_code: StopCode = StopCode.SERVICE_SCHEDULER_INITIATED


@dataclass(frozen=True, slots=True)
class ConfirmTask:
    """Set was_healthy on the task."""

    task_id: str


@dataclass(frozen=True, slots=True)
class SettleTask:
    """Set settled on a STOPPED task; it need not be passed to reconcile any more."""

    task_id: str


@dataclass(frozen=True, slots=True)
class Emit:
    """Add an event to the service."""

    text: str


@dataclass(frozen=True, slots=True)
class SetRollout:
    deployment_id: str
    state: RolloutState
    reason: str


@dataclass(frozen=True, slots=True)
class RollBack:
    """Make `to_id` PRIMARY again; a SetRollout of it follows. Source: DeploymentCircuitBreaker."""

    from_id: str
    to_id: str


@dataclass(frozen=True, slots=True)
class RetireDeployment:
    """The deployment is INACTIVE and leaves the list."""

    deployment_id: str


@dataclass(frozen=True, slots=True)
class SetAttempts:
    """Bookkeeping of failures; only `apply` needs it."""

    deployment_id: str
    failed_tasks: int
    attempts: Attempts


@dataclass(frozen=True, slots=True)
class SetServiceStatus:
    """DRAINING has ended: the service is INACTIVE."""

    status: ServiceStatus


@dataclass(frozen=True, slots=True)
class SetShift:
    """The deployment has got on; None: it shifts no longer. Only `apply` needs it."""

    deployment_id: str
    shift: Shift | None


@dataclass(frozen=True, slots=True)
class SetServing:
    """The tasks of a rolling deployment serve: its bake time begins. Only `apply` needs it."""

    deployment_id: str
    since: float


@dataclass(frozen=True, slots=True)
class ShiftTraffic:
    """Set the weights that `shares.of` tells. Say `transition.place` once they hold."""


@dataclass(frozen=True, slots=True)
class AskHook:
    """Call a hook's Lambda function. Say `transition.answer` with what it returned."""

    deployment_id: str
    hook_id: str


@dataclass(frozen=True, slots=True)
class Remember:
    """Bookkeeping of events already emitted; only `apply` needs it."""

    steady: bool
    blocked: bool
    reported: frozenset[str]


Action = (
    StartTasks
    | StopTask
    | ConfirmTask
    | SettleTask
    | Emit
    | SetRollout
    | RollBack
    | RetireDeployment
    | SetAttempts
    | SetServiceStatus
    | SetShift
    | SetServing
    | ShiftTraffic
    | AskHook
    | Remember
)
