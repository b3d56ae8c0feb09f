"""Messages between a developer's kaiun and the worker on the build host.

A message is one line of JSON. Where it says `"bytes": n`, n raw bytes follow it.

developer → host   {job, do, …}   begins a job: ensure, find, pin, …
                   {job, …}       answers what the job asked for
                   {ping}         says that somebody is still there
host → developer   {job, event}   a BuildEvent
                   {job, need, …} facts | entries | parcel | credentials
                   {job} + data   a part of the result
                   {job, result} | {job, problem} | {job, bug}   ends the job
"""

from __future__ import annotations

import json
import threading
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from kaiun.image.messages import Json

LONGEST_LINE = 64 << 20  # bytes


class Channel:
    """Sends from any thread, receives in one."""

    def __init__(self, reader: IO[bytes], writer: IO[bytes]) -> None:
        self._reader = reader
        self._writer = writer
        self._lock = threading.Lock()

    def send(self, message: Json, data: bytes = b"") -> None:
        """Send one message. Raises OSError or ValueError when nobody can get it."""
        given = message | ({"bytes": len(data)} if data else {})
        line = json.dumps(given).encode() + b"\n"
        with self._lock:
            self._writer.write(line + data)
            self._writer.flush()

    def receive(self) -> tuple[Json, bytes] | None:
        """Return the next message, None at the end or in the middle of one."""
        line = self._reader.readline(LONGEST_LINE)
        if not line.endswith(b"\n"):
            return None
        message: Json = json.loads(line)
        size = message.get("bytes", 0)
        data = self._reader.read(size) if size else b""
        return (message, data) if len(data) == size else None

    def end(self) -> None:
        """Close the receiving side."""
        self._reader.close()

    def close(self, patience_s: float = 1.0) -> None:
        """Close the sending side, even where a sender hangs."""
        held = self._lock.acquire(timeout=patience_s)
        try:
            self._writer.close()
        except (OSError, ValueError):
            pass  # what was not sent, nobody waits for
        finally:
            if held:
                self._lock.release()
