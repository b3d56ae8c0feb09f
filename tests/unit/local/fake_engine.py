"""A stand-in for kaiun-engine that keeps its contract with kaiun.local: files, health, shutdown."""

from __future__ import annotations

import argparse
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer({"status": "ok", "pid": os.getpid()})

    def do_POST(self) -> None:
        signed = "/kaiun/aws4_request" in self.headers.get("Authorization", "")
        with Path("posts").open("a") as posts:
            posts.write(f"{self.path} {signed}\n")
        self._answer({})
        if self.path == "/_kaiun/shutdown":
            self.server._BaseServer__shutdown_request = True  # type: ignore[attr-defined]

    def _answer(self, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path)
    for name in ("--port", "--registry-port", "--fluent-port"):
        parser.add_argument(name, type=int)
    parser.add_argument("--runtime")
    parser.add_argument("--fail", action="store_true")
    options = parser.parse_args()
    if options.fail:
        sys.exit("no Docker Engine here")
    server = ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
    (options.home / "engine.pid").write_text(str(os.getpid()))
    with (options.home / "starts").open("a") as starts:
        starts.write(f"{os.getpid()} {options.registry_port}\n")
    env = {
        "endpoint": f"http://127.0.0.1:{server.server_port}",
        "region": "us-east-1",
        "access_key": "AK",
        "secret_key": "it's secret",
        "registry": f"localhost:{options.registry_port}",
        "fluent": f"127.0.0.1:{options.fluent_port}",
    }
    partial = options.home / "env.json.new"
    partial.write_text(json.dumps(env))
    partial.rename(options.home / "env.json")
    server.serve_forever(poll_interval=0.05)
    (options.home / "engine.pid").unlink()


if __name__ == "__main__":
    main()
