"""DescribeServices answers by hand: one service whose story is told as a list of moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kaiun.deploy.rollout import Follow

if TYPE_CHECKING:
    from kaiun.aws.types import Deployment, Event, Service

T0 = 1_700_000_000.0
OLD, NEW = "ecs-svc/1", "ecs-svc/2"


def when(second: float) -> datetime:
    return datetime.fromtimestamp(T0 + second, UTC)


def event(second: float, text: str) -> Event:
    return {"id": f"{second} {text}", "createdAt": when(second), "message": f"(service web) {text}"}


def deployment(
    name: str,
    desired: int,
    running: int,
    pending: int = 0,
    *,
    status: str = "PRIMARY",
    state: str = "IN_PROGRESS",
    reason: str = "",
    failed: int = 0,
) -> Deployment:
    return {
        "id": name,
        "status": status,
        "taskDefinition": f"web:{name[-1]}",
        "desiredCount": desired,
        "runningCount": running,
        "pendingCount": pending,
        "failedTasks": failed,
        "rolloutState": state,
        "rolloutStateReason": reason,
        "createdAt": when({OLD: -1000, NEW: 0}.get(name, 5)),
    }


def old(running: int = 2, *, status: str = "ACTIVE", state: str = "COMPLETED") -> Deployment:
    return deployment(OLD, 2, running, status=status, state=state)


def service(deployments: Sequence[Deployment], events: Sequence[Event] = ()) -> Service:
    newest_first = sorted(events, key=lambda e: e["createdAt"], reverse=True)
    return {
        "serviceName": "web",
        "status": "ACTIVE",
        "desiredCount": 2,
        "deployments": list(deployments),
        "events": newest_first,
    }


def follow(**changes: float) -> Follow:
    return Follow("web", "web", NEW, "web:2", T0, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Story:
    """What ECS shows: deployments from each moment on, and all the events that ever happen."""

    moments: Sequence[tuple[float, Sequence[Deployment]]]
    events: Sequence[Event] = ()

    def at(self, second: float) -> Service:
        shown = [deployments for start, deployments in self.moments if start <= second][-1]
        happened = [e for e in self.events if e["createdAt"] <= when(second)]
        return service(shown, happened)


def good(boot: float = 20.0, drain: float = 30.0, leave: float = 1.0) -> Story:
    """A rollout of two tasks: all healthy after `boot`, old ones gone `drain + leave` later."""
    end = boot + drain + leave
    return Story(
        [
            (0, [deployment(NEW, 2, 0, 2), old()]),
            (1, [deployment(NEW, 2, 2), old()]),
            (boot + drain, [deployment(NEW, 2, 2), old(1)]),
            (end, [deployment(NEW, 2, 2, state="COMPLETED")]),
        ],
        [
            event(0.2, "has started 2 tasks: (task a) (task b)."),
            event(boot, "has begun draining connections on 2 tasks."),
            event(end, f"(deployment {NEW}) deployment completed."),
            event(end, "has reached a steady state."),
        ],
    )


def history(boot: float = 20.0, retire: float = 31.0) -> list[Event]:
    """The events of the rollout before."""
    return [
        event(-1000, "has started 2 tasks: (task y) (task z)."),
        event(-1000 + boot, "has stopped 2 running tasks: (task w) (task x)."),
        event(-1000 + boot + retire, f"(deployment {OLD}) deployment completed."),
        event(-1000 + boot + retire, "has reached a steady state."),
        event(-100, "has reached a steady state."),
    ]
