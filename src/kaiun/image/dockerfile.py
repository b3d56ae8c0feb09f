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
_FROM = re.compile(r"(?:^--|[=,])from=([^,\s\"']+)")
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


def copied_from(instructions: Iterable[Instruction], target: str = "") -> tuple[str, ...]:
    """Return the named stages whose files the target takes without being built on them, by name.

    By COPY --from or a mount's from=, at any remove; the target is the last stage where "".
    """
    stages = _stages(instructions)
    names = [each.name for each in stages]
    wanted = [_index(names, target) if target else len(stages) - 1]
    copied: set[int] = set()
    seen: set[int] = set()
    while wanted:
        at = wanted.pop()
        if at in seen or at < 0:
            continue
        seen.add(at)
        sources = {_index(names[:at], each) for each in stages[at].sources}
        copied |= sources
        wanted += [_index(names[:at], stages[at].base), *sources]
    return tuple(names[at] for at in sorted(copied) if at >= 0 and names[at])


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


@dataclass(slots=True)
class _Stage:
    name: str
    base: str
    sources: list[str] = field(default_factory=list)


def stage_of(instruction: Instruction) -> tuple[str, str]:
    """Return base and name of a FROM, in lower case as BuildKit has names; "" without a name."""
    words = instruction.value.lower().split()
    named = len(words) == 3 and words[1] == "as"
    return words[0] if words else "", words[2] if named else ""


def _stages(instructions: Iterable[Instruction]) -> list[_Stage]:
    stages: list[_Stage] = []
    for each in instructions:
        if each.keyword == "FROM":
            base, name = stage_of(each)
            stages.append(_Stage(name, base))
        elif stages:
            texts = (flag.text.lower() for flag in each.flags)
            stages[-1].sources += [found[1] for text in texts for found in _FROM.finditer(text)]
    return stages


def _index(names: list[str], wanted: str) -> int:
    """Return which stage is meant by name or number, -1 for none: an image."""
    if wanted in names:
        return len(names) - 1 - names[::-1].index(wanted)
    return int(wanted) if wanted.isdecimal() and int(wanted) < len(names) else -1


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
