"""A configuration's images: which there are, where they live, and which are there already."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fake_registry import FakeRegistry
from support.repository import Repository

from kaiun.config import Config, load
from kaiun.errors import ImageError, Interrupted
from kaiun.image import (
    Source,
    Workshop,
    app_source,
    ensure,
    ensure_all,
    find_all,
    pin,
    resolve,
    wanted,
)

DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64

KAIUN_YML = """\
app: shop
image: {repository: HOST/shop, args: {RUBY: "3.3"}}
processes:
  web: {command: puma, port: 3000}
  worker: {command: sidekiq}
  postgres: {image: {context: docker/postgres}}
  redis: {image: "HOST/redis:7"}
tasks:
  migrate: {command: rails db:migrate}
"""


@pytest.fixture
def config(repository: Repository, fake: FakeRegistry) -> Config:
    files = {"kaiun.yml": KAIUN_YML.replace("HOST", fake.host), "Dockerfile": "FROM scratch\n"}
    repository.commit({**files, "docker/postgres/Dockerfile": "FROM scratch\n"})
    return load(repository.path / "kaiun.yml")


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(home=tmp_path / "home")


def test_processes_and_tasks_share_the_image_of_the_app(config: Config, fake: FakeRegistry) -> None:
    images = wanted(config)
    assert images["web"] == images["worker"] == images["migrate"] == app_source(config)
    assert images["redis"] == f"{fake.host}/redis:7"
    postgres = images["postgres"]
    assert isinstance(postgres, Source)
    assert postgres.repository == f"{fake.host}/shop-postgres"
    assert postgres.by_tree


def test_images_that_the_registry_has_are_found_and_not_built(
    config: Config, fake: FakeRegistry, repository: Repository, workshop: Workshop
) -> None:
    revision = resolve(repository.path)
    tree = repository.git("rev-parse", "HEAD:docker/postgres")
    fake.manifests["shop", revision.sha] = DIGEST
    fake.manifests["shop-postgres", tree] = OTHER
    fake.manifests["redis", "7"] = OTHER
    images = ensure_all(config, revision, workshop)
    assert {name: each.reference for name, each in images.items()} == {
        "web": f"{fake.host}/shop@{DIGEST}",
        "worker": f"{fake.host}/shop@{DIGEST}",
        "postgres": f"{fake.host}/shop-postgres@{OTHER}",
        "redis": f"{fake.host}/redis@{OTHER}",
        "migrate": f"{fake.host}/shop@{DIGEST}",
    }
    assert not any(each.built for each in images.values())
    assert len(fake.asked) == 3


def test_missing_images_are_told_without_building(
    config: Config, repository: Repository, workshop: Workshop
) -> None:
    images = find_all(config, resolve(repository.path), workshop)
    assert [name for name, each in images.items() if each is None] == [
        *("web", "worker", "postgres", "migrate")
    ]


def test_failing_image_ends_the_others(
    config: Config, repository: Repository, workshop: Workshop
) -> None:
    repository.git("rm", "--quiet", "-r", "docker", "Dockerfile")
    repository.commit()
    with pytest.raises(ImageError, match=r"has no directory|the commit has no Dockerfile"):
        ensure_all(config, resolve(repository.path), workshop)
    with pytest.raises(Interrupted):
        workshop.stop.check()


def test_injected_credentials_come_first(
    config: Config, fake: FakeRegistry, repository: Repository, tmp_path: Path
) -> None:
    from kaiun.image import Credentials

    fake.auth = "basic"
    revision = resolve(repository.path)
    fake.manifests["shop", revision.sha] = DIGEST
    known = Workshop(injected=lambda _: Credentials("ann", "open sesame"), home=tmp_path)
    assert ensure(app_source(config), revision, known).digest == DIGEST


def test_reference_is_pinned_to_what_its_tag_means(fake: FakeRegistry, workshop: Workshop) -> None:
    fake.manifests["redis", "7"] = DIGEST
    fake.manifests["redis", "latest"] = OTHER
    assert pin(f"{fake.host}/redis:7", workshop, local=False).reference.endswith(DIGEST)
    assert pin(f"{fake.host}/redis", workshop, local=False).reference.endswith(OTHER)


def test_digest_is_left_as_it_is(fake: FakeRegistry, workshop: Workshop) -> None:
    text = f"{fake.host}/redis:7@{DIGEST}"
    pinned = pin(text, workshop, local=False)
    assert (pinned.reference, pinned.digest, pinned.note) == (text, DIGEST, "")
    assert fake.asked == []


def test_reference_that_no_registry_explains_is_left_with_a_note(
    fake: FakeRegistry, workshop: Workshop
) -> None:
    text = f"{fake.host}/redis:8"
    unknown = pin(text, workshop, local=False)
    assert (unknown.reference, unknown.digest) == (text, "")
    assert "no such tag" in unknown.note
    fake.failures.append((500, {}))
    assert "500" in pin(text, workshop, local=False).note
    with pytest.raises(ImageError, match="not an image reference"):
        pin("Redis", workshop, local=False)
