"""Types of files, the same on every machine."""

from __future__ import annotations

import pytest

from kaiun.assets.types import content


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.css", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.js.map", "application/json"),
        ("a.wasm", "application/wasm"),
        ("a.woff2", "font/woff2"),
        ("a.avif", "image/avif"),
        ("a.webp", "image/webp"),
        ("a.SVG", "image/svg+xml"),
        ("a.html", "text/html; charset=utf-8"),
        ("a.webmanifest", "application/manifest+json"),
        ("a.tar.gz", "application/gzip"),
        ("a.unheard-of", "application/octet-stream"),
        ("a", "application/octet-stream"),
    ],
)
def test_type_of_a_file(path: str, expected: str) -> None:
    assert content(path, {path}) == (expected, "")


@pytest.mark.parametrize(("ending", "encoding"), [("gz", "gzip"), ("br", "br"), ("zst", "zstd")])
def test_variant_has_the_type_of_what_it_compresses(ending: str, encoding: str) -> None:
    assert content(f"a.svg.{ending}", {"a.svg", f"a.svg.{ending}"}) == ("image/svg+xml", encoding)
    assert content(f"a.svg.{ending}", {f"a.svg.{ending}"})[1] == ""
