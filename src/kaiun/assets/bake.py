"""What kaiun's layer holds of the assets, and what the start step does with it. Pure.

Where browsers get the files from the bucket, the layer holds the framework's own manifests; where
they get them from the app (`serve: image`), everything that was compiled. Under
/opt/kaiun/assets/DIGEST each compile has a folder like WORKDIR.

If all environments share one compile, things are put in place while the image is built, and a
start only checks them. Else a start chooses: the places where the app looks are links into a
folder that it may write to.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kaiun.config.assetchecks import within

if TYPE_CHECKING:
    from pydantic import JsonValue

    from kaiun.assets.manifest import AssetManifest
    from kaiun.assets.stock import Stock
    from kaiun.config.schema import Config

    Json = dict[str, JsonValue]

BASE = "/opt/kaiun/assets"
BEFORE = f"{BASE}/before"  # what the image had in a place that a start chooses for
PLACE = "/opt/kaiun/place"  # where a start writes unless `start: {directory: …}` says where
TIMEOUT_S = 30


@dataclass(slots=True)
class Baking:
    """What is to be done. Paths in the image are absolute."""

    items: dict[str, Json] = field(default_factory=dict)  # environment → item of the start step
    texts: dict[str, str] = field(default_factory=dict)  # path → content
    contents: dict[str, str] = field(default_factory=dict)  # path → SHA-256 of a stored content
    settled: dict[str, str] = field(default_factory=dict)  # path → what is copied there
    links: dict[str, str] = field(default_factory=dict)  # path of a file → folder of its target
    trees: dict[str, str] = field(default_factory=dict)  # path of a folder → target of a link

    def arrangement(self) -> Json:
        """Return what image/assemble.py reads."""
        return {
            "texts": [*sorted(self.texts)],
            "contents": dict(self.contents),
            "settled": dict(self.settled),
            "links": dict(self.links),
            "trees": dict(self.trees),
            "before": BEFORE,
        }


def plan(configs: Mapping[str, Config], stock: Stock, workdir: str) -> Baking:
    """Return what the layer holds and each environment's item, none for those that go without."""
    baking = Baking()
    if not stock.digests:
        return baking
    whole = {
        stock.digests[name]
        for name, config in configs.items()
        if name in stock.digests and config.assets and config.assets.in_image
    }
    for digest, manifest in stock.manifests.items():
        _hold(baking, manifest, workdir, whole=digest in whole)
    one = _is_one(configs, stock)
    if whole:
        _choose_trees(baking, configs, stock, workdir, one=one)
    else:
        _choose_files(baking, configs, stock, workdir, one=one)
    return baking


def _hold(baking: Baking, manifest: AssetManifest, workdir: str, *, whole: bool) -> None:
    """Note what lies under the folder of a compile."""
    folder = f"{BASE}/{manifest.digest}"
    baking.texts |= {f"{folder}/{each.path}": each.text for each in manifest.start}
    if whole:
        root = posixpath.normpath(posixpath.join(folder, manifest.root))
        baking.contents |= {f"{root}/{each.path}": each.sha256 for each in manifest.files}


def _is_one(configs: Mapping[str, Config], stock: Stock) -> bool:
    """Return whether every environment that somebody wrote has the same assets."""
    written = [name for name, config in configs.items() if not config.is_implied] or list(configs)
    return len({stock.digests.get(name, "") for name in written}) == 1


def _choose_files(
    baking: Baking, configs: Mapping[str, Config], stock: Stock, workdir: str, *, one: bool
) -> None:
    for name, digest in stock.digests.items():
        config, manifest = configs[name], stock.manifests[digest]
        baking.items[name] = _item(config, manifest)
        for each in manifest.start:
            place = posixpath.join(workdir, each.path)
            if one:
                baking.settled[place] = f"{BASE}/{digest}/{each.path}"
            else:
                baking.links[place] = config.start.directory or PLACE


def _choose_trees(
    baking: Baking, configs: Mapping[str, Config], stock: Stock, workdir: str, *, one: bool
) -> None:
    folders = _outermost(
        {posixpath.normpath(each) for c in configs.values() if c.assets for each in c.assets.output}
    )
    given = [each.start.directory for each in configs.values() if each.start.directory]
    chosen_in = given[0] if given else PLACE
    for folder in folders:
        place = posixpath.normpath(posixpath.join(workdir, folder))
        digest = next(iter(stock.manifests))
        baking.trees[place] = f"{BASE}/{digest}/{folder}" if one else chosen_in + place
    for name, config in configs.items():
        digest = stock.digests.get(name, "")
        bare: Json = {"name": "none", "timeout": TIMEOUT_S, "files": []}
        item = _item(config, stock.manifests[digest]) if digest else bare
        if not one:
            item["trees"] = [_tree(workdir, folder, chosen_in, digest) for folder in folders]
        if digest or not one:
            baking.items[name] = item


def _tree(workdir: str, folder: str, chosen_in: str, digest: str) -> JsonValue:
    """Return the link that a start makes, and where it leads."""
    place = posixpath.normpath(posixpath.join(workdir, folder))
    return [chosen_in + place, f"{BASE}/{digest}/{folder}" if digest else BEFORE + place]


def _item(config: Config, manifest: AssetManifest) -> Json:
    """Return what the start step of an environment is told: see kaiun/entry/assets.py."""
    given = config.assets
    item: Json = {
        "name": manifest.digest[:12],
        "timeout": TIMEOUT_S,
        "files": [
            [each.path, f"{BASE}/{manifest.digest}/{each.path}", each.sha256]
            for each in manifest.start
        ],
    }
    if given and given.host:
        item["host"] = given.host
    if given and given.bucket:
        item["bucket"] = given.bucket.rstrip("/")
    return item


def _outermost(folders: set[str]) -> list[str]:
    """Return the folders that lie in no other."""
    return sorted(
        each
        for each in folders
        if not any(within(each, other) for other in folders if other != each)
    )
