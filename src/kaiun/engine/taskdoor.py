"""What a task may ask without a signature: metadata, its role's credentials, its protection.

Whoever knows a task's id knows no more: each container is told an address of its own, with 20
digits of chance in it. Sources: ECS developer guide, "Task metadata endpoint version 4", "Task IAM
role", "Amazon ECS task scale-in protection endpoint".
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from kaiun.engine import metadata
from kaiun.engine.dispatch import Answer
from kaiun.engine.operations import protection
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.runtime.base import RuntimeFailure
from kaiun.engine.store import Doc
from kaiun.engine.taskrole import TaskRoles
from kaiun.engine.world import World

if TYPE_CHECKING:
    from kaiun.engine.runtime.docker_insight import Facts

_CREDENTIALS: Final = re.compile(r"/v2/credentials/([0-9a-f-]{36})")
_METADATA: Final = re.compile(
    r"/v([34])/([0-9a-f]{32})-([0-9]{20})(|/task|/taskWithTags|/stats|/task/stats)/?"
)
_PROTECTION: Final = re.compile(r"/api/([0-9a-f]{32})-([0-9]{20})/task-protection/v1/state")
_OURS: Final = ("/v2/credentials/", "/v3/", "/v4/")


class Insight(Protocol):
    """What a runtime knows beside its observations."""

    async def facts(self, task_id: str) -> Mapping[str, Facts]:
        """Return facts by container. Raises RuntimeFailure."""

    async def stats(self, task_id: str) -> Mapping[str, dict[str, Any]]:
        """Return Docker's statistics by container. Raises RuntimeFailure."""


def wanted(path: str, headers: Mapping[str, str]) -> bool:
    """Tell whether a request is for these endpoints.

    Not those of S3: they are signed, or ask the host of a bucket; and no bucket is called v2 or v4,
    for three letters are the least.
    """
    if ".localhost" in headers.get("host", "") or "AWS4" in headers.get("authorization", ""):
        return False
    return path.startswith(_OURS) or _PROTECTION.fullmatch(path) is not None


class TaskDoor:
    """Answers; `insight` is None where no container is real."""

    def __init__(self, world: World, roles: TaskRoles) -> None:
        self._world = world
        self._roles = roles
        self.insight: Insight | None = None

    async def answer(self, method: str, path: str, body: bytes) -> Answer:
        """Return what a request gets: what it asks for, or 404 for what is not there."""
        try:
            if found := _CREDENTIALS.fullmatch(path):
                credentials = await self._roles.credentials(found[1])
                if credentials is not None:
                    return _answer(200, credentials)
            elif found := _METADATA.fullmatch(path):
                return await self._metadata(int(found[1]), found[2], found[3], found[4])
            elif found := _PROTECTION.fullmatch(path):
                return self._protection(method, found[1], found[2], body)
        except ApiError as error:
            problem = {"code": error.code, "message": str(error)}
            return _answer(error.status, json.dumps(problem).encode())
        except RuntimeFailure as failure:
            return _answer(500, json.dumps(str(failure)).encode())
        return _missing(path)

    async def _metadata(self, version: int, task_id: str, number: str, what: str) -> Answer:
        known = self._known(task_id, number)
        if known is None or self.insight is None:
            return _missing(f"V{version} {what or 'container'}")
        task, name = known
        if what.endswith("stats"):
            return await self._stats(self.insight, task, None if what == "/task/stats" else name)
        instance = self._world.instances.get(task.get("containerInstanceArn", ""))
        subject = metadata.Subject(
            task,
            self._world.task_definitions[task["taskDefinitionArn"]],
            await self.insight.facts(task_id),
            instance["tags"] if instance else [],
        )
        if what:
            view = metadata.task_view(subject, version, tags=what == "/taskWithTags")
        else:
            view = metadata.container_view(subject, name, version)
        return _answer(200, json.dumps(view).encode())

    async def _stats(self, insight: Insight, task: Doc, name: str | None) -> Answer:
        """Return the statistics of a container, or of all by their Docker ids."""
        found = await insight.stats(task["_"]["id"])
        if name is not None:
            return _answer(200, json.dumps(found.get(name)).encode())
        ids = {c["name"]: c.get("runtimeId", "") for c in task["containers"]}
        return _answer(200, json.dumps({ids[n]: s or None for n, s in found.items()}).encode())

    def _known(self, task_id: str, number: str) -> tuple[Doc, str] | None:
        task = self._world.tasks.get(task_id)
        if task is None or task["lastStatus"] == "STOPPED":
            return None
        doors: Mapping[str, str] = task["_"].get("doors", {})
        return next(
            ((task, name) for name, own in doors.items() if hmac.compare_digest(own, number)), None
        )

    def _protection(self, method: str, task_id: str, number: str, body: bytes) -> Answer:
        known = self._known(task_id, number)
        if known is None:
            return _missing("task protection")
        task, _ = known
        asked = {"cluster": task["clusterArn"], "tasks": [task["taskArn"]]}
        if method == "PUT":
            try:
                found = protection.update_task_protection(self._world, asked | _wish(body))
            except ApiError as error:
                told = {"Arn": task["taskArn"], "Code": error.code, "Message": str(error)}
                return _answer(error.status, json.dumps({"error": told}).encode())
            self._world.store.commit()
        else:
            found = protection.get_task_protection(self._world, asked)
        if found["failures"]:
            failure = {_capital(k): v for k, v in found["failures"][0].items()}
            return _answer(200, json.dumps({"failure": failure}).encode())
        own = {_capital(k): v for k, v in found["protectedTasks"][0].items()}
        own["ExpirationDate"] = metadata.stamp(own.get("ExpirationDate"))
        return _answer(200, json.dumps({"protection": own}).encode())


def _wish(body: bytes) -> dict[str, Any]:
    """Return what is to become of a task's protection. Raises ApiError."""
    try:
        wish = json.loads(body)
        asked: dict[str, Any] = {"protectionEnabled": wish["ProtectionEnabled"]}
        if wish.get("ExpiresInMinutes") is not None:
            asked["expiresInMinutes"] = wish["ExpiresInMinutes"]
    except (ValueError, TypeError, KeyError, AttributeError):
        asked = {}
    minutes = asked.get("expiresInMinutes", 1)
    if not isinstance(asked.get("protectionEnabled"), bool) or not isinstance(minutes, int):
        raise ApiError(
            "InvalidParameterException",
            "UpdateTaskProtection: does not contain 'ProtectionEnabled' field",
        )
    return asked


def _capital(name: str) -> str:
    return name[0].upper() + name[1:]


def _missing(what: str) -> Answer:
    return _answer(404, json.dumps(f"{what}: there is no such endpoint, or no such task").encode())


def _answer(status: int, body: bytes) -> Answer:
    return Answer(status, "application/json", body)
