"""Service deployments and service revisions: made by every rollout, listed, described, stopped."""

from __future__ import annotations

import secrets
import string

from kaiun.engine import traffic
from kaiun.engine.dispatch import Params, operation
from kaiun.engine.identity import name_of
from kaiun.engine.operations.common import cluster_arn, page, shown
from kaiun.engine.operations.service_config import has_health_check, launch_members
from kaiun.engine.operations.strategies import procedure_of
from kaiun.engine.protocol.errors import ApiError, client_error
from kaiun.engine.store import Doc
from kaiun.engine.views import add_event, show_state
from kaiun.engine.world import World
from kaiun.scheduler import breaker, events, transition
from kaiun.scheduler.model import Deployment, Emit, ServiceState

_ALPHABET = string.ascii_letters + string.digits
KEPT = 40  # service deployments of a service; older ones are forgotten


def begin(world: World, service: Doc, state: ServiceState) -> Deployment:
    """Return a new deployment of the service as it is now configured, with its documents."""
    number = "".join(secrets.choice(string.digits[1:]) for _ in range(19))
    deployment_id = f"ecs-svc/{number}"
    revision = _make_revision(world, service, number, traffic.resolve(world, service, state))
    _make_deployment(world, service, deployment_id, revision)
    own = service["_"]
    own["deployments"][deployment_id] = _members(own["last"])
    own["revisions"][deployment_id] = revision
    _forget_old(world, service)
    definition = world.task_definitions[service["taskDefinition"]]
    return Deployment(
        id=deployment_id,
        task_definition=service["taskDefinition"],
        has_load_balancer=bool(service["loadBalancers"]),
        has_health_check=has_health_check(definition),
        procedure=procedure_of(service["deploymentConfiguration"], _alarms_s(world, service)),
    )


def _alarms_s(world: World, service: Doc) -> float:
    """Return how long the alarms of a service look back at most.

    ECS computes the bake time of a rolling deployment "based on the alarm configuration", and
    does not say how; this is the least after which they can have told.
    """
    alarms = service["deploymentConfiguration"].get("alarms", {})
    names = alarms["alarmNames"] if alarms.get("enable") else []
    found = [alarm for name in names if (alarm := world.metric_alarms.get(name))]
    return max((float(a.get("Period", 60) * a["EvaluationPeriods"]) for a in found), default=0.0)


def _members(last: Params) -> Doc:
    names = ("networkConfiguration", "serviceConnectConfiguration", "volumeConfigurations")
    return {**launch_members(last), **{n: last[n] for n in names if n in last}}


def _make_revision(world: World, service: Doc, number: str, resolved: list[Doc]) -> str:
    path = service["serviceArn"].partition(":service/")[2]
    arn = world.arn(f"service-revision/{path}/{number}")
    definition = world.task_definitions[service["taskDefinition"]]
    world.revisions[arn] = {
        "serviceRevisionArn": arn,
        "serviceArn": service["serviceArn"],
        "clusterArn": service["clusterArn"],
        "taskDefinition": service["taskDefinition"],
        "loadBalancers": service["loadBalancers"],
        "serviceRegistries": service["serviceRegistries"],
        "containerImages": [
            {"containerName": c["name"], "image": c["image"]}
            for c in definition["containerDefinitions"]
        ],
        "guardDutyEnabled": False,
        "createdAt": world.now(),
        **({"resolvedConfiguration": {"loadBalancers": resolved}} if resolved else {}),
        **_members(service["_"]["last"]),
    }
    return arn


def _make_deployment(world: World, service: Doc, deployment_id: str, revision: str) -> None:
    path = service["serviceArn"].partition(":service/")[2]
    suffix = "".join(secrets.choice(_ALPHABET) for _ in range(21))
    arn = world.arn(f"service-deployment/{path}/{suffix}")
    now = world.now()
    world.deployments[arn] = {
        "serviceDeploymentArn": arn,
        "serviceArn": service["serviceArn"],
        "clusterArn": service["clusterArn"],
        "createdAt": now,
        "startedAt": now,
        "updatedAt": now,
        "sourceServiceRevisions": [
            {**r} for r in service["currentServiceRevisions"] if r["runningTaskCount"]
        ],
        "targetServiceRevision": {
            "arn": revision,
            "requestedTaskCount": service["desiredCount"],
            "runningTaskCount": 0,
            "pendingTaskCount": 0,
        },
        "status": "IN_PROGRESS",
        "deploymentConfiguration": service["deploymentConfiguration"],
        "_": {"deployment": deployment_id},
    }
    service["currentServiceDeployment"] = arn
    service["_"]["open"].append(arn)


