"""DAEMON services: one task on each container instance that fits."""

from __future__ import annotations

from kaiun.engine.operations.machine import instances_of, zone_of
from kaiun.engine.store import Doc
from kaiun.engine.views import show_state
from kaiun.engine.world import World
from kaiun.scheduler import transition
from kaiun.scheduler.placement import Constraint, Instance, fits_constraints


def daemon_size(world: World, service: Doc) -> int:
    """Return how many tasks a DAEMON service is to have: that of instances that take one."""
    given = list(service["placementConstraints"])
    if (definition := world.task_definitions.get(service["taskDefinition"])) is not None:
        given += definition["placementConstraints"]
    constraints = [Constraint(c["type"], c.get("expression", "")) for c in given]
    return sum(
        instance["status"] == "ACTIVE" and fits_constraints(_bare(instance), constraints)
        for instance in instances_of(world, service["clusterArn"])
    )


def _bare(instance: Doc) -> Instance:
    """Return an instance as constraints see it where nothing runs on it."""
    return Instance(
        id=instance["containerInstanceArn"],
        cpu=instance["_"]["cpu"],
        memory_mib=instance["_"]["memory"],
        zone=zone_of(instance),
        attributes={a["name"]: a.get("value", "") for a in instance["attributes"]},
    )


def resize_daemons(world: World, cluster: str) -> None:
    """Have the DAEMON services of a cluster follow its instances."""
    for arn, service in ((s["serviceArn"], s) for s in world.services.values()):
        if (
            service["clusterArn"] != cluster
            or service["schedulingStrategy"] != "DAEMON"
            or service["status"] != "ACTIVE"
        ):
            continue
        size = daemon_size(world, service)
        if size != service["desiredCount"]:
            service["desiredCount"] = size
            world.put_state(arn, transition.scale(world.state(arn), size))
            show_state(world, arn)
            world.wake_service(arn)
