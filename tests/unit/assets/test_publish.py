"""Publishing to an S3 that fails: nothing half published, nothing sent twice."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from support.fake_s3 import FakeS3, Fault, fake_s3

from kaiun.assets.bucket import AssetBucket, Published, from_json
from kaiun.assets.manifest import AssetFile, AssetManifest
from kaiun.assets.publish import IMMUTABLE, SHORT, Publisher, clashes, compare
from kaiun.assets.retention import Needed, collect, examine
from kaiun.errors import AssetsError, AwsError

SHA = "1" * 40
STATIC = {
    "assets/app-1a2b.css": b"body {}",
    "assets/app-1a2b.css.gz": b"\x1f\x8bzipped",
    "assets/app-3c4d.js": b"alert(1)",
    "robots.txt": b"User-agent: *",
}
PLAIN = {"robots.txt"}


@pytest.fixture
def s3() -> Iterator[FakeS3]:
    with fake_s3("assets") as fake:
        yield fake


def manifest(contents: dict[str, bytes]) -> AssetManifest:
    files = tuple(
        AssetFile(
            path,
            len(body),
            hashlib.sha256(body).hexdigest(),
            "text/plain",
            encoding="gzip" if path.endswith(".gz") else "",
            immutable=path not in PLAIN,
        )
        for path, body in sorted(contents.items())
    )
    return AssetManifest("d" * 64, "public", files)


def release(contents: dict[str, bytes], revision: str = SHA, **more: str) -> Published:
    given = {"app": "shop", "environment": "staging", "image": "sha256:1", **more}
    return Published(**given, revision=revision, published=0.0, manifest=manifest(contents))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


class Sea:
    """Publishes contents to the fake S3, below `web/`."""

    def __init__(self, s3: FakeS3, folder: Path, url: str = "s3://assets/web") -> None:
        self.s3, self.folder = s3, folder
        self.bucket = AssetBucket(s3.aws().s3, url)

    def publish(self, contents: dict[str, bytes], revision: str = SHA, **more: str) -> list[object]:
        for body in contents.values():
            (self.folder / hashlib.sha256(body).hexdigest()).write_bytes(body)

        @contextmanager
        def files(_: AssetManifest) -> Iterator[Path]:
            yield self.folder

        aws = self.s3.aws()
        publisher = Publisher(
            AssetBucket(aws.s3, self.bucket.url()), aws.uploader(self.bucket.name), files
        )
        outcome = publisher.publish(release(contents, revision, **more))
        return [outcome.uploaded, outcome.total, *outcome.remarks]

    def content(self) -> set[str]:
        return {key.removeprefix("web/") for key in self.s3.buckets["assets"]}


@pytest.fixture
def sea(s3: FakeS3, folder: Path) -> Sea:
    return Sea(s3, folder)


MANIFEST = f"manifests/staging/{SHA}.json"
ANNOUNCED = f"publishing/staging/{SHA}-{'d' * 12}.json"


def test_everything_is_there_afterwards_and_the_manifest_came_last(sea: Sea) -> None:
    assert sea.publish(STATIC) == [4, 4]
    assert sea.content() == {*STATIC, MANIFEST}
    puts = [path for method, path in sea.s3.requests if method == "PUT"]
    assert puts[0].endswith(ANNOUNCED)
    assert puts[-1].endswith(MANIFEST)
    assert puts[-2].endswith("robots.txt")  # plain names may name fingerprinted ones
    found = from_json(sea.s3.buckets["assets"][f"web/{MANIFEST}"].body, "")
    assert (found.manifest, found.owner) == (manifest(STATIC), ("shop", "staging"))


def test_fingerprinted_names_are_kept_for_good_and_plain_ones_for_a_minute(sea: Sea) -> None:
    sea.publish(STATIC)
    headers = {path: sea.s3.buckets["assets"][f"web/{path}"].headers for path in STATIC}
    assert headers["assets/app-1a2b.css"]["Cache-Control"] == IMMUTABLE
    assert headers["robots.txt"]["Cache-Control"] == SHORT
    assert headers["assets/app-1a2b.css.gz"]["Content-Encoding"] == "gzip"


def test_second_release_sends_only_what_is_new(sea: Sea) -> None:
    sea.publish(STATIC)
    sea.s3.requests.clear()
    newer = {**STATIC, "assets/app-5e6f.css": b"body { color: red }"}
    assert sea.publish(newer, "2" * 40) == [1, 5]
    assert sea.s3.count("PUT") == 3  # the announcement, the file, the manifest


def test_release_with_nothing_new_is_a_listing_and_a_manifest(sea: Sea) -> None:
    sea.publish(STATIC)
    sea.s3.requests.clear()
    assert sea.publish(STATIC, "2" * 40) == [0, 4]
    assert sea.s3.count("GET") == 2  # one folder, and what is in none
    assert (sea.s3.count("PUT"), len(sea.s3.requests)) == (1, 3)


@pytest.mark.parametrize("fault", [Fault.DENY, Fault.TRUNCATE])
def test_failure_publishes_nothing_and_the_next_run_goes_on(sea: Sea, fault: Fault) -> None:
    bad = "web/assets/app-3c4d.js"
    sea.s3.fault = lambda _method, key: fault if key == bad else None
    with pytest.raises(AwsError) as caught:
        sea.publish(STATIC)
    assert bad in caught.value.where
    assert MANIFEST not in sea.content()
    sea.s3.fault = lambda _method, _key: None
    there = sea.content()
    assert ANNOUNCED in there
    assert sea.publish(STATIC) == [4 - len(there & set(STATIC)), 4]
    assert sea.content() == {*STATIC, MANIFEST}


def test_manifest_that_cannot_be_written_leaves_files_that_were_announced(sea: Sea) -> None:
    sea.s3.fault = lambda method, key: Fault.DENY if method == "PUT" and "manif" in key else None
    with pytest.raises(AwsError, match="Access Denied"):
        sea.publish(STATIC)
    assert sea.content() == {*STATIC, ANNOUNCED}
    sea.s3.fault = lambda _method, _key: None
    assert sea.publish(STATIC) == [0, 4]


def test_who_may_not_delete_publishes_all_the_same(sea: Sea) -> None:
    sea.s3.fault = lambda method, _key: Fault.DENY if method == "DELETE" else None
    assert sea.publish(STATIC) == [4, 4]
    assert sea.content() == {*STATIC, MANIFEST, ANNOUNCED}


def test_files_of_a_publication_that_failed_are_collected_when_they_are_old(sea: Sea) -> None:
    bad = "web/assets/app-3c4d.js"
    sea.s3.fault = lambda _method, key: Fault.DENY if key == bad else None
    with pytest.raises(AwsError):
        sea.publish(STATIC)
    sea.s3.fault = lambda _method, _key: None
    owner = ("shop", "staging")
    assert examine(sea.bucket, owner, Needed(since=time.time() - 60)).empty
    found = examine(sea.bucket, owner, Needed(since=time.time() + 60))
    assert found.files == sea.content() - {ANNOUNCED}
    collect(sea.bucket, found)
    assert sea.content() == set()


def test_file_that_goes_away_meanwhile_is_sent_again(sea: Sea) -> None:
    lost = "web/assets/app-1a2b.css"
    listings = 0

    def collect_once(method: str, key: str) -> None:
        nonlocal listings
        if (method, key) == ("GET", ""):
            listings += 1
            if listings == 3:  # the first of the second round
                del sea.s3.buckets["assets"][lost]

    sea.s3.fault = collect_once
    sea.publish(STATIC)
    assert sea.content() == {*STATIC, MANIFEST}


def test_file_that_always_goes_away_is_an_error(sea: Sea) -> None:
    def collect_always(method: str, key: str) -> None:
        if (method, key) == ("GET", ""):
            sea.s3.buckets["assets"].pop("web/assets/app-1a2b.css", None)

    sea.s3.fault = collect_always
    with pytest.raises(AssetsError, match=r"app-1a2b\.css went away again"):
        sea.publish(STATIC)
    assert MANIFEST not in sea.content()


def test_fingerprinted_name_is_never_overwritten(sea: Sea) -> None:
    sea.publish(STATIC)
    other = {**STATIC, "assets/app-1a2b.css": b"body {}\n", "assets/app-1a2b.css.gz": b"other"}
    uploaded, total, remark = sea.publish(other, "2" * 40)
    assert (uploaded, total) == (0, 4)
    assert "assets/app-1a2b.css is in the bucket" in str(remark)  # the variant is not mentioned
    assert sea.s3.bodies("assets")["web/assets/app-1a2b.css"] == b"body {}"


def test_plain_name_is_overwritten(sea: Sea) -> None:
    sea.publish(STATIC)
    assert sea.publish({**STATIC, "robots.txt": b"Disallow: /"}, "2" * 40) == [1, 4]
    assert sea.s3.bodies("assets")["web/robots.txt"] == b"Disallow: /"


def test_same_size_does_not_make_it_the_same(sea: Sea) -> None:
    sea.publish(STATIC)
    assert sea.publish({**STATIC, "robots.txt": b"User-agent: x"}, "2" * 40) == [1, 4]


def test_overwriting_the_file_of_another_environment_is_told(sea: Sea) -> None:
    sea.publish(STATIC, environment="production")
    remarks = sea.publish({**STATIC, "robots.txt": b"Disallow: /"}, "2" * 40)[2:]
    assert len(remarks) == 1
    assert "robots.txt of production, which shares this bucket" in str(remarks[0])


def test_where_etags_tell_nothing_s3_is_asked_for_checksums(sea: Sea) -> None:
    sea.s3.kms = True
    sea.publish(STATIC)
    sea.s3.requests.clear()
    assert sea.publish(STATIC, "2" * 40) == [0, 4]
    assert sea.s3.count("HEAD") == 4
    assert sea.publish({**STATIC, "robots.txt": b"User-agent: x"}, "3" * 40) == [1, 4]


def test_damaged_copy_is_not_published(sea: Sea, folder: Path) -> None:
    sea.publish(STATIC)
    (folder / hashlib.sha256(b"body {}").hexdigest()).write_bytes(b"body }{")
    bucket = AssetBucket(sea.s3.aws().s3, "s3://assets/web")

    @contextmanager
    def files(_: AssetManifest) -> Iterator[Path]:
        yield folder

    publisher = Publisher(bucket, sea.s3.aws().uploader("assets"), files)
    with pytest.raises(AssetsError, match="is damaged"):
        publisher.publish(release(STATIC, "2" * 40))


def test_missing_bucket_is_told(s3: FakeS3, folder: Path) -> None:
    with pytest.raises(AwsError) as caught:
        Sea(s3, folder, "s3://nowhere").publish(STATIC)
    assert caught.value.code == "NoSuchBucket"
    assert "create the bucket" in caught.value.hint


def test_bucket_without_a_prefix_works_as_well(s3: FakeS3, folder: Path) -> None:
    Sea(s3, folder, "s3://assets").publish(STATIC)
    assert set(s3.buckets["assets"]) == {*STATIC, MANIFEST}


def test_comparison_without_content_goes_by_size() -> None:
    found = compare(manifest(STATIC), {})
    assert (found.total, len(found.new)) == (4, 4)


def test_clash_is_with_the_newest_manifest_of_another_environment() -> None:
    ours = release({"robots.txt": b"new"})
    old = release({"robots.txt": b"old"}, environment="production")
    newer = replace(release({"robots.txt": b"new"}, environment="production"), published=9.0)
    assert clashes(ours.manifest.files, ours, [old, newer, ours]) == []
    assert len(clashes(ours.manifest.files, ours, [newer, replace(old, published=10.0)])) == 1


def test_manifest_of_somebody_else_is_no_manifest() -> None:
    with pytest.raises(AssetsError, match="does not say whose"):
        from_json(manifest(STATIC).to_json().encode(), "s3://assets/x.json")
