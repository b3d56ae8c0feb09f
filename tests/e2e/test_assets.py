"""What browsers load comes from S3: before, during and after a deploy that changes it."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request

import pytest
from e2e.page import BUCKET, objects, page_assets, repaint
from e2e.world import World, until
from support.browser import browsing, load

pytestmark = [pytest.mark.e2e, pytest.mark.docker]

HERO = "Good things, well shipped"


def test_page_is_served_from_s3_with_no_asset_in_the_image(shop: World) -> None:
    named = page_assets(shop)
    assert {name.rpartition(".")[2] for name in named} == {"css", "js"}
    for address in named:
        assert address.startswith(f"http://localhost:{shop.api_port}/{BUCKET}/assets/")
        with urllib.request.urlopen(address, timeout=10) as answer:
            assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert answer.headers["Content-Type"].startswith(("text/css", "text/javascript"))
            assert answer.read()
    count = "find /app/public /opt/kaiun -name '*.css' -o -name '*.js' -o -name '*.gz' | wc -l"
    inside = shop.kaiun("run", "--", "sh", "-c", f"echo found $({count})")
    assert "found 0" in inside.stdout + inside.stderr


def test_bucket_gives_its_objects_and_nothing_else(shop: World) -> None:
    for path in (f"{BUCKET}", f"{BUCKET}?policy", f"{BUCKET}?list-type=2", "kaiun-state/kaiun/"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            load(f"http://localhost:{shop.api_port}/{path}")
        assert refused.value.code == 403


def test_deploy_of_the_same_commit_asks_for_one_object_and_writes_nothing(shop: World) -> None:
    before = objects(shop)
    calls = shop.kaiun("deploy", "--json").json()["calls"]
    assert {name: n for name, n in calls.items() if name.startswith("s3:")} == {"s3:GetObject": 1}
    assert objects(shop) == before


def test_browser_misses_nothing_while_assets_change_and_change_back(shop: World) -> None:
    with shop.branch_off():
        with browsing(f"http://127.0.0.1:{shop.web_port}/") as seen:
            before = page_assets(shop)
            repaint(shop, "teal")
            plan = shop.kaiun("plan").stdout
            assert f"publish assets to s3://{BUCKET}" in plan
            shop.kaiun("deploy")
            after = page_assets(shop)
            shop.kaiun("rollback")
            assert page_assets(shop) == before
        assert seen.failures == []
        assert set(before) | set(after) <= set(seen.assets)
        assert set(before) != set(after)
        assert all(seen.assets.values())
        assert seen.pages > 20


def test_change_of_ruby_alone_uploads_nothing(shop: World) -> None:
    with shop.branch_off():
        before = objects(shop)
        shop.edit("app/views/products/index.html.erb", HERO, "Fresh from the sea")
        sha = shop.commit("Other words")
        result = shop.kaiun("deploy", "--json")
        assert result.json()["calls"]["s3:PutObject"] >= 1  # the manifest, and the history
        assert {key for key in objects(shop) - before if not key.startswith("manifests/")} == set()
        assert f"manifests/local/{sha}.json" in objects(shop)
    shop.kaiun("deploy")


def test_collection_leaves_what_runs_and_a_rollback_to_the_rest_is_told(shop: World) -> None:
    with shop.branch_off():
        first = page_assets(shop)
        old = shop.run("git", "rev-parse", "HEAD").stdout.strip()
        shop.edit("kaiun.yml", "assets: {host:", "assets: {keep: {releases: 1, days: 0}, host:")
        for colour in ("navy", "plum"):
            repaint(shop, colour)
            shop.kaiun("deploy")
        there = objects(shop)
        listed = shop.kaiun("gc", "--dry-run", "--json").json()
        assert objects(shop) == there
        gone = [item["name"] for item in listed["items"] if not item["needed"]]
        assert any(BUCKET in name for name in gone)
        shop.kaiun("gc")
        assert f"manifests/local/{old}.json" in there - objects(shop)
        for address in page_assets(shop):
            assert load(address)
        css = [address for address in first if address.endswith(".css")]
        with pytest.raises(urllib.error.HTTPError):
            load(css[0])
        refused = shop.kaiun("rollback", old, expect=2)
        assert "were collected" in refused.stderr
        assert f"kaiun deploy {old[:8]}" in refused.stderr
        assert _named_by_manifests(shop) <= objects(shop)
    shop.kaiun("deploy")  # publishes the first commit's assets again
    assert page_assets(shop) == first
    for address in first:
        assert load(address)


def _named_by_manifests(world: World) -> set[str]:
    """What the manifests of the bucket name, read through the API."""
    named: set[str] = set()
    for key in objects(world):
        if re.fullmatch(r"manifests/\w+/\w+\.json", key):
            text = world.aws("s3", "cp", f"s3://{BUCKET}/{key}", "-").stdout
            named |= {file["path"] for file in json.loads(text)["files"]}
    return named


def test_assets_load_after_down_and_up(shop: World) -> None:
    shop.kaiun("local", "down", timeout=120)
    shop.up()
    named = until("the shop answers", lambda: page_assets(shop), 120)
    for address in named:
        assert load(address)
