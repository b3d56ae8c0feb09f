"""Write files that were not there, all of them or none."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kaiun.errors import UsageError


@dataclass(frozen=True, slots=True)
class Outcome:
    """The names of the files that were written, and of those that were there and stayed."""

    written: tuple[str, ...]
    left: tuple[str, ...]


def sort(root: Path, names: Collection[str], replace: Collection[str] = ()) -> Outcome:
    """Return what would be written: a file that is there stays, unless it is to be replaced."""
    left = tuple(name for name in names if name not in replace and os.path.lexists(root / name))
    return Outcome(tuple(name for name in names if name not in left), left)


def write(root: Path, files: Mapping[str, str], replace: Collection[str] = ()) -> Outcome:
    """Write the files into the folder.

    All are staged beside their places first. One that appears in the meantime stays too. Raises
    UsageError, and leaves everything as it was, where they cannot be written.
    """
    planned = sort(root, files, replace)
    staged: dict[str, Path] = {}
    placed: list[str] = []
    try:
        for name in planned.written:
            staged[name] = _stage(root / name, files[name])
        for name, path in staged.items():
            if _place(path, root / name, replaces=name in replace):
                placed.append(name)
    except OSError as error:
        for name in set(placed) - set(replace):
            (root / name).unlink()
        raise UsageError(
            f"cannot be written: {error.strerror}", where=str(error.filename or root)
        ) from None
    finally:
        for path in staged.values():
            with suppress(FileNotFoundError):
                path.unlink()
    return Outcome(tuple(placed), tuple(name for name in files if name not in placed))


def _stage(target: Path, text: str) -> Path:
    path = target.with_name(f".{target.name}.{os.getpid()}")
    with path.open("x", encoding="utf-8") as stream:  # the mode is the one that new files get
        try:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        except BaseException:
            path.unlink()
            raise
    return path


def _place(staged: Path, target: Path, *, replaces: bool) -> bool:
    """Give a staged file its name; return False where another file has it."""
    if replaces:
        staged.replace(target.resolve())
        return True
    try:
        os.link(staged, target)  # a rename would replace
    except FileExistsError:
        return False
    return True
