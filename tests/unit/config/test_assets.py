"""`assets:` with its defaults, in each environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from kaiun.config import load
from kaiun.config.assets import bucket_address
from kaiun.config.loader import every

HEAD = "app: shop\nimage: {repository: registry.example.com/shop}\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "kaiun.yml"
    path.write_text(HEAD + text)
    return path


def test_folders_may_be_one_or_several(tmp_path: Path) -> None:
    config = load(
        written(tmp_path, "assets: {command: make a, cache: tmp/c, output: [public/a]}\n")
    )
    assert config.assets
    assert config.assets.command == ("make", "a")
    assert (config.assets.cache, config.assets.output) == (("tmp/c",), ("public/a",))


def test_without_a_bucket_files_stay_in_the_image(tmp_path: Path) -> None:
    config = load(written(tmp_path, "assets: {command: make}\n"))
    assert config.assets
    assert (config.assets.serve, config.assets.host) == ("image", None)


def test_with_a_bucket_pages_ask_the_bucket(tmp_path: Path) -> None:
    text = (
        "assets: {command: make, bucket: s3://shop/p}\n"
        "environments: {staging: {region: eu-west-1}, cdn: {assets: {host: https://c.example.com}},"
        " own: {assets: {serve: image}}}\n"
    )
    configs = every(written(tmp_path, text))
    assert {name: each.assets and each.assets.host for name, each in configs.items()} == {
        "": "https://shop.s3.amazonaws.com/p",
        "local": "http://localhost:4580/shop/p",
        "staging": "https://shop.s3.eu-west-1.amazonaws.com/p",
        "cdn": "https://c.example.com",
        "own": None,
    }


def test_null_goes_without(tmp_path: Path) -> None:
    text = "assets: {command: make}\nenvironments: {local: {assets: null}, staging: {}}\n"
    configs = every(written(tmp_path, text))
    assert [name for name, each in configs.items() if each.assets] == ["", "staging"]


def test_environments_that_nobody_wrote_are_known(tmp_path: Path) -> None:
    configs = every(written(tmp_path, "environments: {staging: {}}\n"))
    assert [name for name, each in configs.items() if each.is_implied] == ["", "local"]


@pytest.mark.parametrize(
    ("bucket", "region", "expected"),
    [
        ("s3://b", None, "https://b.s3.amazonaws.com"),
        (
            "s3://b.example.com/p/q/",
            "eu-west-1",
            "https://s3.eu-west-1.amazonaws.com/b.example.com/p/q",
        ),
        ("s3://b", "cn-north-1", "https://b.s3.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_address_of_a_bucket(bucket: str, region: str | None, expected: str) -> None:
    assert bucket_address(bucket, region, local=False) == expected
