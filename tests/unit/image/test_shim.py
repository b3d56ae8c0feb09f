"""The compiler shim is put into the steps of a Dockerfile, and taken out of what they print."""

from __future__ import annotations

import pytest

from kaiun.image import shim
from kaiun.image.dockerfile import Edit, edit, parse

NAME = "kaiun-shim:0123456789abcdef"
MOUNT = shim.mount(NAME)
ON = ". /dev/kaiun/on; "


def shimmed(text: str) -> tuple[str, list[str]]:
    found = list(shim.edits(parse(text), NAME))
    changed = edit(text, [each for each in found if isinstance(each, Edit)])
    return changed, [each for each in found if isinstance(each, str)]


@pytest.mark.parametrize(
    ("written", "built"),
    [
        ("RUN make\n", f"RUN {MOUNT}{ON}make\n"),
        ("run  make && \\\n # why\n  a\n", f"run  {MOUNT}{ON}make && \\\n # why\n  a\n"),
        (
            "RUN --mount=type=cache,target=/a \\\n    --network=none \\\n    make\n",
            f"RUN {MOUNT}--mount=type=cache,target=/a \\\n    --network=none \\\n    {ON}make\n",
        ),
        ("RUN \\\n  make\n", f"RUN \\\n  {MOUNT}{ON}make\n"),
        ('RUN ["make", "a"]\n', f'RUN {MOUNT}["/dev/kaiun/exec", "make", "a"]\n'),
        (
            'RUN --network=none [ \\\n "make"]\n',
            f'RUN {MOUNT}--network=none ["/dev/kaiun/exec",  \\\n "make"]\n',
        ),
        ("RUN [ -e /a ] || make\n", f"RUN {MOUNT}{ON}[ -e /a ] || make\n"),
        ("RUN <<EOF\nset -e\nmake\nEOF\n", f"RUN {MOUNT}<<EOF\n{ON}set -e\nmake\nEOF\n"),
        ("RUN bash <<EOF\nmake\nEOF\n", f"RUN {MOUNT}{ON}bash <<EOF\nmake\nEOF\n"),
        (
            'SHELL ["/bin/bash", "-euo", "pipefail", "-c"]\nRUN make\n',
            f'SHELL ["/bin/bash", "-euo", "pipefail", "-c"]\nRUN {MOUNT}{ON}make\n',
        ),
        ("FROM a AS run\nCOPY run /\n# RUN make\nCMD make\n",) * 2,
        ("RUN\n", "RUN\n"),
    ],
)
def test_the_shim_is_read_before_the_command_on_the_same_line(written: str, built: str) -> None:
    assert shimmed(written) == (built, [])
    assert shim.reader(NAME, "x86-64-v2")(built) == written


@pytest.mark.parametrize(
    ("written", "note"),
    [
        ('FROM a\nSHELL ["pwsh", "-c"]\nRUN make\n', "line 3: its shell is pwsh"),
        ('SHELL ["/usr/bin/env", "python3"]\nRUN make\n', "line 2: its shell is /usr/bin/env"),
        ("RUN <<EOF\n#!/usr/bin/python3\nEOF\n", "line 1: its script names an interpreter"),
        ("ONBUILD RUN make\n", "line 1: ONBUILD RUN runs in other builds"),
    ],
)
def test_a_step_that_cannot_have_it_is_left_alone_and_told(written: str, note: str) -> None:
    built, notes = shimmed(written)
    assert built == written
    assert [each.startswith(note) for each in notes] == [True]


def test_a_stage_has_the_shell_of_the_stage_that_it_is_from() -> None:
    text = 'FROM a AS Win\nSHELL ["pwsh", "-c"]\nFROM b\nRUN c\nFROM win\nRUN d\n'
    built, notes = shimmed(text)
    assert built == text.replace("RUN c", f"RUN {MOUNT}{ON}c")
    assert [note.partition(":")[0] for note in notes] == ["line 6"]


def test_who_asked_for_native_is_read_out_of_the_output() -> None:
    read = shim.reader(NAME, "x86-64-v2")
    line = "#7 0.9 kaiun-shim|gcc|-march=native|/usr/local/bundle/gems/fast-1.2/ext|"
    assert read(line) == "#7 0.9 kaiun: fast-1.2 asked for -march=native (gcc) and gets x86-64-v2"
    assert read("#7 0.9 kaiun-shim") == "#7 0.9 kaiun-shim"
