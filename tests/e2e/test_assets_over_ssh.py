"""Assets compiled on a build host and published from a machine that has no Docker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from e2e.page import BUCKET, objects, page_assets, repaint
from e2e.world import KAIUN, Result, World
from support.browser import load
from support.build_host import BuildHost, build_host

from kaiun.assets.manifest import sha256
from kaiun.assets.store import Store

pytestmark = [pytest.mark.e2e, pytest.mark.docker]

HERO = "Good things, well shipped"


@dataclass(frozen=True, slots=True)
class Desk:
    """Somebody with git, ssh and the shop's local ECS; images are built on the host."""

    shop: World
    host: BuildHost

    def kaiun(self, *words: str) -> Result:
        environment = {**self.host.environment(), "KAIUN_HOME": str(self.shop.root / "home")}
        done = self.shop.run(KAIUN, *words, env=environment)
        assert done.code == 0, f"{done.stdout}\n{done.stderr}\n{self.shop.engine_log()}"
        return done

    @property
    def stores(self) -> tuple[Store, Store]:
        """What was compiled, as the host has it and as this desk has it."""
        return Store(self.host.home / "assets"), Store(self.shop.root / "home/assets")


@pytest.fixture(scope="module")
def desk(shop: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    root = tmp_path_factory.mktemp("host")
    with shop.branch_off(), build_host(root, DOCKER_CONFIG=str(root / "docker")) as host:
        line = f"  repository: localhost:{shop.registry_port}/shop\n"
        shop.edit("kaiun.yml", line, f"{line}  host: {host.url}\n")
        shop.commit("Build on a host")
        try:
            yield Desk(shop, host)
        finally:
            shop.drop_asset_caches(host.home)
    shop.kaiun("deploy")


def compiles(result: Result) -> list[str]:
    """Return what told of a compile, or of its output."""
    return [line for line in result.stderr.splitlines() if "rails assets:precompile" in line]


def test_assets_compiled_on_the_host_are_served_from_s3(desk: Desk) -> None:
    shop = desk.shop
    before, there = set(page_assets(shop)), objects(shop)
    repaint(shop, "olive")
    deployed = desk.kaiun("deploy")
    assert compiles(deployed), deployed.stderr
    named = set(page_assets(shop))
    (css,) = {name for name in named - before if name.endswith(".css")}
    assert css.startswith(f"http://localhost:{shop.api_port}/{BUCKET}/assets/")
    body = load(css)
    assert "outline-color:olive" in body.replace(" ", "")
    for address in named:
        assert load(address)
    path = css.partition(f"/{BUCKET}/")[2]
    assert {path, f"{path}.gz"} <= objects(shop) - there
    for store in desk.stores:  # compiled on the host, fetched from its registry to be published
        assert store.path(sha256(body.encode())).is_file()


def test_change_of_ruby_alone_compiles_nothing_on_the_host(desk: Desk) -> None:
    shop = desk.shop
    before = objects(shop)
    shop.edit("app/views/products/index.html.erb", HERO, "Fresh from the host")
    sha = shop.commit("Other words")
    deployed = desk.kaiun("deploy")
    assert compiles(deployed) == []
    assert "Fresh from the host" in shop.get()
    new = objects(shop) - before
    assert f"manifests/local/{sha}.json" in new
    assert {key for key in new if not key.startswith("manifests/")} == set()


def test_gc_tells_of_both_machines(desk: Desk) -> None:
    listed = desk.kaiun("gc", "--dry-run", "--json").json()["items"]
    found = {item["kind"]: item for item in listed}
    assert {"asset cache", "copies of assets", "image", "assets", "compiled assets"} <= set(found)
    copies = {item["name"] for item in listed if item["kind"] == "copies of assets"}
    assert copies == {str(store.blobs) for store in desk.stores}
    caches = [item["needed"] for item in listed if item["kind"] == "asset cache"]
    assert set(caches) == {"used 0 days ago"}
    assert len(caches) % 2 == 0  # each recipe's last good one, and its copy
