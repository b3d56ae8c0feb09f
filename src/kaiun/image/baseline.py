"""The CPU scan of every build: what would crash fails it, what the image needs becomes a label.

The image is judged before kaiun's layer is added, so that the label costs no build of its own, and
once more with the layer, of which only its own files are new. Layers that any scan has seen are
not read again: a build that changed no library reads a few files.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaiun.cpu import levels, report, store
from kaiun.cpu.verdict import Kind
from kaiun.errors import ImageError, KaiunError
from kaiun.image import contents
from kaiun.image.build import Recipe, build
from kaiun.image.events import BuildEvent, silent

if TYPE_CHECKING:
    from kaiun.cpu.report import Item, Report
    from kaiun.image.client import Client
    from kaiun.image.events import Progress
    from kaiun.image.source import Source
    from kaiun.image.stop import Stop

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Judging:
    """Whose image it is, and who is told."""

    client: Client
    home: Path
    wanted: Source
    progress: Progress
    stop: Stop

    def note(self, line: str) -> None:
        self.progress(BuildEvent("note", "output", line=line))


def labelled(image: str, recipe: Recipe, judging: Judging) -> Recipe:
    """Judge `image`; return the recipe with the label of what it needs.

    Raises ImageError when it holds what `image.cpu` rules out.
    """
    found = _scanned(image, judging)
    if found is None:
        return recipe
    _tell(found, judging)
    _require(found, judging)
    return replace(recipe, labels={**recipe.labels, report.LABEL: found.label()})


def judge(recipe: Recipe, judging: Judging, said: Mapping[str, Any] | None = None) -> None:
    """Judge the image that `recipe` made; give it the label where the recipe did not have it.

    `said` is what the engine says of it, where that is known. Raises ImageError as `labelled` does.
    """
    found = _scanned(recipe.name, judging, said)
    if found is None or recipe.labels.get(report.LABEL) == found.label():
        return
    _tell(found, judging)
    _require(found, judging)
    folder = Path(tempfile.mkdtemp(prefix="kaiun-label-"))
    try:
        (folder / "Dockerfile").write_text(f"FROM {recipe.name}\n")
        labels = {**recipe.labels, report.LABEL: found.label()}
        ours = Recipe(recipe.name, folder, "Dockerfile", labels)
        build(judging.client, ours, progress=silent, stop=judging.stop)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _scanned(image: str, judging: Judging, said: Mapping[str, Any] | None = None) -> Report | None:
    """Return what a scan says; None, with a note, where none can be made and none was asked for."""
    baseline = levels.parse(judging.wanted.cpu) if judging.wanted.cpu else None
    allowed = dict(judging.wanted.cpu_allow)
    try:
        with store.opened(judging.home) as known:
            files = contents.of_engine(judging.client, image, known, said=said)
    except (KaiunError, OSError) as problem:
        if judging.wanted.cpu:
            raise ImageError(f"the CPU scan failed: {problem}", where=image) from problem
        judging.note(f"no CPU scan: {problem}")
        return None
    return report.build(image, files or [], baseline, allowed)


def _tell(found: Report, judging: Judging) -> None:
    """Tell what the image needs; where image.cpu is set, also the files to look at."""
    review = found.of(Kind.REVIEW)
    unsure = f", {len(review)} files choose at run time, not seen how" if review else ""
    judging.note(f"CPU: needs {found.needs}{unsure}")
    shown = review if judging.wanted.cpu else found.risks
    for item in shown[:_SHOWN]:
        judging.note(f"CPU: {item.kind}: {_line(item)}")
    if len(shown) > _SHOWN:
        judging.note(f"CPU: and {len(shown) - _SHOWN} more: kaiun scan shows them")


def _require(found: Report, judging: Judging) -> None:
    risks = found.risks
    if not judging.wanted.cpu or not risks:
        return
    worst = risks[0]
    raise ImageError(
        f"{worst.package or worst.path} would crash on {found.baseline}: {worst.why}",
        where=worst.path,
        detail=list(_evidence(risks)),
        hint="build it for the baseline (no -march=native), or name it in `image.cpu_allow` with "
        "the reason",
    )


def _evidence(risks: Iterable[Item]) -> Iterable[str]:
    for item in list(risks)[:_SHOWN]:
        yield _line(item)
        if item.crashes_on:
            yield f"  the first to crash: {item.crashes_on}"


def _line(item: Item) -> str:
    """Return a file in one line: which, what it needs, in which functions."""
    functions = ", ".join(item.functions[:3]) + (", …" if item.count > 3 else "")
    return f"{item.title}: {' '.join(item.features)} in {functions or 'its notes'}"
