"""Let somebody edit a plaintext that never touches a disk where there is a tmpfs."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from kaiun.errors import CommandExit, SecretsError

MEMORY = Path("/dev/shm")  # noqa: S108  (a tmpfs, and the directory made in it is private)
FATAL = (signal.SIGTERM, signal.SIGHUP)


def edit(
    name: str,
    plain: bytes,
    take: Callable[[bytes], bytes],
    *,
    environment: Mapping[str, str],
    again: Callable[[SecretsError], bool],
) -> bytes | None:
    """Open $VISUAL or $EDITOR on `plain`; return take(edited), None when nothing changed.

    When `take` raises SecretsError and `again` says so, the editor opens once more on the same
    text. Raises SecretsError. The directory with the plaintext is removed in every case that a
    process can see: also after SIGTERM and SIGHUP.
    """
    command = _command(environment)
    with _private_directory() as directory:
        file = directory / name
        _write(file, plain)
        while True:
            _run([*command, str(file)], environment)
            edited = file.read_bytes()
            if edited == plain:
                return None
            try:
                return take(edited)
            except SecretsError as error:
                if not again(error):
                    raise


def _command(environment: Mapping[str, str]) -> list[str]:
    text = environment.get("VISUAL") or environment.get("EDITOR") or "vi"
    try:
        command = shlex.split(text)
    except ValueError:
        command = []
    if not command or shutil.which(command[0], path=environment.get("PATH")) is None:
        raise SecretsError(f"no editor {text!r}", hint="set EDITOR")
    return command


def _run(command: list[str], environment: Mapping[str, str]) -> None:
    code = subprocess.run(command, check=False, env=dict(environment)).returncode
    if code != 0:
        raise SecretsError(
            f"the editor ended with {code}; nothing was changed",
            hint="EDITOR has to wait: `code -w`",
        )


def _write(file: Path, data: bytes) -> None:
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)


@contextmanager
def _private_directory() -> Iterator[Path]:
    parent = MEMORY if MEMORY.is_dir() and os.access(MEMORY, os.W_OK | os.X_OK) else None
    before = {number: signal.signal(number, _leave) for number in FATAL}
    directory = Path(tempfile.mkdtemp(prefix="kaiun-", dir=parent))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, _frame: FrameType | None) -> None:
    name = signal.Signals(number).name
    raise CommandExit(f"ended by {name}; nothing was changed", exit_code=128 + number)
