"""What the formats that encrypt single values have in common: which values, and splicing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from kaiun.entry.vault import VaultError
from kaiun.entry.vault.document import BLOCK_STYLES, Document, Scalar, decode
from kaiun.entry.vault.keypath import protects, show
from kaiun.entry.vault.splice import apply

if TYPE_CHECKING:
    from kaiun.entry.vault.keypath import Path, Pattern
    from kaiun.entry.vault.splice import Edit

    Address = tuple[int, int, Path]  # document, how many before it have the same path, path

Protected = Callable[[Scalar], bool]


def read(data: bytes) -> Document:
    return Document(decode(data))


def addressed(scalars: Sequence[Scalar]) -> Iterator[tuple[Address, Scalar]]:
    """Yield each value with an address of its own, also where a mapping has a key twice."""
    seen: dict[tuple[int, Path], int] = {}
    for scalar in scalars:
        place = (scalar.document, scalar.path)
        yield (scalar.document, seen.get(place, 0), scalar.path), scalar
        seen[place] = seen.get(place, 0) + 1


def chosen_by(patterns: Sequence[Pattern], document: Document) -> Protected:
    """Return which values the key paths protect. Raises VaultError for a path without a value."""
    if missing := unmatched(patterns, document):
        raise VaultError("no value has this key path", missing[0].text)
    return lambda scalar: protects(patterns, scalar.path)


def unmatched(patterns: Sequence[Pattern], document: Document) -> list[Pattern]:
    return [
        pattern
        for pattern in patterns
        if not any(pattern.matches(scalar.path) for scalar in document.scalars)
    ]


def like_before(old: Document, is_encrypted: Protected) -> Protected:
    """Return which values to protect where no key path says it: as it was in the old file.

    A new value is protected when all values were that stood under the nearest collection
    which the old file has too.
    """
    before = {(one.document, one.path): is_encrypted(one) for one in old.scalars}

    def protected(scalar: Scalar) -> bool:
        known = before.get((scalar.document, scalar.path))
        if known is not None:
            return known
        for length in range(len(scalar.path) - 1, -1, -1):
            under = [sealed for (_, path), sealed in before.items()
                     if path[:length] == scalar.path[:length] and len(path) > length]  # fmt: skip
            if under:
                return all(under)
        return True

    return protected


def splice(document: Document, edits: Sequence[list[Edit]]) -> bytes:
    text = apply(document.text, [edit for some in edits for edit in some])
    return text.encode("utf-8")


def source(text: str, scalar: Scalar) -> str:
    """Return a value as it stands in the file; of a block scalar without its header's comment."""
    if scalar.style not in BLOCK_STYLES:
        return text[scalar.start : scalar.end]
    header_end, line_end = header(text, scalar)
    return text[scalar.start : header_end] + text[line_end : scalar.end]


def header(text: str, scalar: Scalar) -> tuple[int, int]:
    """Return where the indicators of a block scalar end, and where its first line does."""
    first = text[scalar.start : scalar.end].partition("\n")[0]
    rest = first.lstrip("|>+-0123456789")
    return (
        scalar.start + len(first) - len(rest),
        scalar.start + len(first.removesuffix("\r")),
    )


def named(error: VaultError, scalar: Scalar) -> VaultError:
    return VaultError(error.message, show(scalar.path))
