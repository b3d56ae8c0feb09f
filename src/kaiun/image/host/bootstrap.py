"""Sent to the host and run there: find kaiun's package by its digest, or take it in; then work.

Standard library only, and nothing of kaiun: kaiun is what it fetches. Reads its request from what
follows it on stdin: {code: digest, entry: function of the worker}. Answers with one line, which
begins with MARK since a shell's start-up files may have printed something before:
{code: "have" | "want"}; after "want" come {bytes: n} and the zip archive.

A version lives in code/UID/DIGEST below the home. Who uses one holds a shared lock on it; versions
that nobody has used for a month are removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import json
import os
import sys
import time
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

MARK = "kaiun-host "
HOME = "/var/lib/kaiun"
KEPT_S = 30 * 86400.0
HALF_S = 3600.0


def main(stdin: BinaryIO, stdout: BinaryIO) -> None:
    """Bring the package in place and hand over to it."""
    home = os.environ.setdefault("KAIUN_HOME", HOME)
    request = json.loads(stdin.readline())
    path = Path(home, "code", str(os.getuid()), request["code"])
    have = hold(path)
    stdout.write(f"{MARK}{json.dumps({'code': 'have' if have else 'want'})}\n".encode())
    stdout.flush()
    if not have:
        size = json.loads(stdin.readline())["bytes"]
        take_in(stdin.read(size), path)
        hold(path)
    sys.path.insert(0, str(path))
    importlib.import_module("kaiun.image.host.worker").main(stdin, stdout)


def hold(path: Path) -> bool:
    """Lock a version for as long as this process lives; return whether it is there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return False
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    if not path.exists():  # removed while we waited
        os.close(descriptor)
        return False
    os.utime(path)
    return True


def take_in(data: bytes, path: Path) -> None:
    """Unpack a version beside its place, and put it there at once."""
    import io
    import shutil
    import tempfile
    import zipfile

    path.parent.mkdir(0o700, parents=True, exist_ok=True)
    sweep(path.parent)
    new = Path(tempfile.mkdtemp(dir=path.parent, prefix="new-"))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(new)
    try:
        new.rename(path)
    except OSError:  # another run was quicker
        shutil.rmtree(new)


def sweep(folder: Path) -> None:
    """Remove versions that nobody has used for long, and those half taken in."""
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            kept_s = HALF_S if path.name.startswith("new-") else KEPT_S
            if path.stat().st_mtime < time.time() - kept_s:
                remove(path)


def remove(path: Path) -> None:
    """Remove a version unless somebody works with it."""
    import shutil

    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    try:
        main(sys.stdin.buffer, sys.stdout.buffer)
    except OSError as problem:  # a full disk, a folder of somebody else's
        sys.exit(f"the build host: {problem}")
