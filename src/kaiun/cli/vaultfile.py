"""From the options of a `kaiun secrets` verb to a file, its bytes and its vault."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kaiun.errors import ConfigError, SecretsError, UsageError

if TYPE_CHECKING:
    from kaiun.aws.client import Aws
    from kaiun.cli.common import Setup
    from kaiun.secrets import Vault
    from kaiun.secrets.listed import Listed
    from kaiun.secrets.sources import Sources

LEFT_TO_US = {"format", "key_from", "sign_key_from", "erb", "aws_kms_key_id"}


def _spelled(name: str) -> tuple[str, ...]:
    """Return an option as kaiun writes it and as yaml_vault's users may."""
    return (f"--{name}", f"--{name.replace('-', '_')}") if "-" in name else (f"--{name}",)


_OPTIONS = [
    click.option("--format", type=click.Choice(["yaml_vault", "rails", "kaiun"]),
                 help="By default what kaiun.yml says, else what the file looks like."),
    click.option("-k", "--key", multiple=True, metavar="PATHS",
                 help="Key paths, such as `$.production.*.password,$.list.[1]`; $ by default."),
    click.option("--key-from", metavar="SOURCE",
                 help="env:NAME, file:PATH, prompt, ssm:/NAME, secret:NAME, kms:FILE; "
                 "by default the format's variable, else a prompt."),
    click.option("--sign-key-from", metavar="SOURCE", help="The same for the sign passphrase."),
    click.option("--erb", is_flag=True, help="Run the file through Ruby's ERB first."),
    click.option("--cipher", help="yaml_vault: aes-256-cbc, aes-256-gcm, chacha20-poly1305, …"),
    click.option("--digest", help="yaml_vault: of the signature; SHA256."),
    click.option("-s", "--salt", help="yaml_vault: of PBKDF2; none."),
    click.option(*_spelled("key-len"), type=click.IntRange(1, 1024),
                 help="yaml_vault: bytes of the key; the cipher's."),
    click.option(*_spelled("signature-key-len"), type=click.IntRange(1, 1024),
                 help="yaml_vault: bytes of the signing key; 64."),
    click.option(*_spelled("use-sign-passphrase"), is_flag=True,
                 help="yaml_vault: sign with a passphrase of its own."),
    click.option(*_spelled("kdf-hash"), type=click.Choice(["SHA1", "SHA256"]),
                 help="yaml_vault: of PBKDF2; SHA1, SHA256 since Rails 7.0."),
    click.option("--prefix", help="yaml_vault: stands before each encrypted value."),
    click.option("--suffix", help="yaml_vault: stands after each encrypted value."),
    click.option("--cryptor", type=click.Choice(["simple", "aws-kms"]), help="yaml_vault: simple."),
    click.option(*_spelled("aws-kms-key-id"), help="The key of --cryptor aws-kms."),
]  # fmt: skip


