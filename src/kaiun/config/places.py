"""Read YAML into a tree whose every node knows where it stands in the file.

Scalars follow the core schema of YAML 1.2, not 1.1: `on`, `no` and `12:30` are text, and an
integer has no leading zero. Keys are always text. A node keeps the text as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import yaml

Path = tuple[str | int, ...]
Scalar = str | int | float | bool | None
Plain = Scalar | list["Plain"] | dict[str, "Plain"]

NODES_MAX = 20_000
DEPTH_MAX = 64
TAG = "tag:yaml.org,2002:"
KNOWN = "map seq str int float bool null timestamp merge value"
KNOWN_TAGS = frozenset(f"{TAG}{name}" for name in KNOWN.split())
QUOTES = frozenset({"'", '"', "|", ">"})
INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+")
WORDS: Mapping[str, Scalar] = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in the file; lines and columns count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Found:
    """A problem and where it was found."""

    place: Place
    path: Path
    message: str
    hint: str = ""


class NotYamlError(Exception):
    """The file is not YAML that can be read any further."""

    def __init__(self, found: Found) -> None:
        super().__init__(found.message)
        self.found = found


@dataclass(frozen=True, slots=True)
class Node:
    """A value of the file: what it is, where it and its key stand, and how it was written.

    `path` names it in the file, so that after a merge it still says which section it is from.
    `source` is the text before interpolation, for values that contained `${…}`.
    """

    value: Scalar | list[Node] | dict[str, Node]
    at: Place
    path: Path
    key: Place | None = None
    text: str = ""
    quoted: bool = False
    source: str = ""

    @property
    def place(self) -> Place:
        """Where the key stands, for want of one the value."""
        return self.key or self.at

    @property
    def items(self) -> dict[str, Node]:
        """The members of a mapping; none for anything else."""
        return self.value if isinstance(self.value, dict) else {}

    def get(self, *path: str | int) -> Node | None:
        """Return the node at `path` below this one."""
        node = self
        for step in path:
            if isinstance(node.value, list):
                below = dict(enumerate(node.value)).get(step) if isinstance(step, int) else None
            else:
                below = node.items.get(str(step))
            if below is None:
                return None
            node = below
        return node

    def plain(self) -> Plain:
        """Return the value without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def leaves(self) -> Iterator[Node]:
        """Yield every scalar at or below this node."""
        if isinstance(self.value, dict):
            for node in self.value.values():
                yield from node.leaves()
        elif isinstance(self.value, list):
            for node in self.value:
                yield from node.leaves()
        else:
            yield self


def parse(text: str, found: list[Found]) -> Node:
    """Read one YAML document; duplicate keys and the like are added to `found`.

    Raises NotYamlError where nothing further can be read.
    """
    try:
        loader = yaml.CSafeLoader(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        from kaiun.config.syntax import explain

        line, column, message, hint = explain(error, text)
        raise NotYamlError(Found(Place(line, column), (), message, hint)) from None
    except yaml.YAMLError as error:
        raise NotYamlError(Found(Place(1, 1), (), f"not YAML: {error}")) from None
    except RecursionError:
        raise NotYamlError(Found(Place(1, 1), (), "nested too deeply")) from None
    if root is None:
        hint = "`kaiun init` writes a first one"
        raise NotYamlError(Found(Place(1, 1), (), "the file is empty", hint))
    return Reader(found).read(root, (), None)


class Reader:
    """Turns PyYAML's nodes into ours: resolves scalars, merge keys and aliases."""

    def __init__(self, found: list[Found]) -> None:
        self.found = found
        self.count = 0
        self.above: list[yaml.Node] = []
        self.section = Found(Place(1, 1), (), "")

    def read(self, node: yaml.Node, path: Path, key: Place | None) -> Node:
        """Return `node` as ours. Raises NotYamlError on an alias bomb or a loop."""
        at = place_of(node)
        if len(path) == 1:
            self.section = Found(key or at, path, "")
        self.guard(node)
        if node.tag not in KNOWN_TAGS:
            tag = node.tag.replace(TAG, "!!")
            self.found.append(Found(at, path, f"the tag '{tag}' is not supported", "remove it"))
        self.above.append(node)
        value = self.value(node, path)
        self.above.pop()
        if not isinstance(node, yaml.ScalarNode):
            return Node(value, at, path, key)
        return Node(value, at, path, key, node.value, node.style in QUOTES)

    def guard(self, node: yaml.Node) -> None:
        """Count the values and stop where aliases make too many, or one holds itself."""
        self.count += 1
        hint = "an alias repeats all that stands at its anchor"
        if any(node is each for each in self.above):
            raise NotYamlError(replace(self.section, message="an alias of itself", hint=hint))
        if len(self.above) > DEPTH_MAX:
            raise NotYamlError(replace(self.section, message="nested too deeply"))
        if self.count > NODES_MAX:
            message = f"more than {NODES_MAX} values, aliases included"
            raise NotYamlError(replace(self.section, message=message, hint=hint))

    def value(self, node: yaml.Node, path: Path) -> Scalar | list[Node] | dict[str, Node]:
        """Return what the node holds; scalars by the core schema of YAML 1.2."""
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, i), None) for i, item in enumerate(node.value)]
        if not isinstance(node, yaml.ScalarNode):
            raise TypeError(node)
        text: str = node.value
        return text if node.style in QUOTES or node.tag == f"{TAG}str" else resolve(text)

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Node]:
        """Return the members of a mapping; its own keys win over merged ones."""
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for name, value in node.value:
            at = place_of(name)
            if not isinstance(name, yaml.ScalarNode):
                self.found.append(Found(at, path, "a key must be text"))
            elif name.tag == f"{TAG}merge":
                for source in self.sources(value, path):
                    merged = {**self.mapping(source, path), **merged}
            elif name.value in own:
                first = own[name.value].place
                message = f"'{name.value}' stands here twice, first in line {first.line}"
                self.found.append(Found(at, (*path, name.value), message, "keep one of the two"))
            else:
                own[name.value] = self.read(value, (*path, name.value), at)
        return {**merged, **own}

    def sources(self, node: yaml.Node, path: Path) -> Sequence[yaml.MappingNode]:
        """Return the mappings that a merge key names."""
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        if all(isinstance(source, yaml.MappingNode) for source in nodes):
            return list(nodes)
        message = "'<<' takes a mapping, or a list of mappings"
        self.found.append(Found(place_of(node), path, message, "write `<<: *anchor`"))
        return []


def place_of(node: yaml.Node) -> Place:
    """Return where PyYAML saw the node begin."""
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


def resolve(text: str) -> Scalar:
    """Return the value of an unquoted scalar: null, true, false, a number, else text."""
    word = text.lower() if text in {text.lower(), text.upper(), text.title()} else text
    if word in WORDS:
        return WORDS[word]
    if INTEGER.fullmatch(text):
        return int(text, 16) if "x" in text else int(text)
    if re.fullmatch(r"[-+]?(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?", text):
        return float(text)
    return text


def moved(node: Node, value: Scalar | list[Node] | dict[str, Node]) -> Node:
    """Return the node with another value, at the same place."""
    return replace(node, value=value)
