"""ECR's API on imagined containers, where layers are imagined too."""

from __future__ import annotations

import itertools
import json
import urllib.error
import urllib.request
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.ecr import MANIFEST, digest_of, layer, manifest
from support.engine import Engine, until

from kaiun.local.admin import post
from kaiun.local.home import read_env

ACCOUNT = "000000000000"
_names = itertools.count(1)


@pytest.fixture
def ecr(engine: Engine) -> Any:
    return engine.client("ecr")


@pytest.fixture
def name(ecr: Any) -> str:
    """A repository of one test alone."""
    name = f"team/shop-{next(_names)}"
    ecr.create_repository(repositoryName=name)
    return name


def refused(code: str) -> Any:
    return pytest.raises(ClientError, match=code)


def put(ecr: Any, name: str, text: str, tag: str | None = None) -> str:
    more = {"imageTag": tag} if tag else {}
    answer = ecr.put_image(repositoryName=name, imageManifest=manifest(layer(text)), **more)
    return str(answer["image"]["imageId"]["imageDigest"])


def ids(ecr: Any, name: str, status: str = "ANY") -> set[tuple[str, str | None]]:
    answer = ecr.list_images(repositoryName=name, filter={"tagStatus": status})
    return {(i["imageDigest"], i.get("imageTag")) for i in answer["imageIds"]}


def test_repository_is_as_it_was_made(ecr: Any, engine: Engine) -> None:
    made = ecr.create_repository(
        repositoryName="made",
        imageTagMutability="IMMUTABLE",
        imageScanningConfiguration={"scanOnPush": True},
        tags=[{"Key": "team", "Value": "a"}],
    )["repository"]
    assert made["repositoryUri"] == f"localhost:{engine.port}/made"
    assert made["repositoryArn"] == f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/made"
    assert made["encryptionConfiguration"] == {"encryptionType": "AES256"}
    assert ecr.describe_repositories(repositoryNames=["made"])["repositories"] == [made]
    tags = ecr.list_tags_for_resource(resourceArn=made["repositoryArn"])["tags"]
    assert tags == [{"Key": "team", "Value": "a"}]
    with refused("RepositoryAlreadyExistsException"):
        ecr.create_repository(repositoryName="made")
    assert ecr.delete_repository(repositoryName="made")["repository"] == made
    with refused("RepositoryNotFoundException.*The repository with name 'made' does not exist"):
        ecr.describe_repositories(repositoryNames=["made"])


def test_repositories_are_paged(own_engine: Engine) -> None:
    ecr = own_engine.client("ecr")
    for number in range(5):
        ecr.create_repository(repositoryName=f"r{number}")
    pages = ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 2})
    names = [[r["repositoryName"] for r in page["repositories"]] for page in pages]
    assert names == [["r0", "r1"], ["r2", "r3"], ["r4"]]


def test_images_are_listed_with_and_without_tags(ecr: Any, name: str) -> None:
    first, second = put(ecr, name, "1", "v1"), put(ecr, name, "2")
    ecr.put_image(repositoryName=name, imageManifest=manifest(layer("1")), imageTag="latest")
    assert ids(ecr, name) == {(first, "v1"), (first, "latest"), (second, None)}
    assert ids(ecr, name, "UNTAGGED") == {(second, None)}
    described = ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": "v1"}])
    (image,) = described["imageDetails"]
    assert image["imageTags"] == ["latest", "v1"]
    assert image["imageSizeInBytes"] == len(layer("1")) + len("{}")
    assert abs(image["imagePushedAt"] - datetime.now(UTC)) < timedelta(minutes=1)


def test_tag_moves_to_the_image_pushed_last(ecr: Any, name: str) -> None:
    first, second = put(ecr, name, "1", "latest"), put(ecr, name, "2", "latest")
    assert ids(ecr, name) == {(first, None), (second, "latest")}


def test_image_is_got_as_it_was_put(ecr: Any, name: str) -> None:
    digest = put(ecr, name, "1", "v1")
    wanted = [{"imageTag": "v1"}, {"imageTag": "v2"}, {"imageDigest": "sha256:1"}]
    answer = ecr.batch_get_image(repositoryName=name, imageIds=wanted)
    assert [i["imageManifest"] for i in answer["images"]] == [manifest(layer("1"))]
    assert digest == digest_of(manifest(layer("1")).encode())
    codes = [f["failureCode"] for f in answer["failures"]]
    assert codes == ["ImageNotFound", "InvalidImageDigest"]
    with refused("ImageNotFoundException"):
        ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": "v2"}])


def test_image_goes_with_its_last_tag_or_its_digest(ecr: Any, name: str) -> None:
    first, second = put(ecr, name, "1", "a"), put(ecr, name, "2", "c")
    put(ecr, name, "1", "b")
    ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageTag": "a"}])
    assert ids(ecr, name) == {(first, "b"), (second, "c")}
    answer = ecr.batch_delete_image(
        repositoryName=name, imageIds=[{"imageTag": "b"}, {"imageDigest": second}]
    )
    assert answer["imageIds"] == [
        {"imageDigest": first, "imageTag": "b"},
        {"imageDigest": second, "imageTag": "c"},
    ]
    assert ids(ecr, name) == set()


