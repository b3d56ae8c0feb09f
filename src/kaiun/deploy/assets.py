"""The stage `assets`: what browsers load is in the bucket before anything that names it runs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from kaiun.assets.bucket import MANIFESTS, AssetBucket, Published
from kaiun.assets.publish import Publisher, compare
from kaiun.deploy import assethost
from kaiun.deploy.events import Note
from kaiun.errors import AssetsError, AwsError, ImageError
from kaiun.image.layerassets import LABEL
from kaiun.plan.steps import CreateBucket, PublishAssets, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaiun.assets.manifest import AssetManifest
    from kaiun.aws.client import Aws
    from kaiun.config import Config
    from kaiun.deploy.events import Listener
    from kaiun.deploy.releases import Record

NO_BUCKET = "NoSuchBucket"
TOLD_EVERY = 500  # files


class Artifacts(Protocol):
    """What was compiled, as the registry has it. Raises ImageError, AssetsError."""

    def labels(self, image: str) -> Mapping[str, str]:
        """Return the labels of an image, {} where the registry does not have it."""
        ...

    def find(self, digest: str) -> AssetManifest | None: ...

    def files(self, manifest: AssetManifest) -> AbstractContextManager[Path]: ...


@dataclass(frozen=True, slots=True)
class AssetStage:
    """The assets of one environment whose pages ask a bucket for them."""

    aws: Aws
    config: Config
    artifacts: Artifacts
    listener: Listener
    clock: Callable[[], float] = time.time

    @property
    def bucket(self) -> AssetBucket:
        return bucket_of(self.aws, self.config)

    def steps(
        self, revision: str, image: str | None, *, thorough: bool = False
    ) -> tuple[Step, ...]:
        """Return what a deploy of this commit has to do: nothing where it was done before.

        `image`: by digest, None when it is not built yet. `thorough`: look which files are new.
        Raises AssetsError, ImageError, AwsError.
        """
        bucket, there, missing = self.bucket, None, False
        try:
            there = bucket.published(self.config.environment, revision)
        except AwsError as problem:
            if problem.code != NO_BUCKET or not (self.config.provision and self.config.is_local):
                raise
            missing = True
        made = (CreateBucket(bucket.name, {"Bucket": bucket.name}),) * missing
        if image is None:
            return (*made, PublishAssets(bucket.url(), {}))
        if there is not None:
            self._require_ours(there)
            if there.image == image.rpartition("@")[2]:
                return ()
        published = self._wanted(revision, image)
        if there is not None and there.manifest.digest == published.manifest.digest:
            return ()
        return (*made, self._step(published, thorough=thorough, empty=missing))

    def publish(self, step: PublishAssets) -> str:
        """Do a step; return what was done, in words. Raises AwsError, AssetsError, ImageError."""
        assert step.published is not None  # noqa: S101  (there is an image by now)
        bucket = self.bucket
        uploader = self.aws.uploader(bucket.name)
        publisher = Publisher(bucket, uploader, self.artifacts.files, self._progress)
        outcome = publisher.publish(step.published)
        for remark in outcome.remarks:
            self.listener(Note(remark, warning=True))
        for problem in self._misled(step.published.revision):
            self.listener(Note(f"{problem.message}: {problem.hint}", warning=True))
        return f"published assets: {outcome.sentence()}"

    def require(self, record: Record) -> None:
        """Return when all that a release's pages ask for is in the bucket. Raises AssetsError."""
        published = self.bucket.published(self.config.environment, record.revision)
        hint = f"`kaiun deploy {record.revision[:8]}` publishes them again and ships that commit"
        if published is None:
            if self._had_assets(record):
                raise AssetsError(
                    f"the assets of release {record.id} were collected",
                    where=self.bucket.url(f"{MANIFESTS}{self.config.environment}"),
                    hint=hint,
                )
            return
        gone = compare(published.manifest, self.bucket.listing(published.manifest)).new
        if gone:
            raise AssetsError(
                f"{len(gone)} of {len(published.manifest.files)} assets of release {record.id}"
                f" are not in the bucket: {gone[0].path}",
                where=self.bucket.url(),
                hint=hint,
            )

    def check(self, revision: str, image: str | None) -> str:
        """Return what the bucket has, once it can be read and written. Changes nothing.

        Raises AssetsError, AwsError, ImageError. That it can be written is seen from how S3 refuses
        a write whose condition cannot hold.
        """
        if problem := next(self._misled(revision), None):
            raise problem
        todo = self.steps(revision, image, thorough=True)
        if not any(isinstance(step, CreateBucket) for step in todo):
            bucket = self.bucket
            key = f"{bucket.prefix}{MANIFESTS}{self.config.environment}/check"
            if bucket.s3.put_if_match(bucket.name, key, b"", '"never"'):
                bucket.s3.delete(bucket.name, key)  # this S3 knows no conditions
        steps = [step for step in todo if isinstance(step, PublishAssets)]
        if not steps:
            return "all published"
        return (
            "to be published" if steps[0].new is None else f"{steps[0].new} files to be published"
        )

    def _misled(self, revision: str) -> Iterator[AssetsError]:
        return assethost.problems(self.config, self.aws.endpoint or "", revision)

    def _require_ours(self, there: Published) -> None:
        if there.app != self.config.app:
            raise AssetsError(
                f"the app {there.app} publishes the same commit of {there.environment} here",
                where=self.bucket.url(),
                hint=f"give each a prefix: `bucket: {self.bucket.url(self.config.app)}`",
            )

    def _wanted(self, revision: str, image: str) -> Published:
        environment = self.config.environment
        digest = digests(self.artifacts.labels(image)).get(environment)
        if digest is None:
            raise AssetsError(
                f"the image has no assets for {environment}: the commit's kaiun.yml knew of none",
                where=image,
                hint="commit kaiun.yml and deploy that, or `kaiun build --no-cache`",
            )
        manifest = self.artifacts.find(digest)
        if manifest is None:
            raise AssetsError(
                "the registry no longer has the assets of this image",
                where=image,
                hint=f"kaiun deploy {revision[:8]} --no-cache=assets compiles them again",
            )
        name = image.rpartition("@")[2]
        return Published(self.config.app, environment, revision, name, self.clock(), manifest)

    def _step(self, published: Published, *, thorough: bool, empty: bool) -> PublishAssets:
        bucket, manifest = self.bucket, published.manifest
        request = {"manifest": bucket.url(MANIFESTS + published.name), "digest": manifest.digest}
        if not thorough:
            return PublishAssets(bucket.url(), request, published)
        found = compare(manifest, {} if empty else bucket.listing(manifest)).missing
        size = sum(file.size for file in found)
        return PublishAssets(bucket.url(), request, published, len(found), size)

    def _had_assets(self, record: Record) -> bool:
        """Tell whether a release's pages ask the bucket; not to know is no reason to stay here."""
        try:
            labels = self.artifacts.labels(record.image) if "@" in record.image else {}
        except ImageError as problem:
            self.listener(Note(f"whether its assets are still there: {problem}", warning=True))
            return False
        return self.config.environment in digests(labels)

    def _progress(self, done: int, total: int) -> None:
        if done % TOLD_EVERY == 0 and done < total:
            self.listener(Note(f"{done} of {total} files uploaded"))


def bucket_of(aws: Aws, config: Config) -> AssetBucket:
    """Return the bucket of an environment that `uses_bucket`."""
    assert config.assets is not None and config.assets.bucket  # noqa: S101
    return AssetBucket(aws.s3, config.assets.bucket)


def uses_bucket(config: Config) -> bool:
    """Tell whether pages of this environment ask a bucket for their assets."""
    given = config.assets
    return given is not None and given.bucket is not None and not given.in_image


def digests(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the digest of the assets of each environment, as the labels of an image say."""
    try:
        found = json.loads(labels.get(LABEL, "{}"))
    except ValueError:
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}
