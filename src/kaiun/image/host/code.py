"""What the worker needs on the host: kaiun's own source, and the packages it is built upon."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import kaiun

# What a build is made of; the rest (deploy, the local ECS, …) stays where the developer is.
ROOMS = ("config", "image", "assets", "cpu", "entry", "local", "secrets")
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Code:
    """kaiun's source for the host, known by its content."""

    digest: str
    files: tuple[tuple[str, bytes], ...]

    def archive(self) -> bytes:
        """Return a zip archive: the same files, the same bytes."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in self.files:
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
        return buffer.getvalue()


@cache
def code() -> Code:
    """Return the source of the kaiun that runs here."""
    top = Path(kaiun.__file__).parent
    paths = [*top.glob("*.py"), *(path for room in ROOMS for path in (top / room).rglob("*"))]
    files = tuple(
        (str(path.relative_to(top.parent)), path.read_bytes())
        for path in sorted(paths)
        if path.is_file() and path.suffix != ".pyc"
    )
    digest = hashlib.sha256()
    for name, data in files:
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
    return Code(digest.hexdigest()[:32], files)


def requirements() -> str:
    """Return the packages of the host's virtual environment, pinned with their hashes."""
    return resources.files("kaiun.image.host").joinpath("requirements.txt").read_text("utf-8")


def environment() -> str:
    """Return the name of the virtual environment that holds exactly these packages."""
    return hashlib.sha256(requirements().encode()).hexdigest()[:16]
