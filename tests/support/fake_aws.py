"""AWS at the wire, for what botocore's Stubber cannot show: attempts, parallel calls, timeouts.

Speaks awsJson (ECS, Logs, SSM): an operation is answered by a function of its input, which
returns (status, body). Every request is remembered.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from botocore.session import Session

from kaiun.aws.caller import Caller, Endpoint

SESSION = Session()  # parses each service model once for all tests

Answer = tuple[int, object]
Operation = Callable[[dict[str, Any]], Answer]


@dataclass
class FakeAws:
    url: str
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def inputs(self, operation: str) -> list[dict[str, Any]]:
        """Return the inputs of all requests for an operation."""
        return [body for name, body in self.requests if name == operation]

    def caller(self) -> Caller:
        """Return a connection to this AWS, as to a local ECS."""
        endpoint = Endpoint("us-east-1", self.url, "AKIDEXAMPLE", "secret")
        return Caller(endpoint, session=SESSION)


@contextmanager
def fake_aws(operations: Mapping[str, Operation]) -> Iterator[FakeAws]:
    """Serve `operations` on a free port of the loopback."""
    with serving(_Handler) as server:
        fake = FakeAws(url_of(server))
        vars(server).update(fake=fake, operations=operations)
        yield fake


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[ThreadingHTTPServer]:
    """Hold a server on a free port of the loopback; a handler finds it as `self.server`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=lambda: server.serve_forever(0.01))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def url_of(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def refused(code: str, message: str, status: int = 400) -> Answer:
    """Return an error as awsJson has it."""
    return status, {"__type": code, "message": message}


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        served = vars(self.server)
        served["fake"].requests.append((operation, body))
        status, answer = served["operations"][operation](body)
        payload = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
