"""Files that yaml_vault and Rails made open to the byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kaiun.entry.vault import VaultError, open_vault
from kaiun.entry.vault.payload import dump, load
from kaiun.secrets import make

VECTORS = Path(__file__).parent / "vectors"
SIMPLE: list[dict[str, Any]] = json.loads((VECTORS / "yaml_vault/index.json").read_text("utf-8"))
RAILS: list[dict[str, Any]] = json.loads(
    (VECTORS / "rails_credentials/index.json").read_text("utf-8")
)
names = [vector["name"] for vector in SIMPLE]


def keys_of(vector: dict[str, Any]) -> dict[str, str]:
    found = {"YAML_VAULT_PASSPHRASE": vector["passphrase"]}
    if vector["sign_passphrase"]:
        found["YAML_VAULT_SIGN_PASSPHRASE"] = vector["sign_passphrase"]
    return found


def options_of(vector: dict[str, Any]) -> dict[str, object]:
    shared = ("key", "salt", "prefix", "suffix", "cipher", "digest", "key_len", "kdf_hash")
    return {name: vector[name] for name in (*shared, "signature_key_len")}


def encrypted(vector: dict[str, Any]) -> bytes:
    return (VECTORS / "yaml_vault" / str(vector["encrypted"])).read_bytes()


def decrypted(vector: dict[str, Any]) -> bytes:
    return (VECTORS / "yaml_vault" / str(vector["decrypted"])).read_bytes()


@pytest.mark.parametrize("vector", SIMPLE, ids=names)
def test_yaml_vault_file_opens_to_the_byte(vector: dict[str, Any]) -> None:
    opened = open_vault(encrypted(vector), "yaml_vault", keys_of(vector), options_of(vector))
    assert opened == decrypted(vector)


@pytest.mark.parametrize("vector", SIMPLE, ids=names)
def test_variant_is_found_without_being_named(vector: dict[str, Any]) -> None:
    options = options_of(vector)
    for name in ("digest", "kdf_hash"):
        del options[name]
    if vector["cipher"] in {"aes-256-cbc", "aes-256-gcm", "chacha20-poly1305"}:
        del options["cipher"], options["key_len"]
    assert open_vault(encrypted(vector), "yaml_vault", keys_of(vector), options) == decrypted(
        vector
    )


@pytest.mark.parametrize("vector", SIMPLE, ids=names)
def test_wrong_passphrase_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(VaultError, match=r"^\$.*does not open") as caught:
        open_vault(
            encrypted(vector), "yaml_vault", {"YAML_VAULT_PASSPHRASE": "no"}, options_of(vector)
        )
    assert vector["passphrase"] not in str(caught.value)


@pytest.mark.parametrize("vector", SIMPLE, ids=names)
def test_check_and_an_edit_of_nothing_leave_it_alone(vector: dict[str, Any]) -> None:
    vault = make("yaml_vault", keys_of(vector), options_of(vector))
    data = encrypted(vector)
    assert vault.check(data) == []
    if vector["name"] != "42-bang-strings":  # yaml_vault itself cannot bring these back
        assert vault.update(data, vault.plain(data)) == data


@pytest.mark.parametrize("vector", RAILS, ids=[vector["name"] for vector in RAILS])
def test_rails_credentials_open_to_the_byte(vector: dict[str, Any]) -> None:
    folder = VECTORS / "rails_credentials"
    data = (folder / vector["encrypted"]).read_bytes()
    keys = {"RAILS_MASTER_KEY": vector["key_hex"]}
    plain = (folder / vector["plain"]).read_bytes()
    assert open_vault(data, "rails", keys, {}) == plain
    vault = make("rails", keys, {})
    assert vault.update(data, plain) == data
    assert vault.decrypt(vault.update(data, plain + b"# more\n")) == plain + b"# more\n"


@pytest.mark.parametrize("size", [0, 1, 122, 123, 255, 256, 65535, 65536, 70_000])
def test_marshal_takes_any_length(size: int) -> None:
    for frame in (b"", b"\x06:\x06ET", b"\x06:\x06EF"):
        assert load(dump(b"x" * size, frame)) == (b"x" * size, frame)


def test_kms_values_go_through_the_functions_given() -> None:
    options = {
        "cryptor": "aws-kms",
        "unwrap": lambda sealed: bytes(reversed(sealed)),
        "wrap": lambda plain: bytes(reversed(plain)),
    }
    vault = make("yaml_vault", {}, options)
    text = "a: 1\nb: 'お守り'\nc: |\n  x\n  y\n".encode()
    sealed = vault.encrypt(text)
    assert b"x" not in sealed.split(b"c: ")[1].split(b"\n")[0]
    assert vault.plain(sealed) == text
    with pytest.raises(VaultError, match="needs AWS KMS"):
        open_vault(sealed, "yaml_vault", {}, {"cryptor": "aws-kms"})
