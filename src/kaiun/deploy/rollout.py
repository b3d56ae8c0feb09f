"""What one service's rollout has come to. Pure: DescribeServices in, a Progress out.

The deployment followed is the one that this run created (its id stands in the answer of
CreateService and UpdateService). It is done when it is PRIMARY, ECS calls it COMPLETED, its tasks
all run and those of every other deployment are gone; `services_stable`, which only counts, would
take a deployment that the circuit breaker rolled back for a success. It has failed when ECS says
FAILED or has put another deployment in its place as a rollback; it is superseded when somebody else
has started a newer deployment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import ceil
from typing import TYPE_CHECKING

from kaiun.deploy import eventlog
from kaiun.deploy.staged import NOWHERE, Standing

if TYPE_CHECKING:
    from kaiun.aws.types import Deployment, Event, Service

CONSISTENT_S = 30.0  # reads that young may not know yet what was just written


class Verdict(StrEnum):
    IN_PROGRESS = "in progress"
    DONE = "done"
    FAILED = "failed"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Follow:
    """Which deployment to follow. Times are seconds since the epoch, on AWS's clock."""

    process: str
    service: str
    deployment: str  # ecs-svc/…
    task_definition: str
    created_at: float
    drain_s: float = 0.0  # deregistration delay; 0 without a load balancer
    stop_timeout_s: float = 30.0
    min_healthy_percent: int = 100
    staged: str = ""  # ARN of the service deployment where it shifts traffic
    bake_s: float = 0.0  # how long it may stand still at most on the way


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a rollout stands. `healthy` counts the new tasks that are proven to serve.

    `new_events` are those since the last answer, oldest first. `suspicion` grows when a task of
    the new deployment may have stopped by itself: time to look at the stopped tasks.
    """

    follow: Follow
    verdict: Verdict = Verdict.IN_PROGRESS
    cause: str = ""
    rolled_back_by_ecs: bool = False
    desired: int = 0
    old: int = 0
    new: int = 0
    pending: int = 0
    healthy: int = 0
    new_events: tuple[eventlog.Seen, ...] = ()
    last_event: str = ""
    complaint: str = ""  # why a task is unhealthy, as ECS last said
    suspicion: int = 0
    changed_at: float = 0.0  # when a count or the verdict last changed
    running_at: float | None = None  # since when all new tasks run
    retired_at: float | None = None  # when ECS last began to retire old tasks
    retired: int = 0  # how many it has begun to retire
    old_at_start: int = 0
    watched_at: float = 0.0  # since when somebody watches
    known_failures: int = field(default=0, repr=False)
    seen: frozenset[str] = field(default_factory=frozenset, repr=False)
    boot_s: float | None = None  # how long the service's last rollout took until it retired tasks
    retire_s: float | None = None  # and from then on until it was completed
    standing: Standing = NOWHERE

    @property
    def over(self) -> bool:
        return self.verdict is not Verdict.IN_PROGRESS

    @property
    def serves(self) -> bool:
        """Whether only old tasks that drain and stop are left to wait for."""
        begun = self.retired and self.retired >= self.old_at_start
        return (
            bool(begun) and self.new >= self.desired and not (self.pending or self.known_failures)
        )


def begin(follow: Follow, service: Service) -> Progress:
    """Return the progress that the answer of CreateService or UpdateService itself shows."""
    boot_s, retire_s = eventlog.past(service.get("events", []), follow.created_at)
    others = [d for d in service.get("deployments", []) if d.get("id") != follow.deployment]
    first = Progress(
        follow,
        changed_at=follow.created_at,
        old_at_start=sum(_running(d) for d in others),
        boot_s=boot_s,
        retire_s=retire_s,
    )
    return advance(first, service, follow.created_at)


def advance(before: Progress, service: Service | None, now: float) -> Progress:
    """Return what `service`, as DescribeServices has it at `now`, makes of the rollout."""
    if service is None and now - before.follow.created_at < CONSISTENT_S:
        return before
    if service is None or service.get("status", "ACTIVE") != "ACTIVE":
        return replace(before, verdict=Verdict.FAILED, cause="the service was deleted")
    if _stale(before.follow, service, now):
        return replace(before, new_events=())
    events = eventlog.since(service.get("events", []), before.follow.created_at)
    fresh = [event for event in events if eventlog.ident(event) not in before.seen]
    counted = _counted(before, service, events, now)
    most = max(counted.desired, before.desired)
    counted = replace(counted, known_failures=_failures(before.follow, service, events, most))
    verdict, cause, by_ecs = _judge(counted, service, events)
    progress = replace(
        counted,
        verdict=verdict,
        cause=cause,
        rolled_back_by_ecs=by_ecs,
        new_events=tuple(eventlog.seen(event) for event in fresh),
        last_event=fresh[-1].get("message", "") if fresh else before.last_event,
        complaint=eventlog.complaint(fresh) or before.complaint,
        seen=before.seen | {eventlog.ident(event) for event in fresh},
        suspicion=before.suspicion + _suspicious(before, counted, fresh),
    )
    moved = _shape(progress) != _shape(before)
    return replace(progress, changed_at=now if moved else before.changed_at)


def _stale(follow: Follow, service: Service, now: float) -> bool:
    """Tell whether the answer is older than our deployment: ECS is eventually consistent."""
    if now - follow.created_at > CONSISTENT_S or _mine(follow, service) is not None:
        return False
    newest = max((eventlog.at(event) for event in service.get("events", [])), default=0.0)
    made = (d.get("createdAt") for d in service.get("deployments", []))
    times = [newest, *(at.timestamp() for at in made if at is not None)]
    return max(times) < follow.created_at


def _counted(before: Progress, service: Service, events: Sequence[Event], now: float) -> Progress:
    mine = _mine(before.follow, service)
    others = [d for d in service.get("deployments", []) if d is not mine]
    if mine is None:
        return replace(before, old=sum(_running(d) for d in others), new=0, pending=0, healthy=0)
    desired, new = mine.get("desiredCount", 0), mine.get("runningCount", 0)
    pending = mine.get("pendingCount", 0)
    old = sum(_running(d) for d in others)
    all_run = new >= desired and pending == 0
    retired = [eventlog.at(e) for e in events if eventlog.RETIRED.search(e.get("message", ""))]
    progress = replace(
        before,
        desired=desired,
        old=old,
        new=new,
        pending=pending,
        running_at=(before.running_at or now) if all_run else None,
        retired_at=max(retired, default=None),
        retired=eventlog.retired(events),
    )
    return replace(progress, healthy=_healthy(progress, mine))


def _healthy(progress: Progress, mine: Deployment) -> int:
    """Count the new tasks that must be healthy, since ECS has let go of old ones.

    DescribeServices does not tell health; but below the minimum ECS retires nothing.
    """
    if mine.get("rolloutState") == "COMPLETED" or progress.standing.proven:
        return progress.new
    minimum = ceil(progress.desired * progress.follow.min_healthy_percent / 100)
    if progress.old_at_start < minimum:
        return 0
    return max(0, min(progress.new, minimum - progress.old))


def _judge(
    progress: Progress, service: Service, events: Sequence[Event]
) -> tuple[Verdict, str, bool]:
    mine = _mine(progress.follow, service)
    primary = next(
        (d for d in service.get("deployments", []) if d.get("status") == "PRIMARY"), None
    )
    if mine is not None and mine.get("rolloutState") == "FAILED":
        by_ecs = primary is not mine or bool(eventlog.ROLLING_BACK.search(_reason(mine)))
        return Verdict.FAILED, _reason(mine) or "ECS gave the deployment up", by_ecs
    if mine is None or primary is not mine:
        return _replaced(progress.follow, mine, primary, events)
    blocked = next((e for e in events if eventlog.BLOCKED in e.get("message", "")), None)
    if blocked is not None and mine.get("rolloutState") == "IN_PROGRESS":
        return Verdict.FAILED, blocked.get("message", ""), False
    if mine.get("rolloutState", "COMPLETED") != "COMPLETED" or progress.old or progress.pending:
        return Verdict.IN_PROGRESS, "", False
    waiting = any(d.get("pendingCount", 0) for d in service.get("deployments", []))
    done = progress.new == progress.desired and not waiting
    return (Verdict.DONE if done else Verdict.IN_PROGRESS), "", False


def _replaced(
    follow: Follow, mine: Deployment | None, primary: Deployment | None, events: Sequence[Event]
) -> tuple[Verdict, str, bool]:
    failed = [
        e.get("message", "")
        for e in events
        if f"{follow.deployment}) deployment failed" in e.get("message", "")
    ]
    back = [r for r in (_reason(mine), _reason(primary)) if eventlog.ROLLING_BACK.search(r)]
    if failed or back:
        return Verdict.FAILED, (failed + back)[0], True
    other = primary.get("id", "?") if primary else "none"
    return Verdict.SUPERSEDED, f"another deployment has taken its place: {other}", False


def _failures(follow: Follow, service: Service, events: Sequence[Event], desired: int) -> int:
    """Count failed tasks, as ECS counts them and by more starts than tasks wanted.

    ECS counts a task that crashes after it was RUNNING not always as failed: hence the starts.
    """
    mine = _mine(follow, service) or {}
    return mine.get("failedTasks", 0) + max(0, eventlog.total(eventlog.STARTED, events) - desired)


def _suspicious(before: Progress, after: Progress, fresh: Sequence[Event]) -> bool:
    fewer = after.new < before.new and after.desired >= before.desired
    bad_news = any(eventlog.TROUBLE.search(event.get("message", "")) for event in fresh)
    return after.known_failures > before.known_failures or fewer or bad_news


def _mine(follow: Follow, service: Service) -> Deployment | None:
    return next(
        (d for d in service.get("deployments", []) if d.get("id") == follow.deployment), None
    )


def _shape(progress: Progress) -> tuple[object, ...]:
    p = progress
    return p.verdict, p.desired, p.old, p.new, p.pending, p.healthy


def _running(deployment: Deployment) -> int:
    return deployment.get("runningCount", 0)


def _reason(deployment: Deployment | None) -> str:
    return deployment.get("rolloutStateReason", "") if deployment else ""
