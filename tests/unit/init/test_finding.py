"""What `kaiun init` finds in the files of an app, and what it cannot go on without."""

from __future__ import annotations

from pathlib import Path

import pytest

from kaiun.errors import UsageError
from kaiun.init import container, database, debian, javascript, lockfile, processes, versions
from kaiun.init.draft import draft, name_for
from kaiun.init.tree import Tree

EMPTY = lockfile.read("")


def tree(root: Path, **files: str) -> Tree:
    """Return a folder with the files; a `__` in a name stands for a slash, a `_DOT_` for a dot."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Tree(root)


def bundle(*gems: str, platforms: str = "ruby") -> lockfile.Bundle:
    listed = "".join(f"    {gem}\n" for gem in gems)
    return lockfile.read(f"GEM\n  specs:\n{listed}\nPLATFORMS\n  {platforms}\n")


@pytest.mark.parametrize(
    ("files", "number", "place"),
    [
        ({"_DOT_ruby-version": "ruby-3.3.5\n"}, "3.3.5", ".ruby-version"),
        ({"_DOT_ruby-version": "3.3", "Gemfile": 'ruby "3.3.1"'}, "3.3.1", "Gemfile"),
        ({"Gemfile": 'ruby "~> 3.2.2"\n'}, "3.2", "Gemfile"),
        ({"Gemfile": '# ruby "2.7.0"\n', "_DOT_tool-versions": "ruby 3.1.6\n"}, "3.1.6",
         ".tool-versions"),
        ({"mise_DOT_toml": '[tools]\nruby = "3.4.2"\n'}, "3.4.2", "mise.toml"),
        ({}, "3.3", ""),
    ],
)  # fmt: skip
def test_ruby_is_the_most_exact_that_a_file_names(
    tmp_path: Path, files: dict[str, str], number: str, place: str
) -> None:
    found = versions.ruby(tree(tmp_path, **files), bundle("rails (7.1.3)"))
    assert found == versions.Version(number, place)


def test_ruby_that_is_not_mri_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"jruby-9\.4"):
        versions.ruby(tree(tmp_path, **{"_DOT_ruby-version": "jruby-9.4.8.0"}), EMPTY)


@pytest.mark.parametrize(
    ("ruby", "expected"), [("2.7.8", "2.4.19"), ("3.0.6", "2.4.19"), ("3.1.0", ""), ("3.4", "")]
)
def test_bundler_is_installed_first_where_ruby_brings_none_that_follows_the_lock(
    ruby: str, expected: str
) -> None:
    locked = lockfile.read("GEM\n  specs:\n    rake (13.0.6)\n\nBUNDLED WITH\n   2.4.19\n")
    assert versions.bundler_to_install(ruby, locked) == expected


@pytest.mark.parametrize(
    ("platforms", "expected"),
    [("ruby", True), ("arm64-darwin-23", False), ("arm64-darwin\n  x86_64-linux-gnu", True)],
)
def test_lock_is_for_linux_or_not(platforms: str, expected: bool) -> None:
    assert bundle(platforms=platforms).for_linux is expected


def test_gem_that_comes_built_needs_no_headers() -> None:
    built = bundle("nokogiri (1.16.6)", "nokogiri (1.16.6-x86_64-linux)", "pg (1.5.6)")
    names = [package.name for package in debian.to_build(built)]
    assert "libpq-dev" in names
    assert "zlib1g-dev" not in names
    assert "libpq5" in [package.name for package in debian.to_run(built)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("production:\n  adapter: postgis\n", database.Database("postgis", "postgis")),
        ("production:\n  adapter: mysql2\n", database.Database("mysql", "mysql2")),
        ("production:\n  url: <%= ENV['X'] %>\n", database.Database("postgresql", "postgres")),
        ("production:\n  a:\n    adapter: sqlite3\n  b:\n    adapter: sqlite3\n",
         database.Database("sqlite", "sqlite3", ("b",))),
        ("<% if ENV['X'] %>\nproduction:\n  adapter: trilogy\n<% end %>\n",
         database.Database("mysql", "trilogy")),
        (": not\n YAML [\n", database.Database("postgresql", "postgres")),
        ("- a list\n", database.Database("postgresql", "postgres")),
    ],
)  # fmt: skip
def test_database_is_that_of_production_else_that_of_the_gems(
    tmp_path: Path, text: str, expected: database.Database
) -> None:
    found = tree(tmp_path, config__database_DOT_yml=text)
    assert database.find(found, bundle("activerecord (7.1.0)", "pg (1.5.6)")) == expected


@pytest.mark.parametrize(
    ("package", "files", "manager", "program"),
    [
        ("{}", {"package-lock_DOT_json": "{}"}, "npm", ""),
        ("{}", {"yarn_DOT_lock": "# yarn lockfile v1\n"}, "yarn", "yarn@1"),
        ("{}", {"yarn_DOT_lock": "__metadata:\n  version: 8\n"}, "berry", "yarn@1"),
        ('{"packageManager": "yarn@4.4.1"}', {"yarn_DOT_lock": ""}, "berry",
         "@yarnpkg/cli-dist@4.4.1"),
        ('{"packageManager": "yarn@1.22.19+sha1.abc"}', {}, "yarn", "yarn@1.22.19"),
        ("{}", {"pnpm-lock_DOT_yaml": "lockfileVersion: '6.0'\n"}, "pnpm", "pnpm@8"),
        ('{"packageManager": "pnpm@9.12.1"}', {}, "pnpm", "pnpm@9.12.1"),
    ],
)  # fmt: skip
def test_package_manager_is_the_one_named_else_that_of_the_lock(
    tmp_path: Path, package: str, files: dict[str, str], manager: str, program: str
) -> None:
    text = package.replace("{", '{"dependencies": {"a": "1"}, ', 1).replace(", }", "}")
    found = javascript.find(tree(tmp_path, package_DOT_json=text, **files), EMPTY)
    assert found is not None
    assert (found.manager, found.program) == (manager, program)


@pytest.mark.parametrize(
    ("gems", "expected"),
    [(("terser (1.1)",), True), (("terser (1.1)", "mini_racer (0.6)"), False), ((), False)],
)
def test_node_alone_is_for_execjs_without_another_engine(
    tmp_path: Path, gems: tuple[str, ...], expected: bool
) -> None:
    found = javascript.find(tree(tmp_path), bundle(*gems))
    assert (found is not None) is expected
    assert found is None or found.manager == ""


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('port ENV.fetch("PORT") { 3000 }', 3000),
        ('port ENV.fetch("PORT", 9292)', 9292),
        ("port 8080", 8080),
        ("# port 8080", 3000),
        ("", 3000),
    ],
)
def test_port_is_the_one_of_puma(tmp_path: Path, code: str, expected: int) -> None:
    assert processes.port(tree(tmp_path, config__puma_DOT_rb=code)) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("bundle exec sidekiq -q default", "bundle exec sidekiq -q default"),
        ("puma -p $PORT", ("sh", "-c", "exec puma -p $PORT")),
        ("A=1 rake work", ("sh", "-c", "exec env A=1 rake work")),
        ("rake a && rake b", ("sh", "-c", "rake a && rake b")),
    ],
)
def test_command_that_needs_a_shell_gets_one(line: str, expected: object) -> None:
    assert processes.shell(line) == expected


def test_last_stage_of_a_dockerfile_is_what_counts() -> None:
    text = 'FROM a\nEXPOSE 1\nCMD x\nFROM b\nWORKDIR /srv/\nENTRYPOINT ["y"]\nEXPOSE $PORT\n'
    assert container.read(text) == container.Container(None, '["y"]', "/srv", False)


@pytest.mark.parametrize(
    ("folder", "expected"),
    [("Shop_API", "shop-api"), ("2nd app", "nd-app"), ("海運", "app"), ("a" * 40, "a" * 32)],
)
def test_app_is_named_after_its_folder(folder: str, expected: str) -> None:
    assert name_for(folder) == expected


def test_folder_without_an_app_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a Rails app") as caught:
        draft(tree(tmp_path, Gemfile="gem 'sinatra'"), "app")
    assert caught.value.hint


def test_rails_app_without_a_lock_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no Gemfile\.lock") as caught:
        draft(tree(tmp_path, Gemfile="gem 'rails'", config__application_DOT_rb=""), "app")
    assert "bundle lock" in caught.value.hint
