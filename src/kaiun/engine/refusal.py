"""Who is not let in, and what they are told: strange hosts, pages of browsers, bad signatures."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from typing import Any

from kaiun.engine import sigv4
from kaiun.engine.dispatch import Answer, json_error, query_error
from kaiun.engine.protocol.errors import ApiError
from kaiun.engine.protocol.query import escape
from kaiun.engine.runtime.base import DOOR_ADDRESS, DOOR_PORT

Scope = MutableMapping[str, Any]

DOOR = (DOOR_ADDRESS, DOOR_PORT)  # where tasks come in: as from our own port
_JSON_ERRORS = {
    "missing": ("MissingAuthenticationTokenException", 400),
    "malformed": ("IncompleteSignatureException", 400),
    "unknown-key": ("UnrecognizedClientException", 400),
    "mismatch": ("InvalidSignatureException", 400),
    "expired": ("InvalidSignatureException", 400),
    "expired-token": ("ExpiredTokenException", 400),
    "body": ("InvalidSignatureException", 400),
}
_XML_ERRORS = {
    "missing": ("MissingAuthenticationToken", 403),
    "malformed": ("IncompleteSignature", 400),
    "unknown-key": ("InvalidClientTokenId", 403),
    "mismatch": ("SignatureDoesNotMatch", 403),
    "expired": ("SignatureDoesNotMatch", 403),
    "expired-token": ("ExpiredToken", 403),
    "body": ("SignatureDoesNotMatch", 403),
}


def refuse_host(scope: Scope, headers: dict[str, str]) -> str | None:
    """Return why a request to a name that is not ours is not let in; else None."""
    host, _, port = headers.get("host", "").rpartition(":")
    if scope["server"] == DOOR and headers.get("host") in (DOOR[0], f"{DOOR[0]}:{DOOR[1]}"):
        return None
    ours = host in ("127.0.0.1", "localhost", "[::1]") or host.endswith(".localhost")
    if not ours or port != str(scope["server"][1]):
        return "The Host header does not name this endpoint."
    return None


def refuse_page(headers: dict[str, str]) -> str | None:
    """Return why a request of a page in a browser is not let in; else None."""
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return "Cross-site requests are not accepted."
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != headers["host"]:
        return "Requests from web pages are not accepted."
    return None


def access_denied(reason: str) -> bytes:
    """Return the body that goes with status 403."""
    return json.dumps({"__type": "AccessDeniedException", "message": reason}).encode()


def unsigned(headers: dict[str, str], problem: sigv4.SignatureError, request_id: str) -> Answer:
    """Return the error of a signature, in the form of the protocol that was asked in."""
    content_type = headers.get("content-type", "")
    if "x-amz-target" in headers or "json" in content_type:
        code, status = _JSON_ERRORS[problem.kind]
        return json_error(ApiError(code, str(problem), status=status))
    code, status = _XML_ERRORS[problem.kind]
    if "form-urlencoded" in content_type:
        return query_error("", ApiError(code, str(problem), status=status), request_id)
    return _s3_error(code, str(problem), status, request_id)


def _s3_error(code: str, message: str, status: int, request_id: str) -> Answer:
    text = (
        f"<Error><Code>{code}</Code><Message>{escape(message)}</Message>"
        f"<RequestId>{request_id}</RequestId></Error>"
    )
    return Answer(status, "application/xml", text.encode())
