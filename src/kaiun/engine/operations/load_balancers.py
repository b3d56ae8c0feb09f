"""ELBv2 load balancers. They listen on loopback; subnets and groups are only remembered."""

from __future__ import annotations

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
    relink,
    rules_of,
    set_attributes,
    show_attributes,
    validation_error,
)
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.store import Doc
from kaiun.engine.world import World

ATTRIBUTES = {
    "access_logs.s3.enabled": "false",
    "access_logs.s3.bucket": "",
    "access_logs.s3.prefix": "",
    "client_keep_alive.seconds": "3600",
    "connection_logs.s3.enabled": "false",
    "connection_logs.s3.bucket": "",
    "connection_logs.s3.prefix": "",
    "deletion_protection.enabled": "false",
    "idle_timeout.timeout_seconds": "60",
    "load_balancing.cross_zone.enabled": "true",
    "routing.http.desync_mitigation_mode": "defensive",
    "routing.http.drop_invalid_header_fields.enabled": "false",
    "routing.http.preserve_host_header.enabled": "false",
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "false",
    "routing.http.xff_client_port.enabled": "false",
    "routing.http.xff_header_processing.mode": "append",
    "routing.http2.enabled": "true",
    "waf.fail_open.enabled": "false",
    "zonal_shift.config.enabled": "false",
}


@operation("elasticloadbalancing", "CreateLoadBalancer")
def create_load_balancer(world: World, params: Params) -> Params:
    name = params["Name"]
    check_name(name, "Load balancer")
    kind = params.get("Type", "application")
    if kind != "application":
        raise ApiError(
            "OperationNotPermitted", f"Load balancers of type {kind} are not supported locally"
        )
    subnets = _subnets(params)
    tags = read_tags(params)
    for old in world.load_balancers.values():
        if old["LoadBalancerName"] == name:
            if old["_"]["request"] != params:
                raise ApiError(
                    "DuplicateLoadBalancerName",
                    f"A load balancer with the same name '{name}' exists, "
                    "but with different settings",
                )
            return {"LoadBalancers": [shown(old)]}
    number = secrets.token_hex(8)
    arn = world.arn(f"loadbalancer/app/{name}/{number}", "elasticloadbalancing")
    doc: Doc = {
        "LoadBalancerArn": arn,
        "DNSName": f"{name}.localhost",
        "CanonicalHostedZoneId": "Z35SXDOTRQ7X7K",
        "CreatedTime": world.now(),
        "LoadBalancerName": name,
        "Scheme": params.get("Scheme", "internet-facing"),
        "VpcId": "vpc-local",
        "State": {"Code": "active"},
        "Type": kind,
        "AvailabilityZones": _zones(world, subnets),
        "SecurityGroups": params.get("SecurityGroups", []),
        "IpAddressType": params.get("IpAddressType", "ipv4"),
        "_": {"attributes": dict(ATTRIBUTES), "tags": tags, "request": params},
    }
    world.load_balancers[arn] = doc
    return {"LoadBalancers": [{**shown(doc), "State": {"Code": "provisioning"}}]}


def _subnets(params: Params) -> list[str]:
    mappings = params.get("SubnetMappings", ())
    if any("SubnetId" not in m for m in mappings):
        raise validation_error("A subnet mapping must have a subnet")
    return list(params.get("Subnets") or [m["SubnetId"] for m in mappings])


def _zones(world: World, subnets: list[str]) -> list[Doc]:
    zones = "abcdef"
    return [
        {
            "ZoneName": f"{world.identity.region}{zones[i % len(zones)]}",
            "SubnetId": subnet,
            "LoadBalancerAddresses": [],
        }
        for i, subnet in enumerate(subnets)
    ]


@operation("elasticloadbalancing", "DescribeLoadBalancers")
def describe_load_balancers(world: World, params: Params) -> Params:
    found = chosen(
        world.load_balancers,
        params,
        arns="LoadBalancerArns",
        name_key="LoadBalancerName",
        missing=lambda what: not_found("LoadBalancer", f"Load balancers '[{what}]' not found"),
    )
    return marked("LoadBalancers", [shown(d) for d in found], params)


@operation("elasticloadbalancing", "DeleteLoadBalancer")
def delete_load_balancer(world: World, params: Params) -> Params:
    arn = params["LoadBalancerArn"]
    doc = world.load_balancers.get(arn)
    if doc is None:
        if ":loadbalancer/" not in arn:
            raise validation_error(f"'{arn}' is not a valid load balancer ARN")
        return {}
    if doc["_"]["attributes"]["deletion_protection.enabled"] == "true":
        raise ApiError(
            "OperationNotPermitted",
            f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
        )
    for listener in [x for x in world.listeners.values() if x["LoadBalancerArn"] == arn]:
        for rule in rules_of(world, listener["ListenerArn"]):
            del world.rules[rule["RuleArn"]]
        del world.listeners[listener["ListenerArn"]]
    del world.load_balancers[arn]
    relink(world)
    return {}


@operation("elasticloadbalancing", "DescribeLoadBalancerAttributes")
def describe_load_balancer_attributes(world: World, params: Params) -> Params:
    return show_attributes(_find(world, params)["_"]["attributes"])


@operation("elasticloadbalancing", "ModifyLoadBalancerAttributes")
def modify_load_balancer_attributes(world: World, params: Params) -> Params:
    doc = _find(world, params)
    after = {**doc["_"]["attributes"], **read_attributes(params)}
    if after["access_logs.s3.enabled"] == "true" and not after["access_logs.s3.bucket"]:
        raise ApiError(
            "InvalidConfigurationRequest",
            "access_logs.s3.bucket must be specified where access_logs.s3.enabled is true",
        )
    answer = set_attributes(doc, params, ATTRIBUTES)
    world.load_balancers.touch(doc["LoadBalancerArn"])
    world.registrar.rewire()
    return answer


@operation("elasticloadbalancing", "SetSecurityGroups")
def set_security_groups(world: World, params: Params) -> Params:
    doc = _find(world, params)
    doc["SecurityGroups"] = params["SecurityGroups"]
    world.load_balancers.touch(doc["LoadBalancerArn"])
    return {"SecurityGroupIds": doc["SecurityGroups"]}


@operation("elasticloadbalancing", "SetSubnets")
def set_subnets(world: World, params: Params) -> Params:
    doc = _find(world, params)
    subnets = _subnets(params)
    doc["AvailabilityZones"] = _zones(world, subnets)
    world.load_balancers.touch(doc["LoadBalancerArn"])
    return {"AvailabilityZones": doc["AvailabilityZones"], "IpAddressType": doc["IpAddressType"]}


@operation("elasticloadbalancing", "SetIpAddressType")
def set_ip_address_type(world: World, params: Params) -> Params:
    doc = _find(world, params)
    doc["IpAddressType"] = params["IpAddressType"]
    world.load_balancers.touch(doc["LoadBalancerArn"])
    return {"IpAddressType": doc["IpAddressType"]}


@operation("elasticloadbalancing", "DescribeCapacityReservation")
def describe_capacity_reservation(world: World, params: Params) -> Params:
    _find(world, params)
    return {"DecreaseRequestsRemaining": 2, "CapacityReservationState": []}


def _find(world: World, params: Params) -> Doc:
    return find(world.load_balancers, params["LoadBalancerArn"], "LoadBalancer", "Load balancer")
