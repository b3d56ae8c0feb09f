"""What `kaiun gc` deletes of what was compiled, in a registry that all environments share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from support.deployed import app
from support.fake_registry import FakeRegistry

from kaiun.assets import artifact
from kaiun.deploy.collection import Artifacts, items
from kaiun.image.credentials import anonymous
from kaiun.image.garbage import Item
from kaiun.image.layerassets import LABEL
from kaiun.image.reference import parse
from kaiun.image.registry import Registry

NAME = "shop"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY_S = 86_400


def days_ago(number: int) -> str:
    return datetime.fromtimestamp(NOW.timestamp() - number * DAY_S, UTC).isoformat()


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry(tags={NAME: []}).serving() as registry:
        yield registry


def image(fake: FakeRegistry, letter: str, digest: str) -> None:
    """Keep the image of a commit whose production has the assets of a digest."""
    labels = {LABEL: json.dumps({"production": digest})}
    config = fake.put_blob(NAME, json.dumps({"config": {"Labels": labels}}).encode())
    fake.tags[NAME].append(letter * 40)
    fake.put(NAME, {"config": {"digest": config}}, letter * 40)


def compiled(fake: FakeRegistry, digest: str, age_days: int) -> str:
    tag = artifact.tag(digest)
    fake.tags[NAME].append(tag)
    fake.put(NAME, {"annotations": {artifact.CREATED: days_ago(age_days)}}, tag)
    return tag


def goes(fake: FakeRegistry, *published: str) -> list[str]:
    """Return the tags that can go."""
    return [item.name.rpartition(":")[2] for item in _items(fake, *published) if not item.needed]


def _items(fake: FakeRegistry, *published: str) -> list[Item]:
    since = NOW.timestamp() - 30 * DAY_S
    return Artifacts(Registry(anonymous), f"{fake.host}/{NAME}", since, published).items()


def test_what_no_image_names_goes(fake: FakeRegistry) -> None:
    image(fake, "1", "a" * 64)
    compiled(fake, "a" * 64, 90)
    gone = compiled(fake, "b" * 64, 90)
    assert goes(fake) == [gone]


def test_artifact_whose_image_may_be_on_its_way_stays(fake: FakeRegistry) -> None:
    compiled(fake, "a" * 64, 0)
    assert goes(fake) == []


def test_artifact_that_says_no_date_is_old(fake: FakeRegistry) -> None:
    tag = artifact.tag("a" * 64)
    fake.tags[NAME].append(tag)
    fake.put(NAME, {"layers": [{"size": 70}]}, tag)
    assert goes(fake) == [tag]
    assert [item.size for item in _items(fake)] == [70]


def test_what_a_manifest_in_the_bucket_names_stays(fake: FakeRegistry) -> None:
    compiled(fake, "a" * 64, 90)
    assert goes(fake, "a" * 64) == []


def test_removing_deletes_that_artifact_alone(fake: FakeRegistry) -> None:
    tags = [compiled(fake, letter * 64, 90) for letter in "ab"]
    first = _items(fake)[0]
    first.remove()
    deleted = [asked.path for asked in fake.asked if asked.method == "DELETE"]
    digest = Registry(anonymous).digest(parse(f"{fake.host}/{NAME}"), tags[0])
    assert deleted == [f"/v2/{NAME}/manifests/{digest}"]


def test_registry_without_assets_is_asked_for_tags_alone(fake: FakeRegistry) -> None:
    image(fake, "1", "a" * 64)
    assert _items(fake) == []
    assert {asked.path.partition("?")[0] for asked in fake.asked} == {f"/v2/{NAME}/tags/list"}


def test_environment_without_assets_has_none_to_collect() -> None:
    assert items(None, app(), None) == []  # type: ignore[arg-type]
