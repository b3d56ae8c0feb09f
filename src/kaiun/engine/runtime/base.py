"""What the engine asks of a runtime, and what a runtime tells the engine.

A runtime is level-triggered: every method may be called again after a crash of the engine and
must then find what it did before (by labels) instead of doing it twice. It never decides; the
task lifecycle (kaiun.scheduler.lifecycle) decides and the runtime obeys and reports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

# holds the network namespace of an awsvpc task, and is essential; so called by ECS's agent
PAUSE: Final = "~internal~ecs~pause"
DOOR_ADDRESS: Final = "169.254.170.2"  # of ECS's task metadata and credentials
DOOR_PORT: Final = 80


class NetworkMode(StrEnum):
    """ECS networkMode. `bridge`: own namespace, published ports. `awsvpc`: one for the task."""

    BRIDGE = "bridge"
    AWSVPC = "awsvpc"
    HOST = "host"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class PortMapping:
    """One port to publish; host_port 0 asks for an ephemeral one, on loopback."""

    container_port: int
    host_port: int = 0
    protocol: str = "tcp"


@dataclass(frozen=True, slots=True)
class Mount:
    """A host path or a named volume, seen inside the container at `target`.

    `of_task`: the volume is this task's alone, and goes with it. `options` and `labels` are those
    of Docker's `local` driver, for a volume that is not there yet.
    """

    source: str
    target: str
    read_only: bool = False
    of_task: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VolumesFrom:
    """All volumes of another container of the task, those that its image declares too."""

    container: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Device:
    """A device of the host; `permissions` are of "rwm" (read, write, mknod)."""

    host_path: str
    container_path: str
    permissions: str = "rwm"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """ECS container healthCheck; `command` begins with CMD or CMD-SHELL."""

    command: tuple[str, ...]
    interval_s: int = 30
    timeout_s: int = 5
    retries: int = 3
    start_period_s: int = 0


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container of a task, overrides applied, secrets resolved."""

    name: str
    image: str
    command: tuple[str, ...] | None = None
    entry_point: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    cpu: int = 0  # shares; 1024 is one vCPU
    memory_mib: int | None = None  # hard limit: above it the kernel kills
    memory_reservation_mib: int | None = None
    swap_mib: int = 0  # beside the memory
    swappiness: int | None = None
    ports: tuple[PortMapping, ...] = ()
    links: tuple[str, ...] = ()  # "container" or "container:alias", same task
    mounts: tuple[Mount, ...] = ()
    volumes_from: tuple[VolumesFrom, ...] = ()
    health_check: HealthCheck | None = None  # None switches the image's own off
    stop_timeout_s: int = 30
    log_driver: str = "json-file"
    log_options: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    working_directory: str | None = None
    hostname: str | None = None
    read_only: bool = False
    privileged: bool = False
    tty: bool = False
    interactive: bool = False
    init: bool = False
    ulimits: tuple[tuple[str, int, int], ...] = ()  # (name, soft, hard)
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    tmpfs: Mapping[str, str] = field(default_factory=dict)  # path → mount options
    shm_size_mib: int | None = None
    devices: tuple[Device, ...] = ()
    security_options: tuple[str, ...] = ()  # "no-new-privileges", "apparmor:PROFILE", …
    dns_servers: tuple[str, ...] = ()
    dns_search_domains: tuple[str, ...] = ()
    docker_labels: Mapping[str, str] = field(default_factory=dict)
    extra_hosts: tuple[str, ...] = ()  # "name:address"
    sysctls: Mapping[str, str] = field(default_factory=dict)
    login: tuple[str, str] | None = field(
        default=None, repr=False
    )  # user, password: the registry's


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """A task as a runtime sees it. `aliases` are names other tasks of the engine reach it by.

    `pid_mode` and `ipc_mode`: host, task (its containers share one) or, for ipc, none.
    """

    task_id: str
    task_arn: str
    cluster: str
    family: str
    revision: int
    network_mode: NetworkMode
    containers: tuple[ContainerSpec, ...]
    aliases: tuple[str, ...] = ()
    pid_mode: str | None = None
    ipc_mode: str | None = None


class ContainerStatus(StrEnum):
    CREATED = "CREATED"
    RUNNING = "RUNNING"
    EXITED = "EXITED"
    GONE = "GONE"  # known before, removed behind our back


