"""The command line publishes assets to the engine's S3, from a registry at the wire; no container.

S3 is killed in mid-publish here; every other way in which it fails: tests/unit/assets.
"""

from __future__ import annotations

import io
import json
import os
import signal
import threading
import time
import urllib.error
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.browser import load
from support.cli_app import App, Yaml, config
from support.engine import until
from support.fake_registry import FakeRegistry

from kaiun.assets import artifact
from kaiun.assets.manifest import AssetFile, AssetManifest, sha256
from kaiun.assets.store import Store
from kaiun.image.credentials import anonymous
from kaiun.image.layerassets import LABEL
from kaiun.image.reference import parse
from kaiun.image.registry import Registry
from kaiun.local.home import read_env

Contents = dict[str, bytes]
BUCKET = "pier"
FIRST = {"assets/app-1.css": b"body {}", "assets/all-0.js": b"alert(0)"}
SECOND = {"assets/app-2.css": b"body { color: red }", "assets/all-0.js": b"alert(0)"}


@dataclass
class Yard:
    """An app whose images are in a registry, with what was compiled for them."""

    app: App
    registry: FakeRegistry
    store: Store
    keep: Yaml

    def commit(self, contents: Contents) -> str:
        """Commit, and put the image of that commit into the registry; return its SHA."""
        given = config(f"pier-{self.registry.port}")
        worker = given["processes"]["worker"]
        del worker["image"]
        given["image"] = {"repository": f"{self.registry.host}/pier"}
        host = f"{read_env().endpoint.replace('127.0.0.1', 'localhost')}/{self.bucket}/web"
        given["assets"] = {
            "command": "make",
            "bucket": f"s3://{self.bucket}/web",
            "host": host,
            "keep": self.keep,
        }
        self.app.commit(given)
        sha = (self.app.root / ".git/refs/heads").glob("*").__next__().read_text().strip()
        labels = {LABEL: json.dumps({"local": self._compiled(contents)})}
        blob = self.registry.put_blob("pier", json.dumps({"config": {"Labels": labels}}).encode())
        self.registry.put("pier", {"config": {"digest": blob}, "commit": sha}, sha)
        self.registry.tags.setdefault("pier", []).append(sha)
        return sha

    def _compiled(self, contents: Contents) -> str:
        for body in contents.values():
            self.store.add(io.BytesIO(body))
        files = tuple(
            AssetFile(path, len(body), sha256(body), "text/css", immutable=True)
            for path, body in sorted(contents.items())
        )
        digest = sha256(repr(files).encode())
        place = parse(f"{self.registry.host}/pier")
        artifact.push(
            Registry(anonymous), place, AssetManifest(digest, "public", files), self.store
        )
        self.registry.tags.setdefault("pier", []).append(artifact.tag(digest))
        return digest

    @property
    def bucket(self) -> str:
        return f"{BUCKET}-{self.registry.port}"

    def load(self, path: str) -> bytes:
        """Return a file as a browser gets it. Raises HTTPError."""
        return load(f"{read_env().endpoint}/{self.bucket}/web/{path}").encode()

    @property
    def s3(self) -> Any:
        env = read_env()
        return boto3.client(
            "s3",
            endpoint_url=env.endpoint,
            region_name=env.region,
            aws_access_key_id=env.access_key,
            aws_secret_access_key=env.secret_key,
        )

    def objects(self) -> set[str]:
        """Return the keys below the prefix, none where there is no bucket yet."""
        s3 = self.s3
        try:
            found = s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        except s3.exceptions.NoSuchBucket:
            return set()
        return {row["Key"].removeprefix("web/") for row in found}


