"""The data plane with a real HAProxy: what a listener answers, and that no change drops any."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.load import Load
from support.web import Reply, Site, get, sites

from kaiun.engine.balancer import requests
from kaiun.engine.balancer.base import (
    Backend,
    FixedResponse,
    Forward,
    Listener,
    Redirect,
    Rule,
    Served,
    Server,
    ServerState,
    Wiring,
)
from kaiun.engine.balancer.haproxy import HaproxyBalancer, log_socket
from kaiun.engine.child import beginning, free_port
from kaiun.errors import EngineError

pytestmark = pytest.mark.skipif(
    shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin") is None,
    reason="HAProxy is not installed",
)

KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
READY, DRAIN, DOWN = ServerState.READY, ServerState.DRAIN, ServerState.DOWN


def server(site: Site, state: ServerState = READY) -> Server:
    return Server("127.0.0.1", site.port, state)


def to(name: str) -> Forward:
    return Forward(((name, 1),))


@asynccontextmanager
async def balancer(home: Path) -> AsyncIterator[HaproxyBalancer]:
    made = HaproxyBalancer(home)
    await made.open()
    try:
        yield made
    finally:
        await made.close(stop=True)


def pid(home: Path) -> int:
    return int((home / "haproxy.pid").read_text().split('"pid": ')[1].split(",")[0])


def test_request_is_forwarded_with_the_headers_of_a_load_balancer(tmp_path: Path) -> None:
    async def body() -> None:
        async with balancer(tmp_path) as b, sites("a") as [a]:
            port = free_port()
            await b.apply(Wiring((Listener("l", port, to("a")),), (Backend("a", (server(a),)),)))
            reply = await get(port, "/x?y=1", headers={"X-Forwarded-For": "192.0.2.1"})
            lines = reply.body.lower().split("\r\n")
            assert lines[0] == "a\nget /x?y=1 http/1.1"
            assert "x-forwarded-for: 192.0.2.1, 127.0.0.1" in lines
            assert "x-forwarded-proto: http" in lines
            assert f"x-forwarded-port: {port}" in lines
            trace = next(line for line in lines if line.startswith("x-amzn-trace-id"))
            root = trace.partition("root=1-")[2].split("-")
            assert [len(part) for part in root] == [8, 24]
            assert set("".join(root)) <= set("0123456789abcdef")

    asyncio.run(body())


def test_trace_id_of_the_client_is_kept(tmp_path: Path) -> None:
    async def body() -> None:
        async with balancer(tmp_path) as b, sites("a") as [a]:
            port = free_port()
            await b.apply(Wiring((Listener("l", port, to("a")),), (Backend("a", (server(a),)),)))
            reply = await get(port, headers={"X-Amzn-Trace-Id": "Root=1-2-3"})
            assert "x-amzn-trace-id: self=1-" in reply.body.lower()
            assert ";root=1-2-3\r\n" in reply.body.lower()

    asyncio.run(body())


def test_no_target_is_503_and_a_dead_one_is_502(tmp_path: Path) -> None:
    async def body() -> None:
        async with balancer(tmp_path) as b, sites("a", "b") as [a, dead]:
            await dead.close()
            port = free_port()
            listeners = (Listener("l", port, to("g")),)
            await b.apply(Wiring(listeners, (Backend("g"),)))
            assert (await get(port)).status == 503
            await b.apply(Wiring(listeners, (Backend("g", (server(dead),)),)))
            assert (await get(port)).status == 502
            a.status = 503  # the application's own 503 stays one
            await b.apply(Wiring(listeners, (Backend("g", (server(a),)),)))
            assert (await get(port)).status == 503
            for state in (DRAIN, DOWN):
                await b.apply(Wiring(listeners, (Backend("g", (server(a, state),)),)))
                assert "503 Service Temporarily" in (await get(port)).body

    asyncio.run(body())


def test_target_slower_than_the_idle_timeout_is_504(tmp_path: Path) -> None:
    async def body() -> None:
        async with balancer(tmp_path) as b, sites("slow", delay_s=5) as [slow]:
            port = free_port()
            listener = Listener("l", port, to("g"), idle_timeout_s=1)
            await b.apply(Wiring((listener,), (Backend("g", (server(slow),)),)))
            assert (await get(port)).status == 504

    asyncio.run(body())


def test_one_dead_target_of_two_costs_no_request(tmp_path: Path) -> None:
    async def body() -> None:
        async with balancer(tmp_path) as b, sites("a", "b") as [a, dead]:
            port = free_port()
            backend = Backend("g", (server(a), server(dead)))
            await b.apply(Wiring((Listener("l", port, to("g")),), (backend,)))
            await dead.close()
            assert {(await get(port)).status for _ in range(10)} == {200}

    asyncio.run(body())


RULES: list[tuple[dict[str, tuple[str, ...]], str, dict[str, str], bool]] = [
    ({"host-header": ("*.shop.test",)}, "/", {"Host": "www.SHOP.test:80"}, True),
    ({"host-header": ("*.shop.test",)}, "/", {"Host": "shop.test"}, False),
    ({"path-pattern": ("/img/*", "/up")}, "/img/a/b.png", {}, True),
    ({"path-pattern": ("/img/*", "/up")}, "/up?x=1", {}, True),
    ({"path-pattern": ("/img/*", "/up")}, "/UP", {}, False),
    ({"path-pattern": ("/a?c",)}, "/abc", {}, True),
    ({"path-pattern": ("/a.c",)}, "/abc", {}, False),
    ({"path-pattern": ("/$&{}[]\"'#%~ü",)}, "/abc", {}, False),
    ({"http-header:X-Kind": ("beta*",)}, "/", {"X-Kind": "Beta-2, x"}, True),
    ({"http-header:X-Kind": ("beta",)}, "/", {}, False),
    ({"query-string:v": ("2",)}, "/?a=1&v=2", {}, True),
    ({"query-string:v": ("2",)}, "/?a=1&vv=2", {}, False),
    ({"query-string:": ("*zz*",)}, "/?a=1&q=xzzy", {}, True),
    ({"query-string:": ("z",)}, "/?z=1", {}, False),
    ({"source-ip": ("127.0.0.0/8",)}, "/", {}, True),
    ({"source-ip": ("10.0.0.0/8",)}, "/", {}, False),
    ({"http-request-method": ("GET", "HEAD")}, "/", {}, True),
    ({"http-request-method": ("POST",)}, "/", {}, False),
    ({"path-pattern": ("/a",), "http-request-method": ("GET",)}, "/a", {}, True),
    ({"path-pattern": ("/a",), "http-request-method": ("POST",)}, "/a", {}, False),
]


def test_rules_match_as_a_load_balancer_matches(tmp_path: Path) -> None:
    async def body() -> None:
        async with balancer(tmp_path) as b:
            no = FixedResponse(200, body="no")
            yes = FixedResponse(200, body="yes")
            ports = [free_port() for _ in RULES]
            listeners = [
                Listener(f"l{n}", port, no, (Rule(rule[0], yes),))
                for n, (port, rule) in enumerate(zip(ports, RULES, strict=True))
            ]
            await b.apply(Wiring(tuple(listeners)))
            for port, (conditions, path, headers, expected) in zip(ports, RULES, strict=True):
                reply = await get(port, path, headers=headers)
                assert (conditions, path, reply.body) == (conditions, path, ("no", "yes")[expected])

    asyncio.run(body())


def test_first_rule_that_matches_wins(tmp_path: Path) -> None:
    async def body() -> None:
        async with balancer(tmp_path) as b, sites("a") as [a]:
            port = free_port()
            rules = (
                Rule({"path-pattern": ("/a*",)}, to("a")),
                Rule({"path-pattern": ("/*",)}, FixedResponse(418, body="two")),
            )
            listener = Listener("l", port, FixedResponse(404, body="none"), rules)
            await b.apply(Wiring((listener,), (Backend("a", (server(a),)),)))
            assert (await get(port, "/ab")).status == 200
            assert (await get(port, "/b")).status == 418

    asyncio.run(body())


@pytest.mark.parametrize(
    ("redirect", "path", "expected"),
    [
        (Redirect(301, protocol="HTTPS", port="443"), "/a/b?c=d&e=%20", "https://h.test:443/a/b?c=d&e=%20"),
        (Redirect(302), "/a", "http://h.test:PORT/a"),
        (Redirect(302, host="x.#{host}", path="/old/#{path}/%", query=""), "/a?b", "http://x.h.test:PORT/old/a/%"),
        (Redirect(302, query="from=#{path}&#{query}"), "/a?b", "http://h.test:PORT/a?from=a&b"),
    ],
)  # fmt: skip
def test_redirect_fills_in_the_request(
    tmp_path: Path, redirect: Redirect, path: str, expected: str
) -> None:
    async def body() -> None:
        async with balancer(tmp_path) as b:
            port = free_port()
            await b.apply(Wiring((Listener("l", port, redirect),)))
            reply = await get(port, path, headers={"Host": f"h.test:{port}"})
            assert reply.status == redirect.status
            assert reply.headers["location"] == expected.replace("PORT", str(port))

    asyncio.run(body())


def test_fixed_response_is_sent_as_it_stands(tmp_path: Path) -> None:
    async def body() -> None:
        async with balancer(tmp_path) as b:
            port = free_port()
            text = '{"sorry": "100 % \\ $x #{host} 日本"}\n'
            answer = FixedResponse(503, "application/json", text)
            await b.apply(Wiring((Listener("l", port, answer),)))
            reply = await get(port)
            assert (reply.status, reply.body) == (503, text)
            assert reply.headers["content-type"] == "application/json"

    asyncio.run(body())


def test_weights_share_out_the_requests(tmp_path: Path) -> None:
    async def body() -> None:
        async with balancer(tmp_path) as b, sites("a", "b", "c") as [x, y, z]:
            port = free_port()
            forward = Forward((("a", 80), ("b", 20), ("c", 0)))
            backends = tuple(Backend(site.name, (server(site),)) for site in (x, y, z))
            await b.apply(Wiring((Listener("l", port, forward),), backends))
            for _ in range(300):
                await get(port)
            assert x.requests + y.requests == 300
            assert 30 <= y.requests <= 95
            served = await b.take_served()
            assert {name: own.requests for name, own in served.items()} == {
                "a": x.requests, "b": y.requests, "c": 0,
            }  # fmt: skip
            assert {name: own.answers for name, own in served.items()} == {
                "a": {2: x.requests}, "b": {2: y.requests}, "c": {},
            }  # fmt: skip
            assert all(own.requests == 0 for own in (await b.take_served()).values())

    asyncio.run(body())


def test_no_request_is_lost_to_the_count_as_servers_and_workers_come_and_go(
    tmp_path: Path,
) -> None:
    async def body() -> None:
        async with balancer(tmp_path) as b, sites("x", "y", "z") as found:
            port, served = free_port(), Served()
            listeners = [Listener("l", port, to("web"))]
            for site in found * 3:
                await b.apply(Wiring(tuple(listeners), (Backend("web", (server(site),)),)))
                for _ in range(20):
                    await get(port)
                listeners.append(Listener(f"l{len(listeners)}", free_port(), to("web")))
                changed = Wiring(tuple(listeners), (Backend("web", (server(site),)),))
                await asyncio.gather(b.apply(changed), *(get(port) for _ in range(20)))
            async with asyncio.timeout(10):
                while served.requests < 360 or served.answers.get(2, 0) < 360:
                    served = served.plus((await b.take_served()).get("web", Served()))
                    await asyncio.sleep(0.05)
            assert (served.requests, served.answers, served.failed) == (360, {2: 360}, 0)

    asyncio.run(body())


def cookie_of(reply: Reply) -> str:
    return reply.headers["set-cookie"].partition(";")[0]


def test_a_client_with_a_cookie_keeps_its_target_as_long_as_there_is_one(tmp_path: Path) -> None:
    async def body() -> None:
        async with balancer(tmp_path) as b, sites("a", "b", "c") as [x, y, z]:
            port = free_port()
            listener = Listener("l", port, to("web"))
            await b.apply(Wiring((listener,), (Backend("web", (server(x), server(y)), 60),)))
            first = await get(port)
            assert "Max-Age=60" in first.headers["set-cookie"]
            mine = {"Cookie": cookie_of(first)}
            name = first.body.splitlines()[0]
            for _ in range(10):
                assert (await get(port, headers=mine)).body.splitlines()[0] == name
            await b.apply(
                Wiring((listener,), (Backend("web", (server(x), server(y), server(z)), 60),))
            )
            assert (await get(port, headers=mine)).body.splitlines()[0] == name
            other = y if name == "a" else x
            await b.apply(Wiring((listener,), (Backend("web", (server(other), server(z)), 60),)))
            moved = await get(port, headers=mine)
            assert moved.body.splitlines()[0] != name
            assert cookie_of(moved) != mine["Cookie"]

    asyncio.run(body())


def test_a_client_with_a_cookie_keeps_its_target_group(tmp_path: Path) -> None:
    async def body() -> None:
        async with balancer(tmp_path) as b, sites("a", "b") as [x, y]:
            port = free_port()
            backends = tuple(Backend(site.name, (server(site),)) for site in (x, y))

            async def wire(*weights: int) -> None:
                forward = Forward(tuple(zip("ab", weights, strict=True)), 60)
                await b.apply(Wiring((Listener("l", port, forward),), backends))

            await wire(50, 50)
            first = await get(port)
            mine = {"Cookie": cookie_of(first)}
            name = first.body.splitlines()[0]
            for _ in range(20):
                assert (await get(port, headers=mine)).body.splitlines()[0] == name
            await wire(*((0, 100) if name == "a" else (100, 0)))
            assert (await get(port, headers=mine)).body.splitlines()[0] != name

    asyncio.run(body())


def test_https_speaks_with_a_certificate_of_the_local_authority(tmp_path: Path) -> None:
    async def body() -> None:
        async with balancer(tmp_path) as b, sites("a") as [a]:
            port = free_port()
            listener = Listener("l", port, to("a"), certified=("shop.localhost", "*.example.test"))
            await b.apply(Wiring((listener,), (Backend("a", (server(a),)),)))
            trust = ssl.create_default_context(cafile=str(tmp_path / "tls" / "ca.pem"))
            for host in ("shop.localhost", "www.example.test"):
                reply = await get(port, tls=trust, headers={"Host": host})
                lines = reply.body.lower().split("\r\n")
                assert "x-forwarded-proto: https" in lines
            with pytest.raises(ssl.SSLCertVerificationError):
                await get(port, tls=trust, headers={"Host": "elsewhere.test"})
            assert {f.stat().st_mode & 0o777 for f in (tmp_path / "tls").iterdir()} == {0o600}

    asyncio.run(body())


def test_redirect_of_a_https_listener_stays_https(tmp_path: Path) -> None:
    async def body() -> None:
        async with balancer(tmp_path) as b:
            port = free_port()
            listener = Listener("l", port, Redirect(301, path="/new"), certified=("localhost",))
            await b.apply(Wiring((listener,)))
            trust = ssl.create_default_context(cafile=str(tmp_path / "tls" / "ca.pem"))
            reply = await get(port, "/old", tls=trust)
            assert reply.headers["location"] == f"https://localhost:{port}/new"

    asyncio.run(body())


def test_each_request_of_a_logged_listener_is_told(tmp_path: Path) -> None:
    async def body() -> None:
        async with balancer(tmp_path) as b, sites("a") as [a]:
            told = asyncio.get_running_loop().create_future()
            hears = await listen(log_socket(tmp_path), told.set_result)
            port = free_port()
            rule = Rule({"path-pattern": ("/gone",)}, FixedResponse(410))
            listener = Listener("l", port, to("a"), (rule,), logged=True)
            await b.apply(Wiring((listener,), (Backend("a", (server(a),)),)))
            await get(port, '/x?y="1"', headers={"User-Agent": "tab\there"})
            request = requests.read((await told).decode())
            hears.close()
            assert (request.frontend, request.backend) == (f"listener-{port}-l", "a")
            assert (request.target_ip, request.target_port) == ("127.0.0.1", str(a.port))
            assert (request.status, request.target_status, request.rule) == ("200", "200", 0)
            assert (request.method, request.uri, request.version) == ("GET", '/x?y="1"', "HTTP/1.1")
            assert (request.host, request.agent) == ("localhost", "tab\there")
            assert request.trace.startswith("Root=1-")

    asyncio.run(body())


async def listen(path: Path, on_datagram: Callable[[bytes], None]) -> asyncio.BaseTransport:
    class Receiver(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, _addr: object) -> None:
            on_datagram(data)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        Receiver, local_addr=str(path), family=socket.AF_UNIX
    )
    return transport


def test_websocket_outlives_the_draining_of_its_target(tmp_path: Path) -> None:
    async def body() -> None:
        async with balancer(tmp_path) as b, sites("a") as [a]:
            port = free_port()
            listeners = (Listener("l", port, to("g")),)
            await b.apply(Wiring(listeners, (Backend("g", (server(a),)),)))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            upgrade = b"Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + KEY
            writer.write(b"GET / HTTP/1.1\r\n" + upgrade)
            await reader.readuntil(b"hello from a")
            await b.apply(Wiring(listeners, (Backend("g"),)))
            writer.write(upgrade)
            await reader.readuntil(b"hello from a")
            writer.close()

    asyncio.run(body())


def test_request_under_way_ends_although_its_target_was_removed(tmp_path: Path) -> None:
    async def body() -> None:
        async with balancer(tmp_path) as b, sites("slow", "next", delay_s=0.5) as [slow, other]:
            port = free_port()
            listeners = (Listener("l", port, to("g")),)
            await b.apply(Wiring(listeners, (Backend("g", (server(slow),)),)))
            under_way = asyncio.create_task(get(port))
            while not slow.requests:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await b.apply(Wiring(listeners, (Backend("g", (server(other),)),)))
            more = Listener("m", free_port(), to("g"))
            await b.apply(Wiring((*listeners, more), (Backend("g", (server(other),)),)))
            assert (await under_way).body.startswith("slow")
            assert (await get(port)).body.startswith("next")

    asyncio.run(body())


def test_twenty_rollouts_and_reloads_under_load_fail_no_request(tmp_path: Path) -> None:
    """Each round: a new server comes, the old one drains, is removed and closed at once."""

    async def body() -> None:
        async with balancer(tmp_path) as b, sites("v0", delay_s=0.01) as [first]:
            port, old = free_port(), first
            listeners = [Listener("l", port, to("g"))]

            async def wire(*servers: Server) -> None:
                await b.apply(Wiring(tuple(listeners), (Backend("g", servers),)))

            await wire(server(old))
            with_load = Load(port, rate=150)
            with_load.__enter__()
            for turn in range(1, 21):
                new = Site(f"v{turn}", 0.01)
                await new.start()
                await wire(server(old), server(new))
                await wire(server(old, DRAIN), server(new))
                await asyncio.sleep(0.05)  # the deregistration delay: requests under way end
                if turn % 4 == 0:
                    listeners.append(Listener(f"more{turn}", free_port(), to("g")))
                await wire(server(new))
                await old.close()
                old = new
            await asyncio.to_thread(with_load.__exit__, None, None, None)
            await old.close()
            report = with_load.report
            assert report.failures == []
            assert report.ok == report.sent > 150

    asyncio.run(body())


def test_next_engine_adopts_it_without_a_restart(tmp_path: Path) -> None:
    async def body() -> None:
        async with balancer(tmp_path) as b, sites("a", "b") as [a, other]:
            port = free_port()
            listeners = (Listener("l", port, to("g")),)
            await b.apply(Wiring(listeners, (Backend("g", (server(a),)),)))
            await get(port)
            await b.close(stop=False)
            first = pid(tmp_path)
            async with balancer(tmp_path) as adopted:
                assert (await adopted.take_served()).get("g", Served()).requests == 0
                await adopted.apply(Wiring(listeners, (Backend("g", (server(other),)),)))
                assert pid(tmp_path) == first
                assert (await get(port)).body.startswith("b\n")
                log = (tmp_path / "haproxy.log").read_text()
                assert "Reloading" not in log

    asyncio.run(body())


def test_killed_haproxy_is_started_again(tmp_path: Path) -> None:
    async def body() -> None:
        async with balancer(tmp_path) as b:
            port = free_port()
            wiring = Wiring((Listener("l", port, FixedResponse(200, body="hi")),))
            await b.apply(wiring)
            killed = pid(tmp_path)
            os.kill(killed, signal.SIGKILL)
            while beginning(killed):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await b.apply(wiring)
            assert (await get(port)).body == "hi"

    asyncio.run(body())


def test_taken_port_is_named_and_harms_no_other_listener(tmp_path: Path) -> None:
    async def body() -> None:
        async with balancer(tmp_path) as b, sites("a") as [a]:
            good, also = free_port(), free_port()
            first = Listener("good", good, FixedResponse(200, body="hi"))
            bad = Listener("bad", a.port, FixedResponse(200))
            second = Listener("also", also, FixedResponse(200, body="ho"))
            await b.apply(Wiring((first,)))
            for _ in range(2):
                with pytest.raises(EngineError, match=f"bad: port {a.port} is taken"):
                    await b.apply(Wiring((first, bad, second)))
            assert (await get(good)).body == "hi"
            assert (await get(also)).body == "ho"

    asyncio.run(body())


def test_removed_listener_gives_its_port_back(tmp_path: Path) -> None:
    async def body() -> None:
        async with balancer(tmp_path) as b:
            one, two = free_port(), free_port()
            first = Listener("one", one, FixedResponse(200, body="1"))
            second = Listener("two", two, FixedResponse(200, body="2"))
            await b.apply(Wiring((first, second)))
            await b.apply(Wiring((first,)))
            site = Site("own", port=two)
            await site.start()
            assert (await get(two)).body.startswith("own")
            await site.close()
            await b.apply(Wiring(()))
            with pytest.raises(ConnectionRefusedError):
                await get(one)

    asyncio.run(body())


def test_long_home_gets_short_sockets_that_go_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = Path(tempfile.mkdtemp(prefix="k", dir="/tmp"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short))

    async def body() -> None:
        async with balancer(tmp_path / ("long" * 25)) as b:
            port = free_port()
            await b.apply(Wiring((Listener("l", port, FixedResponse(200, body="hi")),)))
            assert (await get(port)).body == "hi"

    asyncio.run(body())
    short.rmdir()  # which raises unless it is empty
