"""Order, acknowledgements and sending again, with time passed in."""

from __future__ import annotations

import random

import pytest

from kaiun.errors import SessionError
from kaiun.session import channel as channels
from kaiun.session import messages
from kaiun.session.channel import Channel
from kaiun.session.frames import Frame, MessageType, PayloadType, decode


def pair() -> tuple[Channel, Channel]:
    """Return the two ends of one channel: the client's, the container's."""
    return (
        Channel(MessageType.INPUT, MessageType.OUTPUT),
        Channel(MessageType.OUTPUT, MessageType.INPUT),
    )


def sent(channel: Channel, *payloads: bytes) -> list[bytes]:
    return [channel.send(PayloadType.OUTPUT, payload, 0.0) for payload in payloads]


def test_first_frame_alone_is_marked_as_such() -> None:
    client, _ = pair()
    frames = [decode(data) for data in sent(client, b"a", b"b")]
    assert [(f.sequence_number, f.flags) for f in frames] == [(0, 1), (1, 0)]


@pytest.mark.parametrize("seed", range(5))
def test_frames_come_out_in_order_and_once_however_they_arrive(seed: int) -> None:
    client, container = pair()
    payloads = [str(n).encode() for n in range(50)]
    frames = sent(client, *payloads) * 2
    random.Random(seed).shuffle(frames)
    taken = [frame.payload for data in frames for frame in container.take(data, 0.0)]
    assert taken == payloads


def test_acknowledged_frame_is_not_sent_again() -> None:
    client, container = pair()
    (data,) = sent(client, b"a")
    (frame,) = container.take(data, 0.0)
    client.take(container.acknowledge(frame), 0.1)
    assert (client.unacknowledged, client.due(100.0)) == (0, None)


def test_oldest_frame_is_sent_again_until_it_is_acknowledged() -> None:
    client, _ = pair()
    first, _second = sent(client, b"a", b"b")
    assert client.due(0.1) is None
    assert client.due(0.3) == first
    assert client.due(0.4) is None
    assert client.due(0.6) == first


def test_wait_for_an_acknowledgement_follows_the_round_trip_up_to_a_second() -> None:
    client, container = pair()
    for _ in range(20):
        (frame,) = container.take(client.send(PayloadType.OUTPUT, b"a", 0.0), 0.0)
        client.take(container.acknowledge(frame), 5.0)
    data = client.send(PayloadType.OUTPUT, b"b", 10.0)
    assert client.due(10.9) is None
    assert client.due(11.1) == data


def test_end_that_never_acknowledges_is_given_up() -> None:
    client, _ = pair()
    sent(client, b"a")
    with pytest.raises(SessionError, match="no longer takes"):
        client.due(channels.PATIENCE_S + 1)


def test_paused_channel_sends_nothing_again_and_loses_no_patience() -> None:
    client, _ = pair()
    (data,) = sent(client, b"a")
    client.take(Frame(MessageType.PAUSE).encode(), 0.0)
    assert (client.paused, client.due(1000.0)) == (True, None)
    client.take(Frame(MessageType.START).encode(), 1000.0)
    assert (client.paused, client.due(1000.1)) == (False, data)


def test_frames_far_ahead_of_their_turn_are_not_kept_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(channels, "KEPT_AHEAD", 3)
    client, container = pair()
    frames = sent(client, *[b"%d" % n for n in range(6)])
    for data in frames[1:]:
        assert container.take(data, 0.0) == []
    kept = container.take(frames[0], 0.0)
    assert [frame.payload for frame in kept] == [b"0", b"1", b"2", b"3"]


def test_closed_channel_tells_why() -> None:
    client, _ = pair()
    assert client.closed is None
    client.take(messages.channel_closed("s-1", "no such shell").encode(), 0.0)
    assert client.closed == "no such shell"


@pytest.mark.parametrize("payload", [b"", b"[1]", b"not JSON", b'{"AcknowledgedMess'])
def test_acknowledgement_that_is_none_is_refused(payload: bytes) -> None:
    client, _ = pair()
    with pytest.raises(SessionError):
        client.take(Frame(MessageType.ACKNOWLEDGE, payload).encode(), 0.0)
