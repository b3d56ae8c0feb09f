"""Images from commits, all of it real: git, BuildKit, a registry.

No image is pulled: the images hold this machine's own shell and the libraries it needs.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from kaiun.errors import ImageError
from kaiun.image import BuildEvent, Built, Source, Workshop, ensure, resolve
from kaiun.image.client import find as find_client
from support.repository import Repository

PROGRAMS = ("sh", "cat", "sleep", "ls")
DOCKERFILE = """\
FROM scratch
COPY system/ /
ARG WHO=nobody
RUN echo hello $WHO > /hello
COPY . /app/
CMD ["/bin/ls", "/app"]
"""


def system() -> dict[str, str | bytes]:
    """Return a root file system that can run this machine's shell."""
    return programs(*PROGRAMS)


def programs(*names: str) -> dict[str, str | bytes]:
    """Return programs of this machine with the libraries that they need."""
    files: dict[str, str | bytes] = {}
    for name in names:
        program = shutil.which(name)
        assert program
        linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True)
        files[f"system/bin/{name}"] = Path(program).read_bytes()
        for library in re.findall(r"/\S+", linked.stdout):
            files[f"system{library}"] = Path(library).read_bytes()
    return files


def docker(*arguments: str) -> str:
    program = find_client().program
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@contextlib.contextmanager
def registry_process(directory: Path, extra: str = "") -> Iterator[str]:
    """Run a registry on a port of its own choosing; yield host:port."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("no registry here: apt-get install docker-registry")
    settings = directory / "registry.yml"
    settings.write_text(
        f"version: 0.1\nstorage:\n  filesystem: {{rootdirectory: {directory}/data}}\n"
        "  delete: {enabled: true}\nhttp: {addr: '127.0.0.1:0', secret: s}\n" + extra
    )
    log = directory / "registry.log"
    with log.open("wb") as output:
        process = subprocess.Popen([program, "serve", str(settings)], stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 20
        while not (found := re.search(r"listening on 127\.0\.0\.1:(\d+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield f"localhost:{found[1]}"
    finally:
        process.terminate()
        process.wait(10)


@dataclass
class Bench:
    """One application with its repository, registry and everything that kaiun told."""

    repository: Repository
    source: Source
    workshop: Workshop
    events: list[BuildEvent]

    def ensure(self, *, no_cache: frozenset[str] = frozenset(), **changes: object) -> Built:
        workshop = replace(self.workshop, no_cache=no_cache)
        source = replace(self.source, **changes)  # type: ignore[arg-type]
        revision = resolve(self.repository.path)
        return ensure(source, revision, workshop)

    def run(self, image: str, *command: str) -> str:
        return docker("run", "--rm", "--network=none", image, *command)

    def failing(self) -> ImageError:
        with pytest.raises(ImageError) as caught:
            self.ensure()
        return caught.value
