"""What AWS answers about an app that is deployed, with everything that ECS fills in by itself.

Written from the ECS API reference and from answers of the real service, not from the code
under test: Register/DescribeTaskDefinition, CreateService/DescribeServices.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kaiun.config.defaults import complete
from kaiun.config.schema import Environment
from kaiun.plan.live import Live
from kaiun.plan.steps import Kind, Ref, Release, settled

if TYPE_CHECKING:
    from kaiun.aws.types import Deployment, Service, TargetGroup, TaskDefinition
    from kaiun.config import Config
    from kaiun.plan.desired import Desired

Doc = dict[str, Any]

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ARN = "arn:aws:ecs:us-east-1:123456789012"
ELB = "arn:aws:elasticloadbalancing:us-east-1:123456789012"
DIGEST = "sha256:" + "1" * 64


def app(environment: str = "local", **keys: object) -> Config:
    """Return the configuration of an app named shop; `keys` are those of kaiun.yml."""
    given = {"app": "shop", "image": {"repository": "localhost:5000/shop"}, **keys}
    return complete(Environment.model_validate(given), environment, Path("/app"))


def release(sha: str = "a", **images: str) -> Release:
    """Return a release of the commit SHA `aaa…` with the image digest `aaa…`."""
    image = f"localhost:5000/shop@sha256:{sha * 64}"
    return Release(f"20260102-{sha}", sha * 40, image, images)


def registered(request: Mapping[str, object], revision: int = 1) -> TaskDefinition:
    """Return what DescribeTaskDefinition says after RegisterTaskDefinition(request)."""
    asked = cast("Doc", copy.deepcopy(dict(request)))
    asked.pop("tags", None)
    mode = asked.get("networkMode", "bridge")
    fargate = "FARGATE" in asked.get("requiresCompatibilities", [])
    told: Doc = {
        **asked,
        "taskDefinitionArn": f"{ARN}:task-definition/{asked['family']}:{revision}",
        "revision": revision,
        "status": "ACTIVE",
        "containerDefinitions": [_container(c, mode) for c in asked["containerDefinitions"]],
        "volumes": [{"host": {}, **volume} for volume in asked.get("volumes", [])],
        "placementConstraints": asked.get("placementConstraints", []),
        "requiresAttributes": [{"name": "com.amazonaws.ecs.capability.docker-remote-api.1.21"}],
        "compatibilities": ["EC2", "FARGATE"] if fargate else ["EC2"],
        "registeredAt": WHEN,
        "registeredBy": "arn:aws:iam::123456789012:user/deployer",
        "enableFaultInjection": False,
    }
    for key in ("taskRoleArn", "executionRoleArn"):
        if key in told and not told[key].startswith("arn:"):
            told[key] = f"arn:aws:iam::123456789012:role/{told[key]}"
    if "memory" in told:
        told["memory"] = {"1 GB": "1024", "0.5 GB": "512"}.get(told["memory"], told["memory"])
    return cast("TaskDefinition", told)


def _container(asked: Doc, mode: str) -> Doc:
    told: Doc = {"cpu": 0, "essential": True, **asked}
    told["environment"] = list(reversed(asked.get("environment", [])))
    for key in ("mountPoints", "volumesFrom", "systemControls", "portMappings"):
        told.setdefault(key, [])
    told["portMappings"] = [
        {
            "hostPort": port["containerPort"] if mode != "bridge" else 0,
            "protocol": "tcp",
            **port,
        }
        for port in told["portMappings"]
    ]
    if "healthCheck" in told:
        told["healthCheck"] = {"interval": 30, "timeout": 5, "retries": 3, **told["healthCheck"]}
        if not told["healthCheck"].get("startPeriod"):
            told["healthCheck"].pop("startPeriod", None)
    if "logConfiguration" in told:
        told["logConfiguration"] = {"secretOptions": [], **told["logConfiguration"]}
    if "linuxParameters" in told:
        told["linuxParameters"] = {"devices": [], "tmpfs": [], **told["linuxParameters"]}
    return told


def described(request: Mapping[str, object], **changes: object) -> Service:
    """Return what DescribeServices says after CreateService(request)."""
    asked = cast("Doc", copy.deepcopy(dict(request)))
    name = asked["serviceName"]
    deployment: Deployment = {
        "id": "ecs-svc/1",
        "status": "PRIMARY",
        "taskDefinition": asked["taskDefinition"],
        "desiredCount": asked["desiredCount"],
        "pendingCount": 0,
        "runningCount": asked["desiredCount"],
        "failedTasks": 0,
        "createdAt": WHEN,
        "updatedAt": WHEN,
        "rolloutState": "COMPLETED",
        "rolloutStateReason": "ECS deployment ecs-svc/1 completed.",
    }
    if connect := asked.pop("serviceConnectConfiguration", None):
        deployment["serviceConnectConfiguration"] = connect
    breaker = {"enable": False, "rollback": False}
    told: Doc = {
        "loadBalancers": [],
        "serviceRegistries": [],
        "placementConstraints": [],
        "placementStrategy": [],
        "enableECSManagedTags": False,
        "propagateTags": "NONE",
        "enableExecuteCommand": False,
        "availabilityZoneRebalancing": "ENABLED",
        "schedulingStrategy": "REPLICA",
        "deploymentController": {"type": "ECS"},
        **asked,
        "serviceArn": f"{ARN}:service/{asked['cluster']}/{name}",
        "clusterArn": f"{ARN}:cluster/{asked['cluster']}",
        "status": "ACTIVE",
        "runningCount": asked["desiredCount"],
        "pendingCount": 0,
        "deployments": [deployment],
        "events": [],
        "createdAt": WHEN,
        "createdBy": "arn:aws:iam::123456789012:user/deployer",
        "roleArn": "arn:aws:iam::123456789012:role/aws-service-role/ecs.amazonaws.com/ecs",
    }
    told.pop("cluster")
    told["deploymentConfiguration"] = {
        "maximumPercent": 200,
        "minimumHealthyPercent": 100,
        "alarms": {"alarmNames": [], "rollback": False, "enable": False},
        "strategy": "ROLLING",
        "bakeTimeInMinutes": 0,
        **asked.get("deploymentConfiguration", {}),
    }
    told["deploymentConfiguration"]["deploymentCircuitBreaker"] = {
        **breaker,
        **told["deploymentConfiguration"].get("deploymentCircuitBreaker", {}),
    }
    if told.get("launchType") == "FARGATE":
        told |= {"platformVersion": "LATEST", "platformFamily": "Linux"}
    return cast("Service", {**told, **changes})


def target_group(name: str, request: Mapping[str, object]) -> TargetGroup:
    """Return what DescribeTargetGroups says of a group that a load balancer forwards to."""
    told = {
        "HealthCheckProtocol": "HTTP",
        "HealthCheckPort": "traffic-port",
        "HealthCheckEnabled": True,
        "HealthCheckIntervalSeconds": 30,
        "HealthCheckTimeoutSeconds": 5,
        "HealthyThresholdCount": 5,
        "UnhealthyThresholdCount": 2,
        "HealthCheckPath": "/",
        "Matcher": {"HttpCode": "200"},
        **{key: value for key, value in request.items() if key not in {"Name", "Tags"}},
        "TargetGroupName": name,
        "TargetGroupArn": f"{ELB}:targetgroup/{name}/0123456789abcdef",
        "VpcId": "vpc-1",
        "LoadBalancerArns": [f"{ELB}:loadbalancer/app/shop-local/0123456789abcdef"],
    }
    return cast("TargetGroup", told)


def everything(desired: Desired, **changes: object) -> Live:
    """Return what is live after `desired` was deployed; `changes` replace fields of Live."""
    known: dict[Ref, str] = {}
    definitions = {name: registered(r) for name, r in desired.task_definitions.items()}
    for name, definition in definitions.items():
        known[Ref(Kind.TASK_DEFINITION, name)] = definition["taskDefinitionArn"]
    groups = {name: target_group(name, s.request) for name, s in desired.target_groups.items()}
    for name, group in groups.items():
        known[Ref(Kind.TARGET_GROUP, name)] = group["TargetGroupArn"]
    wanted = desired.wanted
    balancer = f"{ELB}:loadbalancer/app/{wanted.load_balancer}/0123456789abcdef"
    known[Ref(Kind.LOAD_BALANCER, wanted.load_balancer or "")] = balancer
    fields: dict[str, Any] = {
        "cluster": True,
        "services": {
            name: described(settled(request, known)) for name, request in desired.services.items()
        },
        "task_definitions": {name: (item,) for name, item in definitions.items()},
        "log_group": True,
        "target_groups": groups,
        "target_group_attributes": {
            name: {"stickiness.enabled": "false", **spec.attributes}
            for name, spec in desired.target_groups.items()
        },
        "load_balancer": {"LoadBalancerArn": balancer} if wanted.load_balancer else None,
        "listeners": {
            spec.port: cast("Doc", settled(spec.request, known)) for spec in desired.listeners
        },
        **changes,
    }
    return Live(**fields)
