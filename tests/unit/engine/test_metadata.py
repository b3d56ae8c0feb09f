"""What the metadata endpoint tells, by what is known of a task."""

from __future__ import annotations

from typing import Any

from kaiun.engine import metadata
from kaiun.engine.metadata import Subject
from kaiun.engine.operations.taskdefs import with_defaults
from kaiun.engine.runtime.docker_insight import Facts, Interface

FACTS = Facts(
    docker_id="d0",
    docker_name="ecs-shop-3-web",
    image_id="sha256:1",
    labels={"team": "blue"},
    created_at=1_700_000_000.25,
    interfaces=(Interface("10.0.2.100", "02:42:0a:00:02:64", "10.0.2.0/24", "10.0.2.1"),),
    volumes=(("data", "/var/lib/docker/volumes/data/_data", "/data"),),
)


def subject(
    facts: dict[str, Facts], seen: dict[str, Any], *, definition: dict[str, Any], **task: Any
) -> Subject:
    own = {"name": "web", "image": "shop:1", "cpu": 64, **definition.pop("container", {})}
    whole = {"family": "shop", "revision": 3, **definition}
    whole["containerDefinitions"] = [with_defaults(own, "awsvpc")]
    shown = {
        "name": "web",
        "lastStatus": "RUNNING",
        "healthStatus": "UNKNOWN",
        "containerArn": "arn:container",
        "networkBindings": [],
    }
    return Subject(
        {
            "taskArn": "arn:task",
            "clusterArn": "arn:aws:ecs:us-east-1:0:cluster/c",
            "desiredStatus": "RUNNING",
            "lastStatus": "RUNNING",
            "availabilityZone": "us-east-1a",
            "launchType": "FARGATE",
            "group": "service:web",
            "tags": [{"key": "a", "value": "b"}],
            "containers": [{**shown, **task.pop("shown", {})}],
            "_": {"containers": {"web": seen}},
            **task,
        },
        whole,
        facts,
        [{"key": "instance", "value": "one"}],
    )


FARGATE = {"networkMode": "awsvpc", "cpu": "256", "memory": "512"}


def test_task_on_fargate_is_told_with_its_size_and_its_clusters_arn() -> None:
    found = metadata.task_view(subject({}, {}, definition={**FARGATE}), 4, tags=True)
    assert found["Cluster"] == "arn:aws:ecs:us-east-1:0:cluster/c"
    assert found["Limits"] == {"CPU": 0.25, "Memory": 512}
    assert (found["ServiceName"], found["Revision"]) == ("web", "3")
    assert (found["TaskTags"], found["ContainerInstanceTags"]) == ({"a": "b"}, {"instance": "one"})


def test_container_that_is_not_there_yet_has_no_status() -> None:
    found = metadata.container_view(subject({}, {}, definition={**FARGATE}), "web", 4)
    assert found["KnownStatus"] == "NONE"
    assert not {"CreatedAt", "StartedAt", "Networks", "DockerName"} & found.keys()


def test_container_is_told_whole() -> None:
    container = {
        "healthCheck": {"command": ["CMD", "true"]},
        "restartPolicy": {"enabled": True},
        "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "g"}},
    }
    known = subject(
        {"web": FACTS},
        {"started_at": 1_700_000_001.0, "finished_at": 1_700_000_061.5, "restarts": 2},
        definition={**FARGATE, "container": container},
        shown={"exitCode": 0, "healthStatus": "HEALTHY", "lastStatus": "STOPPED"},
    )
    assert metadata.container_view(known, "web", 4) == {
        "DockerId": "d0",
        "Name": "web",
        "DockerName": "ecs-shop-3-web",
        "Image": "shop:1",
        "ImageID": "sha256:1",
        "Labels": {"team": "blue"},
        "DesiredStatus": "RUNNING",
        "KnownStatus": "STOPPED",
        "ExitCode": 0,
        "Limits": {"CPU": 64, "Memory": 512},
        "CreatedAt": "2023-11-14T22:13:20.250000Z",
        "StartedAt": "2023-11-14T22:13:21.000000Z",
        "FinishedAt": "2023-11-14T22:14:21.500000Z",
        "Type": "NORMAL",
        "Health": {"status": "HEALTHY"},
        "Volumes": [
            {
                "DockerName": "data",
                "Source": "/var/lib/docker/volumes/data/_data",
                "Destination": "/data",
            }
        ],
        "LogDriver": "awslogs",
        "LogOptions": {"awslogs-group": "g"},
        "ContainerARN": "arn:container",
        "Networks": [
            {
                "NetworkMode": "awsvpc",
                "IPv4Addresses": ["10.0.2.100"],
                "AttachmentIndex": 0,
                "MACAddress": "02:42:0a:00:02:64",
                "IPv4SubnetCIDRBlock": "10.0.2.0/24",
                "PrivateDNSName": "ip-10-0-2-100.ec2.internal",
                "SubnetGatewayIpv4Address": "10.0.2.1/24",
            }
        ],
        "RestartCount": 2,
    }