def vault_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the options that say what a vault file is; they arrive as keywords."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class VaultFile:
    """A file of the command line, and everything said about it there or in kaiun.yml."""

    setup: Setup
    file: Path
    given: Mapping[str, Any]
    listed: Listed | None = None

    @property
    def format(self) -> str:
        """Return the format. Raises UsageError where nothing says which."""
        from kaiun.secrets import guess

        if self.given.get("format"):
            return str(self.given["format"])
        if self.listed:
            return self.listed.format
        found = guess(self.file, self.raw() if self.file.is_file() else b"")
        if not found:
            raise UsageError(
                f"{self.file}: nothing says what format this is to have",
                hint="--format kaiun, or yaml_vault or rails",
            )
        return found

    def raw(self) -> bytes:
        from kaiun.secrets.files import read

        return read(self.file)

    def data(self) -> bytes:
        """Return the bytes of the file, rendered where --erb asks for it."""
        if not self.given.get("erb"):
            return self.raw()
        from kaiun.secrets.erb import render

        return render(self.raw(), os.environ, where=str(self.file))

    def vault(self, key_from: str | None = None, sign_key_from: str | None = None) -> Vault:
        """Return the vault with its key material. Raises SecretsError."""
        from kaiun.secrets import make
        from kaiun.secrets.vault import told

        options = self._options()
        keys: dict[str, str] = {}
        if "kms" not in str(options.get("cryptor")) or self.format != "yaml_vault":
            keys = self._keys(key_from, sign_key_from)
        with told(str(self.file)):
            return make(self.format, keys, options)

    def _options(self) -> dict[str, object]:
        mine = {
            name: value
            for name, value in self.given.items()
            if name not in LEFT_TO_US and value not in (None, (), False)
        }
        if "key" in mine:
            mine["key"] = [path for text in self.given["key"] for path in _paths(text)]
        options: dict[str, object] = {**(self.listed.options if self.listed else {}), **mine}
        if "kms" in str(options.get("cryptor")):
            kms = _aws(self.setup).kms
            options["unwrap"] = kms.decrypt
            if key_id := self.given.get("aws_kms_key_id"):
                options["wrap"] = partial(kms.encrypt, key_id)
        return options

    def _keys(self, key_from: str | None, sign_key_from: str | None) -> dict[str, str]:
        from kaiun.secrets import KEY_VARIABLES

        sources = _sources(self.setup)
        key_from = key_from or self.given.get("key_from") or self._usable(sources, "key")
        sign_from = (
            sign_key_from or self.given.get("sign_key_from") or self._usable(sources, "sign_key")
        )
        names = KEY_VARIABLES[self.format]
        found: dict[str, str] = {}
        if key_from:
            found[names[0]] = sources.read(key_from)
        if sign_from and len(names) > 1:
            found[names[1]] = sources.read(sign_from)
        if names[0] in found:
            if len(names) > 1 and names[1] not in found and names[1] in os.environ:
                found[names[1]] = os.environ[names[1]]
            return found
        sign = bool(self.given.get("use_sign_passphrase"))
        return sources.defaults(self.format, self.file, sign=sign and not sign_from) | found

    def _usable(self, sources: Sources, name: str) -> str | None:
        """Return where kaiun.yml says the key is, if that can be reached from here."""
        source = getattr(self.listed, name, None)
        if not source or source.startswith("file:"):
            return None
        if source.startswith("env:") and not sources.environment.get(source[4:]):
            return None
        return str(source)


def find(setup: Setup, file: Path, given: Mapping[str, Any]) -> VaultFile:
    """Return a file with what kaiun.yml says about it, if there is one that does."""
    target = file.resolve()
    known = [item for item in _listed(setup, must=False) if item.file.resolve() == target]
    return VaultFile(setup, file, given, known[0] if known else None)


def find_all(setup: Setup, given: Mapping[str, Any]) -> list[VaultFile]:
    """Return the vault files that kaiun.yml lists. Raises ConfigError, UsageError for none."""
    known = _listed(setup, must=True)
    if not known:
        raise UsageError("kaiun.yml lists no vault file under start.secrets", hint="name a FILE")
    return [VaultFile(setup, item.file, given, item) for item in known]


def _listed(setup: Setup, *, must: bool) -> Sequence[Listed]:
    from kaiun.config import load
    from kaiun.secrets.listed import listed

    try:
        config = load(setup.file, setup.environment)
    except ConfigError:
        if must or setup.file is not None:
            raise
        return []
    return listed(config.root, config.start.secrets)


def _sources(setup: Setup) -> Sources:
    from kaiun.secrets.sources import Sources

    ask = _ask if setup.console.interactive else None
    return Sources(os.environ, ask, lambda: _Cloud(_aws(setup)))


def _ask(what: str) -> str:
    return str(click.prompt(f"{what}", hide_input=True, err=True, default="", show_default=False))


def _aws(setup: Setup) -> Aws:
    """Return the AWS of the environment; without kaiun.yml that of the AWS settings here."""
    from kaiun.aws.session import connect
    from kaiun.config import load

    try:
        config = load(setup.file, setup.environment)
    except ConfigError:
        if setup.file is not None:
            raise
        return connect(_Anywhere())
    return connect(config)


class _Anywhere:
    is_local = False
    region = None


@dataclass(frozen=True, slots=True)
class _Cloud:
    aws: Aws

    def value(self, kind: str, name: str) -> str | None:
        return self.aws.resolver(kind, [name]).get(name)

    def unwrap(self, sealed: bytes) -> bytes:
        return self.aws.kms.decrypt(sealed)


def _paths(text: str) -> list[str]:
    import re

    return re.split(r",\s?", text)


def edited_from_here(file: VaultFile, before: bytes) -> None:
    """Raise SecretsError when the file is not what it was."""
    now = file.raw() if file.file.exists() else b""
    if now != before:
        raise SecretsError("was changed by somebody else meanwhile", where=str(file.file))
