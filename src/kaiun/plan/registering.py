"""Plan which task definitions to register: those that no live one is the same as."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kaiun.plan import normalise
from kaiun.plan.diff import changes
from kaiun.plan.merge import Json
from kaiun.plan.normalise_service import task_definition_of
from kaiun.plan.steps import Kind, Ref, RegisterTaskDefinition

if TYPE_CHECKING:
    from kaiun.aws.types import TaskDefinition
    from kaiun.plan.desired import Desired
    from kaiun.plan.live import Live


def register(desired: Desired, live: Live) -> tuple[list[RegisterTaskDefinition], dict[Ref, str]]:
    """Return what to register, and the ARNs of those that need not be."""
    steps: list[RegisterTaskDefinition] = []
    known: dict[Ref, str] = {}
    for name, request in desired.task_definitions.items():
        candidates = _candidates(live, name)
        wanted = normalise.task_definition(request)
        same = _same(candidates, wanted)
        if same is not None:
            known[Ref(Kind.TASK_DEFINITION, name)] = same["taskDefinitionArn"]
        else:
            steps.append(_step(name, request, wanted, candidates))
    return steps, known


def _candidates(live: Live, name: str) -> list[TaskDefinition]:
    """Return the live task definitions: the one that the service runs first, then the newest."""
    service = live.services.get(name)
    running = task_definition_of(service) if service else ""
    found = [
        item
        for item in live.task_definitions.get(name, ())
        if item.get("status", "ACTIVE") == "ACTIVE" or item["taskDefinitionArn"] == running
    ]
    return sorted(
        found,
        key=lambda item: (item["taskDefinitionArn"] == running, item.get("revision", 0)),
        reverse=True,
    )


def _same(candidates: Sequence[TaskDefinition], wanted: Json) -> TaskDefinition | None:
    return next((item for item in candidates if normalise.task_definition(item) == wanted), None)


def _step(
    name: str, request: Json, wanted: Json, candidates: Sequence[TaskDefinition]
) -> RegisterTaskDefinition:
    family = str(request["family"])
    if not candidates:
        return RegisterTaskDefinition(name, family, "", request, ())
    base = candidates[0]
    differences = changes(normalise.task_definition(base), wanted)
    return RegisterTaskDefinition(name, family, base["taskDefinitionArn"], request, differences)
