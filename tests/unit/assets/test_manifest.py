"""A manifest of assets survives JSON, and a damaged one is told."""

from __future__ import annotations

import json

import pytest

from kaiun.assets.manifest import AssetFile, AssetManifest, StartFile, from_json, sha256
from kaiun.errors import AssetsError

STYLE = AssetFile("assets/a-5f3.css", 5, "a" * 64, "text/css", "", immutable=True)
ZIPPED = AssetFile("assets/a-5f3.css.gz", 3, "b" * 64, "text/css", "gzip", immutable=True)
COPY = AssetFile("assets/b.css", 5, "a" * 64, "text/css")
TEXT = '{"assets": {"ä.css": "a-5f3.css"}}'
START = StartFile("public/assets/.sprockets-manifest-1.json", sha256(TEXT.encode()), TEXT)
MANIFEST = AssetManifest("d" * 64, "public", (STYLE, ZIPPED, COPY), (START,))


def test_manifest_survives_json() -> None:
    assert from_json(MANIFEST.to_json()) == MANIFEST
    assert from_json(MANIFEST.to_json().encode()).to_json() == MANIFEST.to_json()


def test_each_content_counts_once() -> None:
    assert MANIFEST.sizes == {"a" * 64: 5, "b" * 64: 3}


def test_members_of_a_later_version_are_passed_over() -> None:
    document = json.loads(MANIFEST.to_json())
    document["files"][0]["later"] = 1
    assert from_json(json.dumps(document)) == MANIFEST


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"files": None},
        {"files": [{"path": "a"}]},
        {"start": [{"path": "a", "sha256": "b" * 64, "text": "other"}]},
    ],
)
def test_what_is_no_whole_manifest_is_told(change: dict[str, object]) -> None:
    document = json.loads(MANIFEST.to_json()) | change
    with pytest.raises(AssetsError) as caught:
        from_json(json.dumps(document), where="here")
    assert caught.value.where == "here"


def test_what_is_no_json_is_told() -> None:
    with pytest.raises(AssetsError):
        from_json("<html>")
