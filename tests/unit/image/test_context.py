"""The context is what the commit holds, in the directory that kaiun.yml names."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from support.repository import Repository

from kaiun.errors import ImageError
from kaiun.image.checkout import filled
from kaiun.image.context import parcel, warnings
from kaiun.image.revision import resolve
from kaiun.image.source import Place, Source, locate, require_dockerfile
from kaiun.image.stop import Stop


def source(root: Path, context: str = ".", **changes: object) -> Source:
    plain = Source("shop", "localhost:5000/shop", root, context)
    return replace(plain, **changes)  # type: ignore[arg-type]


def place(root: Path, context: str = ".", **changes: object) -> Place:
    return locate(source(root, context, **changes), resolve(root))


@contextmanager
def unpacked(place: Place) -> Iterator[Path]:
    """Yield a folder with all of the context."""
    with (
        TemporaryDirectory() as home,
        filled(Path(home), "shop", partial(parcel, place), Stop()) as folder,
    ):
        yield folder


def files(place: Place) -> dict[str, str]:
    with unpacked(place) as directory:
        return {
            str(path.relative_to(directory)): path.read_text()
            for path in directory.rglob("*")
            if path.is_file()
        }


def test_context_is_the_commit_and_never_the_work_tree(repository: Repository) -> None:
    repository.commit({"a": "committed", "d/b": "committed"})
    repository.write({"a": "dirty", "c": "untracked"})
    assert files(place(repository.path)) == {"a": "committed", "d/b": "committed"}


def test_odd_file_names_arrive(repository: Repository) -> None:
    odd = {"-f": "1", "a b": "2", "new\nline": "3", "日本": "4", "x" * 200: "5", "$(id)": "6"}
    repository.commit(dict(odd))
    assert files(place(repository.path)) == odd


def test_context_is_relative_to_the_folder_of_kaiun_yml(repository: Repository) -> None:
    repository.commit({"apps/shop/a": "1", "apps/shop/docker/db/b": "2", "other": "3"})
    root = repository.path / "apps/shop"
    assert files(place(root)) == {"a": "1", "docker/db/b": "2"}
    assert files(place(root, "docker/db")) == {"b": "2"}
    assert files(place(root, "../..")).keys() == {"apps/shop/a", "apps/shop/docker/db/b", "other"}


@pytest.mark.parametrize("context", ["..", "../..", "/etc", "apps/../.."])
def test_context_outside_of_the_repository_is_an_error(
    repository: Repository, context: str
) -> None:
    repository.commit({"apps/a": "1"})
    with pytest.raises(ImageError, match="outside of the repository"):
        place(repository.path, context)


def test_modes_and_links_survive_whatever_the_user_configured(repository: Repository) -> None:
    repository.write({"run": "#!/bin/sh\n", "plain": "a\n"})
    (repository.path / "run").chmod(0o755)
    (repository.path / "absolute").symlink_to("/etc/hostname")
    repository.commit()
    repository.git("config", "tar.umask", "0077")
    repository.git("config", "core.autocrlf", "true")
    before = os.umask(0o077)
    try:
        with unpacked(place(repository.path)) as directory:
            assert stat.S_IMODE((directory / "run").stat().st_mode) == 0o755
            assert stat.S_IMODE((directory / "plain").stat().st_mode) == 0o644
            assert (directory / "plain").read_bytes() == b"a\n"
            assert str((directory / "absolute").readlink()) == "/etc/hostname"
    finally:
        os.umask(before)


def test_gitattributes_have_their_say(repository: Repository) -> None:
    repository.commit(
        {
            ".gitattributes": "spec export-ignore\nREVISION export-subst\n",
            "spec/a": "1",
            "REVISION": "$Format:%H$",
        }
    )
    found = files(place(repository.path))
    assert "spec/a" not in found
    assert found["REVISION"] == repository.git("rev-parse", "HEAD")


def test_submodule_is_warned_about(repository: Repository, tmp_path: Path) -> None:
    library = Repository(tmp_path / "library")
    library.commit({"a": "1"})
    repository.git(
        *("-c", "protocol.file.allow=always", "submodule", "--quiet", "add"),
        *(str(library.path), "vendor/lib rary"),
    )
    repository.commit()
    assert "vendor/lib rary" in " ".join(warnings(place(repository.path)))


def test_lfs_pointers_are_warned_about_unless_git_fetches_them(repository: Repository) -> None:
    repository.commit({"d/.gitattributes": "*.png filter=lfs diff=lfs\n", "d/a.png": "version"})
    assert "Git LFS" in " ".join(warnings(place(repository.path)))
    repository.git("config", "filter.lfs.smudge", "cat")
    assert warnings(place(repository.path)) == ()


def test_dockerfile_of_the_commit_is_found(repository: Repository) -> None:
    repository.commit({"Dockerfile": "1", "docker/Web": "2", "app/Dockerfile": "3"})
    root = repository.path
    for wanted in (
        source(root),
        source(root, dockerfile="./docker/Web"),
        source(root, "app"),
        source(root / "app"),
        source(root / "app", "..", dockerfile="docker/Web"),
    ):
        assert require_dockerfile(wanted, locate(wanted, resolve(root)))


def test_uncommitted_dockerfile_is_told_apart_from_a_missing_one(repository: Repository) -> None:
    repository.commit({"app/a": "1"})
    wanted = source(repository.path, "app")
    with pytest.raises(ImageError, match="the commit has no app/Dockerfile") as caught:
        require_dockerfile(wanted, locate(wanted, resolve(repository.path)))
    assert "write a Dockerfile" in caught.value.hint
    repository.write({"app/Dockerfile": "1"})
    with pytest.raises(ImageError) as caught:
        require_dockerfile(wanted, locate(wanted, resolve(repository.path)))
    assert "git add app/Dockerfile" in caught.value.hint


def test_dockerfile_outside_of_the_context_is_an_error(repository: Repository) -> None:
    repository.commit({"Dockerfile": "1", "app/a": "1"})
    wanted = source(repository.path, "app", dockerfile="../Dockerfile")
    with pytest.raises(ImageError, match="outside of the context"):
        require_dockerfile(wanted, locate(wanted, resolve(repository.path)))


def test_app_image_is_tagged_with_the_commit_and_a_directory_with_its_tree(
    repository: Repository,
) -> None:
    first = repository.commit({"db/Dockerfile": "1"})
    tags = [place(repository.path).tag, place(repository.path, "db", by_tree=True).tag]
    assert tags == [first, repository.git("rev-parse", "HEAD:db")]
    repository.commit({"a": "1"})
    assert place(repository.path).tag != tags[0]
    assert place(repository.path, "db", by_tree=True).tag == tags[1]


def test_other_arguments_make_another_image_of_the_same_directory(repository: Repository) -> None:
    repository.commit({"db/Dockerfile": "1"})
    args = [(), (("A", "1"),), (("A", "2"),), (("A", "1"), ("B", "1")), (("B", "1"), ("A", "1"))]
    tags = [place(repository.path, "db", by_tree=True, args=each).tag for each in args]
    assert len(set(tags)) == 4
    assert tags[3] == tags[4]
    assert all(len(tag) <= 128 for tag in tags)
