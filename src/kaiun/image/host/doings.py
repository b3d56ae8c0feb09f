"""What a worker can be asked to do: each takes a job and its request, and returns the result."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import urllib3

from kaiun.errors import ImageError
from kaiun.image import client as clients
from kaiun.image.ensure import Workshop, ensure_supplied, find_supplied
from kaiun.image.host import pushes
from kaiun.image.host.condition import look
from kaiun.image.host.delivery import Delivered
from kaiun.image.host.watching import watch
from kaiun.image.messages import Json, made
from kaiun.image.pin import pin
from kaiun.image.reference import parse
from kaiun.image.revision import Revision
from kaiun.image.source import Source

if TYPE_CHECKING:
    from kaiun.image.ensure import Built
    from kaiun.image.garbage import Host
    from kaiun.image.host.job import Job

_PART_BYTES = 1 << 18


def ensure(job: Job, request: Json) -> Json:
    """Build the image unless the registry has it."""
    wanted, supply = _wanted(job, request)
    return asdict(ensure_supplied(wanted, _revision(request), supply, _workshop(job, request)))


def find(job: Job, request: Json) -> Json | None:
    """Look for the image in the registry."""
    wanted, supply = _wanted(job, request)
    found = find_supplied(wanted, _revision(request), supply, _workshop(job, request))
    return _given(found)


def fixed(job: Job, request: Json) -> Json | None:
    """Pin an image that is given by name."""
    return _given(pin(request["text"], _workshop(job, request), local=request["local"]))


def watched(job: Job, request: Json) -> Json:
    """Follow another's build of the image to its end."""
    wanted, supply = _wanted(job, request)
    begin_s = request["begin_s"]
    workshop = _workshop(job, request)
    return asdict(watch(wanted, _revision(request), supply, workshop, begin_s=begin_s))


def condition(job: Job, request: Json) -> str:
    """Say what there is to build with."""
    del request
    return look(job.home)


def repository(job: Job, request: Json) -> str:
    """Make the repository of push-to-build; return its path."""
    return str(pushes.make(job.home, made(pushes.Pushing, request)))


def asked(job: Job, request: Json) -> Json:
    """Send a request to a registry; what it answers goes to the developer's side in parts."""
    body = request["body"]
    answer = (
        _workshop(job, request)
        .connected()
        .call(
            request["method"],
            parse(request["name"]),
            request["path"],
            action=request["action"],
            headers=request["headers"],
            body=b64decode(body) if body is not None else None,
            stream=True,
        )
    )
    try:
        for part in answer.stream(_PART_BYTES):
            job.give(part)
    except urllib3.exceptions.HTTPError as problem:
        raise ImageError(
            "the registry stopped in the middle of an answer",
            where=request["name"],
            hint="try again",
        ) from problem
    return {
        "status": answer.status,
        "reason": answer.reason,
        "headers": dict(answer.headers),
    }


def garbage(job: Job, request: Json) -> list[Json]:
    """List what the builds of an app left here."""
    shown = ("kind", "name", "size", "needed")
    return [{key: getattr(item, key) for key in shown} for item in _left(job, request).items()]


def clear(job: Job, request: Json) -> None:
    """Remove one thing of that list."""
    for item in _left(job, request).items():
        if (item.kind, item.name) == (request["kind"], request["name"]):
            item.remove()


def _left(job: Job, request: Json) -> Host:
    from kaiun.image.garbage import Host

    client = clients.find()
    clients.require_engine(client)
    return Host(client, job.home, request["app"], job.stop)


def _wanted(job: Job, request: Json) -> tuple[Source, Delivered]:
    given = request["source"]
    pairs = {key: tuple((k, v) for k, v in given[key]) for key in ("args", "cpu_allow")}
    wanted = made(Source, given | {"root": Path(), **pairs})
    return wanted, Delivered(job, request["tag"], wanted.layer)


def _revision(request: Json) -> Revision:
    return made(Revision, request["revision"])


def _workshop(job: Job, request: Json) -> Workshop:
    no_cache = frozenset(request.get("no_cache", ()))
    return Workshop(job.tell, job.credentials, job.home, job.stop, no_cache=no_cache)


def _given(built: Built | None) -> Json | None:
    return asdict(built) if built else None


DOINGS: Mapping[str, Callable[[Job, Json], object]] = {
    "clear": clear,
    "condition": condition,
    "ensure": ensure,
    "find": find,
    "garbage": garbage,
    "pin": fixed,
    "registry": asked,
    "repository": repository,
    "watch": watched,
}
