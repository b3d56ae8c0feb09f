"""Who is let in, and how those who are not are told: signatures, Host, Origin, protocols."""

from __future__ import annotations

import http.client
import json
import re
import time
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from support.engine import Engine

TARGET = "AmazonEC2ContainerServiceV20141113"


def signed(
    engine: Engine, operation: str = "ListClusters", body: str = "{}", service: str = "ecs"
) -> dict[str, str]:
    """Return the headers of a signed awsJson request."""
    env = engine.env
    request = AWSRequest(
        method="POST",
        url=env["endpoint"] + "/",
        data=body.encode(),
        headers={
            "X-Amz-Target": f"{TARGET}.{operation}",
            "Content-Type": "application/x-amz-json-1.1",
        },
    )
    keys = Credentials(env["access_key"], env["secret_key"])
    SigV4Auth(keys, service, env["region"]).add_auth(request)
    return dict(request.headers.items())


def send(
    engine: Engine, headers: dict[str, str], body: str = "{}", method: str = "POST", path: str = "/"
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=10)
    try:
        connection.request(method, path, body.encode(), headers)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def code_of(body: bytes) -> str:
    return str(json.loads(body)["__type"])


def test_signed_request_is_answered_without_cors_headers(engine: Engine) -> None:
    status, headers, body = send(engine, signed(engine))
    assert (status, "clusterArns" in json.loads(body)) == (200, True)
    assert not [name for name in headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"secret_key": "wrong"}, "InvalidSignatureException"),
        ({"access_key": "AKIAWRONG"}, "UnrecognizedClientException"),
    ],
)
def test_wrong_keys_are_refused(engine: Engine, keys: dict[str, str], code: str) -> None:
    with pytest.raises(ClientError) as caught:
        engine.client("ecs", **keys).list_clusters()
    assert caught.value.response["Error"]["Code"] == code


def test_wrong_keys_are_refused_in_xml(engine: Engine) -> None:
    with pytest.raises(ClientError) as caught:
        engine.client("elbv2", secret_key="wrong").describe_load_balancers()
    assert caught.value.response["Error"]["Code"] == "SignatureDoesNotMatch"
    with pytest.raises(ClientError) as caught:
        engine.client("s3", secret_key="wrong").list_buckets()
    assert caught.value.response["Error"]["Code"] == "SignatureDoesNotMatch"


def test_unsigned_request_is_refused(engine: Engine) -> None:
    headers = {"X-Amz-Target": f"{TARGET}.ListClusters"}
    status, _, body = send(engine, headers)
    assert (status, code_of(body)) == (400, "MissingAuthenticationTokenException")


def test_changed_body_is_refused(engine: Engine) -> None:
    status, _, body = send(engine, signed(engine), '{"maxResults": 1}')
    assert (status, code_of(body)) == (400, "InvalidSignatureException")


