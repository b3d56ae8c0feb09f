"""One health check of a target, in the way of a load balancer (plain asyncio streams)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

RESPONSE_CODE_MISMATCH: Final = "Target.ResponseCodeMismatch"
TIMEOUT: Final = "Target.Timeout"
FAILED_CHECKS: Final = "Target.FailedHealthChecks"

_STATUS_LINE_BYTES: Final = 4096
_TCP_GRACE_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """How a target group asks. `matcher` holds codes and ranges: "200-399,404"."""

    protocol: str = "HTTP"
    path: str = "/"
    timeout_s: float = 5
    matcher: str = "200"
    port: int | None = None  # None: the target's own (traffic-port)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """`reason` and `description` are those of ELBv2's TargetHealth; empty when ok."""

    ok: bool
    reason: str = ""
    description: str = ""


_OK: Final = ProbeResult(ok=True)
_TIMED_OUT: Final = ProbeResult(ok=False, reason=TIMEOUT, description="Request timed out")
_FAILED: Final = ProbeResult(ok=False, reason=FAILED_CHECKS, description="Health checks failed")


def matches(matcher: str, code: int) -> bool:
    """Return whether an HTTP code is among "200", "200,202" or "200-399,404"."""
    for part in matcher.split(","):
        low, _, high = part.strip().partition("-")
        if low.isdigit() and int(low) <= code <= int(high or low):
            return True
    return False


async def check(address: str, port: int, settings: ProbeSettings) -> ProbeResult:
    """Ask once. Never raises for what the target does; never takes longer than the timeout."""
    try:
        async with asyncio.timeout(settings.timeout_s):
            return await _ask(address, settings.port or port, settings)
    except TimeoutError:
        return _TIMED_OUT
    except (OSError, ValueError, asyncio.IncompleteReadError):  # no connection, or not HTTP
        return _FAILED


async def _ask(address: str, port: int, settings: ProbeSettings) -> ProbeResult:
    reader, writer = await asyncio.open_connection(address, port, limit=_STATUS_LINE_BYTES)
    try:
        if settings.protocol.upper() not in {"HTTP", "HTTPS"}:
            return await _still_open(reader)
        writer.write(_request(address, port, settings.path))
        code = await _status(reader)
    finally:
        writer.close()
    if matches(settings.matcher, code):
        return _OK
    description = f"Health checks failed with these codes: [{code}]"
    return ProbeResult(ok=False, reason=RESPONSE_CODE_MISMATCH, description=description)


async def _still_open(reader: asyncio.StreamReader) -> ProbeResult:
    """A connection that is closed at once was Docker's port proxy with nobody behind it."""
    try:
        async with asyncio.timeout(_TCP_GRACE_S):
            return _OK if await reader.read(1) else _FAILED
    except TimeoutError:
        return _OK


def _request(address: str, port: int, path: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: {address}:{port}\r\n"
        "User-Agent: ELB-HealthChecker/2.0\r\nAccept-Encoding: gzip, compressed\r\n"
        "Connection: close\r\n\r\n"
    ).encode()


async def _status(reader: asyncio.StreamReader) -> int:
    """Raises ConnectionError when closed without a word, ValueError when it is not HTTP."""
    line = await reader.readline()
    if not line:
        raise ConnectionResetError("closed without an answer")
    version, code, *_ = line.split(None, 2)
    if not version.startswith(b"HTTP/"):
        raise ValueError("not HTTP")
    return int(code)
