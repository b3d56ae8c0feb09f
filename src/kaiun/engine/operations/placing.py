"""Put tasks on container instances and make their documents."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kaiun.engine.operations.common import new_id
from kaiun.engine.protocol.errors import invalid_parameter
from kaiun.engine.store import Doc
from kaiun.engine.world import World
from kaiun.scheduler.placement import Constraint, Instance, Needs, Strategy, place

ZONE = "a"
MAX_CONSTRAINTS = 10
MAX_STRATEGIES = 5


@dataclass(frozen=True, slots=True)
class Order:
    """What tasks are to be made of."""

    cluster: str
    definition: Doc
    group: str
    launch_type: str = "EC2"
    started_by: str | None = None
    service: str | None = None  # ARN
    deployment: str | None = None
    overrides: Doc = field(default_factory=dict)
    network: Doc | None = None  # awsvpcConfiguration
    tags: Sequence[Doc] = ()
    execute_command: bool = False
    capacity_provider: str | None = None
    aliases: Sequence[str] = ()
    constraints: Sequence[Doc] = ()
    strategies: Sequence[Doc] = ()
    load_balancers: Sequence[Doc] = ()


def instance_of(world: World, cluster: str) -> Doc:
    """Return the container instance that this machine is in a cluster, registered if missing."""
    for instance in world.instances.values():
        if instance["_"]["cluster"] == cluster:
            return instance
    arn = world.arn(f"container-instance/{cluster.rpartition('/')[2]}/{new_id()}")
    cpu, memory = _capacity(world)
    offered = resources(cpu, memory, ())
    instance = {
        "containerInstanceArn": arn,
        "ec2InstanceId": "i-" + world.identity.engine_id.rjust(17, "0")[:17],
        "version": 1,
        "versionInfo": {"agentVersion": "1.0.0", "agentHash": "", "dockerVersion": ""},
        "registeredResources": offered,
        "remainingResources": offered,
        "status": "ACTIVE",
        "agentConnected": True,
        "runningTasksCount": 0,
        "pendingTasksCount": 0,
        "attributes": [
            {"name": "ecs.availability-zone", "value": world.identity.region + ZONE},
            {"name": "ecs.os-type", "value": "linux"},
            {"name": "ecs.instance-type", "value": "local"},
        ],
        "registeredAt": world.now(),
        "attachments": [],
        "tags": [],
        "_": {"cluster": cluster, "cpu": cpu, "memory": memory},
    }
    world.instances[arn] = instance
    return instance


def _capacity(world: World) -> tuple[int, int]:
    """Return the CPU units and MiB that this machine offers.

    They are no promise but a ceiling: the machine is somebody's laptop, where tasks seldom use what
    they reserve, so it offers far more than it has. KAIUN_INSTANCE_CPU and KAIUN_INSTANCE_MEMORY
    set real ones.
    """
    ample = 1_000_000_000 if world.null_runtime else 1_024_000
    cpu = int(os.environ.get("KAIUN_INSTANCE_CPU", ample))
    return cpu, int(os.environ.get("KAIUN_INSTANCE_MEMORY", ample))


def resources(cpu: int, memory_mib: int, ports: Sequence[int]) -> list[Doc]:
    """Return what an instance has, as DescribeContainerInstances shows it."""
    return [_resource("CPU", cpu), _resource("MEMORY", memory_mib), _ports(ports)]


def host_ports_in_use(world: World) -> set[int]:
    """Return the static host ports of all tasks that have not stopped."""
    live = (t for t in world.tasks.values() if t["lastStatus"] != "STOPPED")
    return {port for task in live for port in task["_"]["host_ports"]}


def _resource(name: str, value: int) -> Doc:
    return {
        "name": name,
        "type": "INTEGER",
        "doubleValue": 0.0,
        "longValue": 0,
        "integerValue": value,
    }


def _ports(ports: Sequence[int]) -> Doc:
    return {
        "name": "PORTS",
        "type": "STRINGSET",
        "doubleValue": 0.0,
        "longValue": 0,
        "integerValue": 0,
        "stringSetValue": [str(p) for p in ports],
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
    """Make up to `count` tasks; return them, and a failure for each that has no place."""
    instance = instance_of(world, order.cluster)
    needs = needs_of(order.definition, order.overrides)
    if order.launch_type == "FARGATE":
        return [_make(world, order, needs, None) for _ in range(count)], []
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
            made.append(_make(world, order, needs, instance))
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


def release(world: World, task: Doc) -> None:
    """Give back what a stopped task had reserved."""
    instance = world.instances.get(task.get("containerInstanceArn", ""))
    if instance is not None:
        used = instance["_"].setdefault("used", [0, 0])
        used[0] = max(0, used[0] - task["_"]["needs"][0])
        used[1] = max(0, used[1] - task["_"]["needs"][1])
        world.instances.touch(instance["containerInstanceArn"])


def _make(world: World, order: Order, needs: Needs, instance: Doc | None) -> Doc:
    task_id = new_id()
    cluster_name = order.cluster.rpartition("/")[2]
    arn = world.arn(f"task/{cluster_name}/{task_id}")
    awsvpc = order.definition.get("networkMode") == "awsvpc"
    eni = f"eni-{new_id()[:17]}"
    attachment = new_id()
    overrides: Doc = {"inferenceAcceleratorOverrides": [], **order.overrides}
    given = {o.get("name"): o for o in order.overrides.get("containerOverrides", ())}
    overrides["containerOverrides"] = [
        given.get(c["name"], {"name": c["name"]}) for c in order.definition["containerDefinitions"]
    ]
    task: Doc = {
        "attachments": [_attachment(attachment, eni, order.network or {})] if awsvpc else [],
        "attributes": [{"name": "ecs.cpu-architecture", "value": "x86_64"}],
        "availabilityZone": world.identity.region + ZONE,
        "clusterArn": order.cluster,
        "connectivity": "CONNECTED",
        "connectivityAt": world.now(),
        "containers": [
            _container(world, c, arn, cluster_name, task_id)
            for c in order.definition["containerDefinitions"]
        ],
        "cpu": str(needs.cpu),
        "createdAt": world.now(),
        "desiredStatus": "RUNNING",
        "enableExecuteCommand": order.execute_command,
        "group": order.group,
        "healthStatus": "UNKNOWN",
        "lastStatus": "PROVISIONING",
        "launchType": order.launch_type,
        "memory": str(needs.memory_mib),
        "overrides": overrides,
        "tags": list(order.tags),
        "taskArn": arn,
        "taskDefinitionArn": order.definition["taskDefinitionArn"],
        "version": 1,
        "_": _own(order, needs, task_id, attachment if awsvpc else None),
    }
    if instance is not None:
        task["containerInstanceArn"] = instance["containerInstanceArn"]
        used = instance["_"].setdefault("used", [0, 0])
        used[0] += needs.cpu
        used[1] += needs.memory_mib
        world.instances.touch(instance["containerInstanceArn"])
    else:
        task |= {"platformVersion": "1.4.0", "platformFamily": "Linux"}
    if order.started_by:
        task["startedBy"] = order.started_by
    if order.capacity_provider:
        task["capacityProviderName"] = order.capacity_provider
    world.add_task(task)
    return task


def _own(order: Order, needs: Needs, task_id: str, attachment: str | None) -> dict[str, Any]:
    return {
        "id": task_id,
        "service": order.service,
        "deployment": order.deployment,
        "needs": [needs.cpu, needs.memory_mib],
        "host_ports": sorted(needs.host_ports),
        "aliases": list(order.aliases),
        "attachment": attachment,
        "prepared": False,
        "failure": None,
        "removed": False,
        "containers": {},  # name → what was observed, and `failure`
        "targets": [],
        "load_balancers": list(order.load_balancers),
        "was_healthy": False,
        "settled": False,
    }


def _container(world: World, container: Doc, task_arn: str, cluster: str, task_id: str) -> Doc:
    doc = {
        "containerArn": world.arn(f"container/{cluster}/{task_id}/{new_id()}"),
        "taskArn": task_arn,
        "name": container["name"],
        "image": container["image"],
        "lastStatus": "PENDING",
        "networkBindings": [],
        "networkInterfaces": [],
        "healthStatus": "UNKNOWN",
        "managedAgents": [],
        "cpu": str(container["cpu"]),
    }
    for name in ("memory", "memoryReservation"):
        if name in container:
            doc[name] = str(container[name])
    return doc


def _attachment(attachment: str, eni: str, network: Doc) -> Doc:
    subnet = (network.get("subnets") or ["subnet-local"])[0]
    return {
        "id": attachment,
        "type": "ElasticNetworkInterface",
        "status": "PRECREATED",
        "details": [
            {"name": "subnetId", "value": subnet},
            {"name": "networkInterfaceId", "value": eni},
        ],
    }
