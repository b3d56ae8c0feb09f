"""The host's side of one developer's run: takes jobs from stdin, builds, tells.

Whatever ends the connection (Ctrl-C, a dead network, sshd going down) ends stdin, and a network
that died in silence ends the pings: either way every build is stopped, as by Ctrl-C here.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
import tempfile
import threading
import time
import traceback
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from kaiun.errors import KaiunError
from kaiun.image import folders
from kaiun.image.host.channel import Channel
from kaiun.image.host.job import Job
from kaiun.image.messages import from_problem
from kaiun.image.stop import Stop
from kaiun.local.home import state_home

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from kaiun.image.messages import Json

SILENCE_S = 30.0  # the developer's side sends a ping every 5 s
_GRACE_S = 20.0  # for builds to end in


def main(stdin: IO[bytes], stdout: IO[bytes]) -> None:
    """Serve until the developer's side ends, then leave nothing behind."""
    writer = os.fdopen(os.dup(stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), stdout.fileno())  # whoever prints must not disturb the messages
    home = state_home()
    share(home)
    with folders.held(home / "work" / str(os.getuid())) as folder:
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
        Worker(Channel(stdin, writer), home).serve()


def share(home: Path) -> None:
    """Let what is written be the group's where the home is: caches of several Unix users."""
    if home.stat().st_mode & stat.S_IWGRP:
        os.umask(0o002)


class Worker:
    """The jobs of one run, each in a thread of its own."""

    def __init__(self, channel: Channel, home: Path) -> None:
        self.channel = channel
        self.home = home
        self.stop = Stop()
        self._jobs: dict[int, Job] = {}
        self._threads: list[threading.Thread] = []
        self._heard = time.monotonic()

    def serve(self) -> None:
        """Take messages until there are no more; then end what runs."""
        signal.signal(signal.SIGTERM, self._terminated)
        threading.Thread(target=self._watch, name="watch", daemon=True).start()
        try:
            while received := self._receive():
                self._take(*received)
        except OSError:
            pass  # a reset connection is an end like any other
        self._end()

    def _receive(self) -> tuple[Json, bytes] | None:
        received = self.channel.receive()
        self._heard = time.monotonic()
        return received

    def _take(self, message: Json, data: bytes) -> None:
        number = message.get("job", 0)
        if "do" in message:
            job = Job(number, self.channel, self.stop, self.home, alive=self._alive)
            self._jobs[number] = job
            thread = threading.Thread(target=self._work, args=(job, message), name=f"job-{number}")
            self._threads.append(thread)
            thread.start()
        elif job_of := self._jobs.get(number):
            job_of.hand(message, data)

    def _work(self, job: Job, request: Json) -> None:
        from kaiun.image.host.doings import DOINGS

        try:
            answer: Json = {"result": DOINGS[request["do"]](job, request)}
        except KaiunError as problem:
            answer = {"problem": from_problem(problem)}
        except BaseException:  # noqa: BLE001  (told to the developer, whose kaiun reports it)
            answer = {"bug": traceback.format_exc()}
        del self._jobs[job.number]
        job.close()
        with suppress(OSError, ValueError):  # nobody listens any more
            self.channel.send({"job": job.number} | answer)

    def _alive(self) -> None:
        self._heard = time.monotonic()

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        """End as if the developer's side had: the kernel wakes the main thread's read."""
        del number, frame
        raise ConnectionResetError

    def _watch(self) -> None:
        """End a worker whose developer went silent, though its main thread reads."""
        while time.monotonic() - self._heard < SILENCE_S:
            time.sleep(1)
        self._end()
        os._exit(1)  # the rest of the cleaning is the next run's: the folder is no longer locked

    def _end(self) -> None:
        """Stop the builds and wait for their threads, as long as can be expected."""
        self.stop.request()
        for job in list(self._jobs.values()):
            job.close()
        deadline = time.monotonic() + _GRACE_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            os._exit(1)
