"""Images of containers: there already, pulled, or (the pause image) made on the spot."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiodocker

from kaiun.engine.runtime import docker_elf, docker_pause
from kaiun.engine.runtime.base import RuntimeFailure
from kaiun.engine.runtime.docker_client import daemon_said, failing_with, stream

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]

_LOOPBACK = ("localhost", "127.", "[::1]")
_HUB = "https://index.docker.io/v1/"


def registry_of(image: str) -> str | None:
    """Return the host part of an image reference; None for Docker Hub's."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else None


def is_loopback(registry: str | None) -> bool:
    return registry is not None and registry.startswith(_LOOPBACK)


async def ensure(
    docker: aiodocker.Docker, image: str, login: tuple[str, str] | None = None
) -> str | None:
    """Make sure of the image and return its repository digest, where it has one.

    `login` is a user and password for its registry, else those of the Docker client. A digest is
    pulled only if missing. A tag is pulled anew from a registry on loopback, where that costs
    nothing, and otherwise only if missing. What cannot be pulled but is there is taken. Raises
    RuntimeFailure (CannotPullContainerError).
    """
    found = await _inspect(docker, image)
    fresh = "@" not in image and is_loopback(registry_of(image))
    if found is None or fresh:
        try:
            await pull(docker, image, login)
            found = await _inspect(docker, image)
        except RuntimeFailure:
            if found is None:
                raise
    return _digest(found or {}, image)


async def pull(docker: aiodocker.Docker, image: str, login: tuple[str, str] | None = None) -> None:
    """Raises RuntimeFailure with the text that ECS has for it."""
    auth = await _auth(registry_of(image), login)
    headers = {"X-Registry-Auth": auth} if auth else {}
    params = {"fromImage": image}
    if "@" not in image and ":" not in image.rpartition("/")[2]:
        params["tag"] = "latest"
    with failing_with("CannotPullContainerError"):
        async with stream(
            docker, "images/create", params, method="POST", headers=headers
        ) as answer:
            async for line in answer.content:
                problem = json.loads(line).get("error")
                if problem:
                    raise RuntimeFailure("CannotPullContainerError", daemon_said(problem))


async def _auth(registry: str | None, login: tuple[str, str] | None) -> str | None:
    """Return the X-Registry-Auth of a pull."""
    if login is None:
        return None if is_loopback(registry) else await credentials(registry)
    user, password = login
    return _encoded({"username": user, "password": password, "serveraddress": registry or _HUB})


async def ensure_pause(docker: aiodocker.Docker) -> str:
    """Return the reference of the pause image, imported if it is missing."""
    architecture = str((await docker.version())["Arch"])
    if architecture not in docker_elf.architectures():
        raise RuntimeFailure(
            "ResourceInitializationError", f"no pause program for the architecture {architecture}"
        )
    repository, tag = docker_pause.reference(architecture)
    if await _inspect(docker, f"{repository}:{tag}") is None:
        await _import(docker, repository, tag, docker_pause.archive(architecture))
    return f"{repository}:{tag}"


async def _import(docker: aiodocker.Docker, repository: str, tag: str, archive: bytes) -> None:
    params = {"fromSrc": "-", "repo": repository, "tag": tag, "changes": 'ENTRYPOINT ["/pause"]'}
    headers = {"Content-Type": "application/x-tar"}
    async with stream(
        docker, "images/create", params, method="POST", data=archive, headers=headers
    ) as answer:
        text = await answer.text()
    if '"error"' in text:
        raise RuntimeFailure("ResourceInitializationError", f"cannot make the pause image: {text}")


async def _inspect(docker: aiodocker.Docker, image: str) -> Json | None:
    with failing_with("CannotPullContainerError"):
        try:
            return await docker.images.inspect(image)
        except aiodocker.DockerError as error:
            if error.status != 404:
                raise
    return None


def _digest(inspected: Json, image: str) -> str | None:
    pinned = image.partition("@")[2]
    if pinned:
        return pinned
    digests: list[str] = inspected.get("RepoDigests") or []
    return digests[0].partition("@")[2] if digests else None


async def credentials(registry: str | None) -> str | None:
    """Return the X-Registry-Auth of a registry from the Docker client's own configuration."""
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        config: Json = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError):
        return None
    server = registry or _HUB
    helper = config.get("credHelpers", {}).get(server) or config.get("credsStore")
    found = await _from_helper(helper, server) if helper else _from_file(config, server)
    return None if found is None else _encoded(found)


def _encoded(auth: Mapping[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(auth).encode()).decode()


def _from_file(config: Json, server: str) -> Mapping[str, str] | None:
    entries: Json = config.get("auths", {})
    entry: Json = entries.get(server) or entries.get(f"https://{server}") or {}
    if entry.get("identitytoken"):
        return {"identitytoken": entry["identitytoken"], "serveraddress": server}
    if not entry.get("auth"):
        return None
    user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
    return {"username": user, "password": password.rstrip("\0"), "serveraddress": server}


async def _from_helper(helper: str, server: str) -> Mapping[str, str] | None:
    """Ask `docker-credential-HELPER get`, as the Docker client does."""
    try:
        process = await asyncio.create_subprocess_exec(
            f"docker-credential-{helper}",
            "get",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return None
    output, _ = await process.communicate(server.encode())
    if process.returncode:
        return None
    answer: dict[str, str] = json.loads(output)
    if answer["Username"] == "<token>":
        return {"identitytoken": answer["Secret"], "serveraddress": server}
    return {
        "username": answer["Username"],
        "password": answer["Secret"],
        "serveraddress": server,
    }
