"""Task metadata, versions 3 and 4: what a task and its containers are told of themselves (pure).

Sources: ECS developer guide, "Amazon ECS task metadata endpoint version 4"; the ECS agent's
`tmds/handlers/v4/state/response.go` for members and their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kaiun.engine.store import Doc

if TYPE_CHECKING:
    from kaiun.engine.runtime.docker_insight import Facts, Interface

Json = dict[str, Any]
_VPC = "vpc-local"


@dataclass(frozen=True, slots=True)
class Subject:
    """A task with what is known of its containers; `instance_tags` are its instance's."""

    task: Doc
    definition: Doc
    facts: Mapping[str, Facts]
    instance_tags: list[Doc] = field(default_factory=list)


def container_view(subject: Subject, name: str, version: int) -> Json:
    """Return one container as the endpoint tells of it."""
    task, facts = subject.task, subject.facts.get(name)
    own = next(c for c in subject.definition["containerDefinitions"] if c["name"] == name)
    shown = next(c for c in task["containers"] if c["name"] == name)
    seen: Doc = task["_"]["containers"].get(name, {})
    log = own.get("logConfiguration", {})
    view: Json = {
        "DockerId": facts.docker_id if facts else shown.get("runtimeId", ""),
        "Name": name,
        "DockerName": facts.docker_name if facts else "",
        "Image": own["image"],
        "ImageID": facts.image_id if facts else "",
        "Ports": _ports(shown),
        "Labels": dict(facts.labels) if facts else {},
        "DesiredStatus": task["desiredStatus"],
        "KnownStatus": shown["lastStatus"] if facts else "NONE",
        "ExitCode": shown.get("exitCode"),
        "Limits": _limits(own, subject.definition),
        "CreatedAt": stamp(facts.created_at) if facts else None,
        "StartedAt": stamp(seen.get("started_at")),
        "FinishedAt": stamp(seen.get("finished_at")),
        "Type": "NORMAL",
        "Health": {"status": shown["healthStatus"]} if "healthCheck" in own else None,
        "Volumes": _volumes(facts),
        "LogDriver": log.get("logDriver", "json-file") if version == 4 else None,
        "LogOptions": log.get("options") if version == 4 else None,
        "ContainerARN": shown["containerArn"] if version == 4 else None,
        "Networks": _networks(subject, facts, version),
        "RestartCount": seen.get("restarts", 0) if own.get("restartPolicy") else None,
    }
    return _without_nothing(view)


def task_view(subject: Subject, version: int, *, tags: bool = False) -> Json:
    """Return the task as the endpoint tells of it."""
    task, definition = subject.task, subject.definition
    fargate = task["launchType"] == "FARGATE"
    group = str(task["group"])
    view: Json = {
        "Cluster": task["clusterArn"] if fargate else task["clusterArn"].rpartition("/")[2],
        "TaskARN": task["taskArn"],
        "Family": definition["family"],
        "Revision": str(definition["revision"]),
        "DesiredStatus": task["desiredStatus"],
        "KnownStatus": task["lastStatus"],
        "Limits": _task_limits(definition),
        "PullStartedAt": stamp(task.get("pullStartedAt")),
        "PullStoppedAt": stamp(task.get("pullStoppedAt")),
        "ExecutionStoppedAt": stamp(task.get("executionStoppedAt")),
        "AvailabilityZone": task["availabilityZone"],
        "LaunchType": task["launchType"],
        "Containers": [
            container_view(subject, c["name"], version) for c in definition["containerDefinitions"]
        ],
    }
    if version == 4:
        view |= {
            "VPCID": _VPC,
            "ServiceName": group.partition(":")[2] if group.startswith("service:") else None,
            "Group": group,
            "FaultInjectionEnabled": definition.get("enableFaultInjection", False),
        }
    if tags:
        view["TaskTags"] = _by_key(task["tags"])
        view["ContainerInstanceTags"] = _by_key(subject.instance_tags)
    return _without_nothing(view)


def _without_nothing(view: Json) -> Json:
    return {name: value for name, value in view.items() if value not in (None, [], {}, "")}


def _by_key(tags: list[Doc]) -> dict[str, str]:
    return {tag["key"]: tag.get("value", "") for tag in tags}


def stamp(moment: float | None) -> str | None:
    """Return a time as Go writes it: 2026-01-02T03:04:05.678901Z."""
    if moment is None:
        return None
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def _limits(container: Doc, definition: Doc) -> Json:
    memory = container.get("memory") or int(definition.get("memory") or 0)
    limits: Json = {"CPU": container["cpu"]}
    return limits | ({"Memory": memory} if memory else {})


def _task_limits(definition: Doc) -> Json:
    limits: Json = {}
    if definition.get("cpu"):
        limits["CPU"] = int(definition["cpu"]) / 1024
    if definition.get("memory"):
        limits["Memory"] = int(definition["memory"])
    return limits


def _ports(shown: Doc) -> list[Json]:
    return [
        {
            "ContainerPort": binding["containerPort"],
            "Protocol": binding["protocol"],
            "HostPort": binding["hostPort"],
            "HostIp": binding["bindIP"],
        }
        for binding in shown["networkBindings"]
    ]


def _volumes(facts: Facts | None) -> list[Json]:
    return [
        _without_nothing({"DockerName": name, "Source": source, "Destination": inside})
        for name, source, inside in (facts.volumes if facts else ())
    ]


def _networks(subject: Subject, facts: Facts | None, version: int) -> list[Json]:
    """Return the networks; of their properties version 4 tells in awsvpc mode, as ECS's agent."""
    mode = subject.definition.get("networkMode", "bridge")
    if facts is None or not facts.interfaces:
        return [{"NetworkMode": mode}] if facts else []
    own_address = mode == "awsvpc" and version == 4
    return [
        {"NetworkMode": mode, "IPv4Addresses": [interface.address]}
        | (_properties(index, interface) if own_address else {})
        for index, interface in enumerate(facts.interfaces)
    ]


def _properties(index: int, interface: Interface) -> Json:
    dashed = interface.address.replace(".", "-")
    return {
        "AttachmentIndex": index,
        "MACAddress": interface.mac_address,
        "IPv4SubnetCIDRBlock": interface.subnet,
        "PrivateDNSName": f"ip-{dashed}.ec2.internal",
        "SubnetGatewayIpv4Address": f"{interface.gateway}/{interface.subnet.rpartition('/')[2]}",
    }
