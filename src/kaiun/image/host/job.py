"""One job on the host: what it tells the developer's side, and what it asks of it."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from kaiun.errors import ImageError
from kaiun.image import folders
from kaiun.image.credentials import Credentials, docker_config
from kaiun.image.messages import from_event, made

if TYPE_CHECKING:
    from pathlib import Path

    from kaiun.image.events import BuildEvent
    from kaiun.image.host.channel import Channel
    from kaiun.image.messages import Json
    from kaiun.image.stop import Stop

WAITING_CHUNKS = 64  # of an archive, received and not yet unpacked
_LOOK_S = 0.5


class Job:
    """The thread that works on it talks; the worker's main thread hands it what arrives."""

    def __init__(
        self,
        number: int,
        channel: Channel,
        stop: Stop,
        home: Path,
        *,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self.number = number
        self.stop = stop
        self.home = home
        self._channel = channel
        self._inbox: queue.Queue[tuple[Json, bytes]] = queue.Queue(WAITING_CHUNKS)
        self._closed = False
        self._alive = alive
        self._credentials: dict[str, Credentials | None] = {}

    def hand(self, message: Json, data: bytes) -> None:
        """Give the job a message; wait while it has too many, unless it is over."""
        while not self._closed:
            self._alive()
            with suppress(queue.Full):
                self._inbox.put((message, data), timeout=_LOOK_S)
                return

    def close(self) -> None:
        """Let go of who hands over or waits."""
        self._closed = True

    def tell(self, event: BuildEvent) -> None:
        """Tell progress. That nobody hears it is no reason to end: the stop is."""
        with suppress(OSError, ValueError):
            self._channel.send({"job": self.number, "event": from_event(event)})

    def give(self, data: bytes) -> None:
        """Send a part of the result. Raises Interrupted when nobody is there."""
        self.stop.check()
        with suppress(OSError, ValueError):
            self._channel.send({"job": self.number}, data)

    def ask(self, need: str, **more: object) -> Json:
        """Return what the developer's side answers. Raises ImageError when it cannot."""
        self.want(need, **more)
        return self.next()[0]

    def want(self, need: str, **more: object) -> None:
        """Ask without waiting for the answer. Raises Interrupted when nobody is there."""
        self.stop.check()
        with suppress(OSError, ValueError):
            self._channel.send({"job": self.number, "need": need} | more)

    def next(self) -> tuple[Json, bytes]:
        """Return the next message. Raises Interrupted when there will be none."""
        while True:
            self.stop.check()
            with suppress(queue.Empty):
                message, data = self._inbox.get(timeout=_LOOK_S)
                if "refused" in message:
                    raise ImageError(message["refused"])
                return message, data

    def chunks(self) -> Iterator[bytes]:
        """Yield data until the message that ends it."""
        while True:
            message, data = self.next()
            if message.get("end"):
                return
            yield data

    def credentials(self, registry: str) -> Credentials | None:
        """Return who logs in, as the developer's side knows it; asked once for each registry.

        Amazon ECR's logins come first, for those on a host grow old within hours; then the host's
        own `docker login`; then the developer's.
        """
        if registry not in self._credentials:
            known = docker_config()(registry) is not None
            given = self.ask("credentials", registry=registry, known=known).get("credentials")
            if given and folders.in_memory() is None:
                raise ImageError(
                    "the build host has no file system in memory for a registry's password",
                    hint="mount a tmpfs at /dev/shm there, or `docker login` on the host",
                )
            self._credentials[registry] = made(Credentials, given) if given else None
        return self._credentials[registry]
