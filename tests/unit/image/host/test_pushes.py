"""Which commits of a push are built, and the repository that is pushed to."""

from __future__ import annotations

from pathlib import Path

import pytest

from kaiun.image import git
from kaiun.image.host import pushes

ONE, TWO, NONE = "1" * 40, "2" * 40, "0" * 40


@pytest.mark.parametrize(
    ("lines", "commits"),
    [
        ([f"{NONE} {ONE} refs/heads/main\n"], [ONE]),
        ([f"{ONE} {TWO} refs/heads/main", f"{NONE} {TWO} refs/heads/release/1"], [TWO]),
        ([f"{ONE} {NONE} refs/heads/gone"], []),
        ([f"{NONE} {ONE} refs/tags/v1", f"{NONE} {ONE} refs/notes/commits"], []),
        ([], []),
    ],
)
def test_tips_of_branches_are_built_once(lines: list[str], commits: list[str]) -> None:
    assert list(pushes.pushed(lines)) == commits


def test_a_repository_is_made_once_and_its_settings_follow(tmp_path: Path) -> None:
    home = tmp_path / "it's a home"
    first = pushes.make(home, pushes.Pushing("shop", "staging", "kaiun.yml"))
    pushed = git.run(first, "rev-parse", "--is-bare-repository")
    again = pushes.make(home, pushes.Pushing("shop", "production", "apps/shop/kaiun.yml"))
    assert first == again == home / "repositories" / "shop.git"
    assert git.text(pushed) == "true"
    assert pushes.read(again) == pushes.Pushing("shop", "production", "apps/shop/kaiun.yml")
    hook = again / "hooks" / "post-receive"
    assert hook.stat().st_mode & 0o111
    assert len([path for path in (again / pushes.FOLDER).iterdir() if path.is_dir()]) == 1
