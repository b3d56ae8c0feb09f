"""What is run in a container, here run by this machine's shell, on a terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import shlex
import subprocess
from pathlib import Path

import pytest

from kaiun.session import remote as remotes
from kaiun.session.remote import END_OF_INPUT, Remote, pack


def run(remote: Remote, data: bytes = b"", *, piped: bool = False, at_a_time: int = 4096) -> bytes:
    """Return what the command wrote, read from its terminal that many bytes at a time."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", *shlex.split(remote.command)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    waiting = pack(data) + END_OF_INPUT if piped else data
    shown = b""
    os.set_blocking(master, False)
    with contextlib.suppress(OSError):  # EIO: nobody has the other end any more
        while True:
            may_write = remote.ready if piped else bool(shown)
            writers = [master] if waiting and may_write else []
            readable, writable, _ = select.select([master], writers, [], 10)
            assert readable or writable, "nothing happens"
            if readable:
                shown += remote.read(os.read(master, at_a_time))
            if writable:
                waiting = waiting[os.write(master, waiting) :]
    os.close(master)
    process.wait()
    return shown


@pytest.mark.parametrize("code", [0, 7, 137])
def test_exit_code_comes_back_and_is_not_shown(code: int) -> None:
    remote = Remote(["sh", "-c", f"echo hello; exit {code}"])
    assert run(remote) == b"hello\r\n"
    assert remote.exit_code == code


@pytest.mark.parametrize("at_a_time", [1, 2, 3, 5, 7, 4096])
def test_mark_is_found_in_whatever_pieces_it_comes(at_a_time: int) -> None:
    remote = Remote(["printf", "\033_other\033\\%s\033", "text"])
    assert run(remote, at_a_time=at_a_time) == b"\033_other\033\\text\033"
    assert remote.exit_code == 0


def test_output_is_shown_at_once_though_it_might_begin_like_a_mark() -> None:
    remote = Remote(["true"])
    assert remote.read(b"prompt$ \033[1m") == b"prompt$ \033[1m"
    assert remote.read(b"a\033") == b"a"
    assert remote.read(b"[2J") == b"\033[2J"


def test_words_arrive_as_they_were_given() -> None:
    words = ["a b", "c'd", '"e"', "$HOME", "*", "", "ü"]
    remote = Remote(["printf", "<%s>", *words])
    assert run(remote).decode() == "".join(f"<{word}>" for word in words)


def test_interrupted_command_still_tells_its_exit_code() -> None:
    remote = Remote(["sh", "-c", "echo ready; exec sleep 60"])
    assert b"ready" in run(remote, b"\x03")
    assert remote.exit_code == 130


def test_bytes_through_a_pipe_are_what_they_were() -> None:
    data = os.urandom(200_000) + bytes(range(256)) + b"\r\n\x04\x03\n"
    remote = Remote(["cat"], piped=True)
    assert run(remote, data, piped=True) == data
    assert remote.exit_code == 0


def test_command_that_stops_reading_ends_all_the_same() -> None:
    remote = Remote(["sh", "-c", "head -c 3; exit 5"], piped=True)
    assert run(remote, b"x" * 100_000, piped=True) == b"xxx"
    assert remote.exit_code == 5


def test_no_input_is_the_end_of_input() -> None:
    remote = Remote(["wc", "-c"], piped=True)
    assert run(remote, b"", piped=True).strip() == b"0"


def test_what_is_said_before_the_command_begins_is_kept_apart() -> None:
    remote = Remote(["true"], piped=True)
    assert remote.read(b"exec: /bin/sh: no such file\r\n") == b""
    assert (remote.heard, remote.ready) == (b"exec: /bin/sh: no such file\r\n", False)


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Kaiun's entry, which here says what it was given."""
    path = tmp_path / "entry"
    path.write_text('#!/bin/sh\necho "entry, $KAIUN_START: $*"\n')
    path.chmod(0o755)
    for name in ("_ON_A_TERMINAL", "_THROUGH_A_PIPE"):
        monkeypatch.setattr(remotes, name, getattr(remotes, name).replace(remotes.ENTRY, str(path)))
    return path


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize(
    ("words", "bare", "shown"),
    [
        (["echo", "a"], False, b"entry, quiet: echo a\r\n"),
        ([], False, b"entry, quiet: shell\r\n"),
        (["console"], False, b"entry, quiet: console\r\n"),
        (["echo", "a"], True, b"a\r\n"),
    ],
)
def test_command_goes_through_kaiuns_entry_where_there_is_one(
    words: list[str], bare: bool, shown: bytes
) -> None:
    remote = Remote(words, bare=bare)
    assert run(remote) == shown
    assert remote.exit_code == 0


def test_shell_is_the_one_of_the_image_where_kaiun_has_no_entry() -> None:
    remote = Remote([])
    shown = run(remote, b"echo $((6 * 7)); exit 9\n")
    assert b"42" in shown
    assert remote.exit_code == 9
