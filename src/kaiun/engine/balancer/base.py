"""What the engine asks of a data plane: listeners, rules, and servers behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeVar


class ServerState(StrEnum):
    """`ready` takes new requests; `drain` finishes those it has; `down` has not passed a check."""

    READY = "ready"
    DRAIN = "drain"
    DOWN = "down"


@dataclass(frozen=True, slots=True, order=True)
class Server:
    address: str
    port: int
    state: ServerState = ServerState.DOWN


@dataclass(frozen=True, slots=True)
class Backend:
    """A target group. `name` is unique and made of [a-zA-Z0-9-].

    `sticky_s`: how long a client keeps its target (lb_cookie); 0: not at all.
    """

    name: str
    servers: tuple[Server, ...] = ()
    sticky_s: int = 0


@dataclass(frozen=True, slots=True)
class FixedResponse:
    status: int
    content_type: str = "text/plain"
    body: str = ""


@dataclass(frozen=True, slots=True)
class Redirect:
    """ALB redirect. `#{host}`, `#{path}`, `#{port}`, `#{protocol}`, `#{query}`: the request's."""

    status: int
    protocol: str = "#{protocol}"
    host: str = "#{host}"
    port: str = "#{port}"
    path: str = "/#{path}"
    query: str = "#{query}"


@dataclass(frozen=True, slots=True)
class Forward:
    """Backend name → weight. `sticky_s`: how long a client keeps its backend; 0: not at all."""

    weights: tuple[tuple[str, int], ...]
    sticky_s: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """All conditions must hold: field → accepted values, wildcards `*` and `?` as ALB has them.

    Fields: host-header, path-pattern, http-request-method, source-ip, `http-header:NAME`,
    `query-string:KEY` (empty KEY: any).
    """

    conditions: Mapping[str, tuple[str, ...]]
    action: Forward | FixedResponse | Redirect


@dataclass(frozen=True, slots=True)
class Listener:
    """An HTTP port on loopback; rules in order of priority, then the default action.

    With `certified` names it speaks HTTPS, with a certificate for them.
    """

    name: str
    port: int
    default: Forward | FixedResponse | Redirect
    rules: tuple[Rule, ...] = ()
    idle_timeout_s: int = 60
    certified: tuple[str, ...] = ()
    logged: bool = False  # each request is told, for the access log

    @property
    def protocol(self) -> str:
        return "https" if self.certified else "http"


@dataclass(frozen=True, slots=True)
class Wiring:
    """Everything that the data plane should be."""

    listeners: tuple[Listener, ...] = ()
    backends: tuple[Backend, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Served:
    """What a target group has served: requests sent to it; answers of targets by the first digit
    of their status; 5xx that the load balancer made itself; seconds until targets answered → how
    many requests."""

    requests: int = 0
    answers: Mapping[int, int] = field(default_factory=dict)
    failed: int = 0
    times: Mapping[float, float] = field(default_factory=dict)

    def plus(self, other: Served) -> Served:
        return Served(
            self.requests + other.requests,
            _added(self.answers, other.answers),
            self.failed + other.failed,
            _added(self.times, other.times),
        )


N = TypeVar("N", int, float)


def _added(one: Mapping[N, N], other: Mapping[N, N]) -> dict[N, N]:
    return {key: one.get(key, 0) + other.get(key, 0) for key in one.keys() | other.keys()}


class Balancer(Protocol):
    """A data plane. `apply` is idempotent, and never drops a connection that is in use."""

    async def open(self) -> None:
        """Adopt the process of an earlier engine, if any; one is started when first needed."""

    async def apply(self, wiring: Wiring) -> None:
        """Make it so: servers change at run time, listeners and backends by a seamless reload.

        Raises EngineError with the port where a listener's port is taken by somebody else.
        """

    async def take_served(self) -> Mapping[str, Served]:
        """Return what backends have served since the last time, by name."""

    async def close(self, *, stop: bool) -> None:
        """Let go; with `stop` end the data plane too."""
