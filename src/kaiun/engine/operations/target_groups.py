"""ELBv2 target groups, their targets and their health."""

from __future__ import annotations

import ipaddress
import secrets

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.operations.common import shown
from kaiun.engine.operations.elb_common import (
    check_name,
    chosen,
    find,
    marked,
    not_found,
    read_attributes,
    read_tags,
    set_attributes,
    show_attributes,
    validation_error,
)
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.store import Doc
from kaiun.engine.views import health_of, target_key
from kaiun.engine.world import World

ATTRIBUTES = {
    "deregistration_delay.timeout_seconds": "300",
    "load_balancing.algorithm.anomaly_mitigation": "off",
    "load_balancing.algorithm.type": "round_robin",
    "load_balancing.cross_zone.enabled": "use_load_balancer_configuration",
    "slow_start.duration_seconds": "0",
    "stickiness.app_cookie.cookie_name": "",
    "stickiness.app_cookie.duration_seconds": "86400",
    "stickiness.enabled": "false",
    "stickiness.lb_cookie.duration_seconds": "86400",
    "stickiness.type": "lb_cookie",
    "target_group_health.dns_failover.minimum_healthy_targets.count": "1",
    "target_group_health.dns_failover.minimum_healthy_targets.percentage": "off",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": "1",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
}
_HEALTH = (
    "HealthCheckProtocol", "HealthCheckPort", "HealthCheckEnabled", "HealthCheckPath",
    "HealthCheckIntervalSeconds", "HealthCheckTimeoutSeconds", "HealthyThresholdCount",
    "UnhealthyThresholdCount", "Matcher",
)  # fmt: skip


@operation("elasticloadbalancing", "CreateTargetGroup")
def create_target_group(world: World, params: Params) -> Params:
    name = params["Name"]
    check_name(name, "Target group")
    kind = params.get("TargetType", "instance")
    if kind not in ("instance", "ip"):
        raise validation_error(f"Target type {kind} is not supported by this local ECS")
    if "Port" not in params:
        raise validation_error("A port must be specified")
    if params.get("Protocol") not in ("HTTP", "HTTPS"):
        raise validation_error("Protocol must be HTTP or HTTPS")
    tags = read_tags(params)
    for old in world.target_groups.values():
        if old["TargetGroupName"] == name:
            if old["_"]["request"] != params:
                raise ApiError(
                    "DuplicateTargetGroupName",
                    f"A target group with the same name '{name}' exists, "
                    "but with different settings",
                )
            return {"TargetGroups": [shown(old)]}
    arn = world.arn(f"targetgroup/{name}/{secrets.token_hex(8)}", "elasticloadbalancing")
    doc: Doc = {
        "TargetGroupArn": arn,
        "TargetGroupName": name,
        "Protocol": params["Protocol"],
        "Port": params["Port"],
        "VpcId": params.get("VpcId", "vpc-local"),
        "HealthCheckProtocol": "HTTP",
        "HealthCheckPort": "traffic-port",
        "HealthCheckEnabled": True,
        "HealthCheckIntervalSeconds": 30,
        "HealthCheckTimeoutSeconds": 5,
        "HealthyThresholdCount": 5,
        "UnhealthyThresholdCount": 2,
        "HealthCheckPath": "/",
        "Matcher": {"HttpCode": "200"},
        "LoadBalancerArns": [],
        "TargetType": kind,
        "ProtocolVersion": params.get("ProtocolVersion", "HTTP1"),
        "IpAddressType": params.get("IpAddressType", "ipv4"),
        "_": {"attributes": dict(ATTRIBUTES), "tags": tags, "request": params},
    }
    _set_health(doc, params)
    world.target_groups[arn] = doc
    return {"TargetGroups": [shown(doc)]}


def _set_health(doc: Doc, params: Params) -> None:
    changed = {**doc, **{n: params[n] for n in _HEALTH if n in params}}
    interval, timeout = changed["HealthCheckIntervalSeconds"], changed["HealthCheckTimeoutSeconds"]
    if timeout >= interval:
        raise validation_error(
            f"Health check timeout '{timeout}' must be smaller than the interval '{interval}'"
        )
    port = changed["HealthCheckPort"]
    if port != "traffic-port" and not (port.isdigit() and 1 <= int(port) <= 65535):
        raise validation_error(f"Health check port '{port}' must be a port or 'traffic-port'")
    if changed["HealthCheckProtocol"] not in ("HTTP", "HTTPS"):
        raise validation_error("Health check protocol must be HTTP or HTTPS")
    doc |= changed


@operation("elasticloadbalancing", "ModifyTargetGroup")
def modify_target_group(world: World, params: Params) -> Params:
    doc = _find(world, params)
    _set_health(doc, params)
    world.target_groups.touch(doc["TargetGroupArn"])
    return {"TargetGroups": [shown(doc)]}


@operation("elasticloadbalancing", "DescribeTargetGroups")
def describe_target_groups(world: World, params: Params) -> Params:
    found = chosen(
        world.target_groups,
        params,
        arns="TargetGroupArns",
        name_key="TargetGroupName",
        missing=lambda _what: not_found("TargetGroup", "One or more target groups not found"),
    )
    if balancer := params.get("LoadBalancerArn"):
        find(world.load_balancers, balancer, "LoadBalancer", "Load balancer")
        found = [d for d in found if balancer in d["LoadBalancerArns"]]
    return marked("TargetGroups", [shown(d) for d in found], params)


