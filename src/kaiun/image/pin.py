"""Pin an image that is given by name: the digest that its tag means today."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaiun.errors import ImageError
from kaiun.image import client as clients
from kaiun.image.ensure import Built
from kaiun.image.reference import is_loopback, parse

if TYPE_CHECKING:
    from kaiun.image.ensure import Workshop


def pin(text: str, workshop: Workshop, *, local: bool) -> Built:
    """Return the reference with its digest; as written, with a note, where no registry tells.

    In a local environment an image that only the engine here has is as good as any.
    Raises ImageError when the text is not an image reference.
    """
    named = parse(text)
    if named.digest:
        return Built(named.name, named.digest, text, named.tag)
    if local and not is_loopback(named.registry) and _engine_has(text):
        return Built(named.name, "", text, named.tag, note="taken from the Docker Engine here")
    try:
        digest = workshop.connected(patient=False).digest(named)
    except ImageError as problem:
        return Built(named.name, "", text, named.tag, note=f"not pinned: {problem}")
    if digest:
        return Built(named.name, digest, f"{named.name}@{digest}", named.tag)
    if local and _engine_has(text):
        return Built(named.name, "", text, named.tag, note="taken from the Docker Engine here")
    note = "not pinned: its registry has no such tag"
    return Built(named.name, "", text, named.tag, note=note)


def _engine_has(text: str) -> bool:
    try:
        return clients.find().has_image(text)
    except ImageError:
        return False
