"""What takes room where builds are made, and why it stays. Docker answers from a script here."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kaiun.assets.manifest import AssetFile, AssetManifest
from kaiun.assets.store import Store
from kaiun.image import Stop, checkout
from kaiun.image.client import Client
from kaiun.image.context import Parcel
from kaiun.image.garbage import Host, app_images, contexts, stored_assets

DAY_S = 86_400
SHA = "5d1dc92b7c2d" + "0" * 28
# Answers `docker image inspect …` by the file `image-inspect`; notes what it was asked.
DOCKER = """\
#!/bin/sh
echo "$*" >>{root}/asked
cat {root}/$1-$2 2>/dev/null
true
"""


class Engine:
    """A Docker Engine with images, by id, and containers of some of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        program = root / "docker"
        program.write_text(DOCKER.format(root=root))
        program.chmod(0o755)
        client = Client(str(program), "20.10", buildx=False)
        self.host = Host(client, root / "home", "shop", Stop())

    def has(self, images: list[dict[str, Any]], containers_of: tuple[str, ...] = ()) -> None:
        answers: dict[str, str] = {
            "image-ls": "\n".join(image["Id"] for image in images),
            "image-inspect": json.dumps(images),
            "container-ls": "\n".join(containers_of),
            "container-inspect": json.dumps([{"Image": each} for each in containers_of]),
        }
        for name, text in answers.items():
            (self.root / name).write_text(text)

    def asked(self) -> list[str]:
        return (self.root / "asked").read_text().splitlines()


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path)


def image(name: str, age_d: float, *tags: str, named_d: float | None = None) -> dict[str, Any]:
    return {
        "Id": f"sha256:{name}",
        "Created": stamp(age_d),
        "Size": 3_000_000,
        "RepoTags": [f"registry.example.com/shop:{tag}" for tag in tags or (SHA,)],
        "Metadata": {"LastTagTime": stamp(named_d) if named_d else "0001-01-01T00:00:00Z"},
    }


def stamp(age_d: float) -> str:
    then = datetime.fromtimestamp(time.time() - age_d * DAY_S, UTC)
    return then.strftime("%Y-%m-%dT%H:%M:%S.123456789Z")


def needs(engine: Engine) -> list[str]:
    return [item.needed for item in app_images(engine.host)]


def test_image_of_an_old_build_goes_and_one_of_late_stays(engine: Engine) -> None:
    engine.has([image("old", 31), image("young", 29), image("again", 400, named_d=2)])
    assert needs(engine) == ["", "made 29 days ago", "made 2 days ago"]
    old, *_ = app_images(engine.host)
    old.remove()
    assert engine.asked()[-1] == f"image rm registry.example.com/shop:{SHA}"


def test_image_that_a_container_was_made_from_stays(engine: Engine) -> None:
    engine.has([image("one", 99), image("two", 99)], containers_of=("sha256:two",))
    assert needs(engine) == ["", "a container has it"]


def test_only_names_that_builds_give_are_looked_at(engine: Engine) -> None:
    engine.has([image("named", 99, "latest", "cache", SHA), image("by hand", 99, "v1")])
    assert [item.name for item in app_images(engine.host)] == [f"registry.example.com/shop:{SHA}"]


def test_engine_without_images_of_the_app_is_asked_once(engine: Engine) -> None:
    engine.has([])
    assert needs(engine) == []
    assert len(engine.asked()) == 1


def test_copies_of_assets_are_listed_as_what_stays_and_what_goes(tmp_path: Path) -> None:
    store = Store(tmp_path / "assets")
    assert list(stored_assets(tmp_path)) == []
    for digest, data in (("a" * 64, b"old" * 100), ("b" * 64, b"new")):
        content = store.add(io.BytesIO(data))
        file = AssetFile("app.css", content.size, content.sha256, "text/css")
        store.keep(AssetManifest(digest, "public", (file,)))
        if digest.startswith("a"):
            for path in store.root.glob("*/*"):
                os.utime(path, (0, 0))
    stays, goes = stored_assets(tmp_path)
    assert (stays.needed, goes.needed) == ("used in the last 30 days", "")
    assert stays.size + goes.size == store.size()
    before = store.size()
    goes.remove()
    assert before - store.size() == goes.size > 300
    assert [item.needed for item in stored_assets(tmp_path)] == ["used in the last 30 days"]
    assert store.manifest("b" * 64)


def test_files_of_commits_go_when_no_build_used_them_for_long(tmp_path: Path) -> None:
    def pack(there: str, stop: Stop) -> Parcel:
        del there, stop
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            entry = tarfile.TarInfo("a")
            entry.size = 50_000
            tar.addfile(entry, io.BytesIO(b"a" * entry.size))
        return Parcel("tree", None, iter([buffer.getvalue()]))

    assert list(contexts(tmp_path)) == []
    for name in ("localhost:5000/young", "localhost:5000/old"):
        with checkout.filled(tmp_path, name, pack, Stop()):
            pass
    then = time.time() - 31 * DAY_S
    os.utime(checkout.place_of(tmp_path, "localhost:5000/old"), (then, then))
    old, young = contexts(tmp_path)
    assert (old.needed, young.needed) == ("", "used 0 days ago")
    assert 50_000 <= old.size <= 60_000
    old.remove()
    assert [item.name for item in contexts(tmp_path)] == [young.name]
