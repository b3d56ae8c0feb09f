from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaiun.scheduler.lifecycle import health_of, step
from kaiun.scheduler.model import Health, StopCode, Target, TargetState, TaskStatus
from kaiun.scheduler.view import (
    Command,
    Condition,
    ContainerStatus,
    ContainerView,
    Dependency,
    DeregisterTargets,
    Prepare,
    RegisterTargets,
    Remove,
    StartContainer,
    Step,
    StopContainer,
    TaskView,
)

UP, EXITED = ContainerStatus.RUNNING, ContainerStatus.EXITED
HEALTHY_TARGET = (Target("arn", 80, TargetState.HEALTHY),)
DRAINING_TARGET = (Target("arn", 80, TargetState.DRAINING),)


class Machine:
    """A runtime and a balancer that do at once what they are told; `statuses` is the story."""

    def __init__(self, *containers: ContainerView, target_groups: int = 0) -> None:
        self.task = TaskView("t1", containers, target_groups=target_groups)
        self.now = 0.0
        self.statuses: list[TaskStatus] = [self.task.last_status]
        self.done: list[Command] = []
        self.exit_codes: dict[str, int] = {}  # containers that end at once, and how
        self.deaf: set[type] = set()  # commands that are not carried out

    def settle(self) -> Machine:
        """Step until nothing happens any more."""
        for _ in range(60):
            before = self.task
            self.once()
            if self.task == before:
                return self
        raise AssertionError("the task never comes to rest")

    def once(self) -> Step:
        said = step(self.task, self.now)
        self.task = replace(
            self.task,
            last_status=said.last_status,
            desired_status=said.desired_status,
            stop_code=said.stop_code,
            stopped_reason=said.stopped_reason,
        )
        if said.last_status is not self.statuses[-1]:
            self.statuses.append(said.last_status)
        for command in said.commands:
            if type(command) not in self.deaf:
                self.done.append(command)
                self.carry_out(command)
        return said

    def carry_out(self, command: Command) -> None:
        match command:
            case Prepare():
                self.task = replace(self.task, prepared=True)
            case StartContainer(name) if name in self.exit_codes:
                self.observe(name, status=EXITED, exit_code=self.exit_codes[name], started_at=0.0)
            case StartContainer(name):
                self.observe(name, status=UP, started_at=self.now)
            case RegisterTargets():
                self.task = replace(self.task, targets=HEALTHY_TARGET)
            case DeregisterTargets():
                self.task = replace(self.task, targets=DRAINING_TARGET)
            case StopContainer(name, _):
                self.observe(name, status=EXITED, exit_code=143)
            case Remove():
                self.task = replace(self.task, removed=True)

    def observe(self, name: str, **seen: object) -> None:
        containers = tuple(
            replace(c, **seen) if c.name == name else c  # type: ignore[arg-type]
            for c in self.task.containers
        )
        self.task = replace(self.task, containers=containers)

    def stop(self) -> Machine:
        self.task = replace(
            self.task,
            desired_status=TaskStatus.STOPPED,
            stop_code=StopCode.USER_INITIATED,
            stopped_reason="Task stopped by user",
        )
        return self

    def started(self) -> list[str]:
        return [c.name for c in self.done if isinstance(c, StartContainer)]

    def stopped(self) -> list[str]:
        return [c.name for c in self.done if isinstance(c, StopContainer)]


def needs(name: str, condition: Condition = Condition.START) -> tuple[Dependency, ...]:
    return (Dependency(name, condition),)


def test_a_task_goes_through_every_status_in_order() -> None:
    machine = Machine(ContainerView("web"), target_groups=1).settle()
    assert machine.statuses == ["PROVISIONING", "PENDING", "ACTIVATING", "RUNNING"]
    assert machine.done == [Prepare(), StartContainer("web"), RegisterTargets()]
    machine.stop().settle()
    assert machine.statuses[4:] == ["DEACTIVATING"]
    machine.task = replace(machine.task, targets=())
    machine.settle()
    assert machine.statuses[4:] == ["DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"]
    assert machine.done[3:] == [DeregisterTargets(), StopContainer("web", 30), Remove()]
    assert machine.task.stop_code is StopCode.USER_INITIATED


