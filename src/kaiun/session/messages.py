"""The JSON in frames, and the one text message that opens a channel.

Source: session-manager-plugin, src/message/handshakemessage.go, src/message/clientmessage.go and
src/service/service.go; amazon-ssm-agent, agent/session/contracts.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from kaiun.errors import SessionError
from kaiun.session.frames import FIN, SYN, Frame, MessageType

CLIENT_VERSION = "1.2.0.0"  # the protocol of this version of session-manager-plugin is spoken
AGENT_VERSION = "3.3.0.0"
SESSION_TYPE = "InteractiveCommands"  # that of ECS's document AmazonECS-ExecuteInteractiveCommand
SHELLS = ("Standard_Stream", SESSION_TYPE, "NonInteractiveCommands")
SUCCESS, FAILED, UNSUPPORTED = 1, 2, 3


def read(payload: bytes | str) -> dict[str, Any]:
    """Return the JSON object that a payload is. Raises SessionError."""
    try:
        content = json.loads(payload)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise SessionError("a message came that is no JSON object")
    return content


def write(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def open_channel(token: str) -> str:
    """Return the first message of a client: the token, as text."""
    return write(
        {
            "MessageSchemaVersion": "1.0",
            "RequestId": str(uuid.uuid4()),
            "TokenValue": token,
            "ClientId": str(uuid.uuid4()),
            "ClientVersion": CLIENT_VERSION,
        }
    ).decode()


def size(columns: int, rows: int) -> bytes:
    """Return the payload that tells the size of a terminal."""
    return write({"cols": columns, "rows": rows})


def read_size(payload: bytes) -> tuple[int, int]:
    """Return columns and rows. Raises SessionError for what is no size."""
    content = read(payload)
    found = content.get("cols"), content.get("rows")
    if not all(isinstance(n, int) and 0 <= n < 1 << 16 for n in found):
        raise SessionError("a message came that is no size of a terminal")
    columns, rows = found
    return int(columns or 0), int(rows or 0)


def handshake_request() -> bytes:
    """Return what the container's end asks first: what kind of session this will be."""
    action = {
        "ActionType": "SessionType",
        "ActionParameters": {"SessionType": SESSION_TYPE, "Properties": {}},
    }
    return write({"AgentVersion": AGENT_VERSION, "RequestedClientActions": [action]})


def handshake_response(request: bytes) -> tuple[bytes, list[str]]:
    """Return the answer to a handshake, and what of it cannot be done here."""
    asked = read(request).get("RequestedClientActions") or []
    actions = [_processed(action) for action in asked]
    errors = [action["Error"] for action in actions if action["Error"]]
    answer = {"ClientVersion": CLIENT_VERSION, "ProcessedClientActions": actions, "Errors": errors}
    return write(answer), errors


def _processed(action: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(action.get("ActionType", ""))
    error, status = "", SUCCESS
    if kind != "SessionType":
        error, status = f"Unsupported action {kind}", UNSUPPORTED
    elif (wanted := action.get("ActionParameters", {}).get("SessionType")) not in SHELLS:
        error, status = f"Unknown session type {wanted}", FAILED
    return {"ActionType": kind, "ActionStatus": status, "ActionResult": None, "Error": error}


def handshake_complete(took_s: float) -> bytes:
    return write({"HandshakeTimeToComplete": int(took_s * 1e9), "CustomerMessage": ""})


def acknowledgement(of: Frame) -> Frame:
    """Return the frame that says that another has arrived."""
    content = {
        "AcknowledgedMessageType": of.message_type,
        "AcknowledgedMessageId": str(of.message_id),
        "AcknowledgedMessageSequenceNumber": of.sequence_number,
        "IsSequentialMessage": True,
    }
    return Frame(MessageType.ACKNOWLEDGE, write(content), flags=SYN | FIN)


def channel_closed(session_id: str, output: str) -> Frame:
    """Return the last frame of a session; `output` says why where it did not just end."""
    frame = Frame(MessageType.CLOSED)
    content = {
        "MessageId": str(frame.message_id),
        "CreatedDate": str(frame.created_ms),
        "DestinationId": "",
        "SessionId": session_id,
        "MessageType": MessageType.CLOSED,
        "SchemaVersion": frame.schema_version,
        "Output": output,
    }
    return Frame(
        MessageType.CLOSED,
        write(content),
        message_id=frame.message_id,
        created_ms=frame.created_ms,
    )
