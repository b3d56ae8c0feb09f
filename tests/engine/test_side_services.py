"""What does not live in the engine goes to the side services behind the same port."""

from __future__ import annotations

import os
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.engine import Engine, container, null, register, until, wait_stopped


@pytest.fixture(scope="module")
def sides(engine: Engine) -> Engine:
    """The engine with its side services awake; their first start takes seconds."""
    until(lambda: engine.client("sts").get_caller_identity()["Account"], 60)
    return engine


def test_account_is_the_engines(sides: Engine) -> None:
    assert sides.client("sts").get_caller_identity()["Account"] == "000000000000"


def test_large_objects_pass_through_s3(sides: Engine) -> None:
    s3 = sides.client("s3")
    s3.create_bucket(Bucket="shop")
    body = os.urandom(20_000_000)
    s3.put_object(Bucket="shop", Key="a b/größe", Body=body)
    assert s3.get_object(Bucket="shop", Key="a b/größe")["Body"].read() == body
    s3.put_object(Bucket="shop", Key="lock", Body=b"1", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket="shop", Key="lock", Body=b"2", IfNoneMatch="*")
    keys = [o["Key"] for o in s3.list_objects_v2(Bucket="shop")["Contents"]]
    assert keys == ["a b/größe", "lock"]


def test_missing_secret_fails_the_task_as_ecs_says_it(
    sides: Engine, ecs: Any, cluster: str, family: str
) -> None:
    secrets = [{"name": "PASSWORD", "valueFrom": "/shop/nothing"}]
    register(ecs, family, container(secrets=secrets))
    task = ecs.run_task(cluster=cluster, taskDefinition=family)["tasks"][0]["taskArn"]
    stopped = wait_stopped(ecs, cluster, task)
    assert stopped["stopCode"] == "TaskFailedToStart"
    assert stopped["stoppedReason"].startswith(
        "ResourceInitializationError: unable to pull secrets"
    )


def test_secrets_are_found(sides: Engine, ecs: Any, cluster: str, family: str) -> None:
    sides.client("ssm").put_parameter(Name="/shop/password", Value="x", Type="SecureString")
    secret = sides.client("secretsmanager").create_secret(Name="db", SecretString='{"url": "y"}')
    secrets = [
        {"name": "PASSWORD", "valueFrom": "/shop/password"},
        {"name": "URL", "valueFrom": f"{secret['ARN']}:url::"},
    ]
    register(ecs, family, container(secrets=secrets, dockerLabels=null(exit=0)))
    task = ecs.run_task(cluster=cluster, taskDefinition=family)["tasks"][0]["taskArn"]
    assert wait_stopped(ecs, cluster, task)["stopCode"] == "EssentialContainerExited"


def test_buckets_outlive_a_shutdown_but_not_a_reset(own_engine: Engine) -> None:
    s3 = own_engine.client("s3")
    s3.create_bucket(Bucket="state")
    s3.create_bucket(Bucket="empty")
    described = {"ContentType": "text/css", "CacheControl": "max-age=9", "Metadata": {"by": "me"}}
    s3.put_object(Bucket="state", Key="a/größe +&<.css", Body=b"x" * 70_000, **described)
    for number in range(3):
        s3.put_object(Bucket="state", Key="one", Body=str(number))
    own_engine.shut_down()
    own_engine.start()
    s3 = own_engine.client("s3")
    assert {b["Name"] for b in s3.list_buckets()["Buckets"]} == {"empty", "state"}
    found = s3.get_object(Bucket="state", Key="a/größe +&<.css")
    assert found["Body"].read() == b"x" * 70_000
    assert {name: found[name] for name in described} == described
    assert s3.get_object(Bucket="state", Key="one")["Body"].read() == b"2"
    own_engine.empty_out()
    own_engine.start()
    assert own_engine.client("s3").list_buckets()["Buckets"] == []
