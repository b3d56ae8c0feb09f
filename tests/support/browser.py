"""A browser that keeps loading a page and every asset that it names, and never forgets one."""

from __future__ import annotations

import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urljoin

NAMED = re.compile(r'<(?:link|script|img)\b[^>]*?\b(?:href|src)="([^"]+)"')
ASSET = re.compile(r"/assets/[^/?]+\.(?:css|js|svg|png|woff2?)$")
TIMEOUT_S = 10.0
JOIN_S = 30.0


@dataclass(slots=True)
class Seen:
    """What became of it. `assets` has every address that any page named, with how often it was
    loaded; `failures` each page or asset that did not come, and why."""

    pages: int = 0
    assets: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def assets_of(url: str, page: str) -> list[str]:
    """Return the addresses of the assets that a page names."""
    found = (urljoin(url, name) for name in NAMED.findall(page))
    return sorted({address for address in found if ASSET.search(address)})


def load(url: str) -> str:
    """Return what is at an address. Raises HTTPError unless the answer is 200."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            body: bytes = answer.read()
    except urllib.error.HTTPError as refused:
        refused.close()  # it holds the connection
        raise
    return body.decode()


@contextmanager
def browsing(url: str) -> Iterator[Seen]:
    """Load a page, again and again, until the `with` ends; yields what became of it.

    Each round loads the page, what it names, and what earlier pages named: an open tab does, too.
    """
    browser = _Browser(url)
    thread = threading.Thread(target=browser.run, daemon=True)
    thread.start()
    try:
        yield browser.seen
    finally:
        browser.stop.set()
        thread.join(JOIN_S)


class _Browser:
    def __init__(self, url: str) -> None:
        self.url = url
        self.seen = Seen()
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.is_set():
            began = time.monotonic()
            for address in assets_of(self.url, self._load(self.url)):
                self.seen.assets.setdefault(address, 0)
            self.seen.pages += 1
            for address in self.seen.assets:
                if self._load(address):
                    self.seen.assets[address] += 1
            self.stop.wait(max(0.0, 0.1 - (time.monotonic() - began)))

    def _load(self, address: str) -> str:
        try:
            return load(address)
        except OSError as problem:
            self.seen.failures.append(f"{address}: {problem}")
            return ""
