"""The scheduler alone: 1,000 services with 10,000 tasks, a tick over all of them.

python bench/scheduler.py
"""

from __future__ import annotations

import statistics
import time
from dataclasses import replace

from kaiun.scheduler.model import (
    Breaker,
    Deployment,
    Health,
    RolloutState,
    ServiceState,
    Target,
    TargetState,
    Task,
    TaskStatus,
)
from kaiun.scheduler.service import reconcile
from kaiun.scheduler.transition import deploy

SERVICES = 1000
TASKS_EACH = 10
TICKS = 15
LIMIT_MS = 50.0
NOW = 100_000.0

Input = tuple[ServiceState, list[Task]]


def steady_service(number: int) -> Input:
    """A service as most are: behind a balancer, with a health check, breaker on, at rest."""
    name = f"service-{number}"
    deployment = Deployment(
        f"ecs-svc/{number}",
        f"{name}:1",
        rollout_state=RolloutState.COMPLETED,
        has_load_balancer=True,
        has_health_check=True,
    )
    service = ServiceState(
        name,
        TASKS_EACH,
        (deployment,),
        breaker=Breaker(enable=True, rollback=True),
        grace_period_s=60,
        last_completed=deployment,
        steady=True,
    )
    return service, [_task(service, index) for index in range(TASKS_EACH)]


def rolling_service(number: int) -> Input:
    """The same in the middle of a deployment: as many new tasks, none of them healthy yet."""
    service, old = steady_service(number)
    service = deploy(service, Deployment(f"ecs-svc/{number}n", f"{service.name}:2"), NOW)
    new = [
        replace(task, id=f"{task.id}n", deployment_id=service.primary.id, was_healthy=False)
        for task in (_task(service, index) for index in range(TASKS_EACH))
    ]
    half = TASKS_EACH // 2
    return service, old[half:] + [replace(t, running_since=NOW - 1) for t in new[:half]]


def tick_ms(inputs: list[Input], ticks: int = TICKS) -> float:
    """Return the median time of reconciling every service once, in milliseconds."""
    times = []
    for _ in range(ticks):
        began = time.perf_counter()
        for service, tasks in inputs:
            reconcile(service, tasks, NOW)
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def run() -> list[tuple[str, str, str]]:
    """Return (name, measured, limit) for each figure."""
    steady = [steady_service(number) for number in range(SERVICES)]
    rolling = [rolling_service(number) for number in range(SERVICES)]
    assert not any(reconcile(*given, NOW) for given in steady)
    assert all(reconcile(*given, NOW) for given in rolling)
    mixed = rolling[: SERVICES // 10] + steady[SERVICES // 10 :]
    scale = f"{SERVICES:,} services, {SERVICES * TASKS_EACH:,} tasks"
    return [
        (f"scheduler tick, {scale}, all steady", f"{tick_ms(steady):.1f} ms", f"≤ {LIMIT_MS:g} ms"),
        (f"scheduler tick, {scale}, 10 % rolling", f"{tick_ms(mixed):.1f} ms", "—"),
        (f"scheduler tick, {scale}, all rolling", f"{tick_ms(rolling):.1f} ms", "—"),
    ]


def _task(service: ServiceState, index: int) -> Task:
    return Task(
        id=f"{service.name}-{index}",
        deployment_id=service.primary.id,
        last_status=TaskStatus.RUNNING,
        health=Health.HEALTHY,
        targets=(Target("arn:aws:…:targetgroup/web/1", 3000, TargetState.HEALTHY),),
        created_at=1.0,
        running_since=2.0,
        was_healthy=True,
    )


if __name__ == "__main__":
    for name, measured, limit in run():
        print(f"{name:60} {measured:>10}   {limit}")
