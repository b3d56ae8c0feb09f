"""An app that has a Dockerfile: what the image says of itself."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kaiun.image import dockerfile


@dataclass(frozen=True, slots=True)
class Container:
    """What the last stage of a Dockerfile ends with."""

    port: int | None  # EXPOSE
    command: str  # CMD, else ENTRYPOINT, as written; "" where the base image has it
    workdir: str  # the last WORKDIR without a slash at its end; "" where there is none
    compiles_assets: bool  # in any stage


def read(text: str) -> Container:
    """Return what a Dockerfile says. A port that a variable gives is not known."""
    last: dict[str, str] = {}
    workdir = ""
    for instruction in dockerfile.parse(text):
        if instruction.keyword == "FROM":
            last = {}
        value = " ".join(instruction.value.split())
        last[instruction.keyword] = value
        workdir = value if instruction.keyword == "WORKDIR" else workdir
    port = re.match(r"(\d+)(?:/tcp)?(?:\s|$)", last.get("EXPOSE", ""))
    return Container(
        int(port[1]) if port else None,
        last.get("CMD") or last.get("ENTRYPOINT", ""),
        re.sub(r"/+$", "", workdir),
        "assets:precompile" in text,
    )
