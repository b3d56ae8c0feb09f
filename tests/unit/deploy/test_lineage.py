from __future__ import annotations

from dataclasses import replace

from kaiun.deploy.lineage import Known, Roll, merge, told
from kaiun.deploy.releases import Record, Result

FIRST, SECOND, THIRD = "20260101T000000Z-a", "20260102T000000Z-b", "20260103T000000Z-c"
KNOWN = {
    "web:1": Known(FIRST, "a" * 40, "app@1", "ann", active=True),
    "worker:1": Known(FIRST, "a" * 40, "app@1", "ann", active=True),
    "web:2": Known(SECOND, "b" * 40, "app@2", "bob", active=True),
    "worker:3": Known(THIRD, "c" * 40, "app@3", "bob", active=True),
}


def roll(task_definition: str, at: float, status: str = "SUCCESSFUL") -> Roll:
    return Roll(task_definition.partition(":")[0], task_definition, status, at, at + 10)


SHIPPED = [roll("web:1", 0), roll("worker:1", 2), roll("web:2", 100), roll("worker:3", 200)]


def brief(records: list[Record]) -> list[tuple[str, str, dict[str, str]]]:
    return [(r.id, r.result, dict(r.task_definitions)) for r in records]


def test_the_services_of_a_release_are_found_by_its_tag_and_the_others_by_time() -> None:
    assert brief(told(SHIPPED, KNOWN)) == [
        (THIRD, "deployed", {"web": "web:2", "worker": "worker:3"}),
        (SECOND, "deployed", {"web": "web:2", "worker": "worker:1"}),
        (FIRST, "deployed", {"web": "web:1", "worker": "worker:1"}),
    ]


def test_a_release_has_its_commit_its_time_and_who_registered_it() -> None:
    first = told(SHIPPED, KNOWN)[-1]
    assert (first.revision, first.image, first.by) == ("a" * 40, "app@1", "ann")
    assert (first.started, first.seconds, first.source) == (0, 12, "ecs")


def test_going_back_does_not_change_what_a_release_was() -> None:
    back = [*SHIPPED, roll("web:1", 300), roll("worker:1", 300)]
    assert brief(told(back, KNOWN)) == brief(told(SHIPPED, KNOWN))


def test_a_release_is_as_bad_as_its_worst_service() -> None:
    def ended(status: str) -> Result:
        known = KNOWN | {"worker:2": KNOWN["web:2"]}
        both = [*SHIPPED[:2], roll("web:2", 100), roll("worker:2", 100, status)]
        return Result(told(both, known)[0].result)

    assert ended("ROLLBACK_SUCCESSFUL") is Result.ROLLED_BACK
    assert ended("ROLLBACK_FAILED") is Result.STOPPED
    assert ended("STOPPED") is Result.STOPPED
    assert ended("IN_PROGRESS") is Result.UNDER_WAY


def test_a_release_that_failed_at_first_and_was_shipped_again_is_good() -> None:
    again = [roll("web:1", 0, "ROLLBACK_SUCCESSFUL"), roll("web:1", 50)]
    only = told(again, KNOWN)[0]
    assert (only.result, only.started) == ("deployed", 50)


def test_what_ecs_cannot_run_any_more_is_no_release_to_go_back_to() -> None:
    gone = KNOWN | {"web:1": replace(KNOWN["web:1"], active=False)}
    assert [r.result for r in told(SHIPPED, gone)] == ["deployed", "deployed", "deregistered"]
    assert told([roll("old:1", 0)], {})[0].result == "deregistered"


def test_a_task_definition_of_somebody_else_is_a_release_of_its_own() -> None:
    foreign = [roll("web:7", 1_700_000_000), roll("web:8", 1_700_000_100)]
    known = {"web:7": Known(active=True), "web:8": Known(active=True)}
    assert brief(told(foreign, known)) == [
        ("20231114T221500Z-untagged", "deployed", {"web": "web:8"}),
        ("20231114T221320Z-untagged", "deployed", {"web": "web:7"}),
    ]


def test_the_history_goes_before_what_ecs_remembers() -> None:
    written = Record(SECOND, "b" * 40, "a change", "bob", 100, 12, "deployed")
    merged = merge([written], told(SHIPPED, KNOWN))
    assert [(r.id, r.source) for r in merged] == [
        (THIRD, "ecs"),
        (SECOND, "history"),
        (FIRST, "ecs"),
    ]
