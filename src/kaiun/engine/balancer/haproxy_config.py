"""Say listeners, rules and target groups in the words of haproxy.cfg (pure; HAProxy ≥ 2.6).

Servers are no part of what makes two configurations differ: they come and go at run time. They
are written all the same, so that a reload begins with those that are wanted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kaiun.engine.balancer import requests, tls
from kaiun.engine.balancer.base import (
    Backend,
    FixedResponse,
    Forward,
    Listener,
    Redirect,
    Server,
    ServerState,
    Wiring,
)
from kaiun.engine.balancer.haproxy_conditions import conditions, quote

_DEFAULT_IDLE_S: Final = 60
_TARGET_COOKIE: Final = "AWSALB"
_GROUP_COOKIE: Final = "AWSALBTG"
_TITLES: Final = {
    400: "Bad Request",
    408: "Request Timeout",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Temporarily Unavailable",
    504: "Gateway Time-out",
}


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the unix sockets are: both names must stay short (sun_path holds 108 bytes).

    `tls` is the folder of the certificates, `log` the socket that is told of requests.
    """

    stats: str
    master: str
    tls: str = ""
    log: str = ""


def server_name(server: Server) -> str:
    return f"{server.address}:{server.port}"


def frontend_name(listener: Listener) -> str:
    return f"listener-{listener.port}-{listener.name}"


def ready(backend: Backend) -> dict[str, Server]:
    """Return the servers that take new requests; the others are unknown to HAProxy."""
    return {server_name(s): s for s in backend.servers if s.state is ServerState.READY}


def digest(wiring: Wiring, paths: Paths) -> str:
    """Return what changes when a reload is needed: everything but the servers."""
    bare = Wiring(wiring.listeners, tuple(_bare(backend) for backend in wiring.backends))
    return hashlib.sha256(_text(bare, paths, "").encode()).hexdigest()[:16]


def _bare(backend: Backend) -> Backend:
    """Servers that a cookie names cannot be added at run time: they need a reload (HAProxy 2.6)."""
    return backend if backend.sticky_s else Backend(backend.name)


def render(wiring: Wiring, paths: Paths) -> str:
    return _text(wiring, paths, digest(wiring, paths))


def _text(wiring: Wiring, paths: Paths, mark: str) -> str:
    lines = list(_global(paths, mark))
    known = {backend.name for backend in wiring.backends}
    for listener in wiring.listeners:
        lines += ["", *_frontend(listener, known, paths)]
    for backend in wiring.backends:
        lines += ["", *_backend(backend)]
    return "\n".join(lines) + "\n"


def _global(paths: Paths, mark: str) -> Iterator[str]:
    yield "# Written by kaiun; changes are lost."
    yield "global"
    yield f"    description kaiun-{mark}"
    yield f"    stats socket unix@{quote(paths.stats)} mode 600 level admin expose-fd listeners"
    yield "    maxconn 1900"
    yield "    nbthread 1"
    yield ""
    yield "defaults"
    yield "    mode http"
    yield "    timeout connect 5s"
    yield f"    timeout client {_DEFAULT_IDLE_S}s"
    yield f"    timeout server {_DEFAULT_IDLE_S}s"
    # A connection is tried again, on another server; a request that was sent never is.
    yield "    retries 3"
    yield "    option redispatch 1"
    # No request meets a connection that its server is just closing.
    yield "    option http-server-close"
    yield "    http-reuse never"
    # An idle client learns of a reload by `Connection: close`, never by a closed connection.
    yield "    option idle-close-on-response"
    for status, title in _TITLES.items():
        page = quote(_page(status, title))
        yield f"    http-error status {status} content-type text/html string {page}"


def _page(status: int, title: str) -> str:
    head = f"{status} {title}"
    return (
        f"<html>\r\n<head><title>{head}</title></head>\r\n<body>\r\n"
        f"<center><h1>{head}</h1></center>\r\n</body>\r\n</html>\r\n"
    )


def _backend(backend: Backend) -> Iterator[str]:
    yield f"backend {backend.name}"
    yield "    balance roundrobin"
    yield "    http-request set-timeout server var(txn.idle)"
    yield "    http-request set-timeout tunnel var(txn.idle)"
    yield "    http-response set-var(txn.answered) bool(true)"
    # No target is 503; a target that cannot be connected to is 502, as a load balancer has it.
    yield (
        "    http-after-response set-status 502 if { status 503 } "
        f"!{{ var(txn.answered) -m found }} {{ nbsrv({backend.name}) gt 0 }}"
    )
    if backend.sticky_s:
        # Without `indirect` the target sees it too, as behind an ALB.
        yield f"    cookie {_TARGET_COOKIE} insert nocache attr Max-Age={backend.sticky_s}"
    for name, server in ready(backend).items():
        kept = f" cookie {_cookie_of(name)}" if backend.sticky_s else ""
        yield f"    server {name} {server.address}:{server.port}{kept}"


def _cookie_of(server: str) -> str:
    return hashlib.sha256(server.encode()).hexdigest()[:32]


def _bind(listener: Listener, paths: Paths) -> str:
    address = f"    bind 127.0.0.1:{listener.port}"
    if not listener.certified:
        return address
    certificate = tls.file_of(Path(paths.tls), listener.certified)
    return f"{address} ssl crt {quote(str(certificate))} alpn h2,http/1.1 ssl-min-ver TLSv1.2"


