"""Whatever is done to a value or a file: refused, with an error that names no value."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaiun.entry.vault import FORMATS, VaultError, open_vault
from kaiun.entry.vault.cipher import AEAD, PLAIN
from kaiun.entry.vault.document import Document
from kaiun.secrets import Vault, make

KEYS = {
    "KAIUN_SECRETS_KEY": "5" * 64,
    "YAML_VAULT_PASSPHRASE": "passphrase",
    "RAILS_MASTER_KEY": "5" * 32,
}
SECRET = "hunter2-hunter2"
PLAINTEXT = f"a: {SECRET}\nb:\n  - 'x'\n  - {SECRET}\n".encode()
CASES = [("kaiun", ""), ("rails", ""), *(("yaml_vault", name) for name in [*AEAD, *PLAIN])]


@cache
def vault(form: str, cipher: str) -> Vault:
    """Return a vault that derives its keys once: PBKDF2 takes 30 ms."""
    return make(form, KEYS, {"cipher": cipher} if cipher else {})


@cache
def sealed(form: str, cipher: str) -> bytes:
    return vault(form, cipher).encrypt(PLAINTEXT)


def _values(form: str, data: bytes) -> list[tuple[int, int]]:
    if form == "rails":
        return [(0, len(data))]
    return [(scalar.start, scalar.end) for scalar in Document(data.decode()).scalars]


@pytest.mark.parametrize(("form", "cipher"), [case for case in CASES if case[1] not in PLAIN])
def test_any_flipped_bit_of_a_value_is_refused(form: str, cipher: str) -> None:
    data = sealed(form, cipher)
    for start, end in _values(form, data):
        for place in range(start, end):
            for bit in range(8):
                bent = bytearray(data)
                bent[place] ^= 1 << bit
                _refused(bytes(bent), form, cipher)


@pytest.mark.parametrize("cipher", [name for name in PLAIN if "256" in name])
def test_flipped_bits_of_a_signed_value_are_refused(cipher: str) -> None:
    data = sealed("yaml_vault", cipher)
    for start, end in _values("yaml_vault", data):
        for place in range(start, end):
            bent = bytearray(data)
            bent[place] ^= 1 << place % 8
            _refused(bytes(bent), "yaml_vault", cipher)


def _refused(data: bytes, form: str, cipher: str) -> None:
    with pytest.raises(VaultError) as caught:
        opened = vault(form, cipher).decrypt(data)
        pytest.fail(f"opened {data!r}: {opened!r}")
    assert SECRET not in str(caught.value)


def test_values_cannot_be_swapped_or_moved() -> None:
    key = {"KAIUN_SECRETS_KEY": "5" * 64}
    text = make("kaiun", key, {}).encrypt(b"a: 1\nb: 2\nc: {a: 3}\n").decode()
    one, two, three = [scalar.value for scalar in Document(text).scalars]
    for bent in (
        f"a: {two}\nb: {one}\nc: {{a: {three}}}\n",
        f"a: {one}\nb: {one}\n",
        f"a: {three}\n",
        f"c:\n  a: {three}\n",
        f"z: 0\n---\na: {one}\n",
        f"a: '{one}'\n",
    ):
        with pytest.raises(VaultError, match=r"does not open|moved|damaged"):
            open_vault(bent.encode(), "kaiun", key, {})


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(FORMATS), st.binary(max_size=400))
def test_binary_files_get_an_error_or_open_as_they_are(form: str, data: bytes) -> None:
    try:
        opened = vault(form, "").decrypt(data)
    except VaultError as error:
        assert "\n" not in str(error)
    else:
        assert opened == data
    one = vault(form, "")
    for call in (one.encrypt, one.check, one.plain):
        with suppress(VaultError):
            call(data)


@pytest.mark.parametrize(("form", "cipher"), CASES[:4])
def test_truncated_files_are_refused(form: str, cipher: str) -> None:
    data = sealed(form, cipher)
    for length in range(len(data.rstrip()) - 1, 0, -7):
        try:
            opened = vault(form, cipher).decrypt(data[:length])
        except VaultError:
            continue
        assert form != "rails"  # a file cut between two values is a shorter file
        for scalar in Document(opened.decode()).scalars:
            assert scalar.value in {SECRET, "x", ""} or "kaiun".startswith(scalar.value)


@pytest.mark.parametrize("data", [
    b"[" * 500_000, b"{" * 500_000, b"a: " * 200_000, b"- " * 300_000, b"'" + b"x" * 900_000,
    b"? " * 300_000, b"a: 1\n" * 3_000_000, b"\0" * 5_000_000, bytes(range(256)) * 4000,
    b"&a " * 100_000, b"!" * 500_000, b"a: |\n" + b" x\n" * 250_000, b"\xef\xbb\xbf", b"%" * 1000,
    b"a: \"\\UFFFFFFFF\"\n", b"a: kaiun.1." + b"A" * 900_000, b"--" * 400_000, b"", b"\x85" * 999,
    ("a: " + "é--" * 200_000).encode(), b"a: " + b"A" * 400_000 + b"--" + b"0" * 64,
], ids=lambda data: repr(data[:12]))  # fmt: skip
@pytest.mark.parametrize("form", FORMATS)
def test_monstrous_files_end_soon(form: str, data: bytes) -> None:
    began = time.monotonic()
    try:
        open_vault(data, form, KEYS, {})
    except VaultError as error:
        assert len(str(error)) < 300
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("key", ["", "5" * 63, "z" * 64, "鍵" * 64, "5" * 64 + "0"])
def test_bad_keys_are_refused_without_being_shown(key: str) -> None:
    for form, variable in (("kaiun", "KAIUN_SECRETS_KEY"), ("rails", "RAILS_MASTER_KEY")):
        with pytest.raises(VaultError) as caught:
            open_vault(b"a: 1\n", form, {variable: key}, {})
        assert not key or key not in str(caught.value)
