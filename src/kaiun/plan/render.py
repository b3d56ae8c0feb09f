"""A plan as text for people and as JSON for programs; secrets are masked in both."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import cast

from kaiun.assets.manifest import sentence
from kaiun.plan.diff import MASK, masked, masked_request
from kaiun.plan.merge import Json
from kaiun.plan.steps import (
    Change,
    CreateBucket,
    CreateCluster,
    CreateListener,
    CreateLoadBalancer,
    CreateLogGroup,
    CreateService,
    CreateTargetGroup,
    Plan,
    PublishAssets,
    Ref,
    RegisterTaskDefinition,
    RunTask,
    Step,
    UpdateService,
    UpdateTargetGroup,
)

TITLES: Mapping[type, str] = {
    CreateBucket: "create bucket",
    CreateCluster: "create cluster",
    CreateListener: "create listener",
    CreateLoadBalancer: "create load balancer",
    CreateLogGroup: "create log group",
    CreateService: "create service",
    CreateTargetGroup: "create target group",
    PublishAssets: "publish assets to",
    RegisterTaskDefinition: "register task definition",
    RunTask: "run task",
    UpdateService: "update service",
    UpdateTargetGroup: "update target group",
}
SHORT = 5
DIGEST = re.compile(r"sha256:([0-9a-f]{12})[0-9a-f]{52}")
TASK_DEFINITION_ARN = re.compile(r"arn:aws[\w-]*:ecs:[^\s:]*:\d*:task-definition/")


def lines(plan: Plan) -> list[str]:
    """Return the plan as lines: a heading for each wave, `+` new, `~` changed, `>` run.

    The differences of a step follow it, indented: `path: old → new`.
    """
    text: list[str] = []
    for wave in plan.waves:
        text.append(f"{wave.name}:")
        for step in wave.steps:
            text.append(f"  {mark(step)} {title(step)}")
            text.extend(f"      {line}" for line in details(step))
    text.extend(f"note: {note}" for note in plan.notes)
    text.extend(f"note: {name} is still being deployed" for name in plan.in_progress)
    hidden = [scrubbed(line, plan.hide) for line in text]
    return hidden or ["nothing to do: what is live is what kaiun.yml wants"]


def mark(step: Step) -> str:
    """Return `+` for what is new, `~` for what changes, `>` for what is run."""
    if isinstance(step, RunTask):
        return ">"
    return "~" if getattr(step, "changes", ()) else "+"


def title(step: Step) -> str:
    """Return the step in one line: "update service shop-local-web"."""
    name = step.name
    if isinstance(step, CreateService | UpdateService):
        name = step.service
    elif isinstance(step, RegisterTaskDefinition):
        name = step.family
    return f"{TITLES[type(step)]} {name}"


def details(step: Step) -> list[str]:
    """Return the differences of a step, or the facts of something new, a line each."""
    found = getattr(step, "changes", ())
    if found:
        return [change_line(change) for change in found]
    return [f"{key}: {shown(value)}" for key, value in _facts(step)]


def change_line(change: Change) -> str:
    """Return "path: old → new", masked; "path: + new" and "path: - old" where one is missing."""
    change = masked(change)
    if change.old is None:
        return f"{change.path}: + {shown(change.new)}"
    if change.new is None:
        return f"{change.path}: - {shown(change.old)}"
    same = change.old == change.new
    return f"{change.path}: {shown(change.old)} → {shown(change.new)}" + " (changed)" * same


def shown(value: object) -> str:
    """Return a value in short: digests to 12 digits, task definitions as family:revision."""
    plain = _plain(value)
    text = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
    return TASK_DEFINITION_ARN.sub("", DIGEST.sub(r"sha256:\1", text))


def _facts(step: Step) -> Iterator[tuple[str, object]]:
    request = step.request
    match step:
        case RegisterTaskDefinition():
            for container in cast("list[Json]", request.get("containerDefinitions", [])):
                yield from _container_facts(container)
        case CreateService():
            yield "desiredCount", request.get("desiredCount")
            yield "taskDefinition", request.get("taskDefinition")
        case RunTask():
            yield "timeout", f"{step.timeout_s} s"
            if step.needs:
                yield "needs", ", ".join(step.needs)
        case PublishAssets():
            yield "assets", _assets(step)
        case CreateTargetGroup():
            yield "port", request.get("Port")
            yield "health", request.get("HealthCheckPath", "/")
        case _:
            return


def _assets(step: PublishAssets) -> str:
    if step.published is None:
        return "as the build compiles them"
    total = len(step.published.manifest.files)
    return f"{total} files" if step.new is None else sentence(step.new, total, step.size or 0)


def _container_facts(container: Json) -> Iterator[tuple[str, object]]:
    name = container["name"]
    yield f"containers.{name}.image", container.get("image")
    if command := cast("list[str]", container.get("command", [])):
        yield f"containers.{name}.command", command


def to_json(plan: Plan) -> Json:
    """Return the plan as plain data for `kaiun plan --json`."""
    told: Json = {
        "empty": plan.empty,
        "waves": [
            {"name": str(wave.name), "steps": [step_json(step) for step in wave.steps]}
            for wave in plan.waves
        ],
        "notes": list(plan.notes),
        "in_progress": list(plan.in_progress),
    }
    return {key: _scrub(value, plan.hide) for key, value in told.items()}


def scrubbed(text: str, hide: frozenset[str]) -> str:
    """Return the text without the values to hide; very short ones only where they stand alone."""
    if text in hide:
        return MASK
    for value in sorted(hide, key=len, reverse=True):
        if len(value) >= SHORT:
            text = text.replace(value, MASK)
    return text


def _scrub(value: object, hide: frozenset[str]) -> object:
    if isinstance(value, str):
        return scrubbed(value, hide)
    if isinstance(value, Mapping):
        return {key: _scrub(item, hide) for key, item in value.items()}
    if isinstance(value, list):
        return [_scrub(item, hide) for item in value]
    return value


def step_json(step: Step) -> Json:
    """Return one step as plain data: action, name, changes, request."""
    found = [masked(change) for change in getattr(step, "changes", ())]
    return {
        "action": TITLES[type(step)].replace(" ", "-"),
        "name": step.name,
        "changes": [
            {"path": item.path, "old": _plain(item.old), "new": _plain(item.new)} for item in found
        ],
        "request": _plain(masked_request(step.request)),
    }


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Ref) or not isinstance(value, str | int | float | bool | None):
        return str(value)
    return value
