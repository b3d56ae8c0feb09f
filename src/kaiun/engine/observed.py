"""What was observed of a task's containers: as the API shows it, and as the lifecycle sees it.

It stands in a task's document under "_", "containers": name → status, exit_code, health, …
"""

from __future__ import annotations

from kaiun.engine import spec
from kaiun.engine.store import Doc
from kaiun.engine.views import targets_of
from kaiun.engine.world import World
from kaiun.scheduler import view
from kaiun.scheduler.model import Health, StopCode, TaskStatus

RESTART_PERIOD_S = 300
_SHOWN = {"CREATED": "PENDING", "RUNNING": "RUNNING", "EXITED": "STOPPED", "GONE": "STOPPED"}


def show_container(task: Doc, name: str) -> None:
    """Have the API show what was observed of a container."""
    own = task["_"]["containers"][name]
    shown = next(c for c in task["containers"] if c["name"] == name)
    shown["lastStatus"] = _SHOWN.get(own.get("status", ""), "PENDING")
    if own.get("failure"):
        shown["lastStatus"], shown["reason"] = "STOPPED", own["failure"]
    pairs = (
        ("runtimeId", "runtime_id"),
        ("imageDigest", "image_digest"),
        ("exitCode", "exit_code"),
        ("reason", "reason"),
    )
    for face, inner in pairs:
        if own.get(inner) is not None:
            shown[face] = own[inner]
    show_agents(shown, own.get("started_at"))
    shown["healthStatus"] = own.get("health", "UNKNOWN")
    shown["networkBindings"] = [
        {"bindIP": ip, "containerPort": c, "hostPort": h, "protocol": protocol}
        for c, h, ip, protocol in own.get("ports", ())
    ]
    if task["attachments"] and own.get("address"):
        _show_address(task, shown, own["address"])


def show_agents(shown: Doc, started_at: float | None = None) -> None:
    """Have the agent for ExecuteCommand, where a container has it, run as long as it does."""
    since = {"lastStartedAt": started_at} if started_at is not None else {}
    shown["managedAgents"] = [
        {**agent, **since, "lastStatus": shown["lastStatus"]} for agent in shown["managedAgents"]
    ]


def forget_ending(task: Doc, name: str) -> None:
    """Have a container that runs again no longer show how it ended before."""
    shown = next(c for c in task["containers"] if c["name"] == name)
    for face, inner in (("exitCode", "exit_code"), ("reason", "reason"), ("", "finished_at")):
        task["_"]["containers"][name].pop(inner, None)
        shown.pop(face, None)


def lifecycle_view(world: World, task: Doc) -> view.TaskView:
    """Return a task as its lifecycle sees it."""
    own = task["_"]
    code = task.get("stopCode")
    return view.TaskView(
        id=own["id"],
        containers=tuple(
            _container_view(c, own["containers"].get(c["name"], {}))
            for c in world.task_definitions[task["taskDefinitionArn"]]["containerDefinitions"]
        ),
        last_status=TaskStatus(task["lastStatus"]),
        desired_status=TaskStatus(task["desiredStatus"]),
        prepared=own["prepared"],
        failure=own["failure"],
        target_groups=len(own["load_balancers"]),
        targets=targets_of(world, task),
        removed=own["removed"],
        cut_off=own.get("cut_off", False),
        stop_code=StopCode(code) if code else None,
        stopped_reason=task.get("stoppedReason", ""),
    )


def _show_address(task: Doc, shown: Doc, address: str) -> None:
    attachment = task["attachments"][0]
    shown["networkInterfaces"] = [{"attachmentId": attachment["id"], "privateIpv4Address": address}]
    kept = [d for d in attachment["details"] if d["name"] != "privateIPv4Address"]
    attachment["details"] = [*kept, {"name": "privateIPv4Address", "value": address}]


def _dependencies(definition: Doc) -> tuple[view.Dependency, ...]:
    """Return what a container waits for: what it says, and the start of those that it links to."""
    said = [
        view.Dependency(d["containerName"], view.Condition(d["condition"]))
        for d in definition.get("dependsOn", ())
    ]
    linked = [view.Dependency(link.partition(":")[0]) for link in definition.get("links", ())]
    return (*said, *linked)


def _restart_policy(policy: Doc) -> view.RestartPolicy | None:
    if not policy.get("enabled"):
        return None
    return view.RestartPolicy(
        period_s=policy.get("restartAttemptPeriod", RESTART_PERIOD_S),
        ignored_exit_codes=tuple(policy.get("ignoredExitCodes", ())),
    )


def _container_view(definition: Doc, own: Doc) -> view.ContainerView:
    return view.ContainerView(
        name=definition["name"],
        essential=definition["essential"],
        depends_on=_dependencies(definition),
        start_timeout_s=definition.get("startTimeout"),
        stop_timeout_s=spec.stop_timeout_s(definition),
        has_health_check="healthCheck" in definition,
        restart=_restart_policy(definition.get("restartPolicy", {})),
        status=view.ContainerStatus(own.get("status", "ABSENT")),
        exit_code=own.get("exit_code"),
        reason=own.get("reason"),
        failure=own.get("failure"),
        health=Health(own.get("health", "UNKNOWN")),
        started_at=own.get("started_at"),
        finished_at=own.get("finished_at"),
    )
