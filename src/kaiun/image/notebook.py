"""Where lessons are kept: `lessons/` of the state home, one for each image."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from kaiun import __version__, files
from kaiun.image import folders, lock
from kaiun.image.lesson import Ground, Lesson
from kaiun.image.probe import MANAGERS, NONE, Found, Need
from kaiun.image.startfile import ImageFacts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

KEPT_S = 30 * 86400.0
_FORMAT = 3
_MODE = 0o600  # a lesson is its owner's


def recall(home: Path, name: str) -> tuple[Lesson, bytes] | None:
    """Return what was learnt of the image, and its layer as a tar without its REVISION."""
    place = _place(home, name)
    try:
        document = json.loads(place.with_suffix(".json").read_bytes())
        layer = place.with_suffix(".tar").read_bytes()
        if document["layer"] != hashlib.sha256(layer).hexdigest():
            return None  # another build is writing the two, or was killed between them
        return _lesson(document), layer
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep(home: Path, name: str, lesson: Lesson, layer: bytes) -> None:
    """Keep it for the next build. What cannot be written is not kept."""
    place = _place(home, name)
    found = {**asdict(lesson.found), "manager": lesson.found.manager.program}
    document = asdict(replace(lesson, found=Found("", NONE, "", Need.LITTLE)))
    document |= {"format": _FORMAT, "found": found, "layer": hashlib.sha256(layer).hexdigest()}
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        folders.forget(place.parent.iterdir(), KEPT_S)
        files.replace(place.with_suffix(".tar"), layer, mode=_MODE)
        files.replace(place.with_suffix(".json"), json.dumps(document), mode=_MODE)


def recipe_digest(name: str, dockerfile: str, target: str, args: Sequence[tuple[str, str]]) -> str:
    """Return what names a build: the image and all that makes it, the commit's files apart."""
    parts = [_FORMAT, __version__, name, dockerfile, target, sorted(args)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _place(home: Path, name: str) -> Path:
    return home / "lessons" / lock.key(name)


def _lesson(document: dict[str, Any]) -> Lesson:
    """Return what `keep` wrote. Raises KeyError, TypeError, ValueError where it is not that."""
    if document.pop("format") != _FORMAT:
        raise ValueError("another format")
    document.pop("layer")
    found, facts, ground = document.pop("found"), document.pop("facts"), document.pop("ground")
    manager = next((each for each in MANAGERS if each.program == found["manager"]), NONE)
    need = Need(found["need"])
    said = tuple(found["said"])
    return Lesson(
        **document,
        facts=ImageFacts(**_tupled(facts)),
        found=Found(found["python"], manager, found["key"], need, found["tools"], said),
        ground=Ground(**_tupled(ground)),
    )


def _tupled(document: dict[str, Any]) -> dict[str, Any]:
    return {n: tuple(each) if isinstance(each, list) else each for n, each in document.items()}
