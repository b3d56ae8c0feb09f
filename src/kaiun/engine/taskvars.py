"""Variables that ECS itself sets in containers.

Sources: ECS developer guide, "Task metadata endpoint version 4", "Task IAM role", "Container agent
configuration" (AWS_EXECUTION_ENV).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kaiun.engine.runtime.base import DOOR_ADDRESS
from kaiun.engine.store import Doc
from kaiun.engine.world import World

DOOR: Final = f"http://{DOOR_ADDRESS}"
_OWN_AWS: Final = {"AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ENDPOINT_URL"}


def new_number() -> str:
    """Return the part of a container's address at the metadata endpoint that cannot be guessed."""
    return f"{secrets.randbelow(10**20):020d}"


@dataclass(frozen=True, slots=True)
class Given:
    """What a container is told. `base` is the address of both endpoints and of the API."""

    base: str
    metadata_id: str
    credentials_id: str | None
    region: str
    launch_type: str


def given(world: World, task: Doc, definition: Doc) -> dict[str, Given]:
    """Return what each container is given; nothing where it has no network, or no endpoint is."""
    mode, own = definition.get("networkMode", "bridge"), task["_"]
    if mode == "none" or world.null_runtime:
        return {}
    return {
        name: Given(
            base=world.endpoint if mode == "host" else DOOR,
            metadata_id=f"{own['id']}-{number}",
            credentials_id=own.get("credentials"),
            region=world.identity.region,
            launch_type=task["launchType"],
        )
        for name, number in own.get("doors", {}).items()
    }


def complete(variables: Mapping[str, str], own: Given | None) -> dict[str, str]:
    """Return the variables of a container with those that ECS sets.

    Unlike ECS, a task with a role is told the address of the API, for its keys are known nowhere
    else; unless the container brings keys, or an address, of its own.
    """
    if own is None:
        return dict(variables)
    told = {
        "ECS_CONTAINER_METADATA_URI": f"{own.base}/v3/{own.metadata_id}",
        "ECS_CONTAINER_METADATA_URI_V4": f"{own.base}/v4/{own.metadata_id}",
        "ECS_AGENT_URI": f"{own.base}/api/{own.metadata_id}",
    }
    usual = {"AWS_EXECUTION_ENV": f"AWS_ECS_{own.launch_type}"}
    if own.credentials_id or own.launch_type == "FARGATE":
        usual |= {"AWS_REGION": own.region, "AWS_DEFAULT_REGION": own.region}
    if own.credentials_id:
        told |= _credentials(own)
        if not _OWN_AWS & variables.keys():
            usual |= {"AWS_ENDPOINT_URL": own.base, "AWS_DISABLE_HOST_PREFIX_INJECTION": "true"}
    return {**usual, **variables, **told}


def _credentials(own: Given) -> dict[str, str]:
    """SDKs put 169.254.170.2 before the relative address; another one they take from loopback."""
    path = f"/v2/credentials/{own.credentials_id}"
    if own.base == DOOR:
        return {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": path}
    return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": own.base + path}
