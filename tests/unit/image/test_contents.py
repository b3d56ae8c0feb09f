"""The files of an image in a registry are read whatever its layers are compressed by."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest
from support import layers
from support.compiled import COUNTS_ZEROS, compiled
from support.fake_registry import FakeRegistry
from support.layers import zstd

from kaiun.cpu import levels, store
from kaiun.errors import ImageError
from kaiun.image import contents
from kaiun.image.reference import parse
from kaiun.image.registry import Registry
from kaiun.image.transport import Transport

INDEX = "application/vnd.oci.image.index.v1+json"
MEDIA_TYPES = (
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
)


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A layer with one small library, not compressed."""
    library = compiled(tmp_path_factory.mktemp("library"), COUNTS_ZEROS)
    return layers.tar({"app/libsmall.so": library.read_bytes(), "app/text": b"x" * 100})


def diff_id(layer: bytes) -> str:
    return "sha256:" + hashlib.sha256(layer).hexdigest()


def put(fake: FakeRegistry, *blobs: bytes, diff_ids: list[str], kind: str = MEDIA_TYPES[0]) -> str:
    """Push an image of these layers as shop:v1; return its digest."""
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()
    return fake.put(
        "shop",
        {
            "schemaVersion": 2,
            "mediaType": layers.MANIFEST,
            "config": {"mediaType": layers.CONFIG, "digest": fake.put_blob("shop", config)},
            "layers": [{"mediaType": kind, "digest": fake.put_blob("shop", b)} for b in blobs],
        },
        "v1",
    )


def paths(fake: FakeRegistry, home: Path, architecture: str = "") -> list[str]:
    registry = Registry(lambda host: None, Transport(pauses_s=()))
    with store.opened(home) as known:
        reference = parse(f"{fake.host}/shop:v1")
        files = contents.of_registry(registry, reference, known, architecture)
    return [file.path for file in files]


@pytest.mark.parametrize("compression", layers.COMPRESSED)
@pytest.mark.parametrize("kind", MEDIA_TYPES)
def test_layer_is_read_by_what_it_is(
    fake: FakeRegistry, tmp_path: Path, layer: bytes, compression: str, kind: str
) -> None:
    blob = layers.COMPRESSED[compression](layer)
    put(fake, blob, diff_ids=[diff_id(layer)], kind=kind)
    assert paths(fake, tmp_path) == ["/app/libsmall.so"]


def test_layer_that_is_known_is_not_fetched_however_it_is_compressed(
    fake: FakeRegistry, tmp_path: Path, layer: bytes
) -> None:
    put(fake, gzip.compress(layer), diff_ids=[diff_id(layer)])
    assert paths(fake, tmp_path)
    blob = zstd.compress(layer)
    put(fake, blob, diff_ids=[diff_id(layer)])
    fake.asked.clear()
    assert paths(fake, tmp_path) == ["/app/libsmall.so"]
    assert not any(each.path.endswith(hashlib.sha256(blob).hexdigest()) for each in fake.asked)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_damaged_layer_is_told_and_not_kept(
    fake: FakeRegistry, tmp_path: Path, layer: bytes, compression: str
) -> None:
    blob = layers.COMPRESSED[compression](layer)[:-20]
    put(fake, blob, diff_ids=[diff_id(layer)])
    with pytest.raises(ImageError, match="damaged, or not all of it is there") as caught:
        paths(fake, tmp_path)
    assert caught.value.where.endswith(f"/shop:v1, layer {diff_id(blob)}")
    put(fake, zstd.compress(layer), diff_ids=[diff_id(layer)])
    assert paths(fake, tmp_path) == ["/app/libsmall.so"]


def test_layer_that_passes_for_another_is_refused(
    fake: FakeRegistry, tmp_path: Path, layer: bytes
) -> None:
    put(fake, zstd.compress(layers.tar({"app/text": b"x"})), diff_ids=[diff_id(layer)])
    with pytest.raises(ImageError, match="not what the image's configuration says"):
        paths(fake, tmp_path)


@pytest.mark.parametrize("blob", [b"x" * 2000, zstd.compress(b"x" * 2000)])
def test_layer_that_is_no_tar_is_told(fake: FakeRegistry, tmp_path: Path, blob: bytes) -> None:
    put(fake, blob, diff_ids=[diff_id(b"")])
    with pytest.raises(ImageError, match="no tar"):
        paths(fake, tmp_path)


def test_what_is_no_image_is_told(fake: FakeRegistry, tmp_path: Path) -> None:
    put(fake, b"one", b"two", diff_ids=[diff_id(b"one")])
    with pytest.raises(ImageError, match="no image"):
        paths(fake, tmp_path)


def put_index(fake: FakeRegistry, *architectures: str) -> None:
    """Push shop:v1 as an index of images, each with the one file /app/ARCHITECTURE."""
    entries = []
    for each in architectures:
        library = (Path(__file__).parents[1] / "cpu/aarch64/elves/plain.elf").read_bytes()
        content = layers.tar({f"app/{each}": library})
        digest = put(fake, content, diff_ids=[diff_id(content)])
        entries.append({"digest": digest, "platform": {"os": "linux", "architecture": each}})
    fake.put("shop", {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}, "v1")


@pytest.mark.parametrize(
    ("held", "architecture", "read"),
    [
        (("arm64", "amd64"), "", "amd64"),
        (("arm64",), "", "arm64"),
        (("amd64", "arm64"), levels.ARM, "arm64"),
        (("arm64", "amd64"), levels.X86, "amd64"),
    ],
)
def test_platform_is_that_of_the_baseline(
    fake: FakeRegistry, tmp_path: Path, held: tuple[str, ...], architecture: str, read: str
) -> None:
    put_index(fake, *held)
    assert paths(fake, tmp_path, architecture) == [f"/app/{read}"]


def test_platform_that_is_not_there_is_told(fake: FakeRegistry, tmp_path: Path) -> None:
    put_index(fake, "amd64")
    with pytest.raises(ImageError, match="not for Linux on aarch64"):
        paths(fake, tmp_path, levels.ARM)
