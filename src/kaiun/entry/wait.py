"""Wait until something answers: tcp://host:port, http(s)://…, unix:/path, file:/path.

Attempts are made in a thread, so that a name server that does not answer cannot keep the start
from ending when it is told to.
"""

from __future__ import annotations

import _thread
import os
import time

from kaiun.entry import signals
from kaiun.entry.failure import Failure
from kaiun.entry.steps import limited

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kaiun.entry.settings import Item
    from kaiun.entry.steps import Context

PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
ATTEMPT_S = 5.0


class Attempt:
    """The attempts at one address; `why` the last one failed."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.why = "no answer"
        self.failure: Failure | None = None
        self.done = _thread.allocate_lock()
        self.done.acquire()

    def loop(self) -> None:
        """Try until it works."""
        number = 0
        try:
            while True:
                try:
                    attempt(self.address)
                    break
                except OSError as problem:
                    self.why = problem.strerror or str(problem) or "no answer"
                time.sleep(PAUSES_S[min(number, len(PAUSES_S) - 1)])
                number += 1
        except Failure as failure:
            self.failure = failure
        except Exception as bug:  # noqa: BLE001  (a thread's traceback would be all that is seen)
            self.failure = Failure(f"cannot be waited for ({type(bug).__name__})")
        finally:
            self.done.release()


def step(items: list[Item], context: Context) -> None:
    """Wait for each, one after the other."""

    def wait(item: Item) -> None:
        address = context.variables.expand(item["name"])
        trying = Attempt(address)
        try:
            _thread.start_new_thread(trying.loop, ())
            trying.done.acquire()
        except signals.TimedOut:
            why = f"not within {item['timeout']:g} s: {trying.why}"
            raise Failure(why, item=shown(address)) from None
        if trying.failure:
            raise trying.failure

    for item in items:
        limited(item, wait)


def shown(address: str) -> str:
    """Return an address without user and password."""
    scheme, separator, rest = address.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if separator else address


def attempt(address: str) -> None:
    """Try once. Raises OSError when it is not there yet, Failure when it never will be."""
    scheme, _, rest = address.partition(":")
    if scheme == "file":
        os.stat(_path(rest))
    elif scheme == "unix":
        _unix(_path(rest))
    elif scheme == "tcp":
        _tcp(*host_and_port(rest, 0)).close()
    elif scheme in ("http", "https"):
        _http(scheme, rest)
    else:
        raise Failure("expected tcp://host:port, http://…, https://…, unix:/path or file:/path")


def host_and_port(rest: str, default: int) -> tuple[str, int]:
    """Return host and port of "//user@host:port/path". Raises Failure without a port."""
    place = rest.lstrip("/").partition("/")[0].rpartition("@")[2]
    host, colon, port = place.rpartition(":")
    if not colon or not port.isdigit():
        if not default:
            raise Failure("has no port")
        host, port = place, str(default)
    return host.strip("[]"), int(port)


def _path(rest: str) -> str:
    return "/" + rest.lstrip("/")


def _tcp(host: str, port: int):  # type: ignore[no-untyped-def]
    import socket

    return socket.create_connection((host, port), timeout=ATTEMPT_S)


def _unix(path: str) -> None:
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.settimeout(ATTEMPT_S)
        door.connect(path)


def _http(scheme: str, rest: str) -> None:
    """Ask for a page; a status below 400 is an answer."""
    host, port = host_and_port(rest, 443 if scheme == "https" else 80)
    path = "/" + rest.lstrip("/").partition("/")[2]
    with _tcp(host, port) as door:
        if scheme == "https":
            import ssl

            door = ssl.create_default_context().wrap_socket(door, server_hostname=host)  # noqa: PLW2901
        name = host if port in (80, 443) else f"{host}:{port}"
        head = (
            f"GET {path} HTTP/1.0\r\nHost: {name}\r\nUser-Agent: kaiun\r\nConnection: close\r\n\r\n"
        )
        door.sendall(head.encode())
        status = _status(door)
    if not 200 <= status < 400:
        raise OSError(0, f"status {status}")


def _status(door) -> int:  # type: ignore[no-untyped-def]
    said = b""
    while b"\n" not in said and len(said) < 4096:
        chunk = door.recv(512)
        if not chunk:
            break
        said += chunk
    words = said.split(b"\n", 1)[0].split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise OSError(0, "does not speak HTTP")
    return int(words[1])
