"""What is put behind the user's Dockerfile where kaiun's layer is known: a stage of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kaiun.image import dockerfile
from kaiun.image.dockerfile import Edit

if TYPE_CHECKING:
    from kaiun.image.dockerfile import Instruction

STAGE = "kaiun-plain"
ENTRYPOINT = '["/opt/kaiun/entry"]'


def lines(layer: str, python: str, command: Sequence[str]) -> list[str]:
    """Return the instructions: images whose files are added, and the command as it was.

    It has to be restated, for an ENTRYPOINT takes away the command of the stage below it.
    """
    return [
        *(f"COPY --from={each} / /" for each in (python, layer) if each),
        f"ENTRYPOINT {ENTRYPOINT}",
        f"CMD {json.dumps(list(command))}",
    ]


def appended(text: str, target: str, tail: Sequence[str]) -> str | None:
    """Return the Dockerfile with a last stage that is built on `target` (its last one where "").

    None where the text leaves no room: a target that is not there, an end that is none.
    """
    stages = [each for each in dockerfile.parse(text) if each.keyword == "FROM"]
    found = _stage(stages, target)
    if found is None:
        return None
    base, name = dockerfile.stage_of(found)
    if not base:
        return None
    end = found.offset(len(found.logical.rstrip()) - 1) + 1
    edits = [] if name else [Edit(end, end, f" AS {STAGE}")]
    first = f"FROM {name or STAGE}"
    whole = "\n".join((dockerfile.edit(text, edits), "", first, *tail, ""))
    ours = [each.logical for each in dockerfile.parse(whole)][-len(tail) - 1 :]
    return whole if ours == [first, *tail] else None


def _stage(stages: Sequence[Instruction], target: str) -> Instruction | None:
    """Return the FROM of a stage by name or number."""
    if not target:
        return stages[-1] if stages else None
    for each in reversed(stages):
        if dockerfile.stage_of(each)[1] == target.lower():
            return each
    known = target.isdecimal() and int(target) < len(stages)
    return stages[int(target)] if known else None
