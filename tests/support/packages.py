"""A source of gems and npm packages, for builds that cannot reach the real ones.

It listens on the address of Docker's bridge, where builds can reach it and other machines cannot,
and remembers what it was asked for.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.server
import io
import ipaddress
import json
import os
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from support.images import docker

GEMSPEC = """\
Gem::Specification.new do |spec|
  spec.name, spec.version, spec.summary, spec.authors = "{name}", "1.0.0", "for a test", ["a test"]
  spec.homepage, spec.license, spec.files = "https://example.com", "MIT", Dir["lib/**", "ext/**"]
  spec.extensions = Dir["ext/extconf.rb"]
end
"""


@dataclass
class Shelf:
    """What is offered: `folder` is served as it is. `asked` are the paths, in order."""

    folder: Path
    url: str = ""
    asked: list[str] = field(default_factory=list)

    def fetched(self) -> list[str]:
        """Return the packages that were fetched since the last call, by their files' names."""
        names = [Path(path).name for path in self.asked if path.endswith((".gem", ".tgz"))]
        self.asked.clear()
        return sorted(names)

    def add_gems(self, image: str, gems: Mapping[str, Mapping[str, str]]) -> None:
        """Build gems from their files by the Ruby of an image, and index all there are."""
        for name, files in gems.items():
            for path, text in {f"{name}.gemspec": GEMSPEC.format(name=name), **files}.items():
                file = self.folder / "sources" / name / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        script = (
            "set -e; mkdir -p gems; for gem in sources/*; do (cd $gem && "
            "gem build --quiet *.gemspec --output ../../gems/${gem##*/}-1.0.0.gem); done; "
            "gem generate_index --directory ."
        )
        docker(
            *("run", "--rm", f"--volume={self.folder}:/shelf", "--workdir=/shelf"),
            *(f"--user={os.getuid()}:{os.getgid()}", "--env=HOME=/tmp", image, "sh", "-c", script),
        )

    def add_npm(self, name: str, code: str) -> dict[str, str]:
        """Offer an npm package of one file; return what package-lock.json says of it."""
        files = {"package.json": json.dumps({"name": name, "version": "1.0.0"}), "index.js": code}
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for path, text in files.items():
                entry = tarfile.TarInfo(f"package/{path}")
                entry.size = len(text.encode())
                tar.addfile(entry, io.BytesIO(text.encode()))
        data = gzip.compress(archive.getvalue(), mtime=0)  # the same package, the same bytes
        (self.folder / f"{name}-1.0.0.tgz").write_bytes(data)
        digest = base64.b64encode(hashlib.sha512(data).digest()).decode()
        resolved = f"{self.url}/{name}-1.0.0.tgz"
        return {"version": "1.0.0", "resolved": resolved, "integrity": f"sha512-{digest}"}


@contextmanager
def shelf(folder: Path) -> Iterator[Shelf]:
    """Serve a folder on a port of its own choosing while the context lasts."""
    offered = Shelf(folder)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            offered.asked.append(self.path)
            super().do_GET()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            del format, arguments

    handler = partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer((_bridge(), 0), handler) as server:
        offered.url = f"http://{server.server_address[0]!s}:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield offered
        finally:
            server.shutdown()
            thread.join()


def _bridge() -> str:
    """Return the address that this machine has on Docker's own bridge."""
    asked = "{{range .IPAM.Config}}{{.Gateway}} {{.Subnet}}{{end}}"
    *gateway, subnet = docker("network", "inspect", "bridge", f"--format={asked}").split()
    return gateway[0] if gateway else str(next(ipaddress.ip_network(subnet).hosts()))
