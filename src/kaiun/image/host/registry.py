"""A registry as the build host reaches it: its network, its logins.

Requests are sent by the worker there. What is asked here (labels of an image, compiled assets)
would else need a way to a registry that may listen on the host's loopback alone.
"""

from __future__ import annotations

import tempfile
from base64 import b64encode
from io import BytesIO
from typing import IO, TYPE_CHECKING

import urllib3

from kaiun.image.host.answers import Answers
from kaiun.image.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kaiun.image.ensure import Workshop
    from kaiun.image.host.connection import Connection
    from kaiun.image.host.line import Line
    from kaiun.image.messages import Json
    from kaiun.image.reference import Reference

# The worker has undone these already.
_OF_THE_WAY = frozenset({"content-encoding", "transfer-encoding", "connection"})


class HostRegistry(Registry):
    """Every question goes through `call`, and `call` goes over the line."""

    def __init__(self, line: Line, workshop: Workshop) -> None:
        super().__init__()
        self._line = line
        self._workshop = workshop

    def call(
        self,
        method: str,
        reference: Reference,
        path: str,
        *,
        action: str = "pull",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request about a repository from the host, as `Registry.call` does from here."""
        request: Json = {
            "method": method,
            "name": reference.name,
            "path": path,
            "action": action,
            "headers": dict(headers or {}),
            "body": b64encode(body).decode() if body is not None else None,
        }
        file: IO[bytes] = tempfile.TemporaryFile() if stream else BytesIO()  # noqa: SIM115
        answers = Answers(self._workshop, None)

        def take(message: Json, connection: Connection) -> None:
            if "data" in message:
                file.write(message["data"])
            else:
                answers(message, connection)

        stop = self._workshop.stop
        told = self._line.connection().call("registry", request, take, stop)
        file.seek(0)
        return urllib3.HTTPResponse(
            body=file,
            headers={k: v for k, v in told["headers"].items() if k.lower() not in _OF_THE_WAY},
            status=told["status"],
            reason=told["reason"],
            preload_content=not stream,
            request_method=method,
        )
