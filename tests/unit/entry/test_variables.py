"""`${VAR}` and its kin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaiun.entry.variables import Missing, Variables, expand

ENVIRON = {"A": "1", "EMPTY": "", "B": "${A}"}


@pytest.mark.parametrize(
    ("text", "done"),
    [
        ("plain $A $ {A} }", "plain $A $ {A} }"),
        ("${A}${A}", "11"),
        ("[${EMPTY}]", "[]"),
        ("${X:-y}", "y"),
        ("${EMPTY:-y}", "y"),
        ("${A:-y}", "1"),
        ("${X:-}", ""),
        ("${X:-a ${A} ${Y:-z}}!", "a 1 z!"),
        ("${A:?needed}", "1"),
        ("$${A} $${", "${A} ${"),
        ("${B}", "${A}"),
        ("${X:-http://h:1/}", "http://h:1/"),
    ],
)
def test_text_is_expanded(text: str, done: str) -> None:
    assert expand(text, Variables(ENVIRON, set())) == done


@pytest.mark.parametrize(
    ("text", "why", "line"),
    [
        ("${X}", "X is not set", 1),
        ("a\nb ${X}", "X is not set", 2),
        ("${X:?the name of the host}", "X: the name of the host", 1),
        ("${EMPTY:?}", "EMPTY is not set or empty", 1),
        ("\n${A", "'${' is not closed", 2),
        ("${A-b}", "'${A-b}' is no variable", 1),
        ("${}", "'${}' is no variable", 1),
        ("${1A}", "'${1A}' is no variable", 1),
        ("${X:-${Y}}", "Y is not set", 1),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, why: str, line: int) -> None:
    with pytest.raises(Missing) as caught:
        expand(text, Variables(ENVIRON, set()))
    assert (caught.value.why, caught.value.line) == (why, line)


def test_use_of_a_secret_is_noted() -> None:
    variables = Variables({"A": "1", "S": "2"}, {"S"})
    expand("${A}", variables)
    assert not variables.used_secret()
    expand("${X:-${S}}", variables)
    assert variables.used_secret()
    assert not variables.used_secret()


@given(st.text(alphabet="${}:-?AB \n", max_size=60))
def test_any_text_ends_in_text_or_in_missing(text: str) -> None:
    try:
        expand(text, Variables(ENVIRON, set()))
    except Missing as missing:
        assert 1 <= missing.line <= text.count("\n") + 1
