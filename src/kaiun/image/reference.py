"""Image references: registry, repository, tag, digest.

Source: distribution/reference (how `docker` reads a name): the first part is a registry when it
holds a dot or a colon, or is "localhost"; everything else lives on Docker Hub.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from kaiun.errors import ImageError

HUB = "docker.io"
_HUB_HOST = "registry-1.docker.io"
_PATH = re.compile(
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Reference:
    """`registry/path:tag@digest`; `name` is the repository as the user wrote it."""

    name: str
    registry: str  # host[:port] as in docker's configuration; docker.io for Docker Hub
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def url(self) -> str:
        """Return the registry's base URL: plain http on loopback, else https."""
        host = _HUB_HOST if self.registry == HUB else self.registry
        return f"{'http' if is_loopback(host) else 'https'}://{host}"


def parse(text: str) -> Reference:
    """Read `[registry/]path[:tag][@digest]`.

    Raises ImageError when docker would refuse it too.
    """
    rest, at, digest = text.partition("@")
    name, tag = _split_tag(rest)
    registry, path = _split_registry(name)
    if not _PATH.fullmatch(path) or (at and not DIGEST.fullmatch(digest)):
        raise _invalid(text)
    if rest != name and not _TAG.fullmatch(tag):
        raise _invalid(text)
    return Reference(name, registry, path, tag, digest)


def is_loopback(host: str) -> bool:
    """Return whether `host[:port]` is this machine: localhost, *.localhost, 127.0.0.0/8, [::1]."""
    bare = host[1 : host.index("]")] if host.startswith("[") else host.rpartition(":")[0] or host
    if bare == "localhost" or bare.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False


def _split_tag(rest: str) -> tuple[str, str]:
    head, colon, tail = rest.rpartition(":")
    return (head, tail) if colon and "/" not in tail else (rest, "")


def _split_registry(name: str) -> tuple[str, str]:
    first, slash, path = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        if first in {HUB, "index.docker.io"}:
            return HUB, path if "/" in path else f"library/{path}"
        return first, path
    return HUB, name if slash else f"library/{name}"


def _invalid(text: str) -> ImageError:
    return ImageError(
        f"{text!r} is not an image reference",
        hint="write [registry/]name[:tag] in lower case, such as registry.example.com/shop",
    )