def test_image_of_a_list_is_not_deleted_before_the_list(ecr: Any, name: str) -> None:
    digest = put(ecr, name, "1")
    kind = "application/vnd.docker.distribution.manifest.list.v2+json"
    part = {"mediaType": "x", "size": 1, "digest": digest}
    whole = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": [part]})
    ecr.put_image(repositoryName=name, imageManifest=whole, imageTag="list")
    answer = ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageDigest": digest}])
    assert [f["failureCode"] for f in answer["failures"]] == ["ImageReferencedByManifestList"]
    gone = json.dumps(
        {"schemaVersion": 2, "mediaType": kind, "manifests": [{**part, "digest": digest_of(b"x")}]}
    )
    with refused("ReferencedImagesNotFoundException"):
        ecr.put_image(repositoryName=name, imageManifest=gone)


def test_fixed_tags_are_not_moved(ecr: Any, name: str) -> None:
    filters = [{"filterType": "WILDCARD", "filter": "dev-*"}]
    ecr.put_image_tag_mutability(
        repositoryName=name,
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=filters,
    )
    put(ecr, name, "1", "v1")
    put(ecr, name, "1", "dev-1")
    with refused("ImageTagAlreadyExistsException.*repository is immutable"):
        put(ecr, name, "2", "v1")
    with refused("ImageAlreadyExistsException"):
        put(ecr, name, "1", "v1")
    put(ecr, name, "2", "dev-1")
    with refused("InvalidParameterException"):
        ecr.put_image_tag_mutability(
            repositoryName=name,
            imageTagMutability="IMMUTABLE",
            imageTagMutabilityExclusionFilters=filters,
        )


def test_repository_with_images_is_deleted_by_force_alone(ecr: Any, name: str) -> None:
    put(ecr, name, "1", "v1")
    with refused("RepositoryNotEmptyException"):
        ecr.delete_repository(repositoryName=name)
    ecr.delete_repository(repositoryName=name, force=True)
    ecr.create_repository(repositoryName=name)
    assert ids(ecr, name) == set()


def test_layer_comes_in_parts(ecr: Any, name: str) -> None:
    upload = ecr.initiate_layer_upload(repositoryName=name)["uploadId"]
    data = bytes(range(256)) * 24_000
    own = {"repositoryName": name, "uploadId": upload}
    parts = [data[:5_300_000], data[5_300_000:]]
    ecr.upload_layer_part(partFirstByte=0, partLastByte=5_299_999, layerPartBlob=parts[0], **own)
    with refused("InvalidLayerPartException") as caught:
        ecr.upload_layer_part(partFirstByte=5, partLastByte=5, layerPartBlob=b"x", **own)
    assert caught.value.response["lastValidByteReceived"] == 5_299_999
    last = len(data) - 1
    ecr.upload_layer_part(partFirstByte=5_300_000, partLastByte=last, layerPartBlob=parts[1], **own)
    with refused("InvalidLayerException"):
        ecr.complete_layer_upload(layerDigests=[digest_of(b"another")], **own)
    ecr.complete_layer_upload(layerDigests=[digest_of(data)], **own)
    with refused("UploadNotFoundException"):
        ecr.complete_layer_upload(layerDigests=[digest_of(data)], **own)
    asked = [digest_of(data), digest_of(b"x"), "no digest"]
    answer = ecr.batch_check_layer_availability(repositoryName=name, layerDigests=asked)
    found = [(la["layerAvailability"], la.get("layerSize")) for la in answer["layers"]]
    assert found == [("AVAILABLE", len(data)), ("UNAVAILABLE", None)]
    assert [f["failureCode"] for f in answer["failures"]] == ["InvalidLayerDigest"]


def test_policies_are_kept(ecr: Any, name: str) -> None:
    with refused("RepositoryPolicyNotFoundException"):
        ecr.get_repository_policy(repositoryName=name)
    text = json.dumps({"Version": "2012-10-17", "Statement": []})
    ecr.set_repository_policy(repositoryName=name, policyText=text)
    assert ecr.get_repository_policy(repositoryName=name)["policyText"] == text
    for wrong in ("{", "[]", json.dumps({"Statement": [{"Effect": "Allow"}]})):
        with refused("InvalidParameterException"):
            ecr.set_repository_policy(repositoryName=name, policyText=wrong)
    ecr.delete_repository_policy(repositoryName=name)
    with refused("RepositoryPolicyNotFoundException"):
        ecr.delete_repository_policy(repositoryName=name)


