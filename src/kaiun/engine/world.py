"""What every operation works on: the documents, the identity, the clock, and whom to wake."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Protocol

from kaiun.engine.clock import Clock
from kaiun.engine.cloudmap.tables import Tables
from kaiun.engine.codec import decode, encode
from kaiun.engine.ecr.images import Images, Uploads
from kaiun.engine.eventbus.bus import Bus
from kaiun.engine.identity import Identity
from kaiun.engine.logbook import Logbook
from kaiun.engine.metrics.book import Metricbook
from kaiun.engine.sessions.desk import Desk
from kaiun.engine.store import Doc, Store, Table
from kaiun.scaling.alarm import AlarmState
from kaiun.scheduler.model import ServiceState


class Registrar(Protocol):
    """Registers and deregisters targets, and has the balancer follow."""

    def register(
        self, group: str, target_id: str, port: int, address: str, task: str | None
    ) -> str: ...
    def deregister(self, key: str) -> None: ...
    def rewire(self) -> None: ...


class Judge(Protocol):
    """Judges all alarms when a minute has ended, and brings one into a state."""

    def __call__(self, ended: float) -> None: ...
    def follow(self, changed: Doc) -> None: ...
    def turn(self, alarm: Doc, state: AlarmState, why: str, data: str = "") -> None: ...


def _sleep_on() -> None:
    """Stand in for the loop's alarm where no loop runs."""


class World:
    """Tables are keyed by ARN, tasks by id, targets by target group and address."""

    def __init__(
        self,
        store: Store,
        identity: Identity,
        logbook: Logbook,
        *,
        clock: Clock | None = None,
        steady_s: float = 40.0,
    ) -> None:
        self.store = store
        self.identity = identity
        self.logbook = logbook
        self.metricbook = Metricbook(store)
        self.clock = clock or Clock()
        self.now = self.clock.now
        self.steady_s = steady_s
        self.alarm: Callable[[], None] = _sleep_on  # wakes the loop
        self.null_runtime = False
        self.endpoint = ""  # URL of the API
        self.images: Images  # set by whoever knows the registry's folder
        self.uploads: Uploads
        self.registrar: Registrar  # set by whoever keeps the targets
        self.judge: Judge  # brings alarms into their states
        self.clusters = store.table("clusters")
        self.task_definitions = store.table("task_definitions")
        self.families = store.table("families")
        self.services = store.table("services")
        self.task_sets = store.table("task_sets")
        self.deployments = store.table("deployments")
        self.revisions = store.table("revisions")
        self.tasks = store.table("tasks")
        self.instances = store.table("instances")
        self.capacity_providers = store.table("capacity_providers")  # by name
        self.settings = store.table("settings")
        self.load_balancers = store.table("load_balancers")
        self.target_groups = store.table("target_groups")
        self.listeners = store.table("listeners")
        self.rules = store.table("rules")
        self.targets = store.table("targets")
        self.repositories = store.table("repositories")  # by name
        self.layer_uploads = store.table("layer_uploads")
        self.ecr_settings = store.table("ecr_settings")
        self.cloud_map = Tables(store)
        self.schedules = store.table("schedules")
        self.schedule_groups = store.table("schedule_groups")  # by name
        self.timetable = store.table("timetable")  # what `engine.schedules` has to fire
        self.executions = store.table("executions")  # what runs for sessions, by their id
        self.desk = Desk()  # sessions that wait to be opened
        self.invocations = store.table("invocations")
        self.metric_alarms = store.table("metric_alarms")  # by name, composite ones too
        self.scalable_targets = store.table("scalable_targets")  # by resource id
        self.scaling_policies = store.table("scaling_policies")
        self.scheduled_actions = store.table("scheduled_actions")
        self.scaling_activities = store.table("scaling_activities")  # by id, oldest first
        self.alarm_histories = store.table("alarm_histories")  # by name, also of deleted ones
        self.bus = Bus(store.table("outbox"), store.table("outbox_sides"), identity, self.now)
        self.credentials = store.table("credentials")  # of task roles, by the ids tasks are told
        self.sessions = store.table("sessions")  # that came of them, by access key
        self.recall()

    def recall(self) -> None:
        """Make what is derived from the documents."""
        self.dirty_services: set[str] = set()  # ARNs to reconcile
        self.dirty_tasks: set[str] = set()  # ids to step
        self.bus.take(())
        self.changed_instances: dict[str, None] = {}  # ARNs to tell of, in their order
        self.timetable_changed = True
        self._states: dict[str, ServiceState] = {}
        self._tasks_of: dict[str, set[str]] = defaultdict(set)
        for task in self.tasks.values():
            if (service := task["_"]["service"]) and not task["_"]["settled"]:
                self._tasks_of[service].add(task["_"]["id"])

    def arn(self, resource: str, service: str = "ecs") -> str:
        return self.identity.arn(resource, service)

    @property
    def ecr_host(self) -> str:
        """Return ECR's host and port: those of the API, by the name that docker trusts."""
        return f"localhost:{self.endpoint.rpartition(':')[2]}"

    def wake_service(self, arn: str) -> None:
        self.dirty_services.add(arn)
        self.alarm()

    def wake_task(self, task_id: str) -> None:
        self.dirty_tasks.add(task_id)
        self.alarm()

    def scheduled(self, arn: str) -> Doc | None:
        """Return the service or task set that has a scheduler; services of task sets have none."""
        doc = self.services.get(arn) or self.task_sets.get(arn)
        return doc if doc is not None and "state" in doc["_"] else None

    def state(self, arn: str) -> ServiceState:
        """Return a service, or a task set, as its scheduler knows it."""
        if arn not in self._states:
            self._states[arn] = decode(ServiceState, self._table_of(arn)[arn]["_"]["state"])
        return self._states[arn]

    def put_state(self, arn: str, state: ServiceState) -> None:
        self._states[arn] = state
        table = self._table_of(arn)
        table[arn]["_"]["state"] = encode(state)
        table.touch(arn)

    def _table_of(self, arn: str) -> Table:
        return self.services if arn in self.services else self.task_sets

    def forget_task_set(self, arn: str) -> None:
        del self.task_sets[arn]
        self._states.pop(arn, None)

    def add_task(self, task: Doc) -> None:
        task_id = task["_"]["id"]
        self.tasks[task_id] = task
        if service := task["_"]["service"]:
            self._tasks_of[service].add(task_id)
        self.wake_task(task_id)

    def tasks_of(self, service: str) -> list[Doc]:
        """Return the tasks of a service that its scheduler still needs to see."""
        return [self.tasks[task_id] for task_id in self._tasks_of.get(service, ())]

    def settle(self, task: Doc) -> None:
        task["_"]["settled"] = True
        self._tasks_of[task["_"]["service"]].discard(task["_"]["id"])
        self.tasks.touch(task["_"]["id"])