def _frontend(listener: Listener, known: set[str], paths: Paths) -> Iterator[str]:
    idle = listener.idle_timeout_s
    yield f"frontend {frontend_name(listener)}"
    yield _bind(listener, paths)
    yield f"    timeout client {idle}s"
    yield f"    timeout http-keep-alive {idle}s"
    yield f"    http-request set-var(txn.idle) int({idle * 1000})"
    yield "    http-request set-var(txn.die) rand(1000000)"
    if listener.logged:
        yield from _logging(paths)
    yield from _forwarding(listener)
    for number, rule in enumerate(listener.rules, start=1):
        test = " ".join(conditions(rule))
        yield (
            f"    http-request set-var(txn.rule) int({number}) "
            f"if !{{ var(txn.rule) -m found }} {test}".rstrip()
        )
    yield "    http-request set-var(txn.rule) int(0) if !{ var(txn.rule) -m found }"
    if listener.logged:
        yield "    http-request set-var(txn.traced) req.fhdr(X-Amzn-Trace-Id)"
    actions = [listener.default, *(rule.action for rule in listener.rules)]
    for number, action in enumerate(actions):
        test = f"{{ var(txn.rule) -m int {number} }}"
        if isinstance(action, FixedResponse):
            yield _fixed(action, test)
        elif isinstance(action, Redirect):
            yield from _redirect(action, listener, test)
        else:
            yield from _forward(action, test, known)


def _logging(paths: Paths) -> Iterator[str]:
    """Tell of each request once it is over; nobody waits for who listens."""
    yield f"    log {quote(paths.log)} len 16384 format raw local0 info"
    yield f"    log-format {requests.FORMAT}"
    yield "    http-request set-var(txn.host) req.fhdr(host)"
    yield "    http-request set-var(txn.agent) req.fhdr(user-agent)"
    yield "    http-response set-var(txn.target_status) status"
    yield "    http-after-response set-var(txn.location) res.fhdr(location)"


def _forwarding(listener: Listener) -> Iterator[str]:
    """X-Forwarded-* and X-Amzn-Trace-Id. Source: ELB, HTTP headers and load balancers."""
    xff = "X-Forwarded-For"
    given = f"{{ req.fhdr({xff}) -m found }}"
    yield f"    http-request set-header {xff} %[req.fhdr({xff})],\\ %[src] if {given}"
    yield f"    http-request set-header {xff} %[src] unless {given}"
    yield f"    http-request set-header X-Forwarded-Proto {listener.protocol}"
    yield f"    http-request set-header X-Forwarded-Port {listener.port}"
    trace = "X-Amzn-Trace-Id"
    yield "    http-request set-var-fmt(txn.now) %{+X}Ts"
    fresh = "1-%[var(txn.now),lower]-%[uuid(),regsub(-,,g),bytes(0,24)]"
    yield f"    http-request set-var-fmt(txn.trace) {fresh}"
    rooted = f"{{ req.fhdr({trace}) -m sub Root= }}"
    given = f"{{ req.fhdr({trace}) -m found }}"
    both = f"%[var(txn.trace)];%[req.fhdr({trace})]"
    yield f"    http-request set-header {trace} Self={both} if {rooted}"
    yield f"    http-request set-header {trace} Root={both} if {given} !{rooted}"
    yield f"    http-request set-header {trace} Root=%[var(txn.trace)] unless {given}"


def _forward(action: Forward, test: str, known: set[str]) -> Iterator[str]:
    """Share out by the request's throw of the die; a group of no weight gets nothing."""
    weights = [(name, weight) for name, weight in action.weights if weight > 0 and name in known]
    total = sum(weight for _, weight in weights)
    below = 0
    if action.sticky_s and len(weights) > 1:
        yield from _sticky(action, test, [name for name, _ in weights])
    for name, weight in weights:
        below += weight
        limit = below * 1000000 // total
        share = "" if below == total else f" {{ var(txn.die) -m int lt {limit} }}"
        yield f"    use_backend {name} if {test}{share}"


def _sticky(action: Forward, test: str, names: Sequence[str]) -> Iterator[str]:
    """Have a client stay with the target group that it was given first."""
    yield f"    http-request set-var(txn.sticky) int({action.sticky_s}) if {test}"
    cookie = f'"{_GROUP_COOKIE}=%[be_name]; Max-Age=%[var(txn.sticky)]; Path=/"'
    yield (
        f"    http-response add-header Set-Cookie {cookie} if {{ var(txn.sticky) -m found }} {test}"
    )
    for name in names:
        yield f"    use_backend {name} if {test} {{ req.cook({_GROUP_COOKIE}) -m str {name} }}"


def _fixed(action: FixedResponse, test: str) -> str:
    body = f" content-type {quote(action.content_type)} string {quote(action.body)}"
    return f"    http-request return status {action.status}{body if action.body else ''} if {test}"


def _redirect(action: Redirect, listener: Listener, test: str) -> Iterator[str]:
    protocol = action.protocol.lower().replace("#{protocol}", listener.protocol)
    target = action.port.replace("#{port}", str(listener.port))
    base = f"{_template(protocol)}://{_template(action.host)}:{_template(target)}{_template(action.path)}"
    code = action.status
    if action.query == "#{query}":
        asked = "{ query -m len gt 0 }"
        yield f"    http-request redirect location {base}?%[query] code {code} if {test} {asked}"
        yield f"    http-request redirect location {base} code {code} if {test}"
        return
    query = f"?{_template(action.query)}" if action.query else ""
    yield f"    http-request redirect location {base}{query} code {code} if {test}"


def _template(text: str) -> str:
    """Return a log-format string: `#{…}` stand for the request's parts, all else for itself."""
    parts = {
        "#{host}": "%[req.hdr(host),field(1,:)]",
        "#{path}": "%[path,bytes(1)]",
        "#{query}": "%[query]",
    }
    pieces = re.split(r"(#\{(?:host|path|query)\})", text)
    return "".join(parts.get(piece) or quote(piece.replace("%", "%%")) for piece in pieces)
