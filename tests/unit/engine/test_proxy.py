"""What clients are told while the side services do not answer, each in its own protocol."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import botocore.session
import pytest
from botocore.parsers import create_parser

from kaiun.engine.proxy import Proxy

FORM = "application/x-www-form-urlencoded"


async def _nowhere() -> tuple[str, int]:
    raise ConnectionRefusedError("nobody")


def refused(service: str, content_type: str) -> dict[str, Any]:
    """Return what an ASGI client is sent."""
    sent: dict[str, Any] = {}

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("nothing is read")

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.update(message)

    signature = f"AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/{service}/aws4_request, …"
    headers = [
        (b"authorization", signature.encode()),
        (b"content-type", content_type.encode()),
    ]
    asyncio.run(Proxy(_nowhere)({"headers": headers}, receive, send))
    return sent


@pytest.mark.parametrize(
    ("service", "operation", "content_type"),
    [
        ("ssm", "GetParameter", "application/x-amz-json-1.1"),
        ("ec2", "DescribeVpcs", FORM),
        ("iam", "ListRoles", FORM),
        ("s3", "ListBuckets", ""),
    ],
)
def test_each_client_can_read_that_nobody_answers(
    service: str, operation: str, content_type: str
) -> None:
    sent = refused(service, content_type)
    model = botocore.session.Session().get_service_model(service)
    parser = create_parser(model.metadata["protocol"])
    answer = {
        "status_code": sent["status"],
        "headers": {n.decode(): value.decode() for n, value in sent["headers"]},
        "body": sent["body"],
    }
    error = parser.parse(answer, model.operation_model(operation).output_shape)["Error"]
    assert sent["status"] == 503
    assert error["Code"].removesuffix("Exception") == "ServiceUnavailable"
    assert error["Message"] == "Nobody answers behind this port; see engine.log."
