from __future__ import annotations

from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from kaiun.scheduler.model import TargetState
from kaiun.scheduler.target import (
    Check,
    TargetHealth,
    TargetRules,
    attached,
    deregister,
    drained,
    step,
)

PASS = Check(ok=True)
FAIL = Check(ok=False)
RULES = TargetRules(healthy_threshold=3, unhealthy_threshold=2, deregistration_delay_s=30)
HEALTHY = step(TargetHealth(), PASS, RULES)


def after(target: TargetHealth, *checks: Check) -> TargetHealth:
    return reduce(lambda seen, check: step(seen, check, RULES), checks, target)


def test_a_new_target_is_initial_and_says_why() -> None:
    new = TargetHealth()
    assert (new.state, new.reason) == ("initial", "Elb.RegistrationInProgress")
    known = attached(new)
    assert (known.state, known.reason) == ("initial", "Elb.InitialHealthChecking")
    assert known.description == "Initial health checks in progress"


def test_the_first_passing_check_makes_a_new_target_healthy() -> None:
    target = after(attached(TargetHealth()), PASS)
    assert (target.state, target.reason, target.description) == ("healthy", "", "")


def test_a_failure_before_the_first_pass_does_not_raise_what_is_asked() -> None:
    assert after(TargetHealth(), FAIL).state is TargetState.INITIAL
    assert after(TargetHealth(), FAIL, PASS).state is TargetState.HEALTHY


def test_failures_in_a_row_make_it_unhealthy() -> None:
    assert after(HEALTHY, FAIL).state is TargetState.HEALTHY
    assert after(HEALTHY, FAIL, PASS, FAIL).state is TargetState.HEALTHY
    target = after(HEALTHY, FAIL, FAIL)
    assert (target.state, target.reason) == ("unhealthy", "Target.FailedHealthChecks")
    assert target.description == "Health checks failed"


def test_it_takes_the_threshold_of_passes_to_come_back() -> None:
    down = after(HEALTHY, FAIL, FAIL)
    assert after(down, PASS, PASS).state is TargetState.UNHEALTHY
    assert after(down, PASS, PASS, FAIL, PASS).state is TargetState.UNHEALTHY
    assert after(down, PASS, PASS, PASS).state is TargetState.HEALTHY


def test_the_reason_is_that_of_the_last_check() -> None:
    mismatch = Check(
        ok=False,
        reason="Target.ResponseCodeMismatch",
        description="Health checks failed with these codes: [500]",
    )
    slow = Check(ok=False, reason="Target.Timeout")
    target = after(HEALTHY, FAIL, mismatch)
    assert (target.reason, target.description) == (mismatch.reason, mismatch.description)
    target = after(target, slow)
    assert (target.reason, target.description) == ("Target.Timeout", "Request timed out")


def test_a_deregistered_target_drains_for_the_delay_and_ignores_checks() -> None:
    leaving = deregister(HEALTHY, 100.0)
    assert (leaving.state, leaving.reason) == ("draining", "Target.DeregistrationInProgress")
    assert after(leaving, PASS, PASS, FAIL, FAIL) == leaving
    assert deregister(leaving, 120.0) == leaving
    assert not drained(leaving, RULES, 129.9)
    assert drained(leaving, RULES, 130.0)
    assert not drained(HEALTHY, RULES, 1000.0)


@given(st.lists(st.booleans(), max_size=40))
def test_the_state_follows_from_runs_of_checks(results: list[bool]) -> None:
    target, expected, run = TargetHealth(), "initial", 0
    for index, ok in enumerate(results):
        run = run + 1 if index and results[index - 1] == ok else 1
        target = step(target, Check(ok=ok), RULES)
        if ok and (expected == "initial" or run >= RULES.healthy_threshold):
            expected = "healthy"
        elif not ok and run >= RULES.unhealthy_threshold:
            expected = "unhealthy"
        assert target.state == expected