def lifecycle(count: int) -> str:
    selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": count}
    rule = {"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}
    return json.dumps({"rules": [rule]})


def test_lifecycle_policy_is_previewed(ecr: Any, name: str) -> None:
    digests = [put(ecr, name, str(number), f"v{number}") for number in range(3)]
    with refused("LifecyclePolicyNotFoundException"):
        ecr.start_lifecycle_policy_preview(repositoryName=name)
    text = lifecycle(1)
    ecr.start_lifecycle_policy_preview(repositoryName=name, lifecyclePolicyText=text)
    ecr.get_waiter("lifecycle_policy_preview_complete").wait(repositoryName=name)
    answer = ecr.get_lifecycle_policy_preview(repositoryName=name)
    assert [r["imageDigest"] for r in answer["previewResults"]] == digests[:2]
    assert answer["summary"]["expiringImageTotalCount"] == 2
    assert len(ids(ecr, name)) == 3
    with refused("InvalidParameterException.*Lifecycle policy validation failure"):
        ecr.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=text.replace("any", "a"))


def test_repositories_and_images_outlive_kill_9(own_engine: Engine) -> None:
    ecr = own_engine.client("ecr")
    ecr.create_repository(repositoryName="shop")
    digest = put(ecr, "shop", "1", "v1")
    ecr.put_lifecycle_policy(repositoryName="shop", lifecyclePolicyText=lifecycle(1000))
    own_engine.kill()
    own_engine.start()
    assert ids(ecr, "shop") == {(digest, "v1")}
    assert ecr.get_lifecycle_policy(repositoryName="shop")["lifecyclePolicyText"] == lifecycle(1000)


def test_reset_forgets_repositories_with_their_images(own_engine: Engine) -> None:
    ecr = own_engine.client("ecr")
    ecr.create_repository(repositoryName="shop")
    put(ecr, "shop", "1", "v1")
    post(read_env(own_engine.home), "/_kaiun/reset", 20.0)
    ecr.create_repository(repositoryName="shop")
    assert ids(ecr, "shop") == set()


def test_media_type_is_said_by_the_manifest_or_the_request(ecr: Any, name: str) -> None:
    text = {k: v for k, v in json.loads(manifest()).items() if k != "mediaType"}
    own = {"repositoryName": name, "imageManifest": json.dumps(text)}
    with refused("mediatype not provided in manifest or parameter"):
        ecr.put_image(**own)
    image = ecr.put_image(imageManifestMediaType=MANIFEST, **own)["image"]
    assert image["imageManifestMediaType"] == MANIFEST


def test_key_of_kms_is_ecrs_own_by_default(ecr: Any) -> None:
    kms = {"encryptionType": "KMS"}
    made = ecr.create_repository(repositoryName="sealed", encryptionConfiguration=kms)
    key = made["repository"]["encryptionConfiguration"]["kmsKey"]
    assert key.startswith(f"arn:aws:kms:us-east-1:{ACCOUNT}:key/")


def ask(engine: Engine, path: str, authorization: str = "") -> tuple[int, Any, bytes]:
    headers = {"Authorization": f"Basic {authorization}"} if authorization else {}
    request = urllib.request.Request(f"http://localhost:{engine.port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def test_door_asks_for_a_token_that_is_good_for_twelve_hours(ecr: Any, engine: Engine) -> None:
    (data,) = ecr.get_authorization_token()["authorizationData"]
    assert data["proxyEndpoint"] == f"http://localhost:{engine.port}"
    left = data["expiresAt"] - datetime.now(UTC)
    assert timedelta(hours=11, minutes=59) < left <= timedelta(hours=12)
    user, _, _password = b64decode(data["authorizationToken"]).decode().partition(":")
    assert user == "AWS"
    assert ask(engine, "/v2/", data["authorizationToken"])[0] == 200
    status, headers, body = ask(engine, "/v2/")
    assert (status, body) == (401, b"Not Authorized\n")
    realm = f'Basic realm="http://localhost:{engine.port}/",service="ecr.amazonaws.com"'
    assert headers["www-authenticate"] == realm
    wrong = data["authorizationToken"][:-8] + "AAAAAAA="
    assert ask(engine, "/v2/", wrong)[0] == 401
    assert ask(engine, "/v2/shop/tags/list")[0] == 401


def test_token_expires_by_the_engines_clock(tmp_path_factory: pytest.TempPathFactory) -> None:
    fast = Engine(tmp_path_factory.mktemp("fast"), "null", "--time-scale", "10000")
    try:
        (data,) = fast.client("ecr").get_authorization_token()["authorizationData"]
        token = data["authorizationToken"]
        until(lambda: ask(fast, "/v2/", token)[0] != 200)  # twelve hours are 4.3 s
        status, _, body = ask(fast, "/v2/", token)
        assert status == 403
        assert json.loads(body)["errors"][0]["message"].startswith("Your authorization token")
    finally:
        fast.shut_down()


def test_token_is_not_let_into_from_a_page_in_a_browser(ecr: Any, engine: Engine) -> None:
    (data,) = ecr.get_authorization_token()["authorizationData"]
    request = urllib.request.Request(
        f"http://localhost:{engine.port}/v2/",
        headers={
            "Authorization": f"Basic {data['authorizationToken']}",
            "Origin": "http://evil.example",
        },
    )
    with pytest.raises(urllib.error.HTTPError, match="403") as caught:
        urllib.request.urlopen(request)
    caught.value.close()
