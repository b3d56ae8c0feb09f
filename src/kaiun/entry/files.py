"""Write files so that nobody ever sees half of one: staged beside the target, then renamed."""

from __future__ import annotations

import os

from kaiun.entry.failure import Failure

ORIGINALS = "/opt/kaiun/files"  # what a start would overwrite, as the image has it
SECRET_MODE = 0o600


class Staged:
    """A file on its way: write to `path`, then `commit`."""

    def __init__(self, target: str) -> None:
        self.target = os.path.realpath(target)
        folder, name = os.path.split(self.target)
        self.path = os.path.join(folder, f".{name}.kaiun-{os.getpid()}")
        self.folder = folder

    def open(self) -> None:
        """Create the empty file, readable by nobody else. Raises Failure where it cannot be."""
        try:
            os.makedirs(self.folder, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(self.path, flags, SECRET_MODE))
        except OSError as problem:
            raise Failure(_refused(self.target, problem)) from None

    def write(self, data: bytes) -> None:
        """Fill the file. Raises Failure when the disk is full, say."""
        try:
            fd = os.open(self.path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
            try:
                while data:
                    data = data[os.write(fd, data) :]
            finally:
                os.close(fd)
        except OSError as problem:
            raise Failure(f"{self.target} cannot be written: {problem.strerror}") from None

    def dress(self, *, mode: int | None, owner: str, like: str, secret: bool) -> None:
        """Set mode and owner: those asked for, else 0600 for a secret, else those of before."""
        before = _stat(self.target) or _stat(like)
        kept = before.st_mode & 0o7777 if before else 0o644
        chosen = mode if mode is not None else SECRET_MODE if secret else kept
        try:
            if owner:
                os.chown(self.path, *ids(owner))
            elif (old := _stat(self.target)) and os.geteuid() == 0:
                os.chown(self.path, old.st_uid, old.st_gid)
            os.chmod(self.path, chosen)
        except OSError as problem:
            raise Failure(f"mode or owner cannot be set: {problem.strerror}") from None

    def commit(self) -> None:
        """Put the file in the place of its target."""
        try:
            os.rename(self.path, self.target)
        except OSError as problem:
            raise Failure(_refused(self.target, problem)) from None

    def drop(self) -> None:
        """Remove the staged file, be it there or not."""
        try:
            os.unlink(self.path)
        except OSError:
            return


def original(path: str) -> str:
    """Return where to read a file that an earlier start may have overwritten."""
    kept = ORIGINALS + os.path.abspath(path)
    return kept if os.path.exists(kept) else path


def read(path: str, limit: int = 64 << 20) -> bytes:
    """Return a file's content. Raises Failure unless it is a readable file below `limit` bytes."""
    try:
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except OSError as problem:
        raise Failure(f"{path} cannot be read: {problem.strerror}") from None
    if len(data) > limit:
        raise Failure(f"{path} is larger than {limit >> 20} MiB")
    return data


def ids(owner: str) -> tuple[int, int]:
    """Return uid and gid of "user", "user:group" or numbers; -1 leaves one as it is."""
    user, _, group = owner.partition(":")
    uid = gid = -1
    try:
        if user.isdigit():
            uid = int(user)
        elif user:
            import pwd

            entry = pwd.getpwnam(user)
            uid, gid = entry.pw_uid, entry.pw_gid
        if group:
            import grp

            gid = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError:
        raise Failure(f"there is no user or group {owner!r} in the image") from None
    return uid, gid


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _refused(target: str, problem: OSError) -> str:
    why = (problem.strerror or "?").lower()
    if problem.errno in (1, 13, 30):
        return (
            f"{target} cannot be written by uid {os.geteuid()}: {why} "
            "(write `start: {directory: /run/kaiun}`, a tmpfs if the root is read-only)"
        )
    return f"{target} cannot be written: {why}"
