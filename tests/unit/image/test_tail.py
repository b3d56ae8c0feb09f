"""The stage that is put behind the user's Dockerfile."""

from __future__ import annotations

import pytest

from kaiun.image import tail

END = tail.lines("kaiun-layer:1", "kaiun-python:2", ["puma", "-w 2"])


def test_layers_are_added_and_the_command_is_restated() -> None:
    assert END == [
        "COPY --from=kaiun-python:2 / /",
        "COPY --from=kaiun-layer:1 / /",
        'ENTRYPOINT ["/opt/kaiun/entry"]',
        'CMD ["puma", "-w 2"]',
    ]
    assert tail.lines("kaiun-layer:1", "", [])[0] == "COPY --from=kaiun-layer:1 / /"


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
