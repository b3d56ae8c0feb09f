"""What the operations share: tags, pages, and finding things by name or ARN."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from kaiun.engine.identity import name_of
from kaiun.engine.protocol.errors import (
    ApiError,
    client_error,
    cluster_not_found,
    invalid_parameter,
)
from kaiun.engine.store import Doc
from kaiun.engine.world import World


def shown(doc: Doc) -> Doc:
    """Return the document as the API shows it."""
    return {key: value for key, value in doc.items() if key != "_"}


def missing(arn: str) -> Doc:
    """Return the failure of something that does not exist."""
    return {"arn": arn, "reason": "MISSING"}


def new_id() -> str:
    """Return what ECS's ids look like: 32 hexadecimal digits."""
    return uuid.uuid4().hex


def cluster_arn(world: World, name_or_arn: str | None) -> str:
    """Return the ARN of a cluster that is ACTIVE. Raises ClusterNotFoundException."""
    arn = cluster_arn_of(world, name_or_arn)
    cluster = world.clusters.get(arn)
    if cluster is None or cluster["status"] == "INACTIVE":
        raise cluster_not_found()
    return arn


def cluster_arn_of(world: World, name_or_arn: str | None) -> str:
    """Return the ARN that a cluster of this name has, whether it exists or not."""
    text = name_or_arn or "default"
    if text.startswith("arn:"):
        return text
    return world.arn(f"cluster/{text}")


def service_arn(world: World, cluster: str, name: str) -> str:
    return world.arn(f"service/{cluster.rpartition('/')[2]}/{name}")


def find_service(world: World, cluster: str, reference: str) -> Doc:
    """Return a service by name or ARN. Raises ServiceNotFoundException."""
    service = world.services.get(service_arn(world, cluster, name_of(reference)))
    if service is None or (reference.startswith("arn:") and reference != service["serviceArn"]):
        raise ApiError("ServiceNotFoundException", "Service not found.")
    return service


def page(
    items: Sequence[Any],
    params: Doc,
    *,
    limit: int,
    error: Callable[[str], ApiError] = client_error,
) -> tuple[list[Any], str | None]:
    """Return the page that nextToken and maxResults ask for, and the next token.

    A token is a position; the operations list in an order that lasts.
    """
    start = _position(params.get("nextToken"), error)
    size = min(params.get("maxResults") or limit, limit)
    if size < 1:
        raise invalid_parameter("maxResults must be at least 1.")
    end = start + size
    return list(items[start:end]), token(end) if end < len(items) else None


def token(position: int) -> str:
    return base64.urlsafe_b64encode(f"k{position}".encode()).decode()


def _position(text: str | None, error: Callable[[str], ApiError]) -> int:
    if text is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(text).decode().removeprefix("k"))
    except (ValueError, binascii.Error):
        raise error("Invalid token.") from None


def paged(name: str, items: Sequence[Any], params: Doc, *, limit: int = 100) -> Doc:
    """Return an answer with one page of `items` under `name`."""
    part, following = page(items, params, limit=limit)
    return {name: part, "nextToken": following} if following else {name: part}


def check_tags(tags: Iterable[Doc]) -> list[Doc]:
    """Return the tags, with "" for a missing value. Raises InvalidParameterException."""
    checked = [{"key": tag.get("key", ""), "value": tag.get("value", "")} for tag in tags]
    keys = [tag["key"] for tag in checked]
    if len(set(keys)) != len(keys):
        raise invalid_parameter(
            "Duplicate tag keys found. Please note that tag keys are case insensitive."
        )
    if any(not key or key.lower().startswith("aws:") for key in keys):
        raise invalid_parameter("Tag keys cannot be empty or start with aws:.")
    if len(keys) > 50:
        raise invalid_parameter("The maximum number of tags is 50.")
    return checked


def managed_tags(cluster: str, service_name: str | None = None) -> list[Doc]:
    """Return the tags that ECS itself gives to tasks where enableECSManagedTags is set."""
    tags = [{"key": "aws:ecs:clusterName", "value": name_of(cluster)}]
    if service_name is not None:
        tags.append({"key": "aws:ecs:serviceName", "value": service_name})
    return tags


def merge_tags(old: Iterable[Doc], new: Iterable[Doc]) -> list[Doc]:
    values = {tag["key"]: tag["value"] for tag in [*old, *new]}
    return [{"key": key, "value": value} for key, value in values.items()]
