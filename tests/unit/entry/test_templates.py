"""Templates of the kinds that need no Ruby; ERB is tested in a container."""

from __future__ import annotations

import os
from typing import Any

import pytest
from support.entry import Entry, item, last_line


def template(name: str, **given: Any) -> dict[str, Any]:
    return item(name, **{"file": name, "to": name.rpartition(".")[0], **given})


def made(entry: Entry, text: str, name: str = "a.conf.tmpl", **given: Any) -> Entry:
    (entry.work / name).write_text(text)
    return entry.make(steps=[["templates", [template(name, **given)]]], secret=["PASSWORD"])


def mode(entry: Entry, name: str = "a.conf") -> int:
    return (entry.work / name).stat().st_mode & 0o7777


def names(entry: Entry) -> list[str]:
    return sorted(path.name for path in entry.work.iterdir())


def test_template_becomes_its_file(entry: Entry) -> None:
    made(entry, "host=${HOST} é\n")
    assert entry.run("true", HOST="db").returncode == 0
    assert (entry.work / "a.conf").read_text() == "host=db é\n"
    assert names(entry) == ["a.conf", "a.conf.tmpl"]


def test_missing_variable_is_told_by_name_file_and_line(entry: Entry) -> None:
    done = made(entry, "a\nhost=${HOST}\n").run("true")
    assert done.returncode == 68
    assert last_line(done) == "kaiun: start failed at templates a.conf.tmpl:2: HOST is not set"
    assert names(entry) == ["a.conf.tmpl"]


def test_file_that_used_a_secret_is_for_its_owner_alone(entry: Entry) -> None:
    made(entry, "p=${PASSWORD}").run("true", PASSWORD="x")
    assert mode(entry) == 0o600
    made(entry, "p=${PASSWORD}", mode="0640").run("true", PASSWORD="x")
    assert mode(entry) == 0o640


def test_mode_is_that_of_the_file_of_before_else_of_the_template(entry: Entry) -> None:
    made(entry, "x")
    (entry.work / "a.conf.tmpl").chmod(0o604)
    entry.run("true")
    assert mode(entry) == 0o604
    (entry.work / "a.conf").chmod(0o444)
    entry.run("true")
    assert mode(entry) == 0o444


def test_check_must_accept_the_file_before_it_is_put_in_place(entry: Entry) -> None:
    (entry.work / "a.conf").write_text("old")
    check = ["sh", "-c", "grep -q good $0 || { echo oh no >&2; exit 3; }", "{}"]
    done = made(entry, "${WORD}", check=check).run("true", WORD="bad")
    assert done.returncode == 68
    assert last_line(done).endswith("a.conf.tmpl: the check sh ended with exit code 3: oh no")
    assert (entry.work / "a.conf").read_text() == "old"
    assert entry.run("true", WORD="good").returncode == 0
    assert (entry.work / "a.conf").read_text() == "good"


def test_none_is_put_in_place_when_one_fails(entry: Entry) -> None:
    for name, text in (("a.tmpl", "a"), ("b.tmpl", "${B}")):
        (entry.work / name).write_text(text)
    entry.make(steps=[["templates", [template("a.tmpl"), template("b.tmpl")]]])
    assert entry.run("true").returncode == 68
    assert names(entry) == ["a.tmpl", "b.tmpl"]


def test_target_that_is_a_link_is_followed(entry: Entry) -> None:
    made(entry, "x")
    (entry.work / "a.conf").symlink_to(entry.work / "run/deep/a.conf")
    assert entry.run("true").returncode == 0
    assert (entry.work / "a.conf").is_symlink()
    assert (entry.work / "run/deep/a.conf").read_text() == "x"


def test_bytes_that_are_no_utf8_stay(entry: Entry) -> None:
    made(entry, "")
    (entry.work / "a.conf.tmpl").write_bytes(b"\xff ${A}")
    entry.run("true", A="\udcfe")
    assert (entry.work / "a.conf").read_bytes() == b"\xff \xfe"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_place_that_cannot_be_written_is_told_with_the_way_out(entry: Entry) -> None:
    made(entry, "x")
    entry.work.chmod(0o555)
    assert "directory: /run/kaiun" in last_line(entry.run("true"))


def test_directory_in_the_way_is_told(entry: Entry) -> None:
    made(entry, "x")
    (entry.work / "a.conf").mkdir()
    done = entry.run("true")
    assert (done.returncode, "cannot be written: is a directory" in last_line(done)) == (68, True)
    assert names(entry) == ["a.conf", "a.conf.tmpl"]


def test_jinja2_reads_variables(entry: Entry) -> None:
    text = "{% for n in WORDS.split() %}{{ n }};{% endfor %}{{ env.HOST }} {{ environment }}\n"
    made(entry, text, "a.conf.j2")
    entry.run("true", WORDS="a b", HOST="db", KAIUN_ENVIRONMENT="staging")
    assert (entry.work / "a.conf").read_text() == "a;b;db staging\n"


@pytest.mark.parametrize("text", ["{{ HOST }}", "{{ env.HOST }}", "{% if HOST %}{% endif %}"])
def test_jinja2_names_a_missing_variable(entry: Entry, text: str) -> None:
    done = made(entry, "\n" + text, "a.conf.j2").run("true")
    assert done.returncode == 68
    assert last_line(done) == "kaiun: start failed at templates a.conf.j2:2: HOST is not set"


def test_jinja2_default_of_a_missing_variable(entry: Entry) -> None:
    made(entry, "{{ HOST | default('db') }}", "a.conf.j2").run("true")
    assert (entry.work / "a.conf").read_text() == "db"


def test_jinja2_notes_secrets_and_hides_errors(entry: Entry) -> None:
    made(entry, "{{ PASSWORD }}", "a.conf.j2").run("true", PASSWORD="s3cret")
    assert mode(entry) == 0o600
    made(entry, "{{ PASSWORD.nope() }}", "a.conf.j2")
    assert "s3cret" not in entry.run("true", PASSWORD="s3cret").stderr
    made(entry, "{% if %}", "a.conf.j2")
    assert "a.conf.j2:1: " in last_line(entry.run("true"))


def test_template_that_is_not_there_is_told(entry: Entry) -> None:
    entry.make().make(steps=[["templates", [template("gone.tmpl")]]])
    done = entry.run("true")
    assert (done.returncode, "gone.tmpl cannot be read" in last_line(done)) == (68, True)


def test_erb_without_ruby_is_told(entry: Entry) -> None:
    done = made(entry, "<%= 1 %>", "a.erb").run("true", PATH="/usr/sbin")
    assert done.returncode in (68, 127)
    assert "no ruby" in done.stderr
