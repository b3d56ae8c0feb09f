"""kaiun's own format, the writing side. The format is described in kaiun.entry.vault.token."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from kaiun.entry.vault import VaultError, kaiunvault
from kaiun.entry.vault.document import BLOCK_STYLES
from kaiun.entry.vault.keypath import patterns, protects, show
from kaiun.entry.vault.token import Keys, Place, resembles
from kaiun.secrets import values
from kaiun.secrets.vault import Problem, Vault

if TYPE_CHECKING:
    from kaiun.entry.vault.document import Document, Scalar
    from kaiun.entry.vault.keypath import Pattern
    from kaiun.entry.vault.splice import Edit

SECOND_TIME = "is encrypted already; change it with `kaiun secrets edit`"


class KaiunVault:
    """Values are tokens. Without key paths: encrypt all, open all tokens there are."""

    def __init__(self, keys: Keys, chosen: tuple[Pattern, ...] = ()) -> None:
        self.keys = keys
        self._patterns = chosen

    def decrypt(self, data: bytes) -> bytes:
        return kaiunvault.open_file(data, self.keys, self._patterns)

    def plain(self, data: bytes) -> bytes:
        return kaiunvault.open_file(data, self.keys)

    def encrypt(self, data: bytes) -> bytes:
        document = values.read(data)
        protected = values.chosen_by(self._patterns or patterns("$"), document)
        chosen = [scalar for scalar in document.scalars if protected(scalar)]
        for scalar in chosen:
            if resembles(scalar.value):
                raise VaultError(SECOND_TIME, show(scalar.path))
        return values.splice(document, [self._seal(document, scalar) for scalar in chosen])

    def update(self, data: bytes, plain: bytes) -> bytes:
        old, new = values.read(data), values.read(plain)
        protected = values.like_before(old, lambda scalar: resembles(scalar.value))
        if self._patterns:
            protected = values.chosen_by(self._patterns, new)
        known = {
            address: (scalar.value, kaiunvault.open_scalar(scalar, self.keys), scalar.in_flow)
            for address, scalar in values.addressed(old.scalars)
            if resembles(scalar.value)
        }
        edits = []
        for address, scalar in values.addressed(new.scalars):
            if resembles(scalar.value):
                raise VaultError(SECOND_TIME, show(scalar.path))
            token, opened, in_flow = known.get(address, ("", None, False))
            same = opened == (scalar.parent, values.source(new.text, scalar))
            if same and in_flow == scalar.in_flow:
                edits.append(_put(new, scalar, token))
            elif protected(scalar):
                edits.append(self._seal(new, scalar))
        return values.splice(new, edits)

    def rotate(self, data: bytes, fresh: Vault) -> bytes:
        keys = cast("KaiunVault", fresh).keys
        document = values.read(data)
        edits = []
        for scalar in kaiunvault.tokens(document, self._patterns):
            column, text = kaiunvault.open_scalar(scalar, self.keys)
            token = keys.seal(text, column, _place(scalar))
            edits.append([(scalar.start, scalar.end, token)])
        return values.splice(document, edits)

    def check(self, data: bytes) -> list[Problem]:
        document = values.read(data)
        problems = [
            Problem(pattern.text, "no value has this key path")
            for pattern in values.unmatched(self._patterns, document)
        ]
        found = [scalar for scalar in document.scalars if resembles(scalar.value)]
        if not found and not self._patterns:
            problems.append(Problem("$", "nothing is encrypted"))
        for scalar in document.scalars:
            message = self._wrong(scalar)
            if message:
                problems.append(Problem(show(scalar.path), message))
        return problems

    def _wrong(self, scalar: Scalar) -> str:
        if not resembles(scalar.value):
            return "is plaintext" if protects(self._patterns, scalar.path) else ""
        try:
            _, text = kaiunvault.open_scalar(scalar, self.keys)
        except VaultError as error:
            return error.message
        return "is encrypted twice" if resembles(text.strip("'\"")) else ""

    def _seal(self, document: Document, scalar: Scalar) -> list[Edit]:
        text = values.source(document.text, scalar)
        return _put(document, scalar, self.keys.seal(text, scalar.parent, _place(scalar)))


def _put(document: Document, scalar: Scalar, token: str) -> list[Edit]:
    """Return the edits that put a token in the place of a value."""
    if scalar.style in BLOCK_STYLES:
        header_end, line_end = values.header(document.text, scalar)
        return [(scalar.start, header_end, token), (line_end, scalar.end, "")]
    gap = " " if scalar.start == scalar.end else ""
    return [(scalar.start, scalar.end, gap + token)]


def _place(scalar: Scalar) -> Place:
    return Place(scalar.path, scalar.document, in_flow=scalar.in_flow)
