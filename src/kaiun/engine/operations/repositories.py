"""ECR repositories: made, described, deleted; tag mutability, scanning, tags."""

from __future__ import annotations

from fnmatch import fnmatchcase

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.ecr import token
from kaiun.engine.operations.common import shown
from kaiun.engine.operations.ecr_common import find_repository, listed, named, repository_of
from kaiun.engine.protocol.errors import ApiError, invalid_parameter
from kaiun.engine.store import Doc
from kaiun.engine.world import World

MAX_TAGS = 50
_MUTABILITY = ("imageTagMutability", "imageTagMutabilityExclusionFilters")


@operation("ecr", "CreateRepository")
def create_repository(world: World, params: Params) -> Params:
    name, account = params["repositoryName"], world.identity.account
    if params.get("registryId", account) != account:
        raise invalid_parameter("A repository can be created in the own registry only.")
    if name in world.repositories:
        text = f"The repository with name '{name}' already exists in the registry with id"
        raise ApiError("RepositoryAlreadyExistsException", f"{text} '{account}'")
    repository = {
        "repositoryArn": world.arn(f"repository/{name}", "ecr"),
        "registryId": account,
        "repositoryName": name,
        "createdAt": world.now(),
        "imageTagMutability": "MUTABLE",
        **_mutability(params),
        "imageScanningConfiguration": {"scanOnPush": False}
        | params.get("imageScanningConfiguration", {}),
        "encryptionConfiguration": _encryption(world, params),
        "_": {"tags": _checked(params.get("tags", ()))},
    }
    world.repositories[name] = repository
    return {"repository": show(world, repository)}


def _encryption(world: World, params: Params) -> Doc:
    """Return the encryption, which is shown alone; with KMS, a key of ECR's own by default."""
    asked = params.get("encryptionConfiguration") or {"encryptionType": "AES256"}
    own = {} if asked["encryptionType"] == "AES256" else {"kmsKey": world.arn("key/ecr", "kms")}
    return {**own, **asked}


def show(world: World, repository: Doc) -> Doc:
    """Return a repository as the API shows it. Its URI follows the engine's port."""
    name = repository["repositoryName"]
    return {**shown(repository), "repositoryUri": f"{world.ecr_host}/{name}"}


@operation("ecr", "DescribeRepositories")
def describe_repositories(world: World, params: Params) -> Params:
    names = params.get("repositoryNames")
    if names is not None:
        if "maxResults" in params or "nextToken" in params:
            raise invalid_parameter("Paging is not possible with repositoryNames.")
        found = [repository_of(world, name, params.get("registryId")) for name in names]
        return {"repositories": [show(world, repository) for repository in found]}
    if params.get("registryId", world.identity.account) != world.identity.account:
        return {"repositories": []}
    return listed("repositories", [show(world, r) for r in world.repositories.values()], params)


@operation("ecr", "DeleteRepository")
def delete_repository(world: World, params: Params) -> Params:
    repository = find_repository(world, params)
    name = repository["repositoryName"]
    if not params.get("force") and world.images.all(name):
        raise ApiError(
            "RepositoryNotEmptyException",
            f"The repository with name '{name}' in registry with id '{repository['registryId']}' "
            "cannot be deleted because it still contains images",
        )
    world.images.forget(name)
    del world.repositories[name]
    return {"repository": show(world, repository)}


@operation("ecr", "GetAuthorizationToken")
def get_authorization_token(world: World, params: Params) -> Params:
    identity = world.identity
    password, expires = token.make(identity.secret_key, world.now())
    data = {
        "authorizationToken": token.basic(token.USER, password),
        "expiresAt": expires,
        "proxyEndpoint": f"http://{world.ecr_host}",
    }
    asked = params.get("registryIds") or [identity.account]
    return {"authorizationData": [data for _ in asked]}


