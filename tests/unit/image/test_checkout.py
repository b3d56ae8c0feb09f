"""A kept folder is, after each commit, what a fresh one would be; and no more is written than that.

All commits of these tests have the same second, and files that differ often have the same size.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.repository import Repository

from kaiun.errors import ImageError, Interrupted
from kaiun.image import checkout, context
from kaiun.image.context import Parcel
from kaiun.image.revision import resolve
from kaiun.image.source import Source, locate
from kaiun.image.stop import Stop

Seen = dict[str, tuple[str, int, bytes]]  # of each path: kind, mode, content
NAME = "localhost:5000/shop"
PATHS = ("a", "a/b", "a/b/c", "a-b", "a.b", "d/e", "d/f", "ü ö", "-x", "d/:(top)", "*", "new\nline")


@dataclass(slots=True)
class Kept:
    """The folder of an image, filled from the newest commit; `packed` tells what was sent."""

    repository: Repository
    home: Path
    folder: str = "."
    packed: list[Parcel] = field(default_factory=list)

    @property
    def place(self) -> Path:
        return checkout.place_of(self.home, NAME)

    def fill(self) -> Seen:
        with checkout.filled(self.home, NAME, self.pack, Stop()) as folder:
            return seen(folder)

    def pack(self, there: str, stop: Stop) -> Parcel:
        source = Source("shop", NAME, self.repository.path, self.folder)
        place = locate(source, resolve(self.repository.path))
        self.packed.append(context.parcel(place, there, stop))
        return self.packed[-1]

    @property
    def changed(self) -> tuple[str, ...] | None:
        """What was taken away before the last parcel was unpacked; None for everything."""
        return self.packed[-1].removed


@pytest.fixture
def kept(repository: Repository, tmp_path: Path) -> Kept:
    return Kept(repository, tmp_path / "home")


def seen(folder: Path) -> Seen:
    """Return kind, mode and content of all that is below a folder, and of itself."""
    found = {}
    for path in (folder, *folder.rglob("*")):
        mode = path.lstat().st_mode
        if path.is_symlink():
            found[str(path.relative_to(folder))] = "link", 0, os.fsencode(path.readlink())
        elif path.is_dir():
            found[str(path.relative_to(folder))] = "folder", mode, b""
        else:
            found[str(path.relative_to(folder))] = "file", mode, path.read_bytes()
    return found


def fresh(repository: Repository, into: Path, folder: str = "") -> Seen:
    """Return what git itself packs of the newest commit."""
    archive = into.with_suffix(".tar")
    own = ("-c", "tar.umask=0022", "archive", "--output", str(archive), f"HEAD:{folder}")
    repository.git(*own)
    into.mkdir(mode=0o755)
    subprocess.run(["tar", "-xpf", str(archive), "-C", str(into)], check=True)
    return seen(into)


def write_anew(repository: Repository, dice: random.Random) -> None:
    """Make the work tree any tree of PATHS: files of few contents, programs, links."""
    for path in repository.path.iterdir():
        if path.name != ".git":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for name in dice.sample(PATHS, dice.randint(1, len(PATHS))):
        path = repository.path / name
        if any(each.is_symlink() or each.is_file() for each in path.parents) or path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if dice.random() < 0.2:
            path.symlink_to(dice.choice(("a", "d", "/etc", "nowhere")))
        else:
            path.write_text(dice.choice(("one", "two", "six", "seven")))
            path.chmod(dice.choice((0o644, 0o755)))


@pytest.mark.parametrize("seed", range(6))
def test_any_commit_after_any_other(kept: Kept, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    for number in range(15):
        write_anew(kept.repository, dice)
        kept.repository.commit()
        assert kept.fill() == fresh(kept.repository, tmp_path / f"fresh-{number}")
    assert [parcel.removed is None for parcel in kept.packed] == [True, *[False] * 14]


def test_what_stays_is_not_touched_and_what_changed_has_another_time(kept: Kept) -> None:
    kept.repository.commit({"a": "one", "d/b": "one", "d/c": "one"})
    kept.fill()
    folder = kept.place / "context"
    before = {name: (folder / name).stat() for name in ("a", "d/b", "d/c")}
    kept.repository.commit({"d/b": "two"})
    kept.fill()
    after = {name: (folder / name).stat() for name in before}
    assert kept.changed == ("d/b",)
    assert {name for name in before if before[name] != after[name]} == {"d/b"}
    assert before["d/b"].st_size == after["d/b"].st_size
    assert before["d/b"].st_mtime_ns != after["d/b"].st_mtime_ns


def test_same_commit_again_packs_nothing(kept: Kept) -> None:
    kept.repository.commit({"a": "one"})
    first = kept.fill()
    assert kept.fill() == first
    assert (kept.changed, kept.packed[-1].tar) == ((), None)


def test_context_below_the_top_is_kept_too(kept: Kept, tmp_path: Path) -> None:
    kept.folder = "apps/shop"
    kept.repository.commit({"apps/shop/a": "one", "apps/shop/b/c": "one", "other": "one"})
    kept.fill()
    kept.repository.commit({"apps/shop/b/c": "two", "other": "two"})
    assert kept.fill() == fresh(kept.repository, tmp_path / "fresh", "apps/shop")
    assert kept.changed == ("b/c",)


def test_files_that_git_leaves_out_stay_out(kept: Kept, tmp_path: Path) -> None:
    kept.repository.commit({".gitattributes": "spec/** export-ignore\n", "a": "one"})
    kept.fill()
    kept.repository.commit({"spec/a": "one", "a": "two"})
    assert kept.fill() == fresh(kept.repository, tmp_path / "fresh")
    assert kept.changed == ("a", "spec/a")
    kept.repository.commit({"spec/b": "one"})
    assert kept.fill() == fresh(kept.repository, tmp_path / "again")
    assert not list((kept.place / "context").rglob("spec/*"))


@pytest.mark.parametrize("name", [".gitattributes", "d/.gitattributes"])
def test_attributes_of_other_files_fill_the_folder_anew(
    kept: Kept, tmp_path: Path, name: str
) -> None:
    kept.repository.commit({"d/a": "one\n", "d/b": "one"})
    kept.fill()
    kept.repository.commit({name: "a eol=crlf\n* export-ignore\na -export-ignore\n"})
    assert kept.fill() == fresh(kept.repository, tmp_path / "fresh")
    assert kept.changed is None


def test_attributes_of_this_clone_fill_the_folder_anew(kept: Kept, tmp_path: Path) -> None:
    kept.repository.commit({"a": "one", "b": "one"})
    kept.fill()
    (kept.repository.path / ".git/info/attributes").write_text("a export-ignore\n")
    assert kept.fill() == fresh(kept.repository, tmp_path / "fresh")
    assert "a" not in kept.fill()


@pytest.mark.parametrize("attribute", ["filter=lfs", "export-subst"])
def test_what_depends_on_machine_or_commit_is_never_built_on(kept: Kept, attribute: str) -> None:
    kept.repository.commit({".gitattributes": f"a {attribute}\n", "a": "$Format:%H$"})
    kept.fill()
    kept.repository.commit({"b": "one"})
    kept.fill()
    assert [parcel.removed for parcel in kept.packed] == [None, None]
    assert {parcel.content for parcel in kept.packed} == {""}


def test_attributes_of_the_user_do_not_count(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "attributes"
    own.write_text("a export-ignore\n")
    settings = tmp_path / "gitconfig"
    settings.write_text(f"[core]\n attributesFile = {own}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    kept.repository.commit({"a": "one"})
    assert "a" in kept.fill()


def test_commit_that_this_clone_does_not_have_is_no_ground(kept: Kept, tmp_path: Path) -> None:
    kept.repository.commit({"a": "one"})
    kept.fill()
    other = Repository(tmp_path / "other")
    other.commit({"b": "two"})
    assert Kept(other, kept.home).fill() == fresh(other, tmp_path / "fresh")


def test_thousands_of_changes_come_whole(kept: Kept, tmp_path: Path) -> None:
    kept.repository.commit({"a": "one"})
    kept.fill()
    kept.repository.commit({f"{'d' * 90}/{number:04}": "" for number in range(900)})
    assert kept.fill() == fresh(kept.repository, tmp_path / "fresh")
    assert kept.changed is None


def touched(folder: Path) -> None:
    (folder / "a").write_text("own")


def added(folder: Path) -> None:
    (folder / "b").write_text("own")


def gone(folder: Path) -> None:
    (folder / "a").unlink()


def other_mode(folder: Path) -> None:
    (folder / "a").chmod(0o600)


def half(folder: Path) -> None:
    (folder.parent / "state").write_text("5d1dc")


@pytest.mark.parametrize("harm", [touched, added, gone, other_mode, half])
def test_folder_that_somebody_touched_is_filled_anew(
    kept: Kept, harm: object, tmp_path: Path
) -> None:
    kept.repository.commit({"a": "one", "d/c": "one"})
    kept.fill()
    assert callable(harm)
    harm(kept.place / "context")
    assert kept.fill() == fresh(kept.repository, tmp_path / "fresh")
    assert kept.changed is None


def test_build_that_ended_while_it_was_filled_leaves_nothing_to_build_on(kept: Kept) -> None:
    kept.repository.commit({"a": "one", "b": "one"})
    kept.fill()
    kept.repository.commit({"a": "two"})

    def cut(there: str, stop: Stop) -> Parcel:
        parcel = kept.pack(there, stop)

        def begun() -> Iterator[bytes]:
            assert parcel.tar
            yield next(parcel.tar)
            raise Interrupted("Ctrl-C")

        return Parcel(parcel.content, parcel.removed, begun())

    with pytest.raises(Interrupted), checkout.filled(kept.home, NAME, cut, Stop()):
        pytest.fail("half a folder was offered")
    assert not (kept.place / "state").exists()
    assert kept.fill()["a"][2] == b"two"
    assert kept.changed is None


def test_archive_that_cannot_be_unpacked_is_told(kept: Kept) -> None:
    def broken(there: str, stop: Stop) -> Parcel:
        del there, stop
        return Parcel("tree-settings", None, iter([b"no tar" * 1000]))

    with (
        pytest.raises(ImageError, match="could not be unpacked") as caught,
        checkout.filled(kept.home, NAME, broken, Stop()),
    ):
        pytest.fail("nothing was offered")
    assert "tar" in " ".join(caught.value.detail)
    assert not (kept.place / "state").exists()


@pytest.mark.parametrize("path", ["../a", "/etc/a", "b/../../a", ""])
def test_path_that_leads_out_of_the_folder_is_refused(kept: Kept, path: str) -> None:
    kept.repository.commit({"a": "one"})
    kept.fill()

    def odd(there: str, stop: Stop) -> Parcel:
        del there, stop
        return Parcel("", (path,), None)

    with pytest.raises(ImageError), checkout.filled(kept.home, NAME, odd, Stop()):
        pytest.fail("it was taken away")


def test_nothing_is_taken_away_through_a_link(kept: Kept, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "b").write_text("not ours")
    (kept.repository.path / "a").symlink_to(outside)
    kept.repository.commit()
    kept.fill()

    def swapped(there: str, stop: Stop) -> Parcel:
        del there, stop
        return Parcel("", ("a/b", "a"), None)

    with checkout.filled(kept.home, NAME, swapped, Stop()) as folder:
        assert list(folder.iterdir()) == []
    assert (outside / "b").exists()


def test_submodules_that_come_and_go_fill_the_folder_anew(kept: Kept, tmp_path: Path) -> None:
    library = Repository(tmp_path / "library")
    library.commit({"a": "1"})
    kept.repository.commit({"a": "one"})
    kept.repository.git("config", "diff.ignoreSubmodules", "all")
    kept.fill()
    own = ("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library.path))
    kept.repository.git(*own, "lib")
    kept.repository.git("commit", "--quiet", "-m", "with a library")
    assert kept.fill() == fresh(kept.repository, tmp_path / "fresh")
    assert kept.changed is None
    kept.repository.git("rm", "--quiet", "lib")
    kept.repository.git("commit", "--quiet", "-m", "without")
    assert kept.fill() == fresh(kept.repository, tmp_path / "again")


def test_second_build_at_the_same_time_has_a_folder_of_its_own(kept: Kept) -> None:
    kept.repository.commit({"a": "one"})
    with checkout.filled(kept.home, NAME, kept.pack, Stop()) as first:
        kept.repository.commit({"a": "two"})
        with checkout.filled(kept.home, NAME, kept.pack, Stop()) as second:
            assert (first / "a").read_text() == "one"
            assert (second / "a").read_text() == "two"
        assert not second.exists()
        with pytest.raises(ImageError, match="a build reads"):
            checkout.remove(kept.place)
    assert checkout.kept(kept.home) == [kept.place]
    checkout.remove(kept.place)
    assert checkout.kept(kept.home) == []


def test_lock_ends_with_its_process(kept: Kept) -> None:
    kept.repository.commit({"a": "one"})
    kept.fill()
    program = ("flock", "--no-fork", str(kept.place), "sh", "-c", "echo held; exec cat")
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        kept.fill()
        assert kept.changed is None
        holder.kill()
    kept.fill()
    assert kept.changed == ()


def test_stopped_run_fills_nothing(kept: Kept) -> None:
    kept.repository.commit({"a": "one"})
    stop = Stop()
    stop.request()
    with pytest.raises(Interrupted), checkout.filled(kept.home, NAME, kept.pack, stop):
        pytest.fail("the context was offered")
