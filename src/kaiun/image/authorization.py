"""Show a registry who we are: by name and password, or by a token for each repository and action.

Source: distribution's docs/spec/auth, for the bearer token flow.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from kaiun.errors import ImageError
from kaiun.image.answers import decode, expect
from kaiun.image.reference import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

    import urllib3

    from kaiun.image.credentials import Credentials, CredentialSource
    from kaiun.image.reference import Reference
    from kaiun.image.transport import Sender

_CHALLENGE = re.compile(r'([a-zA-Z]+)="([^"]*)"')


class Authorizations:
    """What registries have accepted, kept for the life of the object; safe to share by threads."""

    def __init__(self, credentials: CredentialSource, send: Sender) -> None:
        self._credentials = credentials
        self._send = send
        self._known: dict[tuple[str, str, str], str] = {}
        self._lock = threading.Lock()

    def known(self, reference: Reference, action: str) -> str | None:
        """Return the header that was accepted before, None where there is none yet."""
        with self._lock:
            return self._known.get((reference.registry, reference.path, action))

    def renew(
        self, refusal: urllib3.BaseHTTPResponse, reference: Reference, action: str
    ) -> str | None:
        """Answer a challenge: return an Authorization header, None when we are nobody there."""
        found = self._answer(refusal, reference, action)
        if found is not None:
            with self._lock:
                self._known[reference.registry, reference.path, action] = found
        return found

    def _answer(
        self, refusal: urllib3.BaseHTTPResponse, reference: Reference, action: str
    ) -> str | None:
        credentials = self._credentials(reference.registry)
        scheme, _, rest = refusal.headers.get("WWW-Authenticate", "").partition(" ")
        if scheme.lower() == "bearer":
            fields = dict(_CHALLENGE.findall(rest))
            scope = f"repository:{reference.path}:{action}"
            return self._token(reference, fields, scope, credentials)
        return credentials.basic() if credentials and credentials.username else None

    def _token(
        self,
        reference: Reference,
        fields: Mapping[str, str],
        scope: str,
        credentials: Credentials | None,
    ) -> str:
        realm = fields.get("realm", "")
        _require_safe(realm, reference)
        query = {"service": fields.get("service", ""), "scope": scope}
        if credentials and credentials.identity_token:
            answer = self._refresh(realm, query, credentials.identity_token)
        else:
            headers = {"Authorization": credentials.basic()} if credentials else {}
            answer = self._send("GET", f"{realm}?{urlencode(query)}", headers)
        expect(answer, reference, 200)
        granted = decode(answer.data, reference)
        return f"Bearer {granted.get('token') or granted.get('access_token', '')}"

    def _refresh(
        self, realm: str, query: Mapping[str, str], token: str
    ) -> urllib3.BaseHTTPResponse:
        form = {
            **query,
            "grant_type": "refresh_token",
            "refresh_token": token,
            "client_id": "kaiun",
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._send("POST", realm, headers, urlencode(form).encode())


def _require_safe(realm: str, reference: Reference) -> None:
    parts = urlsplit(realm)
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.netloc)):
        return
    raise ImageError(
        f"the registry wants its password sent to {realm or 'nowhere'}, which is not encrypted",
        where=reference.registry,
        hint="the registry's token realm must be https",
    )
