"""What a manifest says of itself.

Source: OCI image specification 1.1, manifest.md, image-index.md; distribution, manifest-v2-2.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
_LISTS: Final = (OCI_INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")


@dataclass(frozen=True, slots=True)
class Manifest:
    """`parts` are (digest, bytes) of the configuration and the layers, `images` those of a list."""

    media_type: str
    artifact_type: str
    parts: tuple[tuple[str, int], ...] = ()
    images: tuple[tuple[str, int], ...] = ()
    subject: str = ""


def read(text: bytes) -> Manifest:
    """Raises ValueError on what is no manifest."""
    try:
        found: Any = json.loads(text)
        is_list = found.get("mediaType") in _LISTS or "manifests" in found
        if not is_list and "config" not in found:
            raise ValueError("neither a manifest nor a list of manifests")
        config = found.get("config", {})
        parts = [] if is_list else [config, *found.get("layers", [])]
        return Manifest(
            media_type=str(found.get("mediaType") or (OCI_INDEX if is_list else OCI_MANIFEST)),
            artifact_type=str(found.get("artifactType") or config.get("mediaType", "")),
            parts=_descriptors(parts),
            images=_descriptors(found.get("manifests", []) if is_list else []),
            subject=str(found.get("subject", {}).get("digest", "")),
        )
    except (AttributeError, KeyError, TypeError, RecursionError) as problem:
        raise ValueError(f"not a manifest: {problem!r}") from None


def _descriptors(items: list[dict[str, Any]]) -> tuple[tuple[str, int], ...]:
    return tuple((str(item["digest"]), int(item["size"])) for item in items)
