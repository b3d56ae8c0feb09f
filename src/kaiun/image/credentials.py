"""Who we are to a registry: docker's own configuration, or a function (Amazon ECR).

Source: docker/cli, cli/config/configfile: `credHelpers` by host, then `credsStore`, then `auths`.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kaiun.errors import ImageError
from kaiun.image.reference import HUB

_HUB_KEY = "https://index.docker.io/v1/"
_HELPER_TIMEOUT_S = 20
_ECR_HOST = re.compile(
    r"\d{12}\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|on\.aws|on\.amazonwebservices\.com\.cn)"
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name with a password, or an identity token of an earlier `docker login`."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    def basic(self) -> str:
        """Return the value of an Authorization header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


CredentialSource = Callable[[str], Credentials | None]  # given the registry's host[:port]


def _no_host(_host: str) -> bool:
    return False


def ecr(
    authorization_token: Callable[[str], str], is_local: Callable[[str], bool] = _no_host
) -> CredentialSource:
    """Return a source for Amazon ECR's private registries; any other host gets None.

    `authorization_token` is given a region and returns GetAuthorizationToken's base64 text;
    `is_local` says of a host whether it is the ECR of the local ECS (whose region is "").
    """

    def source(host: str) -> Credentials | None:
        matched = _ECR_HOST.fullmatch(host)
        if not matched and not is_local(host):
            return None
        return decode(authorization_token(matched[1] if matched else ""))

    return source


def first_of(*sources: CredentialSource) -> CredentialSource:
    """Return a source that asks each of `sources` in turn."""

    def source(host: str) -> Credentials | None:
        return next((found for ask in sources if (found := ask(host))), None)

    return source


anonymous = first_of()


def config_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where docker keeps its configuration."""
    return Path(environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def read_config(directory: Path) -> dict[str, object]:
    """Return docker's config.json, {} when there is none.

    Raises ImageError when it is not JSON.
    """
    path = directory / "config.json"
    try:
        loaded = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as problem:
        raise ImageError(
            f"cannot read docker's configuration: {problem}", where=str(path)
        ) from None
    return loaded if isinstance(loaded, dict) else {}


def with_login(
    config: Mapping[str, object], registry: str, credentials: Credentials
) -> dict[str, object]:
    """Return docker's configuration with one more login, whatever keeps the others.

    An empty name of a helper keeps docker from asking `credsStore` about this registry.
    """
    auth = {"auth": credentials.basic().removeprefix("Basic ")}
    return {
        **config,
        "auths": {**_mapping(config.get("auths")), registry: auth},
        "credHelpers": {**_mapping(config.get("credHelpers")), registry: ""},
    }


def docker_config(directory: Path | None = None) -> CredentialSource:
    """Return a source that reads docker's configuration as the docker client does."""

    def source(host: str) -> Credentials | None:
        config = read_config(directory or config_directory())
        key = _HUB_KEY if host == HUB else host
        helper = _mapping(config.get("credHelpers")).get(key) or config.get("credsStore")
        if isinstance(helper, str) and helper:
            return _from_helper(helper, key)
        return _from_auths(_mapping(config.get("auths")), key)

    return source


def decode(text: str) -> Credentials | None:
    """Return the credentials in base64 `user:password`, None when it is not that."""
    try:
        user, colon, password = base64.b64decode(text).decode().rstrip("\0").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return Credentials(user, password) if colon else None


def _from_auths(auths: Mapping[str, object], key: str) -> Credentials | None:
    for name, value in auths.items():
        if name == key or _bare(name) == _bare(key):
            entry = _mapping(value)
            found = decode(str(entry.get("auth") or "")) or Credentials(
                str(entry.get("username") or ""), str(entry.get("password") or "")
            )
            token = str(entry.get("identitytoken") or "")
            known = Credentials(found.username, found.password, token)
            return known if known.username or token else None
    return None


def _from_helper(helper: str, key: str) -> Credentials | None:
    """Ask docker-credential-HELPER. Source: docker/docker-credential-helpers, README."""
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [program, "get"],
            input=key,
            capture_output=True,
            text=True,
            timeout=_HELPER_TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            return None  # "credentials not found": then the registry decides about a stranger
        answer = _mapping(json.loads(done.stdout))
    except (OSError, ValueError, subprocess.TimeoutExpired) as problem:
        raise ImageError(
            f"docker's configuration asks {program} for credentials, which failed",
            where=str(config_directory() / "config.json"),
            hint=f"install {program}, or remove it from credsStore/credHelpers",
            detail=[type(problem).__name__],
        ) from None
    user, secret = str(answer.get("Username") or ""), str(answer.get("Secret") or "")
    return Credentials("", "", secret) if user == "<token>" else Credentials(user, secret)


def _bare(name: str) -> str:
    return name.removeprefix("https://").removeprefix("http://").partition("/")[0]


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
