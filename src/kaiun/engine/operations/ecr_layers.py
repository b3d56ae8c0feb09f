"""ECR layers by the API: is it there, where is it, uploads in parts."""

from __future__ import annotations

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.ecr import links
from kaiun.engine.ecr.images import DIGEST
from kaiun.engine.operations.ecr_common import find_repository, named, place_in_registry, place_of
from kaiun.engine.protocol.errors import ApiError, invalid_parameter
from kaiun.engine.store import Doc
from kaiun.engine.world import World

PART_BYTES = 10 * 1024 * 1024
MIN_PART_BYTES = 5 * 1024 * 1024  # of all parts but the last
MAX_DIGESTS = 100
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@operation("ecr", "BatchCheckLayerAvailability")
def batch_check_layer_availability(world: World, params: Params) -> Params:
    name = find_repository(world, params)["repositoryName"]
    digests = params["layerDigests"]
    if not 1 <= len(digests) <= MAX_DIGESTS:
        raise invalid_parameter(f"layerDigests must have 1 to {MAX_DIGESTS} entries.")
    failures = [
        {
            "layerDigest": digest,
            "failureCode": "InvalidLayerDigest" if digest else "MissingLayerDigest",
            "failureReason": "Invalid layer digest." if digest else "A layer digest is missing.",
        }
        for digest in digests
        if not DIGEST.fullmatch(digest)
    ]
    layers = [_availability(world, name, d) for d in digests if DIGEST.fullmatch(d)]
    return {"layers": layers, "failures": failures}


def _availability(world: World, name: str, digest: str) -> Doc:
    size = world.images.layer_size(name, digest)
    if size is None:
        return {"layerDigest": digest, "layerAvailability": "UNAVAILABLE"}
    face = {"layerDigest": digest, "layerAvailability": "AVAILABLE"}
    return {**face, "layerSize": size, "mediaType": LAYER}


@operation("ecr", "GetDownloadUrlForLayer")
def get_download_url_for_layer(world: World, params: Params) -> Params:
    repository = find_repository(world, params)
    name, digest = repository["repositoryName"], params["layerDigest"]
    if world.images.layer_size(name, digest) is None:
        text = f"The layer with digest '{digest}' does not exist in {place_of(repository)}"
        raise ApiError("LayersNotFoundException", text)
    path = links.make(world.identity.secret_key, name, digest, world.now())
    return {"downloadUrl": f"http://{world.ecr_host}{path}", "layerDigest": digest}


@operation("ecr", "InitiateLayerUpload")
def initiate_layer_upload(world: World, params: Params) -> Params:
    repository = find_repository(world, params)
    upload_id = world.uploads.begin()
    world.layer_uploads[upload_id] = {"repository": repository["repositoryName"], "parts": 0}
    return {"uploadId": upload_id, "partSize": PART_BYTES}


def _upload(world: World, params: Params) -> tuple[Doc, str, int]:
    """Return repository, upload and how many bytes have come. Raises UploadNotFoundException."""
    repository, upload_id = find_repository(world, params), params["uploadId"]
    found = world.layer_uploads.get(upload_id)
    if found is None or found["repository"] != repository["repositoryName"]:
        text = f"The upload with upload id '{upload_id}' does not exist in {place_of(repository)}"
        raise ApiError("UploadNotFoundException", text)
    return repository, upload_id, world.uploads.size(upload_id)


@operation("ecr", "UploadLayerPart")
def upload_layer_part(world: World, params: Params) -> Params:
    repository, upload_id, size = _upload(world, params)
    first, last, part = params["partFirstByte"], params["partLastByte"], params["layerPartBlob"]
    if first != size or last - first + 1 != len(part):
        raise ApiError(
            "InvalidLayerPartException",
            f"The part {first}-{last} of {len(part)} bytes does not follow on byte {size - 1}.",
            registryId=repository["registryId"],
            repositoryName=repository["repositoryName"],
            uploadId=upload_id,
            lastValidByteReceived=max(0, size - 1),
        )
    upload = world.layer_uploads[upload_id]
    if upload["parts"] and upload.get("last", PART_BYTES) < MIN_PART_BYTES:
        upload["is_small"] = True
    upload |= {"parts": upload["parts"] + 1, "last": len(part)}
    world.layer_uploads.touch(upload_id)
    world.uploads.append(upload_id, part)
    return named(repository, uploadId=upload_id, lastByteReceived=max(0, size + len(part) - 1))


@operation("ecr", "CompleteLayerUpload")
def complete_layer_upload(world: World, params: Params) -> Params:
    repository, upload_id, size = _upload(world, params)
    name, digests = repository["repositoryName"], params["layerDigests"]
    if not size:
        raise ApiError("EmptyUploadException", f"The upload '{upload_id}' has no parts.")
    if world.layer_uploads[upload_id].get("is_small"):
        text = f"A part but the last has less than {MIN_PART_BYTES} bytes."
        raise ApiError("LayerPartTooSmallException", text)
    digest = world.uploads.digest(upload_id)
    if digest not in digests:
        raise ApiError("InvalidLayerException", f"The layer's digest is {digest}.")
    if world.images.layer_size(name, digest) is not None:
        text = f"Layer with digest '{digest}' already exists in {place_in_registry(repository)}"
        raise ApiError("LayerAlreadyExistsException", text)
    world.images.put_layer(name, digest, world.uploads.path(upload_id))
    del world.layer_uploads[upload_id]
    return named(repository, uploadId=upload_id, layerDigest=digest)
