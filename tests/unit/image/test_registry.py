"""Registries are asked over HTTP; every way of saying who we are, every way of failing."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import pytest
from support.fake_registry import FakeRegistry, digest_of

from kaiun.errors import ImageError
from kaiun.image.credentials import Credentials
from kaiun.image.reference import Reference, parse
from kaiun.image.registry import Registry
from kaiun.image.transport import Transport
from kaiun.image.upload import put_blob, put_manifest

DIGEST = "sha256:" + "d" * 64
ANN = Credentials("ann", "open sesame")


@pytest.fixture
def shop(fake: FakeRegistry) -> Reference:
    fake.manifests["shop", "v1"] = DIGEST
    return parse(f"{fake.host}/shop:v1")


def registry(credentials: Credentials | None = None, pauses: list[float] | None = None) -> Registry:
    return Registry(
        lambda host: credentials, Transport(pause=(pauses if pauses is not None else []).append)
    )


def test_tag_becomes_a_digest_in_one_head_request(fake: FakeRegistry, shop: Reference) -> None:
    assert registry().digest(shop) == DIGEST
    assert [(each.method, each.path) for each in fake.asked] == [("HEAD", "/v2/shop/manifests/v1")]
    accepted = fake.asked[0].headers["Accept"]
    assert "oci.image.index" in accepted
    assert "docker.distribution.manifest.v2" in accepted


def test_unknown_tag_is_none(fake: FakeRegistry) -> None:
    assert registry().digest(parse(f"{fake.host}/shop:v2")) is None


def test_digest_is_computed_where_the_registry_does_not_tell(fake: FakeRegistry) -> None:
    fake.bodies["shop", "v1"] = b'{"schemaVersion": 2}'
    expected = "sha256:" + hashlib.sha256(b'{"schemaVersion": 2}').hexdigest()
    assert registry().digest(parse(f"{fake.host}/shop:v1")) == expected


def test_password_is_sent_only_when_asked_for(fake: FakeRegistry, shop: Reference) -> None:
    assert registry(ANN).digest(shop) == DIGEST
    assert fake.asked[0].authorization == ""
    fake.auth = "basic"
    client = registry(ANN)
    assert client.digest(shop) == DIGEST
    assert client.digest(shop) == DIGEST
    assert [bool(each.authorization) for each in fake.asked[1:]] == [False, True, True]


@pytest.mark.parametrize("key", ["token", "access_token"])
def test_bearer_token_is_fetched_once_and_kept(
    fake: FakeRegistry, shop: Reference, key: str
) -> None:
    fake.auth, fake.token_key = "bearer", key
    client = registry(ANN)
    assert client.digest(shop) == client.digest(shop) == DIGEST
    tokens = [each.path for each in fake.asked if each.path.startswith("/token")]
    assert tokens == ["/token?service=registry.test&scope=repository%3Ashop%3Apull"]


def test_expired_token_is_fetched_again(fake: FakeRegistry, shop: Reference) -> None:
    fake.auth = "bearer"
    client = registry(ANN)
    assert client.digest(shop) == DIGEST
    fake.token = "newer-token"
    assert client.digest(shop) == DIGEST


def test_identity_token_is_exchanged_by_post(fake: FakeRegistry, shop: Reference) -> None:
    fake.auth, fake.refresh_token = "bearer", "of docker login"
    assert registry(Credentials(identity_token="of docker login")).digest(shop) == DIGEST
    posted = next(each for each in fake.asked if each.method == "POST")
    assert "grant_type=refresh_token" in posted.body


@pytest.mark.parametrize("auth", ["basic", "bearer"])
@pytest.mark.parametrize("credentials", [None, Credentials("ann", "wrong pass")])
def test_refused_credentials_are_an_error_that_keeps_the_secret(
    fake: FakeRegistry, shop: Reference, auth: str, credentials: Credentials | None
) -> None:
    fake.auth = auth
    with pytest.raises(ImageError, match="refused the credentials") as caught:
        registry(credentials).digest(shop)
    assert caught.value.hint == f"docker login {fake.host}"
    assert "wrong pass" not in repr(vars(caught.value)) + repr(credentials)


def test_password_is_not_sent_to_an_unencrypted_realm(fake: FakeRegistry, shop: Reference) -> None:
    fake.auth, fake.realm = "bearer", "http://token.example.com/token"
    with pytest.raises(ImageError, match="not encrypted"):
        registry(ANN).digest(shop)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_busy_registry_is_asked_again(fake: FakeRegistry, shop: Reference, status: int) -> None:
    fake.failures.extend([(status, {})] * 3)
    pauses: list[float] = []
    assert registry(pauses=pauses).digest(shop) == DIGEST
    assert pauses == sorted(pauses)
    assert len(pauses) == 3


def test_retry_after_is_honoured_within_reason(fake: FakeRegistry, shop: Reference) -> None:
    fake.failures.extend([(429, {"Retry-After": "3"}), (429, {"Retry-After": "86400"})])
    pauses: list[float] = []
    assert registry(pauses=pauses).digest(shop) == DIGEST
    assert pauses == [3.0, 10.0]


def test_patience_ends(fake: FakeRegistry, shop: Reference) -> None:
    fake.failures.extend([(500, {})] * 4)
    with pytest.raises(ImageError, match="the registry answered 500"):
        registry().digest(shop)
    assert len(fake.asked) == 4


def test_redirect_is_followed_without_the_password(fake: FakeRegistry, shop: Reference) -> None:
    fake.auth = "basic"
    with FakeRegistry(manifests=fake.manifests).serving() as mirror:
        client = registry(ANN)
        assert client.digest(shop) == DIGEST
        to = f"http://{mirror.host}/v2/shop/manifests/v1"
        fake.failures.append((307, {"Location": to}))
        assert client.digest(shop) == DIGEST
        assert [each.authorization for each in mirror.asked] == [""]


def test_absent_local_registry_is_an_error_at_once() -> None:
    with FakeRegistry().serving() as gone:
        port = gone.port
    pauses: list[float] = []
    with pytest.raises(ImageError, match="does not answer") as caught:
        registry(pauses=pauses).digest(parse(f"localhost:{port}/shop:v1"))
    assert "kaiun local up" in caught.value.hint
    assert pauses == []


# 0.0.0.0 reaches this machine too, but it is no loopback name: what holds for any other host.


def test_host_elsewhere_is_spoken_to_in_https(fake: FakeRegistry) -> None:
    pauses: list[float] = []
    with pytest.raises(ImageError, match="does not answer") as caught:
        registry(pauses=pauses).digest(parse(f"0.0.0.0:{fake.port}/shop:v1"))
    assert "https" in caught.value.hint
    assert fake.asked == []
    assert pauses == []


def test_host_elsewhere_is_tried_again() -> None:
    with FakeRegistry().serving() as gone:
        port = gone.port
    pauses: list[float] = []
    with pytest.raises(ImageError, match="does not answer"):
        registry(pauses=pauses).digest(parse(f"0.0.0.0:{port}/shop:v1"))
    assert len(pauses) == 3


def test_answer_that_is_not_json_is_an_error(fake: FakeRegistry) -> None:
    fake.failures.append((200, {}))
    with pytest.raises(ImageError, match="not JSON"):
        registry().tags(parse(f"{fake.host}/shop"))


def test_tags_are_listed_page_by_page(fake: FakeRegistry) -> None:
    fake.tags["shop"] = ["a", "b", "c", "d", "e"]
    assert registry().tags(parse(f"{fake.host}/shop")) == ["a", "b", "c", "d", "e"]
    assert registry().tags(parse(f"{fake.host}/nothing")) == []


def test_manifest_is_deleted(fake: FakeRegistry, shop: Reference) -> None:
    fake.manifests["shop", DIGEST] = DIGEST
    fake.auth = "bearer"
    assert registry(ANN).delete(shop, DIGEST)
    assert not registry(ANN).delete(shop, DIGEST)
    assert any("pull%2Cdelete" in each.path for each in fake.asked)


def image(fake: FakeRegistry, labels: dict[str, str] | None) -> str:
    config = json.dumps({"config": {"Labels": labels}}).encode()
    return fake.put("shop", {"config": {"digest": fake.put_blob("shop", config)}})


def test_labels_are_read_from_the_image_and_from_the_first_of_an_index(fake: FakeRegistry) -> None:
    shop = parse(f"{fake.host}/shop")
    labels = {"kaiun.app": "shop"}
    digest = image(fake, labels)
    index = fake.put("shop", {"manifests": [{"digest": digest}, {"digest": image(fake, None)}]})
    assert registry().labels(shop, digest) == labels
    assert registry().labels(shop, index) == labels
    assert registry().labels(shop, image(fake, None)) == {}
    assert registry().labels(shop, DIGEST) == {}


def test_damaged_manifest_or_blob_is_an_error(fake: FakeRegistry) -> None:
    shop = parse(f"{fake.host}/shop")
    digest = image(fake, {})
    fake.blobs = dict.fromkeys(fake.blobs, b"{}")
    with pytest.raises(ImageError, match="not what its digest"):
        registry().labels(shop, digest)
    fake.bodies["shop", digest] = b"{}"
    with pytest.raises(ImageError, match="not what its digest"):
        registry().labels(shop, digest)


@pytest.mark.parametrize("auth", ["none", "basic", "bearer"])
def test_blob_is_uploaded_once_and_read_back(fake: FakeRegistry, auth: str) -> None:
    fake.auth = auth
    shop, client = parse(f"{fake.host}/shop"), registry(ANN)
    data, digest = b"compiled", digest_of(b"compiled")
    assert client.blob_size(shop, digest) is None
    put_blob(client, shop, digest, io.BytesIO(data))
    asked = len(fake.asked)
    put_blob(client, shop, digest, io.BytesIO(data))
    assert [each.method for each in fake.asked[asked:]] == ["HEAD"]
    assert client.blob_size(shop, digest) == len(data)
    into = io.BytesIO()
    client.download(shop, digest, into)
    assert into.getvalue() == data == client.blob(shop, digest)


def test_large_blob_is_uploaded_part_by_part(fake: FakeRegistry) -> None:
    data = bytes(33 << 20)
    put_blob(registry(), parse(f"{fake.host}/shop"), digest_of(data), io.BytesIO(data))
    sent = [(each.method, each.headers.get("Content-Range")) for each in fake.asked[1:]]
    assert sent == [("POST", None), ("PATCH", f"0-{(32 << 20) - 1}"), ("PUT", None)]
    assert fake.blobs["shop", digest_of(data)] == data


def test_upload_that_the_registry_lost_begins_anew(fake: FakeRegistry) -> None:
    shop, data = parse(f"{fake.host}/shop"), b"compiled"
    refusals = [(404, {}), (202, {"Location": "/v2/shop/blobs/uploads/lost"})]
    fake.failures.extend(refusals)
    put_blob(registry(), shop, digest_of(data), io.BytesIO(data))
    assert fake.blobs["shop", digest_of(data)] == data
    assert [each.method for each in fake.asked] == ["HEAD", "POST", "PUT", "HEAD", "POST", "PUT"]


def test_upload_that_cannot_be_is_an_error(fake: FakeRegistry) -> None:
    shop = parse(f"{fake.host}/shop")
    fake.failures.extend([(404, {}), (403, {})])
    with pytest.raises(ImageError, match="refused"):
        put_blob(registry(), shop, digest_of(b"a"), io.BytesIO(b"a"))
    with pytest.raises(ImageError, match="400"):
        put_blob(registry(), shop, digest_of(b"a"), io.BytesIO(b"other"))
    assert fake.blobs == {}


def test_download_of_something_else_is_an_error(fake: FakeRegistry) -> None:
    digest = fake.put_blob("shop", b"compiled")
    fake.blobs["shop", digest] = b"damaged"
    with pytest.raises(ImageError, match="not what its digest"):
        registry().download(parse(f"{fake.host}/shop"), digest, io.BytesIO())


def test_manifest_is_uploaded_under_its_tag(fake: FakeRegistry) -> None:
    shop, body = parse(f"{fake.host}/shop"), b'{"schemaVersion": 2}'
    digest = put_manifest(registry(), shop, "assets-1", body, "application/x")
    assert registry().manifest(shop, "assets-1") == {"schemaVersion": 2}
    assert registry().manifest(shop, digest) == {"schemaVersion": 2}
    assert fake.asked[0].headers["Content-Type"] == "application/x"


def test_docker_settings_are_the_default(
    fake: FakeRegistry, shop: Reference, docker_directory: Path
) -> None:
    fake.auth = "basic"
    auths = {fake.host: {"auth": ANN.basic().removeprefix("Basic ")}}
    (docker_directory / "config.json").write_text(json.dumps({"auths": auths}))
    assert Registry().digest(shop) == DIGEST
