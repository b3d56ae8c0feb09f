"""The stage that is put behind the user's Dockerfile."""

from __future__ import annotations

import pytest

from kaiun.image import tail

END = tail.lines("kaiun-layer:1", ["puma", "-w 2"])


def test_layers_are_added_and_the_command_is_restated() -> None:
    assert END == [
        "COPY --from=kaiun-layer:1 / /",
        'ENTRYPOINT ["/opt/kaiun/entry"]',
        'CMD ["puma", "-w 2"]',
    ]


@pytest.mark.parametrize(
    ("text", "target", "expected", "stage"),
    [
        ("FROM a\nRUN b\n", "", "FROM a AS kaiun-plain\nRUN b\n", "kaiun-plain"),
        ("FROM a", "", "FROM a AS kaiun-plain", "kaiun-plain"),
        ("from --platform=x a\n", "", "from --platform=x a AS kaiun-plain\n", "kaiun-plain"),
        ("FROM a AS web\nRUN b\n", "", "FROM a AS web\nRUN b\n", "web"),
        ("FROM a AS Web\nFROM b\n", "WEB", "FROM a AS Web\nFROM b\n", "web"),
        ("FROM a\nFROM b\n", "0", "FROM a AS kaiun-plain\nFROM b\n", "kaiun-plain"),
        ("FROM \\\n  a\nRUN b\n", "", "FROM \\\n  a AS kaiun-plain\nRUN b\n", "kaiun-plain"),
        ("FROM a\nFROM b\n", "gone", None, ""),
        ("FROM a\nFROM b\n", "2", None, ""),
        ("# nothing\n", "", None, ""),
        ("FROM a\nRUN b \\\n", "", None, ""),  # our first line would be more of the command
    ],
)
def test_last_stage_is_built_on_the_target(
    text: str, target: str, expected: str | None, stage: str
) -> None:
    found = tail.appended(text, target, END)
    whole = "\n".join((expected or "", "", f"FROM {stage}", *END, ""))
    assert found == (whole if expected else None)


STAGES = """\
FROM a AS base
RUN one
FROM base
RUN two
COPY . .
ENV A=1
RUN three
USER app
FROM scratch
COPY --from=base x .
"""


def test_python_is_added_below_the_layers_that_change() -> None:
    found = tail.appended(STAGES, "1", END, "kaiun-python:2", 2)
    python = "RUN two\nCOPY --from=kaiun-python:2 / /\nCOPY . .\n"
    changed = STAGES.replace("RUN two\nCOPY . .\n", python).replace(
        "FROM base\n", "FROM base AS kaiun-plain\n"
    )
    assert found == "\n".join((changed, "", "FROM kaiun-plain", *END, ""))


@pytest.mark.parametrize(
    ("text", "target", "above", "expected"),
    [
        (STAGES, "1", 0, 0),
        (STAGES, "1", 2, 2),
        (STAGES, "1", 9, 3),  # the others are the base's
        (STAGES, "", 1, 1),
        (STAGES, "7", 1, 0),
        ("FROM a\nCOPY b .\nWORKDIR /b\nCOPY . .\nRUN c\n", "", 4, 2),
    ],
)
def test_layers_are_known_by_their_instructions(
    text: str, target: str, above: int, expected: int
) -> None:
    assert tail.changing(text, target, above) == expected


def test_python_comes_last_where_no_layer_is_known() -> None:
    found = tail.appended("FROM a AS b\n", "", END, "kaiun-python:2", 0)
    python = "COPY --from=kaiun-python:2 / /"
    assert found == "\n".join(("FROM a AS b\n", "", "FROM b", python, *END, ""))
