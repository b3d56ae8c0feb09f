"""Layers on top of each other, and the packages of their files."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from kaiun.cpu import packages, tree
from kaiun.cpu.examiner import Examiner, OnDisk
from kaiun.cpu.facts import Facts
from kaiun.cpu.store import FILE, Store, opened, reading
from kaiun.errors import KaiunError

ELF = b"\x7fELF\x02\x01" + bytes(94)


def layer(*files: str, **changes: set[str]) -> tree.Layer:
    return tree.Layer(files=dict.fromkeys(files, "d"), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "upper",
    [
        layer(gone={"/usr/lib/a.so"}),
        layer(gone={"/usr"}),
        layer(opaque={"/usr/lib"}),
        layer(others={"/usr/lib/a.so"}),  # no ELF file any more
        layer(others={"/usr/lib"}),  # a link in place of the folder
    ],
)
def test_file_that_a_later_layer_hides_does_not_count(upper: tree.Layer) -> None:
    assert tree.stacked([layer("/usr/lib/a.so", "/b"), upper]) == {"/b": ("d", "")}


def test_file_that_comes_again_counts() -> None:
    upper = layer("/usr/lib/a.so", opaque={"/usr/lib"})
    assert list(tree.stacked([layer("/usr/lib/a.so"), upper])) == ["/usr/lib/a.so"]


def test_layer_survives_the_store() -> None:
    kept = tree.Layer({"/a": "d"}, {"/é", "/b"}, {"/c"}, {"/d"}, {"/a": "gem a 1"})
    assert tree.load(kept.dump()) == kept


def test_store_is_the_groups_where_the_umask_says_so(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        with opened(tmp_path) as store:
            store.keep({"d": Facts("other")}, {})
            files = [*tmp_path.iterdir()]
            assert {file.stat().st_mode & 0o777 for file in files} == {0o664}
    finally:
        os.umask(before)


def test_store_that_cannot_be_written_is_only_read(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.keep({"d": None}, {})
    only_read = reading(tmp_path / FILE)
    only_read.keep({"e": None}, {})
    assert only_read.facts(["d", "e"]) == {"d": None}


def test_tar_and_folder_give_the_same_layer(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "lib").mkdir(parents=True)
    (root / "lib" / "a.so").write_bytes(ELF)
    (root / "lib" / "text").write_text("x" * 100)
    (root / "lib" / "link").symlink_to("a.so")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(root, ".")
    buffer.seek(0)
    with opened(tmp_path / "home") as store, Examiner(store) as examiner:
        with tarfile.open(fileobj=buffer, mode="r|") as tar:
            read = tree.from_tar(tar, examiner)
        found = tree.from_folder(root, examiner)
        examiner.finish()
        assert read == found
        assert list(read.files) == ["/lib/a.so"]
        assert read.others == {"/lib/text", "/lib/link"}


def test_whiteouts_of_a_tar(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("usr/lib/.wh.a.so"))
        tar.addfile(tarfile.TarInfo("opt/.wh..wh..opq"))
    buffer.seek(0)
    with (
        opened(tmp_path) as store,
        Examiner(store) as examiner,
        tarfile.open(fileobj=buffer, mode="r|") as tar,
    ):
        found = tree.from_tar(tar, examiner)
    assert found == tree.Layer(gone={"/usr/lib/a.so"}, opaque={"/opt"})


@pytest.mark.parametrize(
    ("path", "package"),
    [
        ("/usr/local/bundle/gems/bcrypt-3.1.20/lib/bcrypt_ext.so", "gem bcrypt 3.1.20"),
        ("/b/extensions/x86_64-linux/3.1.0/bcrypt-3.1.20/bcrypt_ext.so", "gem bcrypt 3.1.20"),
        ("/b/gems/nokogiri-1.16.0-x86_64-linux/lib/nokogiri.so", "gem nokogiri 1.16.0"),
        ("/b/ruby/3.1.0/gems/pg-1.5.0.rc1/lib/pg_ext.so", "gem pg 1.5.0.rc1"),
        ("/b/bundler/gems/mine-0a1b2c3d4e5f/lib/mine.so", "gem mine-0a1b2c3d4e5f"),
        ("/app/node_modules/@img/sharp/build/sharp.node", "npm @img/sharp"),
        ("/app/lib/own.so", ""),
    ],
)
def test_package_by_place(path: str, package: str) -> None:
    assert packages.attribute([path], {}).get(path, "") == package


def test_package_by_lists() -> None:
    lists = {
        "/var/lib/dpkg/info/libc6:amd64.list": "/.\n/lib/x86_64-linux-gnu/libc.so.6\n",
        "/var/lib/dpkg/status": "Package: libc6\nVersion: 2.36-9\n",
        "/v/site-packages/numpy-2.0.dist-info/RECORD": "numpy/a.so,sha256=x,1\n../../bin/f2py,,\n",
        "/lib/apk/db/installed": "P:musl\nV:1.2.4-r2\nF:lib\nR:ld-musl-x86_64.so.1\n",
    }
    assert all(packages.is_list(path) for path in lists)
    expected = {
        "/usr/lib/x86_64-linux-gnu/libc.so.6": "deb libc6 2.36-9",
        "/v/site-packages/numpy/a.so": "wheel numpy 2.0",
        "/bin/f2py": "wheel numpy 2.0",
        "/lib/ld-musl-x86_64.so.1": "apk musl 1.2.4-r2",
    }
    assert packages.attribute([*expected, "/other"], lists) == expected


def test_file_seen_before_is_not_examined_again(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        with Examiner(store) as first:
            digest = first.add(ELF)
            first.finish()
        assert list(first.new) == [digest]
        store.keep(first.new, {})
        with Examiner(store) as second:
            assert second.add(ELF) == digest
            second.finish()
        assert second.new == {}


def test_store_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with opened(tmp_path / "file" / "home") as store:
        assert isinstance(store, Store)
        assert store.layers(["sha256:a"]) == {}


def test_several_processes_find_what_one_finds(tmp_path: Path) -> None:
    files = [Path("/bin/true").read_bytes(), Path("/bin/ls").read_bytes()]
    found = []
    for processes, worth in ((1, 1 << 30), (2, 0)):
        with (
            opened(tmp_path / str(processes)) as store,
            Examiner(store, processes, worth) as examiner,
        ):
            for data in files:
                examiner.add(data)
            found.append(examiner.finish())
    assert found[0] == found[1]


def test_files_on_disk_are_found_by_several_processes_too(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for number in range(3):
        (root / f"{number}.so").write_bytes(ELF + bytes([number]))
    shutil.copy("/bin/true", root)
    found = []
    for processes, worth in ((1, 1 << 30), (2, 0)):
        with (
            opened(tmp_path / str(processes)) as store,
            Examiner(store, processes, worth) as examiner,
        ):
            layer = tree.from_folder(root, examiner)
            found.append((examiner.finish(), layer.files))
            assert examiner.new.keys() == set(layer.files.values())
            store.keep(examiner.new, {})
            with Examiner(store, processes, worth) as again:
                assert tree.from_folder(root, again).files.keys() == layer.files.keys()
                assert again.finish() == examiner.finish()
                assert again.new == {}
    assert found[0] == found[1]
    assert len(found[0][0]) == 4


def test_file_on_disk_that_vanishes_is_an_error(tmp_path: Path) -> None:
    with opened(tmp_path / "home") as store, Examiner(store, 2, 0) as examiner:
        examiner.read(OnDisk(str(tmp_path / "gone.so"), 1000, print))
        with pytest.raises(KaiunError, match=r"No such file"):
            examiner.finish()
