"""yaml_vault's format, the writing side."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from kaiun.entry.vault import VaultError, yamlvault
from kaiun.entry.vault.keypath import protects, show
from kaiun.entry.vault.message import NOT_ENCRYPTED
from kaiun.entry.vault.splice import replace, retag
from kaiun.entry.vault.yamlvault import Options
from kaiun.secrets import values
from kaiun.secrets.kaiunformat import SECOND_TIME
from kaiun.secrets.vault import Problem, Vault

if TYPE_CHECKING:
    from kaiun.entry.vault.document import Document, Scalar
    from kaiun.entry.vault.splice import Edit
    from kaiun.entry.vault.yamlvault import Cryptor

_B64 = r"[A-Za-z0-9+/]+={0,2}"
_MESSAGE = re.compile(rf"{_B64}--(?:[0-9a-f]{{32,128}}|{_B64}--[A-Za-z0-9+/]{{22}}==)")
_LIKE_A_TAG = re.compile(r"!.*?\s+.*\Z", re.ASCII)
TAG_LIKE = "yaml_vault's format would take the beginning of this value for a tag"


class YamlVault:
    """Values are messages of Rails' MessageEncryptor, or of KMS, in their own quotes."""

    def __init__(self, cryptor: Cryptor, options: Options) -> None:
        self.cryptor = cryptor
        self.options = options

    def decrypt(self, data: bytes) -> bytes:
        return yamlvault.open_file(data, self.cryptor, self.options)

    def plain(self, data: bytes) -> bytes:
        return yamlvault.open_file(data, self.cryptor, self.options, keep_layout=True)

    def encrypt(self, data: bytes) -> bytes:
        document = values.read(data)
        chosen = yamlvault.select(document, self.options)
        for scalar in chosen:
            if self._is_message(scalar):
                raise VaultError(SECOND_TIME, show(scalar.path))
        return values.splice(document, [self._seal(document, scalar) for scalar in chosen])

    def update(self, data: bytes, plain: bytes) -> bytes:
        old, new = values.read(data), values.read(plain)
        known = {
            address: (scalar.value, yamlvault.open_value(scalar, self.cryptor, self.options))
            for address, scalar in values.addressed(old.scalars)
            if protects(self.options.patterns, scalar.path)
        }
        protected = values.chosen_by(self.options.patterns, new)
        edits = []
        for address, scalar in values.addressed(new.scalars):
            if not protected(scalar):
                continue
            sealed, opened = known.get(address, ("", None))
            if opened is not None and _text(*opened) == _text(_tag(scalar), scalar.value):
                edits.append(_put(new, scalar, sealed))
            else:
                edits.append(self._seal(new, scalar))
        return values.splice(new, edits)

    def rotate(self, data: bytes, fresh: Vault) -> bytes:
        writer = cast("YamlVault", fresh)
        document = values.read(data)
        edits = []
        for scalar in yamlvault.select(document, self.options):
            tag, text = yamlvault.open_value(scalar, self.cryptor, self.options)
            sealed = writer.sealed(f"{tag} {text}" if tag else text)
            edits.append(replace(document.text, scalar, sealed))
        return values.splice(document, edits)

    def check(self, data: bytes) -> list[Problem]:
        document = values.read(data)
        problems = [
            Problem(pattern.text, "no value has this key path")
            for pattern in values.unmatched(self.options.patterns, document)
        ]
        for scalar in document.scalars:
            if protects(self.options.patterns, scalar.path):
                message = self._wrong(scalar)
                if message:
                    problems.append(Problem(show(scalar.path), message))
        return problems

    def sealed(self, text: str) -> str:
        """Return what stands in the file for a value's text (its tag before it)."""
        return self.options.outer(self.cryptor.seal(text))

    def _wrong(self, scalar: Scalar) -> str:
        try:
            _, text = yamlvault.open_value(scalar, self.cryptor, self.options)
        except VaultError as error:
            return "is plaintext" if error.message == NOT_ENCRYPTED else error.message
        return "is encrypted twice" if _MESSAGE.fullmatch(self.options.inner(text)) else ""

    def _is_message(self, scalar: Scalar) -> bool:
        if _MESSAGE.fullmatch(self.options.inner(scalar.value)):
            return True
        return bool(self.options.prefix) and scalar.value.startswith(self.options.prefix)

    def _seal(self, document: Document, scalar: Scalar) -> list[Edit]:
        tag = _tag(scalar)
        text = _text(tag, scalar.value)
        if yamlvault.untagged(text) not in {(tag, scalar.value), ("!", scalar.value)}:
            raise VaultError(TAG_LIKE, show(scalar.path))
        return _put(document, scalar, self.sealed(text))


def _put(document: Document, scalar: Scalar, sealed: str) -> list[Edit]:
    edits = replace(document.text, scalar, sealed)
    if scalar.tag and scalar.start == scalar.end:
        start = scalar.tag_start
        return [(start, start + len(scalar.tag), sealed)]
    return [*edits, *retag(document.text, scalar, "")] if _tag(scalar) else edits


def _tag(scalar: Scalar) -> str:
    """Return the tag that travels inside the message; `!` and those before quotes do not."""
    return "" if scalar.tag == "!" or (scalar.tag and scalar.style) else scalar.tag


def _text(tag: str, value: str) -> str:
    """Return what is encrypted. A text that begins like a tag gets the tag `!` before it."""
    if tag and tag != "!":
        return f"{tag} {value}"
    return f"! {value}" if _LIKE_A_TAG.match(value) else value
