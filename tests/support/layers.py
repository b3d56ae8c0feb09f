"""Layers of images, compressed in every way that registries have them."""

from __future__ import annotations

import gzip
import io
import struct
import sys
import tarfile
from collections.abc import Callable, Mapping
from types import MappingProxyType

if sys.version_info >= (3, 14):
    from compression import zstd as zstd  # noqa: PLC0414 (for tests)
else:
    from backports import zstd as zstd  # noqa: PLC0414 (for tests)

Compress = Callable[[bytes], bytes]
OCI = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def tar(
    files: Mapping[str, bytes],
    links: Mapping[str, str] = MappingProxyType({}),
    kind: bytes = tarfile.SYMTYPE,
) -> bytes:
    """Return a layer that is not compressed."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for path, target in links.items():
            member = tarfile.TarInfo(path)
            member.type, member.linkname = kind, target
            archive.addfile(member)
    return buffer.getvalue()


def skippable(data: bytes, number: int = 0) -> bytes:
    """Return one of zstd's skippable frames (RFC 8878, 3.1.2), which readers step over."""
    return struct.pack("<II", 0x184D2A50 + number, len(data)) + data


def zstd_chunked(data: bytes) -> bytes:
    """Compress as zstd:chunked does: a frame for each part, the table of contents skippable."""
    half = len(data) // 2
    frames = zstd.compress(data[:half]), zstd.compress(data[half:])
    return skippable(b"head").join((b"", *frames)) + skippable(b"{}", 15)


def gzip_members(data: bytes) -> bytes:
    """Compress as eStargz does: a member for each part."""
    half = len(data) // 2
    return gzip.compress(data[:half]) + gzip.compress(data[half:])


COMPRESSED: dict[str, Compress] = {
    "tar": bytes,
    "gzip": gzip.compress,
    "gzip, several members": gzip_members,
    "zstd": zstd.compress,
    "zstd, several frames": zstd_chunked,
}
