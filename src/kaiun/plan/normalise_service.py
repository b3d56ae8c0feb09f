"""Services in one comparable form, without the noise of what ECS fills in.

Compared are the members that UpdateService can change. Some of them DescribeServices tells
of the PRIMARY deployment only (Service Connect, volumes). Members whose value ECS chooses
by itself when nothing is asked for (AS_ASKED) count only where kaiun.yml asks for one.
Source: ECS API reference, CreateService, UpdateService, Service, Deployment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

from kaiun.plan.merge import Json
from kaiun.plan.normalise import pruned, without

if TYPE_CHECKING:
    from kaiun.aws.types import Deployment, Service

ABSENT: Mapping[str, object] = {
    "deploymentConfiguration": {},
    "enableECSManagedTags": False,
    "enableExecuteCommand": False,
    "healthCheckGracePeriodSeconds": 0,
    "loadBalancers": [],
    "networkConfiguration": {},
    "placementConstraints": [],
    "placementStrategy": [],
    "platformVersion": "LATEST",
    "propagateTags": "NONE",
    "serviceConnectConfiguration": {"enabled": False},
    "serviceRegistries": [],
    "taskDefinition": "",
}
AS_ASKED = (
    "availabilityZoneRebalancing",
    "capacityProviderStrategy",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
)
OF_DEPLOYMENT = (
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
)
DEPLOYING = frozenset(
    {
        "loadBalancers",
        "networkConfiguration",
        "platformVersion",
        "serviceConnectConfiguration",
        "serviceRegistries",
        "taskDefinition",
        "volumeConfigurations",
        "vpcLatticeConfigurations",
    }
)
FIXED: Mapping[str, str] = {"launchType": "EC2", "schedulingStrategy": "REPLICA"}

DEPLOYMENT_DEFAULTS: Json = {
    "maximumPercent": 200,
    "minimumHealthyPercent": 100,
    "strategy": "ROLLING",
    "bakeTimeInMinutes": 0,
}
BREAKER_DEFAULTS: Json = {
    "enable": False,
    "rollback": False,
    "resetOnHealthyTask": True,
    "thresholdConfiguration": {"type": "BOUNDED_PERCENT", "value": 50},
}
ALARM_DEFAULTS: Json = {"enable": False, "rollback": False}
CANARY_DEFAULTS: Json = {"canaryPercent": 5.0, "canaryBakeTimeInMinutes": 10}
LINEAR_DEFAULTS: Json = {"stepPercent": 10.0, "stepBakeTimeInMinutes": 6}


def primary(service: Service) -> Deployment | None:
    """Return the PRIMARY deployment: the one that the service is to run."""
    found = service.get("deployments", [])
    return next((item for item in found if item.get("status") == "PRIMARY"), None)


def task_definition_of(service: Service) -> str:
    """Return the ARN of the task definition that the service is to run."""
    deployment = primary(service) or {}
    return deployment.get("taskDefinition") or service.get("taskDefinition", "")


def of_live(service: Service) -> Json:
    """Return what DescribeServices told, as members of an UpdateService request."""
    told: Json = {k: v for k, v in service.items() if k in ABSENT or k in AS_ASKED}
    deployment = cast("Json", primary(service) or {})
    told |= {key: deployment[key] for key in OF_DEPLOYMENT if deployment.get(key)}
    told["taskDefinition"] = task_definition_of(service)
    return told


def comparable(given: Mapping[str, object], asked: Mapping[str, object]) -> Json:
    """Return the comparable form of `given`; `asked` is the request of kaiun.yml."""
    keys = [*ABSENT, *(key for key in AS_ASKED if key in asked)]
    return {key: _form(key, given.get(key)) for key in keys}


def _form(key: str, value: object) -> object:
    given = ABSENT.get(key, []) if value is None else value
    return FORMS[key](given) if key in FORMS else given


def _items(value: object) -> list[Json]:
    return cast("list[Json]", value)


def _deployment(value: object) -> Json:
    given = cast("Json", value)
    known = without(given, DEPLOYMENT_DEFAULTS)
    for key, defaults in (
        ("deploymentCircuitBreaker", BREAKER_DEFAULTS),
        ("alarms", ALARM_DEFAULTS),
        ("canaryConfiguration", CANARY_DEFAULTS),
        ("linearConfiguration", LINEAR_DEFAULTS),
    ):
        if part := cast("Json | None", known.get(key)):
            known[key] = without(part, defaults)
    return pruned(known)


def _network(value: object) -> Json:
    given = cast("Json", value)
    vpc = dict(cast("Json", given.get("awsvpcConfiguration") or {}))
    for key in ("subnets", "securityGroups"):
        vpc[key] = sorted(cast("list[str]", vpc.get(key) or []))
    return pruned(without(vpc, {"assignPublicIp": "DISABLED"}))


def _load_balancers(value: object) -> Json:
    return {_lb_key(item): _rest_of_lb(item) for item in _items(value)}


def _lb_key(item: Json) -> str:
    return f"{item.get('containerName')}:{item.get('containerPort')}"


def _rest_of_lb(item: Json) -> Json:
    known = {k: v for k, v in item.items() if k not in {"containerName", "containerPort"}}
    return pruned(known)


def _connect(value: object) -> Json:
    """Return Service Connect by port name; an absent discoveryName is the port's name."""
    given = cast("Json", value)
    if not given.get("enabled"):
        return {"enabled": False}
    services = _items(given.get("services") or [])
    known = {key: value for key, value in given.items() if key not in {"services", "enabled"}}
    by_port = {str(item["portName"]): _connected(item) for item in services}
    return {"enabled": True, **pruned(known), "services": by_port}


def _connected(item: Json) -> Json:
    aliases = cast("list[Json]", item.get("clientAliases") or [])
    known = {key: value for key, value in item.items() if key != "portName"}
    known["discoveryName"] = item.get("discoveryName") or item["portName"]
    known["clientAliases"] = {str(alias.get("port")): alias.get("dnsName") for alias in aliases}
    return pruned(known)


def _placement(value: object) -> list[Json]:
    return [
        {"type": item.get("type"), "field": str(item.get("field") or "").lower()}
        for item in _items(value)
    ]


def _providers(value: object) -> Json:
    return {
        str(item["capacityProvider"]): {
            "weight": item.get("weight") or 0,
            "base": item.get("base") or 0,
        }
        for item in _items(value)
    }


FORMS: Mapping[str, Callable[[object], object]] = {
    "capacityProviderStrategy": _providers,
    "deploymentConfiguration": _deployment,
    "loadBalancers": _load_balancers,
    "networkConfiguration": _network,
    "placementStrategy": _placement,
    "serviceConnectConfiguration": _connect,
}
