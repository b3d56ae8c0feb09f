"""What is collected from a bucket that several apps and environments share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from support.fake_s3 import FakeS3, Fault, fake_s3

from kaiun.assets.bucket import COLLECTED, PUBLISHING, AssetBucket, Published
from kaiun.assets.manifest import AssetFile, AssetManifest
from kaiun.assets.retention import Needed, Uploads, collect, examine, leftover
from kaiun.errors import AwsError

OWNER = ("shop", "staging")
NEVER = float("inf")


@pytest.fixture
def s3() -> Iterator[FakeS3]:
    with fake_s3("assets") as fake:
        yield fake


@pytest.fixture
def bucket(s3: FakeS3) -> AssetBucket:
    return AssetBucket(s3.aws().s3, "s3://assets/web")


def release(number: int, *paths: str, app: str = "shop", environment: str = "staging") -> Published:
    files = tuple(AssetFile(path, 10, "0" * 64, "text/css") for path in paths)
    manifest = AssetManifest(f"{number}" * 64, "public", files)
    revision, image = f"{number}" * 40, f"sha256:{number}"
    return Published(app, environment, revision, image, float(number), manifest)


def fill(bucket: AssetBucket, *releases: Published) -> None:
    for published in releases:
        bucket.write(published)
        for file in published.manifest.files:
            bucket.s3.put(bucket.name, bucket.prefix + file.path, b"0123456789")


def left(s3: FakeS3) -> set[str]:
    return {key.removeprefix("web/") for key in s3.buckets["assets"]}


def needed(newest: int = 1, **more: object) -> Needed:
    return Needed(newest=newest, **{"since": NEVER, **more})  # type: ignore[arg-type]


def numbers(published: tuple[Published, ...]) -> list[int]:
    return sorted(int(each.published) for each in published)


RELEASES = [release(n, "all.css", f"{n}.css") for n in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("wanted", "gone"),
    [
        (needed(), [1, 2, 3]),
        (needed(newest=3), [1]),
        (needed(newest=9), []),
        (needed(revisions=frozenset({"1" * 40})), [2, 3]),
        (needed(images=frozenset({"sha256:2"})), [1, 3]),
        (needed(since=2.0), [1]),
        (needed(since=0.0), []),
    ],
)
def test_release_goes_when_nothing_needs_it(wanted: Needed, gone: list[int]) -> None:
    found = leftover(RELEASES, [], OWNER, wanted, Uploads())
    assert numbers(found.manifests) == gone
    assert found.files == {f"{n}.css" for n in gone}
    assert found.size == 10 * len(gone)


def test_what_others_refer_to_stays() -> None:
    production = release(5, "1.css", environment="production")
    blog = release(6, "2.css", app="blog")
    found = leftover([*RELEASES, production, blog], [], OWNER, needed(), Uploads())
    assert found.files == {"3.css"}
    assert numbers(found.manifests) == [1, 2, 3]


def test_what_is_not_ours_is_never_collected(s3: FakeS3, bucket: AssetBucket) -> None:
    old = replace(release(1, "blog.css", app="blog"), revision="8" * 40)
    fill(bucket, old, replace(old, revision="9" * 40, published=2.0), *RELEASES)
    s3.buckets["assets"]["web/logo.png"] = s3.buckets["assets"]["web/1.css"]  # put by hand
    found = examine(bucket, OWNER, needed())
    assert collect(bucket, found) == 3
    assert {"blog.css", "logo.png", "all.css", "4.css"} < left(s3)
    assert {name for name in left(s3) if name.startswith("manifests/")} == {
        f"manifests/staging/{'8' * 40}.json",
        f"manifests/staging/{'9' * 40}.json",
        f"manifests/staging/{'4' * 40}.json",
    }


def test_dry_run_changes_nothing(s3: FakeS3, bucket: AssetBucket) -> None:
    fill(bucket, *RELEASES)
    s3.requests.clear()
    assert len(examine(bucket, OWNER, needed()).files) == 3
    assert {method for method, _ in s3.requests} == {"GET"}


def test_interrupted_collection_is_finished_by_the_next(s3: FakeS3, bucket: AssetBucket) -> None:
    fill(bucket, *RELEASES)
    s3.fault = lambda method, _key: Fault.DENY if method == "POST" else None
    with pytest.raises(AwsError):
        collect(bucket, examine(bucket, OWNER, needed()))
    assert bucket.published("staging", "1" * 40) is None  # no rollback may count on it
    assert len(bucket.names(COLLECTED)) == 3
    s3.fault = lambda _method, _key: None
    found = examine(bucket, OWNER, needed())
    assert numbers(found.interrupted) == [1, 2, 3]
    assert found.files == {"1.css", "2.css", "3.css"}
    collect(bucket, found)
    assert left(s3) == {"all.css", "4.css", f"manifests/staging/{'4' * 40}.json"}
    assert examine(bucket, OWNER, needed()).empty


def test_release_published_again_meanwhile_keeps_its_files(s3: FakeS3, bucket: AssetBucket) -> None:
    fill(bucket, *RELEASES)
    found = examine(bucket, OWNER, needed())
    fill(bucket, release(7, "1.css", environment="production"))
    assert collect(bucket, found) == 2
    assert "1.css" in left(s3)


def test_nothing_is_ours_in_an_empty_bucket(bucket: AssetBucket) -> None:
    assert examine(bucket, OWNER, needed()).empty


def announce(bucket: AssetBucket, published: Published, *paths: str) -> None:
    """Begin a publication that got these files done."""
    bucket.write(published, PUBLISHING)
    for path in paths:
        bucket.s3.put(bucket.name, bucket.prefix + path, b"0123456789")


def age(s3: FakeS3, moment: float) -> None:
    """Let everything in the bucket be of a moment, by S3's clock."""
    objects = s3.buckets["assets"]
    objects.update({key: replace(each, modified=moment) for key, each in objects.items()})


