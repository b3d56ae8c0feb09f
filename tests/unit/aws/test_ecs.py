"""The reads and writes of ECS."""

from __future__ import annotations

from typing import Any

import pytest
from support.fake_aws import fake_aws, refused

from kaiun.aws.ecs import Ecs
from kaiun.errors import AwsError


def test_services_are_described_ten_a_call_with_their_tags() -> None:
    def describe(body: dict[str, Any]) -> tuple[int, object]:
        found = [{"serviceName": name} for name in body["services"] if name != "s3"]
        return 200, {"services": found, "failures": [{"arn": "s3", "reason": "MISSING"}]}

    with fake_aws({"DescribeServices": describe}) as fake:
        found = Ecs(fake.caller()).describe_services("shop", [f"s{n}" for n in range(23)])
        assert len(found) == 22
        assert "s3" not in found
        assert sorted(len(body["services"]) for body in fake.inputs("DescribeServices")) == [
            3,
            10,
            10,
        ]
        assert all(body["include"] == ["TAGS"] for body in fake.inputs("DescribeServices"))


def test_no_services_need_no_call() -> None:
    with fake_aws({}) as fake:
        assert Ecs(fake.caller()).describe_services("shop", []) == {}
        assert fake.requests == []


@pytest.mark.parametrize("message", ["Unable to describe task definition.", "unable to describe x"])
def test_unknown_family_is_none(message: str) -> None:
    answer = refused("ClientException", message)
    with fake_aws({"DescribeTaskDefinition": lambda _: answer}) as fake:
        assert Ecs(fake.caller()).describe_task_definition("shop-local-web") is None


def test_other_refusals_of_a_task_definition_are_errors() -> None:
    answer = refused("AccessDeniedException", "User: u is not authorized to perform: ecs:X on: y")
    with (
        fake_aws({"DescribeTaskDefinition": lambda _: answer}) as fake,
        pytest.raises(AwsError) as caught,
    ):
        Ecs(fake.caller()).describe_task_definition("shop-local-web")
    assert caught.value.hint == "allow `ecs:X` to the user or role that deploys"


def test_inactive_cluster_is_none() -> None:
    answer = 200, {"clusters": [{"clusterName": "a", "status": "INACTIVE"}]}
    with fake_aws({"DescribeClusters": lambda _: answer}) as fake:
        assert Ecs(fake.caller()).describe_cluster("a") is None


def test_tasks_are_listed_over_all_pages_and_described_by_the_hundred() -> None:
    arns = [f"arn:{n}" for n in range(150)]

    def listed(body: dict[str, Any]) -> tuple[int, object]:
        if "nextToken" in body:
            return 200, {"taskArns": arns[100:]}
        return 200, {"taskArns": arns[:100], "nextToken": "more"}

    def described(body: dict[str, Any]) -> tuple[int, object]:
        return 200, {"tasks": [{"taskArn": arn} for arn in body["tasks"]], "failures": []}

    with fake_aws({"ListTasks": listed, "DescribeTasks": described}) as fake:
        ecs = Ecs(fake.caller())
        assert ecs.list_tasks("shop", service="web", status="STOPPED") == arns
        first = fake.inputs("ListTasks")[0]
        assert first == {"cluster": "shop", "desiredStatus": "STOPPED", "serviceName": "web"}
        assert [task["taskArn"] for task in ecs.describe_tasks("shop", arns)] == arns
        assert len(fake.inputs("DescribeTasks")) == 2


def test_run_task_tells_what_started_and_what_could_not() -> None:
    answer = {"tasks": [{"taskArn": "t"}], "failures": [{"arn": "i", "reason": "RESOURCE:MEMORY"}]}
    with fake_aws({"RunTask": lambda _: (200, answer)}) as fake:
        started = Ecs(fake.caller()).run_task({"cluster": "shop", "taskDefinition": "shop:1"})
        assert started.tasks == ({"taskArn": "t"},)
        assert started.failures == ({"arn": "i", "reason": "RESOURCE:MEMORY"},)


def test_tags_become_pairs() -> None:
    with fake_aws({"TagResource": lambda _: (200, {})}) as fake:
        Ecs(fake.caller()).tag("arn:service", {"kaiun:count": "2"})
        assert fake.inputs("TagResource") == [
            {"resourceArn": "arn:service", "tags": [{"key": "kaiun:count", "value": "2"}]}
        ]


def test_service_deployment_is_stopped_with_a_rollback() -> None:
    with fake_aws({"StopServiceDeployment": lambda _: (200, {})}) as fake:
        Ecs(fake.caller()).stop_service_deployment("arn:d")
        assert fake.inputs("StopServiceDeployment") == [
            {"serviceDeploymentArn": "arn:d", "stopType": "ROLLBACK"}
        ]
