"""What a compile depends on, and what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from kaiun.assets.groups import Group, grouped
from kaiun.assets.inputs import digest, select, tools
from kaiun.config.loader import every
from kaiun.errors import AssetsError
from kaiun.image.supply import Entry

HEAD = "app: shop\nimage: {repository: localhost:5000/shop}\n"
SHA = "0123456789abcdef0123456789abcdef01234567"


def groups(tmp_path: Path, text: str) -> list[Group]:
    file = tmp_path / "kaiun.yml"
    file.write_text(HEAD + text)
    return grouped(every(file))


def entries(*paths: str) -> tuple[Entry, ...]:
    return tuple(Entry("100644", "a" * 40, path) for path in paths)


def chosen(patterns: tuple[str, ...], *paths: str) -> list[str]:
    return [entry.path for entry in select(entries(*paths), patterns)]


def test_environments_of_the_same_recipe_share_a_compile(tmp_path: Path) -> None:
    text = """\
assets: {command: make, env: {A: 1}}
environments: {staging: {}, production: {assets: {serve: image, keep: {days: 1}}},
  odd: {assets: {env: {A: 2}}}, none: {assets: null}}
"""
    found = [group.environments for group in groups(tmp_path, text)]
    assert found == [("", "local", "staging", "production"), ("odd",)]


def test_what_nobody_wrote_is_no_reason_to_compile(tmp_path: Path) -> None:
    text = "assets: {command: make, bucket: s3://shop}\n"
    assert len(groups(tmp_path, text)) == 2  # local has another host
    text += "environments: {staging: {region: eu-west-1}}\n"
    assert [group.environments for group in groups(tmp_path, text)] == [("staging",)]


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("app/assets", ["app/assets/a.js", "app/assets/b/c.js"]),
        ("./app/assets/", ["app/assets/a.js", "app/assets/b/c.js"]),
        ("app/*.js", ["app/x.js"]),
        ("app/**/*.js", ["app/assets/a.js", "app/assets/b/c.js", "app/x.js"]),
        ("app/**", ["app/assets/a.js", "app/assets/b/c.js", "app/x.js"]),
        ("a*/assets", ["app/assets/a.js", "app/assets/b/c.js"]),
        ("app/[w-y].js", ["app/x.js"]),
        ("app/[!w-y].js", []),
        ("app/asset", []),
        ("?emfile", ["Gemfile"]),
        (".", ["Gemfile", "app/assets/a.js", "app/assets/b/c.js", "app/x.js"]),
    ],
)
def test_patterns(pattern: str, matched: list[str]) -> None:
    paths = ("Gemfile", "app/assets/a.js", "app/assets/b/c.js", "app/x.js")
    assert chosen((pattern,), *paths) == matched


def test_without_inputs_the_whole_commit_counts() -> None:
    assert chosen((), "a", "b/c") == ["a", "b/c"]


def test_digest_changes_with_sources_modes_recipe_and_tools_alone(tmp_path: Path) -> None:
    group, other = groups(
        tmp_path,
        "assets: {command: make, inputs: [app]}\nenvironments: {a: {}, b: {assets: {root: ., "
        "output: public}}}\n",
    )
    base = entries("app/a", "app/b")
    before = digest(group, base, "ruby 3.1")
    assert before == digest(group, (*base, *entries("lib/c")), "ruby 3.1")
    changed = {
        before,
        digest(group, base, "ruby 3.4"),
        digest(other, base, "ruby 3.1"),
        digest(group, entries("app/a", "app/c"), "ruby 3.1"),
        digest(group, (base[0], Entry("100755", "a" * 40, "app/b")), "ruby 3.1"),
        digest(group, (base[0], Entry("100644", "b" * 40, "app/b")), "ruby 3.1"),
    }
    assert len(changed) == 6


def test_inputs_that_match_nothing_are_told(tmp_path: Path) -> None:
    group = groups(tmp_path, "assets: {command: make, inputs: [ap/assets]}\n")[0]
    with pytest.raises(AssetsError, match="nothing in the commit") as caught:
        digest(group, entries("app/assets/a"), "")
    assert "ap/assets" in caught.value.hint


def test_variable_that_holds_the_commit_does_not_count() -> None:
    plain = {"NODE_ENV": "production"}
    assert tools("x", plain, "/app", SHA) == tools(
        "x", plain | {"GIT": f"v-{SHA[:7]}"}, "/app", SHA
    )
    assert tools("x", plain, "/app", SHA) != tools("x", {"NODE_ENV": "test"}, "/app", SHA)
