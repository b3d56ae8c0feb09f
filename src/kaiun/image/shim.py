"""The compiler shim in a build: mounted for every RUN of the Dockerfile, read before its command.

`RUN make` becomes `RUN --mount=… . /dev/kaiun/on; make` and `RUN ["make"]` becomes
`RUN --mount=… ["/dev/kaiun/exec", "make"]`, on the same lines. A step is left alone, with a note,
where its shell is none that could read the shim.
"""

from __future__ import annotations

import posixpath
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kaiun.cpu import shim
from kaiun.cpu.shim import asked
from kaiun.image.build import Recipe, build
from kaiun.image.dockerfile import Edit, stage_of
from kaiun.image.events import silent

if TYPE_CHECKING:
    from kaiun.image.client import Client
    from kaiun.image.dockerfile import Instruction
    from kaiun.image.stop import Stop

IMAGE = "kaiun-shim"
LABEL = "kaiun.shim"  # whose value is the baseline
BEFORE = f". {shim.FOLDER}/on; "
EXEC = f'"{shim.FOLDER}/exec", '
SHELLS = frozenset({"sh", "ash", "bash", "dash", "ksh", "zsh", "busybox"})
_DEFAULT: tuple[str, ...] = ("/bin/sh", "-c")
_ONLY_HEREDOC = re.compile(r"<<\S+")  # then its text is the command


def image(client: Client, cpu: str, stop: Stop) -> str:
    """Return the image that holds the shim for one of its TARGETS; it is made where missing."""
    content = shim.files(cpu)
    name = f"{IMAGE}:{shim.digest(content)}"
    if client.has_image(name):
        return name
    with tempfile.TemporaryDirectory(prefix="kaiun-shim-") as folder:
        context = Path(folder)
        for path, text in content.items():
            file = context / "shim" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(0o755 if path in shim.PROGRAMS else 0o644)
        (context / "Dockerfile").write_text("FROM scratch\nCOPY shim /\n")
        recipe = Recipe(name, context, "Dockerfile", {LABEL: cpu})
        build(client, recipe, progress=silent, stop=stop)
    return name


def mount(name: str) -> str:
    """Return the option that brings the shim of an image into a RUN."""
    return f"--mount=type=bind,from={name},target={shim.FOLDER} "


def edits(instructions: Iterable[Instruction], name: str) -> Iterator[Edit | str]:
    """Yield what brings the shim into each RUN; a text for each that is left alone."""
    shells: dict[str, tuple[str, ...]] = {}
    stage, shell = "", _DEFAULT
    for each in instructions:
        if each.keyword == "FROM":
            base, stage = stage_of(each)
            shell = shells[stage] = shells.get(base, _DEFAULT)
        elif each.keyword == "SHELL":
            shell = shells[stage] = each.words or shell
        elif each.keyword == "RUN" and each.value:
            yield from _run(each, shell, name)
        elif each.keyword == "ONBUILD" and each.value.upper().startswith("RUN"):
            yield f"line {each.line}: ONBUILD RUN runs in other builds, without the compiler shim"


def reader(name: str, cpu: str) -> Callable[[str], str]:
    """Return what makes a line of the build readable: without the shim, which nobody wrote, and
    with the name of who asked for `native`."""
    ours = (mount(name), BEFORE, EXEC)

    def read(line: str) -> str:
        head, mark, _ = line.partition(asked.MARK)
        if mark and (found := asked.parse(line[len(head) :])):
            return f"{head}kaiun: {found} and gets {cpu}"
        for each in ours:
            line = line.replace(each, "")
        return line

    return read


def _run(run: Instruction, shell: tuple[str, ...], name: str) -> Iterator[Edit | str]:
    put = _before(run, shell)
    if isinstance(put, str):
        yield f"line {run.line}: {put}: this step is built without the compiler shim"
        return
    start = run.offset(run.arguments)
    if put.start == start:
        yield Edit(start, start, mount(name) + put.new)
    else:
        yield Edit(start, start, mount(name))
        yield put


def _before(run: Instruction, shell: tuple[str, ...]) -> Edit | str:
    """Return what is put before the command of a RUN, or why nothing can be."""
    if run.words:
        at = run.offset(run.logical.index("[", run.rest) + 1)
        return Edit(at, at, EXEC)
    if posixpath.basename(shell[0]) not in SHELLS or "c" not in shell[-1].lstrip("-"):
        return f"its shell is {shell[0]}"
    at = run.offset(run.rest)
    if len(run.heredocs) == 1 and _ONLY_HEREDOC.fullmatch(run.value):
        if run.heredocs[0].text.startswith("#!"):
            return "its script names an interpreter"
        at = run.heredocs[0].start
    return Edit(at, at, BEFORE)
