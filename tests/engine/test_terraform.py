"""Call sequences as Terraform's AWS provider makes them: create, read back, update, read back, ….

Whatever was sent must be read back as it was, or Terraform would plan a change for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.engine import register, until

TAGS = [{"key": "team", "value": "shop"}]
ROLE = "arn:aws:iam::000000000000:role/task"
NETWORK = {
    "awsvpcConfiguration": {
        "subnets": ["subnet-1", "subnet-2"],
        "securityGroups": ["sg-1"],
        "assignPublicIp": "DISABLED",
    }
}
EVERYTHING: dict[str, Any] = {
    "name": "web",
    "image": "registry.example/shop:1",
    "cpu": 128,
    "memory": 256,
    "memoryReservation": 128,
    "links": ["side"],
    "portMappings": [{"containerPort": 3000, "hostPort": 0, "protocol": "tcp", "name": "http"}],
    "essential": True,
    "entryPoint": ["/bin/sh", "-c"],
    "command": ["serve"],
    "environment": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}],
    "environmentFiles": [{"value": "arn:aws:s3:::bucket/web.env", "type": "s3"}],
    "mountPoints": [{"sourceVolume": "data", "containerPath": "/data", "readOnly": True}],
    "volumesFrom": [{"sourceContainer": "side", "readOnly": False}],
    "linuxParameters": {
        "capabilities": {"add": ["SYS_PTRACE"], "drop": ["NET_RAW"]},
        "initProcessEnabled": True,
        "sharedMemorySize": 64,
        "tmpfs": [{"containerPath": "/tmp", "size": 16, "mountOptions": ["noexec"]}],
    },
    "secrets": [{"name": "KEY", "valueFrom": "arn:aws:ssm:us-east-1:000000000000:parameter/k"}],
    "dependsOn": [{"containerName": "side", "condition": "START"}],
    "startTimeout": 30,
    "stopTimeout": 20,
    "hostname": "web",
    "user": "1000",
    "workingDirectory": "/app",
    "disableNetworking": False,
    "privileged": False,
    "readonlyRootFilesystem": True,
    "dnsServers": ["10.0.0.2"],
    "dnsSearchDomains": ["example"],
    "extraHosts": [{"hostname": "db", "ipAddress": "10.0.0.3"}],
    "dockerSecurityOptions": ["no-new-privileges"],
    "interactive": True,
    "pseudoTerminal": True,
    "dockerLabels": {"a": "b"},
    "ulimits": [{"name": "nofile", "softLimit": 1024, "hardLimit": 4096}],
    "logConfiguration": {
        "logDriver": "awslogs",
        "options": {"awslogs-group": "g", "awslogs-region": "us-east-1"},
    },
    "healthCheck": {
        "command": ["CMD-SHELL", "true"],
        "interval": 10,
        "timeout": 3,
        "retries": 2,
        "startPeriod": 5,
    },
    "systemControls": [{"namespace": "net.core.somaxconn", "value": "1024"}],
    "resourceRequirements": [{"value": "1", "type": "GPU"}],
    "firelensConfiguration": {"type": "fluentbit", "options": {"x": "y"}},
    "restartPolicy": {"enabled": True, "ignoredExitCodes": [0], "restartAttemptPeriod": 180},
    "versionConsistency": "enabled",
}


def drift(sent: Any, found: Any, path: str = "") -> Iterator[str]:
    """Yield where what is read back is not what was sent; more than was sent may come back."""
    if isinstance(sent, dict) and isinstance(found, dict):
        for name, value in sent.items():
            yield from drift(value, found.get(name), f"{path}.{name}")
    elif isinstance(sent, list) and isinstance(found, list) and len(sent) == len(found):
        for number, (one, other) in enumerate(zip(sent, found, strict=True)):
            yield from drift(one, other, f"{path}[{number}]")
    elif sent != found:
        yield f"{path}: sent {sent}, found {found}"


def no_drift(sent: Any, found: Any) -> None:
    assert not (drifted := list(drift(sent, found))), drifted


def test_cluster(ecs: Any, family: str) -> None:
    sent: dict[str, Any] = {
        "settings": [{"name": "containerInsights", "value": "enabled"}],
        "configuration": {"executeCommandConfiguration": {"logging": "DEFAULT"}},
        "serviceConnectDefaults": {"namespace": "arn:aws:servicediscovery:::namespace/ns-1"},
    }
    name = f"tf-{family}"

    def read() -> dict[str, Any]:
        answer = ecs.describe_clusters(
            clusters=[name], include=["TAGS", "CONFIGURATIONS", "SETTINGS"]
        )
        found: dict[str, Any] = answer["clusters"][0]
        return found

    ecs.create_cluster(clusterName=name, tags=TAGS, **sent)
    no_drift({**sent, "tags": TAGS, "status": "ACTIVE"}, read())
    changed = {
        "settings": [{"name": "containerInsights", "value": "enhanced"}],
        "configuration": {"managedStorageConfiguration": {"kmsKeyId": "key"}},
    }
    ecs.update_cluster(cluster=name, **changed)
    no_drift({**sent, **changed}, read())
    strategy = [{"capacityProvider": "FARGATE", "weight": 100, "base": 1}]
    ecs.put_cluster_capacity_providers(
        cluster=name,
        capacityProviders=["FARGATE", "FARGATE_SPOT"],
        defaultCapacityProviderStrategy=strategy,
    )
    no_drift({"defaultCapacityProviderStrategy": strategy}, read())
    assert sorted(read()["capacityProviders"]) == ["FARGATE", "FARGATE_SPOT"]
    ecs.put_cluster_capacity_providers(
        cluster=name, capacityProviders=[], defaultCapacityProviderStrategy=[]
    )
    no_drift({"capacityProviders": [], "defaultCapacityProviderStrategy": []}, read())
    ecs.delete_cluster(cluster=name)
    assert read()["status"] == "INACTIVE"


def test_task_definition_with_everything(ecs: Any, family: str) -> None:
    sent: dict[str, Any] = {
        "family": family,
        "taskRoleArn": ROLE,
        "executionRoleArn": ROLE,
        "networkMode": "bridge",
        "containerDefinitions": [
            EVERYTHING,
            {"name": "side", "image": "side", "memory": 64, "essential": False},
        ],
        "volumes": [
            {"name": "data", "host": {"sourcePath": "/srv"}},
            {
                "name": "shared",
                "dockerVolumeConfiguration": {
                    "scope": "shared",
                    "autoprovision": True,
                    "driver": "local",
                    "driverOpts": {"type": "tmpfs"},
                    "labels": {"a": "b"},
                },
            },
            {
                "name": "files",
                "efsVolumeConfiguration": {
                    "fileSystemId": "fs-1",
                    "rootDirectory": "/",
                    "transitEncryption": "ENABLED",
                    "authorizationConfig": {"accessPointId": "fsap-1", "iam": "ENABLED"},
                },
            },
        ],
        "placementConstraints": [
            {"type": "memberOf", "expression": "attribute:ecs.os-type == linux"}
        ],
        "requiresCompatibilities": ["EC2"],
        "cpu": "256",
        "memory": "512",
        "pidMode": "task",
        "ipcMode": "none",
        "runtimePlatform": {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"},
    }
    arn = ecs.register_task_definition(**sent, tags=TAGS)["taskDefinition"]["taskDefinitionArn"]

    def read() -> dict[str, Any]:
        found: dict[str, Any] = ecs.describe_task_definition(taskDefinition=arn, include=["TAGS"])
        return found

    no_drift({"taskDefinition": sent, "tags": TAGS}, read())
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "team", "value": "other"}])
    no_drift({"tags": [{"key": "team", "value": "other"}]}, read())
    ecs.deregister_task_definition(taskDefinition=arn)
    no_drift({"taskDefinition": {**sent, "status": "INACTIVE"}}, read())
    assert ecs.delete_task_definitions(taskDefinitions=[arn])["failures"] == []
    assert read()["taskDefinition"]["status"] == "DELETE_IN_PROGRESS"


def test_registering_what_was_read_back_changes_nothing(ecs: Any, family: str) -> None:
    first = ecs.register_task_definition(
        family=family,
        containerDefinitions=[
            {"name": "web", "image": "x", "memory": 64, "portMappings": [{"containerPort": 80}]}
        ],
    )["taskDefinition"]
    second = ecs.register_task_definition(
        family=family, containerDefinitions=first["containerDefinitions"]
    )["taskDefinition"]
    assert second["containerDefinitions"] == first["containerDefinitions"]


@pytest.fixture
def service(ecs: Any, cluster: str, family: str) -> Iterator[dict[str, Any]]:
    """What Terraform sends for a Fargate service."""
    register(
        ecs, family, {"name": "web", "image": "x", "portMappings": [{"containerPort": 80}]},
        networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512",
        taskRoleArn="arn:aws:iam::000000000000:role/web",
    )  # fmt: skip
    ecs.put_cluster_capacity_providers(
        cluster=cluster,
        capacityProviders=["FARGATE", "FARGATE_SPOT"],
        defaultCapacityProviderStrategy=[],
    )
    yield {
        "cluster": cluster,
        "serviceName": "web",
        "taskDefinition": ecs.describe_task_definition(taskDefinition=family)["taskDefinition"][
            "taskDefinitionArn"
        ],
        "desiredCount": 2,
        "capacityProviderStrategy": [
            {"capacityProvider": "FARGATE", "weight": 1, "base": 1},
            {"capacityProvider": "FARGATE_SPOT", "weight": 3, "base": 0},
        ],
        "platformVersion": "1.4.0",
        "networkConfiguration": NETWORK,
        "deploymentConfiguration": {
            "deploymentCircuitBreaker": {"enable": True, "rollback": True},
            "maximumPercent": 150,
            "minimumHealthyPercent": 50,
        },
        "deploymentController": {"type": "ECS"},
        "schedulingStrategy": "REPLICA",
        "enableECSManagedTags": True,
        "enableExecuteCommand": True,
        "propagateTags": "SERVICE",
        "healthCheckGracePeriodSeconds": 30,
        "availabilityZoneRebalancing": "ENABLED",
        "serviceRegistries": [{"registryArn": "arn:aws:servicediscovery:::service/srv-1"}],
    }


def _shown(sent: dict[str, Any]) -> dict[str, Any]:
    """Return what of a request is read back under its own name."""
    hidden = ("cluster", "service", "forceNewDeployment", "force")
    return {name: value for name, value in sent.items() if name not in hidden}


def test_service(ecs: Any, service: dict[str, Any]) -> None:
    names = {"cluster": service["cluster"], "service": "web"}

    def read() -> dict[str, Any]:
        answer = ecs.describe_services(
            cluster=service["cluster"], services=["web"], include=["TAGS"]
        )
        found: dict[str, Any] = answer["services"][0]
        return found

    ecs.create_service(**service, tags=TAGS)
    no_drift({**_shown(service), "tags": TAGS, "status": "ACTIVE"}, read())
    assert "launchType" not in read()
    changed = {
        "desiredCount": 3,
        "deploymentConfiguration": {
            "deploymentCircuitBreaker": {"enable": False, "rollback": False},
            "maximumPercent": 200,
            "minimumHealthyPercent": 100,
        },
        "networkConfiguration": {
            "awsvpcConfiguration": {
                "subnets": ["subnet-9"],
                "securityGroups": [],
                "assignPublicIp": "ENABLED",
            }
        },
        "enableExecuteCommand": False,
        "enableECSManagedTags": False,
        "propagateTags": "TASK_DEFINITION",
        "healthCheckGracePeriodSeconds": 0,
        "availabilityZoneRebalancing": "DISABLED",
        "serviceRegistries": [],
        "capacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1, "base": 0}],
        "platformVersion": "LATEST",
    }
    ecs.update_service(**names, **changed, forceNewDeployment=True)
    no_drift({**_shown(service), **changed}, read())
    until(lambda: read()["runningCount"] == 3 and len(read()["deployments"]) == 1)
    no_drift({**_shown(service), **changed}, read())
    ecs.update_service(**names, desiredCount=0)
    ecs.delete_service(**names)
    until(lambda: read()["status"] == "INACTIVE")
    assert ecs.list_services(cluster=service["cluster"])["serviceArns"] == []
    with pytest.raises(ClientError, match="ServiceNotActiveException"):
        ecs.update_service(**names, desiredCount=1)
    ecs.create_service(**service)
    assert read()["status"] == "ACTIVE"


def test_service_that_names_only_what_it_must_reads_back_defaults(
    ecs: Any, cluster: str, family: str
) -> None:
    register(ecs, family)
    ecs.create_service(cluster=cluster, serviceName="web", taskDefinition=family)
    found = ecs.describe_services(cluster=cluster, services=["web"])["services"][0]
    no_drift(
        {
            "desiredCount": 0,
            "schedulingStrategy": "REPLICA",
            "propagateTags": "NONE",
            "launchType": "EC2",
            "loadBalancers": [],
            "serviceRegistries": [],
            "placementConstraints": [],
            "placementStrategy": [],
            "enableECSManagedTags": False,
            "enableExecuteCommand": False,
            "deploymentController": {"type": "ECS"},
            "deploymentConfiguration": {"maximumPercent": 200, "minimumHealthyPercent": 100},
        },
        found,
    )


def test_account_setting(ecs: Any) -> None:
    def read(name: str) -> str:
        answer = ecs.list_account_settings(name=name, effectiveSettings=True)
        return str(answer["settings"][0]["value"])

    before = read("containerInsights")
    ecs.put_account_setting_default(name="containerInsights", value="enabled")
    assert read("containerInsights") == "enabled"
    ecs.put_account_setting_default(name="containerInsights", value=before)
    assert read("containerInsights") == before


def test_names_of_families_and_their_order(ecs: Any, family: str) -> None:
    arns = [register(ecs, family) for _ in range(3)]
    ecs.deregister_task_definition(taskDefinition=arns[1])

    def listed(**members: Any) -> list[str]:
        answer = ecs.list_task_definitions(familyPrefix=family, **members)
        found: list[str] = answer["taskDefinitionArns"]
        return found

    assert listed() == [arns[0], arns[2]]
    assert listed(sort="DESC") == [arns[2], arns[0]]
    assert listed(status="INACTIVE") == [arns[1]]
    latest = ecs.describe_task_definition(taskDefinition=family)["taskDefinition"]
    assert latest["taskDefinitionArn"] == arns[2]
