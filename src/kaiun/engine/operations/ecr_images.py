"""ECR images: listed, described, got, put and deleted by the API."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.ecr import manifest
from kaiun.engine.ecr.images import TAG, Image
from kaiun.engine.operations.ecr_common import (
    NoImageError,
    digest_of,
    find_repository,
    id_text,
    image_size,
    listed,
    named,
    place_in_registry,
    place_of,
    read_manifest,
    tell_image,
    with_status,
)
from kaiun.engine.operations.repositories import is_fixed, tag_exists
from kaiun.engine.protocol.errors import ApiError, invalid_parameter
from kaiun.engine.store import Doc
from kaiun.engine.world import World

MAX_IDS = 100


@operation("ecr", "ListImages")
def list_images(world: World, params: Params) -> Params:
    repository = find_repository(world, params)
    images = with_status(world.images.all(repository["repositoryName"]), params)
    return listed("imageIds", [each for image in images for each in _ids(image)], params)


def _ids(image: Image) -> list[Doc]:
    """Return an id for each tag, or the one without."""
    if not image.tags:
        return [{"imageDigest": image.digest}]
    return [{"imageDigest": image.digest, "imageTag": tag} for tag in image.tags]


@operation("ecr", "DescribeImages")
def describe_images(world: World, params: Params) -> Params:
    repository = find_repository(world, params)
    name, ids = repository["repositoryName"], params.get("imageIds")
    images = world.images.all(name)
    if ids is None:
        found = [_details(world, repository, i) for i in with_status(images, params)]
        return listed("imageDetails", found, params)
    wanted = dict.fromkeys(_required(world, repository, image_id) for image_id in ids)
    by_digest = {image.digest: image for image in images}
    return {"imageDetails": [_details(world, repository, by_digest[d]) for d in wanted]}


def _required(world: World, repository: Doc, image_id: Doc) -> str:
    name = repository["repositoryName"]
    try:
        return digest_of(world, name, image_id)
    except NoImageError as problem:
        if problem.code in ("MissingDigestAndTag", "InvalidImageDigest"):
            raise invalid_parameter(str(problem)) from None
        text = f"The image with imageId {id_text(image_id)} does not exist within"
        raise ApiError("ImageNotFoundException", f"{text} {place_of(repository)}") from None


def _details(world: World, repository: Doc, image: Image) -> Doc:
    about = read_manifest(world, image.digest)
    pulled = repository["_"].get("pulls", {}).get(image.digest)
    optional = {
        "imageTags": list(image.tags),
        "imageManifestMediaType": about.media_type,
        "artifactMediaType": about.artifact_type,
        "subjectManifestDigest": about.subject,
        "lastRecordedPullTime": pulled,
    }
    return named(
        repository,
        imageDigest=image.digest,
        imageSizeInBytes=image_size(world, about),
        imagePushedAt=image.pushed_at,
        imageStatus="ACTIVE",
        **{member: value for member, value in optional.items() if value},
    )


@operation("ecr", "BatchGetImage")
def batch_get_image(world: World, params: Params) -> Params:
    repository = find_repository(world, params)
    name = repository["repositoryName"]
    images, failures = [], []
    for image_id in _ids_of(params):
        try:
            digest = digest_of(world, name, image_id)
        except NoImageError as problem:
            failures.append(_failure(image_id, problem))
            continue
        whole = image_id | {"imageDigest": digest}
        text = world.images.manifest(digest).decode()
        media = read_manifest(world, digest).media_type
        images.append(
            named(repository, imageId=whole, imageManifest=text, imageManifestMediaType=media)
        )
    return {"images": images, "failures": failures}


def _ids_of(params: Params) -> list[Doc]:
    ids: list[Doc] = params["imageIds"]
    if not 1 <= len(ids) <= MAX_IDS:
        raise invalid_parameter(f"imageIds must have 1 to {MAX_IDS} entries.")
    return ids


def _failure(image_id: Doc, problem: NoImageError) -> Doc:
    return {"imageId": image_id, "failureCode": problem.code, "failureReason": str(problem)}


@operation("ecr", "BatchDeleteImage")
def batch_delete_image(world: World, params: Params) -> Params:
    """A digest deletes the image with all its tags, a tag only itself, the last one the image."""
    repository = find_repository(world, params)
    name = repository["repositoryName"]
    deleted: list[Doc] = []
    failures: list[Doc] = []
    for image_id in _ids_of(params):
        try:
            digest = digest_of(world, name, image_id)
            if "imageTag" not in image_id:
                _refuse_listed(world, name, digest)
        except NoImageError as problem:
            failures.append(_failure(image_id, problem))
            continue
        deleted += _delete(world, name, digest, image_id.get("imageTag"))
    return {"imageIds": deleted, "failures": failures}


def _delete(world: World, name: str, digest: str, tag: str | None) -> list[Doc]:
    tags = tuple(sorted(t for t, of in world.images.tags(name).items() if of == digest))
    if tag is not None:
        world.images.untag(name, tag)
    if tag is None or tags == (tag,):
        world.images.delete(name, digest)
    gone = _ids(Image(digest, tags if tag is None else (tag,), 0.0))
    for each in gone:
        tell_image(world, name, "DELETE", digest, each.get("imageTag"))
    return gone


def _refuse_listed(world: World, name: str, digest: str) -> None:
    """Refuse to delete an image that a list names."""
    for image in world.images.all(name):
        if any(part == digest for part, _ in read_manifest(world, image.digest).images):
            text = f"Requested image referenced by manifest list: [{image.digest}]"
            raise NoImageError("ImageReferencedByManifestList", text)


@operation("ecr", "PutImage")
def put_image(world: World, params: Params) -> Params:
    repository = find_repository(world, params)
    name, tag = repository["repositoryName"], params.get("imageTag")
    text = params["imageManifest"].encode(errors="surrogatepass")
    _check(world, repository, text, params)
    media = _media_type(params, text)
    digest = "sha256:" + hashlib.sha256(text).hexdigest()
    if tag is not None:
        _check_tag(world, repository, tag, digest)
    elif world.images.has(name, digest):
        raise _already(repository, digest, tag)
    world.images.put(name, text, tag, world.now())
    tell_image(world, name, "PUSH", digest, tag)
    whole = {"imageDigest": digest, **({"imageTag": tag} if tag is not None else {})}
    image = named(
        repository,
        imageId=whole,
        imageManifest=params["imageManifest"],
        imageManifestMediaType=media,
    )
    return {"image": image}


def _check(world: World, repository: Doc, text: bytes, params: Params) -> None:
    """Refuse what is no manifest, or lacks a part; layers that are imagined are always there."""
    name = repository["repositoryName"]
    try:
        about = manifest.read(text)
    except ValueError:
        raise invalid_parameter(
            "Invalid parameter at 'ImageManifest' failed to satisfy constraint: "
            "'Invalid JSON syntax'"
        ) from None
    digest = "sha256:" + hashlib.sha256(text).hexdigest()
    if params.get("imageDigest", digest) != digest:
        told = f"The digest {params['imageDigest']} is not that of the manifest, {digest}"
        raise ApiError("ImageDigestDoesNotMatchException", told)
    if gone := [d for d, _ in about.images if not world.images.has(name, d)]:
        raise _missing("ReferencedImagesNotFoundException", "Images", gone, repository)
    gone = [d for d, _ in about.parts if world.images.layer_size(name, d) is None]
    if gone and not world.null_runtime:
        raise _missing("LayersNotFoundException", "Layers", gone, repository)


def _media_type(params: Params, text: bytes) -> str:
    """Return the media type of a manifest, which it or the request has to say."""
    found: str | None = json.loads(text).get("mediaType") or params.get("imageManifestMediaType")
    if not found:
        raise invalid_parameter("image manifest mediatype not provided in manifest or parameter")
    return found


def _missing(code: str, what: str, digests: list[str], repository: Doc) -> ApiError:
    place = place_of(repository)
    text = f"{what} with digests '{digests}' required for pushing image into {place} do not exist"
    return ApiError(code, text)


def _check_tag(world: World, repository: Doc, tag: str, digest: str) -> None:
    if not TAG.fullmatch(tag):
        raise invalid_parameter(
            "Invalid parameter at 'imageTag' failed to satisfy constraint: 'must satisfy regular "
            "expression '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}''"
        )
    known = world.images.digest(repository["repositoryName"], tag)
    if known == digest:
        raise _already(repository, digest, tag)
    if known is not None and is_fixed(repository, tag):
        raise ApiError("ImageTagAlreadyExistsException", tag_exists(repository, tag))


def _already(repository: Doc, digest: str, tag: Any) -> ApiError:
    with_tag = f" and tag '{tag}'" if tag is not None else ""
    text = (
        f"Image with digest '{digest}'{with_tag} already exists in {place_in_registry(repository)}"
    )
    return ApiError("ImageAlreadyExistsException", text)
