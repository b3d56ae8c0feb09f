"""What `kaiun start explain` tells of assets."""

from __future__ import annotations

from pathlib import Path

from kaiun.cli.start import explained
from kaiun.config.loader import every

TEXT = """\
app: shop
image: {repository: localhost:5000/shop}
assets: {command: make, bucket: s3://shop-assets, host: https://cdn.example.com}
start: {require: [A], wait: ["tcp://a:1"]}
environments: {cdn: {}, own: {assets: {bucket: null, host: null}}, none: {assets: null}}
"""


def steps(tmp_path: Path, environment: str) -> list[str]:
    file = tmp_path / "kaiun.yml"
    file.write_text(TEXT)
    lines = explained(every(file), environment, "")
    return [line.split(maxsplit=1)[1] for line in lines if line[:1].isdigit()]


def test_assets_step_is_told_where_it_is_taken(tmp_path: Path) -> None:
    wait = "wait       tcp://a:1 (at most 60 s)"
    cdn = "assets     public/assets, files from the bucket, ASSET_HOST=https://cdn.example.com"
    own = "assets     public/assets, files from the image"
    assert steps(tmp_path, "cdn") == ["require    A", cdn, wait]
    assert steps(tmp_path, "own") == ["require    A", own, wait]
    assert steps(tmp_path, "none") == ["require    A", wait]
