"""Waiting for what must answer first."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from support.entry import Entry, item, last_line


@contextmanager
def web(statuses: list[int]) -> Iterator[int]:
    """A server that gives each status once, the last one for ever."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def wait(entry: Entry, address: str, timeout: float = 5, **env: str) -> tuple[int, str]:
    entry.make(steps=[["wait", [item(address, timeout)]]])
    done = entry.run("true", **env)
    return done.returncode, last_line(done)


def test_http_is_asked_until_it_is_well(entry: Entry) -> None:
    with web([503, 500, 204]) as port:
        assert wait(entry, f"http://127.0.0.1:{port}/up")[0] == 0


def test_http_that_stays_ill_is_told(entry: Entry) -> None:
    with web([503]) as port:
        code, line = wait(entry, "http://u:secret@127.0.0.1:${PORT}/", 0.3, PORT=str(port))
    assert code == 70
    assert (
        line
        == f"kaiun: start failed at wait http://127.0.0.1:{port}/: not within 0.3 s: status 503"
    )


def test_tcp_that_refuses_is_told(entry: Entry) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code, line = wait(entry, f"tcp://127.0.0.1:{port}", 0.2)
    assert (code, "Connection refused" in line) == (70, True)


def later(action: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(0.2, action)
    timer.start()
    return timer


def test_file_and_socket_are_waited_for(entry: Entry, tmp_path: Path) -> None:
    timer = later((tmp_path / "there").touch)
    assert wait(entry, f"file:{tmp_path}/there")[0] == 0
    timer.join()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        assert wait(entry, f"unix:{tmp_path}/s")[0] == 0


@pytest.mark.parametrize("address", ["tcp://127.0.0.1", "ftp://x:1"])
def test_address_that_makes_no_sense_fails_at_once(entry: Entry, address: str) -> None:
    assert wait(entry, address)[0] == 70
