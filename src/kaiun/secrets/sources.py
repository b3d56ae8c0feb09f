"""Where key material comes from: `env:NAME`, `file:PATH`, `prompt`, `ssm:`, `secret:`, `kms:`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kaiun.entry.vault import (
    KAIUN_KEY,
    MASTER_KEY,
    PASSPHRASE,
    SIGN_PASSPHRASE,
)
from kaiun.errors import SecretsError, UsageError

KINDS = ("env", "file", "prompt", "ssm", "secret", "secretsmanager", "kms")


class Cloud(Protocol):
    """What AWS is asked for."""

    def value(self, kind: str, name: str) -> str | None:
        """Return an SSM parameter (kind "ssm") or a secret ("secret"); None: there is none."""

    def unwrap(self, sealed: bytes) -> bytes:
        """Decrypt with KMS."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What key material can be read from. `ask` prompts without echo."""

    environment: Mapping[str, str]
    ask: Callable[[str], str] | None
    cloud: Callable[[], Cloud]

    def read(self, source: str) -> str:
        """Return the key material that a source such as `ssm:/shop/key` names.

        Raises SecretsError, which names the source and never the key.
        """
        kind, _, name = source.partition(":")
        if kind == "prompt" and self.ask is not None:
            return self._present(source, self.ask(name or "key"))
        if kind == "prompt":
            raise SecretsError("nobody can be asked for the key here", where=source)
        if kind not in KINDS or not name:
            raise UsageError(f"no key source {source!r}", hint=f"one of {', '.join(KINDS)}")
        return self._present(source, self._value(kind, name))

    def _value(self, kind: str, name: str) -> str | None:
        if kind == "env":
            return self.environment.get(name)
        if kind == "file":
            return _file(Path(name))
        if kind == "kms":
            return self._unwrapped(_file(Path(name)), name)
        return self.cloud().value("ssm" if kind == "ssm" else "secret", name)

    def _unwrapped(self, text: str, name: str) -> str:
        try:
            sealed = base64.b64decode(text, validate=True)
            return self.cloud().unwrap(sealed).decode("utf-8").strip()
        except (binascii.Error, UnicodeDecodeError):
            raise SecretsError("is not a key that KMS encrypted, as Base64", where=name) from None

    @staticmethod
    def _present(source: str, value: str | None) -> str:
        if not value:
            raise SecretsError("holds no key", where=source)
        return value

    def defaults(self, kind: str, file: Path, *, sign: bool = False) -> dict[str, str]:
        """Return the key material of a format from its usual places: variable, file, prompt."""
        if kind == "rails":
            return self._first(MASTER_KEY, _rails_key_files(file), "master key")
        if kind == "kaiun":
            return self._first(KAIUN_KEY, [], "key")
        found = self._first(PASSPHRASE, [], "passphrase")
        if sign or self.environment.get(SIGN_PASSPHRASE):
            found |= self._first(SIGN_PASSPHRASE, [], "sign passphrase")
        return found

    def _first(self, variable: str, files: list[Path], what: str) -> dict[str, str]:
        value = self.environment.get(variable, "").strip("\r\n")
        if not value:
            value = next((_file(path) for path in files if path.is_file()), "")
        if not value and self.ask is not None:
            value = self.ask(what)
        if not value:
            places = " or ".join([variable, *map(str, files)])
            raise SecretsError(f"no {what}", hint=f"set {places}, or use --key-from")
        return {variable: value}


def _rails_key_files(file: Path) -> list[Path]:
    """Return where Rails keeps the key: beside `credentials/ENV.yml.enc`, else master.key."""
    own = file.with_name(file.name.removesuffix(".yml.enc") + ".key")
    folder = file.parent.parent if file.parent.name == "credentials" else file.parent
    return [own, folder / "master.key"]


def _file(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as stream:
            return stream.read(1 << 16).strip()
    except OSError as error:
        raise SecretsError(f"cannot be read: {error.strerror}", where=str(path)) from None
    except UnicodeDecodeError:
        raise SecretsError("is not text", where=str(path)) from None
