"""Who gets the copy of a cache, and when. tests/docker/test_assets.py has real ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kaiun.assets import carried, spare
from kaiun.assets.carried import BUSY, SPARE, Beginning, Cache, named
from kaiun.image.client import Client


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """Hold a cache whose volumes are all there, whatever their names."""
    docker = Client("true", "20.10", buildx=False)
    return Cache(docker, tmp_path, "shop", "registry.example.com/shop", "key", ("/app/tmp",))


def test_copy_of_the_last_good_cache_goes_to_who_asks_first(cache: Cache) -> None:
    cache.accept("good")
    cache.write(SPARE, "copy", of="good")
    assert spare.begin(cache, fresh=False) == Beginning("copy", ready=True)
    second = spare.begin(cache, fresh=False)
    assert (second.seed, second.ready) == ("good", False)
    assert second.volumes not in {"good", "copy"}


def test_what_was_taken_is_not_swept_away_until_it_is_released(cache: Cache) -> None:
    cache.accept("good")
    cache.write(SPARE, "copy", of="good")
    spare.begin(cache, fresh=False)
    assert set(named(cache.home)) == {"good", "copy"}
    spare.release(cache, "another")
    assert set(named(cache.home)) == {"good", "copy"}
    spare.release(cache, "copy")
    assert set(named(cache.home)) == {"good"}


def test_copy_of_an_older_cache_or_of_other_folders_is_of_no_use(cache: Cache) -> None:
    cache.write(SPARE, "copy", of="good")
    assert not spare.begin(cache, fresh=False).ready
    cache.accept("newer")
    cache.write(SPARE, "copy", of="good")
    assert spare.begin(cache, fresh=False).seed == "newer"
    cache.write(SPARE, "copy", of="newer")
    other = replace(cache, folders=("/app/cache",))
    assert not spare.begin(other, fresh=False).ready


def test_each_recipe_has_a_copy_of_its_own(cache: Cache) -> None:
    cache.accept("good")
    cache.write(SPARE, "copy", of="good")
    beginning = spare.begin(replace(cache, key="other"), fresh=False)
    assert (beginning.seed, beginning.ready) == ("good", False)
    assert carried.read(cache.path(SPARE))["volumes"] == "copy"


def test_without_the_cache_the_copy_stays_where_it_is(cache: Cache) -> None:
    cache.accept("good")
    cache.write(SPARE, "copy", of="good")
    beginning = spare.begin(cache, fresh=True)
    assert (beginning.seed, beginning.ready) == ("", False)
    assert not cache.path(BUSY).exists()
