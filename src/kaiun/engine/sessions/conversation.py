"""A session from its handshake to its end: a terminal in a container, and the wire to its client.

It ends with the command (or its container), when the client leaves, or when the engine says so;
whatever it is, nothing goes on running in the container for it.
Source of the order: amazon-ssm-agent, agent/session/datachannel/datachannel.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shlex
import time
from collections.abc import Awaitable, Callable
from typing import Any

from kaiun.engine.runtime.base import Execution, RuntimeFailure
from kaiun.engine.sessions.desk import Session
from kaiun.engine.sessions.wire import Gone, Wire
from kaiun.errors import SessionError
from kaiun.session import messages
from kaiun.session.channel import PAYLOAD_LENGTH
from kaiun.session.frames import Frame, PayloadType

log = logging.getLogger(__name__)

HANDSHAKE_S = 15.0
SIZE_S = 1.0  # clients tell the size of their terminal at once; a program should see no other
DELIVERY_S = 10.0  # for the last output, when the command has ended
TERMINATE = b"\0\0\0\2"  # the flag by which a client ends its session

Start = Callable[[Session, list[str]], Awaitable[Execution]]


async def talk(wire: Wire, session: Session, start: Start, told: asyncio.Future[str]) -> None:
    """Carry a session to its end; `told` is why the engine ends it, when it does."""
    beside = {asyncio.create_task(job) for job in (wire.listen(), wire.send_again())}
    own = asyncio.create_task(_carry(wire, session, start))
    try:
        first: set[asyncio.Future[Any]] = {own, told, *beside}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        why = await _ended(own, told, beside)
        await wire.close(session.id, why)
    finally:
        await _cancel({own, *beside})


async def _ended(
    own: asyncio.Task[str], told: asyncio.Future[str], beside: set[asyncio.Task[None]]
) -> str:
    """Return why the session has ended, for its client."""
    if own.done():
        return _reason(own)
    await _cancel({own})
    if told.done():
        return told.result()
    return "".join(_reason(job) for job in beside if job.done())


def _reason(job: asyncio.Task[Any]) -> str:
    match job.exception():
        case None:
            return str(job.result() or "")
        case Gone():
            return ""
        case RuntimeFailure() | SessionError() as problem:
            return str(problem)
        case TimeoutError():
            return "The handshake was not answered in time."
        case problem:
            log.error("a session has ended", exc_info=problem)
            return "The session failed inside the local ECS; its log has the traceback."


async def _cancel(jobs: set[asyncio.Task[Any]]) -> None:
    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)


async def _carry(wire: Wire, session: Session, start: Start) -> str:
    """Shake hands, run the command, deliver all that it wrote; return what is to be said of it."""
    await _shake_hands(wire)
    first = await _first_frame(wire)
    execution = await start(session, _words(session.command))
    try:
        if first is not None:
            await _take(wire, execution, first)
        await _both_ways(wire, execution)
    finally:
        await execution.end()
    return ""


def _words(command: str) -> list[str]:
    """Return the words of a command, as the agent splits it. Raises SessionError."""
    try:
        words = shlex.split(command)
    except ValueError as problem:
        raise SessionError(f"Failed to parse commands input: {problem}") from None
    return words or ["sh"]


async def _shake_hands(wire: Wire) -> None:
    began = time.monotonic()
    await wire.send(PayloadType.HANDSHAKE_REQUEST, messages.handshake_request())
    async with asyncio.timeout(HANDSHAKE_S):
        while (frame := await wire.next()).payload_type != PayloadType.HANDSHAKE_RESPONSE:
            await wire.acknowledge(frame)
    await wire.acknowledge(frame)
    if errors := messages.read(frame.payload).get("Errors"):
        raise SessionError(f"The client cannot have this session: {errors}")
    took_s = time.monotonic() - began
    await wire.send(PayloadType.HANDSHAKE_COMPLETE, messages.handshake_complete(took_s))


async def _first_frame(wire: Wire) -> Frame | None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SIZE_S):
            return await wire.next()
    return None


async def _both_ways(wire: Wire, execution: Execution) -> None:
    """Pass on output until the command ends, and input meanwhile."""
    output = asyncio.create_task(_pass_output(wire, execution))
    entered = asyncio.create_task(_pass_input(wire, execution))
    try:
        await asyncio.wait({output, entered}, return_when=asyncio.FIRST_COMPLETED)
        for job in (output, entered):
            if job.done():
                job.result()
        if output.done():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DELIVERY_S):
                    await wire.all_delivered()
    finally:
        await _cancel({output, entered})


async def _pass_output(wire: Wire, execution: Execution) -> None:
    while data := await execution.read():
        for start in range(0, len(data), PAYLOAD_LENGTH):
            await wire.send(PayloadType.OUTPUT, data[start : start + PAYLOAD_LENGTH])


async def _pass_input(wire: Wire, execution: Execution) -> None:
    """Pass on what the client enters until it asks for the end."""
    while await _take(wire, execution, await wire.next()):
        pass


async def _take(wire: Wire, execution: Execution, frame: Frame) -> bool:
    """Deal with a frame of the client; return whether the session goes on."""
    match frame.payload_type:
        case PayloadType.OUTPUT:
            await execution.write(frame.payload)
        case PayloadType.SIZE:
            await execution.resize(*messages.read_size(frame.payload))
        case PayloadType.FLAG if frame.payload == TERMINATE:
            return False
        case _:
            log.debug("a frame with a payload of type %s is left out", frame.payload_type)
    await wire.acknowledge(frame)
    return True
