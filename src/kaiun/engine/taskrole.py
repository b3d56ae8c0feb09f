"""Credentials of task roles: STS gives them, the endpoint hands them out, requests are signed.

Sources: ECS developer guide, "Task IAM role" (the JSON); STS API, AssumeRole. A role need not be
there, nor be of this account: IAM is not evaluated here, and a definition may be that of AWS.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import urllib.parse
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from typing import Final

from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.sidecall import FAILURES, SideCalls
from kaiun.engine.sigv4 import Claim, SignatureError
from kaiun.engine.store import Doc
from kaiun.engine.world import World

LIFETIME_S: Final = 6 * 3600
RENEW_S: Final = 30 * 60  # before the end: SDKs ask anew when 15 minutes are left
_API: Final = "{https://sts.amazonaws.com/doc/2011-06-15/}"

# What would give a container this machine: it may be privileged, or mount any path. And the engine.
_RUNS_ANYTHING: Final = {"kaiun", "batch", "lambda", "codebuild"}
_ECS_RUNS_ANYTHING: Final = {"RegisterTaskDefinition", "ExecuteCommand"}


class TaskRoles:
    """Credentials by the ids that tasks are told."""

    def __init__(self, world: World, calls: SideCalls) -> None:
        self._world = world
        self._calls = calls
        self._lock = asyncio.Lock()

    async def credentials(self, credentials_id: str) -> bytes | None:
        """Return the answer of the credentials endpoint; None for an unknown id.

        Raises ApiError where STS does not answer.
        """
        async with self._lock:
            own = self._world.credentials.get(credentials_id)
            if own is None:
                return None
            session = self._world.sessions.get(own["session"])
            if session is None or session["expires"] - self._world.now() < RENEW_S:
                session = await self._assume(credentials_id, own)
        expires = datetime.fromtimestamp(session["expires"], UTC)
        answer = {
            "RoleArn": own["role"],
            "AccessKeyId": session["access_key"],
            "SecretAccessKey": session["secret_key"],
            "Token": session["token"],
            "Expiration": f"{expires:%Y-%m-%dT%H:%M:%SZ}",
        }
        return json.dumps(answer).encode()

    async def _assume(self, credentials_id: str, own: Doc) -> Doc:
        identity = self._world.identity
        form = {
            "Action": "AssumeRole",
            "Version": "2011-06-15",
            "RoleArn": f"arn:aws:iam::{identity.account}:{_resource(own['role'])}",
            "RoleSessionName": own["task"],
            "DurationSeconds": str(LIFETIME_S),
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            status, body = await self._calls.send(
                "sts", "POST", "/", headers, urllib.parse.urlencode(form).encode()
            )
            if status != 200:
                raise OSError(f"STS answers {status}")
            found = ET.fromstring(body).find(f".//{_API}Credentials")  # noqa: S314  (our own moto)
            session = _session(found, credentials_id, self._world.now() + LIFETIME_S)
        except (*FAILURES, ET.ParseError, KeyError) as problem:
            raise ApiError(
                "InternalServerError", f"no credentials: {problem}", status=500
            ) from problem
        sessions, now = self._world.sessions, self._world.now()
        for ended in [s for s in sessions.values() if s["expires"] <= now]:
            del sessions[ended["access_key"]]
        self._world.sessions[session["access_key"]] = session
        own["session"] = session["access_key"]
        self._world.credentials.touch(credentials_id)
        self._world.store.commit()  # whoever has the keys may use them with the next engine
        return session


def _resource(role: str) -> str:
    """Return "role/NAME" of a role's ARN, whatever its account, or of its name."""
    resource = role.split(":", 5)[-1]
    return resource if resource.startswith("role/") else f"role/{resource}"


def _session(found: ET.Element | None, credentials_id: str, expires: float) -> Doc:
    """Return what is kept of STS's Credentials. Raises KeyError where something is missing."""
    texts = {e.tag.removeprefix(_API): e.text or "" for e in (found if found is not None else ())}
    return {
        "access_key": texts["AccessKeyId"],
        "secret_key": texts["SecretAccessKey"],
        "token": texts["SessionToken"],
        "expires": expires,
        "credentials": credentials_id,
    }


def grant(world: World, task_id: str, role: str | None, credentials_id: str) -> None:
    """Have credentials for a new task with a role."""
    if role:
        world.credentials[credentials_id] = {"task": task_id, "role": role, "session": ""}


def revoke(world: World, task: Doc) -> None:
    """Forget the credentials of a task that has ended, and all keys that came of them."""
    if (own := task["_"].get("credentials")) and own in world.credentials:
        del world.credentials[own]
        for session in [s for s in world.sessions.values() if s["credentials"] == own]:
            del world.sessions[session["access_key"]]


def secret_of(world: World, claim: Claim, token: str) -> str:
    """Return the secret key that a request must be signed with. Raises SignatureError."""
    identity = world.identity
    if hmac.compare_digest(claim.access_key, identity.access_key):
        return identity.secret_key
    session = world.sessions.get(claim.access_key)
    if session is None or not hmac.compare_digest(session["token"], token):
        raise SignatureError(
            "unknown-key", "The security token included in the request is invalid."
        )
    if session["expires"] <= world.now():
        raise SignatureError(
            "expired-token", "The security token included in the request is expired"
        )
    return str(session["secret_key"])


def check_allowed(world: World, claim: Claim, target: str) -> None:
    """Raise ApiError where the keys of a task ask for what would give it this machine.

    `target` is the x-amz-target of the request.
    """
    if claim.access_key == world.identity.access_key:
        return
    action = target.rpartition(".")[2]
    if claim.service in _RUNS_ANYTHING or (claim.service, action) in {
        ("ecs", name) for name in _ECS_RUNS_ANYTHING
    }:
        role = world.credentials[world.sessions[claim.access_key]["credentials"]]["role"]
        raise ApiError(
            "AccessDeniedException",
            f"The task role {role} is not authorized to perform: {claim.service}:{action or '*'}: "
            "on the local ECS, a container cannot have containers made as it likes.",
            status=400,
        )
