"""Write files whole: who reads one finds what was there before, or all of what is new."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def replace(
    path: Path, data: bytes | str, *, mode: int | None = None, synced: bool = False
) -> None:
    """Write a file beside its place, and give it its name in one step.

    `mode` is exact, and nobody else can read the file before it has it; without it the file gets
    the mode of new files. With `synced` it is on the disk before it has its name. Raises OSError,
    and leaves nothing behind then; the folder has to be there.
    """
    scratch = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        descriptor = os.open(scratch, flags, 0o666 if mode is None else 0o600)
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(descriptor, mode)
            file.write(data.encode() if isinstance(data, str) else data)
            if synced:
                file.flush()
                os.fsync(descriptor)
        scratch.replace(path)
    except BaseException:
        with suppress(OSError):
            scratch.unlink()
        raise
