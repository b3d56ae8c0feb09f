from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kaiun.errors import EngineError
from kaiun.local import home as places
from kaiun.local import process
from kaiun.local.env import export_lines
from kaiun.local.home import LocalEnv, engine_home, is_ecr, read_env, state_home
from kaiun.local.process import Ports

if TYPE_CHECKING:
    from collections.abc import Iterator

FAKE = [sys.executable, str(Path(__file__).with_name("fake_engine.py"))]
ANY = Ports(api=0, registry=5999, fluent=24999)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "local"
    yield path
    if (pid := places.read_pid(path)) is not None:
        os.kill(pid, signal.SIGKILL)


def test_home_follows_the_environment(tmp_path: Path) -> None:
    assert state_home({"KAIUN_HOME": str(tmp_path)}) == tmp_path
    assert state_home({"XDG_STATE_HOME": "/x"}) == Path("/x/kaiun")
    assert engine_home({"KAIUN_HOME": str(tmp_path)}) == tmp_path / "local"


def test_reading_the_address_of_an_engine_that_never_ran_says_so(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="not running") as caught:
        read_env(tmp_path)
    assert caught.value.hint == "kaiun local up"


def test_a_broken_env_json_is_an_expected_error(tmp_path: Path) -> None:
    (tmp_path / places.ENV_JSON).write_text("{")
    with pytest.raises(EngineError, match="cannot read"):
        read_env(tmp_path)
    (tmp_path / places.ENV_JSON).write_text("{}")
    with pytest.raises(EngineError, match="cannot read"):
        read_env(tmp_path)


def test_ecr_is_at_the_port_of_the_api_on_this_machine(tmp_path: Path) -> None:
    assert not is_ecr("localhost:4580", tmp_path)
    known = {"endpoint": "http://127.0.0.1:4580", "region": "r", "access_key": "a"}
    (tmp_path / places.ENV_JSON).write_text(json.dumps({**known, "secret_key": "s"}))
    hosts = ("localhost:4580", "127.0.0.1:4580", "localhost:5000", "evil.example:4580")
    assert [is_ecr(host, tmp_path) for host in hosts] == [True, True, False, False]


def test_keys_do_not_show_in_the_repr() -> None:
    assert "hunter2" not in repr(LocalEnv("http://127.0.0.1:1", "us-east-1", "AK", "hunter2"))


def test_export_lines_survive_the_shell() -> None:
    env = LocalEnv("http://127.0.0.1:1", "us-east-1", "AK", "it's $HOME `x`")
    script = "\n".join([*export_lines(env), 'printf %s "$AWS_SECRET_ACCESS_KEY"'])
    shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert shell.stdout == "it's $HOME `x`"


def test_up_starts_once_and_down_stops(home: Path) -> None:
    first = process.up(home, ANY, program=FAKE)
    again = process.up(home, ANY, program=FAKE)
    assert (first.already, again.already) == (False, True)
    assert first.pid == again.pid
    assert stat.S_IMODE((home / places.ENGINE_LOG).stat().st_mode) == 0o600
    assert process.down(home)
    assert process.running(home) is None
    assert (home / "posts").read_text() == "/_kaiun/shutdown True\n"
    assert not process.down(home)


def test_two_ups_at_once_are_one(home: Path) -> None:
    threads = [
        threading.Thread(target=process.up, args=(home, ANY), kwargs={"program": FAKE})
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len((home / "starts").read_text().splitlines()) == 1


def test_an_engine_that_ends_at_its_start_shows_its_last_words(home: Path) -> None:
    with pytest.raises(EngineError, match="exit code 1") as caught:
        process.up(home, ANY, program=[*FAKE, "--fail"])
    assert caught.value.detail == ("no Docker Engine here",)


def test_up_after_a_crash_takes_the_ports_used_before(home: Path) -> None:
    crashed = process.up(home, ANY, program=FAKE)
    assert crashed.pid is not None
    os.kill(crashed.pid, signal.SIGKILL)
    os.waitpid(crashed.pid, 0)
    again = process.up(home, program=FAKE)
    assert again.env.endpoint == crashed.env.endpoint
    assert again.env.registry == "localhost:5999"
    assert again.pid != crashed.pid


def test_reset_is_signed(home: Path) -> None:
    process.up(home, ANY, program=FAKE)
    process.reset(home)
    assert (home / "posts").read_text() == "/_kaiun/reset True\n"


def test_reset_without_an_engine_says_so(home: Path) -> None:
    with pytest.raises(EngineError, match="not running"):
        process.reset(home)
