"""The one connection of a run to its build host: made when it is needed, shared by all."""

from __future__ import annotations

import threading

from kaiun.image.host import ssh
from kaiun.image.host.connection import Connection


class Line:
    """Connects to ssh://[user@]host[:port]; again where the connection was lost since."""

    def __init__(self, url: str) -> None:
        self.host = ssh.parse(url)
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    def connection(self) -> Connection:
        """Return the connection. Raises ImageError where there is no ssh."""
        with self._lock:
            if self._connection is not None and self._connection.over:
                self._connection.close()
                self._connection = None
            if self._connection is None:
                self._connection = Connection(self.host)
            return self._connection

    def close(self) -> None:
        """End the connection, if there is one; the worker on the host ends with it."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
