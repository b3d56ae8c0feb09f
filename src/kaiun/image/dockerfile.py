"""Read a Dockerfile as BuildKit does, and know where in the text each character came from.

An instruction is read as one logical line: without the comments and line ends inside of it. What
is changed (`edit`) is changed in the text itself, so that every other byte, and the number of every
line, stays as the user wrote it.
Source: buildkit, frontend/dockerfile/parser (parser.go, split_command.go).
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*")
_FLAG = re.compile(r"""--(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\\.|[^\s"'\\])*""")
_WORD = re.compile(r"\S+")
_HEREDOC = re.compile(r"(?:^|\s)\d*<<(-?)([\"']?)([^\s<\"'-][^\s<\"']*)\2(?=\s|$)")
_TAKES_HEREDOC = frozenset({"RUN", "COPY", "ADD"})


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A here-document behind an instruction. `start` is the offset of its first line."""

    start: int
    text: str


@dataclass(frozen=True, slots=True)
class Flag:
    """An option such as --mount=…; `at` counts characters of the logical line."""

    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction. `offsets[n]` is where character n of `logical` stands in the text."""

    keyword: str  # in upper case
    line: int  # its first, from 1
    logical: str
    offsets: tuple[int, ...] = field(repr=False)
    flags: tuple[Flag, ...] = ()
    arguments: int = 0  # where in `logical` its first argument begins, a flag or not
    rest: int = 0  # where what follows the flags begins
    heredocs: tuple[Heredoc, ...] = ()

    @property
    def value(self) -> str:
        """Return what follows the flags."""
        return self.logical[self.rest :].strip()

    @property
    def words(self) -> tuple[str, ...] | None:
        """Return the words of the exec form, None for the shell form."""
        try:
            found = json.loads(self.value) if self.value.startswith("[") else None
        except ValueError:
            return None
        if isinstance(found, list) and all(isinstance(each, str) for each in found):
            return tuple(found)
        return None

    def offset(self, at: int) -> int:
        """Return where character `at` of the logical line stands in the text."""
        return self.offsets[at]


@dataclass(frozen=True, slots=True)
class Edit:
    """`new` in place of the characters from `start` to before `end`."""

    start: int
    end: int
    new: str


def parse(text: str) -> tuple[Instruction, ...]:
    """Return the instructions. Nothing is an error: BuildKit will say what is wrong."""
    return tuple(_instructions(text))


def edit(text: str, edits: Iterable[Edit]) -> str:
    """Return the text with the edits made; they must not overlap."""
    pieces, done = [], 0
    for each in sorted(edits, key=lambda each: each.start):
        pieces += [text[done : each.start], each.new]
        done = each.end
    return "".join((*pieces, text[done:]))


@dataclass(frozen=True, slots=True)
class _Line:
    text: str  # without the line's end
    start: int
    number: int


def _instructions(text: str) -> Iterator[Instruction]:
    waiting = deque(_lines(text))
    continuation = _continuation(waiting)
    while first := _next(waiting):
        logical: list[str] = []
        offsets: list[int] = []
        line: _Line | None = first
        while line:
            ended = continuation.search(line.text)
            kept = line.text[: ended.start("escape")] if ended else line.text
            skipped = len(kept) - len(kept.lstrip()) if line is first else 0
            logical.append(kept[skipped:])
            offsets += range(line.start + skipped, line.start + len(kept))
            line = _next(waiting) if ended else None
        if any(logical):  # not a lone continuation at the end of the file
            yield _instruction("".join(logical), tuple(offsets), first.number, waiting)


def _lines(text: str) -> Iterator[_Line]:
    start = 1 if text.startswith("\ufeff") else 0
    for number, line in enumerate(text[start:].split("\n"), 1):
        yield _Line(line.removesuffix("\r"), start, number)
        start += len(line) + 1


def _continuation(lines: Iterable[_Line]) -> re.Pattern[str]:
    """Return what a line ends with that goes on; `# escape=` at the top may choose the character.

    A doubled one at the end of a line is itself, not a continuation.
    """
    escape = "\\"
    for line in lines:
        directive = _DIRECTIVE.fullmatch(line.text.strip())
        if not directive:
            break
        if directive[1].lower() == "escape":
            escape = directive[2]
    quoted = re.escape(escape)
    return re.compile(rf"(?:^|[^{quoted}])(?P<escape>{quoted})[ \t]*$")


def _next(waiting: deque[_Line]) -> _Line | None:
    """Take the next line that counts: comments and empty lines do not, inside of one neither."""
    while waiting:
        line = waiting.popleft()
        if line.text.strip() and not line.text.lstrip().startswith("#"):
            return line
    return None


def _instruction(
    logical: str, offsets: tuple[int, ...], number: int, waiting: deque[_Line]
) -> Instruction:
    word = _WORD.match(logical)
    keyword = word[0].upper() if word else ""
    arguments = _skip(logical, len(keyword))
    flags, rest = _flags(logical, arguments)
    heredocs = _heredocs(logical[rest:], waiting) if keyword in _TAKES_HEREDOC else ()
    return Instruction(keyword, number, logical, offsets, flags, arguments, rest, tuple(heredocs))


def _skip(logical: str, at: int) -> int:
    while at < len(logical) and logical[at].isspace():
        at += 1
    return at


def _flags(logical: str, at: int) -> tuple[tuple[Flag, ...], int]:
    flags = []
    while found := _FLAG.match(logical, at):
        at = _skip(logical, found.end())
        if found[0] == "--":
            break
        flags.append(Flag(found[0], found.start()))
    return tuple(flags), at


def _heredocs(value: str, waiting: deque[_Line]) -> Iterator[Heredoc]:
    """Yield the here-documents that the instruction names, taking their lines from `waiting`.

    One without an end is none: frontends before 1.4 know no here-documents.
    """
    for found in _HEREDOC.finditer(value):
        tabs, word = found[1], found[3]
        texts = (line.text.lstrip("\t") if tabs else line.text for line in waiting)
        length = next((n for n, text in enumerate(texts) if text == word), None)
        if length is None:
            return
        body = [waiting.popleft() for _ in range(length)]
        end = waiting.popleft()
        yield Heredoc((body or [end])[0].start, "\n".join(line.text for line in body))
