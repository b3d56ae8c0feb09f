"""Load balancers, listeners, rules and targets as the data plane is to have them."""

from __future__ import annotations

import hashlib
import re

from kaiun.engine.balancer.base import (
    Backend,
    FixedResponse,
    Forward,
    Listener,
    Redirect,
    Rule,
    Server,
    ServerState,
    Wiring,
)
from kaiun.engine.store import Doc
from kaiun.engine.world import World

_CONDITIONS = {
    "host-header": "HostHeaderConfig",
    "path-pattern": "PathPatternConfig",
    "http-request-method": "HttpRequestMethodConfig",
    "source-ip": "SourceIpConfig",
}
_HOST = re.compile(r"(\*\.)?[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)*")
NOTHING_HERE = FixedResponse(503, "text/plain", "no target group\n")


def build(world: World) -> Wiring:
    """Return the whole wiring."""
    used = {arn for listener in world.listeners.values() for arn in _groups_of(world, listener)}
    backends = [_backend(world, arn) for arn in sorted(used) if arn in world.target_groups]
    return Wiring(
        listeners=tuple(_listener(world, doc) for doc in world.listeners.values()),
        backends=tuple(backends),
    )


def backend_name(arn: str) -> str:
    """Return a name for HAProxy: that of the target group and a bit of its ARN."""
    name = re.sub(r"[^a-zA-Z0-9-]", "-", arn.split("/")[1])
    return f"{name}-{hashlib.sha256(arn.encode()).hexdigest()[:8]}"


def _groups_of(world: World, listener: Doc) -> list[str]:
    actions = list(listener["DefaultActions"])
    for rule in world.rules.values():
        if rule["_"]["listener"] == listener["ListenerArn"]:
            actions += rule["Actions"]
    return [arn for action in actions for arn, _ in forward_weights(action)]


def forward_weights(action: Doc) -> list[tuple[str, int]]:
    """Return the target groups of a forward action and their weights; [] for other actions."""
    if action["Type"] != "forward":
        return []
    groups = action.get("ForwardConfig", {}).get("TargetGroups", ())
    if groups:
        return [(g["TargetGroupArn"], g.get("Weight", 1)) for g in groups]
    return [(action["TargetGroupArn"], 1)]


def _listener(world: World, doc: Doc) -> Listener:
    own = rules_in_order(world, doc["ListenerArn"])
    balancer = world.load_balancers.get(doc["LoadBalancerArn"])
    attributes = balancer["_"]["attributes"] if balancer else {}
    return Listener(
        name=listener_name(doc),
        port=doc["Port"],
        default=_action(world, doc["DefaultActions"]),
        rules=tuple(
            Rule(
                {k: v for c in r["Conditions"] for k, v in [_condition(c)]},
                _action(world, r["Actions"]),
            )
            for r in own
        ),
        idle_timeout_s=int(attributes.get("idle_timeout.timeout_seconds", 60)),
        certified=_certified(balancer, own) if doc["Protocol"] == "HTTPS" else (),
        logged=attributes.get("access_logs.s3.enabled") == "true",
    )


def listener_name(doc: Doc) -> str:
    """Return a name for HAProxy, made of the listener's ARN."""
    return hashlib.sha256(doc["ListenerArn"].encode()).hexdigest()[:16]


def rules_in_order(world: World, listener: str) -> list[Doc]:
    """Return the rules of a listener by their priority, without the default one."""
    own = [r for r in world.rules.values() if r["_"]["listener"] == listener]
    return sorted((r for r in own if not r["IsDefault"]), key=lambda r: int(r["Priority"]))


def _certified(balancer: Doc | None, rules: list[Doc]) -> tuple[str, ...]:
    """Return the names that a listener is asked by: its balancer's and those of its rules."""
    names = ["localhost", "*.localhost"]
    if balancer is not None:
        names.append(balancer["DNSName"])
    for rule in rules:
        for condition in rule["Conditions"]:
            field, values = _condition(condition)
            names += [v.lower() for v in values if field == "host-header" and _HOST.fullmatch(v)]
    return tuple(dict.fromkeys(names))


def _action(world: World, actions: list[Doc]) -> Forward | FixedResponse | Redirect:
    action = actions[-1]
    if action["Type"] == "fixed-response":
        config = action["FixedResponseConfig"]
        return FixedResponse(
            int(config["StatusCode"]),
            config.get("ContentType", "text/plain"),
            config.get("MessageBody", ""),
        )
    if action["Type"] == "redirect":
        config = action["RedirectConfig"]
        names = ("Protocol", "Host", "Port", "Path", "Query")
        given = {n.lower(): config[n] for n in names if n in config}
        return Redirect(status=int(config["StatusCode"].removeprefix("HTTP_")), **given)
    weights = [(backend_name(a), w) for a, w in forward_weights(action) if a in world.target_groups]
    return Forward(tuple(weights), _sticky_s(action)) if weights else NOTHING_HERE


def _sticky_s(action: Doc) -> int:
    """Return how long a client stays with a forward's target group."""
    config = action.get("ForwardConfig", {}).get("TargetGroupStickinessConfig", {})
    return int(config.get("DurationSeconds", 3600)) if config.get("Enabled") else 0


def _condition(condition: Doc) -> tuple[str, tuple[str, ...]]:
    field = condition["Field"]
    if field == "http-header":
        config = condition["HttpHeaderConfig"]
        return f"http-header:{config['HttpHeaderName']}", tuple(config["Values"])
    if field == "query-string":
        values = condition["QueryStringConfig"]["Values"]
        return f"query-string:{values[0].get('Key', '')}", tuple(v["Value"] for v in values)
    values = condition.get(_CONDITIONS[field], {}).get("Values") or condition.get("Values", ())
    return field, tuple(values)


_STATES = {"healthy": ServerState.READY, "draining": ServerState.DRAIN}


def _backend(world: World, arn: str) -> Backend:
    """Return a target group; where no target is healthy, all that answer badly get requests.

    Source: ELBv2 developer guide: "If a target group contains only unhealthy registered targets,
    the load balancer routes requests to all those targets."
    """
    targets = [t for t in world.targets.values() if t["target_group"] == arn]
    states = [t["health"]["state"] for t in targets]
    open_to_all = "healthy" not in states and "unhealthy" in states
    servers = []
    for doc, state in zip(targets, states, strict=True):
        chosen = _STATES.get(state, ServerState.DOWN)
        if open_to_all and state == "unhealthy":
            chosen = ServerState.READY
        servers.append(Server(doc["address"], doc["port"], chosen))
    return Backend(backend_name(arn), tuple(sorted(servers)), _kept_s(world.target_groups[arn]))


def _kept_s(group: Doc) -> int:
    """Return how long a client stays with a target, by the balancer's own cookie."""
    attributes = group["_"]["attributes"]
    if attributes["stickiness.enabled"] != "true" or attributes["stickiness.type"] != "lb_cookie":
        return 0
    return int(attributes["stickiness.lb_cookie.duration_seconds"])
