"""What a running build tells, written down for those who wait for the same image.

One file an image below `builds/` of the state home, a JSON document a line: `{"event": …}`, and
at the end `{"ended": "failed" | "stopped", "problem": …}`. Only who holds the image's lock writes.
A build that succeeded leaves no file: the registry tells. One that failed leaves its own, so that
who asks later learns why; it is swept after a week.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kaiun.errors import Interrupted, KaiunError
from kaiun.image import folders, lock
from kaiun.image.events import BuildEvent
from kaiun.image.messages import Json, from_event, from_problem, to_event, to_problem

KEPT_S = 7 * 86400.0
WAITING = BuildEvent("wait", "started", "another build of this image is running")

Tell = Callable[[BuildEvent], None]


def path_of(home: Path, name: str) -> Path:
    """Return where the record of image `name` is."""
    return home / "builds" / f"{lock.key(name)}.jsonl"


@contextmanager
def kept(home: Path, name: str, tell: Tell) -> Iterator[Tell]:
    """Yield a `tell` that also writes the record, and write how the block ended."""
    path = path_of(home, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    folders.forget(path.parent.glob("*.jsonl"), KEPT_S)
    path.unlink(missing_ok=True)  # never written over: somebody may still be reading it
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)

    def write(document: Json) -> None:
        with suppress(OSError):  # a full disk fails the build by itself, and says so
            os.write(descriptor, json.dumps(document).encode() + b"\n")

    def both(event: BuildEvent) -> None:
        write({"event": from_event(event)})
        tell(event)

    try:
        yield both
        path.unlink(missing_ok=True)
    except BaseException as problem:
        failed = isinstance(problem, KaiunError) and not isinstance(problem, Interrupted)
        write({"ended": "failed" if failed else "stopped"} | _problem(problem))
        if not failed:
            path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


class Follower:
    """Tells what another process's build of the image tells, while it runs."""

    def __init__(self, home: Path, name: str, tell: Tell) -> None:
        self.failure: KaiunError | None = None  # how the build that was followed ended
        self._path = path_of(home, name)
        self._tell = tell
        self._file = -1
        self._inode = 0
        self._rest = b""
        self._told = False

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def look(self) -> bool:
        """Tell what is new; return whether anything was."""
        if not self._told:
            self._told = True
            self._tell(WAITING)
        return self.read() | (self._reopen() and self.read())

    def read(self) -> bool:
        """Tell what is new in the record that is open."""
        if self._file < 0:
            return False
        *lines, self._rest = (self._rest + _read(self._file)).split(b"\n")
        for line in lines:
            self._take(json.loads(line))
        return bool(lines)

    def _take(self, document: Json) -> None:
        if "event" in document:
            self._tell(to_event(document["event"]))
        elif document.get("ended") == "failed":
            self.failure = to_problem(document["problem"])

    def _reopen(self) -> bool:
        """Open the record if there is another one than before, and it has not ended."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        inode = os.fstat(descriptor).st_ino
        if inode == self._inode or failure_in(self._path):
            os.close(descriptor)
            return False
        self._close()
        self._file, self._inode, self._rest, self.failure = descriptor, inode, b"", None
        return True

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def failure_in(path: Path) -> KaiunError | None:
    """Return how the build ended whose record is there, None where it did not end or fail."""
    try:
        last = path.read_bytes().rstrip(b"\n").rpartition(b"\n")[2]
        document = json.loads(last)
    except (FileNotFoundError, ValueError):
        return None
    return to_problem(document["problem"]) if document.get("ended") == "failed" else None


def _problem(problem: BaseException) -> Json:
    return {"problem": from_problem(problem)} if isinstance(problem, KaiunError) else {}


def _read(descriptor: int) -> bytes:
    chunks = iter(lambda: os.read(descriptor, 1 << 16), b"")
    return b"".join(chunks)
