"""The layer that kaiun adds to the image of the app: /opt/kaiun and the ENTRYPOINT.

It is built FROM the image of the user's Dockerfile, whose command, user and own entry point it
keeps. What is installed into an image without Python is kept as an image of its own, named by the
image's package database, so that the next commit finds it ready: as a layer that does not change.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from dataclasses import asdict, dataclass, replace
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from kaiun.errors import ImageError
from kaiun.image import probe, startfile, tail
from kaiun.image.build import Recipe, build
from kaiun.image.events import BuildEvent
from kaiun.image.layerassets import NO_ASSETS, Assets
from kaiun.image.probe import Need
from kaiun.image.startfile import ImageFacts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kaiun.config.schema import Config
    from kaiun.image.client import Client
    from kaiun.image.events import Progress
    from kaiun.image.startfile import Json
    from kaiun.image.stop import Stop

SETUP = "/mnt"  # exists everywhere: a mount leaves its mount point behind in the layer
TREE = "/kaiun-python"  # what installing Python adds, where setup.sh puts it together
PYTHON = "kaiun-python"
CARRIED = {"templates": ("jinja2", "markupsafe"), "secrets": ("yaml",)}


@dataclass(frozen=True, slots=True)
class Layering:
    """One layer to be added."""

    client: Client
    progress: Progress
    stop: Stop
    configs: Mapping[str, Config]
    revision: str

    @property
    def wanted(self) -> bool:
        """Whether kaiun.yml asks for what only the layer can do."""
        return any(
            config.start.order or any(each.beside for each in config.processes.values())
            for config in self.configs.values()
        )

    def tell(self, line: str) -> None:
        self.progress(BuildEvent("note", "output", line=line))


@dataclass(frozen=True, slots=True)
class Base:
    """The image of the user's Dockerfile, looked into."""

    name: str
    facts: ImageFacts
    found: probe.Found


def look(plain: str, layering: Layering) -> Base:
    """Return what there is to know of the image `plain`. Raises ImageError."""
    facts = probe.inspect(layering.client, plain)
    level = need(startfile.document(layering.configs, facts))
    return Base(plain, facts, probe.look(layering.client, plain, level, facts.workdir))


def add(base: Base, recipe: Recipe, layering: Layering, assets: Assets = NO_ASSETS) -> str | None:
    """Build `recipe.name`: the image of the user's Dockerfile and the layer on top.

    Return the image that Python came from, "" where there was one. Where kaiun.yml has no `start:`
    and the image can have no Python, it stays as it is, with a note: None. Raises ImageError.
    """
    began = time.monotonic()
    facts, found = base.facts, base.found
    document = startfile.document(layering.configs, facts, assets.items)
    labelled = replace(recipe, labels={**recipe.labels, **assets.labels})
    try:
        found.require_python()
        with TemporaryDirectory(prefix="kaiun-layer-", ignore_cleanup_errors=True) as folder:
            ready = _python(base.name, found, Path(folder), recipe, layering)
            context = Path(folder) / "layer"
            write(context, document, facts, layering.revision, assets)
            (context / "Dockerfile").write_text(dockerfile(base.name, facts, ready))
            _build(labelled, context, layering)
    except ImageError as problem:
        if layering.wanted or assets.labels:
            raise
        layering.tell(f"no layer of kaiun: {problem.message}; `start:` would need it")
        probe.tag(layering.client, base.name, recipe.name)
        return None
    layering.tell(_cost(layering.client, recipe.name, facts, found, time.monotonic() - began))
    return ready


def need(document: Json) -> Need:
    """Return how much of Python the steps of any environment need."""
    kinds = {kind for kind, _ in _steps(document)}
    names = [str(item["name"]) for kind, items in _steps(document) for item in items]
    if "secrets" in kinds:
        return Need.CRYPTOGRAPHY
    full = "fetch" in kinds or any(name.endswith(".j2") for name in names)
    return Need.LIBRARY if full else Need.LITTLE


