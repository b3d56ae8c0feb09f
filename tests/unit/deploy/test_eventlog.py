from __future__ import annotations

from support.ecs_story import event

from kaiun.deploy.eventlog import complaint, plain

GROUP = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/shop-web/0123456789abcdef"
TASK = "0123456789abcdef0123456789abcdef"


def test_what_ecs_says_is_shortened_for_a_reader() -> None:
    told = f"Task failed ELB health checks in (target-group {GROUP})"
    assert plain(told) == "Task failed ELB health checks in (target-group shop-web)"
    assert plain(f"has started 1 tasks: (task {TASK}).") == "has started 1 tasks: (task 01234567)."


def test_the_last_reason_for_bad_health_is_told() -> None:
    first = event(1, f"(port 1) is unhealthy in (target-group {GROUP}) due to (reason A).")
    last = event(2, f"(port 1) is unhealthy in (target-group {GROUP}) due to (reason B [404]).")
    other = event(3, "has started 1 tasks: (task a).")
    assert complaint([first, last, other]).endswith("due to (reason B [404]).")
    assert not complaint([other])
