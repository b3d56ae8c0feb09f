"""Write files whole, or not at all."""

from __future__ import annotations

from pathlib import Path

from kaiun.errors import SecretsError
from kaiun.files import replace

PRIVATE = 0o600
BYTES_MAX = 4 << 20


def read(file: Path) -> bytes:
    """Return a file's bytes. Raises SecretsError."""
    try:
        with file.open("rb") as stream:
            data = stream.read(BYTES_MAX + 1)
    except OSError as error:
        raise SecretsError(f"cannot be read: {error.strerror}", where=str(file)) from None
    if len(data) > BYTES_MAX:
        raise SecretsError(f"larger than {BYTES_MAX >> 20} MiB", where=str(file))
    return data


def write(file: Path, data: bytes, *, private: bool = False) -> None:
    """Replace a file in one step. A private one is 0600 from its first byte on.

    Any other keeps the mode it has, or gets the one that new files get. A symbolic link stays:
    what it points to is replaced.
    """
    target = file.resolve()
    try:
        replace(target, data, mode=PRIVATE if private else _mode(target), synced=True)
    except OSError as error:
        raise SecretsError(f"cannot be written: {error.strerror}", where=str(file)) from None


def _mode(target: Path) -> int | None:
    try:
        return target.stat().st_mode & 0o7777
    except OSError:
        return None
