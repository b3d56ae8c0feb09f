"""The one error of the vault formats."""

from __future__ import annotations


class VaultError(Exception):
    """A vault file that does not open. Names the place, never a value.

    `where` is a key path (`$.production.password`) or "line:column", "" for the whole file.
    """

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(f"{where}: {message}" if where else message)
        self.message = message
        self.where = where
