"""ECS task definitions: families, revisions, and the defaults that ECS fills in."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from kaiun.engine.dispatch import Params, operation
from kaiun.engine.operations import task_size, taskdef_checks
from kaiun.engine.operations.common import check_tags, paged, shown
from kaiun.engine.operations.placing import check_placement
from kaiun.engine.protocol.errors import client_error, invalid_parameter
from kaiun.engine.store import Doc
from kaiun.engine.world import World

_COPIED = (
    "taskRoleArn", "executionRoleArn", "networkMode", "volumes", "placementConstraints",
    "requiresCompatibilities", "pidMode", "ipcMode", "proxyConfiguration", "inferenceAccelerators",
    "ephemeralStorage", "runtimePlatform", "enableFaultInjection", "trustedExecutionConfiguration",
)  # fmt: skip


@operation("ecs", "RegisterTaskDefinition")
def register_task_definition(world: World, params: Params) -> Params:
    tags = check_tags(params.get("tags", []))
    request = copy.deepcopy(params)
    if "cpu" in request:
        request["cpu"] = task_size.cpu_units(request["cpu"])
    if "memory" in request:
        request["memory"] = task_size.memory_mib(request["memory"])
    taskdef_checks.check(request)
    check_placement(request)
    definition = _definition(world, request)
    definition["_"] = {"tags": tags}
    world.task_definitions[definition["taskDefinitionArn"]] = definition
    return {"taskDefinition": shown(definition), "tags": tags}


def _definition(world: World, request: Doc) -> Doc:
    family = request["family"]
    revision = (world.families.get(family) or {"latest": 0})["latest"] + 1
    world.families[family] = {"family": family, "latest": revision}
    mode = request.get("networkMode", "bridge")
    definition: Doc = {
        "taskDefinitionArn": world.arn(f"task-definition/{family}:{revision}"),
        "containerDefinitions": [with_defaults(c, mode) for c in request["containerDefinitions"]],
        "family": family,
        "revision": revision,
        "status": "ACTIVE",
        "volumes": [],
        "placementConstraints": [],
        "requiresAttributes": _attributes(request),
        "compatibilities": _compatibilities(request),
        "registeredAt": world.now(),
        "registeredBy": world.identity.root,
    }
    definition |= {name: request[name] for name in _COPIED if name in request}
    definition |= {name: request[name] for name in ("cpu", "memory") if name in request}
    for volume in definition["volumes"]:
        if not volume.keys() - {"name"}:
            volume["host"] = {}
        if efs := volume.get("efsVolumeConfiguration"):
            efs.setdefault("rootDirectory", "/")
    return definition


def with_defaults(container: Doc, network_mode: str) -> Doc:
    """Return a container definition as ECS gives it back."""
    full: Doc = {
        "cpu": 0,
        "portMappings": [],
        "essential": True,
        "environment": [],
        "mountPoints": [],
        "volumesFrom": [],
        "systemControls": [],
        **container,
    }
    full["portMappings"] = [_mapping(m, network_mode) for m in full["portMappings"]]
    if "healthCheck" in full:
        full["healthCheck"] = {"interval": 30, "timeout": 5, "retries": 3, **full["healthCheck"]}
    if "logConfiguration" in full:
        full["logConfiguration"] = {"options": {}, "secretOptions": [], **full["logConfiguration"]}
    return full


def _mapping(mapping: Doc, network_mode: str) -> Doc:
    if "containerPortRange" in mapping:
        return {"protocol": "tcp", **mapping}
    same = network_mode in ("awsvpc", "host")
    host = mapping["containerPort"] if same else 0
    full = {"hostPort": host, "protocol": "tcp", **mapping}
    if same and not full["hostPort"]:
        full["hostPort"] = host
    return full


def _attributes(request: Doc) -> list[Doc]:
    names = {"com.amazonaws.ecs.capability.docker-remote-api.1.18"}
    for container in request["containerDefinitions"]:
        if driver := container.get("logConfiguration", {}).get("logDriver"):
            names.add(f"com.amazonaws.ecs.capability.logging-driver.{driver}")
        if "healthCheck" in container:
            names.add("ecs.capability.container-health-check")
        if container.get("dependsOn"):
            names.add("ecs.capability.container-ordering")
    if "taskRoleArn" in request:
        names.add("com.amazonaws.ecs.capability.task-iam-role")
    if request.get("networkMode") == "awsvpc":
        names.add("ecs.capability.task-eni")
    return [{"name": name} for name in sorted(names)]


def _compatibilities(request: Doc) -> list[str]:
    if request.get("networkMode", "bridge") != "awsvpc":
        return ["EXTERNAL", "EC2"]
    fits = task_size.FARGATE_MEMORY.get(int(request.get("cpu", 0)), frozenset())
    return ["EC2", "FARGATE"] if int(request.get("memory", 0)) in fits else ["EC2"]


def find(world: World, reference: str) -> Doc:
    """Return a task definition by family, family:revision or ARN.

    A family alone means its latest ACTIVE revision. Raises ClientException.
    """
    name = reference.rpartition("task-definition/")[2]
    family, _, revision = name.partition(":")
    if not revision:
        number = latest_active(world, family)
        revision = str(number or "")
    arn = world.arn(f"task-definition/{family}:{revision}")
    found = world.task_definitions.get(arn)
    if found is None or (
        reference.startswith("arn:") and reference not in (arn, arn.rpartition(":")[0])
    ):
        raise client_error("Unable to describe task definition.")
    return found


def find_active(world: World, reference: str) -> Doc:
    """Return a task definition that may be run. Raises ClientException."""
    try:
        found = find(world, reference)
    except Exception as problem:
        raise client_error("TaskDefinition not found.") from problem
    if found["status"] != "ACTIVE":
        raise client_error("TaskDefinition is inactive")
    return found


def latest_active(world: World, family: str) -> int | None:
    """Return the newest ACTIVE revision of a family."""
    latest = (world.families.get(family) or {"latest": 0})["latest"]
    for revision in range(latest, 0, -1):
        found = world.task_definitions.get(world.arn(f"task-definition/{family}:{revision}"))
        if found is not None and found["status"] == "ACTIVE":
            return revision
    return None


@operation("ecs", "DescribeTaskDefinition")
def describe_task_definition(world: World, params: Params) -> Params:
    found = find(world, params["taskDefinition"])
    answer: Doc = {"taskDefinition": shown(found)}
    if "TAGS" in params.get("include", ()):
        answer["tags"] = found["_"]["tags"]
    return answer


@operation("ecs", "DeregisterTaskDefinition")
def deregister_task_definition(world: World, params: Params) -> Params:
    _, colon, revision = params["taskDefinition"].rpartition("/")[2].partition(":")
    if not colon:
        raise client_error("Revision is missing.")
    if not revision.isdecimal():
        raise client_error(f"Invalid revision number. Number: {revision}")
    found = find(world, params["taskDefinition"])
    if found["status"] == "ACTIVE":
        found["status"] = "INACTIVE"
        found["deregisteredAt"] = world.now()
        world.task_definitions.touch(found["taskDefinitionArn"])
    return {"taskDefinition": shown(found)}


@operation("ecs", "DeleteTaskDefinitions")
def delete_task_definitions(world: World, params: Params) -> Params:
    deleted, failures = [], []
    if len(params["taskDefinitions"]) > 10:
        raise invalid_parameter("You can specify up to 10 task definitions.")
    for reference in params["taskDefinitions"]:
        try:
            found = find(world, reference)
        except Exception:  # noqa: BLE001  (reported as a failure)
            failures.append({"arn": reference, "reason": _why_unknown(reference)})
            continue
        if found["status"] == "ACTIVE":
            failures.append(
                {
                    "arn": found["taskDefinitionArn"],
                    "reason": "The specified task definition is still in ACTIVE status. "
                    "Please deregister the target and try again.",
                }
            )
            continue
        found["status"] = "DELETE_IN_PROGRESS"
        found["deleteRequestedAt"] = world.now()
        world.task_definitions.touch(found["taskDefinitionArn"])  # tasks may still need it
        deleted.append(shown(found))
    return {"taskDefinitions": deleted, "failures": failures}


def _why_unknown(reference: str) -> str:
    if ":" not in reference.rpartition("/")[2]:
        return (
            "The specified task definition identifier is invalid. Specify a valid name or ARN and "
            "try again."
        )
    return (
        "The specified task definition does not exist. Specify a valid account, family, revision "
        "and try again."
    )


@operation("ecs", "ListTaskDefinitions")
def list_task_definitions(world: World, params: Params) -> Params:
    status, prefix = params.get("status", "ACTIVE"), params.get("familyPrefix")
    found = [
        d
        for d in world.task_definitions.values()
        if d["status"] == status and prefix in (None, d["family"])
    ]
    found.sort(key=_by_revision, reverse=params.get("sort") == "DESC")
    return paged("taskDefinitionArns", [d["taskDefinitionArn"] for d in found], params)


def _by_revision(definition: Doc) -> tuple[str, int]:
    return definition["family"], definition["revision"]


@operation("ecs", "ListTaskDefinitionFamilies")
def list_task_definition_families(world: World, params: Params) -> Params:
    status, prefix = params.get("status", "ALL"), params.get("familyPrefix", "")
    families = sorted(f for f in _families(world, status) if f.startswith(prefix))
    return paged("families", families, params)


def _families(world: World, status: str) -> Iterable[str]:
    active = {d["family"] for d in world.task_definitions.values() if d["status"] == "ACTIVE"}
    known = {d["family"] for d in world.task_definitions.values()}
    chosen: set[str] = {"ACTIVE": active, "INACTIVE": known - active}.get(status, known)
    return chosen
