"""Access logs, from HAProxy to the bucket."""

from __future__ import annotations

import gzip
import shlex
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.engine import Engine, until

from kaiun.engine.child import free_port

pytestmark = pytest.mark.docker


def logged(s3: Any) -> list[list[str]]:
    """Return the fields of all entries in the bucket."""
    found = s3.list_objects_v2(Bucket="logs", Prefix="web/AWSLogs/").get("Contents", [])
    bodies = [s3.get_object(Bucket="logs", Key=o["Key"])["Body"].read() for o in found]
    return [shlex.split(line) for b in bodies for line in gzip.decompress(b).decode().splitlines()]


def test_requests_are_in_the_bucket_that_the_load_balancer_names(machine: Engine) -> None:
    elbv2, s3 = machine.client("elbv2"), machine.client("s3")
    s3.create_bucket(Bucket="logs")
    arn = elbv2.create_load_balancer(Name="web", Subnets=["subnet-local"])["LoadBalancers"][0][
        "LoadBalancerArn"
    ]
    enabled = {"Key": "access_logs.s3.enabled", "Value": "true"}
    with pytest.raises(ClientError, match="bucket must be specified"):
        elbv2.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[enabled])
    names = {"bucket": "logs", "prefix": "web"}
    where = [{"Key": f"access_logs.s3.{n}", "Value": v} for n, v in names.items()]
    elbv2.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[enabled, *where])
    port = free_port()
    answer = {"StatusCode": "200", "ContentType": "text/plain", "MessageBody": "hello"}
    elbv2.create_listener(
        LoadBalancerArn=arn,
        Protocol="HTTP",
        Port=port,
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": answer}],
    )
    urllib.request.urlopen(until(lambda: _reached(f"http://127.0.0.1:{port}/path?q=1"))).close()
    entry = until(lambda: logged(s3))[0]
    assert (entry[0], entry[2]) == ("http", arn.partition(":loadbalancer/")[2])
    assert (entry[8], entry[9]) == ("200", "-")
    assert entry[12] == f"GET http://127.0.0.1:{port}/path?q=1 HTTP/1.1"
    assert (entry[20], entry[22]) == ("0", "fixed-response")


def _reached(url: str) -> str:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except OSError:
        return ""
    return url
