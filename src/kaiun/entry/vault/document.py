"""Find the values of a YAML file and the place of each, with PyYAML's own scanner and parser.

Events only: nothing is constructed, no alias is followed, nothing recurses.
"""

from __future__ import annotations

import yaml
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.scanner import Scanner

from .problem import VaultError

MAX_BYTES = 1 << 20
MAX_DEPTH = 100
BLOCK_STYLES = ("|", ">")

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .keypath import Path, Step


class Scalar:
    """One value that is a scalar, in text[start:end].

    For a block scalar that is from its indicator to the end of its last line, without the
    line break; blank lines after it belong to the layout, except with `+`. `parent` is the
    column that its indentation counts from. `tag` is the tag as written, at `tag_start`.
    """

    __slots__ = (
        "document",
        "end",
        "event",
        "in_flow",
        "parent",
        "path",
        "start",
        "tag",
        "tag_start",
    )

    def __init__(
        self, path: Path, document: int, event: yaml.ScalarEvent, start: int, end: int
    ) -> None:
        self.path = path
        self.document = document
        self.event = event
        self.start = start
        self.end = end
        self.parent = 0
        self.in_flow = False
        self.tag = ""
        self.tag_start = start

    @property
    def style(self) -> str:
        return self.event.style or ""

    @property
    def value(self) -> str:
        return str(self.event.value)


class Document:
    """A YAML file: its text, its events, its values in the order of the file, and its keys."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.events: list[yaml.Event] = []
        self.scalars: list[Scalar] = []
        self.keys: list[str] = []
        _Walk(self).run()


def decode(data: bytes) -> str:
    """Return the text of a file. Raises VaultError unless it is UTF-8 of at most 1 MiB."""
    if len(data) > MAX_BYTES:
        raise VaultError(f"larger than {MAX_BYTES >> 20} MiB")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise VaultError("not UTF-8 text", f"line {line}") from None


class _Loader(Reader, Scanner, Parser):
    """PyYAML's parser in Python, which also keeps the tokens of the node it is in."""

    def __init__(self, text: str) -> None:
        self.parents: dict[int, tuple[int, bool]] = {}
        self.taken: dict[str, yaml.Token] = {}
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)

    def get_token(self) -> yaml.Token:
        token: yaml.Token = super().get_token()  # type: ignore[no-untyped-call]
        self.taken[str(getattr(token, "id", ""))] = token
        return token

    def scan_block_scalar(self, style: str) -> yaml.ScalarToken:
        self._mark()
        return super().scan_block_scalar(style)

    def scan_flow_scalar(self, style: str) -> yaml.ScalarToken:
        self._mark()
        return super().scan_flow_scalar(style)

    def scan_plain(self) -> yaml.ScalarToken:
        self._mark()
        return super().scan_plain()

    def _mark(self) -> None:
        self.parents[self.index] = (max(self.indent, 0), self.flow_level > 0)


class _Frame:
    __slots__ = ("count", "is_mapping", "key")

    def __init__(self, is_mapping: bool) -> None:
        self.is_mapping = is_mapping
        self.count = 0
        self.key: Step = "?"


class _Walk:
    """Follows the events and knows the path of each node."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._frames: list[_Frame] = []
        self._hidden = 0  # how deep in a collection that is itself a key
        self._number = -1

    def run(self) -> None:
        try:
            loader = _Loader(self._document.text)
            for event in _events(loader):
                self._document.events.append(event)
                self._take(event, loader)
                loader.taken.clear()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = f"{mark.line + 1}:{mark.column + 1}" if mark else ""
            raise VaultError("not valid YAML", place) from None
        except (
            yaml.YAMLError,
            ValueError,
            OverflowError,
        ):  # the last two: \U with a number that is no character
            raise VaultError("not valid YAML: a character that YAML does not allow") from None

    def _take(self, event: yaml.Event, loader: _Loader) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self._number += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            self._leave()
        elif isinstance(event, yaml.CollectionStartEvent):
            self._enter(isinstance(event, yaml.MappingStartEvent))
        elif isinstance(event, yaml.ScalarEvent):
            if self._count(event.value) and not self._hidden:
                self._scalar(event, loader)
            else:
                self._document.keys.append(event.value)
        elif isinstance(event, yaml.AliasEvent):
            self._count(f"*{event.anchor}")

    def _count(self, key: str) -> bool:
        """Count a node in its collection; return whether it is a value, not a key."""
        if not self._frames:
            return True
        frame = self._frames[-1]
        frame.count += 1
        is_key = frame.is_mapping and frame.count % 2 == 1
        if is_key:
            frame.key = key
        elif not frame.is_mapping:
            frame.key = frame.count - 1
        return not is_key

    def _enter(self, is_mapping: bool) -> None:
        is_key = not self._count("?")
        self._hidden += bool(self._hidden or is_key)
        self._frames.append(_Frame(is_mapping))
        if len(self._frames) > MAX_DEPTH:
            raise VaultError(f"collections nested deeper than {MAX_DEPTH}")

    def _leave(self) -> None:
        self._frames.pop()
        self._hidden -= bool(self._hidden)

    def _scalar(self, event: yaml.ScalarEvent, loader: _Loader) -> None:
        token = loader.taken.get("<scalar>")
        text = self._document.text
        path = tuple(frame.key for frame in self._frames)
        if token is None:
            place = event.end_mark.index if event.end_mark else 0
            if text[place - 1 : place] not in {":", "-"} and not {"<tag>", "<anchor>"} & set(
                loader.taken
            ):
                return  # nothing is written here, as in `{a}`: no place for a value
            start = end = place
        else:
            start, end = token.start_mark.index, token.end_mark.index
        scalar = Scalar(path, self._number, event, start, end)
        scalar.parent, scalar.in_flow = loader.parents.get(start, (0, loader.flow_level > 0))
        if scalar.style in BLOCK_STYLES:
            scalar.end = _block_end(text, start, end, scalar.parent)
        tag = loader.taken.get("<tag>")
        if tag is not None:
            scalar.tag_start = tag.start_mark.index
            scalar.tag = text[tag.start_mark.index : tag.end_mark.index]
        self._document.scalars.append(scalar)


def _events(loader: _Loader) -> Iterator[yaml.Event]:
    while loader.check_event():
        yield loader.get_event()  # type: ignore[no-untyped-call]


def _block_end(text: str, start: int, end: int, parent: int) -> int:
    """Return where the last line of a block scalar's text ends, before its line break."""
    lines = text[start:end].split("\n")
    header = lines[0].partition("#")[0]
    if not lines[-1].strip(" "):
        lines.pop()  # the text ends with a line break
    if "+" not in header:
        indent = block_indent(lines, parent)
        while len(lines) > 1 and _is_blank(lines[-1], indent):
            lines.pop()
    return start + len("\n".join(lines).removesuffix("\r"))


def block_indent(lines: list[str], parent: int) -> int:
    """Return the column at which the text of a block scalar begins."""
    explicit = [char for char in lines[0].partition("#")[0] if char.isdigit()]
    if explicit:
        return parent + int(explicit[0])
    for line in lines[1:]:
        if line.strip(" \r"):
            return len(line) - len(line.lstrip(" "))
    return max((len(line.rstrip("\r")) for line in lines[1:]), default=0)


def _is_blank(line: str, indent: int) -> bool:
    bare = line.rstrip("\r")
    return not bare.strip(" ") and len(bare) <= indent
