"""What was compiled is kept once, found whole, and goes when it is not used."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import pytest

from kaiun.assets.manifest import AssetFile, AssetManifest, sha256
from kaiun.assets.store import Store
from kaiun.errors import AssetsError

DAY_S = 86400.0


def kept(store: Store, digest: str, *contents: bytes) -> AssetManifest:
    added = [store.add(io.BytesIO(data)) for data in contents]
    files = [AssetFile(f"{n}", each.size, each.sha256, "a/b") for n, each in enumerate(added)]
    manifest = AssetManifest(digest, "public", tuple(files))
    store.keep(manifest)
    return manifest


def test_same_content_is_kept_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kept(store, "a" * 64, b"x", b"x", b"y")
    assert {path.name for path in store.blobs.iterdir()} == {sha256(b"x"), sha256(b"y")}


def test_damaged_manifest_is_none(tmp_path: Path) -> None:
    store = Store(tmp_path)
    manifest = kept(store, "a" * 64, b"x")
    assert store.manifest("a" * 64) == manifest
    (tmp_path / "manifests" / f"{'a' * 64}.json").write_text("{")
    assert store.manifest("a" * 64) is None
    assert store.manifest("b" * 64) is None


@pytest.mark.parametrize("damaged", [b"z", b"", None])
def test_contents_that_are_not_whole_are_noticed(tmp_path: Path, damaged: bytes | None) -> None:
    store = Store(tmp_path)
    manifest = kept(store, "a" * 64, b"x", b"y")
    assert store.has(manifest)
    path = store.path(sha256(b"x"))
    path.unlink() if damaged is None else path.write_bytes(damaged)
    assert not store.has(manifest)


def test_damaged_content_is_not_copied(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    kept(store, "a" * 64, b"x")
    store.copy(sha256(b"x"), tmp_path / "into/x")
    assert (tmp_path / "into/x").read_bytes() == b"x"
    store.path(sha256(b"x")).write_bytes(b"y")
    with pytest.raises(AssetsError, match="damaged"):
        store.copy(sha256(b"x"), tmp_path / "into/x")


def test_what_is_not_used_goes_with_what_it_alone_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kept(store, "a" * 64, b"old", b"shared")
    for path in tmp_path.glob("*/*"):
        os.utime(path, (0, 0))
    young = kept(store, "b" * 64, b"new")
    shared = AssetFile("s", 6, sha256(b"shared"), "a/b")
    store.keep(AssetManifest("b" * 64, "public", (*young.files, shared)))
    before = store.size()
    freed = store.sweep(DAY_S)
    assert freed == before - store.size() > 0
    assert {path.name for path in store.blobs.iterdir()} == {sha256(b"shared"), sha256(b"new")}
    assert store.manifest("a" * 64) is None


def test_looking_for_what_is_unused_does_not_count_as_use(tmp_path: Path) -> None:
    """Who sweeps once a day would else never sweep anything away."""
    store = Store(tmp_path)
    kept(store, "a" * 64, b"x")
    for path in tmp_path.glob("*/*"):
        os.utime(path, (time.time() - DAY_S, time.time() - DAY_S))
    assert store.unused(2 * DAY_S) == []
    assert store.sweep(2 * DAY_S) == 0
    assert len(store.unused(DAY_S - 60)) == 2
    assert store.manifest("a" * 64)
    assert store.unused(DAY_S - 60) == []  # for the manifest was used, and names the content


def test_state_home_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AssetsError, match="cannot be kept") as caught:
        Store(tmp_path / "file").add(io.BytesIO(b"x"))
    assert "KAIUN_HOME" in caught.value.hint
