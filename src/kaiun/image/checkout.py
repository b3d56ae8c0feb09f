"""The folder that a build reads its context from, kept from one build to the next.

What two commits have in common stays as it lies there, with its times. BuildKit, which compares
sizes and times, is sent what changed and not the whole repository; nor is a build host, over SSH.

What the folder holds is written down together with a digest of all its files' ctimes: who else
touches it, or a disk that lost something, makes the next build fill it anew.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from kaiun import files
from kaiun.errors import ImageError
from kaiun.image import git, lock

if TYPE_CHECKING:
    from kaiun.image.context import Parcel
    from kaiun.image.stop import Stop

Pack = Callable[[str, "Stop"], "Parcel"]
FOLDER = "contexts"
_FILES, _STATE = "context", "state"
# With times of now: all files of an archive have the commit's, which may be that of another.
_EXTRACT = ("tar", "-x", "-m", "-p", "--no-same-owner", "-C")


@contextmanager
def filled(home: Path, name: str, pack: Pack, stop: Stop) -> Iterator[Path]:
    """Yield a folder with what `pack` packs for image `name`; nobody may write into it.

    Where another build has the folder, of another commit, a temporary one serves.
    Raises ImageError, Interrupted.
    """
    place = place_of(home, name)
    descriptor = _hold(place)
    if descriptor is None:
        with tempfile.TemporaryDirectory(prefix="kaiun-context-", ignore_cleanup_errors=True) as it:
            yield _fill(Path(it), pack, stop)
        return
    try:
        yield _fill(place, pack, stop)
    finally:
        os.close(descriptor)


def place_of(home: Path, name: str) -> Path:
    """Return where the context of image `name` is kept: a Unix user's own, on shared hosts too."""
    readable = name.rpartition("/")[2]
    return home / FOLDER / str(os.getuid()) / f"{readable}-{lock.key(name)[:12]}"


def kept(home: Path) -> list[Path]:
    """Return the folders of this Unix user, each for one image."""
    own = home / FOLDER / str(os.getuid())
    return sorted(own.iterdir()) if own.is_dir() else []


def used_at(place: Path) -> float:
    """Return when a build last filled a folder, in seconds since the epoch."""
    with suppress(FileNotFoundError):
        return place.stat().st_mtime
    return 0.0


def size(place: Path) -> int:
    """Return the bytes that a folder's files take on the disk, or nearly: a build may fill it."""
    with suppress(FileNotFoundError):
        return sum(facts.st_blocks * 512 for _, facts in _below(place) if facts)
    return 0


def remove(place: Path) -> None:
    """Remove a folder. Raises ImageError where a build has it."""
    descriptor = _hold(place)
    if descriptor is None:
        raise ImageError("a build reads its context there", where=str(place), hint="try again")
    try:
        shutil.rmtree(place)
    finally:
        os.close(descriptor)


def extract(tar: Iterator[bytes], into: Path, stop: Stop) -> None:
    """Unpack a tar archive as it arrives. Raises ImageError, Interrupted."""
    command = [*_EXTRACT, str(into)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin  # noqa: S101  (asked for above)
        try:
            with stop.calling(process.kill):
                for data in tar:
                    process.stdin.write(data)
                _, said = process.communicate()
        except BrokenPipeError:
            _, said = process.communicate()
        except BaseException:
            process.kill()
            raise
    stop.check()
    if process.returncode:
        raise ImageError(
            "the build context could not be unpacked",
            where=str(into),
            hint="is there enough space? KAIUN_HOME names another place",
            detail=git.text(said).splitlines()[-5:],
        )


def _hold(place: Path) -> int | None:
    """Return a descriptor that locks the folder, made if need be; None while another has it."""
    try:
        while True:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.mkdir(mode=0o700, exist_ok=True)
            with suppress(FileNotFoundError):  # removed meanwhile
                descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                if lock.taken(descriptor, place):
                    return descriptor
                os.close(descriptor)
                if place.exists():
                    return None
    except OSError as problem:
        raise lock.unwritable(place, problem) from problem


def _fill(place: Path, pack: Pack, stop: Stop) -> Path:
    """Make the folder below `place` the context; return it."""
    folder, state = place / _FILES, place / _STATE
    stop.check()
    parcel = pack(_held(folder, state), stop)
    try:
        state.unlink(missing_ok=True)
        if parcel.removed is None:
            _empty(folder)
        else:
            for path in parcel.removed:
                _take_away(folder, path)
    except OSError as problem:
        raise lock.unwritable(folder, problem) from problem
    if parcel.tar is not None:
        extract(parcel.tar, folder, stop)
    if parcel.content:
        with suppress(OSError):  # the next build fills it anew
            files.replace(state, f"{parcel.content}\n{_seen(folder)}\n")
    return folder


def _held(folder: Path, state: Path) -> str:
    """Return what the folder holds, "" where that is not certain."""
    with suppress(OSError, ValueError):
        content, seen = state.read_text().splitlines()
        if seen == _seen(folder):
            return content
    return ""


def _seen(folder: Path) -> str:
    """Return a digest of which files are there and when each, or its name, last changed."""
    found = sorted((path, facts.st_ctime_ns if facts else 0) for path, facts in _below(folder))
    return hashlib.sha256(repr(found).encode()).hexdigest()


def _below(folder: Path) -> Iterator[tuple[str, os.stat_result | None]]:
    """Yield all that is below a folder, with the facts about what is no folder."""
    folders = [str(folder)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                    yield entry.path, None
                else:
                    yield entry.path, entry.stat(follow_symlinks=False)


def _empty(folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder)
    folder.mkdir()
    folder.chmod(0o755)  # whatever the umask: COPY may carry it into the image


def _take_away(folder: Path, path: str) -> None:
    """Remove a file, and the folders that are empty then. Raises ImageError for an odd path."""
    parts = path.split("/")
    if not parts[0] or ".." in parts:
        raise ImageError(f"the commit has a file {path!r}: no such file can be built from")
    gone = folder / path
    parents = list(gone.parents)[: len(parts) - 1]
    if any(parent.is_symlink() for parent in parents):
        return  # the file is somebody else's
    with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
        gone.unlink()  # a folder that a file will replace loses its own files, and goes with them
    for parent in parents:
        try:
            parent.rmdir()
        except OSError:
            return  # something else is in it
