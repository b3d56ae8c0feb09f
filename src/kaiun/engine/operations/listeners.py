"""ELBv2 listeners and their rules."""

from __future__ import annotations

import errno
import secrets
import socket
from collections.abc import Sequence

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.operations.certificates import https_members
from kaiun.engine.operations.common import shown
from kaiun.engine.operations.elb_common import (
    check_actions,
    check_arn,
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
from kaiun.engine.operations.rule_conditions import read_conditions
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.store import Doc
from kaiun.engine.world import World

_OF_HTTPS = ("SslPolicy", "Certificates")
ATTRIBUTES = {"routing.http.response.server.enabled": "true"}


@operation("elasticloadbalancing", "CreateListener")
def create_listener(world: World, params: Params) -> Params:
    balancer = find(
        world.load_balancers, params["LoadBalancerArn"], "LoadBalancer", "Load balancer"
    )
    port = params.get("Port")
    if port is None:
        raise validation_error("A listener port must be specified")
    _check_protocol(params.get("Protocol"))
    _check_port(world, port, None)
    actions = check_actions(world, params["DefaultActions"])
    base = balancer["LoadBalancerArn"].replace(":loadbalancer/", ":listener/")
    arn = f"{base}/{secrets.token_hex(8)}"
    listener: Doc = {
        "ListenerArn": arn,
        "LoadBalancerArn": balancer["LoadBalancerArn"],
        "Port": port,
        "Protocol": params["Protocol"],
        "DefaultActions": actions,
        **https_members(params, params["Protocol"]),
        "_": {"tags": read_tags(params), "attributes": dict(ATTRIBUTES)},
    }
    world.listeners[arn] = listener
    _make_rule(world, arn, "default", conditions=[], actions=actions, tags={})
    relink(world)
    return {"Listeners": [shown(listener)]}


def _check_protocol(protocol: str | None) -> None:
    if protocol is None:
        raise validation_error("A listener protocol must be specified")
    if protocol not in ("HTTP", "HTTPS"):
        raise validation_error(f"Listener protocol '{protocol}' must be one of 'HTTP, HTTPS'")


def _check_port(world: World, port: int, own: str | None) -> None:
    """Raise where the port is taken: all load balancers share the loopback address here."""
    for other in world.listeners.values():
        if other["Port"] == port and other["ListenerArn"] != own:
            raise ApiError(
                "DuplicateListener",
                f"A listener already exists on port {port} of this machine "
                f"({other['ListenerArn']})",
            )
    if world.null_runtime:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as problem:
            word = "in use by another program" if problem.errno == errno.EADDRINUSE else "forbidden"
            raise ApiError(
                "InvalidConfigurationRequest", f"Port {port} of this machine is {word}"
            ) from None


@operation("elasticloadbalancing", "ModifyListener")
def modify_listener(world: World, params: Params) -> Params:
    listener = _find(world, params["ListenerArn"])
    spoken = _spoken(listener, params)
    if params.get("Port", listener["Port"]) != listener["Port"]:
        _check_port(world, params["Port"], listener["ListenerArn"])
        listener["Port"] = params["Port"]
    if "DefaultActions" in params:
        actions = check_actions(world, params["DefaultActions"])
        listener["DefaultActions"] = actions
        for rule in rules_of(world, listener["ListenerArn"]):
            if rule["IsDefault"]:
                rule["Actions"] = actions
                world.rules.touch(rule["RuleArn"])
    for name in _OF_HTTPS:
        listener.pop(name, None)
    listener |= spoken
    world.listeners.touch(listener["ListenerArn"])
    relink(world)
    return {"Listeners": [shown(listener)]}


def _spoken(listener: Doc, params: Params) -> Doc:
    """Return protocol, policy and certificates of a listener after a change: each needs the
    others."""
    protocol = str(params.get("Protocol", listener["Protocol"]))
    _check_protocol(protocol)
    before = {n: listener[n] for n in _OF_HTTPS if n in listener and protocol == "HTTPS"}
    return {"Protocol": protocol, **https_members({**before, **params}, protocol)}


@operation("elasticloadbalancing", "DescribeListeners")
def describe_listeners(world: World, params: Params) -> Params:
    if arns := params.get("ListenerArns"):
        found = [_find(world, arn) for arn in arns]
    elif balancer := params.get("LoadBalancerArn"):
        find(world.load_balancers, balancer, "LoadBalancer", "Load balancer")
        found = [x for x in world.listeners.values() if x["LoadBalancerArn"] == balancer]
    else:
        raise validation_error("You must specify either listener ARNs or a load balancer ARN")
    return marked("Listeners", [shown(d) for d in found], params)


@operation("elasticloadbalancing", "DeleteListener")
def delete_listener(world: World, params: Params) -> Params:
    listener = _find(world, params["ListenerArn"])
    for rule in rules_of(world, listener["ListenerArn"]):
        del world.rules[rule["RuleArn"]]
    del world.listeners[listener["ListenerArn"]]
    relink(world)
    return {}


@operation("elasticloadbalancing", "DescribeListenerAttributes")
def describe_listener_attributes(world: World, params: Params) -> Params:
    return show_attributes(_find(world, params["ListenerArn"])["_"]["attributes"])


@operation("elasticloadbalancing", "ModifyListenerAttributes")
def modify_listener_attributes(world: World, params: Params) -> Params:
    listener = _find(world, params["ListenerArn"])
    asked = read_attributes(params)
    known = {*ATTRIBUTES, *(key for key in asked if key.startswith("routing."))}
    answer = set_attributes(listener, params, known)
    world.listeners.touch(listener["ListenerArn"])
    return answer


def _find(world: World, arn: str) -> Doc:
    return find(world.listeners, arn, "Listener", "Listener")


def _make_rule(
    world: World,
    listener: str,
    priority: str,
    *,
    conditions: Sequence[Doc],
    actions: Sequence[Doc],
    tags: dict[str, str],
) -> Doc:
    base = listener.replace(":listener/", ":listener-rule/")
    arn = f"{base}/{secrets.token_hex(8)}"
    rule: Doc = {
        "RuleArn": arn,
        "Priority": priority,
        "Conditions": list(conditions),
        "Actions": list(actions),
        "IsDefault": priority == "default",
        "_": {"listener": listener, "tags": tags},
    }
    world.rules[arn] = rule
    return rule


def _check_priority(world: World, listener: str, priority: int, own: str | None) -> None:
    for rule in rules_of(world, listener):
        if rule["Priority"] == str(priority) and rule["RuleArn"] != own:
            raise ApiError("PriorityInUse", f"Priority '{priority}' is currently in use")


@operation("elasticloadbalancing", "CreateRule")
def create_rule(world: World, params: Params) -> Params:
    listener = _find(world, params["ListenerArn"])
    conditions = read_conditions(params["Conditions"])
    actions = check_actions(world, params["Actions"])
    _check_priority(world, listener["ListenerArn"], params["Priority"], None)
    rule = _make_rule(
        world,
        listener["ListenerArn"],
        str(params["Priority"]),
        conditions=conditions,
        actions=actions,
        tags=read_tags(params),
    )
    relink(world)
    return {"Rules": [shown(rule)]}


@operation("elasticloadbalancing", "ModifyRule")
def modify_rule(world: World, params: Params) -> Params:
    rule = _find_rule(world, params["RuleArn"])
    if rule["IsDefault"]:
        raise ApiError(
            "OperationNotPermitted", f"Default rule '{rule['RuleArn']}' cannot be modified"
        )
    if "Conditions" in params:
        rule["Conditions"] = read_conditions(params["Conditions"])
    if "Actions" in params:
        rule["Actions"] = check_actions(world, params["Actions"])
    world.rules.touch(rule["RuleArn"])
    relink(world)
    return {"Rules": [shown(rule)]}


@operation("elasticloadbalancing", "DescribeRules")
def describe_rules(world: World, params: Params) -> Params:
    if arns := params.get("RuleArns"):
        found = [_find_rule(world, arn) for arn in arns]
    elif arn := params.get("ListenerArn"):
        _find(world, arn)
        found = rules_of(world, arn)
    else:
        raise validation_error("You must specify either listener rule ARNs or a listener ARN")
    found = sorted(found, key=lambda r: (r["IsDefault"], int("0" + r["Priority"].strip("default"))))
    return marked("Rules", [shown(r) for r in found], params)


@operation("elasticloadbalancing", "DeleteRule")
def delete_rule(world: World, params: Params) -> Params:
    rule = _find_rule(world, params["RuleArn"])
    if rule["IsDefault"]:
        raise ApiError(
            "OperationNotPermitted", f"Default rule '{rule['RuleArn']}' cannot be deleted"
        )
    del world.rules[rule["RuleArn"]]
    relink(world)
    return {}


@operation("elasticloadbalancing", "SetRulePriorities")
def set_rule_priorities(world: World, params: Params) -> Params:
    asked = params["RulePriorities"]
    if any("RuleArn" not in p or "Priority" not in p for p in asked):
        raise validation_error("A rule ARN and a priority must be specified")
    pairs = [(_find_rule(world, p["RuleArn"]), p["Priority"]) for p in asked]
    moved = {rule["RuleArn"] for rule, _ in pairs}
    for rule, priority in pairs:
        for other in rules_of(world, rule["_"]["listener"]):
            if other["RuleArn"] not in moved and other["Priority"] == str(priority):
                raise ApiError("PriorityInUse", f"Priority '{priority}' is currently in use")
    for rule, priority in pairs:
        rule["Priority"] = str(priority)
        world.rules.touch(rule["RuleArn"])
    relink(world)
    return {"Rules": [shown(rule) for rule, _ in pairs]}


def _find_rule(world: World, arn: str) -> Doc:
    check_arn(arn, "Rule")
    if (rule := world.rules.get(arn)) is None:
        raise not_found("Rule", "One or more rules not found")
    return rule