def test_nothing_is_stopped_before_the_target_has_drained() -> None:
    machine = Machine(ContainerView("web"), target_groups=1).settle()
    machine.stop().settle()
    assert machine.task.last_status is TaskStatus.DEACTIVATING
    assert machine.stopped() == []


def test_a_task_without_targets_does_not_wait_for_any() -> None:
    machine = Machine(ContainerView("web", stop_timeout_s=7)).settle().stop().settle()
    assert machine.statuses[-4:] == ["DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"]
    assert StopContainer("web", 7) in machine.done


def test_a_task_is_not_running_before_its_containers_are() -> None:
    machine = Machine(ContainerView("web"), ContainerView("side"))
    machine.deaf = {StartContainer}
    machine.settle()
    machine.observe("web", status=UP)
    machine.settle()
    assert machine.statuses[-1] == "PENDING"
    machine.observe("side", status=UP)
    machine.settle()
    assert machine.statuses[-1] == "RUNNING"


def test_a_command_comes_back_until_it_is_seen_to_be_done() -> None:
    machine = Machine(ContainerView("web"))
    machine.deaf = {Prepare}
    assert [machine.once().commands for _ in range(3)] == [(), (Prepare(),), (Prepare(),)]


def test_a_container_that_was_created_when_the_engine_died_is_started_again() -> None:
    task = TaskView(
        "t1",
        (ContainerView("web", status=ContainerStatus.CREATED),),
        last_status=TaskStatus.PENDING,
        prepared=True,
    )
    assert step(task, 0.0).commands == (StartContainer("web"),)


def test_a_container_that_a_running_task_has_lost_is_not_started_again() -> None:
    task = TaskView("t1", (ContainerView("web"),), last_status=TaskStatus.RUNNING, prepared=True)
    said = step(task, 0.0)
    assert said.commands == ()
    assert said.stop_code is StopCode.ESSENTIAL_CONTAINER_EXITED


def test_a_registration_that_got_lost_is_made_again() -> None:
    machine = Machine(ContainerView("web"), target_groups=1).settle()
    machine.task = replace(machine.task, targets=())
    assert machine.once().commands == (RegisterTargets(),)
    assert machine.task.last_status is TaskStatus.RUNNING


@pytest.mark.parametrize("condition", [Condition.COMPLETE, Condition.SUCCESS])
def test_a_container_waits_until_its_dependency_is_over(condition: Condition) -> None:
    web = ContainerView("web", depends_on=needs("init", condition))
    machine = Machine(web, ContainerView("init", essential=False)).settle()
    assert machine.started() == ["init"]
    assert machine.statuses[-1] == "PENDING"
    machine.observe("init", status=EXITED, exit_code=0)
    assert machine.settle().started() == ["init", "web"]
    assert machine.statuses[-1] == "RUNNING"


def test_success_means_exit_code_0_and_complete_any() -> None:
    init = ContainerView("init", essential=False)
    complete = Machine(ContainerView("web", depends_on=needs("init", Condition.COMPLETE)), init)
    success = Machine(ContainerView("web", depends_on=needs("init", Condition.SUCCESS)), init)
    for machine in (complete, success):
        machine.exit_codes["init"] = 1
        machine.settle()
    assert complete.task.last_status is TaskStatus.RUNNING
    assert success.task.last_status is TaskStatus.STOPPED
    assert success.task.stop_code is StopCode.TASK_FAILED_TO_START
    assert success.task.stopped_reason == (
        "Container web cannot start: its dependency init (SUCCESS) exited with code 1"
    )
    assert "web" not in success.started()


def test_a_container_waits_until_its_dependency_is_healthy_at_start_only() -> None:
    db = ContainerView("db", has_health_check=True)
    machine = Machine(ContainerView("web", depends_on=needs("db", Condition.HEALTHY)), db)
    assert machine.settle().started() == ["db"]
    machine.observe("db", health=Health.HEALTHY)
    assert machine.settle().task.last_status is TaskStatus.RUNNING
    machine.observe("db", health=Health.UNHEALTHY)
    assert machine.settle().task.last_status is TaskStatus.RUNNING


