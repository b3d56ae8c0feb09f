"""The JSON of the data channel, member by member as AWS's two ends have it."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from kaiun.errors import SessionError
from kaiun.session import messages
from kaiun.session.frames import Frame, MessageType


def answered(*actions: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    request = json.dumps({"AgentVersion": "3.0", "RequestedClientActions": list(actions)})
    answer, errors = messages.handshake_response(request.encode())
    content = json.loads(answer)
    assert content["Errors"] == errors
    return content["ProcessedClientActions"], errors


def session_type(name: str) -> dict[str, Any]:
    return {"ActionType": "SessionType", "ActionParameters": {"SessionType": name}}


def test_channel_is_opened_with_the_token_as_text() -> None:
    content = json.loads(messages.open_channel("t0k3n"))
    assert content["TokenValue"] == "t0k3n"
    assert content["MessageSchemaVersion"] == "1.0"
    assert {"RequestId", "ClientId", "ClientVersion"} <= content.keys()


@pytest.mark.parametrize("name", ["Standard_Stream", "InteractiveCommands"])
def test_sessions_with_a_terminal_are_accepted(name: str) -> None:
    actions, errors = answered(session_type(name))
    assert (actions[0]["ActionStatus"], errors) == (1, [])


def test_session_of_another_kind_is_declined() -> None:
    actions, errors = answered(session_type("Port"))
    assert (actions[0]["ActionStatus"], errors) == (2, ["Unknown session type Port"])


def test_encryption_that_is_not_to_be_had_is_declined() -> None:
    encryption = {"ActionType": "KMSEncryption", "ActionParameters": {"KMSKeyId": "k"}}
    actions, errors = answered(session_type("Standard_Stream"), encryption)
    assert [a["ActionStatus"] for a in actions] == [1, 3]
    assert errors == ["Unsupported action KMSEncryption"]


def test_own_request_is_one_that_clients_accept() -> None:
    _, errors = messages.handshake_response(messages.handshake_request())
    assert errors == []


def test_acknowledgement_names_what_it_acknowledges() -> None:
    own = uuid.uuid4()
    frame = messages.acknowledgement(Frame(MessageType.OUTPUT, sequence_number=7, message_id=own))
    assert (frame.message_type, frame.flags) == ("acknowledge", 3)
    assert json.loads(frame.payload) == {
        "AcknowledgedMessageType": "output_stream_data",
        "AcknowledgedMessageId": str(own),
        "AcknowledgedMessageSequenceNumber": 7,
        "IsSequentialMessage": True,
    }


def test_size_is_read_as_it_was_written() -> None:
    assert json.loads(messages.size(80, 24)) == {"cols": 80, "rows": 24}
    assert messages.read_size(messages.size(80, 24)) == (80, 24)


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b"[]", b'{"cols": -1, "rows": 2}', b'{"cols": "8", "rows": 2}']
)
def test_what_is_no_size_is_refused(payload: bytes) -> None:
    with pytest.raises(SessionError):
        messages.read_size(payload)
