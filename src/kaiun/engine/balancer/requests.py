"""What HAProxy tells of each request, and the line of an access log that it becomes (pure).

Source: ELB user guide, "Access logs for your Application Load Balancer", access log entries.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

# In the order of Request's fields; text that a client chose stands last.
FORMAT: Final = (
    r'"%ft\t%b\t%si\t%sp\t%ci\t%cp\t%TR\t%Tw\t%Tc\t%Tr\t%Ta\t%ST\t%[var(txn.target_status)]'
    r"\t%U\t%B\t%sslc\t%sslv\t%[var(txn.rule)]\t%[var(txn.location)]\t%[var(txn.traced)]"
    r'\t%[var(txn.host)]\t%HM\t%HU\t%HV\t%[var(txn.agent)]"'
)


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Times are milliseconds, -1 for what was not reached; "-" is nothing."""

    frontend: str
    backend: str
    target_ip: str
    target_port: str
    client_ip: str
    client_port: str
    request_ms: int
    queue_ms: int
    connect_ms: int
    response_ms: int
    total_ms: int
    status: str
    target_status: str
    received: str
    sent: str
    cipher: str
    protocol: str
    rule: int
    location: str
    trace: str
    host: str
    method: str
    uri: str
    version: str
    agent: str


_NUMBERS: Final = frozenset(
    ("request_ms", "queue_ms", "connect_ms", "response_ms", "total_ms", "rule")
)
_ESCAPED: Final = re.compile("#([0-9A-F]{2})")  # as HAProxy writes what is odd in an address
_NAMES: Final = tuple(field.name for field in dataclasses.fields(Request))


def read(line: str) -> Request:
    """Return what HAProxy wrote by FORMAT. Raises ValueError."""
    values = line.rstrip("\n").split("\t", len(_NAMES) - 1)
    if len(values) != len(_NAMES):
        raise ValueError(f"{len(values)} fields instead of {len(_NAMES)}")
    members: dict[str, str | int] = {
        name: _number(value) if name in _NUMBERS else value or "-"
        for name, value in zip(_NAMES, values, strict=True)
    }
    members["uri"] = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), str(members["uri"]))
    return Request(**members)  # type: ignore[arg-type]


def _number(value: str) -> int:
    return int(value.lstrip("+")) if value not in ("", "-") else -1


@dataclass(frozen=True, slots=True)
class Context:
    """What the engine knows of a request: the names behind HAProxy's."""

    balancer: str  # app/NAME/ID
    port: int
    secure: bool
    target_group: str  # ARN or "-"
    priority: str
    action: str  # forward, redirect, fixed-response
    certificate: str = "-"


def entry(request: Request, context: Context, ended_at: float) -> str:
    """Return the line of the access log, without its end."""
    served = request.target_status != "-"
    target = f"{request.target_ip}:{request.target_port}" if request.target_port != "-" else "-"
    reached = context.action == "forward" and target != "-" and request.backend != request.frontend
    target = target if reached else "-"
    began_at = ended_at - max(0, request.total_ms) / 1000
    scheme = "https" if context.secure else "http"
    url = f"{scheme}://{_host(request)}:{context.port}{request.uri}"
    return " ".join(
        (
            _kind(request, context),
            _time(ended_at),
            context.balancer,
            f"{request.client_ip}:{request.client_port}",
            target,
            *_durations(request, served=served),
            request.status,
            request.target_status if reached else "-",
            request.received,
            request.sent,
            _quoted(f"{request.method} {url} {request.version}"),
            _quoted(request.agent),
            request.cipher,
            request.protocol,
            context.target_group if context.action == "forward" else "-",
            _quoted(request.trace),
            _quoted(_host(request) if context.secure else "-"),
            _quoted(context.certificate),
            context.priority,
            _time(began_at),
            _quoted(context.action),
            _quoted(request.location if context.action == "redirect" else "-"),
            _quoted("-"),
            _quoted(target),
            _quoted(request.target_status if reached else "-"),
            _quoted("-"),
            _quoted("-"),
        )
    )


def _kind(request: Request, context: Context) -> str:
    if request.status == "101":
        return "wss" if context.secure else "ws"
    if request.version == "HTTP/2.0":
        return "h2"
    return "https" if context.secure else "http"


def _durations(request: Request, *, served: bool) -> tuple[str, str, str]:
    """Return the seconds until the target had the request, until it answered, and to pass it on."""
    if not served:
        return "-1", "-1", "-1"
    before = max(0, request.queue_ms) + max(0, request.connect_ms)
    return f"{before / 1000:.3f}", f"{max(0, request.response_ms) / 1000:.3f}", "0.000"


def _host(request: Request) -> str:
    return request.host.partition(":")[0]


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _quoted(text: str) -> str:
    """Quote as an ALB does: what could end the field is written in hex."""
    safe = (
        f"\\x{ord(char):02x}" if char in '"\\' or not char.isprintable() else char for char in text
    )
    return f'"{"".join(safe)}"'