def test_old_signature_is_refused(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    import botocore.auth

    past = time.time() - 600

    class Clock:
        @staticmethod
        def get_current_datetime(*_: Any, **__: Any) -> Any:
            from datetime import UTC, datetime

            return datetime.fromtimestamp(past, UTC)

    monkeypatch.setattr(botocore.auth, "get_current_datetime", Clock.get_current_datetime)
    status, _, body = send(engine, signed(engine))
    assert (status, code_of(body)) == (400, "InvalidSignatureException")
    assert b"Signature expired" in body


def test_presigned_url_is_accepted_and_a_changed_one_refused(engine: Engine) -> None:
    url = engine.client("elbv2").generate_presigned_url("describe_load_balancers")
    path = "/" + url.partition("/")[2].partition("/")[2].partition("/")[2]
    status, _, body = send(engine, {}, "", "GET", path)
    if status == 200:
        assert b"DescribeLoadBalancersResponse" in body
    changed = path.replace("X-Amz-Signature=", "X-Amz-Signature=0")
    assert send(engine, {}, "", "GET", changed)[0] == 403


@pytest.mark.parametrize("host", ["evil.example:{port}", "127.0.0.1:1", "127.0.0.1", ""])
def test_foreign_host_is_refused(engine: Engine, host: str) -> None:
    headers = {**signed(engine), "Host": host.format(port=engine.port)}
    status, _, body = send(engine, headers)
    assert (status, code_of(body)) == (403, "AccessDeniedException")


def test_names_of_this_machine_are_accepted(engine: Engine) -> None:
    for name in ("localhost", "127.0.0.1", "ecs.localhost"):
        health = send(engine, {"Host": f"{name}:{engine.port}"}, "", "GET", "/_kaiun/health")
        assert (health[0], json.loads(health[2])["status"]) == (200, "ok")


@pytest.mark.parametrize(
    "extra",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_page_in_a_browser_is_refused(engine: Engine, extra: dict[str, str]) -> None:
    assert send(engine, {**signed(engine), **extra})[0] == 403
    assert send(engine, extra, "", "GET", "/_kaiun/health")[0] == 403


def test_admin_calls_must_be_signed(engine: Engine) -> None:
    assert send(engine, {}, "", "POST", "/_kaiun/shutdown")[0] == 403
    assert send(engine, {}, "", "POST", "/_kaiun/reset")[0] == 403


def test_operation_that_is_not_implemented_says_so_in_the_protocol(engine: Engine) -> None:
    with pytest.raises(ClientError) as caught:
        engine.client("ecs").list_daemons()
    assert caught.value.response["Error"]["Code"] == "UnsupportedFeatureException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    with pytest.raises(ClientError) as caught:
        engine.client("elbv2").describe_trust_stores()
    assert caught.value.response["Error"]["Code"] == "OperationNotPermitted"
    with pytest.raises(ClientError) as caught:
        engine.client("logs").describe_queries()
    assert caught.value.response["Error"]["Code"] == "InvalidOperationException"


def test_operation_that_nobody_knows_is_an_error_of_the_client(engine: Engine) -> None:
    status, _, body = send(engine, signed(engine, "MakeCoffee"))
    assert (status, code_of(body)) == (400, "UnknownOperationException")


@pytest.mark.parametrize(
    ("operation", "body", "code"),
    [
        ("ListClusters", "{", "SerializationException"),
        ("ListClusters", "[]", "SerializationException"),
        ("ListClusters", '{"maxResults": "ten"}', "SerializationException"),
        ("ListClusters", '{"unknown": 1}', None),
        ("RunTask", "{}", "InvalidParameterException"),
        ("RunTask", '{"taskDefinition": "x", "launchType": "MOON"}', "InvalidParameterException"),
        ("DescribeTasks", '{"tasks": "x"}', "SerializationException"),
        (
            "CreateCluster",
            json.dumps({"clusterName": "x" * 1_000_000}),
            "InvalidParameterException",
        ),
        ("ListClusters", "[" * 100_000, "SerializationException"),
    ],
)
def test_bad_bodies_get_the_right_error(
    engine: Engine, operation: str, body: str, code: str | None
) -> None:
    status, _, answer = send(engine, signed(engine, operation, body), body)
    if code is None:
        assert status == 200
    else:
        assert (status, code_of(answer)) == (400, code)


def test_all_violations_are_reported_at_once(engine: Engine) -> None:
    body = '{"launchType": "MOON", "propagateTags": "ALL"}'
    _, _, answer = send(engine, signed(engine, "RunTask", body), body)
    message = json.loads(answer)["message"]
    assert message.startswith("3 validation errors detected: ")
    assert re.search(r"Value 'MOON' at 'launchType' failed to satisfy constraint", message)


def test_anonymous_client_without_keys_is_refused(engine: Engine) -> None:
    from botocore import UNSIGNED
    from botocore.config import Config

    client = boto3.client(
        "ecs",
        endpoint_url=engine.env["endpoint"],
        region_name="us-east-1",
        config=Config(signature_version=UNSIGNED),
    )
    with pytest.raises(ClientError, match="MissingAuthenticationToken"):
        client.list_clusters()
