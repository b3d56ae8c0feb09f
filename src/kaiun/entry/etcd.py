"""Read one key of etcd v3 through its JSON gateway.

Source: etcd documentation, "Why gRPC gateway".
"""

from __future__ import annotations

import base64
import json
from urllib.parse import unquote

from kaiun.entry.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kaiun.entry.http import Line


def value(scheme: str, rest: str, line: Line) -> bytes:
    """Return the value of etcd://[user:password@]host:port/key. Raises Failure."""
    place, _, key = rest.lstrip("/").partition("/")
    login, _, host = place.rpartition("@")
    base = f"{'https' if scheme == 'etcds' else 'http'}://{host}"
    headers = {"content-type": "application/json"}
    if login:
        name, _, password = login.partition(":")
        request = {"name": unquote(name), "password": unquote(password)}
        headers["authorization"] = _post(base, "auth/authenticate", request, headers, line)["token"]
    found: list[dict[str, str]] = []
    for name in (key, f"/{key}"):
        request = {"key": base64.b64encode(name.encode()).decode()}
        found = _post(base, "kv/range", request, headers, line).get("kvs") or []
        if found:
            return base64.b64decode(found[0].get("value", ""))
    raise Failure("etcd has no such key")


def _post(
    base: str, what: str, request: dict[str, str], headers: dict[str, str], line: Line
) -> dict[str, Any]:
    answer = line.send("POST", f"{base}/v3/{what}", headers, json.dumps(request).encode())
    try:
        said: dict[str, Any] = json.loads(answer.body)
    except ValueError:
        said = {}
    if answer.status != 200:
        raise Failure(f"etcd: {said.get('message') or said.get('error') or answer.status}")
    return said
