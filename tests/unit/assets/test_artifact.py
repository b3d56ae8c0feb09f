"""What was compiled travels through the registry, and comes out whole or not at all."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fake_registry import FakeRegistry
from support.layers import zstd

from kaiun.assets import artifact
from kaiun.assets.manifest import AssetFile, AssetManifest, StartFile, sha256
from kaiun.assets.store import Store
from kaiun.errors import AssetsError, ImageError
from kaiun.image.reference import Reference, parse
from kaiun.image.registry import Registry
from kaiun.image.transport import Transport

DIGEST = "d" * 64


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry().serving() as registry:
        yield registry


@pytest.fixture
def shop(fake: FakeRegistry) -> Reference:
    return parse(f"{fake.host}/shop")


@pytest.fixture
def registry() -> Registry:
    return Registry(lambda host: None, Transport(pauses_s=()))


def compiled(store: Store, *contents: bytes) -> AssetManifest:
    files = []
    for number, data in enumerate(contents):
        content = store.add(io.BytesIO(data))
        files.append(AssetFile(f"assets/{number}.css", content.size, content.sha256, "text/css"))
    text = '{"a": "b"}'
    start = StartFile("public/assets/.manifest.json", sha256(text.encode()), text)
    manifest = AssetManifest(DIGEST, "public", tuple(files), (start,))
    store.keep(manifest)
    return manifest


def test_what_is_pushed_is_found_elsewhere(
    tmp_path: Path, fake: FakeRegistry, shop: Reference, registry: Registry
) -> None:
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    manifest = compiled(here, b"a{}", b"b{}", b"a{}")
    assert artifact.find(registry, shop, DIGEST, here) is None
    digest = artifact.push(registry, shop, manifest, here)
    assert fake.bodies["shop", digest] == fake.bodies["shop", f"assets-{DIGEST[:40]}"]
    assert artifact.find(registry, shop, DIGEST, there) == manifest
    with artifact.files(registry, shop, manifest, there) as folder:
        assert {(folder / sha256(data)).read_bytes() for data in (b"a{}", b"b{}")} == {
            b"a{}",
            b"b{}",
        }


def test_where_it_was_compiled_finding_takes_two_requests(
    tmp_path: Path, fake: FakeRegistry, shop: Reference, registry: Registry
) -> None:
    store = Store(tmp_path)
    manifest = compiled(store, b"a{}")
    artifact.push(registry, shop, manifest, store)
    fake.asked.clear()
    assert artifact.find(registry, shop, DIGEST, store) == manifest
    with artifact.files(registry, shop, manifest, store) as folder:
        assert (folder / sha256(b"a{}")).is_file()
    assert [each.method for each in fake.asked] == ["GET", "HEAD"]


def test_same_result_is_the_same_artifact(
    tmp_path: Path, shop: Reference, registry: Registry
) -> None:
    one, other = Store(tmp_path / "one"), Store(tmp_path / "other")
    first = artifact.push(registry, shop, compiled(one, b"a{}", b"b{}"), one)
    assert artifact.push(registry, shop, compiled(other, b"a{}", b"b{}"), other) == first


def test_artifact_that_lost_its_contents_is_not_found(
    tmp_path: Path, fake: FakeRegistry, shop: Reference, registry: Registry
) -> None:
    store = Store(tmp_path)
    artifact.push(registry, shop, compiled(store, b"a{}"), store)
    fake.blobs.clear()
    assert artifact.find(registry, shop, DIGEST, store) is None


def test_failed_push_leaves_nothing_under_the_tag(
    tmp_path: Path, fake: FakeRegistry, shop: Reference, registry: Registry
) -> None:
    store = Store(tmp_path)
    manifest = compiled(store, b"a{}")
    fake.failures.extend([(404, {}), *[(500, {})] * 5])
    with pytest.raises(ImageError, match="500"):
        artifact.push(registry, shop, manifest, store)
    fake.failures.clear()
    assert artifact.find(registry, shop, DIGEST, store) is None
    artifact.push(registry, shop, manifest, store)
    assert artifact.find(registry, shop, DIGEST, store) == manifest


def test_damaged_store_is_filled_again_from_the_registry(
    tmp_path: Path, shop: Reference, registry: Registry
) -> None:
    store = Store(tmp_path)
    manifest = compiled(store, b"a{}")
    artifact.push(registry, shop, manifest, store)
    store.path(sha256(b"a{}")).write_bytes(b"b{}")
    assert not store.has(manifest)
    with artifact.files(registry, shop, manifest, store) as folder:
        assert (folder / sha256(b"a{}")).read_bytes() == b"a{}"


def test_registry_without_the_contents_is_told(
    tmp_path: Path, shop: Reference, registry: Registry
) -> None:
    manifest = compiled(Store(tmp_path / "here"), b"a{}")
    with (
        pytest.raises(AssetsError, match="no such assets"),
        artifact.files(registry, shop, manifest, Store(tmp_path / "there")),
    ):
        pass


def test_image_under_the_tag_is_told(
    tmp_path: Path, fake: FakeRegistry, shop: Reference, registry: Registry
) -> None:
    fake.put("shop", {"config": {}, "layers": [{}, {}]}, artifact.tag(DIGEST))
    with pytest.raises(AssetsError, match="no assets"):
        artifact.find(registry, shop, DIGEST, Store(tmp_path))


def replaced_layer(fake: FakeRegistry, blob: bytes, media_type: str = artifact.LAYER_TYPE) -> None:
    """Give the artifact another layer, as what copies images between registries does."""
    document = json.loads(fake.bodies["shop", artifact.tag(DIGEST)])
    layer = {"mediaType": media_type, "digest": fake.put_blob("shop", blob), "size": len(blob)}
    fake.put("shop", document | {"layers": [layer]}, artifact.tag(DIGEST))


def pushed_layer(fake: FakeRegistry) -> bytes:
    document = json.loads(fake.bodies["shop", artifact.tag(DIGEST)])
    return fake.blobs["shop", document["layers"][0]["digest"]]


def test_artifact_that_was_compressed_anew_is_read(
    tmp_path: Path, fake: FakeRegistry, shop: Reference, registry: Registry
) -> None:
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    manifest = compiled(here, b"a{}", b"b{}")
    artifact.push(registry, shop, manifest, here)
    blob = zstd.compress(gzip.decompress(pushed_layer(fake)))
    replaced_layer(fake, blob, "application/vnd.oci.image.layer.v1.tar+zstd")
    assert artifact.find(registry, shop, DIGEST, there) == manifest
    with artifact.files(registry, shop, manifest, there) as folder:
        assert (folder / sha256(b"b{}")).read_bytes() == b"b{}"


@pytest.mark.parametrize("kept", [20, 40])  # bytes
def test_contents_that_were_cut_are_told(
    tmp_path: Path, fake: FakeRegistry, shop: Reference, registry: Registry, kept: int
) -> None:
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    manifest = compiled(here, b"a{}", b"b{}")
    artifact.push(registry, shop, manifest, here)
    replaced_layer(fake, pushed_layer(fake)[:kept])
    with (
        pytest.raises(ImageError, match="damaged, or not all of it is there"),
        artifact.files(registry, shop, manifest, there),
    ):
        pass
