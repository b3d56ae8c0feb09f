"""A revision becomes one commit; what the work tree has beside it is told."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from support.repository import Repository

from kaiun.errors import ImageError
from kaiun.image.revision import has_file, prefix, resolve, tree_sha


def test_head_is_told_in_full(repository: Repository) -> None:
    sha = repository.commit({"a": "1"}, "Sell «tea» — 海運")
    found = resolve(repository.path)
    assert (found.sha, found.subject) == (sha, "Sell «tea» — 海運")
    assert found.author == "Ann Author <ann@example.com>"
    assert found.date == "2026-01-02T03:04:05+09:00"
    assert sha.startswith(found.short)
    assert found.dirty == ()


def test_branch_tag_short_sha_and_expression_name_the_same_commit(repository: Repository) -> None:
    sha = repository.commit({"a": "1"})
    repository.git("tag", "-a", "v1", "-m", "annotated")
    repository.git("branch", "feature/tea")
    repository.commit({"a": "2"})
    for rev in ("v1", "feature/tea", sha[:8], "HEAD~1", "main^"):
        assert resolve(repository.path, rev).sha == sha


def test_changed_staged_deleted_and_untracked_paths_are_dirty(repository: Repository) -> None:
    repository.commit({"changed": "1", "deleted": "1", "renamed": "long enough", "kept": "1"})
    repository.write(
        {"changed": "2", "new\nline": "", "日本 'q\".txt": "", "staged": "", "d/x": ""}
    )
    (repository.path / "deleted").unlink()
    repository.git("mv", "renamed", "moved")
    repository.git("add", "staged")
    assert resolve(repository.path).dirty == tuple(
        sorted(
            ["changed", "d/", "deleted", "moved", "new\nline", "renamed", "staged", "日本 'q\".txt"]
        )
    )


def test_ignored_files_are_not_dirty(repository: Repository) -> None:
    repository.commit({".gitignore": "*.log"})
    repository.write({"x.log": ""})
    assert resolve(repository.path).dirty == ()


def test_settings_of_the_user_change_nothing(repository: Repository) -> None:
    sha = repository.commit({"a": "1"})
    for setting in ("log.showSignature=true", "log.decorate=full", "color.ui=always"):
        repository.git("config", *setting.split("="))
    repository.git("config", "status.showUntrackedFiles", "no")
    repository.write({"b": ""})
    found = resolve(repository.path)
    assert (found.sha, found.subject, found.dirty) == (sha, "change", ("b",))


def test_detached_head_and_worktree_resolve(repository: Repository, tmp_path: Path) -> None:
    first = repository.commit({"a": "1"})
    second = repository.commit({"a": "2"})
    repository.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "tree"), first)
    repository.git("checkout", "--quiet", "--detach")
    assert resolve(repository.path).sha == second
    assert resolve(tmp_path / "tree").sha == first


def test_git_variables_of_a_hook_do_not_lead_elsewhere(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = repository.commit({"a": "1"})
    other = Repository(tmp_path / "other")
    other.commit({"b": "1"})
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    assert resolve(repository.path).sha == sha


def test_source_is_the_origin_without_its_password(repository: Repository) -> None:
    repository.commit({"a": "1"})
    assert resolve(repository.path).source == ""
    repository.git("remote", "add", "origin", "https://ann:hunter2@git.example.com/shop.git")
    assert resolve(repository.path).source == "https://git.example.com/shop.git"
    repository.git("remote", "set-url", "origin", "git@git.example.com:tea/shop.git")
    assert resolve(repository.path).source == "git@git.example.com:tea/shop.git"


def test_shallow_clone_resolves_head_and_hints_at_what_it_lacks(
    repository: Repository, tmp_path: Path
) -> None:
    old = repository.commit({"a": "1"})
    new = repository.commit({"a": "2"})
    clone = tmp_path / "clone"
    repository.git("clone", "--quiet", "--depth=1", repository.path.as_uri(), str(clone))
    assert resolve(clone).sha == new
    with pytest.raises(ImageError) as caught:
        resolve(clone, old)
    assert "shallow" in caught.value.hint


@pytest.mark.parametrize("rev", ["nope", "-nope", "--output=/x", "a b", "", "x\0y", "HEAD:a"])
def test_revision_that_is_no_commit_is_an_error(repository: Repository, rev: str) -> None:
    repository.commit({"a": "1"})
    with pytest.raises(ImageError) as caught:
        resolve(repository.path, rev)
    assert caught.value.hint


def test_misspelt_branch_gets_a_hint(repository: Repository) -> None:
    repository.commit({"a": "1"})
    repository.git("branch", "checkout-form")
    with pytest.raises(ImageError, match="no revision 'chekout-form'") as caught:
        resolve(repository.path, "chekout-form")
    assert caught.value.hint == "did you mean `checkout-form`?"


def test_branch_that_only_the_remote_has_gets_a_hint(
    repository: Repository, tmp_path: Path
) -> None:
    repository.commit({"a": "1"})
    repository.git("branch", "x")
    clone = tmp_path / "clone"
    repository.git("clone", "--quiet", str(repository.path), str(clone))
    with pytest.raises(ImageError) as caught:
        resolve(clone, "x")
    assert caught.value.hint == "did you mean `origin/x`?"


def test_tree_is_not_a_commit(repository: Repository) -> None:
    repository.commit({"a": "1"})
    tree = repository.git("rev-parse", "HEAD^{tree}")
    with pytest.raises(ImageError, match="is not a commit"):
        resolve(repository.path, tree)


def test_repository_without_commits_is_an_error(repository: Repository) -> None:
    with pytest.raises(ImageError, match="no commit yet"):
        resolve(repository.path)


def test_directory_outside_of_any_repository_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="not inside a git repository"):
        resolve(tmp_path)
    with pytest.raises(ImageError, match="no such directory"):
        resolve(tmp_path / "gone")


def test_bare_repository_is_an_error(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"a": "1"})
    bare = tmp_path / "bare.git"
    repository.git("clone", "--quiet", "--bare", str(repository.path), str(bare))
    with pytest.raises(ImageError, match="bare repository"):
        resolve(bare)


def test_machine_without_git_is_an_error(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit({"a": "1"})
    monkeypatch.setenv("PATH", str(repository.path))
    with pytest.raises(ImageError, match="git is not installed"):
        resolve(repository.path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_repository_of_another_user_is_an_error_with_the_way_out(repository: Repository) -> None:
    repository.commit({"a": "1"})
    subprocess.run(["chown", "-R", "12345", str(repository.path)], check=True)
    with pytest.raises(ImageError, match="belongs to another user") as caught:
        resolve(repository.path)
    assert "safe.directory" in caught.value.hint


def test_tree_sha_changes_only_with_its_directory(repository: Repository) -> None:
    first = repository.commit({"docker/db/Dockerfile": "1", "app": "1"})
    second = repository.commit({"app": "2"})
    third = repository.commit({"docker/db/Dockerfile": "2"})
    trees = [tree_sha(repository.path, sha, "docker/db") for sha in (first, second, third)]
    assert trees[0] == trees[1] != trees[2]
    assert tree_sha(repository.path, first, "") != tree_sha(repository.path, second, "")


@pytest.mark.parametrize("path", ["app", "gone", "docker/gone"])
def test_tree_sha_of_what_is_no_directory_is_an_error(repository: Repository, path: str) -> None:
    sha = repository.commit({"docker/Dockerfile": "1", "app": "1"})
    with pytest.raises(ImageError, match="has no directory"):
        tree_sha(repository.path, sha, path)


def test_prefix_and_files_of_a_commit(repository: Repository) -> None:
    sha = repository.commit({"apps/ship yard/Dockerfile": "1"})
    assert prefix(repository.path) == ""
    assert prefix(repository.path / "apps/ship yard") == "apps/ship yard/"
    assert has_file(repository.path, sha, "apps/ship yard/Dockerfile")
    assert not has_file(repository.path, sha, "apps")
