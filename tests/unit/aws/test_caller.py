"""Requests are counted, retried, sent side by side; failures are told."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest
from botocore.session import Session
from support.fake_aws import fake_aws, refused

from kaiun.aws.caller import Caller, Endpoint, batches, each, parallel
from kaiun.aws.client import Aws
from kaiun.aws.ecs import Ecs
from kaiun.errors import AwsError


def test_every_request_is_counted_by_service_and_operation() -> None:
    with fake_aws({"DescribeClusters": lambda _: (200, {"clusters": []})}) as fake:
        aws = Aws(fake.caller())
        assert aws.ecs.describe_cluster("a") is None
        assert aws.ecs.describe_cluster("b") is None
        assert dict(aws.calls) == {"ecs:DescribeClusters": 2}


def test_throttled_request_is_tried_again_and_each_attempt_counted() -> None:
    answers = [
        refused("ThrottlingException", "Rate exceeded"),
        (500, {}),
        (200, {"clusters": [{"clusterName": "a", "status": "ACTIVE"}]}),
    ]
    with fake_aws({"DescribeClusters": lambda _: answers.pop(0)}) as fake:
        aws = Aws(fake.caller())
        assert aws.ecs.describe_cluster("a") == {"clusterName": "a", "status": "ACTIVE"}
        assert aws.calls["ecs:DescribeClusters"] == 3


def test_nobody_at_the_local_endpoint_hints_at_local_up() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        ecs = Ecs(Caller(Endpoint("us-east-1", url, "a", "b")))
        with pytest.raises(AwsError) as caught:
            ecs.describe_cluster("shop")
    assert caught.value.code == "Unreachable"
    assert caught.value.where == "ecs:DescribeClusters shop"
    assert caught.value.hint == "is the local ECS running? `kaiun local up`"


def test_request_that_botocore_refuses_is_told_in_one_line() -> None:
    with fake_aws({}) as fake, pytest.raises(AwsError) as caught:
        Ecs(fake.caller()).register_task_definition({"family": "shop", "cpu": 1})
    assert caught.value.code == "InvalidRequest"
    assert "\n" not in caught.value.message
    assert caught.value.where == "ecs:RegisterTaskDefinition shop"
    assert caught.value.hint == "check `task_definition:` and `service:`"


def test_missing_region_and_credentials_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(AwsError) as caught:
        Ecs(Caller(Endpoint())).describe_cluster("shop")
    assert (caught.value.code, caught.value.where) == ("NoRegion", "ecs:DescribeClusters shop")
    with pytest.raises(AwsError) as caught:
        Ecs(Caller(Endpoint("us-east-1"))).describe_cluster("shop")
    assert caught.value.code == "NoCredentials"
    assert "AWS_PROFILE" in caught.value.hint


def test_a_client_is_made_once_and_only_when_needed() -> None:
    made: list[str] = []

    class Counting(Session):  # type: ignore[misc]
        def create_client(self, service_name: str, *args: Any, **kwargs: Any) -> Any:
            made.append(service_name)
            return super().create_client(service_name, *args, **kwargs)

    caller = Caller(Endpoint("us-east-1", "http://127.0.0.1:9", "a", "b"), session=Counting())
    Aws(caller)
    assert made == []
    parallel([lambda: caller.client("ecs")] * 8)
    assert made == ["ecs"]


def test_keys_are_not_shown() -> None:
    assert "hidden" not in repr(Endpoint("us-east-1", "http://x", "AK", "hidden"))


def test_calls_run_side_by_side_in_order() -> None:
    together = threading.Barrier(3, timeout=10)

    def call(item: int) -> int:
        together.wait()
        return item * 10

    assert each(call, [1, 2, 3]) == [10, 20, 30]


def test_batches_keep_the_order_and_the_rest() -> None:
    assert batches([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]
    assert batches([], 2) == []
