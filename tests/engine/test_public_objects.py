"""Objects of S3 without a signature, as a browser or curl asks for them."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest
from support.engine import Engine

OPEN = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::assets/public/*",
        }
    ],
}
CORS = {
    "CORSRules": [
        {
            "AllowedMethods": ["GET"],
            "AllowedOrigins": ["http://localhost:8080"],
            "AllowedHeaders": ["*"],
            "ExposeHeaders": ["ETag"],
        }
    ]
}
CSS = {"ContentType": "text/css", "CacheControl": "public, max-age=31536000, immutable"}
PAGE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Origin": "http://localhost:8080"}
Reply = tuple[int, dict[str, str], bytes]


@pytest.fixture(scope="module")
def s3(engine: Engine) -> Any:
    """A bucket whose policy opens one folder, and one without any policy."""
    s3 = engine.client("s3")
    for bucket in ("assets", "closed"):
        s3.create_bucket(Bucket=bucket)
    for key in ("public/app-1 größe.css", "private/a.css"):
        s3.put_object(Bucket="assets", Key=key, Body=b"body {}", ContentEncoding="gzip", **CSS)
    s3.put_object(Bucket="closed", Key="public/a.css", Body=b"x")
    s3.put_bucket_policy(Bucket="assets", Policy=json.dumps(OPEN))
    s3.put_bucket_cors(Bucket="assets", CORSConfiguration=CORS)
    return s3


APP = "/assets/public/app-1%20gr%C3%B6%C3%9Fe.css"


def ask(engine: Engine, path: str, method: str = "GET", **headers: str) -> Reply:
    """Send a request without a signature, its path as it stands."""
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=30)
    host = headers.pop("host", "localhost") + f":{engine.port}"
    try:
        connection.request(method, path, None, {"Host": host, **headers})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


@pytest.mark.usefixtures("s3")
class TestReading:
    def test_object_that_the_policy_opens_is_given_with_its_headers(self, engine: Engine) -> None:
        status, headers, body = ask(engine, APP)
        assert (status, body) == (200, b"body {}")
        assert headers["content-type"] == "text/css"
        assert headers["cache-control"] == CSS["CacheControl"]
        assert headers["content-encoding"] == "gzip"
        assert headers["etag"]
        assert not [name for name in headers if name.startswith(("access-control", "x-amz-"))]

    def test_head_gives_no_body(self, engine: Engine) -> None:
        status, headers, body = ask(engine, APP, "HEAD")
        assert (status, headers["content-length"], body) == (200, "7", b"")

    def test_page_of_another_origin_loads_it(self, engine: Engine) -> None:
        no_cors = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
        assert ask(engine, APP, **no_cors)[0] == 200

    def test_bucket_may_stand_in_the_host(self, engine: Engine) -> None:
        for host in ("assets.localhost", "assets.s3.localhost"):
            assert ask(engine, APP.removeprefix("/assets"), host=host)[0] == 200

    def test_query_that_means_nothing_to_s3_is_left_aside(self, engine: Engine) -> None:
        assert ask(engine, f"{APP}?v=3&body=1")[0] == 200

    def test_known_object_is_not_sent_again(self, engine: Engine) -> None:
        etag = ask(engine, APP)[1]["etag"]
        assert ask(engine, APP, **{"If-None-Match": etag})[0] == 304

    def test_part_of_an_object_is_given(self, engine: Engine) -> None:
        status, headers, body = ask(engine, APP, Range="bytes=0-3")
        assert (status, body, headers["content-range"]) == (206, b"body", "bytes 0-3/7")


@pytest.mark.usefixtures("s3")
class TestRefusing:
    @pytest.mark.parametrize(
        "path",
        [
            "/assets/private/a.css",
            "/assets/public/../private/a.css",
            "/assets/public/%2e%2e/private/a.css",
            "/assets/public/nothing.css",
            "/closed/public/a.css",
            f"{APP}?acl",
            f"{APP}?tagging",
            f"{APP}?versionId=1",
            f"{APP}?uploads",
            f"{APP}?x-amz-meta-a=1",
        ],
    )
    def test_all_else_is_denied(self, engine: Engine, path: str) -> None:
        status, _, body = ask(engine, path)
        assert (status, b"<Code>AccessDenied</Code>" in body) == (403, True), body

    def test_missing_object_is_named_only_to_whom_may_list(self, engine: Engine, s3: Any) -> None:
        listing = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:ListBucket",
            "Resource": "arn:aws:s3:::assets",
        }
        more = {**OPEN, "Statement": [*OPEN["Statement"], listing]}
        s3.put_bucket_policy(Bucket="assets", Policy=json.dumps(more))
        assert ask(engine, "/assets/public/nothing.css")[0] == 404
        s3.put_bucket_policy(Bucket="assets", Policy=json.dumps(OPEN))
        assert ask(engine, "/assets/public/nothing.css")[0] == 403

    def test_missing_bucket_is_told(self, engine: Engine) -> None:
        status, _, body = ask(engine, "/nowhere/a.css")
        assert (status, b"<Code>NoSuchBucket</Code>" in body) == (404, True)

    def test_anonymous_reader_chooses_no_headers(self, engine: Engine) -> None:
        status, _, body = ask(engine, f"{APP}?response-content-type=text%2Fhtml")
        assert (status, b"<Code>InvalidRequest</Code>" in body) == (400, True)

    @pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH"])
    def test_nothing_is_written(self, engine: Engine, method: str) -> None:
        assert ask(engine, APP, method)[0] in (400, 403)
        assert ask(engine, APP)[0] == 200

    @pytest.mark.parametrize(
        "path",
        [
            "/",
            "/assets",
            "/assets/",
            "/assets?policy",
            "/assets/?list-type=2",
            "/moto-api/data.json",
            "/_kaiun/shutdown",
            "//assets/public/a.css",
            "/?Action=ListUsers&Version=2010-05-08",
        ],
    )
    def test_no_api_is_reachable(self, engine: Engine, path: str) -> None:
        status, _, body = ask(engine, path)
        assert status == 403, body
        assert b"MissingAuthenticationToken" in body

    def test_name_that_is_not_ours_is_refused(self, engine: Engine) -> None:
        assert ask(engine, APP, host="rebound.example.com")[0] == 403

    def test_wrong_signature_is_not_forgiven(self, engine: Engine) -> None:
        assert ask(engine, APP, Authorization="AWS4-HMAC-SHA256 Credential=a/b")[0] in (400, 403)

    def test_closing_the_bucket_counts_at_once(self, engine: Engine, s3: Any) -> None:
        assert ask(engine, APP)[0] == 200
        s3.delete_bucket_policy(Bucket="assets")
        assert ask(engine, APP)[0] == 403
        s3.put_bucket_policy(Bucket="assets", Policy=json.dumps(OPEN))
        assert ask(engine, APP)[0] == 200


@pytest.mark.usefixtures("s3")
class TestCors:
    def test_configured_origin_may_read(self, engine: Engine) -> None:
        status, headers, _ = ask(engine, APP, **PAGE)
        assert (status, headers["access-control-allow-origin"]) == (200, PAGE["Origin"])

    def test_other_origin_gets_no_permission(self, engine: Engine) -> None:
        _, headers, _ = ask(engine, APP, **PAGE | {"Origin": "http://evil.example"})
        assert not [name for name in headers if name.startswith("access-control")]

    def test_preflight_is_answered_by_the_configuration(self, engine: Engine) -> None:
        want = {**PAGE, "Access-Control-Request-Method": "GET"}
        assert ask(engine, APP, "OPTIONS", **want)[0] == 200
        put = {**want, "Access-Control-Request-Method": "PUT"}
        assert ask(engine, APP, "OPTIONS", **put)[0] == 403
        assert ask(engine, "/closed/public/a.css", "OPTIONS", **want)[0] == 403

    def test_signed_answers_carry_no_cors_headers(self, s3: Any) -> None:
        answer = s3.get_object(Bucket="assets", Key="private/a.css")
        told = answer["ResponseMetadata"]["HTTPHeaders"]
        assert not [name for name in told if name.startswith("access-control")]


def test_policy_and_cors_outlive_a_shutdown(own_engine: Engine) -> None:
    s3 = own_engine.client("s3")
    s3.create_bucket(Bucket="assets")
    s3.put_object(Bucket="assets", Key="public/a.css", Body=b"x", **CSS)
    s3.put_bucket_policy(Bucket="assets", Policy=json.dumps(OPEN))
    s3.put_bucket_cors(Bucket="assets", CORSConfiguration=CORS)
    own_engine.shut_down()
    own_engine.start()
    status, headers, body = ask(own_engine, "/assets/public/a.css", **PAGE)
    assert (status, body) == (200, b"x")
    assert headers["access-control-allow-origin"] == PAGE["Origin"]
    rules = own_engine.client("s3").get_bucket_cors(Bucket="assets")["CORSRules"]
    assert rules == CORS["CORSRules"]
