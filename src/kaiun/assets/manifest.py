"""What one compile brought out: the files that browsers ask for, and the framework's manifests.

As JSON, format 1:

    {"format": 1, "digest": "64 hex digits", "root": "public",
     "files": [{"path": "assets/application-5f3….css", "size": 1830, "sha256": "…",
                "content_type": "text/css", "encoding": "", "immutable": true}, …],
     "start": [{"path": "public/assets/.sprockets-manifest-….json", "sha256": "…", "text": "{…}"}]}
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from kaiun.errors import AssetsError

FORMAT = 1


@dataclass(frozen=True, slots=True, order=True)
class AssetFile:
    """One file that browsers ask for."""

    path: str  # below `root`: what its URL ends with, and its key in the bucket
    size: int  # bytes
    sha256: str  # 64 hexadecimal digits
    content_type: str  # of what the browser sees: for app.js.gz that of app.js
    encoding: str = ""  # Content-Encoding: "gzip", "br", "zstd" or ""
    immutable: bool = False  # the name holds a fingerprint of the content


@dataclass(frozen=True, slots=True, order=True)
class StartFile:
    """One file that the framework reads when the app starts, such as Sprockets' manifest."""

    path: str  # relative to the image's WORKDIR
    sha256: str
    text: str

    @property
    def data(self) -> bytes:
        """Return the content."""
        return self.text.encode()


@dataclass(frozen=True, slots=True)
class AssetManifest:
    """What one compile brought out; `digest` is that of its inputs."""

    digest: str
    root: str  # the folder, relative to WORKDIR, that the paths of `files` begin at
    files: tuple[AssetFile, ...] = ()  # sorted by path
    start: tuple[StartFile, ...] = ()

    @property
    def sizes(self) -> dict[str, int]:
        """Return each content once: sha256 → bytes."""
        return {file.sha256: file.size for file in self.files}

    def to_json(self) -> str:
        """Return the manifest as JSON, the same for the same content."""
        return json.dumps({"format": FORMAT} | asdict(self), ensure_ascii=False, sort_keys=True)


def from_json(text: str | bytes, *, where: str = "") -> AssetManifest:
    """Read what `to_json` wrote. Raises AssetsError unless it is whole and of this format."""
    try:
        document = json.loads(text)
        if document["format"] != FORMAT:
            raise AssetsError(f"format {document['format']}, not {FORMAT}", where=where)
        files = tuple(AssetFile(**_only(AssetFile, each)) for each in document["files"])
        start = tuple(StartFile(**_only(StartFile, each)) for each in document["start"])
        manifest = AssetManifest(str(document["digest"]), str(document["root"]), files, start)
    except (ValueError, KeyError, TypeError) as problem:
        raise AssetsError("this is no manifest of assets", where=where) from problem
    if any(sha256(each.data) != each.sha256 for each in start):
        raise AssetsError("the manifest of assets is damaged", where=where)
    return manifest


def sentence(new: int, total: int, size: int) -> str:
    """Return how many files are new, and their size: "12 of 300 files new, 1.2 MB"."""
    if not new:
        return f"{total} files, none new"
    told = f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"
    return f"{new} of {total} files new, {told}"


def sha256(data: bytes) -> str:
    """Return the SHA-256 in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _only(kind: type, document: dict[str, Any]) -> dict[str, Any]:
    """Return the members that this version knows."""
    return {each.name: document[each.name] for each in fields(kind) if each.name in document}