UNFINISHED = release(5, "all.css", "5.css", "never.css")


def test_files_of_a_publication_that_never_ended_go(s3: FakeS3, bucket: AssetBucket) -> None:
    fill(bucket, *RELEASES)
    announce(bucket, UNFINISHED, "5.css")
    age(s3, 10.0)
    found = examine(bucket, OWNER, needed(newest=4, since=11.0))
    assert (numbers(found.unfinished), found.manifests) == ([5], ())
    assert (set(found.files), found.size) == ({"5.css"}, 10)
    assert collect(bucket, found) == 1
    assert "5.css" not in left(s3)
    assert {"all.css", "1.css", "4.css"} < left(s3)
    assert bucket.names(PUBLISHING) == frozenset()


@pytest.mark.parametrize("since", [5.0, 10.0, 0.0])
def test_files_that_s3_calls_young_stay(s3: FakeS3, bucket: AssetBucket, since: float) -> None:
    announce(bucket, UNFINISHED, "5.css", "all.css")
    age(s3, 1.0)
    objects = s3.buckets["assets"]
    objects["web/5.css"] = replace(objects["web/5.css"], modified=10.0)
    assert examine(bucket, OWNER, needed(since=since)).empty


def test_young_file_that_a_release_names_keeps_no_lost_publication(
    s3: FakeS3, bucket: AssetBucket
) -> None:
    """Plain names are written anew by every deploy."""
    announce(bucket, UNFINISHED, "5.css")
    age(s3, 1.0)
    fill(bucket, *RELEASES)
    found = examine(bucket, OWNER, needed(newest=4, since=6.0))
    assert found.files == {"5.css"}


def test_publication_that_goes_on_keeps_what_it_names(s3: FakeS3, bucket: AssetBucket) -> None:
    """Of another environment, for there is no lock between the two."""
    fill(bucket, *RELEASES)
    announce(bucket, release(6, "1.css", environment="production"))
    found = examine(bucket, OWNER, needed())
    assert found.files == {"2.css", "3.css"}
    announce(bucket, release(7, "2.css", environment="production"))
    assert collect(bucket, found) == 1
    assert {"1.css", "2.css"} < left(s3)
    assert len(bucket.names(PUBLISHING)) == 2


def test_unfinished_publication_of_others_is_theirs(s3: FakeS3, bucket: AssetBucket) -> None:
    announce(bucket, release(6, "6.css", environment="production"), "6.css")
    age(s3, 1.0)
    assert examine(bucket, OWNER, needed()).empty


def test_announcement_of_what_was_published_is_forgotten(s3: FakeS3, bucket: AssetBucket) -> None:
    fill(bucket, *RELEASES)
    announce(bucket, RELEASES[3])
    age(s3, 1.0)
    found = examine(bucket, OWNER, needed(newest=4))
    assert found.empty
    assert collect(bucket, found) == 0
    assert bucket.names(PUBLISHING) == frozenset()
    assert {"all.css", "4.css"} < left(s3)
