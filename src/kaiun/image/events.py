"""What a build tells its listener while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Phase = Literal["note", "wait", "build", "assets", "push"]
State = Literal["started", "output", "done", "cached", "failed"]


@dataclass(frozen=True, slots=True)
class BuildEvent:
    """One piece of progress.

    phase  note: something to tell the user once · wait: another build of this image runs ·
           build: a step of the Dockerfile or of BuildKit · assets: a compile of them ·
           push: a layer on its way
    state  of the step; `output` carries one line of what it printed
    """

    phase: Phase
    state: State
    name: str = ""  # what the step does: "RUN bundle install", "exporting to image"
    line: str = ""
    stage: str = ""  # of a Dockerfile with several: "assets"
    step: int = 0  # of its stage, from 1; 0 for BuildKit's own work
    total: int = 0
    seconds: float = 0.0  # since the step began, or that it took
    image: str = ""  # which one, where several are built at once: "shop", "shop-postgres"

    @property
    def cached(self) -> bool:
        """Return whether the step's result was taken from the cache."""
        return self.state == "cached"


Progress = Callable[[BuildEvent], None]


def silent(event: BuildEvent) -> None:
    """Listen and say nothing."""
    del event
