"""What the layer holds and what each environment's start is told."""

from __future__ import annotations

from pathlib import Path

from kaiun.assets.bake import BASE, BEFORE, PLACE, Baking, plan
from kaiun.assets.groups import grouped
from kaiun.assets.manifest import AssetFile, AssetManifest, StartFile, sha256
from kaiun.assets.stock import Stock
from kaiun.config.loader import every
from kaiun.image import startfile
from kaiun.image.startfile import ImageFacts

HEAD = "app: shop\nimage: {repository: localhost:5000/shop}\n"
NAME = "public/assets/.manifest.json"
IN_APP = f"/app/{NAME}"


def manifest(digest: str) -> AssetManifest:
    file = AssetFile(f"assets/a-{digest[:8]}.css", 3, digest, "text/css")
    start = StartFile(NAME, sha256(digest.encode()), digest)
    return AssetManifest(digest, "public", (file,), (start,))


def baked(tmp_path: Path, text: str) -> Baking:
    """Return the plan where each group has a digest of its own: aaa…, bbb…"""
    path = tmp_path / "kaiun.yml"
    path.write_text(HEAD + text)
    configs = every(path)
    digests: dict[str, str] = {}
    manifests: dict[str, AssetManifest] = {}
    for letter, group in zip("abc", grouped(configs), strict=False):
        manifests[letter * 64] = manifest(letter * 64)
        digests |= dict.fromkeys(group.environments, letter * 64)
    return plan(configs, Stock(digests, manifests), "/app")


def test_one_compile_for_all_is_put_in_place_in_the_image(tmp_path: Path) -> None:
    text = "assets: {command: make, bucket: s3://shop, host: https://a.example.com}\n"
    found = baked(tmp_path, text + "environments: {staging: {}, production: {}}\n")
    held = f"{BASE}/{'a' * 64}/{NAME}"
    assert (found.texts, found.contents) == ({held: "a" * 64}, {})
    assert (found.settled, found.links, found.trees) == ({IN_APP: held}, {}, {})
    assert found.items["staging"] == {
        "name": "a" * 12,
        "timeout": 30,
        "files": [[NAME, held, sha256(("a" * 64).encode())]],
        "host": "https://a.example.com",
        "bucket": "s3://shop",
    }


def test_of_two_compiles_a_start_chooses(tmp_path: Path) -> None:
    text = """\
assets: {command: make, bucket: s3://shop}
environments: {staging: {}, production: {assets: {env: {A: 1}}}}
"""
    found = baked(tmp_path, text)
    assert (found.settled, found.trees) == ({}, {})
    assert found.links == {IN_APP: PLACE}
    assert found.items["staging"]["name"] == "a" * 12
    assert found.items["production"]["name"] == "b" * 12


def test_bypassed_environment_keeps_what_it_has(tmp_path: Path) -> None:
    text = """\
assets: {command: make, bucket: s3://shop}
environments: {staging: {start: {directory: /run/kaiun}}, development: {assets: null}}
"""
    found = baked(tmp_path, text)
    assert (found.settled, found.links) == ({}, {IN_APP: "/run/kaiun"})
    assert set(found.items) == {"", "staging"}


def test_files_themselves_are_linked_into_place(tmp_path: Path) -> None:
    found = baked(tmp_path, "assets: {command: make}\nenvironments: {staging: {}}\n")
    assert found.contents == {f"{BASE}/{'a' * 64}/public/assets/a-aaaaaaaa.css": "a" * 64}
    assert found.trees == {"/app/public/assets": f"{BASE}/{'a' * 64}/public/assets"}
    assert "trees" not in found.items["staging"]


def test_environments_with_files_in_the_image_and_without(tmp_path: Path) -> None:
    text = """\
assets: {command: make, bucket: s3://shop, output: [public/packs, public/packs/js, public/assets]}
environments: {own: {assets: {serve: image}}, cdn: {}, development: {assets: null}}
"""
    found = baked(tmp_path, text)
    folders = ["/app/public/assets", "/app/public/packs"]
    assert found.trees == {folder: PLACE + folder for folder in folders}
    assert set(found.contents) == {f"{BASE}/{'b' * 64}/public/assets/a-bbbbbbbb.css"}

    def led(environment: str) -> list[object]:
        trees = found.items[environment]["trees"]
        assert isinstance(trees, list)
        return [tree[1] for tree in trees if isinstance(tree, list)]

    assert led("own") == [f"{BASE}/{'b' * 64}/public/{each}" for each in ("assets", "packs")]
    assert led("cdn") == [f"{BASE}/{'a' * 64}/public/{each}" for each in ("assets", "packs")]
    assert led("development") == [BEFORE + folder for folder in folders]


def test_step_comes_after_require_unless_the_file_says_where(tmp_path: Path) -> None:
    def kinds(start: str) -> list[str]:
        path = tmp_path / "kaiun.yml"
        path.write_text(f"{HEAD}assets: {{command: make}}\nstart: {start}\n")
        config = every(path)["local"]
        return [kind for kind, _ in startfile.steps(config, {"name": "a"})]

    assert kinds("{require: [A], templates: [a.erb]}") == ["require", "assets", "templates"]
    assert kinds("{templates: [a.erb], require: [A]}") == ["assets", "templates", "require"]
    assert kinds("{templates: [a.erb], assets: true}") == ["templates", "assets"]
    assert kinds("{templates: [a.erb], assets: false}") == ["templates"]


def test_environments_of_one_compile_share_their_part(tmp_path: Path) -> None:
    path = tmp_path / "kaiun.yml"
    path.write_text(HEAD + "region: eu-west-1\nenvironments: {a: {}, b: {}}\n")
    item: startfile.Json = {"name": "a"}
    found = startfile.document(every(path), ImageFacts(), {"a": item, "b": item})
    assert found["environments"] == {"": 0, "local": 0, "a": 1, "b": 1}
