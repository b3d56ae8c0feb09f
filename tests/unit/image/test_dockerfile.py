"""Dockerfiles are read as BuildKit reads them, and changed without touching another byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaiun.image.dockerfile import Edit, copied_from, edit, parse


def values(text: str) -> list[tuple[int, str, str]]:
    return [(each.line, each.keyword, each.value) for each in parse(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM a\n\n# c\n  run b \n", [(1, "FROM", "a"), (4, "RUN", "b")]),
        ("RUN a \\\n  && b\nUSER c", [(1, "RUN", "a   && b"), (3, "USER", "c")]),
        ("RUN a \\\n # why\n\n  && b\n", [(1, "RUN", "a   && b")]),
        ("RUN a \\  \r\n  b\r\nUSER c\r\n", [(1, "RUN", "a   b"), (3, "USER", "c")]),
        ("RUN a \\\\\nUSER c\n", [(1, "RUN", r"a \\"), (2, "USER", "c")]),
        ("\ufeffFROM a\n", [(1, "FROM", "a")]),
        ("# escape=`\nRUN a `\n b \\\nUSER c", [(2, "RUN", r"a  b \ ".strip()), (4, "USER", "c")]),
        ("# a comment\n# escape=`\nRUN a `\nUSER c", [(3, "RUN", "a `"), (4, "USER", "c")]),
        ("# syntax=x\n# escape = `\nRUN a`\nb", [(3, "RUN", "ab")]),
        ("RUN a # no comment\n", [(1, "RUN", "a # no comment")]),
        ("RUN a \\", [(1, "RUN", "a")]),
        ("", []),
    ],
)
def test_lines_that_belong_together(text: str, expected: list[tuple[int, str, str]]) -> None:
    assert values(text) == expected


def test_flags_end_where_the_command_begins() -> None:
    text = 'RUN --mount=type=cache,target=/a \\\n  # why\n  --mount="type=bind,x= y" sh --mount=a\n'
    (run,) = parse(text)
    assert [each.text for each in run.flags] == [
        "--mount=type=cache,target=/a",
        '--mount="type=bind,x= y"',
    ]
    assert run.value == "sh --mount=a"
    assert text[run.offset(run.rest) :].startswith("sh ")
    assert [text[run.offset(each.at) :].startswith(each.text) for each in run.flags] == [True] * 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('RUN ["a", "b c"]', ("a", "b c")),
        ('RUN --network=none ["a", \\\n "b"]', ("a", "b")),
        ("RUN ['a']", None),
        ("RUN [ -e /a ] && b", None),
        ('RUN ["a", 1]', None),
        ("RUN a", None),
    ],
)
def test_exec_form_is_told_from_the_shell_form(text: str, words: tuple[str, ...] | None) -> None:
    assert parse(text)[0].words == words


def test_heredocs_are_not_instructions() -> None:
    text = "RUN <<EOF\nFROM b \\\nEOF\nCOPY <<-'A' <<B /x/\n\tUSER a\n\tA\nUSER b\nB\nUSER c\n"
    run, copy, user = parse(text)
    assert [each.text for each in run.heredocs] == ["FROM b \\"]
    assert [each.text for each in copy.heredocs] == ["\tUSER a", "USER b"]
    assert (user.line, user.value) == (9, "c")
    assert text[run.heredocs[0].start :].startswith("FROM b")


@pytest.mark.parametrize(
    "line", ["RUN cat <<<EOF", "RUN echo $((1 <<2 ))", "RUN cat <<EOF", "ENV A=<<USER"]
)
def test_what_only_looks_like_a_heredoc_takes_no_lines(line: str) -> None:
    assert [each.keyword for each in parse(f"{line}\nUSER c\n")][1:] == ["USER"]


PIECES = st.sampled_from(
    ["RUN", "FROM", " ", "\n", "\r\n", "\\", "#", "--mount=a", "<<E", "E", '["a"]', "é", "`", "\t"]
)


@given(st.lists(PIECES).map("".join))
def test_every_character_is_known_by_its_place(text: str) -> None:
    for each in parse(text):
        assert "".join(text[offset] for offset in each.offsets) == each.logical
        assert each.line <= text[: each.offset(0)].count("\n") + 1
    assert edit(text, []) == text


def test_edits_change_their_own_place_only() -> None:
    assert edit("abcdef", [Edit(4, 5, ""), Edit(0, 0, "X"), Edit(1, 3, "-")]) == "Xa-df"


STAGES = """\
FROM a AS System
FROM system AS gems
RUN --mount=type=cache,from=tools,target=/t make
FROM b AS tools
FROM c AS docs
FROM system
COPY --from=gems /x /x
COPY --from=1 --chown=0 /y /y
COPY --from=image:1 /z /z
"""


@pytest.mark.parametrize(
    ("target", "copied"),
    [("", ("gems",)), ("gems", ()), ("docs", ()), ("none", ())],
)
def test_stages_that_a_target_copies_from(target: str, copied: tuple[str, ...]) -> None:
    assert copied_from(parse(STAGES), target) == copied


def test_stages_are_copied_from_at_any_remove() -> None:
    text = "FROM a AS x\nFROM b AS y\nCOPY --from=x / /\nFROM y\nFROM c\nCOPY --from=2 / /\n"
    assert copied_from(parse(text)) == ("x",)
    assert copied_from(parse("USER a\n")) == ()
