"""A registry asked through the host answers as it does when asked from here."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.fake_registry import FakeRegistry

from kaiun.errors import ImageError
from kaiun.image import BuildEvent, Credentials, Stop, Workshop
from kaiun.image.host.doings import DOINGS
from kaiun.image.host.registry import HostRegistry
from kaiun.image.reference import Reference, parse


@dataclass
class Here:
    """A line, a connection and a job in one: what the host does is done at once."""

    home: Path
    stop: Stop = field(default_factory=Stop)
    asked: list[str] = field(default_factory=list)
    answer: Any = None

    def connection(self) -> Here:
        return self

    def call(self, do: str, request: Any, answer: Any, stop: Stop) -> Any:
        self.answer = answer
        self.asked.append(f"{request['method']} {request['path']}")
        return json.loads(json.dumps(DOINGS[do](self, json.loads(json.dumps(request)))))  # type: ignore[arg-type]

    def give(self, data: bytes) -> None:
        self.answer({"job": 1, "data": data}, self)

    def tell(self, event: BuildEvent) -> None:
        del event

    def credentials(self, registry: str) -> Credentials | None:
        del registry
        return None


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


@pytest.fixture
def registry(here: Here) -> HostRegistry:
    return HostRegistry(here, Workshop(home=here.home))  # type: ignore[arg-type]


def named(fake: FakeRegistry) -> Reference:
    return parse(f"{fake.host}/shop:v1")


def test_a_digest_is_found_or_not(fake: FakeRegistry, registry: HostRegistry, here: Here) -> None:
    fake.manifests["shop", "v1"] = "sha256:" + "a" * 64
    assert registry.digest(named(fake)) == "sha256:" + "a" * 64
    assert registry.digest(named(fake), "v2") is None
    assert here.asked == ["HEAD /manifests/v1", "HEAD /manifests/v2"]


def test_blobs_come_whole_in_memory_and_in_files(
    fake: FakeRegistry, registry: HostRegistry
) -> None:
    data = bytes(range(256)) * 4096  # several parts
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    fake.blobs["shop", digest] = data
    into = io.BytesIO()
    registry.download(named(fake), digest, into)
    assert into.getvalue() == data == registry.blob(named(fake), digest)
    assert registry.blob_size(named(fake), digest) == len(data)


def test_a_registry_that_is_not_there_is_the_hosts_trouble(registry: HostRegistry) -> None:
    with pytest.raises(ImageError, match="does not answer"):
        registry.digest(parse("localhost:1/shop:v1"))
