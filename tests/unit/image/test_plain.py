"""BuildKit's plain progress is read as the docker client printed it (recorded/, docker 20.10)."""

from __future__ import annotations

from pathlib import Path

import pytest

from kaiun.image.events import BuildEvent
from kaiun.image.plain import PlainProgress, readable

RECORDED = Path(__file__).parent / "recorded"

# As buildx prints a failure: util/progress/progressui/printer.go of BuildKit 0.12.
BUILDX = """\
#0 building with "default" instance using docker driver

#1 [internal] load build definition from Dockerfile
#1 transferring dockerfile: 97B done
#1 DONE 0.0s

#5 [web 2/2] RUN echo hi; exit 3
#5 0.321 hi
#5 ...

#6 [gems 1/1] RUN true
#6 DONE 0.5s

#5 [web 2/2] RUN echo hi; exit 3
#5 0.842 ho
#5 ERROR: process "/bin/sh -c echo hi; exit 3" did not complete successfully: exit code: 3
------
 > [web 2/2] RUN echo hi; exit 3:
0.321 hi
------
Dockerfile:2
--------------------
   1 |     FROM scratch
   2 | >>> RUN echo hi; exit 3
--------------------
ERROR: failed to solve: process "/bin/sh -c echo hi; exit 3" did not complete successfully: exit code: 3
"""  # noqa: E501


def read(text: str) -> tuple[PlainProgress, list[BuildEvent]]:
    plain = PlainProgress()
    events = [plain.feed(line) for line in text.splitlines()]
    return plain, [event for event in events if event]


def recorded(name: str) -> tuple[PlainProgress, list[BuildEvent]]:
    return read((RECORDED / name).read_text())


def test_steps_are_told_with_stage_number_and_time() -> None:
    _, events = recorded("two_stages.txt")
    done = [event for event in events if event.state == "done" and event.stage == "assets"]
    assert [(event.step, event.total, event.seconds) for event in done] == [
        (1, 2, 2.8),
        (2, 2, 0.4),
    ]
    assert done[1].name == "RUN echo manifest > /manifest"


def test_every_line_of_output_is_told_with_its_step() -> None:
    _, events = recorded("two_stages.txt")
    gems = [e.line for e in events if e.state == "output" and e.stage == "gems"]
    assert gems == [f"gem {number}" for number in range(1, 7)]


def test_each_step_starts_once_and_ends_once() -> None:
    _, events = recorded("two_stages.txt")
    started = [event.name for event in events if event.state == "started"]
    ended = [event.name for event in events if event.state in {"done", "cached"}]
    assert sorted(started) == sorted(ended)
    assert len(set(started)) == 11


def test_cached_steps_are_told_apart() -> None:
    _, events = recorded("cached.txt")
    cached = [event.name for event in events if event.cached]
    assert len(cached) == 7
    assert "COPY root/ /" in cached


def test_successful_build_has_no_failed_step() -> None:
    plain, events = recorded("two_stages.txt")
    assert plain.failure() == ("", ())
    assert not [event for event in events if event.state == "failed"]


def test_failure_names_the_step_and_its_last_20_lines() -> None:
    plain, events = recorded("failed.txt")
    step, lines = plain.failure()
    assert step.startswith("[stage-2 1/2] RUN for i in")
    assert len(lines) == 20
    assert lines[-2:] == ("compiling 25", "exit code: 7")
    assert [event.step for event in events if event.state == "failed"] == [1]


def test_dockerfile_that_cannot_be_parsed_leaves_the_complaint() -> None:
    plain, _ = recorded("unparsable.txt")
    step, lines = plain.failure()
    assert step == ""
    assert "dockerfile parse error line 2: unknown instruction: COPPY" in lines[-1]


def test_missing_base_image_fails_at_its_metadata() -> None:
    plain, _ = recorded("no_base.txt")
    step, lines = plain.failure()
    assert step == "[internal] load metadata for localhost:1/nothing:1"
    assert "connection refused" in lines[-1]


def test_buildx_output_is_read_too() -> None:
    plain, events = read(BUILDX)
    assert plain.failure() == ("[web 2/2] RUN echo hi; exit 3", ("hi", "ho", "exit code: 3"))
    assert [event.name for event in events if event.state == "started"] == [
        "[internal] load build definition from Dockerfile",
        "RUN echo hi; exit 3",
        "RUN true",
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("#4 0.46 \x1b[31mred\x1b[0m", "#4 0.46 red"),
        ("#4 0.46 10%\r20%\r30%", "#4 0.46 30%"),
        ("#4 0.46 \x1b]0;title\x07bell\x07", "#4 0.46 bell"),
        ("#4 0.46 tab\tkept 海運", "#4 0.46 tab\tkept 海運"),
        ("plain\r", "plain"),
    ],
)
def test_output_cannot_paint_the_terminal(line: str, expected: str) -> None:
    assert readable(line) == expected
