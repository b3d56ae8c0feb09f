"""Put other text in the place of values, and leave every other byte of a file as it is."""

from __future__ import annotations

import io

from .document import BLOCK_STYLES, block_indent
from .layout import LibyamlEmitter, escaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .document import Scalar

    Edit = tuple[int, int, str]  # start, end, text

_ANALYSE = LibyamlEmitter(io.StringIO(), allow_unicode=True).analyze_scalar


def apply(text: str, edits: Iterable[Edit]) -> str:
    """Return `text` with each edit's text in the place of text[start:end]."""
    done, place = [], 0
    for start, end, new in sorted(edits):
        done += [text[place:start], new]
        place = end
    return "".join([*done, text[place:]])


def replace(text: str, scalar: Scalar, value: str) -> list[Edit]:
    """Return the edits that give a scalar another value, in its own style where that can be."""
    if scalar.style in BLOCK_STYLES:
        return _replace_block(text, scalar, value)
    if value == "" and scalar.style == "":
        return [_nothing(text, scalar)]
    if scalar.start == scalar.end:
        return [(scalar.start, scalar.end, " " + written(value, "", in_flow=scalar.in_flow))]
    return [(scalar.start, scalar.end, written(value, scalar.style, in_flow=scalar.in_flow))]


def retag(text: str, scalar: Scalar, tag: str) -> list[Edit]:
    """Return the edits that give a scalar another tag, or none."""
    if scalar.tag:
        end = scalar.tag_start + len(scalar.tag)
        gap = 1 if not tag and text[end : end + 1] == " " else 0
        return [(scalar.tag_start, end + gap, tag)]
    return [(scalar.start, scalar.start, tag + " ")] if tag else []


def written(value: str, style: str, *, in_flow: bool = True) -> str:
    """Return a value on one line: plain or single-quoted if asked for and possible."""
    analysis = _ANALYSE(value)
    one_line = not analysis.multiline and value != ""
    astral = all(char == "\t" or escaped(char) == char or char > "\uffff" or char in '"\\'
                 for char in value)  # fmt: skip
    if style == "" and one_line and _plain(value, in_flow=in_flow):
        return value
    if style == "'" and astral and not analysis.multiline:
        return "'" + value.replace("'", "''") + "'"
    return '"' + "".join(map(_escaped, value)) + '"'


def _plain(value: str, *, in_flow: bool) -> bool:
    """Return whether a value can be plain; libyaml would quote characters beyond U+FFFF."""
    analysis = _ANALYSE("".join(map(_tame, value)))
    return bool(analysis.allow_flow_plain if in_flow else analysis.allow_block_plain)


def _tame(char: str) -> str:
    """Return a character for a tab and for those beyond U+FFFF that libyaml would not escape."""
    return "x" if char > "\uffff" or char == "\t" else char


def _escaped(char: str) -> str:
    return char if char > "\uffff" else escaped(char)


def _nothing(text: str, scalar: Scalar) -> tuple[int, int, str]:
    start = scalar.start
    if text[start - 1 : start] == " " and text[start - 2 : start - 1] in {":", "-", "?"}:
        start -= 1
    return (start, scalar.end, "")


def _replace_block(text: str, scalar: Scalar, value: str) -> list[Edit]:
    lines = text[scalar.start : scalar.end].split("\n")
    first = lines[0]
    header = first[: len(first) - len(first.lstrip("|>+-0123456789"))]
    newline = "\r\n" if first.endswith("\r") else "\n"
    header_end, body_start = scalar.start + len(header), scalar.start + len(first.rstrip("\r"))
    indent = max(block_indent(lines, scalar.parent), scalar.parent + 1)
    body = _body(scalar, value, indent, newline)
    if body is None:
        return [(scalar.start, header_end, written(value, '"')), (body_start, scalar.end, "")]
    hints, shown = body
    return [
        (scalar.start, header_end, scalar.style + hints),
        (body_start, scalar.end, newline + shown),
    ]


def _body(scalar: Scalar, value: str, indent: int, newline: str) -> tuple[str, str] | None:
    """Return header hints and lines of a block scalar; None where it must be quoted."""
    analysis = _ANALYSE("".join(map(_tame, value)))
    if not value.strip("\n") or not analysis.allow_block:
        return None
    text = value.rstrip("\n")
    breaks = len(value) - len(text)
    step = indent - scalar.parent
    hints = str(step) if value[0] in " \n" and 1 <= step <= 9 else ""
    if value[0] in " \n" and not hints:
        return None
    hints += {0: "-", 1: ""}.get(breaks, "+")
    lines = text.split("\n") if scalar.style == "|" else _folded(text)
    lines += [""] * (breaks - 1)
    return hints, newline.join(" " * indent + line if line else "" for line in lines)


def _folded(text: str) -> list[str]:
    """Return the lines of `>`: a line break of the value takes one more, between plain lines."""
    shown: list[str] = []
    lines = text.split("\n")
    for place, line in enumerate(lines):
        shown.append(line)
        following = next((later for later in lines[place + 1 :] if later), "")
        is_last = place + 1 == len(lines)
        if (
            line
            and not is_last
            and not any(one.startswith((" ", "\t")) for one in (line, following))
        ):
            shown.append("")
    return shown
