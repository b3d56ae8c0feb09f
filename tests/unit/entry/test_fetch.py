"""Fetching, against servers on loopback; signatures against botocore's."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from support.answers import Server, keys
from support.entry import Entry, item, last_line

from kaiun.entry import aws


def fetch(source: str, **given: Any) -> list[Any]:
    return ["fetch", [item(source, 10, **{"from": source, "retries": 2, **given})]]


def test_file_is_fetched_for_its_owner_alone(entry: Entry, server: Server) -> None:
    server.answers["/ca.pem"] = [(200, b"pem\xff")]
    entry.make(steps=[fetch("${BASE}/ca.pem", to="certs/ca.pem")])
    assert entry.run("true", BASE=server.url).returncode == 0
    file = entry.work / "certs/ca.pem"
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"pem\xff", 0o600)


def test_busy_server_is_asked_again(entry: Entry, server: Server) -> None:
    server.answers["/a"] = [(503, b""), (429, b""), (200, b"x")]
    done = entry.make(steps=[fetch(f"{server.url}/a", env="A")]).run("printenv", "A")
    assert done.stdout == "x\n"


def test_headers_are_sent_but_not_to_another_host(entry: Entry, server: Server) -> None:
    other = Server()
    try:
        server.answers["/a"] = [(302, f"{other.url}/b".encode())]
        other.answers["/b"] = [(200, b"x")]
        headers = {"Authorization": "Bearer ${TOKEN}"}
        entry.make(steps=[fetch(f"{server.url}/a", env="A", headers=headers)])
        assert entry.run("printenv", "A", TOKEN="t0ken").stdout == "x\n"
        assert server.asked[0][2]["authorization"] == "Bearer t0ken"
        assert "authorization" not in other.asked[0][2]
    finally:
        other.close()


def test_content_must_have_its_sha256(entry: Entry, server: Server) -> None:
    server.answers["/a"] = [(200, b"x")]
    good = hashlib.sha256(b"x").hexdigest()
    assert (
        entry.make(steps=[fetch(f"{server.url}/a", env="A", sha256=good)]).run("true").returncode
        == 0
    )
    done = entry.make(steps=[fetch(f"{server.url}/a", env="A", sha256="0" * 64)]).run("true")
    assert (done.returncode, "another SHA-256" in last_line(done)) == (66, True)


def test_what_fails_is_told_without_the_password(entry: Entry, server: Server) -> None:
    source = server.url.replace("http://", "http://user:pa55word@") + "/gone"
    done = entry.make(steps=[fetch(source, env="A")]).run("true")
    assert (done.returncode, "status 404" in last_line(done)) == (66, True)
    assert "pa55word" not in done.stderr


def test_young_copy_is_not_fetched_and_an_old_one_does_where_nobody_answers(
    entry: Entry, server: Server
) -> None:
    import os

    server.answers["/a"] = [(200, b"new")]
    entry.make(steps=[fetch(f"{server.url}/a", to="a", cache=60)])
    (entry.work / "a").write_text("old")
    assert entry.run("true").returncode == 0
    assert server.asked == []
    os.utime(entry.work / "a", (1, 1))
    assert entry.run("cat", "a").stdout == "new"
    os.utime(entry.work / "a", (1, 1))
    server.answers["/a"] = [(404, b"")]
    done = entry.run("cat", "a")
    assert (done.stdout, "the copy of before is used" in done.stderr) == ("new", True)


def test_ssm_and_secrets_manager(entry: Entry, server: Server) -> None:
    parameter = {"Parameter": {"Value": "db-url"}}
    server.answers["AmazonSSM.GetParameter"] = [(200, json.dumps(parameter).encode())]
    secret = {"SecretString": json.dumps({"password": "pw"})}
    server.answers["secretsmanager.GetSecretValue"] = [(200, json.dumps(secret).encode())]
    steps = [
        fetch("ssm:/shop/${KAIUN_ENVIRONMENT}/db", env="DB"),
        fetch("secretsmanager:shop", key="password", env="PW"),
    ]
    done = entry.make(steps=steps).run(
        "sh", "-c", "echo $DB $PW", **keys(server), KAIUN_ENVIRONMENT="staging"
    )
    assert done.stdout == "db-url pw\n"
    assert json.loads(server.asked[0][3]) == {"Name": "/shop/staging/db", "WithDecryption": True}


def test_refusal_of_aws_is_told_by_its_code(entry: Entry, server: Server) -> None:
    said = {"__type": "com.amazonaws#AccessDeniedException", "message": "no"}
    server.answers["AmazonSSM.GetParameter"] = [(400, json.dumps(said).encode())]
    done = entry.make(steps=[fetch("ssm:/a", env="A")]).run("true", **keys(server))
    assert last_line(done).endswith("fetch ssm:/a: ssm:GetParameter: AccessDeniedException: no")


def test_s3_with_the_role_of_the_task(entry: Entry, server: Server) -> None:
    role = {"AccessKeyId": "ASIA", "SecretAccessKey": "x", "Token": "session"}
    server.answers["/creds"] = [(200, json.dumps(role).encode())]
    server.answers["/bucket/dir/a%20b"] = [(200, b"object")]
    env = {
        "AWS_ENDPOINT_URL": server.url, "AWS_REGION": "eu-west-1",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{server.url}/creds",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "let me",
    }  # fmt: skip
    done = entry.make(steps=[fetch("s3://bucket/dir/a b", to="o")]).run("cat", "o", **env)
    assert done.stdout == "object"
    assert server.asked[0][2]["authorization"] == "let me"
    assert server.asked[1][2]["x-amz-security-token"] == "session"


def test_etcd_through_its_gateway(entry: Entry, server: Server) -> None:
    value = base64.b64encode(b"v").decode()
    server.answers["/v3/auth/authenticate"] = [(200, b'{"token": "tk"}')]
    server.answers["/v3/kv/range"] = [(200, json.dumps({"kvs": [{"value": value}]}).encode())]
    source = server.url.replace("http://", "etcd://u:${PW}@") + "/config/a"
    done = entry.make(steps=[fetch(source, env="A")]).run("printenv", "A", PW="p")
    assert done.stdout == "v\n"
    assert json.loads(server.asked[0][3]) == {"name": "u", "password": "p"}
    assert server.asked[1][2]["authorization"] == "tk"


@pytest.mark.parametrize("token", ["", "session"])
@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        ("GET", "https://s3.eu-west-1.amazonaws.com/b/a%20b~c", b""),
        ("POST", "https://ssm.x/", b"{}"),
    ],
)
def test_signature_is_that_of_botocore(method: str, url: str, body: bytes, token: str) -> None:
    now = 1_700_000_000.0
    headers = {"content-type": "application/x-amz-json-1.1"}
    ours = aws.sign(
        method, url, body, headers, aws.Keys("AKID", "sesame", token),
        service="ssm", region="eu-west-1", now=now,
    )  # fmt: skip
    plain = {k: v for k, v in ours.items() if k not in {"authorization", "host"}}
    request = AWSRequest(method, url, headers=plain, data=body)
    request.context["timestamp"] = ours["x-amz-date"]
    kind = S3SigV4Auth if method == "GET" else SigV4Auth  # S3's does not encode paths twice
    signer = kind(Credentials("AKID", "sesame", token or None), "ssm", "eu-west-1")
    text = signer.string_to_sign(request, signer.canonical_request(request))
    signature = signer.signature(text, request)
    assert ours["authorization"].endswith(f"Signature={signature}")
