"""The files of a layer, a folder or a whole image: which ELF files, of which package.

Layers are read once: what counts of one is kept as JSON under its diff id. Put on top of each
other they give the image's files: a file that a later layer deletes or replaces does not count.
Source: OCI image specification, "Image Layer Filesystem Changeset" (whiteouts).
"""

from __future__ import annotations

import json
import os
import tarfile
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kaiun.cpu import overlayfs, packages
from kaiun.cpu.examiner import OnDisk

if TYPE_CHECKING:
    from kaiun.cpu.examiner import Examiner

_MAGIC = b"\x7fELF"
_SMALLEST = 64  # bytes of an ELF header
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"


@dataclass(slots=True)
class Layer:
    """What one layer changes. Paths begin with "/"; `packages` is about `files` alone."""

    # ELF files: path → digest, "" until the examiner has finished
    files: dict[str, str] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)  # all that is neither ELF nor a folder
    gone: set[str] = field(default_factory=set)
    opaque: set[str] = field(default_factory=set)  # folders that hide what was in them
    packages: dict[str, str] = field(default_factory=dict)

    def dump(self) -> str:
        squeezed = zlib.compress("\n".join(sorted(self.others)).encode("utf-8", "surrogateescape"))
        return json.dumps(
            {
                "files": self.files,
                "others": b64encode(squeezed).decode(),
                "gone": sorted(self.gone),
                "opaque": sorted(self.opaque),
                "packages": self.packages,
            }
        )


def load(text: str) -> Layer:
    """Read what `Layer.dump` wrote."""
    raw = json.loads(text)
    others = zlib.decompress(b64decode(raw["others"])).decode("utf-8", "surrogateescape")
    return Layer(
        raw["files"], set(others.split("\n")), set(raw["gone"]), set(raw["opaque"]), raw["packages"]
    )


@dataclass(slots=True)
class Collector:
    """Takes the entries of one layer, in any order, and gives a Layer."""

    examiner: Examiner
    layer: Layer = field(default_factory=Layer)
    _lists: dict[str, str] = field(default_factory=dict)

    def file(self, path: str, size: int, read: Callable[[int], bytes]) -> None:
        """Take a file; `read(-1)` gives the rest of its bytes, `read(4)` the first ones."""
        head = read(4) if size >= _SMALLEST else b""
        if head == _MAGIC:
            self.layer.files[path] = self.examiner.add(head + read(-1))
        else:
            self._other(path, lambda: head + read(-1))

    def opened(self, path: str, descriptor: int, on_disk: str) -> None:
        """Take a file on disk that is open: the examiner reads it by its path there."""
        head = os.read(descriptor, _SMALLEST)
        if len(head) == _SMALLEST and head.startswith(_MAGIC):
            self.layer.files[path] = ""
            told = partial(self.layer.files.__setitem__, path)
            self.examiner.read(OnDisk(on_disk, os.fstat(descriptor).st_size, told))
        else:
            self._other(path, lambda: Path(on_disk).read_bytes())

    def _other(self, path: str, read: Callable[[], bytes]) -> None:
        self.layer.others.add(path)
        if packages.is_list(path):
            self._lists[path] = read().decode("utf-8", "replace")

    def finish(self) -> Layer:
        self.layer.packages = packages.attribute(self.layer.files, self._lists)
        return self.layer


def from_folder(root: Path, examiner: Examiner, *, overlay: bool = False) -> Layer:
    """Read a folder; with `overlay` it is a layer as overlayfs keeps it. Raises OSError."""
    collector, skipped = Collector(examiner), len(str(root))
    for entry in overlayfs.entries(str(root)):
        path = entry.path[skipped:]
        if entry.is_file(follow_symlinks=False):
            descriptor = os.open(entry.path, os.O_RDONLY)
            try:
                collector.opened(path, descriptor, entry.path)
            finally:
                os.close(descriptor)
        elif entry.is_dir(follow_symlinks=False):
            if overlay and overlayfs.is_opaque(entry.path):
                collector.layer.opaque.add(path)
        elif overlay and overlayfs.is_whiteout(entry):
            collector.layer.gone.add(path)
        else:
            collector.layer.others.add(path)
    return collector.finish()


def from_tar(tar: tarfile.TarFile, examiner: Examiner) -> Layer:
    """Read a layer's tar, front to back. Raises tarfile.TarError and OSError."""
    collector = Collector(examiner)
    for member in tar:
        path = "/" + member.name.removeprefix("./").strip("/")
        folder, _, name = path.rpartition("/")
        if name == _OPAQUE:
            collector.layer.opaque.add(folder)
        elif name.startswith(_WHITEOUT):
            collector.layer.gone.add(f"{folder}/{name.removeprefix(_WHITEOUT)}")
        elif member.isreg():
            content = tar.extractfile(member)
            assert content is not None  # noqa: S101 (only of what is no file)
            collector.file(path, member.size, content.read)
        elif member.islnk():  # another name of a file that came before
            _link(collector.layer, path, "/" + member.linkname.removeprefix("./").strip("/"))
        elif not member.isdir():
            collector.layer.others.add(path)
    return collector.finish()


def stacked(layers: Iterable[Layer]) -> dict[str, tuple[str, str]]:
    """Return the ELF files of an image: path → (digest, package). Layers come lowest first."""
    live: dict[str, tuple[str, str]] = {}
    for layer in layers:
        live = {path: kept for path, kept in live.items() if not _hidden(path, layer)}
        live |= {p: (digest, layer.packages.get(p, "")) for p, digest in layer.files.items()}
    return live


def _hidden(path: str, layer: Layer) -> bool:
    """Whether a layer deletes a file, replaces it, or puts something else above it."""
    if path in layer.gone or path in layer.others:
        return True
    above = path.rpartition("/")[0]
    while above:
        if above in layer.gone or above in layer.others or above in layer.opaque:
            return True
        above = above.rpartition("/")[0]
    return "" in layer.opaque


def _link(layer: Layer, path: str, target: str) -> None:
    if target in layer.files:
        layer.files[path] = layer.files[target]
    else:
        layer.others.add(path)
