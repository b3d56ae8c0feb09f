"""Put tasks on container instances, or on Fargate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from kaiun.engine.operations.common import new_id
from kaiun.engine.operations.machine import instances_of, zone_of
from kaiun.engine.operations.making import Order, make
from kaiun.engine.operations.providers import is_fargate
from kaiun.engine.protocol.errors import invalid_parameter
from kaiun.engine.store import Doc
from kaiun.engine.world import World
from kaiun.scheduler.capacity import Share, distribute
from kaiun.scheduler.placement import (
    DEFAULT_STRATEGIES,
    TASK_GROUP,
    Constraint,
    Instance,
    Needs,
    Strategy,
    place,
)

MAX_CONSTRAINTS = 10
MAX_STRATEGIES = 5
_BY_CHANCE = (Strategy("random"),)  # where RunTask names no strategy
_ALONE = Constraint("distinctInstance")


def host_ports_in_use(world: World, instance: Doc) -> set[int]:
    """Return the static host ports that are taken on an instance.

    All containers are this machine's, so its ports are those of every instance; imagined
    containers take none, so each instance has its own.
    """
    arn = instance["containerInstanceArn"] if world.null_runtime else None
    return {
        port
        for task in world.tasks.values()
        if task["_"]["host_ports"]
        and task["lastStatus"] != "STOPPED"
        and arn in (None, task.get("containerInstanceArn"))
        for port in task["_"]["host_ports"]
    }


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
    """Make up to `count` tasks; return them, and failures where some have no place."""
    made: list[Doc] = []
    failures: list[Doc] = []
    for one, number in _shared_out(world, order, count):
        tasks, failed = _launch(world, one, number)
        made, failures = [*made, *tasks], [*failures, *failed]
    return made, failures


def _shared_out(world: World, order: Order, count: int) -> list[tuple[Order, int]]:
    """Return the order and the count of each capacity provider that the tasks go to."""
    if not order.providers:
        return [(order, count)]
    running = Counter(t.get("capacityProviderName", "") for t in _alike(world, order))
    chosen = Counter(distribute(shares_of(order.providers), running, count))
    return [
        (
            replace(
                order,
                capacity_provider=name,
                launch_type="FARGATE" if is_fargate(name) else "EC2",
            ),
            number,
        )
        for name, number in chosen.items()
    ]


def shares_of(strategy: Sequence[Doc]) -> list[Share]:
    """Return a capacityProviderStrategy as the scheduler reads it."""
    return [Share(s["capacityProvider"], s.get("weight", 0), s.get("base", 0)) for s in strategy]


def _launch(world: World, order: Order, count: int) -> tuple[list[Doc], list[Doc]]:
    needs = replace(needs_of(order.definition, order.overrides), group=order.group)
    if order.launch_type == "FARGATE":
        return [make(world, order, needs, None) for _ in range(count)], []
    instances = {i["containerInstanceArn"]: i for i in instances_of(world, order.cluster)}
    if order.instance is not None:
        instances = {arn: i for arn, i in instances.items() if arn == order.instance}
    seen = _seen(world, list(instances.values()), order)
    chosen = place(
        count,
        needs,
        seen,
        strategies=_strategies(order),
        constraints=_constraints(order),
        seed=new_id(),
    )
    made = [make(world, order, needs, instances[arn]) for arn in chosen if arn is not None]
    missing = count - len(made)
    return made, _failures(world, order, needs, missing) if missing else []


def _failures(world: World, order: Order, needs: Needs, count: int) -> list[Doc]:
    """Return a failure for each task without a place, naming the instances in turn."""
    instances = instances_of(world, order.cluster)
    if order.instance is not None:
        instances = [i for i in instances if i["containerInstanceArn"] == order.instance]
    if not instances:
        return [{"arn": order.cluster, "reason": "EMPTY CAPACITY"}]
    reasons = [
        {"arn": instance.id, "reason": _why(instance, needs)}
        for instance in _seen(world, instances, order)
    ]
    return [reasons[number % len(reasons)] for number in range(count)]


def check_placement(params: Doc) -> None:
    """Raise InvalidParameterException for constraints or strategies that cannot be."""
    constraints = params.get("placementConstraints", ())
    strategies = params.get("placementStrategy", ())
    if len(constraints) > MAX_CONSTRAINTS or len(strategies) > MAX_STRATEGIES:
        raise invalid_parameter("At most 10 placement constraints and 5 strategies may be given.")
    if any("type" not in rule for rule in (*constraints, *strategies)):
        raise invalid_parameter("Placement constraints and strategies must have a type.")
    anywhere = [Instance("none", 0, 0)]
    try:
        place(1, Needs(), anywhere, strategies=_as_strategies(strategies))
        place(1, Needs(), anywhere, constraints=_as_constraints(constraints))
    except ValueError as problem:
        raise invalid_parameter(f"Invalid placement: {problem}") from None


def _as_strategies(strategies: Sequence[Doc]) -> list[Strategy]:
    return [Strategy(s["type"], s.get("field", "")) for s in strategies]


def _as_constraints(constraints: Sequence[Doc]) -> list[Constraint]:
    return [Constraint(c["type"], c.get("expression", "")) for c in constraints]


def _strategies(order: Order) -> Sequence[Strategy]:
    if order.strategies:
        return _as_strategies(order.strategies)
    return DEFAULT_STRATEGIES if order.service else _BY_CHANCE


def _constraints(order: Order) -> list[Constraint]:
    """Return the constraints of the service or request and those of the task definition.

    StartTask names the instance and is bound by none.
    """
    if order.instance is not None:
        return []
    given = [*order.constraints, *order.definition["placementConstraints"]]
    return [*_as_constraints(given), *([_ALONE] if order.daemon else ())]


def _alike(world: World, order: Order) -> list[Doc]:
    """Return the tasks that count as company: of the same service, else of the same group."""
    if order.service is None:
        tasks = [t for t in world.tasks.values() if t["group"] == order.group]
        return [t for t in tasks if t["lastStatus"] != "STOPPED"]
    own = [t for t in world.tasks_of(order.service) if t["lastStatus"] != "STOPPED"]
    return [t for t in own if t["desiredStatus"] == "RUNNING"] if order.daemon else own


def _seen(world: World, instances: Sequence[Doc], order: Order) -> list[Instance]:
    """Return the instances as placement sees them."""
    company: Counter[str] = Counter()
    if len(instances) > 1 or _constraints(order):
        company.update(t.get("containerInstanceArn", "") for t in _alike(world, order))
    ports = bool(host_ports(order.definition))
    seen = [_as_instance(world, i, company[i["containerInstanceArn"]], ports) for i in instances]
    if all(TASK_GROUP not in constraint.expression for constraint in _constraints(order)):
        return seen
    return [replace(i, groups=groups_on(world, i.id)) for i in seen]


def groups_on(world: World, instance: str) -> frozenset[str]:
    """Return the groups whose tasks are on a container instance."""
    there = (t for t in world.tasks.values() if t.get("containerInstanceArn") == instance)
    return frozenset(t["group"] for t in there if t["lastStatus"] != "STOPPED")


def _as_instance(world: World, doc: Doc, company: int, ports: bool) -> Instance:
    own = doc["_"]
    used = own.setdefault("used", [0, 0])
    attributes: dict[str, Any] = {a["name"]: a.get("value", "") for a in doc["attributes"]}
    return Instance(
        id=doc["containerInstanceArn"],
        cpu=own["cpu"] - used[0],
        memory_mib=own["memory"] - used[1],
        zone=zone_of(doc),
        used_ports=_ports_taken(world, doc) if ports else frozenset(),
        attributes=attributes,
        tasks=company,
        draining=doc["status"] == "DRAINING",
    )


def _ports_taken(world: World, instance: Doc) -> frozenset[int]:
    reserved = (int(port) for port in instance["_"].get("ports", ()) if port.isdigit())
    return frozenset({*reserved, *host_ports_in_use(world, instance)})


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
