"""Many files to an S3 that fails: what arrives is whole, what does not is told."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fake_s3 import FakeS3, Fault, fake_s3, first

from kaiun.aws.upload import IN_MEMORY, Upload
from kaiun.errors import AwsError

CSS = b"body { color: teal }\n"


@pytest.fixture
def s3() -> Iterator[FakeS3]:
    with fake_s3("assets") as fake:
        yield fake


def order(folder: Path, key: str = "assets/a.css", body: bytes = CSS, **more: object) -> Upload:
    digest = hashlib.sha256(body).hexdigest()
    (folder / digest).write_bytes(body)
    given = {"content_type": "text/css", "cache_control": "public, max-age=60", **more}
    return Upload(key, folder / digest, len(body), digest, **given)  # type: ignore[arg-type]


def upload(s3: FakeS3, *orders: Upload) -> list[str]:
    done: list[str] = []
    s3.aws().uploader("assets").upload(orders, lambda each: done.append(each.key))
    return sorted(done)


def test_files_arrive_with_what_browsers_need(s3: FakeS3, tmp_path: Path) -> None:
    gzip = order(tmp_path, "assets/a.css.gz", b"\x1f\x8b", encoding="gzip")
    assert upload(s3, order(tmp_path), gzip) == ["assets/a.css", "assets/a.css.gz"]
    headers = s3.buckets["assets"]["assets/a.css.gz"].headers
    assert headers["Content-Type"] == "text/css"
    assert headers["Cache-Control"] == "public, max-age=60"
    assert headers["Content-Encoding"] == "gzip"
    assert s3.bodies("assets") == {"assets/a.css": CSS, "assets/a.css.gz": b"\x1f\x8b"}
    assert "Content-Encoding" not in s3.buckets["assets"]["assets/a.css"].headers


def test_large_file_is_sent_as_it_is_read(s3: FakeS3, tmp_path: Path) -> None:
    body = b"x" * (IN_MEMORY + 1)
    upload(s3, order(tmp_path, body=body))
    assert s3.bodies("assets")["assets/a.css"] == body


@pytest.mark.parametrize("fault", [Fault.ERROR, Fault.HANG_UP, Fault.LOSE_ANSWER, Fault.SLOW])
@pytest.mark.parametrize("once", [False, True])
def test_passing_failure_is_no_failure(
    s3: FakeS3, tmp_path: Path, fault: Fault, once: bool
) -> None:
    s3.fault = first(1, fault)
    orders = [order(tmp_path, f"assets/{n}.css", once=once) for n in range(20)]
    assert len(upload(s3, *orders)) == 20
    assert set(s3.bodies("assets").values()) == {CSS}


@pytest.mark.parametrize(
    ("fault", "code"), [(Fault.ERROR, "InternalError"), (Fault.DENY, "AccessDenied")]
)
def test_lasting_failure_names_the_object(
    s3: FakeS3, tmp_path: Path, fault: Fault, code: str
) -> None:
    s3.fault = lambda _method, key: fault if key == "assets/b.css" else None
    with pytest.raises(AwsError) as caught:
        upload(s3, order(tmp_path), order(tmp_path, "assets/b.css"))
    assert caught.value.code == code
    assert caught.value.where == "s3:PutObject s3://assets/assets/b.css"


def test_failure_ends_what_has_not_begun(s3: FakeS3, tmp_path: Path) -> None:
    s3.fault = lambda _method, _key: Fault.DENY
    with pytest.raises(AwsError):
        upload(s3, *(order(tmp_path, f"assets/{n}.css") for n in range(400)))
    assert s3.count("PUT") < 400


def test_truncated_upload_is_noticed_though_s3_says_that_all_is_well(
    s3: FakeS3, tmp_path: Path
) -> None:
    s3.fault = first(1, Fault.TRUNCATE)
    with pytest.raises(AwsError, match="what S3 has is not what was sent") as caught:
        upload(s3, order(tmp_path))
    assert caught.value.code == "BadDigest"
    assert s3.bodies("assets") == {}


def test_file_that_changed_meanwhile_is_not_sent(s3: FakeS3, tmp_path: Path) -> None:
    changed = order(tmp_path)
    changed.file.write_bytes(CSS[:-1])
    with pytest.raises(AwsError, match="not what it was said to be"):
        upload(s3, changed)
    assert s3.count("PUT") == 0


def test_what_is_there_once_is_not_overwritten(s3: FakeS3, tmp_path: Path) -> None:
    upload(s3, order(tmp_path, once=True))
    upload(s3, order(tmp_path, once=True))  # the same content: another was faster
    with pytest.raises(AwsError, match="what S3 has is not what was sent"):
        upload(s3, order(tmp_path, body=b"other", once=True))
    assert s3.bodies("assets")["assets/a.css"] == CSS


def test_where_etags_tell_nothing_the_checksum_does(s3: FakeS3, tmp_path: Path) -> None:
    s3.kms = True
    upload(s3, order(tmp_path))
    assert s3.count("HEAD") == 1
    s3.fault = first(1, Fault.TRUNCATE)
    with pytest.raises(AwsError, match="what S3 has is not what was sent"):
        upload(s3, order(tmp_path, "assets/b.css"))


def test_missing_file_is_told(s3: FakeS3, tmp_path: Path) -> None:
    missing = order(tmp_path)
    missing.file.unlink()
    with pytest.raises(AwsError, match="cannot be read: No such file"):
        upload(s3, missing)


def test_objects_are_listed_and_deleted_in_pages(s3: FakeS3) -> None:
    aws = s3.aws()
    upload_many = [f"assets/{n:04}.css" for n in range(1500)]
    for key in ("index.html", *upload_many):
        aws.s3.put("assets", key, b"x")
    assert [found.key for found in aws.s3.objects("assets", "assets/")] == upload_many
    assert [found.key for found in aws.s3.objects("assets", "", flat=True)] == ["index.html"]
    s3.requests.clear()
    aws.s3.delete_all("assets", upload_many)
    assert s3.count("POST", "delete") == 2
    assert s3.bodies("assets") == {"index.html": b"x"}
