"""A health check says what a load balancer would say."""

from __future__ import annotations

import asyncio
import time

import pytest
from support.web import Site, sites

from kaiun.engine.child import free_port
from kaiun.engine.probe import ProbeResult, ProbeSettings, check, matches


@pytest.mark.parametrize(
    ("matcher", "code", "expected"),
    [
        ("200", 200, True),
        ("200", 201, False),
        ("200,202", 202, True),
        ("200-399,404", 301, True),
        ("200-399,404", 404, True),
        ("200-399, 404", 400, False),
        ("", 200, False),
        ("x", 200, False),
    ],
)
def test_matcher_holds_codes_and_ranges(matcher: str, code: int, expected: bool) -> None:
    assert matches(matcher, code) is expected


def ask(site: Site, settings: ProbeSettings) -> ProbeResult:
    async def body() -> ProbeResult:
        await site.start()
        try:
            return await check("127.0.0.1", site.port, settings)
        finally:
            await site.close()

    return asyncio.run(body())


def test_expected_code_is_healthy() -> None:
    assert ask(Site("a", status=301), ProbeSettings(matcher="200-399")) == ProbeResult(ok=True)


def test_other_code_is_named() -> None:
    result = ask(Site("a", status=500), ProbeSettings())
    description = "Health checks failed with these codes: [500]"
    assert result == ProbeResult(False, "Target.ResponseCodeMismatch", description)


def test_silence_is_a_timeout_and_takes_no_longer() -> None:
    began = time.monotonic()
    result = ask(Site("a", delay_s=5), ProbeSettings(timeout_s=0.2))
    assert result == ProbeResult(False, "Target.Timeout", "Request timed out")
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("protocol", ["HTTP", "TCP"])
def test_refused_connection_fails(protocol: str) -> None:
    result = asyncio.run(check("127.0.0.1", free_port(), ProbeSettings(protocol=protocol)))
    assert result == ProbeResult(False, "Target.FailedHealthChecks", "Health checks failed")


@pytest.mark.parametrize("answer", [b"", b"220 smtp ready\r\n", b"HTTP/1.1 abc\r\n", b"x" * 9000])
def test_what_is_not_http_fails(answer: bytes) -> None:
    async def body() -> ProbeResult:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(answer)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await check("127.0.0.1", port, ProbeSettings())

    assert asyncio.run(body()).reason == "Target.FailedHealthChecks"


def test_tcp_is_healthy_while_the_connection_stays_open() -> None:
    assert ask(Site("a"), ProbeSettings(protocol="TCP")).ok


def test_tcp_closed_at_once_is_a_proxy_with_nobody_behind() -> None:
    async def body() -> ProbeResult:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await check("127.0.0.1", port, ProbeSettings(protocol="TCP"))

    assert not asyncio.run(body()).ok


def test_port_of_the_health_check_overrides_the_targets() -> None:
    async def body() -> ProbeResult:
        async with sites("a") as [a]:
            return await check("127.0.0.1", free_port(), ProbeSettings(port=a.port))

    assert asyncio.run(body()).ok