def test_a_start_timeout_of_the_dependency_ends_the_wait() -> None:
    db = ContainerView("db", has_health_check=True, start_timeout_s=20)
    machine = Machine(ContainerView("web", depends_on=needs("db", Condition.HEALTHY)), db).settle()
    assert machine.once().wake_at == 20.0
    machine.now = 19.9
    assert machine.settle().task.last_status is TaskStatus.PENDING
    machine.now = 20.0
    machine.settle()
    assert machine.task.stop_code is StopCode.TASK_FAILED_TO_START
    assert machine.task.stopped_reason.endswith("was not ready within its startTimeout of 20 s")
    assert machine.stopped() == ["db"]


def test_a_start_timeout_that_no_longer_matters_wakes_nobody() -> None:
    db = ContainerView("db", has_health_check=True, start_timeout_s=20)
    machine = Machine(ContainerView("web", depends_on=needs("db", Condition.HEALTHY)), db).settle()
    machine.deaf = {StartContainer}
    machine.observe("db", health=Health.HEALTHY)
    machine.now = 25.0
    assert machine.once().wake_at is None


def test_a_chain_starts_in_order_and_stops_in_reverse() -> None:
    machine = Machine(
        ContainerView("app", depends_on=needs("db")),
        ContainerView("db"),
        ContainerView("web", depends_on=needs("app")),
    ).settle()
    assert machine.started() == ["db", "app", "web"]
    machine.stop().settle()
    assert machine.stopped() == ["web", "app", "db"]


def test_containers_that_do_not_depend_on_each_other_stop_together() -> None:
    machine = Machine(ContainerView("web"), ContainerView("side")).settle().stop()
    machine.deaf = {StopContainer}
    machine.settle()
    assert machine.once().commands == (StopContainer("web", 30), StopContainer("side", 30))


def test_one_essential_container_gone_stops_the_task() -> None:
    machine = Machine(ContainerView("web"), ContainerView("side")).settle()
    machine.observe("web", status=EXITED, exit_code=1)
    machine.settle()
    assert machine.task.last_status is TaskStatus.STOPPED
    assert machine.task.stop_code is StopCode.ESSENTIAL_CONTAINER_EXITED
    assert machine.task.stopped_reason == "Essential container in task exited"
    assert machine.stopped() == ["side"]


def test_a_container_that_is_not_essential_may_go() -> None:
    machine = Machine(ContainerView("web"), ContainerView("side", essential=False)).settle()
    machine.observe("side", status=EXITED, exit_code=1)
    assert machine.settle().task.last_status is TaskStatus.RUNNING


def test_a_dead_task_is_deregistered_without_waiting_for_its_connections() -> None:
    machine = Machine(ContainerView("web"), target_groups=1).settle()
    machine.observe("web", status=EXITED, exit_code=1)
    machine.settle()
    assert machine.task.targets == DRAINING_TARGET
    assert machine.task.last_status is TaskStatus.STOPPED


def test_out_of_memory_is_named() -> None:
    machine = Machine(ContainerView("web")).settle()
    reason = "OutOfMemoryError: Container killed due to memory usage"
    machine.observe("web", status=EXITED, exit_code=137, reason=reason)
    assert machine.settle().task.stopped_reason == reason


def test_an_image_that_cannot_be_pulled_fails_the_task() -> None:
    machine = Machine(ContainerView("web"))
    reason = "CannotPullContainerError: manifest unknown"
    machine.task = replace(machine.task, failure=reason)
    machine.settle()
    assert machine.task.stop_code is StopCode.TASK_FAILED_TO_START
    assert machine.task.stopped_reason == reason
    assert machine.statuses == [
        "PROVISIONING",
        "STOPPING",
        "DEPROVISIONING",
        "STOPPED",
    ]


def test_a_container_that_cannot_be_created_fails_the_task_and_stops_the_others() -> None:
    machine = Machine(ContainerView("web"), ContainerView("side"))
    machine.task = replace(machine.task, last_status=TaskStatus.PENDING, prepared=True)
    machine.observe("side", status=UP)
    machine.observe("web", failure="CannotStartContainerError: no such command")
    machine.settle()
    assert machine.task.stopped_reason == "CannotStartContainerError: no such command"
    assert machine.stopped() == ["side"]


