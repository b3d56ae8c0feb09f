"""What is sent to the host: the same source, the same bytes; and how it is taken in there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from kaiun.image.host import bootstrap
from kaiun.image.host.code import ROOMS, code, environment, requirements


def test_source_of_the_pipeline_is_sent_and_nothing_else() -> None:
    names = [name for name, _ in code().files]
    assert {"kaiun/__init__.py", "kaiun/errors.py", "kaiun/image/ensure.py"} <= set(names)
    assert {name.split("/")[1] for name in names if name.count("/") > 1} <= set(ROOMS)
    assert not [name for name in names if name.endswith(".pyc") or "boto" in name]


def test_requirements_are_pinned_and_name_no_index() -> None:
    lines = requirements().splitlines()
    pinned = [line for line in lines if line and not line.startswith((" ", "#"))]
    assert all("==" in line for line in pinned)
    assert not [line for line in lines if "://" in line]
    assert len(environment()) == 16


def test_a_version_is_taken_in_once_and_works_without_the_rest_of_kaiun(tmp_path: Path) -> None:
    path = tmp_path / "code" / "0" / code().digest
    assert not bootstrap.hold(path)
    bootstrap.take_in(code().archive(), path)
    bootstrap.take_in(code().archive(), path)  # another run at the same time
    assert [each.name for each in path.parent.iterdir()] == [code().digest]
    program = (
        f"import sys; sys.path.insert(0, {str(path)!r})\n"
        "import kaiun.image.host.worker, kaiun.image.host.doings, kaiun.config.loader\n"
        "ours = [m for n, m in sys.modules.items() if n.partition('.')[0] == 'kaiun']\n"
        "print(*sorted({m.__file__ for m in ours}), sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    assert [file for file in done.stdout.split() if not file.startswith(str(path))] == []


def test_old_versions_go_unless_somebody_works_with_them(tmp_path: Path) -> None:
    old, used, new = (tmp_path / "code" / name for name in ("old", "used", "new"))
    for path in (old, used, new):
        path.mkdir(parents=True)
    assert bootstrap.hold(used)
    long_ago = time.time() - bootstrap.KEPT_S - 1
    for path in (old, used):
        os.utime(path, (long_ago, long_ago))
    bootstrap.sweep(tmp_path / "code")
    assert sorted(each.name for each in (tmp_path / "code").iterdir()) == ["new", "used"]


def test_a_home_that_cannot_be_written_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = subprocess.run(
        [sys.executable, "-I", bootstrap.__file__],
        input=b'{"code": "abc"}\n{"bytes": 3}\nzip',
        env={"KAIUN_HOME": str(tmp_path / "file")},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.decode().startswith("the build host: [Errno 20] Not a directory")


@pytest.mark.parametrize("seconds", [0.0, bootstrap.HALF_S + 1])
def test_a_version_half_taken_in_goes_after_an_hour(tmp_path: Path, seconds: float) -> None:
    half = tmp_path / "new-x"
    half.mkdir()
    then = time.time() - seconds
    os.utime(half, (then, then))
    bootstrap.sweep(tmp_path)
    assert half.exists() == (seconds == 0)


def test_the_hosts_packages_are_those_of_kaiun_in_the_same_versions() -> None:
    top = Path(__file__).parents[4]
    project = tomllib.loads((top / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[>=<\[]", each)[0].lower() for each in project["dependencies"]}
    here, there = (pins(text) for text in ((top / "requirements.txt").read_text(), requirements()))
    assert wanted <= set(there), "make requirements"
    assert {name: here[name] for name in there} == there, "make requirements"


def pins(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)(?:\[\S+\])?==(\S+)", text, re.MULTILINE))