def _forget_old(world: World, service: Doc) -> None:
    own = [d for d in world.deployments.values() if d["serviceArn"] == service["serviceArn"]]
    if len(own) <= KEPT:
        return
    state_ids = {d["id"] for d in service["deployments"]}
    for doc in sorted(own, key=lambda d: d["createdAt"])[:-KEPT]:
        deployment_id = doc["_"]["deployment"]
        if "finishedAt" in doc and deployment_id not in state_ids:
            del world.deployments[doc["serviceDeploymentArn"]]


@operation("ecs", "ListServiceDeployments")
def list_service_deployments(world: World, params: Params) -> Params:
    cluster = cluster_arn(world, params.get("cluster"))
    arn = world.arn(f"service/{cluster.rpartition('/')[2]}/{name_of(params['service'])}")
    if arn not in world.services:
        raise ApiError("ServiceNotFoundException", "Service not found.")
    wanted, created = params.get("status"), params.get("createdAt", {})
    found = [
        d
        for d in world.deployments.values()
        if d["serviceArn"] == arn
        and (not wanted or d["status"] in wanted)
        and created.get("after", 0) <= d["createdAt"] <= created.get("before", float("inf"))
    ]
    found.sort(key=lambda d: d["createdAt"], reverse=True)
    part, following = page([_brief(d) for d in found], params, limit=100)
    return {"serviceDeployments": part, **({"nextToken": following} if following else {})}


def _brief(deployment: Doc) -> Doc:
    names = ("serviceDeploymentArn", "serviceArn", "clusterArn", "startedAt", "createdAt",
             "finishedAt", "status", "statusReason")  # fmt: skip
    brief = {n: deployment[n] for n in names if n in deployment}
    return brief | {"targetServiceRevisionArn": deployment["targetServiceRevision"]["arn"]}


@operation("ecs", "DescribeServiceDeployments")
def describe_service_deployments(world: World, params: Params) -> Params:
    arns = params["serviceDeploymentArns"]
    found = [shown(world.deployments[a]) for a in arns if a in world.deployments]
    failures = [{"arn": a, "reason": "MISSING"} for a in arns if a not in world.deployments]
    return {"serviceDeployments": found, "failures": failures}


@operation("ecs", "DescribeServiceRevisions")
def describe_service_revisions(world: World, params: Params) -> Params:
    arns = params["serviceRevisionArns"]
    found = [shown(world.revisions[a]) for a in arns if a in world.revisions]
    failures = [{"arn": a, "reason": "MISSING"} for a in arns if a not in world.revisions]
    return {"serviceRevisions": found, "failures": failures}


def find_deployment(world: World, arn: str) -> Doc:
    """Return a service deployment. Raises ServiceDeploymentNotFoundException."""
    if (doc := world.deployments.get(arn)) is None:
        raise ApiError("ServiceDeploymentNotFoundException", "Service deployment not found.")
    return doc


@operation("ecs", "StopServiceDeployment")
def stop_service_deployment(world: World, params: Params) -> Params:
    arn = params["serviceDeploymentArn"]
    doc = find_deployment(world, arn)
    state = world.state(doc["serviceArn"])
    if doc["status"] != "IN_PROGRESS" or state.primary.id != doc["_"]["deployment"]:
        raise ApiError(
            "ConflictException", f"Service deployment is {doc['status']} and cannot be stopped."
        )
    roll_back = params.get("stopType", "ROLLBACK") == "ROLLBACK"
    if roll_back and state.last_completed is None:
        raise client_error("There is no completed service deployment to roll back to.")
    fail(world, doc["serviceArn"], events.USER, roll_back=roll_back)
    return {"serviceDeploymentArn": arn}


def fail(world: World, service_arn: str, cause: events.Cause, *, roll_back: bool) -> None:
    """End the rollout of a service's PRIMARY as failed, and have the scheduler see to the rest."""
    state = world.state(service_arn)
    actions = breaker.fail(state, cause, roll_back=roll_back)
    for action in actions:
        if isinstance(action, Emit):
            add_event(world, world.services[service_arn], action.text)
    world.put_state(service_arn, transition.apply(state, actions, world.now()))
    show_state(world, service_arn)
    world.wake_service(service_arn)
