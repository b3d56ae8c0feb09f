"""One SSH connection to a build host, and the worker behind it, shared by all builds of a run."""

from __future__ import annotations

import json
import queue
import subprocess
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib import resources
from typing import TYPE_CHECKING, Any

from kaiun.errors import ImageError
from kaiun.image.host import ssh
from kaiun.image.host.bootstrap import HOME, MARK
from kaiun.image.host.channel import Channel
from kaiun.image.host.code import code, environment
from kaiun.image.messages import Json, to_problem

if TYPE_CHECKING:
    from kaiun.image.stop import Stop

PING_S = 5.0
_GRACE_S = 15.0  # for the worker to end its builds in
_CONNECTING_S = 1.0  # for an ssh that got no further than that
_NOISE_LINES = 200  # that a shell's start-up files may print before the worker's first word
# Quotes, dollars and exclamation marks are kept away from the login shell, whichever it is.
_RUN = "import sys; i = sys.stdin.buffer; exec(i.read(int(i.readline())))"

Answer = Callable[[Json, "Connection"], None]


def remote(python: str) -> str:
    """Return the command that runs what follows on stdin, in the host's virtual environment."""
    missing = f"echo {MARK}unprepared"
    script = (
        f'h="${{KAIUN_HOME:-{HOME}}}"; p="$h/venvs/{python}/bin/python"; '
        f'if [ -x "$p" ]; then exec "$p" -I -c "{_RUN}"; else {missing}; fi'
    )
    return f"exec sh -c '{script}'"


class LostError(Exception):
    """The connection ended, on purpose or not."""


class Connection:
    """Starts ssh when made and waits for it at the first `call`; calls may come from any thread."""

    def __init__(self, host: ssh.Host) -> None:
        ssh.require()
        self.host = host
        self._inboxes: dict[int, queue.SimpleQueue[Json]] = {}
        self._lock = threading.Lock()
        self._greeting = threading.Lock()
        self._count = 0
        self._lost = False
        self._ended = threading.Event()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the connection)
        # A file, not a pipe: a shared master of the user's would hold a pipe open for ever.
        self._process = subprocess.Popen(
            host.command(remote(environment())),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,  # Ctrl-C reaches it through `hang_up`
        )
        assert self._process.stdin  # noqa: S101  (asked for above)
        assert self._process.stdout  # noqa: S101
        self._channel = Channel(self._process.stdout, self._process.stdin)
        self._receiver = threading.Thread(target=self._receive, name="host-receive", daemon=True)
        self._greeted = False
        source = resources.files("kaiun.image.host").joinpath("bootstrap.py").read_bytes()
        with suppress(OSError):  # told by `_greet`
            self._process.stdin.write(f"{len(source)}\n".encode() + source)
            self._channel.send({"code": code().digest})

    @property
    def over(self) -> bool:
        """Whether it was lost or closed."""
        return self._lost or self._ended.is_set()

    def call(self, do: str, request: Json, answer: Answer, stop: Stop) -> Any:
        """Return the result of a job; `answer` is given every message that is not the end of it.

        Raises the job's own error, ImageError when the connection is lost, Interrupted.
        """
        try:
            with stop.calling(self.hang_up):
                self._greet()
                return self._exchange({"do": do} | request, answer)
        except LostError:
            stop.check()
            raise self._loss() from None

    def send(self, message: Json, data: bytes = b"") -> None:
        """Send a message. Raises LostError when the connection is lost."""
        try:
            self._channel.send(message, data)
        except (OSError, ValueError):
            raise LostError from None

    def close(self) -> None:
        """End the connection; the worker ends with it."""
        self.hang_up()
        if self._greeted:
            self._receiver.join()
        else:
            self._channel.end()
        self._stderr.close()

    def hang_up(self) -> None:
        """Let the worker read the end, and wait until it has ended its builds."""
        self._ended.set()
        try:
            self._channel.close()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_S if self._greeted else _CONNECTING_S)
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()

    def _greet(self) -> None:
        """Hear, once, whether the host has our code; send it where it has not."""
        with self._greeting:
            if self._greeted:
                return
            if self._heard()["code"] == "want":
                self.send({}, code().archive())
            self._greeted = True
        self._receiver.start()
        threading.Thread(target=self._ping, name="host-ping", daemon=True).start()

    def _exchange(self, request: Json, answer: Answer) -> Any:
        number, inbox = self._open()
        try:
            self.send({"job": number} | request)
            while True:
                message = inbox.get()
                if "result" in message:
                    return message["result"]
                self._raise(message)
                answer(message, self)
        finally:
            del self._inboxes[number]

    def _heard(self) -> Json:
        assert self._process.stdout  # noqa: S101
        noise: list[str] = []
        for raw in self._process.stdout:
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            if line.startswith(MARK):
                return self._understood(line.removeprefix(MARK))
            noise.append(line)
            if len(noise) > _NOISE_LINES:
                break
        if self._ended.is_set():
            raise LostError
        self._process.kill()
        self._process.wait()
        raise ssh.failure(self.host, [*noise, *self._said()])

    def _understood(self, text: str) -> Json:
        if text == "unprepared":
            raise ImageError(
                "the build host is not prepared for this version of kaiun",
                where=str(self.host),
                hint="kaiun build --setup",
            )
        greeting: Json = json.loads(text)
        return greeting

    def _open(self) -> tuple[int, queue.SimpleQueue[Json]]:
        inbox: queue.SimpleQueue[Json] = queue.SimpleQueue()
        with self._lock:
            self._count += 1
            self._inboxes[self._count] = inbox
            if self._lost:
                inbox.put({"lost": True})
            return self._count, inbox

    def _receive(self) -> None:
        """Hand out what arrives; at the end tell everybody who waits."""
        with suppress(OSError, ValueError):
            while received := self._channel.receive():
                message, data = received
                if inbox := self._inboxes.get(message.get("job", 0)):
                    inbox.put(message | {"data": data} if data else message)
        self._channel.end()
        with self._lock:
            self._lost = True
            for inbox in list(self._inboxes.values()):
                inbox.put({"lost": True})

    def _ping(self) -> None:
        while not self._ended.wait(PING_S):
            with suppress(OSError, ValueError):
                self._channel.send({"ping": True})

    def _raise(self, message: Json) -> None:
        """Raise what a message says went wrong, if it does."""
        if "problem" in message:
            raise to_problem(message["problem"])
        if "bug" in message:
            raise RuntimeError(f"on the build host {self.host}:\n{message['bug']}")
        if "lost" in message:
            raise LostError

    def _loss(self) -> ImageError:
        return ImageError(
            "the connection to the build host was lost: its builds end, nothing is published",
            where=str(self.host),
            hint="run it again: what was built so far is in the host's cache",
            detail=self._said()[-5:],
        )

    def _said(self) -> list[str]:
        """Return what ssh, and the worker's own stderr, said."""
        if self._stderr.closed:
            return []
        self._stderr.seek(0)
        return self._stderr.read().decode("utf-8", "replace").splitlines()
