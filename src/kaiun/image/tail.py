"""What is put behind the user's Dockerfile where kaiun's layer is known: a stage of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

from kaiun.image import dockerfile
from kaiun.image.dockerfile import Edit

if TYPE_CHECKING:
    from kaiun.image.dockerfile import Instruction

STAGE = "kaiun-plain"
_MAKES_A_LAYER = frozenset({"RUN", "COPY", "ADD", "WORKDIR"})
ENTRYPOINT = '["/opt/kaiun/entry"]'


def added(image: str) -> str:
    """Return the instruction that adds the files of an image."""
    return f"COPY --from={image} / /"


def lines(layer: str, command: Sequence[str]) -> list[str]:
    """Return the instructions: the layer, if any, its entry point, and the command as it was.

    It has to be restated, for an ENTRYPOINT takes away the command of the stage below it.
    """
    return [
        *([added(layer)] if layer else []),
        f"ENTRYPOINT {ENTRYPOINT}",
        f"CMD {json.dumps(list(command))}",
    ]


def changing(text: str, target: str, above: int) -> int:
    """Return how many of the last `above` layers of a target are known by their instructions.

    A WORKDIR makes a layer only where the folder is not there: what is before it is not counted.
    """
    making = _making(dockerfile.parse(text), target)
    known = takewhile(lambda each: each.keyword != "WORKDIR", reversed(making[-above:]))
    return len(list(known)) if above else 0


def appended(
    text: str, target: str, tail: Sequence[str], python: str = "", below: int = 0
) -> str | None:
    """Return the Dockerfile with a last stage that is built on `target` (its last one where "").

    The files of the image `python` are added below the last layers of the target (see `changing`),
    for there BuildKit need not add them anew with each commit. None where the text leaves no room:
    a target that is not there, an end that is none.
    """
    instructions = dockerfile.parse(text)
    found = _stage(instructions, target)
    base, name = dockerfile.stage_of(found) if found else ("", "")
    if found is None or not base:
        return None
    end = found.offset(len(found.logical.rstrip()) - 1) + 1
    edits = [] if name else [Edit(end, end, f" AS {STAGE}")]
    if python and below:
        at = _making(instructions, target)[-below].offset(0)
        edits.append(Edit(at, at, f"{added(python)}\n"))
    last = [added(python)] if python and not below else []
    ours = [f"FROM {name or STAGE}", *last, *tail]
    whole = "\n".join((dockerfile.edit(text, edits), "", *ours, ""))
    found_at_end = [each.logical for each in dockerfile.parse(whole)][-len(ours) :]
    return whole if found_at_end == ours else None


def _making(instructions: Sequence[Instruction], target: str) -> list[Instruction]:
    """Return the instructions of the target stage that make a layer."""
    stage = _stage(instructions, target)
    if stage is None:
        return []
    rest = instructions[instructions.index(stage) + 1 :]
    own = takewhile(lambda each: each.keyword != "FROM", rest)
    return [each for each in own if each.keyword in _MAKES_A_LAYER]


def _stage(instructions: Sequence[Instruction], target: str) -> Instruction | None:
    """Return the FROM of a stage by name or number."""
    stages = [each for each in instructions if each.keyword == "FROM"]
    if not target:
        return stages[-1] if stages else None
    for each in reversed(stages):
        if dockerfile.stage_of(each)[1] == target.lower():
            return each
    known = target.isdecimal() and int(target) < len(stages)
    return stages[int(target)] if known else None
