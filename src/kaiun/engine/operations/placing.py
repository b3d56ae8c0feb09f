"""Put tasks on container instances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kaiun.engine.operations.machine import instance_of
from kaiun.engine.operations.making import ZONE, Order, make
from kaiun.engine.protocol.errors import invalid_parameter
from kaiun.engine.store import Doc
from kaiun.engine.world import World
from kaiun.scheduler.placement import Constraint, Instance, Needs, Strategy, place

MAX_CONSTRAINTS = 10
MAX_STRATEGIES = 5


def host_ports_in_use(world: World) -> set[int]:
    """Return the static host ports of all tasks that have not stopped."""
    live = (t for t in world.tasks.values() if t["lastStatus"] != "STOPPED")
    return {port for task in live for port in task["_"]["host_ports"]}


def needs_of(definition: Doc, overrides: Doc) -> Needs:
    """Return what a task reserves: its own size, else the sum of its containers'."""
    own = {o.get("name"): o for o in overrides.get("containerOverrides", ())}
    merged = [{**c, **own.get(c["name"], {})} for c in definition["containerDefinitions"]]
    cpu = overrides.get("cpu") or definition.get("cpu") or sum(c["cpu"] for c in merged)
    memory = overrides.get("memory") or definition.get("memory")
    if memory is None:
        memory = sum(c.get("memoryReservation") or c.get("memory") or 0 for c in merged)
    return Needs(int(cpu), int(memory), host_ports(definition))


def host_ports(definition: Doc) -> frozenset[int]:
    """Return the static host ports of a task definition."""
    if definition.get("networkMode", "bridge") in ("awsvpc", "none"):
        return frozenset()
    mappings = (m for c in definition["containerDefinitions"] for m in c["portMappings"])
    return frozenset(m["hostPort"] for m in mappings if m.get("hostPort"))


def launch(world: World, order: Order, count: int) -> tuple[list[Doc], list[Doc]]:
    """Make up to `count` tasks; return them, and a failure for each that has no place."""
    instance = instance_of(world, order.cluster)
    needs = needs_of(order.definition, order.overrides)
    if order.launch_type == "FARGATE":
        return [make(world, order, needs, None) for _ in range(count)], []
    made, failures = [], []
    for _ in range(count):
        seen = _seen(world, instance, order)
        chosen = place(
            1,
            needs,
            [seen],
            **_rules(order.strategies, order.constraints),
        )
        if chosen[0] is None:
            failures.append({"arn": instance["containerInstanceArn"], "reason": _why(seen, needs)})
        else:
            made.append(make(world, order, needs, instance))
    return made, failures


def check_placement(params: Doc) -> None:
    """Raise InvalidParameterException for constraints or strategies that cannot be."""
    constraints = params.get("placementConstraints", ())
    strategies = params.get("placementStrategy", ())
    if len(constraints) > MAX_CONSTRAINTS or len(strategies) > MAX_STRATEGIES:
        raise invalid_parameter("At most 10 placement constraints and 5 strategies may be given.")
    if any("type" not in rule for rule in (*constraints, *strategies)):
        raise invalid_parameter("Placement constraints and strategies must have a type.")
    try:
        place(1, Needs(), [Instance("none", 0, 0)], **_rules(strategies, constraints))
    except ValueError as problem:
        raise invalid_parameter(f"Invalid placement: {problem}") from None


def _rules(strategies: Sequence[Doc], constraints: Sequence[Doc]) -> dict[str, Any]:
    return {
        "strategies": [Strategy(s["type"], s.get("field", "")) for s in strategies],
        "constraints": [Constraint(c["type"], c.get("expression", "")) for c in constraints],
    }


def _seen(world: World, instance: Doc, order: Order) -> Instance:
    own = instance["_"]
    ports = host_ports_in_use(world) if host_ports(order.definition) else set()
    same_group = 0
    if order.constraints:
        live = [t for t in world.tasks.values() if t["lastStatus"] != "STOPPED"]
        same_group = sum(t["group"] == order.group for t in live)
    used = own.setdefault("used", [0, 0])
    return Instance(
        id=instance["containerInstanceArn"],
        cpu=own["cpu"] - used[0],
        memory_mib=own["memory"] - used[1],
        zone=world.identity.region + ZONE,
        used_ports=frozenset(ports),
        attributes={a["name"]: a.get("value", "") for a in instance["attributes"]},
        tasks=same_group,
        draining=instance["status"] == "DRAINING",
    )


def _why(instance: Instance, needs: Needs) -> str:
    if instance.draining:
        return "AGENT"
    if needs.host_ports & instance.used_ports:
        return "RESOURCE:PORTS"
    if needs.cpu > instance.cpu:
        return "RESOURCE:CPU"
    if needs.memory_mib > instance.memory_mib:
        return "RESOURCE:MEMORY"
    return "ATTRIBUTE"
