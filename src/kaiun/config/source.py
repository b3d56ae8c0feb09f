"""Find kaiun.yml and read its text, whatever stands in its place."""

from __future__ import annotations

import os
import re
from pathlib import Path

from kaiun.errors import ConfigError, ConfigErrors

FILE = "kaiun.yml"
BYTES_MAX = 1 << 20
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")


def discover(start: Path) -> Path:
    """Return the kaiun.yml of `start` or of a directory above it, inside the git work tree.

    Raises ConfigErrors that say where it was looked for.
    """
    start = start.absolute()
    looked: list[Path] = []
    for folder in (start, *start.parents):
        looked.append(folder)
        if (folder / FILE).exists():
            return folder / FILE
        if (folder / ".git").exists():
            break
    places = f"{start}" if len(looked) == 1 else f"{start} and above, up to {looked[-1]}"
    raise _no(f"there is no {FILE}", FILE, f"looked in {places}; `kaiun init` writes one")


def read(path: Path) -> str:
    """Return the text of the file. Raises ConfigErrors where there is none."""
    where = label(path)
    try:
        if path.is_dir():
            raise _no("expected a file, got a directory", where, f"name {path / FILE}")
        if path.stat().st_size > BYTES_MAX:
            raise _no("the file is larger than 1 MiB", where, "this is no configuration")
        data = path.read_bytes()
    except FileNotFoundError:
        hint = f"looked for {path.absolute()}; `kaiun init` writes one"
        raise _no("there is no such file", where, hint) from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise _no(f"cannot be read: {reason}", where, "look at its permissions") from None
    return _decoded(data, where)


def label(path: Path) -> str:
    """Return the path as a reader would write it, relative where it is near."""
    near = os.path.relpath(path)
    return near if near.count("..") <= len(Path.cwd().parts) // 2 and _near(path) else str(path)


def _near(path: Path) -> bool:
    here, folder = Path.cwd(), path.absolute().parent
    return here.is_relative_to(folder) or folder.is_relative_to(here)


def _decoded(data: bytes, where: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        message = f"not UTF-8: the byte 0x{data[error.start]:02x}"
        raise _no(message, f"{where}:{_place(before)}", "save the file as UTF-8") from None
    if control := CONTROL.search(text):
        message = f"the character U+{ord(control[0]):04X} is not allowed"
        place = _place(text[: control.start()])
        hint = "this looks like a binary file" if "\0" in text else "remove it"
        raise _no(message, f"{where}:{place}", hint)
    return text


def _place(before: str) -> str:
    lines = before.split("\n")
    return f"{len(lines)}:{len(lines[-1]) + 1}"


def _no(message: str, where: str, hint: str) -> ConfigErrors:
    return ConfigErrors([ConfigError(message, where=where, hint=hint)])