def test_a_task_that_is_stopped_before_it_started_starts_nothing() -> None:
    machine = Machine(ContainerView("web")).stop().settle()
    assert machine.task.last_status is TaskStatus.STOPPED
    assert machine.started() == []
    assert machine.done == [Remove()]


def test_a_container_that_was_created_and_never_started_does_not_hold_up_the_end() -> None:
    machine = Machine(ContainerView("web"), ContainerView("side"))
    machine.task = replace(machine.task, last_status=TaskStatus.PENDING, prepared=True)
    machine.observe("side", status=UP)
    machine.observe("web", status=ContainerStatus.CREATED)
    machine.deaf = {StartContainer}
    machine.stop().settle()
    assert machine.task.last_status is TaskStatus.STOPPED
    assert machine.stopped() == ["side"]


@pytest.mark.parametrize("status", [TaskStatus.PENDING, TaskStatus.RUNNING])
def test_a_task_whose_network_has_ended_stops_as_by_an_essential_container(
    status: TaskStatus,
) -> None:
    machine = Machine(ContainerView("web"))
    machine.task = replace(machine.task, last_status=status, prepared=True, cut_off=True)
    machine.observe("web", status=UP)
    machine.settle()
    assert machine.task.stop_code is StopCode.ESSENTIAL_CONTAINER_EXITED
    assert machine.task.last_status is TaskStatus.STOPPED


def test_the_reason_a_task_was_stopped_for_is_kept_when_its_containers_exit() -> None:
    machine = Machine(ContainerView("web")).settle().stop().settle()
    assert machine.task.stopped_reason == "Task stopped by user"


def test_a_failing_health_check_stops_no_task_by_itself() -> None:
    machine = Machine(ContainerView("web", has_health_check=True)).settle()
    machine.observe("web", health=Health.UNHEALTHY)
    assert machine.settle().task.last_status is TaskStatus.RUNNING
    assert machine.once().health is Health.UNHEALTHY


@pytest.mark.parametrize(
    ("healths", "expected"),
    [
        ((), Health.UNKNOWN),
        ((Health.HEALTHY, Health.HEALTHY), Health.HEALTHY),
        ((Health.HEALTHY, Health.UNKNOWN), Health.UNKNOWN),
        ((Health.UNHEALTHY, Health.UNKNOWN), Health.UNHEALTHY),
    ],
)
def test_a_task_is_as_healthy_as_its_essential_containers(
    healths: tuple[Health, ...], expected: Health
) -> None:
    checked = [
        ContainerView(f"c{n}", has_health_check=True, health=health)
        for n, health in enumerate(healths)
    ]
    side = ContainerView("side", essential=False, has_health_check=True, health=Health.UNHEALTHY)
    assert health_of([*checked, side, ContainerView("plain")]) is expected


@given(
    lost=st.lists(st.booleans(), max_size=60),
    exits=st.dictionaries(st.integers(0, 60), st.sampled_from(["web", "db", "init"]), max_size=3),
    stop_at=st.integers(0, 60),
    groups=st.integers(0, 1),
)
def test_whatever_gets_lost_a_task_goes_forward_and_ends(
    lost: list[bool], exits: dict[int, str], stop_at: int, groups: int
) -> None:
    machine = Machine(
        ContainerView("web", depends_on=(*needs("db"), *needs("init", Condition.COMPLETE))),
        ContainerView("db"),
        ContainerView("init", essential=False),
        target_groups=groups,
    )
    everything = set(get_args(Command))
    for tick in range(61):
        machine.deaf = everything if tick < len(lost) and lost[tick] else set()
        up = {c.name for c in machine.task.containers if c.status is UP}
        if exits.get(tick) in up:
            machine.observe(exits[tick], status=EXITED, exit_code=0)
        if tick == stop_at and machine.task.desired_status is TaskStatus.RUNNING:
            machine.stop()
        machine.once()
    machine.deaf = set()
    for _ in range(20):
        machine.once()
        if machine.task.last_status is TaskStatus.DEACTIVATING:
            machine.task = replace(machine.task, targets=())
    order = list(TaskStatus)
    story = [order.index(status) for status in machine.statuses]
    assert story == sorted(set(story))
    assert machine.task.last_status is TaskStatus.STOPPED
    assert all(c.status is not UP for c in machine.task.containers)
