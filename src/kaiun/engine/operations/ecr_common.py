"""What ECR's operations share: finding a repository, its images, and what ECR says of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from kaiun.engine.dispatch import Params
from kaiun.engine.ecr import manifest
from kaiun.engine.ecr.images import DIGEST, Image
from kaiun.engine.eventbus.bus import ECR
from kaiun.engine.operations.common import page
from kaiun.engine.protocol.errors import ApiError, invalid_parameter
from kaiun.engine.store import Doc
from kaiun.engine.world import World

IMAGE_ACTION: Final = "ECR Image Action"


def find_repository(world: World, params: Params) -> Doc:
    """Return the repository that a request names. Raises RepositoryNotFoundException."""
    return repository_of(world, params["repositoryName"], params.get("registryId"))


def repository_of(world: World, name: str, registry: str | None = None) -> Doc:
    account = registry or world.identity.account
    found = world.repositories.get(name)
    if found is None or account != world.identity.account:
        raise ApiError("RepositoryNotFoundException", no_repository(name, account))
    return found


def no_repository(name: str, account: str) -> str:
    """Return what both the API and the registry say of a repository that is not there."""
    return f"The repository with name '{name}' does not exist in the registry with id '{account}'"


def place_of(repository: Doc) -> str:
    """Return how errors name a repository that is there."""
    name, account = repository["repositoryName"], repository["registryId"]
    return f"the repository with name '{name}' in the registry with id '{account}'"


def place_in_registry(repository: Doc) -> str:
    """Return how errors name a repository that has what it is to get: in slightly other words."""
    return place_of(repository).replace("in the registry", "in registry")


def id_text(image_id: Doc) -> str:
    """Return how errors show an image id."""
    digest, tag = image_id.get("imageDigest", "null"), image_id.get("imageTag", "null")
    return f"{{imageDigest:'{digest}', imageTag:'{tag}'}}"


def named(repository: Doc, **members: Any) -> Doc:
    """Return an answer that begins with which repository it is about."""
    own = {n: repository[n] for n in ("registryId", "repositoryName")}
    return {**own, **members}


def listed(name: str, items: Sequence[Any], params: Params, *, limit: int = 100) -> Doc:
    """Return an answer with one page of items; `limit` where no maxResults is given."""
    asked = {"nextToken": params.get("nextToken"), "maxResults": params.get("maxResults") or limit}
    part, following = page(items, asked, limit=1000, error=invalid_parameter)
    return {name: part, "nextToken": following} if following else {name: part}


def tell_image(world: World, name: str, action: str, digest: str, tag: str | None) -> None:
    """Send ECR's event of a PUSH or DELETE of an image, where a rule can match it.

    Source: Amazon ECR user guide, "Amazon ECR events and EventBridge".
    """
    if world.bus.wanted(IMAGE_ACTION, ECR):
        detail = {
            "result": "SUCCESS",
            "repository-name": name,
            "image-digest": digest,
            "action-type": action,
            "image-tag": tag or "",
        }
        world.bus.emit(IMAGE_ACTION, [], detail, ECR)


class NoImageError(Exception):
    """An image id that names no image; `code` is that of ImageFailure."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def digest_of(world: World, name: str, image_id: Doc) -> str:
    """Return the digest of the image that an id means. Raises NoImageError."""
    digest: str | None = image_id.get("imageDigest")
    tag: str | None = image_id.get("imageTag")
    if digest is None and tag is None:
        text = "Invalid request parameters: both tag and digest cannot be null"
        raise NoImageError("MissingDigestAndTag", text)
    if digest is not None and not DIGEST.fullmatch(digest):
        text = "Invalid request parameters: image digest should satisfy the regex "
        raise NoImageError("InvalidImageDigest", f"{text}'[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'")
    if digest is None and tag is not None:
        digest = world.images.digest(name, tag)
    if digest is None or not world.images.has(name, digest):
        raise NoImageError("ImageNotFound", "Requested image not found")
    if tag is not None and world.images.digest(name, tag) != digest:
        text = f"Requested image not found: tag {tag} is of another image"
        raise NoImageError("ImageTagDoesNotMatchDigest", text)
    return digest


def image_size(world: World, about: manifest.Manifest) -> int:
    """Return the bytes of an image's parts; of a list those of its largest image."""
    if about.images:
        return max(image_size(world, read_manifest(world, d)) for d, _ in about.images)
    return sum(size for _, size in about.parts)


def read_manifest(world: World, digest: str) -> manifest.Manifest:
    """Return a manifest, an empty one where it cannot be read."""
    try:
        return manifest.read(world.images.manifest(digest))
    except (OSError, ValueError):
        return manifest.Manifest("", "")


def with_status(images: Sequence[Image], params: Params) -> list[Image]:
    """Return the images that a request's `filter` lets through."""
    wanted = params.get("filter", {})
    if wanted.get("imageStatus", "ACTIVE") not in ("ACTIVE", "ANY"):
        return []
    status = wanted.get("tagStatus", "ANY")
    return [i for i in images if status == "ANY" or bool(i.tags) == (status == "TAGGED")]
