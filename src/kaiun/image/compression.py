"""What a layer holds, be it compressed by gzip, by zstd or not at all.

The first bytes tell, not the media type: what copies images between registries may compress anew.
Members and frames that follow one another are one stream, as in layers that can be fetched in parts
(eStargz, zstd:chunked); zstd's skippable frames hold nothing of it.

Source: RFC 1952, 2.2 and 2.3.1; RFC 8878, 3.1.
"""

from __future__ import annotations

import gzip
import re
import sys
import zlib
from typing import IO, TYPE_CHECKING, cast

from kaiun.errors import ImageError

if TYPE_CHECKING:
    import io

_GZIP = b"\x1f\x8b"
_ZSTD = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")  # a frame, or a skippable one


def expanded(content: IO[bytes], where: str) -> IO[bytes]:
    """Return what reads a layer as it was before it was compressed, from front to back.

    `content` is a buffered file at the layer's beginning. Little is held at a time: of zstd's
    window 128 MiB at most. Reading raises ImageError where the layer is damaged or ends too early;
    `where` says whose layer it is.
    """
    head = cast("io.BufferedReader", content).peek(4)[:4]
    if head.startswith(_GZIP):
        source = cast("IO[bytes]", gzip.GzipFile(fileobj=content))
        return _checked(source, (EOFError, gzip.BadGzipFile, zlib.error), where)
    if _ZSTD.fullmatch(head):
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
        source = cast("IO[bytes]", zstd.ZstdFile(content))
        return _checked(source, (EOFError, zstd.ZstdError), where)
    return content


def _checked(source: IO[bytes], problems: tuple[type[Exception], ...], where: str) -> IO[bytes]:
    return cast("IO[bytes]", _Checked(source, problems, where))


class _Checked:
    """Reads through, and tells `problems` as what is wrong with the layer."""

    def __init__(
        self, source: IO[bytes], problems: tuple[type[Exception], ...], where: str
    ) -> None:
        self._source, self._problems, self._where = source, problems, where

    def read(self, size: int = -1) -> bytes:
        try:
            return self._source.read(size)
        except self._problems as problem:
            raise ImageError(
                f"a layer is damaged, or not all of it is there: {problem}",
                where=self._where,
                hint="build it anew, and push it again",
            ) from problem
