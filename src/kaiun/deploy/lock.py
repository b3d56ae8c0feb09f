"""One deployer at a time: lock.json in the state bucket, taken by conditional write.

The lock names its owner and expires: a deploy that died leaves a lock that anybody may take after
EXPIRY_S, and the same machine at once when the process that wrote it is gone. There is no renewal;
a deploy that takes longer than EXPIRY_S finds, at its end, that the lock may belong to another.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kaiun.errors import AwsError, DeployLocked

if TYPE_CHECKING:
    from kaiun.deploy.state import State

EXPIRY_S = 3600.0
KEY = "lock.json"


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds the lock, since when and until when (seconds since the epoch)."""

    owner: str
    host: str
    pid: int
    release: str
    time: float
    expires: float

    def sentence(self, now: float) -> str:
        age = max(0.0, now - self.time)
        return (
            f"{self.owner}@{self.host} (process {self.pid}) deploys {self.release},"
            f" since {age:.0f} s"
        )

    def stale(self, now: float, host: str, alive: Callable[[int], bool]) -> bool:
        """Tell whether nobody can be behind this lock any more."""
        return now > self.expires or (self.host == host and not alive(self.pid))


def me(release: str, now: float) -> Owner:
    """Return this process as an owner."""
    name = os.environ.get("KAIUN_USER") or getpass.getuser()
    return Owner(name, socket.gethostname(), os.getpid(), release, now, now + EXPIRY_S)


def alive(pid: int) -> bool:
    """Tell whether a process with this id runs here."""
    return Path(f"/proc/{pid}").exists()


@contextmanager
def locked(
    state: State | None,
    owner: Owner,
    *,
    clock: Callable[[], float] = time.time,
    is_alive: Callable[[int], bool] = alive,
) -> Iterator[None]:
    """Hold the lock of this environment; without a state bucket there is none.

    Raises DeployLocked when somebody else holds it.
    """
    if state is None:
        yield
        return
    _take(state, owner, clock(), is_alive)
    try:
        yield
    finally:
        _give_back(state, owner, clock())


def _take(state: State, owner: Owner, now: float, is_alive: Callable[[int], bool]) -> None:
    body = json.dumps(asdict(owner)).encode()
    if state.put_if_absent(KEY, body):
        return
    stored = state.get(KEY)
    if stored is None:
        if state.put_if_absent(KEY, body):
            return
        raise DeployLocked("another deploy has just taken the lock", where=state.url(KEY))
    holder = _owner(json.loads(stored.body))
    free = holder is None or holder.stale(now, owner.host, is_alive)
    if free and state.put_if_match(KEY, body, stored.etag):
        return
    who = holder.sentence(now) if holder else "another deploy"
    raise DeployLocked(
        f"another deploy is under way: {who}",
        where=state.url(KEY),
        hint="wait for it, or delete lock.json if that process is no more",
    )


def _give_back(state: State, owner: Owner, now: float) -> None:
    """Delete the lock. That fails quietly: it expires, and the deploy itself is over."""
    try:
        if now > owner.expires:
            stored = state.get(KEY)
            if stored is None or _owner(json.loads(stored.body)) != owner:
                return
        state.delete(KEY)
    except AwsError:
        return


def _owner(found: Mapping[str, object]) -> Owner | None:
    try:
        return Owner(**{name: found[name] for name in Owner.__slots__})  # type: ignore[arg-type]
    except (KeyError, TypeError):
        return None
