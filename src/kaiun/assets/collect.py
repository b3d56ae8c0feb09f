"""What a compile left behind becomes a manifest. Pure but for reading the files."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from kaiun.assets import frameworks, types
from kaiun.assets.manifest import AssetFile, AssetManifest, StartFile, sha256


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds."""

    sha256: str
    size: int  # bytes


def manifest(
    digest: str, root: str, output: Mapping[str, Content], read: Callable[[str], bytes]
) -> AssetManifest:
    """Return the manifest of an output: path relative to WORKDIR → content.

    The framework's manifests are for the app alone: browsers are not given them.
    """
    found = frameworks.manifests(output.keys(), read)
    start = tuple(sorted(_start(each, read(each.path)) for each in found))
    hidden = {variant for each in found for variant in (each.path, *_variants(each.path))}
    kept = {
        path: content
        for path, content in output.items()
        if path not in hidden and posixpath.basename(path) not in frameworks.LEFT_OUT
    }
    return AssetManifest(digest, root, tuple(sorted(_files(kept, root, found))), start)


def _files(
    output: Mapping[str, Content], root: str, found: list[frameworks.Manifest]
) -> Iterable[AssetFile]:
    base = "" if posixpath.normpath(root) == "." else f"{posixpath.normpath(root)}/"
    for path, content in output.items():
        kind, encoding = types.content(path, output)
        immutable = frameworks.is_fingerprinted(path, found)
        name = path.removeprefix(base)
        yield AssetFile(name, content.size, content.sha256, kind, encoding, immutable)


def _start(found: frameworks.Manifest, data: bytes) -> StartFile:
    return StartFile(found.place, sha256(data), data.decode())


def _variants(path: str) -> Iterable[str]:
    return (path + ending for ending in types.ENCODINGS)
