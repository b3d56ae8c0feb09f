"""The files of an image, for the CPU scanner: read from the engine here, or from a registry.

A layer is known by its diff id, the digest of what it holds. Only layers that no scan has seen are
read: where overlayfs keeps them on this machine, if that may be read (root); else by a stream of
`docker save`; from a registry one blob after the other.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, cast

from kaiun.cpu import tree
from kaiun.cpu.levels import ARM, X86
from kaiun.cpu.scan import files_of_layers
from kaiun.errors import ImageError
from kaiun.image import overlay, probe
from kaiun.image.compression import expanded

if TYPE_CHECKING:
    from kaiun.cpu.examiner import Examiner
    from kaiun.cpu.report import File
    from kaiun.cpu.store import Store
    from kaiun.image.client import Client
    from kaiun.image.reference import Reference
    from kaiun.image.registry import Registry

Layers = Mapping[str, tree.Layer]
_BLOCK = 1 << 20
_PLATFORMS = {X86: "amd64", ARM: "arm64"}  # OCI's names, in order of preference


def of_engine(
    client: Client,
    image: str,
    store: Store,
    *,
    look: bool = True,
    said: Mapping[str, Any] | None = None,
) -> list[File] | None:
    """Return the files of an image that the engine has; None where it has none of that name.

    Without `look` the engine's own folders are not looked into; `said` is what the engine says of
    the image, where that is known. Raises ImageError.
    """
    found = said or probe.said(client, image)
    if found is None:
        return None
    diff_ids = found["RootFS"].get("Layers") or []

    def read(missing: Sequence[str], examiner: Examiner) -> Layers:
        own = overlay.folders(found, diff_ids) if look else None
        if own is None:
            return _saved(client, found["Id"], missing, examiner)
        return {each: tree.from_folder(own[each], examiner, overlay=True) for each in missing}

    return files_of_layers(store, diff_ids, read)


def of_registry(
    registry: Registry, reference: Reference, store: Store, architecture: str = ""
) -> list[File]:
    """Return the files of an image in a registry, by digest or tag.

    Of an image for several platforms those for Linux on `architecture` (levels.X86 or ARM);
    without one those for x86-64, or for AArch64 where there are none. Raises ImageError.
    """
    diff_ids, blobs = _layers(registry, reference, architecture)

    def read(missing: Sequence[str], examiner: Examiner) -> Layers:
        return {each: _blob(registry, reference, blobs[each], each, examiner) for each in missing}

    return files_of_layers(store, diff_ids, read)


def _saved(
    client: Client, image: str, missing: Sequence[str], examiner: Examiner
) -> dict[str, tree.Layer]:
    """Read layers from `docker save`, which names them by what they hold only at its end.

    So every layer is hashed on its way. Source: OCI image layout; before Docker 25, a folder for
    each layer with layer.tar in it.
    """
    command = [client.program, "image", "save", image]
    found: dict[str, tree.Layer] = {}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=client.environment()
    ) as process:
        assert process.stdout is not None  # noqa: S101 (it is a pipe)
        with tarfile.open(fileobj=process.stdout, mode="r|") as outer:
            for member in outer:
                if member.isreg() and _may_be_layer(member.name, missing):
                    content = cast("IO[bytes]", outer.extractfile(member))
                    diff_id, layer = _hashed(content, examiner, image)
                    if layer:
                        found[diff_id] = layer
        while process.stdout.read(_BLOCK):
            pass
    lost = [each for each in missing if each not in found]
    if lost:
        raise ImageError("docker save did not give all layers", where=image, detail=lost[:3])
    return {each: found[each] for each in missing}


def _may_be_layer(name: str, missing: Sequence[str]) -> bool:
    """Whether a file of `docker save` can be a layer that is wanted."""
    if name.startswith("blobs/sha256/"):  # uncompressed ones are named by their diff id
        return True
    return name.endswith("/layer.tar") and bool(missing)


def _hashed(content: IO[bytes], examiner: Examiner, where: str) -> tuple[str, tree.Layer | None]:
    """Read one layer, compressed or not; return its diff id, and None if it is no tar."""
    stream = _Hashing(expanded(content, where))
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|") as tar:
            layer = tree.from_tar(tar, examiner)
    except tarfile.ReadError:
        return "", None  # the image's configuration or a manifest
    while stream.read(_BLOCK):
        pass
    return "sha256:" + stream.digest.hexdigest(), layer


class _Hashing:
    """Reads through, and hashes what was read."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self.digest.update(data)
        return data


def _layers(
    registry: Registry, reference: Reference, architecture: str
) -> tuple[list[str], dict[str, str]]:
    """Return the diff ids of an image, lowest first, and the digest of each one's blob."""
    manifest = _manifest(registry, reference, architecture)
    try:
        config = json.loads(registry.blob(reference, manifest["config"]["digest"]))
        diff_ids = list(config["rootfs"]["diff_ids"])
        digests = [str(layer["digest"]) for layer in manifest["layers"]]
        return diff_ids, dict(zip(diff_ids, digests, strict=True))
    except (ValueError, KeyError, TypeError) as problem:
        raise ImageError("what the registry has is no image", where=_shown(reference)) from problem


def _manifest(registry: Registry, reference: Reference, architecture: str) -> dict[str, Any]:
    """Return the image's manifest, of an image for several platforms that of the architecture."""
    name = reference.digest or reference.tag or "latest"
    manifest = registry.manifest(reference, name)
    if manifest and "manifests" in manifest:
        digest = _chosen(manifest["manifests"], architecture)
        if not digest:
            known = architecture or " or ".join(_PLATFORMS)
            raise ImageError(f"the image is not for Linux on {known}", where=_shown(reference))
        manifest = registry.manifest(reference, digest)
    if not manifest:
        raise ImageError("neither the engine nor the registry has it", where=_shown(reference))
    return manifest


def _chosen(entries: Sequence[Mapping[str, Any]], architecture: str) -> str:
    """Return the digest of the manifest for an architecture, "" where there is none."""
    platforms = [(entry.get("platform") or {}, entry["digest"]) for entry in entries]
    of_linux = {p.get("architecture"): d for p, d in platforms if p.get("os") == "linux"}
    wanted = [_PLATFORMS[architecture]] if architecture else [*_PLATFORMS.values()]
    return next((of_linux[name] for name in wanted if name in of_linux), "")


def _blob(
    registry: Registry, reference: Reference, digest: str, diff_id: str, examiner: Examiner
) -> tree.Layer:
    """Read one layer. Other images may have it too: it must be what the diff id says."""
    where = f"{_shown(reference)}, layer {digest}"
    with tempfile.TemporaryFile(prefix="kaiun-layer-") as file:
        registry.download(reference, digest, file)
        file.seek(0)
        found, layer = _hashed(file, examiner, where)
    if layer is None:
        raise ImageError("a layer is no tar, or not all of one", where=where)
    if found != diff_id:
        raise ImageError("a layer is not what the image's configuration says", where=where)
    return layer


def _shown(reference: Reference) -> str:
    digest = f"@{reference.digest}" if reference.digest else ""
    return f"{reference.name}{':' + reference.tag if reference.tag else ''}{digest}"