def write(
    context: Path, document: Json, facts: ImageFacts, revision: str, assets: Assets = NO_ASSETS
) -> None:
    """Write what the layer is made of: sources, start.json, REVISION, what is to be arranged."""
    package = context / "source" / "kaiun"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    _copy("kaiun.entry", package / "entry")
    for kind, packages in CARRIED.items():
        if any(kind == each and _carries(kind, items) for each, items in _steps(document)):
            for name in packages:
                _copy(name, context / "source" / name)
    for name in ("assemble.py", "setup.sh"):
        text = resources.files("kaiun.image").joinpath(name).read_text("utf-8")
        (context / name).write_text(text)
    (context / "start.json").write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n")
    (context / "REVISION").write_text(revision + "\n")
    level = need(document)
    arrangement = asdict(startfile.files(document)) | {
        "workdir": facts.workdir,
        "user": facts.user,
        "imports": "; ".join(probe.IMPORTS[each] for each in Need if each <= min(level, 1)),
        "cryptography": level is Need.CRYPTOGRAPHY,
        "assets": assets.write(context / "assets"),
    }
    (context / "arrangement.json").write_text(json.dumps(arrangement, ensure_ascii=False))


def digest(document: Json, facts: ImageFacts, assets: Assets) -> str:
    """Return what names the layer's content, its REVISION apart, and the labels that go with it."""
    found = hashlib.sha256(json.dumps(assets.labels).encode())
    with TemporaryDirectory(prefix="kaiun-layer-", ignore_cleanup_errors=True) as folder:
        context = Path(folder) / "layer"
        write(context, document, facts, "", assets)
        for path in sorted(context.rglob("*")):
            if path.is_file():
                found.update(f"\0{path.relative_to(context)}\0".encode())
                found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def dockerfile(plain: str, facts: ImageFacts, ready: str) -> str:
    """Return the Dockerfile of the layer: one RUN, so one layer.

    Before it, where the image has none, Python: a layer that is the same to the byte for every
    commit, so that it is packed, pushed and pulled once.
    """
    mounts = f"--mount=type=bind,target={SETUP}"
    return "\n".join(
        (
            f"FROM {plain}",
            "USER 0:0",
            *([tail.added(ready)] if ready else []),
            f"RUN {mounts} sh {SETUP}/setup.sh arrange",
            *tail.lines("", facts.command),
            f"USER {facts.user}" if facts.user else "",
            "",
        )
    )


def python_dockerfile(plain: str, found: probe.Found) -> str:
    """Return the Dockerfile that installs Python and keeps nothing but what that added."""
    mounts = f"--mount=type=bind,target={SETUP} "
    mounts += " ".join(
        f"--mount=type=cache,sharing=locked,target={path}" for path in found.manager.caches
    )
    packages = " ".join(found.manager.packages[found.need])
    return "\n".join(
        (
            f"FROM {plain} AS installed",
            "USER 0:0",
            f"RUN {mounts} sh {SETUP}/setup.sh install {found.manager.program} {packages}",
            "FROM scratch",
            f"COPY --from=installed {TREE} /",
            "",
        )
    )


def _python(
    plain: str, found: probe.Found, folder: Path, recipe: Recipe, layering: Layering
) -> str:
    """Return the image that holds Python for `plain`, made where missing; "" where it has one."""
    if found.python:
        return ""
    name = f"{PYTHON}:{found.key}"
    if layering.client.has_image(name) and not recipe.no_cache:
        return name
    context = folder / "python"
    context.mkdir()
    script = resources.files("kaiun.image").joinpath("setup.sh").read_text("utf-8")
    (context / "setup.sh").write_text(script)
    (context / "Dockerfile").write_text(python_dockerfile(plain, found))
    _build(replace(recipe, name=name, labels={"kaiun.python": found.key}), context, layering)
    return name


def _build(recipe: Recipe, context: Path, layering: Layering) -> None:
    ours = replace(
        recipe, context=context, dockerfile="Dockerfile", target="", args=(), cache_from=()
    )
    build(layering.client, ours, progress=layering.progress, stop=layering.stop)


def _steps(document: Json) -> list[tuple[str, list[Json]]]:
    return [step for part in document["settings"] for step in part["steps"]]  # type: ignore[union-attr, index, call-overload, misc]


def _carries(kind: str, items: list[Json]) -> bool:
    return kind != "templates" or any(str(item["name"]).endswith(".j2") for item in items)


def _copy(package: str, into: Path) -> None:
    """Copy the Python part of a package that is installed here."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ImageError(f"the package {package} is not installed here", hint="reinstall kaiun")
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.pyi", "*.c", "py.typed")
    shutil.copytree(spec.submodule_search_locations[0], into, ignore=ignored)


def _cost(client: Client, name: str, facts: ImageFacts, found: probe.Found, seconds: float) -> str:
    added = (probe.inspect(client, name).size - facts.size) / 1e6
    source = found.python or f"Python by {found.manager.program}"
    return f"kaiun's layer: {added:.1f} MB, {seconds:.1f} s ({source})"