@dataclass(frozen=True, slots=True)
class PortBinding:
    """Where a published port really is."""

    container_port: int
    host_port: int
    bind_ip: str
    protocol: str = "tcp"


@dataclass(frozen=True, slots=True)
class Observation:
    """What is true of one container now. Times are seconds since the epoch."""

    task_id: str
    name: str
    runtime_id: str
    status: ContainerStatus
    exit_code: int | None = None
    reason: str | None = None  # "OutOfMemoryError: Container killed due to memory usage"
    health: str = "UNKNOWN"  # HEALTHY | UNHEALTHY | UNKNOWN, of the ECS healthCheck only
    ports: tuple[PortBinding, ...] = ()
    address: str | None = None  # IP that the host reaches the container (awsvpc: the task) at
    image_digest: str | None = None
    started_at: float | None = None
    finished_at: float | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a container has used of the CPU since it started, and has of memory now (no caches)."""

    cpu_s: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a container wrote; `stream` is stdout or stderr."""

    task_id: str
    container: str
    timestamp_ms: int
    message: str
    stream: str = "stdout"


class RuntimeFailure(Exception):
    """A container cannot be had. `code` is the word that ECS puts in front of the reason:
    CannotPullContainerError, CannotCreateContainerError, CannotStartContainerError,
    ResourceInitializationError; CannotExecuteError is our own, of `execute`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Execution(Protocol):
    """A command that runs in a container beside its process, on a terminal of its own."""

    @property
    def id(self) -> str:
        """Name it for `Runtime.hang_up`, also of a later engine."""

    async def read(self) -> bytes:
        """Return what it wrote next, b"" when it has ended."""

    async def write(self, data: bytes) -> None:
        """Enter something; nothing happens once it has ended."""

    async def resize(self, columns: int, rows: int) -> None:
        """Set the size of its terminal; nothing happens once it has ended."""

    async def end(self) -> None:
        """Have it ended: it is hung up on, and killed if it does not mind."""


Observe = Callable[[Observation], None]
Sink = Callable[[LogLine], None]


class Runtime(Protocol):
    """Containers, of tasks, of one engine. All methods are idempotent."""

    async def open(self, observe: Observe, sink: Sink) -> None:
        """Connect, `observe` every container of this engine that exists, then each change.

        Containers with a log driver that the runtime itself reads (json-file, awslogs, …) have
        their lines handed to `sink`; after a restart without repeating or losing one where the
        runtime can tell. Raises EngineError when there is no runtime to talk to.
        """

    def lines_kept(self) -> None:
        """Be told that every line handed to the sink is stored: the next engine goes on there."""

    def hear(self) -> None:
        """Observe what has happened by now, where that is known and only not told yet.

        Called before anything is decided by the clock.
        """

    async def prepare(self, task: TaskSpec) -> None:
        """Pull the images, make the task's network. Raises RuntimeFailure."""

    async def start(self, task: TaskSpec, name: str) -> Observation:
        """Create and start one container. Raises RuntimeFailure."""

    async def restart(self, task: TaskSpec, name: str) -> Observation:
        """Start a container again that has exited, and is still there. Raises RuntimeFailure."""

    async def stop(self, task_id: str, name: str, timeout_s: int) -> None:
        """SIGTERM (or the image's STOPSIGNAL), SIGKILL after `timeout_s`; return when stopped."""

    async def execute(self, task_id: str, name: str, command: Sequence[str]) -> Execution:
        """Run a command as root in a running container, on a terminal. Raises RuntimeFailure."""

    async def hang_up(self, execution_id: str) -> None:
        """End what `execute` of an engine that was killed left running. Unknown: nothing."""

    async def remove(self, task_id: str) -> None:
        """Remove every container and the network of the task. Unknown task: nothing."""

    async def usage(self, runtime_id: str) -> Usage | None:
        """Return what a running container uses; None where that cannot be known."""

    async def tasks(self) -> set[str]:
        """Ids of all tasks that own anything here, in order to find orphans."""

    async def purge(self) -> None:
        """Remove everything of this engine: containers, networks, named volumes."""

    async def rest(self) -> None:
        """No container is left: give back what holds no data, such as networks."""

    async def close(self) -> None:
        """Let go. Containers keep running."""