@pytest.fixture
def yard(app: App, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    with FakeRegistry().serving() as registry:
        store = Store(tmp_path_factory.mktemp("yard"))
        yield Yard(app, registry, store, {"releases": 1, "days": 0})


def test_deploy_publishes_and_a_second_one_writes_nothing(yard: Yard) -> None:
    yard.commit(FIRST)
    assert yard.app.kaiun("plan") == 0, yard.app.err
    assert f"create bucket {yard.bucket}" in yard.app.out
    assert "assets: 2 of 2 files new" in yard.app.out
    assert yard.app.kaiun("deploy") == 0, yard.app.err
    assert "published assets: 2 of 2 files new" in yard.app.err
    assert {path: yard.load(path) for path in FIRST} == FIRST
    again = yard.app.json("deploy")
    assert again["changed"] is False
    assert {k: n for k, n in again["calls"].items() if k.startswith("s3:")} == {"s3:GetObject": 1}


def test_check_and_plan_tell_what_is_new(yard: Yard) -> None:
    yard.commit(FIRST)
    assert yard.app.kaiun("deploy") == 0, yard.app.err
    yard.commit(SECOND)
    before = yard.objects()
    assert yard.app.kaiun("check") == 0, yard.app.err
    assert "ok    assets: 1 files to be published" in yard.app.out
    assert yard.app.kaiun("plan") == 0, yard.app.err
    assert "assets: 1 of 2 files new" in yard.app.out
    assert yard.objects() == before


def test_old_and_new_files_are_there_and_the_way_back_is_open(yard: Yard) -> None:
    yard.commit(FIRST)
    assert yard.app.kaiun("deploy") == 0, yard.app.err
    yard.commit(SECOND)
    assert yard.app.kaiun("deploy") == 0, yard.app.err
    for path, body in {**FIRST, **SECOND}.items():
        assert yard.load(path) == body
    assert yard.app.kaiun("rollback") == 0, yard.app.err


def test_collection_leaves_what_runs_and_tells_who_wants_the_rest(yard: Yard) -> None:
    old = yard.commit(FIRST)
    assert yard.app.kaiun("deploy") == 0, yard.app.err
    yard.commit(SECOND)
    assert yard.app.kaiun("deploy") == 0, yard.app.err
    there = yard.objects()
    assert yard.app.kaiun("gc", "--dry-run") == 0, yard.app.err
    assert f"1 release ({old[:8]}), 1 file" in yard.app.out
    assert yard.objects() == there
    assert yard.app.kaiun("gc") == 0, yard.app.err
    gone = there - yard.objects()
    assert gone == {"assets/app-1.css", f"manifests/local/{old}.json"}
    with pytest.raises(urllib.error.HTTPError):
        yard.load("assets/app-1.css")
    assert yard.app.kaiun("rollback", old) == 2
    assert "were collected" in yard.app.err
    assert yard.app.worker()["revision"] != old


def test_collection_leaves_a_deploy_that_is_under_way_alone(yard: Yard) -> None:
    for contents in (FIRST, SECOND):
        yard.commit(contents)
        assert yard.app.kaiun("deploy") == 0, yard.app.err
    owner = {"owner": "ann", "host": "elsewhere", "pid": 1, "release": "r2", "time": 0.0}
    lock = json.dumps(owner | {"expires": time.time() + 600}).encode()
    key = f"kaiun/pier-{yard.registry.port}/local/lock.json"
    yard.s3.put_object(Bucket="kaiun-state", Key=key, Body=lock)
    there = yard.objects()
    assert yard.app.kaiun("gc") == 0
    assert "stays: another deploy is under way: ann@elsewhere" in yard.app.err
    assert yard.objects() == there


def test_release_that_still_runs_is_not_collected(yard: Yard) -> None:
    yard.commit(FIRST)
    assert yard.app.kaiun("deploy") == 0, yard.app.err
    yard.commit(SECOND)
    assert yard.app.kaiun("deploy") == 0, yard.app.err
    assert yard.app.kaiun("rollback") == 0, yard.app.err
    assert yard.app.kaiun("gc") == 0, yard.app.err
    assert yard.load("assets/app-1.css") == FIRST["assets/app-1.css"]


def test_s3_that_dies_in_mid_publish_fails_the_deploy_and_the_next_one_succeeds(
    yard: Yard, home: Path
) -> None:
    many = {f"assets/{n:03}-f.css": b"%d" % n for n in range(600)}
    sha = yard.commit(many)
    pid_file = home / "local/moto.pid"

    def kill() -> None:
        until(lambda: len(yard.objects()) > 20, 60)
        os.kill(int(json.loads(pid_file.read_text())["pid"]), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    code = yard.app.kaiun("deploy")
    killer.join()
    assert code == 3, yard.app.err
    assert "the assets were not published" in yard.app.err
    assert "nothing that runs was touched" in yard.app.err
    assert yard.app.kaiun("deploy") == 0, yard.app.err
    assert yard.objects() == {*many, f"manifests/local/{sha}.json"}
