"""The manifest of the environment is put in place, whole, from the image or from the bucket."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from support.answers import Server, keys
from support.entry import Entry, item, last_line

TEXT = '{"a.css": "a-5f3.css"}'
SHA256 = hashlib.sha256(TEXT.encode()).hexdigest()
PLACE = "public/assets/.manifest.json"
KEY = f"/shop-assets/site/manifests/staging/{'a' * 40}.json"


def assets(baked: Path, **given: Any) -> list[Any]:
    given = {"files": [[PLACE, str(baked), SHA256]], **given}
    return ["assets", [item("d" * 12, **given)]]


def baked(entry: Entry, text: str = TEXT) -> Path:
    path = entry.folder / "baked.json"
    path.write_text(text)
    return path


def from_bucket(entry: Entry, server: Server, text: str) -> Any:
    document = {"format": 1, "start": [{"path": PLACE, "sha256": SHA256, "text": text}]}
    server.answers[KEY] = [(200, json.dumps(document).encode())]
    step = assets(baked(entry, "damaged"), bucket="s3://shop-assets/site")
    return entry.make(steps=[step]).run("true", KAIUN_ENVIRONMENT="staging", **keys(server))


def test_manifest_is_put_where_the_framework_looks(entry: Entry) -> None:
    done = entry.make(steps=[assets(baked(entry))]).run("cat", PLACE)
    assert done.stdout == TEXT
    assert (entry.work / PLACE).stat().st_mode & 0o777 == 0o644


def test_what_is_in_place_and_whole_is_left_alone(entry: Entry) -> None:
    step = assets(entry.folder / "nowhere")
    (entry.work / PLACE).parent.mkdir(parents=True)
    (entry.work / PLACE).write_text(TEXT)
    before = (entry.work / PLACE).stat().st_ino
    assert entry.make(steps=[step]).run("true").returncode == 0
    assert (entry.work / PLACE).stat().st_ino == before


def test_what_is_in_place_but_of_another_environment_is_replaced(entry: Entry) -> None:
    (entry.work / PLACE).parent.mkdir(parents=True)
    (entry.work / PLACE).write_text("{}")
    assert entry.make(steps=[assets(baked(entry))]).run("cat", PLACE).stdout == TEXT


def test_damaged_image_without_a_bucket_does_not_start(entry: Entry) -> None:
    done = entry.make(steps=[assets(baked(entry, "damaged"))]).run("true")
    assert done.returncode == 69
    assert "the image has no whole public/assets/.manifest.json" in last_line(done)


def test_manifest_is_fetched_from_the_bucket(entry: Entry, server: Server) -> None:
    assert from_bucket(entry, server, TEXT).returncode == 0
    assert (entry.work / PLACE).read_text() == TEXT
    assert "AKID" in server.asked[0][2]["authorization"]


def test_bucket_with_other_assets_is_told(entry: Entry, server: Server) -> None:
    done = from_bucket(entry, server, "other")
    assert done.returncode == 69
    assert "is of other assets" in last_line(done)
    assert not (entry.work / PLACE).exists()


def test_bucket_without_the_manifest_is_told(entry: Entry, server: Server) -> None:
    step = assets(entry.folder / "nowhere", bucket="s3://shop-assets")
    done = entry.make(steps=[step]).run("true", KAIUN_ENVIRONMENT="staging", **keys(server))
    assert done.returncode == 69
    assert "s3:GetObject: status 404" in last_line(done)


def test_host_is_set_unless_it_is_set(entry: Entry) -> None:
    entry.make(steps=[assets(baked(entry), host="https://assets.example.com")])
    assert entry.run("printenv", "ASSET_HOST").stdout == "https://assets.example.com\n"
    assert entry.run("printenv", "ASSET_HOST", ASSET_HOST="https://own").stdout == "https://own\n"


def test_folder_of_the_environment_is_linked(entry: Entry) -> None:
    tree = entry.folder / "opt" / "d"
    tree.mkdir(parents=True)
    (tree / "a.css").write_text("a{}")
    link = entry.folder / "run/app/public/assets"
    (entry.work / "public").mkdir()
    (entry.work / "public/assets").symlink_to(link)
    step = assets(baked(entry), files=[], trees=[[str(link), str(tree)]])
    entry.make(steps=[step])
    for _ in range(2):
        assert entry.run("cat", "public/assets/a.css").stdout == "a{}"
    other = assets(baked(entry), files=[], trees=[[str(link), str(entry.folder)]])
    entry.make(steps=[other])
    assert entry.run("true").returncode == 0
    assert link.readlink() == entry.folder


def test_environment_without_assets_takes_no_step(entry: Entry) -> None:
    done = entry.make(steps=[["require", []]]).run("true")
    assert "assets" not in done.stderr