@operation("ecr", "PutImageTagMutability")
def put_image_tag_mutability(world: World, params: Params) -> Params:
    repository = find_repository(world, params)
    for name in _MUTABILITY:
        repository.pop(name, None)
    repository |= _mutability(params)
    world.repositories.touch(repository["repositoryName"])
    return named(repository, **{n: repository[n] for n in _MUTABILITY if n in repository})


def _mutability(params: Params) -> Doc:
    mutability, filters = (params.get(name) for name in _MUTABILITY)
    if bool(filters) != str(mutability).endswith("_WITH_EXCLUSION"):
        raise invalid_parameter(
            "imageTagMutabilityExclusionFilters are needed with a mutability WITH_EXCLUSION, and "
            "with no other."
        )
    if filters and len(filters) > 5:
        raise invalid_parameter("There may be 5 imageTagMutabilityExclusionFilters.")
    return {n: params[n] for n in _MUTABILITY if params.get(n)}


def is_fixed(repository: Doc, tag: str) -> bool:
    """Return whether a tag may not be moved to another image."""
    filters = repository.get("imageTagMutabilityExclusionFilters", ())
    is_excluded = any(fnmatchcase(tag, f["filter"]) for f in filters)
    is_immutable: bool = repository["imageTagMutability"].startswith("IMMUTABLE")
    return is_immutable != is_excluded


def tag_exists(repository: Doc, tag: str) -> str:
    """Return what both the API and the registry say when a fixed tag is pushed again."""
    name = repository["repositoryName"]
    return (
        f"The image tag '{tag}' already exists in the '{name}' repository and cannot be "
        "overwritten because the repository is immutable."
    )


@operation("ecr", "PutImageScanningConfiguration")
def put_image_scanning_configuration(world: World, params: Params) -> Params:
    repository = find_repository(world, params)
    scanning = {"scanOnPush": False} | params["imageScanningConfiguration"]
    repository["imageScanningConfiguration"] = scanning
    world.repositories.touch(repository["repositoryName"])
    return named(repository, imageScanningConfiguration=scanning)


def _of_arn(world: World, arn: str) -> Doc:
    start = world.arn("repository/", "ecr")
    if not arn.startswith(start):
        raise invalid_parameter(
            "Invalid parameter at 'resourceArn' failed to satisfy constraint: 'Invalid ARN'"
        )
    return repository_of(world, arn.removeprefix(start))


@operation("ecr", "ListTagsForResource")
def list_tags_for_resource(world: World, params: Params) -> Params:
    tags = _of_arn(world, params["resourceArn"])["_"]["tags"]
    return {"tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


@operation("ecr", "TagResource")
def tag_resource(world: World, params: Params) -> Params:
    repository = _of_arn(world, params["resourceArn"])
    merged = repository["_"]["tags"] | _checked(params["tags"])
    if len(merged) > MAX_TAGS:
        raise ApiError("TooManyTagsException", f"A repository has {MAX_TAGS} tags at most.")
    repository["_"]["tags"] = merged
    world.repositories.touch(repository["repositoryName"])
    return {}


@operation("ecr", "UntagResource")
def untag_resource(world: World, params: Params) -> Params:
    repository = _of_arn(world, params["resourceArn"])
    for key in params["tagKeys"]:
        repository["_"]["tags"].pop(key, None)
    world.repositories.touch(repository["repositoryName"])
    return {}


def _checked(tags: list[Doc]) -> dict[str, str]:
    """Return tags as a map. Raises InvalidTagParameterException or TooManyTagsException."""
    if any(not tag["Key"] or tag["Key"].lower().startswith("aws:") for tag in tags):
        text = "Tag keys cannot be empty or start with aws:."
        raise ApiError("InvalidTagParameterException", text)
    if len(tags) > MAX_TAGS:
        raise ApiError("TooManyTagsException", f"A repository has {MAX_TAGS} tags at most.")
    return {tag["Key"]: tag["Value"] for tag in tags}
