"""Read BuildKit's plain progress (`docker build --progress=plain`), line by line.

Each line begins with the number of its vertex: `#4 [base 2/2] RUN make`, then `#4 0.460 text` for
output, `#4 DONE 1.8s`, `#4 CACHED`, `#4 ERROR: …`. The vertex's headline is printed again when
the output of parallel steps alternates.
Source: buildkit, util/progress/progressui/printer.go.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field

from kaiun.image.events import BuildEvent, State

_LINE = re.compile(r"#(\d+) (.*)", re.DOTALL)
_PREFIX = re.compile(r"#\d+ \d+\.\d+ ")
_NAME = re.compile(r"\[(?:(\S+) )?(\d+)/(\d+)\] (.*)", re.DOTALL)
_OUTPUT = re.compile(r"(\d+\.\d+) ?(.*)", re.DOTALL)
_DONE = re.compile(r"DONE (\d+(?:\.\d+)?)s")
_ESCAPE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])|[\x00-\x08\x0b-\x1f\x7f]"
)
_EXIT_CODE = re.compile(r"exit code: \d+$")
_KEPT_LINES = 20


@dataclass(slots=True)
class _Vertex:
    title: str
    name: str
    stage: str = ""
    step: int = 0
    total: int = 0
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))
    error: str = ""

    def event(self, state: State, *, seconds: float = 0.0, line: str = "") -> BuildEvent:
        return BuildEvent(
            "build", state, self.name, line, self.stage, self.step, self.total, seconds
        )


class PlainProgress:
    """Feed it lines, get events; ask it afterwards what failed."""

    def __init__(self) -> None:
        self._vertices: dict[str, _Vertex] = {}
        self._loose: deque[str] = deque(maxlen=_KEPT_LINES)

    def feed(self, line: str) -> BuildEvent | None:
        """Return what the line means for a listener, None when nothing."""
        line = readable(line)
        matched = _LINE.fullmatch(line)
        if not matched:
            if line and not line.startswith("------"):
                self._loose.append(line)
            return None
        number, rest = matched.groups()
        if number == "0":
            return None  # buildx: which builder is used
        if (vertex := self._vertices.get(number)) is None:
            vertex = self._vertices[number] = _vertex(rest)
            return vertex.event("started")
        return _progress(vertex, rest)

    def failure(self) -> tuple[str, tuple[str, ...]]:
        """Return the failed step ("" when no step failed) and its last lines, at most 20.

        Without a failed step the lines are those that belong to no step, such as the complaint
        about a Dockerfile that cannot be parsed.
        """
        for vertex in self._vertices.values():
            if vertex.error:
                code = _EXIT_CODE.search(vertex.error)
                last = code[0] if code else vertex.error
                return vertex.title, (*vertex.tail, last)[-_KEPT_LINES:]
        return "", tuple(self._loose)


def readable(line: str) -> str:
    """Return the line without colours and control characters; of a progress bar its last state."""
    head, _, last = line.rstrip().rpartition("\r")
    if head and (numbered := _PREFIX.match(head)) and not _PREFIX.match(last):
        last = numbered[0] + last
    return _ESCAPE.sub("", last)


def _vertex(title: str) -> _Vertex:
    if matched := _NAME.fullmatch(title):
        stage, step, total, name = matched.groups()
        return _Vertex(title, name, stage or "", int(step), int(total))
    return _Vertex(title, title)


def _progress(vertex: _Vertex, rest: str) -> BuildEvent | None:
    if rest in {vertex.title, "...", "CANCELED"} or rest.startswith("sha256:"):
        return None
    if rest == "CACHED":
        return vertex.event("cached")
    if done := _DONE.fullmatch(rest):
        return vertex.event("done", seconds=float(done[1]))
    if rest.startswith("ERROR: "):
        vertex.error = rest.removeprefix("ERROR: ")
        return vertex.event("failed", line=vertex.error)
    if output := _OUTPUT.fullmatch(rest):
        vertex.tail.append(output[2])
        return vertex.event("output", seconds=float(output[1]), line=output[2])
    return vertex.event("output", line=rest)