@operation("elasticloadbalancing", "DeleteTargetGroup")
def delete_target_group(world: World, params: Params) -> Params:
    arn = params["TargetGroupArn"]
    doc = world.target_groups.get(arn)
    if doc is None:
        return {}
    if doc["LoadBalancerArns"]:
        raise ApiError(
            "ResourceInUse",
            f"Target group '{arn}' is currently in use by a listener or a rule",
        )
    for key in [k for k in world.targets if world.targets[k]["target_group"] == arn]:
        del world.targets[key]
    del world.target_groups[arn]
    world.registrar.rewire()
    return {}


@operation("elasticloadbalancing", "DescribeTargetGroupAttributes")
def describe_target_group_attributes(world: World, params: Params) -> Params:
    return show_attributes(_find(world, params)["_"]["attributes"])


@operation("elasticloadbalancing", "ModifyTargetGroupAttributes")
def modify_target_group_attributes(world: World, params: Params) -> Params:
    doc = _find(world, params)
    given = read_attributes(params)
    delay = given.get("deregistration_delay.timeout_seconds", "0")
    if not (delay.isdecimal() and int(delay) <= 3600):
        raise validation_error("deregistration_delay.timeout_seconds must be 0 to 3600")
    _check_stickiness(doc["Protocol"], given.get("stickiness.type", "lb_cookie"))
    answer = set_attributes(doc, params, ATTRIBUTES)
    world.target_groups.touch(doc["TargetGroupArn"])
    world.registrar.rewire()
    return answer


def _check_stickiness(protocol: str, kind: str) -> None:
    """Raise for a type of stickiness that is not an application load balancer's."""
    if kind not in ("app_cookie", "lb_cookie", "source_ip"):
        raise _unconfigurable("'Stickiness type' must be one of [app_cookie, lb_cookie, source_ip]")
    if kind == "source_ip":
        raise _unconfigurable(
            f"Stickiness type '{kind}' is not supported for target groups with the {protocol} "
            "protocol"
        )


def _unconfigurable(message: str) -> ApiError:
    return ApiError("InvalidConfigurationRequest", message)


@operation("elasticloadbalancing", "RegisterTargets")
def register_targets(world: World, params: Params) -> Params:
    group = _find(world, params)
    wanted = [(t["Id"], t.get("Port", group["Port"])) for t in params["Targets"]]
    addresses = [_address(world, group, target_id) for target_id, _ in wanted]
    for (target_id, port), address in zip(wanted, addresses, strict=True):
        world.registrar.register(group["TargetGroupArn"], target_id, port, address, None)
    return {}


def _address(world: World, group: Doc, target_id: str) -> str:
    """Return where a target is reached. Raises InvalidTarget."""
    if group["TargetType"] == "instance":
        if target_id not in {i["ec2InstanceId"] for i in world.instances.values()}:
            raise ApiError(
                "InvalidTarget", f"The following targets are not in a running state: '{target_id}'"
            )
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(target_id))
    except ValueError:
        raise validation_error(f"The IP address '{target_id}' is not valid") from None


@operation("elasticloadbalancing", "DeregisterTargets")
def deregister_targets(world: World, params: Params) -> Params:
    group = _find(world, params)
    arn = group["TargetGroupArn"]
    for target in params["Targets"]:
        for doc in _matching(world, arn, target):
            world.registrar.deregister(target_key(arn, doc["id"], doc["port"]))
    return {}


def _matching(world: World, group: str, target: Doc) -> list[Doc]:
    return [
        d
        for d in world.targets.values()
        if d["target_group"] == group
        and d["id"] == target["Id"]
        and target.get("Port") in (None, d["port"])
    ]


@operation("elasticloadbalancing", "DescribeTargetHealth")
def describe_target_health(world: World, params: Params) -> Params:
    group = _find(world, params)
    arn = group["TargetGroupArn"]
    if "Targets" not in params:
        docs = [d for d in world.targets.values() if d["target_group"] == arn]
        return {"TargetHealthDescriptions": [_description(group, d) for d in docs]}
    answers = []
    for target in params["Targets"]:
        found = _matching(world, arn, target)
        answers += [_description(group, d) for d in found] or [_unknown(group, target)]
    return {"TargetHealthDescriptions": answers}


def _description(group: Doc, doc: Doc) -> Doc:
    health = health_of(doc)
    face = {"State": health.state.value}
    if health.reason:
        face |= {"Reason": health.reason, "Description": health.description}
    if not group["LoadBalancerArns"]:
        face = {
            "State": "unused",
            "Reason": "Target.NotInUse",
            "Description": "Target group is not configured to receive traffic from "
            "the load balancer",
        }
    return {
        "Target": {"Id": doc["id"], "Port": doc["port"]},
        "HealthCheckPort": _check_port(group, doc["port"]),
        "TargetHealth": face,
    }


def _unknown(group: Doc, target: Doc) -> Doc:
    port = int(target.get("Port") or group["Port"])
    return {
        "Target": {"Id": target["Id"], "Port": port},
        "HealthCheckPort": _check_port(group, port),
        "TargetHealth": {
            "State": "unused",
            "Reason": "Target.NotRegistered",
            "Description": "Target is not registered to the target group",
        },
    }


def _check_port(group: Doc, port: int) -> str:
    own: str = group["HealthCheckPort"]
    return str(port) if own == "traffic-port" else own


def _find(world: World, params: Params) -> Doc:
    return find(world.target_groups, params["TargetGroupArn"], "TargetGroup", "Target groups")
