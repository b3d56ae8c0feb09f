"""Open a yaml_vault file.

What yaml_vault wrote itself comes out as yaml_vault would write it, to the byte. A file with
comments or a layout of its own keeps them: each plaintext takes the place of its ciphertext.
"""

from __future__ import annotations

import re

import yaml

from . import layout, splice
from .document import Document, decode
from .keypath import patterns, protects, show
from .message import NOT_ENCRYPTED
from .problem import VaultError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from .document import Scalar
    from .keypath import Pattern

    class Cryptor(Protocol):
        def open(self, text: str) -> str: ...

        def seal(self, text: str) -> str: ...


DEFAULT_KEY = "$"
_TAGGED = re.compile(r"(!.*?)\s+(.*)\Z", re.ASCII)
_CORE = "tag:yaml.org,2002:"


class Options:
    """Which values, and what stands around them."""

    def __init__(self, options: Mapping[str, object]) -> None:
        keys = options.get("key")
        if keys is not None and not isinstance(keys, (str, list, tuple)):
            raise VaultError(f"key: expected key paths, got {keys!r}")
        self.is_default = not keys
        self.patterns: tuple[Pattern, ...] = patterns(keys or DEFAULT_KEY)
        self.prefix = str(options.get("prefix") or "")
        self.suffix = str(options.get("suffix") or "")

    def inner(self, text: str) -> str:
        """Return the message without prefix and suffix."""
        start = len(self.prefix) if text.startswith(self.prefix) else 0
        end = len(text) - (len(self.suffix) if text.endswith(self.suffix) else 0)
        return text[start : max(start, end)]

    def outer(self, text: str) -> str:
        return f"{self.prefix}{text}{self.suffix}"


def open_file(
    data: bytes, cryptor: Cryptor, options: Options, *, keep_layout: bool = False
) -> bytes:
    """Return the file with its values decrypted. Raises VaultError.

    With `keep_layout` the layout stays even of a file that yaml_vault wrote.
    """
    document = Document(decode(data))
    chosen = select(document, options)
    values = {id(scalar.event): open_value(scalar, cryptor, options) for scalar in chosen}
    if not keep_layout and layout.emit(document.events) == document.text:
        return _emitted(document, values).encode("utf-8")
    edits = [edit for scalar in chosen
             for edit in _edits(document.text, scalar, *values[id(scalar.event)])]  # fmt: skip
    return splice.apply(document.text, edits).encode("utf-8")


def select(document: Document, options: Options) -> list[Scalar]:
    """Return the values under the key paths. Raises VaultError for a path that matches none."""
    for pattern in options.patterns:
        if not any(pattern.matches(scalar.path) for scalar in document.scalars):
            raise VaultError("no value has this key path", pattern.text)
    return [scalar for scalar in document.scalars if protects(options.patterns, scalar.path)]


def open_value(scalar: Scalar, cryptor: Cryptor, options: Options) -> tuple[str, str]:
    """Return tag ("" for none) and text of a value. Raises VaultError with its key path."""
    if scalar.value == "":
        raise VaultError(NOT_ENCRYPTED, show(scalar.path))
    try:
        text = cryptor.open(options.inner(scalar.value))
    except VaultError as error:
        raise VaultError(error.message, show(scalar.path)) from None
    return untagged(text)


def untagged(text: str) -> tuple[str, str]:
    """Return the tag that yaml_vault sees in a decrypted text ("" for none), and the rest."""
    tagged = _TAGGED.match(text)
    return (tagged[1], tagged[2]) if tagged else ("", text)


def _edits(text: str, scalar: Scalar, tag: str, value: str) -> list[splice.Edit]:
    if tag == "!":  # written by kaiun before a text that itself begins like a tag
        tag = ""
    edits = splice.replace(text, scalar, value)
    if not tag or scalar.style:
        return edits
    tagged = splice.retag(text, scalar, tag)
    if scalar.tag:
        return [*edits, *tagged]
    start, end, new = edits[0]
    return [(start, end, f"{tag} {new}" if new else f" {tag}")]


def _emitted(document: Document, values: Mapping[int, tuple[str, str]]) -> str:
    for event in document.events:
        if isinstance(event, yaml.ScalarEvent) and id(event) in values:
            tag, event.value = values[id(event)]
            if tag:
                event.tag = _CORE + tag[2:] if tag.startswith("!!") else tag
                event.implicit = (False, event.implicit[1])
    return layout.emit(document.events)
