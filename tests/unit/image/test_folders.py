"""Private folders end with their block, or with the next one after a kill."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kaiun.image import folders

HOLD = """
import sys
from pathlib import Path
from kaiun.image import folders
with folders.held(Path(sys.argv[1])) as folder:
    (folder / "file").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_private_and_ends_with_the_block(tmp_path: Path) -> None:
    parent = tmp_path / "work"
    with folders.held(parent) as folder, folders.held(parent) as other:
        (folder / "deep" / "er").mkdir(parents=True)
        assert folder != other
        assert folder.exists()
        assert [path.stat().st_mode & 0o777 for path in (parent, folder)] == [0o700, 0o700]
    assert list(parent.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        left = Path(process.stdout.readline().strip())
        with folders.held(tmp_path):
            assert (left / "file").exists()
        process.kill()
    assert left.exists()
    with folders.held(tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]


def test_another_users_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError), folders.held(link):
        pass


def test_memory_is_the_runtime_directory_where_there_is_one(tmp_path: Path) -> None:
    assert folders.in_memory({"XDG_RUNTIME_DIR": str(tmp_path)}) == tmp_path / "kaiun"
    found = folders.in_memory({"XDG_RUNTIME_DIR": "/nowhere"})
    assert found is None or str(found).startswith("/dev/shm/kaiun-")
