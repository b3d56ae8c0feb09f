"""Make the scheduler's shares of traffic real: target groups of revisions, weights of rules.

Each load balancer of a service has two target groups, and revisions take them in turn. Source:
AdvancedConfiguration, ResolvedConfiguration.
"""

from __future__ import annotations

import logging

from kaiun.engine.operations.elb_common import relink
from kaiun.engine.store import Doc
from kaiun.engine.world import World
from kaiun.scheduler.model import ServiceState
from kaiun.scheduler.shifting import shares
from kaiun.scheduler.stages import Strategy
from kaiun.scheduler.transition import source_id

log = logging.getLogger(__name__)


def resolve(world: World, service: Doc, state: ServiceState) -> list[Doc]:
    """Return the resolvedConfiguration.loadBalancers of the service's next revision."""
    source = source_id(state)
    revision = world.revisions.get(service["_"]["revisions"].get(source, "")) or {}
    serving = [b["targetGroupArn"] for b in _resolved(revision)]
    rolls = service["deploymentConfiguration"]["strategy"] == Strategy.ROLLING
    return [_resolve(balancer, serving, rolls=rolls) for balancer in service["loadBalancers"]]


def _resolve(balancer: Doc, serving: list[str], *, rolls: bool) -> Doc:
    advanced = balancer.get("advancedConfiguration", {})
    pair = [balancer["targetGroupArn"], advanced.get("alternateTargetGroupArn")]
    used = next((arn for arn in pair if arn in serving), None)
    if used is None:
        chosen = pair[0]
    else:
        chosen = used if rolls or pair[1] is None else pair[1 - pair.index(used)]
    rule = advanced.get("productionListenerRule")
    return {"targetGroupArn": chosen, **({"productionListenerRule": rule} if rule else {})}


def _resolved(revision: Doc) -> list[Doc]:
    found: list[Doc] = revision.get("resolvedConfiguration", {}).get("loadBalancers", [])
    return found


def load_balancers(revision: Doc) -> list[Doc]:
    """Return a revision's load balancers, each with the target group that its tasks register in."""
    given = revision["loadBalancers"]
    resolved = _resolved(revision) or given  # one made before revisions were resolved
    return [
        {**balancer, "targetGroupArn": own["targetGroupArn"]}
        for balancer, own in zip(given, resolved, strict=True)
    ]


def shift(world: World, service: Doc, state: ServiceState) -> None:
    """Set the listener rules of a service to the shares that its scheduler asks for."""
    revision = world.revisions[service["_"]["revisions"][state.primary.id]]
    wanted = shares(state)
    changed = False
    for balancer, own in zip(revision["loadBalancers"], load_balancers(revision), strict=True):
        advanced = balancer.get("advancedConfiguration", {})
        pair = (balancer["targetGroupArn"], advanced.get("alternateTargetGroupArn"))
        if pair[1] is None:
            continue
        other = pair[1] if own["targetGroupArn"] == pair[0] else pair[0]
        for name, share in (
            ("productionListenerRule", wanted.production[state.primary.id]),
            ("testListenerRule", wanted.test[state.primary.id]),
        ):
            if rule := advanced.get(name):
                weights = _weights(own["targetGroupArn"], other, share)
                changed |= _set(world, rule, weights)
    if changed:
        relink(world)


def _weights(arn: str, other: str, share: float) -> list[Doc]:
    """Return weights of whole numbers, at most 999: tenths of a percent where they are needed."""
    scale = 1 if share == int(share) else 10
    own = round(share * scale)
    return [
        {"TargetGroupArn": arn, "Weight": own},
        {"TargetGroupArn": other, "Weight": 100 * scale - own},
    ]


def _set(world: World, arn: str, weights: list[Doc]) -> bool:
    """Have a rule forward by these weights; return whether it did not yet."""
    rule = world.rules.get(arn)
    if rule is None:
        log.warning("listener rule %s does not exist: its traffic cannot be shifted", arn)
        return False
    last = rule["Actions"][-1]
    config = last.get("ForwardConfig", {})
    if sorted(config.get("TargetGroups", ()), key=str) == sorted(weights, key=str):
        return False
    sticky = config.get("TargetGroupStickinessConfig", {"Enabled": False})
    forward = {
        "Type": "forward",
        **({"Order": last["Order"]} if "Order" in last else {}),
        "ForwardConfig": {"TargetGroups": weights, "TargetGroupStickinessConfig": sticky},
    }
    rule["Actions"] = [*rule["Actions"][:-1], forward]
    world.rules.touch(arn)
    if rule["IsDefault"]:
        listener = world.listeners[rule["_"]["listener"]]
        listener["DefaultActions"] = rule["Actions"]
        world.listeners.touch(listener["ListenerArn"])
    return True
