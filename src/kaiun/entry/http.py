"""HTTP for the fetch step: time limits, retries, errors in one line."""

from __future__ import annotations

import time

from kaiun.entry.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

RETRIED = (429, 500, 502, 503, 504)
PAUSES_S = (0.2, 0.6, 1.8, 5.0)
BODY_MAX = 64 << 20
REDIRECTS_MAX = 3


class Answer:
    """Status, headers by lower-case name, body."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Line:
    """How patient requests are: seconds for one, and how often one is repeated."""

    def __init__(self, timeout_s: float, retries: int) -> None:
        self.timeout_s = timeout_s
        self.retries = retries

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Return the last answer, whatever its status. Raises Failure when there was none."""
        for number in range(self.retries + 1):
            last = number == self.retries
            try:
                answer = once(method, url, headers, body, self.timeout_s)
            except OSError as problem:
                if last:
                    why = problem.strerror or str(problem) or type(problem).__name__
                    raise Failure(f"{host_of(url)} does not answer: {why}") from None
            else:
                if last or answer.status not in RETRIED:
                    return answer
            time.sleep(PAUSES_S[min(number, len(PAUSES_S) - 1)])
        raise AssertionError  # the last attempt has returned or raised

    def get(self, url: str, headers: Mapping[str, str]) -> Answer:
        """Return a page, redirects followed; credentials do not go to another host."""
        for _ in range(REDIRECTS_MAX + 1):
            answer = self.send("GET", url, headers)
            if answer.status not in (301, 302, 303, 307, 308) or "location" not in answer.headers:
                return answer
            from urllib.parse import urljoin

            before, url = url, urljoin(url, answer.headers["location"])
            if host_of(before) != host_of(url):
                headers = {}
            if before.startswith("https:") and not url.startswith("https:"):
                raise Failure(f"{host_of(before)} redirects to plain http")
        raise Failure(f"{host_of(url)} redirects too often")


def once(
    method: str, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
) -> Answer:
    """Send one request. Raises OSError."""
    from http.client import HTTPConnection, HTTPException, HTTPSConnection
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(method, target, body=body or None, headers=dict(headers))
        answer = connection.getresponse()
        data = answer.read(BODY_MAX + 1)
    except HTTPException as problem:
        raise OSError(0, type(problem).__name__) from problem
    finally:
        connection.close()
    if len(data) > BODY_MAX:
        raise Failure(f"what {host_of(url)} has is larger than {BODY_MAX >> 20} MiB")
    return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, data)


def host_of(url: str) -> str:
    """Return host and port of a URL, without user and password."""
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2]
