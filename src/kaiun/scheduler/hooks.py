"""Lifecycle hooks of a deployment: asked at a stage, waited for, timed out.

A PAUSE hook waits for ContinueServiceDeployment, an AWS_LAMBDA hook is asked until it no longer
answers IN_PROGRESS. Sources: DeploymentLifecycleHook, DeploymentLifecycleHookDetail; developer
guide, "Lifecycle hooks for Amazon ECS service deployments".
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum, StrEnum

ASK_AGAIN_S = 30.0  # after IN_PROGRESS, where the answer has no callBackDelay
TIMEOUT_S = 1440 * 60.0


class HookKind(StrEnum):
    """DeploymentLifecycleHook.targetType."""

    AWS_LAMBDA = "AWS_LAMBDA"
    PAUSE = "PAUSE"


class HookAction(StrEnum):
    """What a timeout or ContinueServiceDeployment does."""

    ROLLBACK = "ROLLBACK"
    CONTINUE = "CONTINUE"


class HookStatus(StrEnum):
    AWAITING_ACTION = "AWAITING_ACTION"
    IN_PROGRESS = "IN_PROGRESS"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"


_OPEN = (HookStatus.AWAITING_ACTION, HookStatus.IN_PROGRESS)


@dataclass(frozen=True, slots=True)
class Hook:
    """One hook as it is configured; `stages` are names of lifecycle stages."""

    kind: HookKind
    stages: tuple[str, ...]
    target: str = ""  # ARN of the Lambda function
    details: str = ""  # hookDetails, JSON
    timeout_s: float = TIMEOUT_S
    timeout_action: HookAction = HookAction.ROLLBACK


@dataclass(frozen=True, slots=True)
class HookRun:
    """One hook at one stage: DeploymentLifecycleHookDetail, and when it is to be asked."""

    id: str
    kind: HookKind
    status: HookStatus
    expires_at: float
    timeout_action: HookAction
    target: str = ""
    details: str = ""  # what the next call is given
    ask_at: float = 0.0
    asked: bool = False  # the call is under way

    @property
    def is_open(self) -> bool:
        return self.status in _OPEN


@dataclass(frozen=True, slots=True)
class HookAnswer:
    """What a Lambda function returned; `status` is SUCCEEDED, FAILED or IN_PROGRESS."""

    status: HookStatus
    delay_s: float = ASK_AGAIN_S  # callBackDelay
    details: str | None = None  # hookDetails, JSON; None leaves them as they are
    reason: str = ""


class Outcome(Enum):
    WAITING = 0
    PASSED = 1
    FAILED = 2


def begin(hooks: Iterable[Hook], stage: str, place: str, now: float) -> tuple[HookRun, ...]:
    """Return the runs of a stage's hooks; `place` tells this stage of this deployment apart."""
    return tuple(
        HookRun(
            id=_id(hook, f"{place}/{number}"),
            kind=hook.kind,
            status=_FIRST[hook.kind],
            expires_at=now + hook.timeout_s,
            timeout_action=hook.timeout_action,
            target=hook.target,
            details=hook.details,
            ask_at=now,
        )
        for number, hook in enumerate(hooks)
        if stage in hook.stages
    )


_FIRST = {
    HookKind.PAUSE: HookStatus.AWAITING_ACTION,
    HookKind.AWS_LAMBDA: HookStatus.IN_PROGRESS,
}


def _id(hook: Hook, place: str) -> str:
    digest = hashlib.sha256(place.encode()).digest()
    word = "pause" if hook.kind is HookKind.PAUSE else "lambda"
    return f"ecs-{word}-{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def expire(runs: tuple[HookRun, ...], now: float) -> tuple[HookRun, ...]:
    """Return the runs, those that waited too long as TIMED_OUT."""
    return tuple(
        replace(run, status=HookStatus.TIMED_OUT) if run.is_open and now >= run.expires_at else run
        for run in runs
    )


def due(runs: Iterable[HookRun], now: float) -> list[HookRun]:
    """Return the runs whose function is to be called now."""
    return [r for r in runs if _is_callable(r) and now >= r.ask_at]


def due_at(runs: Iterable[HookRun]) -> list[float]:
    """Return the moments at which time alone changes something."""
    runs = list(runs)
    asks = [run.ask_at for run in runs if _is_callable(run)]
    return asks + [run.expires_at for run in runs if run.is_open]


def _is_callable(run: HookRun) -> bool:
    return run.status is HookStatus.IN_PROGRESS and not run.asked


def asked(runs: tuple[HookRun, ...], ids: Iterable[str]) -> tuple[HookRun, ...]:
    """Return the runs, those of `ids` as being called."""
    chosen = set(ids)
    return tuple(replace(run, asked=True) if run.id in chosen else run for run in runs)


def unasked(runs: tuple[HookRun, ...]) -> tuple[HookRun, ...]:
    """Return the runs after whoever was calling has died: every call is to be made again."""
    return tuple(replace(run, asked=False) for run in runs)


def answered(
    runs: tuple[HookRun, ...], hook_id: str, answer: HookAnswer, now: float
) -> tuple[HookRun, ...]:
    """Return the runs once a function, or for PAUSE a user, has answered."""
    return tuple(_answered(run, answer, now) if run.id == hook_id else run for run in runs)


def _answered(run: HookRun, answer: HookAnswer, now: float) -> HookRun:
    if not run.is_open:
        return run  # it has timed out meanwhile
    details = run.details if answer.details is None else answer.details
    again = now + answer.delay_s
    return replace(run, status=answer.status, details=details, asked=False, ask_at=again)


def outcome(runs: Iterable[HookRun]) -> Outcome:
    """Return what the hooks of a stage say together: one failure fails, all have to pass."""
    runs = list(runs)
    if any(_fails(run) for run in runs):
        return Outcome.FAILED
    return Outcome.WAITING if any(run.is_open for run in runs) else Outcome.PASSED


def _fails(run: HookRun) -> bool:
    if run.status is HookStatus.TIMED_OUT:
        return run.timeout_action is HookAction.ROLLBACK
    return run.status is HookStatus.FAILED
