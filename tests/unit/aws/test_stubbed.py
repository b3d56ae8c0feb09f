"""ELB, Logs, S3, SSM, secrets, stacks, ECR: what is asked, and what comes of the answers."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.response import StreamingBody
from botocore.session import Session
from botocore.stub import Stubber

from kaiun.aws.caller import Caller, Endpoint
from kaiun.aws.client import Aws
from kaiun.aws.types import LogEvent, LogPage, StoredObject, TargetHealth

Stub = Callable[[str], Stubber]
SESSION = Session()  # parses each service model once for all tests
GROUP = {"TargetGroupArn": "arn:tg/web", "TargetGroupName": "web"}


@pytest.fixture
def caller() -> Caller:
    return Caller(Endpoint("us-east-1", "http://127.0.0.1:9", "a", "b"), session=SESSION)


@pytest.fixture
def aws(caller: Caller) -> Aws:
    return Aws(caller)


@pytest.fixture
def stub(caller: Caller) -> Stub:
    def activate(service: str) -> Stubber:
        stubber = Stubber(caller.client(service))
        stubber.activate()
        return stubber

    return activate


def test_target_groups_are_found_by_name_and_by_arn(aws: Aws, stub: Stub) -> None:
    elb = stub("elbv2")
    elb.add_response("describe_target_groups", {"TargetGroups": [GROUP]}, {"Names": ["web"]})
    assert aws.elb.target_groups(["web"]) == {"web": GROUP}
    by_arn = {"TargetGroupArns": ["arn:tg/web"]}
    elb.add_response("describe_target_groups", {"TargetGroups": [GROUP]}, by_arn)
    assert aws.elb.target_groups(["arn:tg/web"]) == {"arn:tg/web": GROUP}


def test_missing_target_group_is_left_out(aws: Aws, stub: Stub) -> None:
    stub("elbv2").add_client_error("describe_target_groups", "TargetGroupNotFound")
    assert aws.elb.target_groups(["web"]) == {}


def test_missing_load_balancer_is_none(aws: Aws, stub: Stub) -> None:
    stub("elbv2").add_client_error("describe_load_balancers", "LoadBalancerNotFound")
    assert aws.elb.load_balancer("shop") is None


def test_new_target_group_gets_its_attributes(aws: Aws, stub: Stub) -> None:
    elb = stub("elbv2")
    elb.add_response("create_target_group", {"TargetGroups": [GROUP]}, {"Name": "web"})
    pairs = [{"Key": "deregistration_delay.timeout_seconds", "Value": "5"}]
    elb.add_response(
        "modify_target_group_attributes",
        {"Attributes": []},
        {"TargetGroupArn": "arn:tg/web", "Attributes": pairs},
    )
    made = aws.elb.create_target_group({"Name": "web"}, {pairs[0]["Key"]: "5"})
    assert made == GROUP
    elb.assert_no_pending_responses()


def test_listeners_come_by_port(aws: Aws, stub: Stub) -> None:
    listener = {"ListenerArn": "arn:l", "Port": 8080}
    stub("elbv2").add_response("describe_listeners", {"Listeners": [listener]})
    assert aws.elb.listeners("arn:lb") == {8080: listener}


def test_target_health_is_told_with_its_reason(aws: Aws, stub: Stub) -> None:
    described = {
        "Target": {"Id": "10.0.0.1", "Port": 3000},
        "TargetHealth": {
            "State": "unhealthy",
            "Reason": "Target.ResponseCodeMismatch",
            "Description": "Health checks failed with these codes: [500]",
        },
    }
    answer = {"TargetHealthDescriptions": [described, {"Target": {"Id": "i-1"}}]}
    stub("elbv2").add_response("describe_target_health", answer)
    assert aws.elb.target_health("arn:tg/web") == [
        TargetHealth(
            "10.0.0.1",
            3000,
            "unhealthy",
            "Target.ResponseCodeMismatch",
            "Health checks failed with these codes: [500]",
        ),
        TargetHealth("i-1", 0, ""),
    ]


def test_log_is_read_on_from_a_token(aws: Aws, stub: Stub) -> None:
    logs = stub("logs")
    asked = {"logGroupName": "/g", "logStreamName": "s", "startFromHead": True, "limit": 1000}
    event = {"timestamp": 5, "message": "hello", "ingestionTime": 6}
    logs.add_response("get_log_events", {"events": [event], "nextForwardToken": "f/1"}, asked)
    assert aws.logs.read("/g", "s") == LogPage((LogEvent(5, "hello", "s"),), "f/1")
    again = {**asked, "nextToken": "f/1"}
    logs.add_response("get_log_events", {"events": [], "nextForwardToken": "f/1"}, again)
    assert aws.logs.read("/g", "s", token="f/1") == LogPage((), "f/1")


def test_log_that_is_not_there_yet_is_empty(aws: Aws, stub: Stub) -> None:
    logs = stub("logs")
    for operation in ("get_log_events", "get_log_events", "filter_log_events"):
        logs.add_client_error(operation, "ResourceNotFoundException")
    assert aws.logs.read("/g", "s", token="t") == LogPage((), "t")
    assert aws.logs.last("/g", "s") == ()
    assert aws.logs.search("/g") == LogPage((), "")


def test_log_search_asks_only_for_what_is_given(aws: Aws, stub: Stub) -> None:
    asked = {"logGroupName": "/g", "limit": 1000, "startTime": 7, "logStreamNamePrefix": "web/"}
    event = {"timestamp": 8, "message": "hi", "logStreamName": "web/web/1", "eventId": "1"}
    stub("logs").add_response("filter_log_events", {"events": [event], "nextToken": "n"}, asked)
    found = aws.logs.search("/g", start_ms=7, stream_prefix="web/")
    assert found == LogPage((LogEvent(8, "hi", "web/web/1"),), "n")


def test_log_group_is_found_by_its_whole_name(aws: Aws, stub: Stub) -> None:
    logs = stub("logs")
    answer = {"logGroups": [{"logGroupName": "/kaiun/shop/local-2"}]}
    logs.add_response("describe_log_groups", answer)
    assert not aws.logs.group_exists("/kaiun/shop/local")
    logs.add_client_error("create_log_group", "ResourceAlreadyExistsException")
    aws.logs.create_group("/kaiun/shop/local-2")


def body(data: bytes) -> StreamingBody:
    return StreamingBody(io.BytesIO(data), len(data))


def test_object_is_read_with_its_etag_and_a_missing_one_is_none(aws: Aws, stub: Stub) -> None:
    s3 = stub("s3")
    s3.add_response("get_object", {"Body": body(b"{}"), "ETag": '"e"'}, {"Bucket": "b", "Key": "k"})
    assert aws.s3.get("b", "k") == StoredObject(b"{}", '"e"')
    s3.add_client_error("get_object", "NoSuchKey", http_status_code=404)
    assert aws.s3.get("b", "k") is None


@pytest.mark.parametrize("code", ["PreconditionFailed", "ConditionalRequestConflict"])
def test_object_is_put_once(aws: Aws, stub: Stub, code: str) -> None:
    s3 = stub("s3")
    s3.add_response("put_object", {}, {"Bucket": "b", "Key": "k", "Body": b"1", "IfNoneMatch": "*"})
    assert aws.s3.put_if_absent("b", "k", b"1")
    s3.add_client_error("put_object", code, http_status_code=412)
    assert not aws.s3.put_if_absent("b", "k", b"2")


def test_object_that_changed_is_not_overwritten(aws: Aws, stub: Stub) -> None:
    s3 = stub("s3")
    asked = {"Bucket": "b", "Key": "k", "Body": b"1", "IfMatch": '"e"'}
    s3.add_response("put_object", {}, asked)
    assert aws.s3.put_if_match("b", "k", b"1", '"e"')
    s3.add_client_error("put_object", "PreconditionFailed", http_status_code=412)
    assert not aws.s3.put_if_match("b", "k", b"1", '"e"')


def test_keys_are_listed_and_an_empty_bucket_has_none(aws: Aws, stub: Stub) -> None:
    s3, listed = (
        stub("s3"),
        {"Size": 1, "ETag": '"e"', "LastModified": datetime(2026, 1, 1, tzinfo=UTC)},
    )
    s3.add_response(
        "list_objects_v2", {"Contents": [{**listed, "Key": "p/1"}, {**listed, "Key": "p/2"}]}
    )
    assert aws.s3.list("b", "p/") == ["p/1", "p/2"]
    s3.add_response("list_objects_v2", {})
    assert aws.s3.list("b", "p/") == []


def test_bucket_of_ours_may_exist(aws: Aws, stub: Stub) -> None:
    stub("s3").add_client_error("create_bucket", "BucketAlreadyOwnedByYou")
    aws.s3.create_bucket("b")


def test_parameters_that_do_not_exist_are_left_out(aws: Aws, stub: Stub) -> None:
    parameter = {"Name": "/a", "Value": "1", "Type": "SecureString"}
    answer = {"Parameters": [parameter], "InvalidParameters": ["/b"]}
    asked = {"Names": ["/a", "/b"], "WithDecryption": True}
    stub("ssm").add_response("get_parameters", answer, asked)
    assert aws.resolver("ssm", ["/b", "/a", "/a"]) == {"/a": "1"}
    assert aws.resolver.hidden == {"1"}


def test_secret_that_does_not_exist_is_left_out(aws: Aws, stub: Stub) -> None:
    manager = stub("secretsmanager")
    manager.add_response("get_secret_value", {"SecretString": "s"}, {"SecretId": "a"})
    assert aws.resolver("secret", ["a"]) == {"a": "s"}
    assert aws.resolver.hidden == {"s"}
    manager.add_client_error("get_secret_value", "ResourceNotFoundException")
    assert aws.resolver("secret", ["b"]) == {}


def test_stack_outputs_are_read_once_a_stack(aws: Aws, stub: Stub) -> None:
    outputs = [{"OutputKey": k, "OutputValue": k.lower()} for k in ("Vpc", "Subnet")]
    stack: dict[str, Any] = {
        "StackName": "net",
        "CreationTime": "2026-01-01T00:00:00Z",
        "StackStatus": "CREATE_COMPLETE",
        "Outputs": outputs,
    }
    formation = stub("cloudformation")
    formation.add_response("describe_stacks", {"Stacks": [stack]}, {"StackName": "net"})
    names = ["net.Vpc", "net.Subnet", "net.Other"]
    assert aws.resolver("cfn", names) == {"net.Subnet": "subnet", "net.Vpc": "vpc"}
    formation.add_client_error("describe_stacks", "ValidationError")
    assert aws.resolver("cfn", ["gone.Vpc"]) == {}


def test_registry_credentials_are_taken_apart(aws: Aws, stub: Stub) -> None:
    token = base64.b64encode(b"AWS:pass:word").decode()
    answer = {"authorizationData": [{"authorizationToken": token}]}
    stub("ecr").add_response("get_authorization_token", answer, {})
    assert aws.ecr.credentials() == ("AWS", "pass:word")


def test_account_and_vpc_are_asked_for(aws: Aws, stub: Stub) -> None:
    stub("sts").add_response("get_caller_identity", {"Account": "123456789012"})
    stub("ec2").add_response(
        "describe_subnets", {"Subnets": [{"VpcId": "vpc-1"}]}, {"SubnetIds": ["subnet-1"]}
    )
    assert (aws.account(), aws.vpc_of("subnet-1")) == ("123456789012", "vpc-1")
