"""Rails' encrypted credentials, the writing side: the whole file is one message."""

from __future__ import annotations

from typing import cast

from kaiun.entry.vault import VaultError, credentials, message, payload
from kaiun.entry.vault.document import MAX_BYTES
from kaiun.secrets.vault import Problem, Vault


class RailsVault:
    """`config/credentials*.yml.enc` with its master key."""

    def __init__(self, key: str) -> None:
        self._raw = credentials.key_bytes(key)
        self._key = key

    def decrypt(self, data: bytes) -> bytes:
        return credentials.open_file(data, self._key)[0]

    plain = decrypt

    def encrypt(self, data: bytes) -> bytes:
        if self._opens(data):
            raise VaultError("is encrypted already; change it with `kaiun secrets edit`")
        return self.seal(payload.dump(_checked(data)))

    def update(self, data: bytes, plain: bytes) -> bytes:
        if not data:
            return self.encrypt(plain)
        old, frame = credentials.open_file(data, self._key)
        return data if old == plain else self.seal(payload.dump(_checked(plain), frame))

    def rotate(self, data: bytes, fresh: Vault) -> bytes:
        text, frame = credentials.open_file(data, self._key)
        return cast("RailsVault", fresh).seal(payload.dump(text, frame))

    def check(self, data: bytes) -> list[Problem]:
        try:
            text = self.decrypt(data)
        except VaultError as error:
            return [Problem("$", error.message)]
        return [Problem("$", "is encrypted twice")] if self._opens(text) else []

    def seal(self, wrapped: bytes) -> bytes:
        """Return the file of a payload. Rails writes it without a line break at its end."""
        return message.seal(credentials.CIPHER, self._raw, wrapped).encode("ascii")

    def _opens(self, data: bytes) -> bool:
        try:
            self.decrypt(data)
        except VaultError:
            return False
        return True


def _checked(data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise VaultError(f"larger than {MAX_BYTES >> 20} MiB")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        raise VaultError("not UTF-8 text") from None
    return data
