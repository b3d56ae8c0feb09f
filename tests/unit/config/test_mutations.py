"""Whatever is done to the example, the answer is a Config or ConfigErrors."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kaiun.config import load
from kaiun.errors import ConfigErrors

EXAMPLE = files("kaiun.config").joinpath("example.yml").read_bytes()
LINES = EXAMPLE.split(b"\n")
WORDS = st.sampled_from(
    [
        *b"{ } [ ] ' \" &a *a ${ ${env:X} ${ssm:/x} $${ null ~ yes 0o7 1e9 -1 .inf !!set".split(),
        *(b": ", b"- ", b"? ", b"| ", b"<<: ", b"\t", b"\n", b"\n  ", b"---\n", b"1" * 5000),
        *(b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xe2\x80\xa8"),
    ]
)
EDITS = st.lists(
    st.tuples(st.integers(0, len(EXAMPLE)), st.integers(0, 30), WORDS), min_size=1, max_size=4
)
SETTINGS = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)


def load_or_told(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "kaiun.yml"
    file.write_bytes(data)
    try:
        load(file, environ={"X": "1"}).dump()
    except ConfigErrors as errors:
        assert errors.problems
        for problem in errors.problems:
            assert problem.message
            assert problem.where


@SETTINGS
@given(edits=EDITS)
def test_cut_and_pasted_bytes(edits: list[tuple[int, int, bytes]], tmp_path: Path) -> None:
    data = EXAMPLE
    for start, length, word in edits:
        data = data[:start] + word + data[start + length :]
    load_or_told(tmp_path, data)


@SETTINGS
@given(
    swaps=st.lists(
        st.tuples(st.integers(0, len(LINES) - 1), st.integers(0, len(LINES) - 1)), min_size=1
    )
)
def test_lines_in_another_order(swaps: list[tuple[int, int]], tmp_path: Path) -> None:
    lines = list(LINES)
    for one, other in swaps:
        lines[one], lines[other] = lines[other], lines[one]
    load_or_told(tmp_path, b"\n".join(lines))


@SETTINGS
@given(
    at=st.integers(0, len(LINES) - 1), value=st.sampled_from([b"", b" 1", b" x", b" []", b" {}"])
)
def test_values_of_another_type(at: int, value: bytes, tmp_path: Path) -> None:
    lines = list(LINES)
    key, colon, _ = lines[at].partition(b":")
    lines[at] = key + colon + value
    load_or_told(tmp_path, b"\n".join(lines))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 100_000)
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["1 GB", "/up", "sh -c 'x'", "${env:X}", "${ssm:/x}", "redis:7", "FARGATE"]),
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=8), below, max_size=3)
    ),
    max_leaves=5,
)


def replaced(node: object, path: list[int], value: object) -> object:
    """Return the tree with another value at the place that `path` leads to."""
    if not path or not isinstance(node, (dict, list)) or not node:
        return value
    at = path[0] % len(node)
    if isinstance(node, list):
        return [*node[:at], replaced(node[at], path[1:], value), *node[at + 1 :]]
    key = list(node)[at]
    return {**node, key: replaced(node[key], path[1:], value)}


@SETTINGS
@given(
    edits=st.lists(
        st.tuples(st.lists(st.integers(0, 20), min_size=1, max_size=5), VALUES), max_size=4
    )
)
def test_other_values_in_the_tree(edits: list[tuple[list[int], object]], tmp_path: Path) -> None:
    tree: object = yaml.safe_load(EXAMPLE)
    for path, value in edits:
        tree = replaced(tree, path, value)
    load_or_told(tmp_path, yaml.safe_dump(tree, allow_unicode=True).encode())


@pytest.mark.parametrize("text", ["[" * 5000, "a: " * 5000, "{a: " * 900, "- " * 3000 + "x"])
def test_deep_nesting(text: str, tmp_path: Path) -> None:
    load_or_told(tmp_path, text.encode())
