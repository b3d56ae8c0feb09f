"""Layers are read as what they were before they were compressed, or not at all."""

from __future__ import annotations

import gzip
import io
import random
import tracemalloc

import pytest
from support import layers
from support.layers import zstd

from kaiun.errors import ImageError
from kaiun.image.compression import expanded

DATA = random.Random(1).randbytes(300_000) + bytes(300_000)
GZIP, ZSTD = gzip.compress(DATA), zstd.compress(DATA)
CHECKED = zstd.compress(DATA, options={zstd.CompressionParameter.checksum_flag: 1})


def read(data: bytes, size: int = -1) -> bytes:
    stream = expanded(io.BufferedReader(io.BytesIO(data)), "shop:v1")
    return b"".join(iter(lambda: stream.read(size), b""))


@pytest.mark.parametrize("kind", layers.COMPRESSED)
@pytest.mark.parametrize("size", [-1, 1000])
def test_each_kind_gives_what_was_compressed(kind: str, size: int) -> None:
    assert read(layers.COMPRESSED[kind](DATA), size) == DATA


@pytest.mark.parametrize("kind", layers.COMPRESSED)
def test_nothing_compressed_is_nothing(kind: str) -> None:
    assert read(layers.COMPRESSED[kind](b"")) == b""


@pytest.mark.parametrize("number", range(16))
def test_every_skippable_frame_is_stepped_over(number: int) -> None:
    frame = layers.skippable(b"x" * 70_000, number)
    assert read(frame + ZSTD + frame) == DATA


def test_nothing_but_a_skippable_frame_is_nothing() -> None:
    assert read(layers.skippable(b"x")) == b""


def changed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(GZIP[:-1], id="gzip, last byte missing"),
        pytest.param(GZIP[:1000], id="gzip, cut"),
        pytest.param(GZIP + GZIP[:1000], id="gzip, second member cut"),
        pytest.param(changed(GZIP, -6), id="gzip, other checksum"),
        pytest.param(changed(GZIP, 10), id="gzip, no deflate"),
        pytest.param(GZIP + b"more", id="gzip, and what is none"),
        pytest.param(GZIP[:3], id="gzip, less than a head"),
        pytest.param(ZSTD[:-1], id="zstd, last byte missing"),
        pytest.param(ZSTD[:1000], id="zstd, cut"),
        pytest.param(ZSTD[:4], id="zstd, less than a head"),
        pytest.param(ZSTD + ZSTD[:1000], id="zstd, second frame cut"),
        pytest.param(ZSTD + ZSTD[:3], id="zstd, second frame's magic cut"),
        pytest.param(ZSTD + layers.skippable(b"xyz")[:-1], id="zstd, skippable frame cut"),
        pytest.param(layers.skippable(b"xyz")[:-1], id="zstd, first skippable frame cut"),
        pytest.param(changed(CHECKED, -1), id="zstd, other checksum"),
        pytest.param(changed(ZSTD, 4), id="zstd, another frame's head"),
        pytest.param(ZSTD + b"more", id="zstd, and what is none"),
    ],
)
def test_damaged_layer_is_told(data: bytes) -> None:
    with pytest.raises(ImageError, match="damaged, or not all of it is there") as caught:
        read(data, 1000)
    assert caught.value.where == "shop:v1"


def test_window_that_wants_too_much_memory_is_refused() -> None:
    head = b"\x28\xb5\x2f\xfd" + b"\x00" + bytes([(31 - 10) << 3])  # a window of 2 GiB
    with pytest.raises(ImageError, match="memory"):
        read(head + ZSTD[6:])


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress])
def test_little_of_a_large_layer_is_held(compress: layers.Compress) -> None:
    source = io.BufferedReader(io.BytesIO(compress(bytes(64 << 20))))
    stream = expanded(source, "shop:v1")
    tracemalloc.start()
    try:
        total = sum(len(part) for part in iter(lambda: stream.read(1 << 16), b""))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 64 << 20
    assert peak < 4 << 20
