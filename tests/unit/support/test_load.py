"""The load generator must see the failures that it exists to find."""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from support.load import Load


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    socketserver.TCPServer.allow_reuse_address = True
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def say(status: int, body: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def run_until(load: Load, requests: int) -> None:
    deadline = time.monotonic() + 10
    with load:
        while load.report.sent < requests and time.monotonic() < deadline:
            threading.Event().wait(0.01)


def test_good_server_has_no_failures_and_its_pages_are_counted() -> None:
    with serving(say(200, b"page of v1")) as port:
        load = Load(port, rate=200, look_for=("v1", "v2"))
        run_until(load, 60)
    assert load.report.failures == []
    assert load.report.ok == load.report.sent >= 60
    assert load.report.bodies_with == {"v1": load.report.ok}


def test_error_status_is_a_failure() -> None:
    with serving(say(503, b"")) as port:
        load = Load(port, rate=200)
        run_until(load, 20)
    assert {cause for _, cause in load.report.failures} == {"HTTP 503"}


def test_connection_cut_in_the_answer_is_a_failure() -> None:
    def cut(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"half")
        handler.close_connection = True

    with serving(cut) as port:
        load = Load(port, rate=200)
        run_until(load, 20)
    assert load.report.ok == 0
    assert len(load.report.failures) == load.report.sent


def test_nobody_listening_is_a_failure() -> None:
    with serving(say(200, b"")) as port:
        pass
    load = Load(port, rate=200)
    run_until(load, 10)
    assert load.report.ok == 0
    assert len(load.report.failures) == load.report.sent
