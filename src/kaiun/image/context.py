"""The build context: what the commit holds, and nothing of the work tree.

`git archive` writes it, so .gitattributes has its say (export-ignore leaves files out,
export-subst fills in $Format$). It is unpacked into a temporary directory rather than piped into
`docker build -`, because Docker honours .dockerignore only for a directory.
"""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kaiun.errors import ImageError
from kaiun.image import git

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from kaiun.image.source import Place
    from kaiun.image.stop import Stop

# The user's own settings must not change modes or line ends, hence the image.
_SAME_EVERYWHERE = ("-c", "tar.umask=0022", "-c", "core.autocrlf=false", "-c", "core.eol=lf")
EXTRACT = ("tar", "-x", "-p", "--no-same-owner", "-C")
_CHUNK = 1 << 18  # bytes


@contextmanager
def unpacked(place: Place, stop: Stop) -> Iterator[Path]:
    """Yield a temporary directory that holds the context; it is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="kaiun-context-", ignore_cleanup_errors=True) as name:
        context = Path(name) / "context"
        context.mkdir()
        context.chmod(0o755)  # whatever the umask: COPY may carry it into the image
        _unpack(place, context, stop)
        yield context


def archived(place: Place, stop: Stop) -> Iterator[bytes]:
    """Yield the context as a tar archive, in pieces: what `unpacked` would unpack.

    Raises ImageError with git's own words, Interrupted.
    """
    with tempfile.TemporaryFile() as said, _archive(place, said) as archive:
        assert archive.stdout  # noqa: S101 (asked for by _archive)
        try:
            with stop.calling(archive.kill):
                while data := archive.stdout.read(_CHUNK):
                    yield data
                archive.wait()
        finally:
            archive.kill()
        stop.check()
        if archive.returncode:
            said.seek(0)
            raise git.failure(place.top, said.read())


def warnings(place: Place) -> tuple[str, ...]:
    """Return what a user would miss in the context: submodules, files that Git LFS holds."""
    found = []
    if paths := _submodules(place):
        shown = ", ".join(paths[:3]) + (", …" if len(paths) > 3 else "")
        found.append(f"git archive leaves out submodules: {shown} will be empty in the image")
    if _has_lfs_pointers(place):
        found.append("Git LFS is not set up here: the image gets pointers (git lfs install)")
    return tuple(found)


def _unpack(place: Place, into: Path, stop: Stop) -> None:
    """Run `git archive | tar -x`; both end when a stop is requested or this is interrupted."""
    with (
        _archive(place, subprocess.PIPE) as archive,
        subprocess.Popen(
            [*EXTRACT, str(into)], stdin=archive.stdout, stderr=subprocess.PIPE
        ) as tar,
    ):
        assert archive.stdout  # noqa: S101 (asked for above)
        archive.stdout.close()
        try:
            with stop.calling(archive.kill):
                _, tar_said = tar.communicate()
                _, archive_said = archive.communicate()
        except BaseException:
            archive.kill()
            tar.kill()
            raise
    stop.check()
    if archive.returncode:
        raise git.failure(place.top, archive_said)
    if tar.returncode:
        raise ImageError(
            "the build context could not be unpacked",
            where=str(into),
            hint="is there enough space? TMPDIR names another place",
            detail=git.text(tar_said).splitlines()[-5:],
        )


def _archive(place: Place, errors: IO[bytes] | int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["git", *_SAME_EVERYWHERE, "archive", "--format=tar", place.treeish],
        cwd=place.top,
        env=git.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
    )


def _submodules(place: Place) -> list[str]:
    listed = git.run(place.top, "ls-tree", "-r", "-z", "--full-tree", place.treeish)
    entries = (entry.partition(b"\t") for entry in listed.split(b"\0"))
    return [git.text(path) for kind, _, path in entries if kind.startswith(b"160000 ")]


def _has_lfs_pointers(place: Place) -> bool:
    """Return whether files are in LFS while no filter would fetch them for `git archive`."""
    marked = git.attempt(
        place.top, *("grep", "-q", "-F", "-e", "filter=lfs", place.treeish, "--", "*.gitattributes")
    )
    if marked.returncode:
        return False
    configured = git.attempt(
        place.top, "config", "--get-regexp", r"^filter\.lfs\.(process|smudge)$"
    )
    return configured.returncode != 0
