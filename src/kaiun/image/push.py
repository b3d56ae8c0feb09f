"""Push an image from the engine to its registry, and make sure that it arrived."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections import deque
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kaiun.errors import ImageError
from kaiun.image import credentials as known
from kaiun.image import folders
from kaiun.image import stop as stops
from kaiun.image.events import BuildEvent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaiun.image.client import Client
    from kaiun.image.credentials import Credentials
    from kaiun.image.events import Progress
    from kaiun.image.reference import Reference
    from kaiun.image.registry import Registry
    from kaiun.image.stop import Stop

_DIGEST = re.compile(r"\bdigest: (sha256:[0-9a-f]{64})\b")
_LAYER = re.compile(r"([0-9a-f]{12}): (.*)")
_ARRIVED = ("Pushed", "Layer already exists", "Mounted from")


def push(
    client: Client,
    reference: Reference,
    registry: Registry,
    *,
    credentials: Credentials | None,
    progress: Progress,
    stop: Stop,
) -> str:
    """Push `name:tag` and return the digest that the registry has under that tag.

    `credentials` are for registries that docker's own configuration does not know (ECR).
    Raises ImageError with docker's last words, or when the registry has something else.
    """
    with logged_in(client, reference, credentials) as ours:
        try:
            pushed = _docker_push(ours, reference, progress, stop)
        except ImageError as refusal:
            return _existing(registry, reference, refusal)
    found = registry.digest(reference)
    if found == pushed:
        return pushed
    if found and registry.digest(reference, pushed):
        return found  # someone else pushed the same commit at the same moment: theirs is the tag's
    raise ImageError(
        f"the registry has {found or 'nothing'} where docker says it pushed {pushed}",
        where=f"{reference.name}:{reference.tag}",
    )


def _docker_push(
    client: Client,
    reference: Reference,
    progress: Progress,
    stop: Stop,
) -> str:
    name = f"{reference.name}:{reference.tag}"
    last: deque[str] = deque(maxlen=5)
    digest = ""
    with stops.child([client.program, "push", name], client.environment(), stop) as process:
        for line in stops.lines(process):
            last.append(line)
            if found := _DIGEST.search(line):
                digest = found[1]
            elif layer := _LAYER.fullmatch(line):
                progress(_layer_event(layer[1], layer[2]))
    if process.returncode or not digest:
        raise ImageError(
            "the push failed", where=name, hint=_hint(reference, " ".join(last)), detail=tuple(last)
        )
    return digest


def _layer_event(layer: str, said: str) -> BuildEvent:
    return BuildEvent("push", "done" if said.startswith(_ARRIVED) else "output", layer, said)


def _existing(registry: Registry, reference: Reference, refusal: ImageError) -> str:
    """Return what an immutable tag holds already, if that is why the push was refused."""
    said = " ".join(refusal.detail).lower()
    if "immutable" in said and (found := registry.digest(reference)):
        return found
    raise refusal


@contextmanager
def logged_in(
    client: Client, reference: Reference, credentials: Credentials | None
) -> Iterator[Client]:
    """Yield a client that has the credentials beside its own, in a private file that is removed.

    It is in memory where the system has a place for that, which Linux has.
    """
    if credentials is None:
        yield client
        return
    own = known.config_directory()
    with folders.held(folders.in_memory() or Path(tempfile.gettempdir(), "kaiun")) as directory:
        text = json.dumps(known.with_login(known.read_config(own), reference.registry, credentials))
        path = directory / "config.json"
        path.touch(mode=0o600)
        path.write_text(text)
        for kind in ("contexts", "cli-plugins", "buildx"):
            if (own / kind).is_dir():
                (directory / kind).symlink_to((own / kind).absolute())
        # By it BuildKit knows the folders again that it was sent before; buildx keeps its own.
        (directory / ".buildNodeID").write_text(hashlib.sha256(str(own).encode()).hexdigest())
        yield replace(client, config=str(directory))


def _hint(reference: Reference, said: str) -> str:
    lowered = said.lower()
    if "name unknown" in lowered or "repository does not exist" in lowered:
        return f"create the repository {reference.path} in the registry first"
    if any(word in lowered for word in ("denied", "unauthorized", "no basic auth", "authentica")):
        return f"docker login {reference.registry}"
    if "connection refused" in lowered:
        return "is the registry running? (kaiun local up)"
    if "gave http response to https" in lowered:
        return f'add "{reference.registry}" to insecure-registries in /etc/docker/daemon.json'
    return ""
