"""References are read as docker reads them."""

from __future__ import annotations

import pytest

from kaiun.errors import ImageError
from kaiun.image.reference import is_loopback, parse

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "registry", "path", "tag", "digest"),
    [
        ("redis", "docker.io", "library/redis", "", ""),
        ("redis:7", "docker.io", "library/redis", "7", ""),
        ("docker.io/redis:7", "docker.io", "library/redis", "7", ""),
        ("bitnami/redis", "docker.io", "bitnami/redis", "", ""),
        ("localhost/shop", "localhost", "shop", "", ""),
        ("localhost:5000/shop", "localhost:5000", "shop", "", ""),
        ("localhost:5000/a/b_c:x.Y-1", "localhost:5000", "a/b_c", "x.Y-1", ""),
        ("registry.example.com/shop@" + DIGEST, "registry.example.com", "shop", "", DIGEST),
        ("r.example.com:443/shop:1@" + DIGEST, "r.example.com:443", "shop", "1", DIGEST),
        ("[::1]:5000/shop:1", "[::1]:5000", "shop", "1", ""),
    ],
)
def test_reference_is_taken_apart(
    text: str, registry: str, path: str, tag: str, digest: str
) -> None:
    found = parse(text)
    assert (found.registry, found.path, found.tag, found.digest) == (registry, path, tag, digest)
    assert text.startswith(found.name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Shop",
        "shop:",
        "shop:a b",
        "shop@sha256:12",
        "shop@",
        "/shop",
        "a//b",
        "x.y/",
        "-f",
        "a@b",
    ],
)
def test_bad_reference_is_an_error(text: str) -> None:
    with pytest.raises(ImageError, match="not an image reference"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("localhost:5000/shop", "http://localhost:5000"),
        ("127.0.0.2:5000/shop", "http://127.0.0.2:5000"),
        ("[::1]:5000/shop", "http://[::1]:5000"),
        ("registry.example.com/shop", "https://registry.example.com"),
        ("10.0.0.1:5000/shop", "https://10.0.0.1:5000"),
        ("redis", "https://registry-1.docker.io"),
    ],
)
def test_only_loopback_is_spoken_to_in_plain_http(text: str, url: str) -> None:
    assert parse(text).url == url


def test_loopback_is_not_guessed_from_a_prefix() -> None:
    assert is_loopback("registry.localhost:5000")
    assert not is_loopback("localhost.example.com")
    assert not is_loopback("127.0.0.1.example.com:5000")
