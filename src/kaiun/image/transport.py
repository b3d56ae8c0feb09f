"""HTTP to registries: time limits, bounded retries, proxies, the certificates docker trusts."""

from __future__ import annotations

import ssl
import time
import urllib.request
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import urllib3

from kaiun.errors import ImageError
from kaiun.image.reference import is_loopback

RETRIED = frozenset({429, 500, 502, 503, 504})
_AT_ONCE = 4  # connections to a host that are kept
_CONNECT_S = 5.0
_READ_S = 30.0
_PAUSES_S = (0.2, 0.6, 1.8)  # before the second, third and fourth attempt
_LONGEST_PAUSE_S = 10.0  # a Retry-After beyond it is cut
# Followed without the Authorization header where they lead to another host.
_ONLY_REDIRECTS = urllib3.Retry(
    connect=0, read=0, status=0, other=0, redirect=3, respect_retry_after_header=False
)
_CERTIFICATES = Path("/etc/docker/certs.d")


class Sender(Protocol):
    """What sends one request: Transport, or another in its place."""

    def __call__(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse: ...


class Transport:
    """Sends requests; waits and tries again when the registry is busy or out of order."""

    def __init__(
        self,
        *,
        pause: Callable[[float], object] = time.sleep,
        pauses_s: tuple[float, ...] = _PAUSES_S,
        connect_s: float = _CONNECT_S,
    ) -> None:
        self._pause = pause
        self._pauses_s = pauses_s
        self._timeout = urllib3.Timeout(connect=connect_s, read=_READ_S)

    def __call__(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        """Return the last answer, whatever its status; with `stream` its body is yet to be read.

        Raises ImageError when no answer came at all.
        """
        host = urlsplit(url).netloc
        for wait_s in self._pauses_s:
            try:
                answer = self._once(method, url, headers, body, stream=stream)
            except urllib3.exceptions.HTTPError as problem:
                if is_loopback(host) or isinstance(_reason(problem), urllib3.exceptions.SSLError):
                    raise _unreachable(host, problem) from problem
                self._pause(wait_s)
                continue
            if answer.status not in RETRIED:
                return answer
            self._pause(_retry_after(answer, wait_s))
        try:
            return self._once(method, url, headers, body, stream=stream)
        except urllib3.exceptions.HTTPError as problem:
            raise _unreachable(host, problem) from problem

    def _once(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        stream: bool,
    ) -> urllib3.BaseHTTPResponse:
        return _pool(urlsplit(url).netloc).request(
            method,
            url,
            headers=dict(headers),
            body=body,
            retries=_ONLY_REDIRECTS,
            timeout=self._timeout,
            preload_content=not stream,
        )


def _reason(problem: Exception) -> Exception:
    if isinstance(problem, urllib3.exceptions.MaxRetryError):
        return problem.reason or problem
    return problem


def _retry_after(answer: urllib3.BaseHTTPResponse, otherwise_s: float) -> float:
    value = answer.headers.get("Retry-After", "")
    return min(float(value), _LONGEST_PAUSE_S) if value.isdigit() else otherwise_s


@cache
def _pool(host: str) -> urllib3.PoolManager:
    bare = host.rpartition(":")[0] or host
    proxy = urllib.request.getproxies().get("https")
    if is_loopback(host):
        return urllib3.PoolManager(num_pools=1, maxsize=_AT_ONCE)
    if proxy and not urllib.request.proxy_bypass(bare):
        return urllib3.ProxyManager(proxy, maxsize=_AT_ONCE, ssl_context=_trust(host))
    return urllib3.PoolManager(num_pools=1, maxsize=_AT_ONCE, ssl_context=_trust(host))


def _trust(host: str) -> ssl.SSLContext:
    """Trust what the system trusts and what docker was told to trust for this host.

    Source: docs.docker.com/engine/security/certificates.
    """
    context = ssl.create_default_context()
    for certificate in sorted((_CERTIFICATES / host).glob("*.crt")):
        context.load_verify_locations(certificate)
    for certificate in sorted((_CERTIFICATES / host).glob("*.cert")):
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return context


def _unreachable(host: str, problem: Exception) -> ImageError:
    reason = _reason(problem)
    if is_loopback(host):
        hint = "the local ECS runs a registry: kaiun local up"
    elif isinstance(reason, urllib3.exceptions.SSLError):
        hint = f"kaiun speaks https to it; a private CA belongs in {_CERTIFICATES / host}/ca.crt"
    else:
        hint = "is the name right, and the network up?"
    said = str(reason).rpartition(": ")[2] or type(reason).__name__
    return ImageError("the registry does not answer", where=host, hint=hint, detail=[said])
