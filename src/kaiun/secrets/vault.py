"""What every format can do with the bytes of a file."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from kaiun.entry.vault import VaultError
from kaiun.errors import SecretsError

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one value: its key path, never the value."""

    path: str
    message: str


class Vault(Protocol):
    """One format with its key material. Methods raise VaultError."""

    def decrypt(self, data: bytes) -> bytes:
        """Return the plaintext file."""

    def plain(self, data: bytes) -> bytes:
        """Return the plaintext file as one edits it: its layout is that of `data`."""

    def encrypt(self, data: bytes) -> bytes:
        """Return the file with the values under the key paths encrypted, none of them twice."""

    def update(self, data: bytes, plain: bytes) -> bytes:
        """Return `plain` encrypted; values that `data` has too keep their ciphertext."""

    def rotate(self, data: bytes, fresh: Vault) -> bytes:
        """Return the file with every value encrypted anew, by `fresh` of the same format."""

    def check(self, data: bytes) -> list[Problem]:
        """Return what is wrong, in the order of the file."""


@contextmanager
def told(where: str, hint: str = "") -> Iterator[None]:
    """Turn a VaultError into a SecretsError about the file `where`."""
    try:
        yield
    except VaultError as error:
        named = f"{error.where}: {error.message}" if error.where else error.message
        raise SecretsError(named, where=where, hint=hint) from None
