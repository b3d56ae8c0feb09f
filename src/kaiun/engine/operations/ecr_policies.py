"""ECR's policies of a repository (kept) and lifecycle policies (kept, previewed, carried out)."""

from __future__ import annotations

import json
from collections.abc import Callable

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.ecr import lifecycle
from kaiun.engine.operations.ecr_common import (
    NoImageError,
    digest_of,
    find_repository,
    listed,
    named,
    place_of,
    tell_image,
    with_status,
)
from kaiun.engine.protocol.errors import ApiError, invalid_parameter
from kaiun.engine.store import Doc
from kaiun.engine.world import World

EVERY_S = 3600.0  # AWS says: within 24 hours


@operation("ecr", "SetRepositoryPolicy")
def set_repository_policy(world: World, params: Params) -> Params:
    repository = find_repository(world, params)
    try:
        _check_statements(json.loads(params["policyText"]))
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise invalid_parameter(
            "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid repository "
            "policy provided'"
        ) from None
    repository["_"]["policy"] = params["policyText"]
    world.repositories.touch(repository["repositoryName"])
    return _policy(repository)


def _check_statements(policy: Doc) -> None:
    """Raises ValueError, or what a document of another form brings about."""
    statements = policy.get("Statement", [])
    for each in statements if isinstance(statements, list) else [statements]:
        has_all = all(n in each or f"Not{n}" in each for n in ("Principal", "Action"))
        if each.get("Effect") not in ("Allow", "Deny") or not has_all:
            raise ValueError("a statement that lacks effect, principal or action")


@operation("ecr", "GetRepositoryPolicy")
def get_repository_policy(world: World, params: Params) -> Params:
    return _policy(find_repository(world, params))


@operation("ecr", "DeleteRepositoryPolicy")
def delete_repository_policy(world: World, params: Params) -> Params:
    return _delete(world, params, "policy", _policy)


def _delete(world: World, params: Params, key: str, face: Callable[[Doc], Doc]) -> Doc:
    """Take a policy from a repository, return what it was. `face` raises where there is none."""
    repository = find_repository(world, params)
    told = face(repository)
    del repository["_"][key]
    world.repositories.touch(repository["repositoryName"])
    return told


def _policy(repository: Doc) -> Doc:
    if "policy" not in repository["_"]:
        raise ApiError(
            "RepositoryPolicyNotFoundException",
            f"Repository policy does not exist for {place_of(repository)}",
        )
    return named(repository, policyText=repository["_"]["policy"])


@operation("ecr", "PutLifecyclePolicy")
def put_lifecycle_policy(world: World, params: Params) -> Params:
    repository = find_repository(world, params)
    text = params["lifecyclePolicyText"]
    _rules(text)
    repository["_"]["lifecycle"] = {"text": text, "evaluated_at": 0.0}
    world.repositories.touch(repository["repositoryName"])
    return named(repository, lifecyclePolicyText=text)


def _rules(text: str) -> list[lifecycle.Rule]:
    try:
        return lifecycle.parse(text)
    except ValueError as problem:
        raise invalid_parameter(
            f"Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: '{problem}'"
        ) from None


def _kept(repository: Doc) -> Doc:
    found: Doc | None = repository["_"].get("lifecycle")
    if found is None:
        raise ApiError(
            "LifecyclePolicyNotFoundException",
            f"Lifecycle policy does not exist for {place_of(repository)}",
        )
    return found


def _face(repository: Doc) -> Doc:
    kept = _kept(repository)
    members = {"lifecyclePolicyText": kept["text"], "lastEvaluatedAt": kept["evaluated_at"]}
    return named(repository, **members)


@operation("ecr", "GetLifecyclePolicy")
def get_lifecycle_policy(world: World, params: Params) -> Params:
    return _face(find_repository(world, params))


@operation("ecr", "DeleteLifecyclePolicy")
def delete_lifecycle_policy(world: World, params: Params) -> Params:
    return _delete(world, params, "lifecycle", _face)


@operation("ecr", "StartLifecyclePolicyPreview")
def start_lifecycle_policy_preview(world: World, params: Params) -> Params:
    repository = find_repository(world, params)
    text = params.get("lifecyclePolicyText") or _kept(repository)["text"]
    rules = _rules(text)
    images = world.images.all(repository["repositoryName"])
    expiring = lifecycle.expiring(rules, images, world.now())
    repository["_"]["preview"] = {"text": text, "expiring": expiring}
    world.repositories.touch(repository["repositoryName"])
    return named(repository, lifecyclePolicyText=text, status="IN_PROGRESS")


@operation("ecr", "GetLifecyclePolicyPreview")
def get_lifecycle_policy_preview(world: World, params: Params) -> Params:
    repository = find_repository(world, params)
    preview = repository["_"].get("preview")
    if preview is None:
        raise ApiError(
            "LifecyclePolicyPreviewNotFoundException",
            f"Lifecycle policy preview does not exist for {place_of(repository)}",
        )
    results = _results(world, repository, preview, params)
    return {
        **named(repository, lifecyclePolicyText=preview["text"], status="COMPLETE"),
        "summary": {"expiringImageTotalCount": len(preview["expiring"])},
        **listed("previewResults", results, params),
    }


def _results(world: World, repository: Doc, preview: Doc, params: Params) -> list[Doc]:
    name = repository["repositoryName"]
    images = with_status(world.images.all(name), params)
    if "imageIds" in params:
        wanted = {_digest(world, name, image_id) for image_id in params["imageIds"]}
        images = [image for image in images if image.digest in wanted]
    return [
        {
            "imageTags": list(image.tags),
            "imageDigest": image.digest,
            "imagePushedAt": image.pushed_at,
            "action": {"type": "EXPIRE"},
            "appliedRulePriority": preview["expiring"][image.digest],
        }
        for image in images
        if image.digest in preview["expiring"]
    ]


def _digest(world: World, name: str, image_id: Doc) -> str:
    try:
        return digest_of(world, name, image_id)
    except NoImageError:
        return ""


def expire(world: World) -> None:
    """Delete the images that lifecycle policies say, of each repository once in a while."""
    now = world.now()
    for repository in world.repositories.values():
        kept = repository["_"].get("lifecycle")
        if kept is None or now < kept["evaluated_at"] + EVERY_S:
            continue
        name = repository["repositoryName"]
        rules, images = lifecycle.parse(kept["text"]), world.images.all(name)
        for digest in lifecycle.expiring(rules, images, now):
            world.images.delete(name, digest)
            tell_image(world, name, "DELETE", digest, None)
        kept["evaluated_at"] = now
        world.repositories.touch(name)
