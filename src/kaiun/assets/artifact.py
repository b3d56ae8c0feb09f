"""What was compiled, as an OCI artifact in the app's own repository, found by its digest.

So a build anywhere finds what was compiled before, and a deploy anywhere can publish it. The
config blob is the manifest of the assets, the one layer a tar of their contents, named by SHA-256.
Nothing is under the tag until all of it is there.

Source: OCI image specification 1.1, "Guidelines for Artifact Usage".
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from kaiun.assets.manifest import AssetManifest, from_json, sha256
from kaiun.errors import AssetsError
from kaiun.image import upload
from kaiun.image.compression import expanded

if TYPE_CHECKING:
    from kaiun.assets.store import Store
    from kaiun.image.reference import Reference
    from kaiun.image.registry import Registry

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
ARTIFACT_TYPE = "application/vnd.kaiun.assets.v1"
CONFIG_TYPE = "application/vnd.kaiun.assets.manifest.v1+json"
CREATED = "org.opencontainers.image.created"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
_LEVEL = 3  # of gzip: most of it is compressed already, or small

Descriptor = dict[str, Any]


def tag(digest: str) -> str:
    """Return the tag of a digest of inputs."""
    return f"assets-{digest[:40]}"


def find(
    registry: Registry, repository: Reference, digest: str, store: Store | None = None
) -> AssetManifest | None:
    """Return what was compiled from these inputs, None where the registry has not all of it.

    What `store` has of it is not fetched. Raises ImageError when the registry cannot be asked.
    """
    found = registry.manifest(repository, tag(digest))
    if not found or found.get("artifactType", ARTIFACT_TYPE) != ARTIFACT_TYPE:
        return None
    config, layer = _parts(found, repository)
    if registry.blob_size(repository, layer["digest"]) != layer["size"]:
        return None
    manifest = _kept(store, digest, config)
    if manifest is None:
        if registry.blob_size(repository, config["digest"]) is None:
            return None
        text = registry.blob(repository, config["digest"])
        manifest = from_json(text, where=f"{repository.name}:{tag(digest)}")
    return manifest if manifest.digest == digest else None


def push(registry: Registry, repository: Reference, manifest: AssetManifest, store: Store) -> str:
    """Upload what `store` has of the manifest; return the digest of the artifact.

    Raises ImageError when the registry refuses; nothing is under the tag then.
    """
    text = manifest.to_json().encode()
    config = _descriptor(CONFIG_TYPE, f"sha256:{sha256(text)}", len(text))
    with tempfile.TemporaryFile(prefix="kaiun-assets-") as file:
        layer = _pack(manifest, store, file)
        upload.put_blob(registry, repository, layer["digest"], file)
    upload.put_blob(registry, repository, config["digest"], io.BytesIO(text))
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": ARTIFACT_TYPE,
        "config": config,
        "layers": [layer],
        "annotations": {CREATED: datetime.now(UTC).isoformat(timespec="seconds")},
    }
    body = json.dumps(document).encode()
    return upload.put_manifest(registry, repository, tag(manifest.digest), body, MANIFEST_TYPE)


@contextmanager
def files(
    registry: Registry, repository: Reference, manifest: AssetManifest, store: Store
) -> Iterator[Path]:
    """Yield a folder that holds each content of the manifest, whole, named by its SHA-256.

    Raises AssetsError when the registry does not have it all, ImageError when it cannot be asked.
    """
    if not store.has(manifest):
        fetch(registry, repository, manifest.digest, store)
        if not store.has(manifest):
            where = f"{repository.name}:{tag(manifest.digest)}"
            hint = "compile them anew: kaiun build --no-cache=assets"
            raise AssetsError("the registry has not all of the assets", where=where, hint=hint)
    yield store.blobs


def fetch(registry: Registry, repository: Reference, digest: str, store: Store) -> None:
    """Download all contents of an artifact into the store. Raises ImageError, AssetsError."""
    place = replace(repository, tag=tag(digest))
    where = f"{place.name}:{place.tag}"
    found = registry.manifest(repository, place.tag)
    if not found:
        raise AssetsError(
            "the registry has no such assets", where=where, hint="build the commit again"
        )
    _, layer = _parts(found, repository)
    with tempfile.TemporaryFile(prefix="kaiun-assets-") as file:
        registry.download(repository, layer["digest"], file)
        file.seek(0)
        try:
            with tarfile.open(fileobj=expanded(file, where), mode="r|") as tar:
                for member in tar:
                    if source := tar.extractfile(member):
                        store.add(source)  # type: ignore[arg-type]
        except tarfile.TarError as problem:
            raise AssetsError("what the registry has is no assets", where=where) from problem


def _pack(manifest: AssetManifest, store: Store, file: IO[bytes]) -> Descriptor:
    """Write the layer: the same contents, the same bytes. Raises AssetsError."""
    with (
        gzip.GzipFile(
            fileobj=file, mode="wb", compresslevel=_LEVEL, mtime=0, filename=""
        ) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for name, size in sorted(manifest.sizes.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = size, 0o644
            try:
                with store.path(name).open("rb") as source:
                    tar.addfile(member, source)
            except OSError as problem:
                where = str(store.path(name))
                raise AssetsError("what was compiled is not there", where=where) from problem
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    size = file.seek(0, io.SEEK_END)
    return _descriptor(LAYER_TYPE, f"sha256:{digest}", size)


def _kept(store: Store | None, digest: str, config: Descriptor) -> AssetManifest | None:
    """Return the manifest that the store has, if it is the one that the registry has."""
    manifest = store.manifest(digest) if store else None
    if manifest and f"sha256:{sha256(manifest.to_json().encode())}" == config["digest"]:
        return manifest
    return None


def _parts(found: dict[str, Any], repository: Reference) -> tuple[Descriptor, Descriptor]:
    try:
        config, (layer,) = found["config"], found["layers"]
        if {"digest", "size"} <= config.keys() and {"digest", "size"} <= layer.keys():
            return config, layer
    except (KeyError, TypeError, ValueError, AttributeError):
        pass
    raise AssetsError("what the registry has is no assets", where=repository.name)


def _descriptor(media_type: str, digest: str, size: int) -> Descriptor:
    return {"mediaType": media_type, "digest": digest, "size": size}
