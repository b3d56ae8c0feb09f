"""Say in plain words what PyYAML's scanner and parser trip over, and the usual remedy."""

from __future__ import annotations

from dataclasses import dataclass

import yaml


@dataclass(frozen=True, slots=True)
class Slip:
    """A known way to write YAML wrongly; `opening` means that its place is where it began."""

    problem: str
    message: str
    hint: str = ""
    opening: bool = False


SLIPS = (
    Slip("unexpected end of stream", "this quote is not closed", opening=True),
    Slip("expected ',' or ']'", "this '[' is not closed", "close it by ']'", opening=True),
    Slip("expected ',' or '}'", "this '{' is not closed", "close it by '}'", opening=True),
    Slip(
        "mapping values are not allowed",
        "a ':' is not expected here",
        "text that contains ': ' stands in quotes; else look at the indentation",
    ),
    Slip(
        "undefined alias",
        "there is no anchor of this name before",
        "write `&name` at what it repeats",
    ),
    Slip("duplicate anchor", "this anchor exists already", "give one of them another name"),
    Slip(
        "alphabetic or numeric",
        "a name is missing here",
        "quote text that begins with '&' or '*'",
    ),
    Slip("another document", "a second document begins here", "keep one: remove the `---`"),
    Slip("unknown escape", "an unknown escape", "inside \"…\" write `\\\\`, or use '…'"),
    Slip("block sequence entries", "a list begins on the next line", "or write it as `[a, b]`"),
    Slip("expected '-'", "a list ends, but a key does not belong here", "look at the indentation"),
    Slip("expected key", "this is no key of the mapping", "look at the indentation"),
    Slip("tab character", "a tab is no indentation", "indent by spaces"),
    Slip("node content", "a value is missing here", 'an empty text is written ""'),
    Slip("incompatible YAML", "an unknown version of YAML", "remove the `%YAML` line"),
    Slip("simple key", "a ':' is missing here", "write `key: value`"),
)


def explain(error: yaml.MarkedYAMLError, text: str) -> tuple[int, int, str, str]:
    """Return line, column (from 1), message and hint of a YAML error."""
    problem = (error.problem or "").removeprefix("did not find ")
    slip = next((slip for slip in SLIPS if slip.problem in f"{error.problem}"), None)
    marks = (error.context_mark, error.problem_mark)
    mark = next(filter(None, marks if slip and slip.opening else marks[::-1]), None)
    line, column = (mark.line, mark.column) if mark else (0, 0)
    here = (*text.splitlines(), "")[min(line, len(text.splitlines()))]
    if slip and slip.opening and "${" in here and "quote" not in slip.message:
        return line + 1, column + 1, slip.message, "a value with `${…}` in it stands in quotes here"
    if slip and "quote" in slip.message:
        return line + 1, column + 1, slip.message, f"close it by {here[column]}"
    if slip:
        return line + 1, column + 1, slip.message, slip.hint
    if "cannot start any token" in problem:
        message, hint = _character(here[column : column + 1])
        return line + 1, column + 1, message, hint
    return line + 1, column + 1, f"not YAML: {problem}", ""


def _character(char: str) -> tuple[str, str]:
    if char == "\t":
        return "a tab is no indentation", "indent by spaces"
    return f"no value begins with '{char}'", "put it in quotes"
