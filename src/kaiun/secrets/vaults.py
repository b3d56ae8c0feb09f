"""Make the vault of a format, and guess a file's format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kaiun.entry.vault import FORMATS, KAIUN_KEY, MASTER_KEY, VaultError, cryptor, normal, required
from kaiun.entry.vault.simple import Kms, Simple
from kaiun.entry.vault.token import PREFIX, Keys
from kaiun.entry.vault.yamlvault import Options
from kaiun.secrets.kaiunformat import KaiunVault
from kaiun.secrets.railsformat import RailsVault
from kaiun.secrets.vault import Vault
from kaiun.secrets.yamlvaultformat import YamlVault

__all__ = ["FORMATS", "guess", "make"]

KMS_WRAP = "wrap"


def make(
    format: str,  # noqa: A002
    keys: Mapping[str, str],
    options: Mapping[str, object],
) -> Vault:
    """Return the vault of a format. Raises VaultError.

    `keys` and `options` are those of kaiun.entry.vault.open_vault; the option `wrap` besides,
    with the cryptor aws-kms: a function that asks KMS to encrypt bytes.
    """
    options = normal(options)
    if format == "rails":
        return RailsVault(required(keys, MASTER_KEY))
    if format == "kaiun":
        patterns = Options(options).patterns if options.get("key") else ()
        return KaiunVault(Keys(required(keys, KAIUN_KEY)), patterns)
    if format != "yaml_vault":
        raise VaultError(f"no format {format!r}; one of {', '.join(FORMATS)}")
    found = cryptor(keys, options)
    wrap = options.get(KMS_WRAP)
    if isinstance(found, Kms) and callable(wrap):
        found = Kms(found.unwrap, wrap)
    return YamlVault(found, Options(options))


def guess(file: Path, data: bytes) -> str:
    """Return the format that a file most likely has, also before it is encrypted."""
    if file.name.endswith(".yml.enc"):
        return "rails"
    if PREFIX.encode() in data:
        return "kaiun"
    if b"--" in data and b"=--" in data:
        return "yaml_vault"
    return ""


def variant(vault: Vault) -> str:
    """Return which variant of yaml_vault's format the last value opened had, "" for others."""
    if isinstance(vault, YamlVault) and isinstance(vault.cryptor, Simple):
        found = vault.cryptor
        return f"{found.cipher}, PBKDF2 with {found.kdf_hash}"
    return ""
