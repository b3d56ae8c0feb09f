"""The Content-Type and Content-Encoding of a file, by its name. Pure, the same on every machine."""

from __future__ import annotations

import mimetypes
import posixpath
from collections.abc import Container

ENCODINGS = {".gz": "gzip", ".br": "br", ".zst": "zstd"}
OTHERWISE = "application/octet-stream"
# What Python's own table lacks, or has otherwise, in one of the versions that kaiun runs on.
# Source: IANA, Media Types; RFC 9239 (JavaScript), RFC 8081 (fonts), Source Map (ECMA-426).
TYPES = {
    ".avif": "image/avif",
    ".cjs": "text/javascript",
    ".eot": "application/vnd.ms-fontobject",
    ".geojson": "application/geo+json",
    ".glb": "model/gltf-binary",
    ".gltf": "model/gltf+json",
    ".gz": "application/gzip",
    ".ico": "image/vnd.microsoft.icon",
    ".js": "text/javascript",
    ".jxl": "image/jxl",
    ".m4a": "audio/mp4",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".opus": "audio/ogg",
    ".otf": "font/otf",
    ".scss": "text/x-scss",
    ".ttf": "font/ttf",
    ".ts": "video/mp2t",
    ".vtt": "text/vtt",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xml": "application/xml",
}
_BUILT_IN = mimetypes.MimeTypes()  # without the files of the system


def content(path: str, siblings: Container[str]) -> tuple[str, str]:
    """Return Content-Type and Content-Encoding.

    A compressed variant, which lies beside what it compresses, has the type of that:
    app.js.gz beside app.js is ("text/javascript; charset=utf-8", "gzip").
    """
    base, ending = posixpath.splitext(path)
    if ending.lower() in ENCODINGS and base in siblings:
        return content_type(base), ENCODINGS[ending.lower()]
    return content_type(path), ""


def content_type(path: str) -> str:
    """Return the Content-Type; what is text is UTF-8, as every bundler writes it."""
    ending = posixpath.splitext(path)[1].lower()
    found = TYPES.get(ending) or _BUILT_IN.types_map[True].get(ending) or OTHERWISE
    return f"{found}; charset=utf-8" if found.startswith("text/") else found
