"""What the ELBv2 operations share: finding, tags, attributes, pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kaiun.engine.dispatch import Params
from kaiun.engine.operations.common import page
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.store import Doc, Table
from kaiun.engine.wiring import forward_weights
from kaiun.engine.world import World

_NAME = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,30}[a-zA-Z0-9])?")
PAGE_SIZE = 400
_KINDS = {  # of resource: as it stands in its ARN, and in a sentence
    "LoadBalancer": ("loadbalancer", "load balancer"),
    "TargetGroup": ("targetgroup", "target group"),
    "Listener": ("listener", "listener"),
    "Rule": ("listener-rule", "listener rule"),
}


def validation_error(message: str) -> ApiError:
    return ApiError("ValidationError", message)


def not_found(kind: str, what: str) -> ApiError:
    """Return LoadBalancerNotFound, TargetGroupNotFound, ListenerNotFound or RuleNotFound."""
    return ApiError(f"{kind}NotFound", what)


def check_arn(arn: str, kind: str) -> None:
    """Raise ValidationError for what is no ARN of a LoadBalancer, TargetGroup, Listener or Rule."""
    resource, words = _KINDS[kind]
    if not re.fullmatch(rf"arn:[\w-]+:elasticloadbalancing:[\w-]*:\d*:{resource}/.+", arn):
        raise validation_error(f"'{arn}' is not a valid {words} ARN")


def check_name(name: str, kind: str) -> None:
    if not _NAME.fullmatch(name):
        raise validation_error(
            f"{kind} name '{name}' must be 1 to 32 letters, numbers and hyphens, and must not "
            "begin or end with a hyphen"
        )


def find(table: Table, arn: str, kind: str, words: str) -> Doc:
    """Return a document by ARN; raises the kind's NotFound, or ValidationError for no ARN."""
    check_arn(arn, kind)
    if (found := table.get(arn)) is None:
        raise not_found(kind, f"{words} '{arn}' not found")
    return found


def chosen(
    table: Table,
    params: Params,
    *,
    arns: str,
    name_key: str,
    missing: Callable[[str], ApiError],
) -> list[Doc]:
    """Return the documents that a Describe asks for by ARNs or names; all where it does not."""
    docs = table.values()
    if wanted := params.get(arns):
        for arn in wanted:
            check_arn(arn, arns.removesuffix("Arns"))
        if absent := [arn for arn in wanted if arn not in table]:
            raise missing(absent[0])
        return [table[arn] for arn in wanted]
    if wanted := params.get("Names"):
        present = {d[name_key] for d in docs}
        if absent := [name for name in wanted if name not in present]:
            raise missing(absent[0])
        return [d for d in docs if d[name_key] in wanted]
    return docs


def marked(name: str, items: Sequence[Any], params: Params) -> Params:
    """Return a page of `items` with NextMarker."""
    asked = {"nextToken": params.get("Marker"), "maxResults": params.get("PageSize")}
    part, following = page(items, asked, limit=PAGE_SIZE, error=validation_error)
    return {name: part, "NextMarker": following} if following else {name: part}


def read_tags(params: Params) -> dict[str, str]:
    tags = params.get("Tags", ())
    keys = [tag["Key"] for tag in tags]
    if len(set(keys)) != len(keys):
        raise ApiError("DuplicateTagKeys", "A tag key was specified more than once")
    return {tag["Key"]: tag.get("Value", "") for tag in tags}


def show_attributes(attributes: Mapping[str, str]) -> Params:
    return {"Attributes": [{"Key": key, "Value": value} for key, value in attributes.items()]}


def read_attributes(params: Params) -> dict[str, str]:
    """Return the attributes of a request. Raises ValidationError for one without a key."""
    if any("Key" not in attribute for attribute in params["Attributes"]):
        raise validation_error("An attribute must have a key")
    return {a["Key"]: a.get("Value", "") for a in params["Attributes"]}


def set_attributes(doc: Doc, params: Params, known: Iterable[str]) -> Params:
    """Set the attributes of a request. Raises InvalidConfigurationRequest for unknown keys."""
    given = read_attributes(params)
    if unknown := sorted(given.keys() - set(known)):
        raise ApiError(
            "InvalidConfigurationRequest",
            f"Attribute key '{unknown[0]}' is not recognized",
        )
    doc["_"]["attributes"] |= given
    return show_attributes(doc["_"]["attributes"])


def groups_of(actions: Iterable[Doc]) -> list[str]:
    return [arn for action in actions for arn, _ in forward_weights(action)]


def relink(world: World) -> None:
    """Bring every target group's LoadBalancerArns in line with listeners and rules."""
    users: dict[str, dict[str, None]] = {}
    for listener in world.listeners.values():
        arns = groups_of(listener["DefaultActions"])
        for rule in rules_of(world, listener["ListenerArn"]):
            arns += groups_of(rule["Actions"])
        for arn in arns:
            users.setdefault(arn, {})[listener["LoadBalancerArn"]] = None
    for arn in world.target_groups:
        now = list(users.get(arn, ()))
        if world.target_groups[arn]["LoadBalancerArns"] != now:
            world.target_groups[arn]["LoadBalancerArns"] = now
            world.target_groups.touch(arn)
    world.registrar.rewire()


def rules_of(world: World, listener: str) -> list[Doc]:
    return [r for r in world.rules.values() if r["_"]["listener"] == listener]


def check_actions(world: World, actions: Sequence[Doc]) -> list[Doc]:
    """Return actions as ELBv2 gives them back.

    Raises TargetGroupNotFound, InvalidLoadBalancerAction.
    """
    if not actions:
        raise validation_error("At least one action must be specified")
    checked = [_full_action(world, action) for action in actions]
    final = [a for a in checked if a["Type"] in ("forward", "redirect", "fixed-response")]
    if len(final) != 1 or checked[-1] is not final[0]:
        raise ApiError(
            "InvalidLoadBalancerAction",
            "Exactly one forward, redirect or fixed-response action must come last",
        )
    return checked


_SUPPORTED = ("forward", "redirect", "fixed-response")
_PAGES = ("text/html", "application/json", "application/javascript", "text/css", "text/plain")
_CONFIGS = {"redirect": "RedirectConfig", "fixed-response": "FixedResponseConfig"}


def _full_action(world: World, action: Doc) -> Doc:
    kind = action["Type"]
    if kind not in _SUPPORTED:
        raise ApiError(
            "InvalidLoadBalancerAction", f"Action type {kind} is not supported by this local ECS"
        )
    if kind != "forward":
        if _CONFIGS[kind] not in action:
            raise ApiError("InvalidLoadBalancerAction", f"A {kind} action needs {_CONFIGS[kind]}")
        if action.get("FixedResponseConfig", {}).get("ContentType", "text/plain") not in _PAGES:
            listed = ", ".join(f"'{name}'" for name in _PAGES)
            raise ApiError("InvalidLoadBalancerAction", f"The ContentType must be one of:{listed}")
        return action
    if "TargetGroupArn" not in action and not action.get("ForwardConfig", {}).get("TargetGroups"):
        raise ApiError("InvalidLoadBalancerAction", "A forward action needs a target group")
    weights = forward_weights(action)
    for arn, _ in weights:
        find(world.target_groups, arn, "TargetGroup", "Target groups")
    config = {
        "TargetGroups": [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in weights],
        "TargetGroupStickinessConfig": action.get("ForwardConfig", {}).get(
            "TargetGroupStickinessConfig", {"Enabled": False}
        ),
    }
    full = {**action, "ForwardConfig": config}
    if len(weights) == 1:
        full["TargetGroupArn"] = weights[0][0]
    return full
