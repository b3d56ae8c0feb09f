"""An image of one layer, made on the spot, and docker with a configuration of its own."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from kaiun.image.client import find as find_client
from support import layers

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layer(text: str) -> bytes:
    """Return a layer with one file."""
    return gzip.compress(layers.tar({"hello": text.encode()}), mtime=0)


def manifest(*parts: bytes, config: bytes = b"{}") -> str:
    """Return the manifest of an image with these layers."""
    kind = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _descriptor("application/vnd.docker.container.image.v1+json", config),
            "layers": [_descriptor(kind, part) for part in parts],
        }
    )


def _descriptor(kind: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "size": len(data), "digest": digest_of(data)}


class Docker:
    """The docker client with logins of its own."""

    def __init__(self, settings: Path) -> None:
        settings.mkdir(exist_ok=True)
        self._env = {**os.environ, "DOCKER_CONFIG": str(settings)}

    def __call__(self, *arguments: str, data: str | None = None) -> str:
        """Return what docker said; fails where docker does."""
        done = self.run(*arguments, data=data)
        assert not done.returncode, done.stderr
        return done.stdout.strip()

    def failing(self, *arguments: str, data: str | None = None) -> str:
        """Return what docker said on stderr as it failed."""
        done = self.run(*arguments, data=data)
        assert done.returncode, done.stdout
        return done.stderr

    def run(self, *arguments: str, data: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [find_client().program, *arguments],
            input=data,
            env=self._env,
            capture_output=True,
            text=True,
            check=False,
        )
