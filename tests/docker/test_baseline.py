"""The CPU scan of every build: of real images, read from the engine as root and by docker save."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import compiled as sources
from support import layers
from support.compiled import compiled
from support.images import Bench, docker, programs

from kaiun.cpu import report, store
from kaiun.cpu.levels import parse as baseline
from kaiun.errors import ImageError
from kaiun.image import Registry, contents, upload
from kaiun.image.client import find as find_client
from kaiun.image.reference import Reference, parse

pytestmark = pytest.mark.docker

ALLOWED = (("/app/libfast.so", "a test"),)


@pytest.fixture
def fast(bench: Bench, tmp_path: Path) -> Bench:
    """A commit with a library that was compiled for Haswell."""
    library = compiled(tmp_path, sources.VECTORS, "-march=haswell", name="libfast.so")
    bench.repository.commit({"libfast.so": library.read_bytes()})
    return bench


def label(reference: str) -> report.Need:
    labels = docker("image", "inspect", "-f", "{{json .Config.Labels}}", reference)
    found = report.parse_label(json.loads(labels)[report.LABEL])
    assert found
    return found


def test_library_for_a_newer_cpu_fails_the_build(fast: Bench) -> None:
    with pytest.raises(ImageError) as caught:
        fast.ensure(cpu="x86-64-v2")
    assert caught.value.message.startswith("/app/libfast.so would crash on x86-64-v2: compiled")
    assert "avx" in caught.value.detail[0]
    assert "add" in caught.value.detail[0]
    assert "the first to crash: fargate" in caught.value.detail[1]
    assert Registry().tags(parse(fast.source.repository)) == []


@pytest.mark.parametrize("cpu", ["x86-64-v3", "m5"])
def test_it_passes_where_the_baseline_has_it(fast: Bench, cpu: str) -> None:
    level, features, _ = label(fast.ensure(cpu=cpu).reference)
    assert level == "x86-64-v3"
    assert "avx" in features


def test_what_is_allowed_passes_and_is_no_part_of_what_the_image_needs(fast: Bench) -> None:
    built = fast.ensure(cpu="x86-64-v2", cpu_allow=ALLOWED)
    assert label(built.reference)[0] in {"x86-64", "x86-64-v2"}


def test_without_a_baseline_it_is_told_and_labelled(fast: Bench) -> None:
    built = fast.ensure()
    assert label(built.reference)[0] == "x86-64-v3"
    told = [event.line for event in fast.events if event.line.startswith("CPU: ")]
    assert "CPU: needs x86-64-v3" in told[0]
    assert told[1].startswith("CPU: risk: /app/libfast.so: avx")


def test_layers_are_known_after_a_build(fast: Bench) -> None:
    fast.ensure()
    fast.repository.commit({"code.rb": "1"})
    built = fast.ensure()
    with store.opened(fast.workshop.home) as known:
        layers = known.layers(_diff_ids(built.reference))
        assert len(layers) == len(set(_diff_ids(built.reference)))
        found = contents.of_engine(find_client(), built.reference, known)
        assert found is not None
        assert "/app/libfast.so" in {file.path for file in found}


def _diff_ids(reference: str) -> list[str]:
    shown = docker("image", "inspect", "-f", "{{json .RootFS.Layers}}", reference)
    return list(json.loads(shown))


@pytest.mark.skipif(os.geteuid() != 0, reason="reads the engine's own files")
def test_engine_docker_save_and_registry_give_the_same(fast: Bench, tmp_path: Path) -> None:
    fast.repository.commit({**programs("rm"), "Dockerfile": _dockerfile(fast)})
    built = fast.ensure()
    client = find_client()
    with store.opened(tmp_path / "a") as known:
        overlay = contents.of_engine(client, built.reference, known)
    with store.opened(tmp_path / "b") as known:
        saved = contents.of_engine(client, built.reference, known, look=False)
    with store.opened(tmp_path / "c") as known:
        pulled = contents.of_registry(Registry(), parse(built.reference), known)
    assert overlay
    assert "/app/libfast.so" not in {file.path for file in overlay}  # a later layer deletes it
    assert "/fast/libfast.so" in {file.path for file in overlay}
    key = lambda file: file.path  # noqa: E731
    assert sorted(overlay, key=key) == sorted(saved or [], key=key) == sorted(pulled, key=key)


def test_verb_reads_layers_of_zstd_from_a_registry(fast: Bench, tmp_path: Path) -> None:
    registry, built = Registry(), parse(fast.ensure().reference)
    compressed_anew(registry, built, "zstd")
    with store.opened(tmp_path / "gzip") as known:
        before = contents.of_registry(registry, built, known)
    with store.opened(tmp_path / "zstd") as known:
        assert contents.of_registry(registry, parse(f"{built.name}:zstd"), known) == before
    found = scanned(f"{built.name}:zstd", tmp_path / "home")
    assert [f["path"] for f in found["files"] if f["kind"] == "risk"] == ["/app/libfast.so"]


def compressed_anew(registry: Registry, image: Reference, tag: str) -> None:
    """Push an image of the registry under another tag, with layers in several frames of zstd."""
    document = registry.manifest(image, image.digest)
    assert document
    entries = []
    for entry in document["layers"]:
        blob = layers.zstd_chunked(gzip.decompress(registry.blob(image, entry["digest"])))
        digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
        upload.put_blob(registry, image, digest, io.BytesIO(blob))
        entries.append({"mediaType": f"{layers.OCI}+zstd", "digest": digest, "size": len(blob)})
    config = document["config"] | {"mediaType": layers.CONFIG}
    text = document | {"mediaType": layers.MANIFEST, "config": config, "layers": entries}
    upload.put_manifest(registry, image, tag, json.dumps(text).encode(), layers.MANIFEST)


def _dockerfile(bench: Bench) -> str:
    """Return the Dockerfile with steps that copy the library and delete its first copy."""
    text = (bench.repository.path / "Dockerfile").read_text()
    return text.replace("CMD", 'COPY libfast.so /fast/\nRUN ["/bin/rm", "/app/libfast.so"]\nCMD')


def test_unknown_image_is_told(tmp_path: Path) -> None:
    with store.opened(tmp_path) as known:
        assert contents.of_engine(find_client(), "kaiun-test/none:1", known) is None


def test_verb_scans_an_image_and_ends_with_2_for_a_risk(fast: Bench, tmp_path: Path) -> None:
    built = fast.ensure()
    found = scanned(built.reference, tmp_path)
    assert found["level"] == "x86-64-v3"
    assert [f["path"] for f in found["files"] if f["kind"] == "risk"] == ["/app/libfast.so"]
    assert baseline(found["baseline"]).name == "x86-64-v2"


def scanned(image: str, home: Path) -> dict[str, Any]:
    """Run `kaiun scan`, which finds a risk; return what it prints."""
    run = subprocess.run(
        [Path(sys.executable).parent / "kaiun", "scan", image, "--json"],
        env=os.environ | {"KAIUN_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2, run.stderr
    return dict(json.loads(run.stdout))
