from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaiun.scheduler.placement import Constraint, Instance, Needs, Strategy, place
from kaiun.scheduler.query import matches

SMALL = Needs(cpu=256, memory_mib=512)


def instance(name: str, zone: str = "a", **rest: object) -> Instance:
    return Instance(name, **{"cpu": 1024, "memory_mib": 4096, "zone": zone, **rest})  # type: ignore[arg-type]


def test_tasks_spread_over_zones_and_then_over_instances() -> None:
    cluster = [instance("i-1"), instance("i-2"), instance("i-3", "b")]
    assert place(4, SMALL, cluster) == ["i-1", "i-3", "i-2", "i-3"]


def test_what_runs_already_counts() -> None:
    cluster = [instance("i-1", tasks=2), instance("i-2")]
    assert place(2, SMALL, cluster) == ["i-2", "i-2"]


def test_binpack_fills_the_fullest_instance_that_fits() -> None:
    cluster = [instance("i-1"), instance("i-2", memory_mib=1024), instance("i-3", memory_mib=256)]
    packed = place(3, SMALL, cluster, strategies=[Strategy("binpack", "memory")])
    assert packed == ["i-2", "i-2", "i-1"]


def test_random_is_decided_by_the_seed() -> None:
    cluster = [instance(f"i-{n}", cpu=10_000, memory_mib=100_000) for n in range(4)]
    anywhere = [Strategy("random")]
    picked = place(40, SMALL, cluster, strategies=anywhere, seed="x")
    assert picked == place(40, SMALL, cluster, strategies=anywhere, seed="x")
    assert picked != place(40, SMALL, cluster, strategies=anywhere, seed="y")
    assert len(Counter(picked)) == 4


def test_strategies_apply_in_order() -> None:
    cluster = [instance("i-1"), instance("i-2", cpu=512), instance("i-3", "b")]
    order = [Strategy("spread", "attribute:ecs.availability-zone"), Strategy("binpack", "cpu")]
    assert place(3, SMALL, cluster, strategies=order) == ["i-2", "i-3", "i-2"]


def test_distinct_instance_takes_one_task_each() -> None:
    cluster = [instance("i-1"), instance("i-2")]
    alone = [Constraint("distinctInstance")]
    assert place(3, SMALL, cluster, constraints=alone) == ["i-1", "i-2", None]


def test_member_of_asks_for_attributes() -> None:
    cluster = [instance("i-1"), instance("i-2", attributes={"stack": "prod"})]
    only = [Constraint("memberOf", "attribute:stack == prod")]
    assert place(2, SMALL, cluster, constraints=only) == ["i-2", "i-2"]


def test_cpu_memory_and_static_ports_run_out() -> None:
    one = [instance("i-1")]
    assert place(2, Needs(cpu=600), one) == ["i-1", None]
    assert place(2, Needs(memory_mib=3000), one) == ["i-1", None]
    assert place(2, Needs(host_ports=frozenset({80})), one) == ["i-1", None]
    assert place(1, Needs(host_ports=frozenset({80})), [instance("i", used_ports={80})]) == [None]


def test_a_draining_instance_takes_nothing() -> None:
    assert place(1, SMALL, [instance("i-1", draining=True)]) == [None]


@pytest.mark.parametrize(
    "wrong",
    [
        {"strategies": [Strategy("nearest")]},
        {"constraints": [Constraint("above")]},
        {"constraints": [Constraint("memberOf", "whatever")]},
    ],
)
def test_what_is_not_understood_is_refused(wrong: dict[str, list[Strategy]]) -> None:
    with pytest.raises(ValueError, match=r"unknown|understand"):
        place(1, SMALL, [instance("i-1")], **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("attribute:type == t3.small", True),
        ("attribute:type != t3.small", False),
        ("attribute:type =~ t3.*", True),
        ("attribute:type =~ t3", False),
        ("attribute:type in [t2.micro, t3.small]", True),
        ("attribute:type not_in [t2.micro, t3.small]", False),
        ("attribute:gpu exists", False),
        ("attribute:gpu not_exists", True),
        ("attribute:gpu exists and attribute:type exists", False),
        ("attribute:gpu exists or attribute:type exists", True),
        ("attribute:gpu == no or attribute:type exists and attribute:type =~ t.*", True),
        ("(attribute:gpu == no or attribute:type exists) and attribute:type == t2.micro", False),
        ("attribute:type =~ (t2|t3).small && not(attribute:gpu exists)", True),
        ("not(attribute:gpu exists || attribute:type exists)", False),
        ("task:group == service:web", True),
        ("task:group == service:db and task:group in [service:web]", True),
        ("task:group =~ family.*", False),
        ("not(task:group == service:web)", False),
        ("task:group not_in [service:web, family:x]", False),
    ],
)
def test_the_query_language(expression: str, expected: bool) -> None:
    known: dict[str, str | frozenset[str]] = {
        "attribute:type": "t3.small",
        "task:group": frozenset({"service:web", "service:db"}),
    }
    assert matches(expression, known.get) is expected


def test_tasks_keep_company_or_keep_away_by_their_groups() -> None:
    cluster = [instance("i-1", groups=frozenset({"db"})), instance("i-2"), instance("i-3")]
    needs = Needs(cpu=256, memory_mib=512, group="web")
    near = Constraint("memberOf", "task:group == db")
    assert place(2, needs, cluster, constraints=[near]) == ["i-1", "i-1"]
    alone = Constraint("memberOf", "not(task:group == web)")
    assert place(4, needs, cluster, constraints=[alone]) == ["i-1", "i-2", "i-3", None]


@given(
    count=st.integers(0, 20),
    rooms=st.lists(st.tuples(st.integers(0, 4), st.sampled_from("abc")), max_size=6),
)
def test_a_task_is_unplaced_only_where_nothing_fits(
    count: int, rooms: list[tuple[int, str]]
) -> None:
    cluster = [instance(f"i-{n}", zone, cpu=256 * room) for n, (room, zone) in enumerate(rooms)]
    placed = Counter(place(count, SMALL, cluster))
    assert placed[None] == max(0, count - sum(room for room, _ in rooms))
    assert all(placed[i.id] <= i.cpu // 256 for i in cluster)
