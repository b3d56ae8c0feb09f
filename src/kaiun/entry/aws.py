"""The four calls to AWS that a start makes, signed by the task role: S3, SSM, Secrets Manager, KMS.

Sources: "Signature Version 4 signing process"; "Amazon ECS task IAM role"; IMDSv2.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import time
from urllib.parse import quote, urlsplit

from kaiun.entry.failure import Failure
from kaiun.entry.http import Answer, Line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

TASK_HOST = "http://169.254.170.2"
INSTANCE_HOST = "http://169.254.169.254"
TARGETS = {"ssm": "AmazonSSM", "secretsmanager": "secretsmanager", "kms": "TrentService"}


class Keys:
    """Credentials."""

    def __init__(self, access: str, secret: str, token: str) -> None:
        self.access = access
        self.secret = secret
        self.token = token


class Aws:
    """Calls in one region."""

    def __init__(self, region: str, line: Line) -> None:
        found = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        if not found:
            raise Failure("no AWS region: write `region:` in kaiun.yml, or set AWS_REGION")
        self.region = found
        self.line = line
        self.keys = credentials(line)

    def call(self, service: str, action: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Call an action of a JSON service. Raises Failure with AWS's error code."""
        url = endpoint(service, self.region) + "/"
        headers = {
            "content-type": "application/x-amz-json-1.1",
            "x-amz-target": f"{TARGETS[service]}.{action}",
        }
        answer = self._send("POST", url, service, json.dumps(request).encode(), headers)
        if answer.status != 200:
            raise Failure(f"{service}:{action}: {_code(answer)}")
        found: dict[str, Any] = json.loads(answer.body)
        return found

    def object(self, bucket: str, key: str) -> bytes:
        """Return an object of S3. Raises Failure."""
        base = endpoint("s3", self.region)
        path = quote(f"/{bucket}/{key}", safe="/-_.~")
        if base == f"https://s3.{self.region}.{_suffix(self.region)}" and "." not in bucket:
            base = f"https://{bucket}.s3.{self.region}.{_suffix(self.region)}"
            path = quote(f"/{key}", safe="/-_.~")
        answer = self._send("GET", base + path, "s3", b"", {})
        if answer.status == 200:
            return answer.body
        where = answer.headers.get("x-amz-bucket-region", "")
        if where and where != self.region:
            raise Failure(
                f"the bucket is in {where}, not in {self.region}: write `region: {where}`"
            )
        raise Failure(f"s3:GetObject: {_code(answer)}")

    def _send(
        self, method: str, url: str, service: str, body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        signed = sign(method, url, body, headers, self.keys, service=service, region=self.region)
        return self.line.send(method, url, signed, body)


def endpoint(service: str, region: str) -> str:
    """Return where a service is: AWS_ENDPOINT_URL_<SERVICE>, AWS_ENDPOINT_URL, or AWS itself."""
    name = {"secretsmanager": "SECRETS_MANAGER"}.get(service, service.upper())
    given = os.environ.get(f"AWS_ENDPOINT_URL_{name}") or os.environ.get("AWS_ENDPOINT_URL")
    return given.rstrip("/") if given else f"https://{service}.{region}.{_suffix(region)}"


def credentials(line: Line) -> Keys:
    """Return the keys: variables, else the task's role, else the instance's. Raises Failure."""
    access, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if access and secret:
        return Keys(access, secret, os.environ.get("AWS_SESSION_TOKEN", ""))
    relative = os.environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    full = os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if relative or full:
        return _task_role(f"{TASK_HOST}{relative}" if relative else str(full), line)
    return _instance_role(Line(2.0, 1))


def sign(
    method: str,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    keys: Keys,
    *,
    service: str,
    region: str,
    now: float | None = None,
) -> dict[str, str]:
    """Return the headers of a request with those that sign it."""
    parts = urlsplit(url)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(body).hexdigest()
    signed = {**headers, "host": parts.netloc, "x-amz-date": stamp, "x-amz-content-sha256": digest}
    if keys.token:
        signed["x-amz-security-token"] = keys.token
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{signed[name].strip()}\n" for name in sorted(signed))
    request = "\n".join((method, parts.path or "/", parts.query, lines, names, digest))
    text = "\n".join(
        ("AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(request.encode()).hexdigest())
    )
    key = f"AWS4{keys.secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={keys.access}/{scope}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    return {**signed, "authorization": authorization}


def _task_role(url: str, line: Line) -> Keys:
    token = os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
    path = os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    if path:
        with open(path, encoding="utf-8") as file:
            token = file.read().strip()
    answer = line.send("GET", url, {"authorization": token} if token else {})
    if answer.status != 200:
        raise Failure(f"the task role gives no credentials: status {answer.status}")
    return _keys(answer.body)


def _instance_role(line: Line) -> Keys:
    lifetime = {"x-aws-ec2-metadata-token-ttl-seconds": "60"}
    base = f"{INSTANCE_HOST}/latest/meta-data/iam/security-credentials/"
    try:
        token = line.send("PUT", f"{INSTANCE_HOST}/latest/api/token", lifetime).body.decode()
        headers = {"x-aws-ec2-metadata-token": token}
        role = line.send("GET", base, headers).body.decode().split("\n")[0]
        return _keys(line.send("GET", base + role, headers).body)
    except (Failure, ValueError):
        raise Failure("no AWS credentials: has the task a role (`roles: {task: …}`)?") from None


def _keys(body: bytes) -> Keys:
    found = json.loads(body)
    return Keys(found["AccessKeyId"], found["SecretAccessKey"], found.get("Token", ""))


def _suffix(region: str) -> str:
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def _code(answer: Answer) -> str:
    """Return AWS's error code and, where there is one, its message."""
    text = answer.body.decode("utf-8", "replace")
    if text.startswith("<"):
        code = text.partition("<Code>")[2].partition("</Code>")[0]
        return code or f"status {answer.status}"
    try:
        said = json.loads(text)
        code = str(said.get("__type", "")).rpartition("#")[2] or f"status {answer.status}"
        message = said.get("message") or said.get("Message") or ""
    except (ValueError, AttributeError):
        return f"status {answer.status}"
    return f"{code}: {message}" if message else code
