"""Open vault files: yaml_vault's, Rails' credentials, and kaiun's own format.

    open_vault(data, "kaiun", {"KAIUN_SECRETS_KEY": "…"}, {}) → the plaintext file

Needs `cryptography`, and PyYAML (its Python part) for yaml_vault's files and for files of kaiun's
format that are more than plain: both are imported when needed. Python 3.9 and later.
"""

from __future__ import annotations

from .problem import VaultError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .yamlvault import Cryptor

__all__ = ["FORMATS", "KEY_VARIABLES", "VaultError", "open_vault"]

PASSPHRASE, SIGN_PASSPHRASE = "YAML_VAULT_PASSPHRASE", "YAML_VAULT_SIGN_PASSPHRASE"
MASTER_KEY, KAIUN_KEY = "RAILS_MASTER_KEY", "KAIUN_SECRETS_KEY"
KEY_VARIABLES = {
    "yaml_vault": (PASSPHRASE, SIGN_PASSPHRASE),
    "rails": (MASTER_KEY,),
    "kaiun": (KAIUN_KEY,),
}
FORMATS = tuple(KEY_VARIABLES)
SIMPLE, KMS = "simple", "aws-kms"
OPTIONS = frozenset({
    "key", "cipher", "digest", "salt", "key_len", "signature_key_len", "use_sign_passphrase",
    "kdf_hash", "prefix", "suffix", "cryptor", "unwrap", "wrap",
})  # fmt: skip


def open_vault(
    data: bytes,
    format: str,  # noqa: A002
    keys: Mapping[str, str],
    options: Mapping[str, object],
) -> bytes:
    """Return the plaintext of a file. Raises VaultError.

    `keys` holds key material under the names in KEY_VARIABLES; the environment will do.
    `options` are those of yaml_vault, `-` written `_`: key (key paths, a text or a list), cipher,
    digest, salt, key_len, signature_key_len, use_sign_passphrase, kdf_hash, prefix, suffix,
    cryptor ("simple" or "aws-kms"). With "aws-kms", `unwrap` is a function that asks KMS to
    decrypt bytes. Of these the format kaiun knows `key`, and the format rails none.
    """
    options = normal(options)
    if format == "kaiun":
        return _kaiun(data, keys, options)
    if format == "rails":
        from . import credentials

        return credentials.open_file(data, required(keys, MASTER_KEY))[0]
    if format == "yaml_vault":
        from . import yamlvault

        return yamlvault.open_file(data, cryptor(keys, options), yamlvault.Options(options))
    raise VaultError(f"no format {format!r}; one of {', '.join(FORMATS)}")


def normal(options: Mapping[str, object]) -> dict[str, object]:
    """Return the options with their names as here. Raises VaultError for one that is not ours."""
    found = {name.replace("-", "_"): value for name, value in options.items()}
    if unknown := sorted(set(found) - OPTIONS):
        raise VaultError(f"no option {unknown[0]!r} of a vault file")
    return found


def cryptor(keys: Mapping[str, str], options: Mapping[str, object]) -> Cryptor:
    """Return what opens the values of a yaml_vault file. Raises VaultError."""
    from .simple import Kms, Settings, Simple

    name = options.get("cryptor") or SIMPLE
    if name in {KMS, "kms"}:
        unwrap = options.get("unwrap")
        if not callable(unwrap):
            raise VaultError("this file needs AWS KMS")
        return Kms(unwrap)
    if name != SIMPLE:
        raise VaultError(f"no cryptor {name!r}; one of {SIMPLE}, {KMS}")
    sign = keys.get(SIGN_PASSPHRASE) or None
    if str(options.get("use_sign_passphrase") or "false").lower() not in {"false", "no", "0"}:
        sign = required(keys, SIGN_PASSPHRASE)
    return Simple(required(keys, PASSPHRASE), sign, Settings(options))


def required(keys: Mapping[str, str], name: str) -> str:
    """Return the key material of a name. Raises VaultError where there is none."""
    value = keys.get(name, "")
    if not value:
        raise VaultError(f"no key: {name} is not set")
    return value


def _kaiun(data: bytes, keys: Mapping[str, str], options: Mapping[str, object]) -> bytes:
    from . import kaiunvault
    from .token import Keys

    asked = options.get("key")
    if not asked:
        return kaiunvault.open_file(data, Keys(required(keys, KAIUN_KEY)))
    from .yamlvault import Options

    return kaiunvault.open_file(data, Keys(required(keys, KAIUN_KEY)), Options(options).patterns)
