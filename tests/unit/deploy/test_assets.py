"""The stage `assets` of a deploy, against an S3 at the wire."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.deployed import app
from support.fake_s3 import FakeS3, Fault, fake_s3

from kaiun.assets.manifest import AssetFile, AssetManifest
from kaiun.deploy.assets import AssetStage, digests, uses_bucket
from kaiun.deploy.events import Did, Event, Note
from kaiun.deploy.releases import Record, Result
from kaiun.deploy.runner import Runner
from kaiun.errors import AssetsError, AwsError, DeployFailed, ImageError, Interrupted
from kaiun.image.layerassets import LABEL
from kaiun.plan.live import Live
from kaiun.plan.render import lines
from kaiun.plan.steps import CreateBucket, Plan, PublishAssets, RunTask, Step, Wave, WaveName

SHA = "a" * 40
IMAGE = f"localhost:5000/shop@sha256:{'1' * 64}"
OTHER_IMAGE = f"localhost:5000/shop@sha256:{'2' * 64}"
BODY = b"body {}"
DIGEST = "d" * 64
FILES = tuple(
    AssetFile(f"assets/{n}.css", len(BODY), hashlib.sha256(BODY).hexdigest(), "text/css", "", True)
    for n in range(3)
)


@dataclass
class Compiled:
    """The registry: one compile, named by the labels of every image."""

    folder: Path
    named: Mapping[str, str] = field(
        default_factory=lambda: {LABEL: json.dumps({"local": DIGEST, "production": DIGEST})}
    )
    gone: bool = False
    asked: int = 0

    def labels(self, image: str) -> Mapping[str, str]:
        self.asked += 1
        if self.gone:
            raise ImageError("the registry does not answer", where=image)
        return self.named

    def find(self, digest: str) -> AssetManifest | None:
        return AssetManifest(DIGEST, "public", FILES) if digest == DIGEST else None

    def files(self, _: AssetManifest) -> AbstractContextManager[Path]:
        return nullcontext(self.folder)


@dataclass
class Sea:
    s3: FakeS3
    compiled: Compiled
    told: list[Event] = field(default_factory=list)

    def stage(self, environment: str = "local", **keys: object) -> AssetStage:
        given = {"command": "make", "bucket": "s3://assets/web", **keys.pop("assets", {})}  # type: ignore[dict-item]
        root = {"root": self.compiled.folder}
        config = app(environment, assets=given, **keys).model_copy(update=root)
        return AssetStage(self.s3.aws(), config, self.compiled, self.told.append, lambda: 9.0)

    def publish(self, stage: AssetStage, image: str = IMAGE) -> str:
        (step,) = stage.steps(SHA, image)
        assert isinstance(step, PublishAssets)
        return stage.publish(step)


@pytest.fixture
def sea(tmp_path: Path) -> Iterator[Sea]:
    (tmp_path / hashlib.sha256(BODY).hexdigest()).write_bytes(BODY)
    with fake_s3("assets") as s3:
        yield Sea(s3, Compiled(tmp_path))


def release(revision: str = SHA, image: str = IMAGE) -> Record:
    return Record("r1", revision, "", "me", 0.0, 1.0, Result.DEPLOYED, image)


def test_first_deploy_publishes_everything(sea: Sea) -> None:
    assert sea.publish(sea.stage()) == "published assets: 3 of 3 files new, 0.0 kB"
    assert len(sea.s3.buckets["assets"]) == 4


def test_second_deploy_of_the_same_image_asks_once_and_has_nothing_to_do(sea: Sea) -> None:
    sea.publish(sea.stage())
    sea.s3.requests.clear()
    sea.compiled.asked = 0
    assert sea.stage().steps(SHA, IMAGE) == ()
    assert (len(sea.s3.requests), sea.compiled.asked) == (1, 0)


def test_image_built_anew_with_the_same_assets_publishes_nothing(sea: Sea) -> None:
    sea.publish(sea.stage())
    assert sea.stage().steps(SHA, OTHER_IMAGE) == ()


def test_plan_tells_how_many_files_are_new(sea: Sea) -> None:
    sea.publish(sea.stage())
    del sea.s3.buckets["assets"][f"web/manifests/local/{SHA}.json"]
    del sea.s3.buckets["assets"]["web/assets/1.css"]
    sea.s3.requests.clear()
    steps = sea.stage().steps(SHA, IMAGE, thorough=True)
    told = lines(Plan(()).with_steps(WaveName.ASSETS, steps))
    assert told == [
        "assets:",
        "  + publish assets to s3://assets/web",
        "      assets: 1 of 3 files new, 0.0 kB",
    ]
    assert {method for method, _ in sea.s3.requests} == {"GET"}


def test_image_that_is_not_built_yet_is_no_error(sea: Sea) -> None:
    steps = sea.stage().steps(SHA, None, thorough=True)
    assert "assets: as the build compiles them" in lines(Plan((Wave(WaveName.ASSETS, steps),)))[-1]
    assert sea.compiled.asked == 0


def test_missing_bucket_is_made_for_the_local_ecs_alone(sea: Sea) -> None:
    del sea.s3.buckets["assets"]
    bucket, publish = sea.stage().steps(SHA, IMAGE, thorough=True)
    assert (bucket.name, bucket.request) == ("assets", {"Bucket": "assets"})
    assert isinstance(publish, PublishAssets)
    assert publish.new == 3
    for stage in (sea.stage(provision=False), sea.stage("production", provision=True)):
        with pytest.raises(AwsError) as caught:
            stage.steps(SHA, IMAGE)
        assert caught.value.code == "NoSuchBucket"


def test_assets_come_before_tasks_and_buckets_before_assets() -> None:
    task, files = RunTask("migrate", {}, 1), PublishAssets("s3://assets", {})
    made: tuple[Step, ...] = (CreateBucket("assets", {}),)
    plan = Plan((Wave(WaveName.TASKS, (task,)),)).with_steps(WaveName.ASSETS, (files,))
    plan = plan.with_steps(WaveName.PROVISION, made)
    assert [wave.name for wave in plan.waves] == ["provision", "assets", "before-deploy tasks"]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({}, "has no assets for local"),
        ({LABEL: json.dumps({"production": DIGEST})}, "has no assets for local"),
        ({LABEL: "nonsense"}, "has no assets for local"),
        ({LABEL: json.dumps({"local": "e" * 64})}, "no longer has the assets"),
    ],
)
def test_image_that_does_not_say_what_to_publish_is_told(
    sea: Sea, labels: dict[str, str], said: str
) -> None:
    sea.compiled.named = labels
    with pytest.raises(AssetsError, match=said) as caught:
        sea.stage().steps(SHA, IMAGE)
    assert caught.value.where == IMAGE
    assert "kaiun" in caught.value.hint


def test_other_app_with_the_same_commit_in_the_same_place_is_refused(sea: Sea) -> None:
    key = f"web/manifests/local/{SHA}.json"
    sea.publish(sea.stage())
    there = sea.s3.aws().s3.get("assets", key)
    assert there
    sea.s3.aws().s3.put("assets", key, there.body.replace(b'"app": "shop"', b'"app": "blog"'))
    with pytest.raises(AssetsError, match="the app blog publishes the same commit") as caught:
        sea.stage().steps(SHA, IMAGE)
    assert "s3://assets/web/shop" in caught.value.hint


class TestGoingBack:
    def test_release_whose_assets_are_there_is_taken(self, sea: Sea) -> None:
        sea.publish(sea.stage())
        sea.stage().require(release())

    def test_missing_file_is_told(self, sea: Sea) -> None:
        sea.publish(sea.stage())
        del sea.s3.buckets["assets"]["web/assets/1.css"]
        with pytest.raises(AssetsError, match=r"1 of 3 assets .* not in the bucket") as caught:
            sea.stage().require(release())
        assert f"kaiun deploy {SHA[:8]}" in caught.value.hint

    def test_collected_manifest_is_told(self, sea: Sea) -> None:
        with pytest.raises(AssetsError, match="the assets of release r1 were collected"):
            sea.stage().require(release())

    def test_release_of_before_there_were_assets_needs_none(self, sea: Sea) -> None:
        sea.compiled.named = {}
        sea.stage().require(release())

    def test_registry_that_does_not_answer_keeps_nobody_here(self, sea: Sea) -> None:
        sea.compiled.gone = True
        sea.stage().require(release())
        assert any(isinstance(event, Note) and event.warning for event in sea.told)


class TestChecking:
    def test_everything_is_looked_at_and_nothing_written(self, sea: Sea) -> None:
        stage = sea.stage(assets={"host": "https://assets.example.com"})
        assert stage.check(SHA, IMAGE) == "3 files to be published"
        assert stage.check(SHA, None) == "to be published"
        sea.publish(stage)
        assert stage.check(SHA, IMAGE) == "all published"
        assert len(sea.s3.buckets["assets"]) == 4

    def test_bucket_that_cannot_be_written_is_told(self, sea: Sea) -> None:
        sea.s3.fault = lambda method, _key: Fault.DENY if method == "PUT" else None
        stage = sea.stage(assets={"host": "https://assets.example.com"})
        with pytest.raises(AwsError) as caught:
            stage.check(SHA, IMAGE)
        assert "allow `s3:PutObject`" in caught.value.hint

    def test_address_of_another_port_than_the_local_ecs_has_is_told(self, sea: Sea) -> None:
        with pytest.raises(AssetsError, match="pages would ask port 4580"):
            sea.stage().check(SHA, IMAGE)
        sea.publish(sea.stage())
        notes = [event.text for event in sea.told if isinstance(event, Note) and event.warning]
        assert notes[0].startswith("pages would ask port 4580, the local ECS answers on")


@pytest.mark.parametrize(
    ("assets", "uses"),
    [
        (None, False),
        ({"command": "make"}, False),
        ({"command": "make", "bucket": "s3://assets"}, True),
        ({"command": "make", "bucket": "s3://assets", "serve": "image"}, False),
    ],
)
def test_only_environments_served_from_s3_have_the_stage(
    assets: dict[str, str] | None, uses: bool
) -> None:
    assert uses_bucket(app(assets=assets)) is uses


def test_labels_that_are_none_name_no_digests() -> None:
    assert digests({LABEL: "[1]"}) == {}


class TestRunning:
    def run(self, sea: Sea, stage: AssetStage, *, interrupt: bool = False) -> None:
        def publish(step: PublishAssets) -> str:
            if interrupt:
                raise KeyboardInterrupt
            return stage.publish(step)

        plan = Plan(()).with_steps(WaveName.ASSETS, stage.steps(SHA, IMAGE))
        live = Live(cluster=True)
        Runner(stage.aws, stage.config, live, sea.told.append, publish=publish).run(plan)

    def test_stage_tells_what_was_published(self, sea: Sea) -> None:
        self.run(sea, sea.stage())
        done = [event.what for event in sea.told if isinstance(event, Did)]
        assert done == ["published assets: 3 of 3 files new, 0.0 kB"]

    def test_failure_is_a_failed_deploy_that_touched_nothing(self, sea: Sea) -> None:
        sea.s3.fault = lambda method, _key: Fault.DENY if method == "PUT" else None
        with pytest.raises(DeployFailed, match="the assets were not published") as caught:
            self.run(sea, sea.stage())
        assert "nothing that runs was touched" in caught.value.detail
        assert "allow `s3:PutObject`" in caught.value.hint
        assert sea.s3.buckets["assets"] == {}

    def test_interrupt_says_that_the_next_deploy_goes_on(self, sea: Sea) -> None:
        with pytest.raises(Interrupted) as caught:
            self.run(sea, sea.stage(), interrupt=True)
        assert "goes on where this ended" in caught.value.hint
