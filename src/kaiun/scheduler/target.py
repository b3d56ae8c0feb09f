"""Health of one target in a target group, as an Application Load Balancer keeps it.

Source: ELBv2 API, TargetHealth; developer guide, "Health checks for your target groups".
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from kaiun.scheduler.model import TargetState

REGISTERING = "Elb.RegistrationInProgress"
INITIAL_CHECKING = "Elb.InitialHealthChecking"
FAILED_CHECKS = "Target.FailedHealthChecks"
RESPONSE_CODE_MISMATCH = "Target.ResponseCodeMismatch"
TIMEOUT = "Target.Timeout"
NOT_REGISTERED = "Target.NotRegistered"
DEREGISTERING = "Target.DeregistrationInProgress"

DESCRIPTIONS = {
    REGISTERING: "Target registration is in progress",
    INITIAL_CHECKING: "Initial health checks in progress",
    FAILED_CHECKS: "Health checks failed",
    TIMEOUT: "Request timed out",
    NOT_REGISTERED: "Target is not registered to the target group",
    DEREGISTERING: "Target deregistration is in progress",
}


@dataclass(frozen=True, slots=True)
class TargetRules:
    """What the target group says."""

    healthy_threshold: int = 5
    unhealthy_threshold: int = 2
    deregistration_delay_s: float = 300.0


@dataclass(frozen=True, slots=True)
class TargetHealth:
    """One registration; everything that `step` needs to know of the past."""

    state: TargetState = TargetState.INITIAL
    reason: str = REGISTERING
    description: str = DESCRIPTIONS[REGISTERING]
    passes: int = 0  # in a row
    failures: int = 0  # in a row
    draining_since: float | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """What one probe said; `reason` is Target.FailedHealthChecks, Target.Timeout, …"""

    ok: bool
    reason: str = ""
    description: str = ""


def step(target: TargetHealth, check: Check, rules: TargetRules) -> TargetHealth:
    """Return the target after one health check.

    The first passing check makes a new target healthy; after that it takes
    `healthy_threshold` passes, or `unhealthy_threshold` failures, in a row.
    """
    if target.state in (TargetState.DRAINING, TargetState.UNUSED):
        return target
    if check.ok:
        return _passed(target, rules)
    return _failed(target, check, rules)


def attached(target: TargetHealth) -> TargetHealth:
    """Return a new target once the balancer knows it: the first checks are under way."""
    if target.state is not TargetState.INITIAL:
        return target
    return _in_state(target, TargetState.INITIAL, INITIAL_CHECKING)


def deregister(target: TargetHealth, now: float) -> TargetHealth:
    """Return the target in DRAINING: no new connections; those under way may end."""
    if target.draining_since is not None:
        return target
    drained = replace(target, draining_since=now, passes=0, failures=0)
    return _in_state(drained, TargetState.DRAINING, DEREGISTERING)


def drained(target: TargetHealth, rules: TargetRules, now: float) -> bool:
    """Return whether the deregistration delay is over, so that the target can be forgotten."""
    since = target.draining_since
    return since is not None and now - since >= rules.deregistration_delay_s


def _passed(target: TargetHealth, rules: TargetRules) -> TargetHealth:
    seen = replace(target, passes=target.passes + 1, failures=0)
    if target.state is TargetState.HEALTHY:
        return seen
    if target.state is TargetState.INITIAL or seen.passes >= rules.healthy_threshold:
        return replace(seen, state=TargetState.HEALTHY, reason="", description="")
    return seen


def _failed(target: TargetHealth, check: Check, rules: TargetRules) -> TargetHealth:
    seen = replace(target, failures=target.failures + 1, passes=0)
    if target.state is not TargetState.UNHEALTHY and seen.failures < rules.unhealthy_threshold:
        if target.state is TargetState.INITIAL:
            return _in_state(seen, TargetState.INITIAL, INITIAL_CHECKING)
        return seen
    reason = check.reason or FAILED_CHECKS
    description = check.description or DESCRIPTIONS.get(reason, DESCRIPTIONS[FAILED_CHECKS])
    return replace(seen, state=TargetState.UNHEALTHY, reason=reason, description=description)


def _in_state(target: TargetHealth, state: TargetState, reason: str) -> TargetHealth:
    return replace(target, state=state, reason=reason, description=DESCRIPTIONS[reason])
