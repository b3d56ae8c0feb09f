"""Talk to the running engine: its health, and the signed calls that end or empty it."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kaiun.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kaiun.local.home import LocalEnv

SERVICE = "kaiun"  # the credential scope of the admin calls
HEALTH_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Health:
    """What `GET /_kaiun/health` says; `facts` is the whole document."""

    status: str
    pid: int | None
    facts: Mapping[str, object] = field(default_factory=dict)


def health(endpoint: str, timeout_s: float = HEALTH_TIMEOUT_S) -> Health | None:
    """Return the engine's health, or None when nobody (or somebody else) answers there."""
    try:
        status, body = _request("GET", f"{endpoint}/_kaiun/health", {}, timeout_s)
        facts = json.loads(body)
    except (OSError, http.client.HTTPException, ValueError):
        return None
    if status != http.client.OK or not isinstance(facts, dict):
        return None
    pid = facts.get("pid")
    return Health(str(facts.get("status", "")), pid if isinstance(pid, int) else None, facts)


def post(env: LocalEnv, path: str, timeout_s: float) -> None:
    """Send one signed admin call, such as /_kaiun/shutdown.

    A connection that the engine closes while it shuts down counts as an answer.
    Raises EngineError when the engine refuses or does not answer within `timeout_s`.
    """
    url = f"{env.endpoint}{path}"
    try:
        status, body = _request("POST", url, _signed(env, url), timeout_s)
    except (ConnectionResetError, http.client.RemoteDisconnected):
        return
    except TimeoutError as problem:
        raise EngineError(f"no answer within {timeout_s:g} s", where=url) from problem
    except OSError as problem:
        raise EngineError(f"the local ECS cannot be reached: {problem}", where=url) from problem
    if status >= http.client.BAD_REQUEST:
        text = body.decode(errors="replace").strip()
        raise EngineError(f"the local ECS refused (HTTP {status}): {text}", where=url)


def _signed(env: LocalEnv, url: str) -> dict[str, str]:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    request = AWSRequest(method="POST", url=url, data=b"")
    SigV4Auth(Credentials(env.access_key, env.secret_key), SERVICE, env.region).add_auth(request)
    return dict(request.headers.items())


def _request(
    method: str, url: str, headers: Mapping[str, str], timeout_s: float
) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(
        parts.hostname or "127.0.0.1", parts.port or 80, timeout=timeout_s
    )
    try:
        connection.request(
            method, parts.path, body=b"" if method == "POST" else None, headers=headers
        )
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
