"""What a build tells of assets."""

from __future__ import annotations

from kaiun.assets.groups import Group
from kaiun.assets.manifest import AssetFile, AssetManifest
from kaiun.assets.report import lines
from kaiun.config.assets import Assets

SHA = "0123456789abcdef" * 4


def manifest(**files: str) -> AssetManifest:
    found = [AssetFile(f"assets/{name}.css", 600, sha * 64, "a/b") for name, sha in files.items()]
    return AssetManifest("d" * 64, "public", tuple(found))


def group(*names: str) -> Group:
    return Group(Assets.model_validate({"command": "make"}), names)


def test_groups_and_their_differences_are_told() -> None:
    groups = [group("staging"), group("production", "demo"), group("own")]
    same = (manifest(a="1", b="2"), False)
    other = (manifest(a="3", b="2", c="4"), True)
    assert list(lines(groups, [same, other, same])) == [
        "assets of staging: 2 files, 1.2 kB, nothing to compile: the inputs are those of before",
        "assets of production, demo: 3 files, 1.8 kB, compiled",
        "assets of own: 2 files, 1.2 kB, nothing to compile: the inputs are those of before",
        "assets of staging and of production, demo differ in 2 of 3 files: "
        "assets/a.css, assets/c.css",
        "assets of staging and of own are the same files, kept once",
        "assets of production, demo and of own differ in 2 of 3 files: assets/a.css, assets/c.css",
    ]


def test_fingerprints_do_not_hide_what_is_the_same_file() -> None:
    names = (f"a-{SHA}.css", f"a-{SHA[::-1]}.css")
    manifests = [
        AssetManifest("d" * 64, "public", (AssetFile(name, 1, str(n) * 64, "a/b"),))
        for n, name in enumerate(names)
    ]
    told = list(lines([group("a"), group("b")], [(each, True) for each in manifests]))
    assert told[-1] == "assets of a and of b differ in 1 of 1 files: a.css"
