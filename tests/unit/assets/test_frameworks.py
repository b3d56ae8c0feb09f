"""Trees that Sprockets, Propshaft, Vite and Shakapacker left: see recorded/README.md."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kaiun.assets.collect import Content, manifest
from kaiun.assets.frameworks import SPROCKETS_NAME, is_fingerprinted, plain_name
from kaiun.assets.manifest import AssetManifest, sha256

RECORDED = Path(__file__).parent / "recorded"
SHA = "74d94aede163ac74eb42fe7cac4066626820fa15001ddf02c3b2d25df8e6c771"


def collected(files: dict[str, bytes], root: str = "public") -> AssetManifest:
    output = {path: Content(sha256(data), len(data)) for path, data in files.items()}
    return manifest("d" * 64, root, output, files.__getitem__)


def tree(name: str, place: str) -> dict[str, bytes]:
    base = RECORDED / name
    found = sorted(path for path in base.rglob("*") if path.is_file())
    return {f"{place}/{path.relative_to(base)}": path.read_bytes() for path in found}


def immutable(found: AssetManifest) -> dict[str, bool]:
    return {file.path: file.immutable for file in found.files}


def test_sprockets() -> None:
    found = collected(tree("sprockets", "public/assets"))
    assert set(immutable(found).values()) == {True}
    assert [each.path for each in found.start] == [f"public/assets/{SPROCKETS_NAME}"]
    assert json.loads(found.start[0].text)["assets"]["application.css"].endswith(f"{SHA}.css")
    style = next(file for file in found.files if file.path.endswith(".css.gz"))
    assert (style.content_type, style.encoding) == ("text/css; charset=utf-8", "gzip")


def test_sprockets_4() -> None:
    found = collected(tree("sprockets4", "public/assets"))
    assert set(immutable(found).values()) == {True}
    assert {plain_name(file.path) for file in found.files} == {
        f"assets/{name}{packed}"
        for name in ("application.css", "icons/logo.svg", "manifest.js")
        for packed in ("", ".gz")
    }
    assert [each.path for each in found.start] == [f"public/assets/{SPROCKETS_NAME}"]


def test_two_manifests_of_sprockets_keep_their_names() -> None:
    files = tree("sprockets", "public/assets")
    name = next(path for path in files if ".sprockets" in path)
    other = f"public/assets/.sprockets-manifest-{'1' * 32}.json"
    found = collected({**files, other: files[name]})
    assert {each.path for each in found.start} == {name, other}


def test_propshaft() -> None:
    found = collected(tree("propshaft", "public/assets"))
    assert immutable(found) == {
        "assets/application-fc81bb48.css": True,
        "assets/icons/logo-8efc0149.svg": True,
        "assets/rails-ujs-20eaf715.js": True,
        "assets/rails-ujs.esm-e925103b.js": True,
    }
    assert [each.path for each in found.start] == ["public/assets/.manifest.json"]


def test_propshaft_before_1_2_whose_manifest_is_of_names_alone() -> None:
    document = {"icons/logo.svg": "icons/logo-f00dcafe.svg", "plain.txt": "plain.txt"}
    files = {"icons/logo-f00dcafe.svg": b"", "plain.txt": b""}
    placed = {f"public/assets/{name}": data for name, data in files.items()}
    manifest = json.dumps(document).encode()
    found = collected({**placed, "public/assets/.manifest.json": manifest})
    assert immutable(found) == {"assets/icons/logo-f00dcafe.svg": True, "assets/plain.txt": False}


def test_vite() -> None:
    found = collected(tree("vite", "public/vite"))
    assert set(immutable(found).values()) == {True}
    assert len(found.files) == 8
    assert [each.path for each in found.start] == ["public/vite/.vite/manifest.json"]
    assert {file.path: file.content_type for file in found.files}[
        "vite/assets/admin-DVevdzsF.js.map"
    ] == "application/json"


def test_vite_7_whose_hashes_have_dashes_inside() -> None:
    found = collected(tree("vite7", "public/vite"))
    assert set(immutable(found).values()) == {True}
    assert {plain_name(file.path) for file in found.files} == {
        "vite/assets/style.css",
        *(f"vite/assets/{name}.js" for name in ("admin", "application", "later")),
        *(f"vite/assets/{name}.js.map" for name in ("admin", "application", "later")),
    }
    assert [each.path for each in found.start] == ["public/vite/.vite/manifest.json"]


def test_vite_without_hashes_in_names() -> None:
    document = {"a.js": {"file": "assets/react18.js", "css": ["assets/jquery.validate.css"]}}
    found = collected(
        {
            "public/vite/manifest.json": json.dumps(document).encode(),
            "public/vite/assets/react18.js": b"",
            "public/vite/assets/jquery.validate.css": b"",
        }
    )
    assert set(immutable(found).values()) == {False}
    assert len(found.start) == 1


def test_shakapacker() -> None:
    found = collected(tree("shakapacker", "public/packs"))
    assert set(immutable(found).values()) == {True}
    assert len(found.files) == 10
    assert [each.path for each in found.start] == ["public/packs/manifest.json"]


def test_django() -> None:
    document = {"paths": {"a.css": "a.5f3e1b2c4d5e.css", "b.txt": "b.txt"}, "version": "1.1"}
    files = {"static/a.5f3e1b2c4d5e.css": b"a", "static/a.css": b"a", "static/b.txt": b"b"}
    found = collected({**files, "static/staticfiles.json": json.dumps(document).encode()}, ".")
    assert immutable(found) == {
        "static/a.5f3e1b2c4d5e.css": True,
        "static/a.css": False,
        "static/b.txt": False,
    }


def test_plain_folder_with_a_manifest_of_a_web_app() -> None:
    document = {"name": "Shop", "start_url": "/index.html", "icons": [{"src": "/i.png"}]}
    text = json.dumps(document).encode()
    files = {"public/index.html": b"", "public/i.png": b"", "public/manifest.json": text}
    found = collected(files)
    assert found.start == ()
    assert immutable(found) == {"i.png": False, "index.html": False, "manifest.json": False}


def test_manifest_that_is_no_json_is_a_file_like_any_other() -> None:
    found = collected({"public/manifest.json": b"\xff", "public/.keep": b""})
    assert [file.path for file in found.files] == ["manifest.json"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"a-{SHA}.js", True),
        (f"a-{SHA}.js.map", True),
        (f"a-{SHA}.js.br", True),
        ("chunk.0123456789abcdef.js", True),
        ("abcdefabcdefabcdef.js", False),
        ("a-abcdefabcdefabcd.js", False),
        ("logo-20240131.png", False),
        ("react-DVevdzsF.js", False),
        ("application.css", False),
    ],
)
def test_without_a_manifest_only_a_long_hash_counts(name: str, expected: bool) -> None:
    assert is_fingerprinted(f"assets/{name}", []) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"assets/a-{SHA}.css.gz", "assets/a.css.gz"),
        ("vite/assets/admin-DVevdzsF.js", "vite/assets/admin.js"),
        ("packs/js/later-85a0d48b33668e53c274.chunk.js", "packs/js/later.chunk.js"),
        ("assets/jquery.validate.js", "assets/jquery.validate.js"),
    ],
)
def test_plain_name(name: str, expected: str) -> None:
    assert plain_name(name) == expected
