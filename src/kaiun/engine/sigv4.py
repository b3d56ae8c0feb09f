"""Verify AWS Signature Version 4, in headers and in presigned URLs.

Source: AWS General Reference, "Signature Version 4 signing process"; botocore.auth for what clients
really send (S3 signs its path as it stands, every other service encodes it twice).
"""

from __future__ import annotations

import calendar
import hashlib
import hmac
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl, quote, unquote

ALGORITHM = "AWS4-HMAC-SHA256"
SKEW_S = 300
MAX_EXPIRES_S = 7 * 24 * 3600
_AS_IT_STANDS = ("UNSIGNED-PAYLOAD", "STREAMING-")


class SignatureError(Exception):
    """The request is not signed as it must be. `kind` is one of missing, malformed, unknown-key,
    mismatch, expired, expired-token, body."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Request:
    """What of an HTTP request is signed. Header names are in lower case; paths are as sent."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says about its own signature."""

    access_key: str
    date: str
    region: str
    service: str
    timestamp: str
    signed_headers: str
    signature: str
    expires_s: int | None = None  # presigned URLs only

    @property
    def scope(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def read_claim(request: Request) -> Claim:
    """Return the claim of the Authorization header, else of the query. Raises SignatureError."""
    if header := request.headers.get("authorization"):
        return _claim_of_header(header, request.headers.get("x-amz-date", ""))
    if "X-Amz-Signature=" in request.query:
        return _claim_of_query(dict(parse_qsl(request.query, keep_blank_values=True)))
    raise SignatureError("missing", "Request is missing Authentication Token")


def token_of(request: Request) -> str:
    """Return the session token that a request brings, "" where it brings none."""
    if "x-amz-security-token" in request.headers:
        return request.headers["x-amz-security-token"]
    if "X-Amz-Security-Token=" not in request.query:
        return ""
    return dict(parse_qsl(request.query)).get("X-Amz-Security-Token", "")


def _claim_of_header(header: str, timestamp: str) -> Claim:
    algorithm, _, rest = header.partition(" ")
    if algorithm != ALGORITHM:
        raise SignatureError("malformed", f"Unsupported signature algorithm '{algorithm}'.")
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    try:
        key, date, region, service = _credential(parts["Credential"])
        return Claim(
            key, date, region, service, timestamp, parts["SignedHeaders"], parts["Signature"]
        )
    except KeyError as missing:
        raise SignatureError(
            "malformed", f"Authorization header requires {missing} parameter."
        ) from None


def _claim_of_query(query: Mapping[str, str]) -> Claim:
    try:
        key, date, region, service = _credential(query["X-Amz-Credential"])
        expires = int(query["X-Amz-Expires"])
        return Claim(
            key,
            date,
            region,
            service,
            query["X-Amz-Date"],
            query["X-Amz-SignedHeaders"],
            query["X-Amz-Signature"],
            min(expires, MAX_EXPIRES_S),
        )
    except (KeyError, ValueError) as problem:
        raise SignatureError("malformed", f"Incomplete presigned URL: {problem}") from None


def _credential(text: str) -> tuple[str, str, str, str]:
    parts = text.split("/")
    if len(parts) != 5 or parts[4] != "aws4_request":
        raise SignatureError("malformed", "Credential must be KEY/DATE/REGION/SERVICE/aws4_request")
    return parts[0], parts[1], parts[2], parts[3]


def verify(
    request: Request,
    claim: Claim,
    *,
    secret_key: str,
    body: bytes | None,
    now: float,
) -> None:
    """Return when the signature is right; raises SignatureError.

    `body` None: the payload is streamed on, so the hash that the client declared is what counts.
    """
    _check_clock(claim, now)
    canonical = canonical_request(request, claim, _payload_hash(request, claim, body))
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"{ALGORITHM}\n{claim.timestamp}\n{claim.scope}\n{digest}"
    key = signing_key(secret_key, claim.date, claim.region, claim.service)
    expected = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, claim.signature):
        raise SignatureError(
            "mismatch",
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method. "
            "Consult the service documentation for details.",
        )


def _check_clock(claim: Claim, now: float) -> None:
    signed_at = _epoch(claim.timestamp)
    if not claim.timestamp.startswith(claim.date):
        raise SignatureError("malformed", "Date in Credential scope does not match X-Amz-Date.")
    if claim.expires_s is not None:
        if now > signed_at + claim.expires_s or signed_at > now + SKEW_S:
            raise SignatureError("expired", "Request has expired")
    elif abs(now - signed_at) > SKEW_S:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        raise SignatureError(
            "expired",
            f"Signature expired: {claim.timestamp} is not within {SKEW_S // 60} min. of {stamp}",
        )


@lru_cache(maxsize=256)
def _epoch(timestamp: str) -> int:
    try:
        return calendar.timegm(time.strptime(timestamp, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise SignatureError("malformed", "X-Amz-Date must be YYYYMMDDTHHMMSSZ") from None


def _payload_hash(request: Request, claim: Claim, body: bytes | None) -> str:
    declared = request.headers.get("x-amz-content-sha256")
    if claim.expires_s is not None and claim.service == "s3":
        return declared or "UNSIGNED-PAYLOAD"
    if body is None:
        return declared or "UNSIGNED-PAYLOAD"
    if declared and declared.startswith(_AS_IT_STANDS):
        return declared
    real = hashlib.sha256(body).hexdigest()
    if declared and declared != real:
        raise SignatureError("body", "The payload does not match X-Amz-Content-SHA256.")
    return real


def canonical_request(request: Request, claim: Claim, payload_hash: str) -> str:
    """Return the text whose hash is signed."""
    path = request.path or "/"
    if claim.service != "s3" and path != "/":
        path = quote(path, safe="/~")
    names = claim.signed_headers.split(";")
    if "host" not in names:
        raise SignatureError("malformed", "'Host' must be a 'SignedHeader' in the request.")
    headers = "".join(f"{name}:{_squeeze(request.headers.get(name, ''))}\n" for name in names)
    query = _canonical_query(request.query) if request.query else ""
    return f"{request.method}\n{path}\n{query}\n{headers}\n{claim.signed_headers}\n{payload_hash}"


def _squeeze(value: str) -> str:
    return " ".join(value.split())


def _canonical_query(query: str) -> str:
    pairs = (part.partition("=")[::2] for part in query.split("&") if part)
    encoded = ((_encode(key), _encode(value)) for key, value in pairs)
    return "&".join(f"{k}={v}" for k, v in sorted(encoded) if k != "X-Amz-Signature")


def _encode(text: str) -> str:
    return quote(unquote(text), safe="-_.~")


@lru_cache(maxsize=256)
def signing_key(secret_key: str, date: str, region: str, service: str) -> bytes:
    """Return the key of one day, region and service; remembered, for it costs four HMACs."""
    key = f"AWS4{secret_key}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def join_headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by lower-case name; repeated ones are joined with commas, as is signed."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers
