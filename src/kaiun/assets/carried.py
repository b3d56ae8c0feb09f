"""The caches of asset compilers, carried from build to build in volumes of the Docker Engine.

A compile works on a copy of what the last good one left, and only a good one takes its place: one
that fails, is killed or runs beside another spoils nothing. Which volumes are the good ones is
written in the state home, a file for each app and recipe; beside it, which have a copy of them that
was made ahead of time (spare.py).
"""

from __future__ import annotations

import hashlib
import json
import shlex
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaiun import files
from kaiun.errors import AssetsError
from kaiun.image import probe

if TYPE_CHECKING:
    from kaiun.image.client import Client

LABEL = "kaiun.cache"
ASSETS = "assets"
SEED = "/kaiun-cache"  # where the volumes of the last good compile are mounted, read-only
GOOD, SPARE, BUSY = KINDS = (".json", ".spare", ".busy")  # of volumes: see spare.py
_LIST = '"${TMPDIR:-/tmp}/kaiun-inputs"'  # of a container that is thrown away
_FILES = "-name node_modules -prune -o -type f"
CAN_COPY = " && ".join(f"command -v {each} >/dev/null" for each in ("find", "cp", "touch"))


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a compile begins with: volumes of its own, and what they are to be filled from.

    ready: they hold a copy already. Without a seed they are empty.
    """

    volumes: str
    seed: str = ""
    ready: bool = False


@dataclass(frozen=True, slots=True)
class Cache:
    """The caches of one app and recipe: a volume for each folder."""

    client: Client
    home: Path
    app: str
    repository: str
    key: str  # of the recipe
    folders: tuple[str, ...]  # in the image, absolute

    def fresh(self) -> str:
        """Return a name for the volumes of one compile."""
        return f"kaiun-assets-{self.app}-{uuid.uuid4().hex[:12]}"

    def good(self) -> str:
        """Return the volumes of the last good compile, "" where there is none.

        Without one of this recipe the latest of the app will do: a compiler knows what is stale.
        """
        if not self.folders:
            return ""
        others = sorted(self._folder.glob(f"*{GOOD}"), key=_age)
        for path in (self.path(GOOD), *others):
            found = read(path)
            if found.get("folders") == list(self.folders) and self._are_there(found["volumes"]):
                return str(found["volumes"])
        return ""

    def mounts(self, volumes: str, seed: str) -> list[str]:
        """Return the options of `docker create`: what is written to, what it begins with."""
        labels = {LABEL: ASSETS, "kaiun.app": self.app, "kaiun.home": _owner(self.home)}
        labelled = ",".join(f"volume-label={name}={each}" for name, each in labels.items())
        options = []
        for number, folder in enumerate(self.folders):
            volume = f"type=volume,source={volumes}-{number},target={folder},{labelled}"
            options.append(f"--mount={volume}")
            if seed:
                place = f"target={SEED}/{number},readonly,volume-nocopy"
                options.append(f"--mount=type=volume,source={seed}-{number},{place}")
        return options

    def accept(self, volumes: str) -> None:
        """Let the next compile begin with these volumes. Raises AssetsError."""
        if self.folders:
            self.write(GOOD, volumes)

    def write(self, kind: str, volumes: str, **more: str) -> None:
        """Write which volumes of this recipe are of a kind. Raises AssetsError."""
        path = self.path(kind)
        record = {"volumes": volumes, "folders": list(self.folders)} | more
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            files.replace(path, json.dumps(record))
        except OSError as problem:
            raise AssetsError(
                f"the asset cache cannot be kept: {problem.strerror}", where=str(path)
            ) from problem

    def path(self, kind: str) -> Path:
        """Return the file that tells which volumes of this recipe are of a kind."""
        return self._folder / f"{self.key}{kind}"

    def sweep(self) -> None:
        """Remove volumes of this app that nothing names; Docker keeps those in use."""
        kept = named(self.home)
        listed = volumes(self.client, self.home, self.app)
        stale = [name for name in listed if name.rpartition("-")[0] not in kept]
        if stale:
            probe.call(self.client, "volume", "rm", *stale)

    def _are_there(self, volumes: str) -> bool:
        """Ask the Engine: a volume that is named but missing would be made, empty."""
        names = [f"{volumes}-{number}" for number in range(len(self.folders))]
        return probe.call(self.client, "volume", "inspect", *names).returncode == 0

    @property
    def _folder(self) -> Path:
        return _top(self.home) / f"{self.app}-{_short(self.repository)}"


def volumes(client: Client, home: Path, app: str) -> list[str]:
    """Return every volume with asset caches of an app, those of builds from this state home."""
    labels = (f"{LABEL}={ASSETS}", f"kaiun.app={app}", f"kaiun.home={_owner(home)}")
    filters = [f"--filter=label={each}" for each in labels]
    return probe.call(client, "volume", "ls", "--quiet", *filters).stdout.split()


def named(home: Path) -> dict[str, float]:
    """Return the volumes that later compiles begin with, without their number, and since when
    (seconds since the epoch)."""
    files = (path for path in _top(home).glob("*/*") if path.suffix in KINDS)
    return {str(read(path).get("volumes")): -_age(path) for path in files}


def _top(home: Path) -> Path:
    return home / "assets" / "caches"


def _owner(home: Path) -> str:
    """Return what tells volumes of a state home from those of others on the Engine."""
    return _short(str(home.absolute()))


def script(beginning: Beginning, folders: Sequence[str], inputs: Sequence[str]) -> str:
    """Return what a shell does before the command: copy what the last good compile left.

    `git archive` gives every file the time of its commit, and two commits may have been made in
    one second; Sprockets for one takes a file of the same time for the same file. So the inputs
    are made new, which costs a compiler with a cache no more than reading them.
    """
    lines = ["set -e"]
    if beginning.ready:
        lines += renewing(inputs)
    elif beginning.seed:
        lines += [f"if {CAN_COPY}; then", *copying(folders), *renewing(inputs), "fi"]
    return "\n".join((*lines, 'exec "$@"'))


def copying(folders: Sequence[str]) -> list[str]:
    """Return the lines that fill the folders from the seed."""
    return [
        f"cp -RPp {SEED}/{number}/. {shlex.quote(folder)}/" for number, folder in enumerate(folders)
    ]


def renewing(inputs: Sequence[str]) -> list[str]:
    """Return the lines that make the inputs new.

    By writing them anew where there is a tar that can: to touch a file of a lower layer makes
    overlayfs copy it up and sync it to the disk, one by one, for which a busy disk takes seconds.
    """
    places = " ".join(map(shlex.quote, roots(inputs)))
    each = f'for p in {places}; do if [ -e "$p" ]; then find "$p" -xdev {_FILES}'
    return [
        f"if ({each} -print; fi; done >{_LIST}) && "
        f"{{ tar -cf - -T {_LIST} 2>/dev/null || : >{_LIST}-failed; }} | tar -xmf - 2>/dev/null && "
        f"[ ! -e {_LIST}-failed ]; then :",
        f"else {each} -exec touch -c {{}} +; fi; done; fi",
    ]


def roots(inputs: Sequence[str]) -> list[str]:
    """Return the files and folders that patterns begin with: app/**/*.js → app."""
    found = set()
    for pattern in inputs:
        parts = pattern.split("/")
        wild = next((n for n, part in enumerate(parts) if set(part) & set("*?[")), len(parts))
        found.add("/".join(parts[:wild]) or ".")
    return sorted(found) or ["."]


def read(path: Path) -> dict[str, Any]:
    """Return what a file tells, {} where there is none or it is damaged."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _age(path: Path) -> float:
    """Return a key that puts the latest first."""
    try:
        return -path.stat().st_mtime
    except OSError:
        return 0.0


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
