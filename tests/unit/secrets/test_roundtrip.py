"""What kaiun encrypts, a second reader opens; what stood around it stays to the byte."""

from __future__ import annotations

import secrets
from functools import cache

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from unit.secrets import reader, trees

from kaiun.entry.vault import VaultError, open_vault, quick
from kaiun.entry.vault.cipher import AEAD, PLAIN
from kaiun.entry.vault.document import Document
from kaiun.entry.vault.simple import Settings, Simple
from kaiun.entry.vault.token import Keys
from kaiun.entry.vault.yamlvault import Options
from kaiun.secrets import Vault, make
from kaiun.secrets.kaiunformat import KaiunVault
from kaiun.secrets.yamlvaultformat import YamlVault

KEY = secrets.token_hex(32)
PATHS = st.sampled_from(["$", "$", "$.*", "$./^[a-m]/", "$.*.[0]", "$.*.*"])
CIPHERS = sorted([*AEAD, *PLAIN])
FUZZ = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))


@cache
def cryptor(cipher: str) -> Simple:
    return Simple("passphrase", "sign", Settings({"cipher": cipher}))


def encrypted(vault: Vault, text: str) -> str:
    """Return the file encrypted; passes over files that hold no value of these key paths."""
    try:
        return vault.encrypt(text.encode()).decode()
    except VaultError as error:
        assume(error.message != "no value has this key path")
        assume("for a tag" not in error.message)
        raise


@FUZZ
@given(trees.files(), PATHS)
def test_kaiun_format_gives_the_file_back_to_the_byte(text: str, path: str) -> None:
    vault = KaiunVault(Keys(KEY), Options({"key": path}).patterns)
    sealed = encrypted(vault, text)
    assert open_vault(sealed.encode(), "kaiun", {"KAIUN_SECRETS_KEY": KEY}, {}) == text.encode()
    assert vault.check(sealed.encode()) == []


@FUZZ
@given(trees.files())
def test_second_reader_opens_kaiuns_tokens(text: str) -> None:
    sealed = encrypted(KaiunVault(Keys(KEY)), text) if _has_values(text) else ""
    places = {(s.document, s.path): s.in_flow for s in Document(sealed).scalars}
    before = {(number, path): node for number, path, node in reader.leaves(text)}
    for number, path, node in reader.leaves(sealed):
        flow = places[number, path]
        _, raw = reader.open_token(node.value, bytes.fromhex(KEY), number, path, flow)
        assert "\n" in raw or raw in text
        assert (number, path) in before


def _has_values(text: str) -> bool:
    return bool(Document(text).scalars)


@FUZZ
@given(trees.files(), PATHS, st.sampled_from(CIPHERS), st.sampled_from(["", "ENC("]))
def test_yaml_vault_format_keeps_values_and_layout(
    text: str, path: str, cipher: str, prefix: str
) -> None:
    options = Options({"key": path, "prefix": prefix, "suffix": ")" if prefix else ""})
    vault = YamlVault(cryptor(cipher), options)
    sealed = encrypted(vault, text)
    assert vault.check(sealed.encode()) == []
    plain = vault.plain(sealed.encode()).decode()
    assert values_of(plain) == values_of(text)
    assert vault.update(sealed.encode(), plain.encode()).decode() == sealed
    for mark in ("# top", "# end", "# note", "# why"):
        assert plain.count(mark) == text.count(mark)


def values_of(text: str) -> list[tuple[object, ...]]:
    return [(s.document, s.path, s.tag, s.value) for s in Document(text).scalars]


@FUZZ
@given(trees.files(), st.sampled_from(["aes-256-cbc", "aes-256-ctr", *AEAD]))
def test_second_reader_opens_yaml_vault_values(text: str, cipher: str) -> None:
    assume(_has_values(text))
    sealed = encrypted(YamlVault(cryptor(cipher), Options({})), text)
    key = _derived("passphrase", AEAD.get(cipher) or PLAIN[cipher])
    before = {(s.document, s.path): s for s in Document(text).scalars}
    for number, path, node in reader.leaves(sealed):
        if cipher in AEAD:
            raw = reader.open_aead(cipher, key, node.value)
        else:
            raw = reader.open_signed(cipher, key, _derived("sign", 64), "SHA256", node.value)
        scalar = before[number, path]
        tagged = f"{scalar.tag} {scalar.value}" if scalar.tag and not scalar.style else scalar.value
        assert reader.unmarshal(raw) in {tagged, f"! {scalar.value}"}


@cache
def _derived(passphrase: str, length: int) -> bytes:
    return reader.derive(passphrase, "", "sha1", length)


@FUZZ
@given(trees.files())
def test_quick_scanner_sees_what_the_parser_sees(text: str) -> None:
    _same_places(text)
    vault = KaiunVault(Keys(KEY))
    if _has_values(text):
        _same_places(vault.encrypt(text.encode()).decode())


ODD_LINES = [
    "a:", " b:", "  c: x", "- ", "- d", "- e: f", "  - g", "- - h", "'q'", "  'q': r", "...",
    "---", "i: 'x", "j: |", "  text", "k: &m", "l: *m", "<<: *m", "? n", "# o", "p: {q: r}",
    "s: t: u", "v:w", "x: y #z", "a: b # c", " ", "\tu: v", "!t u", "a: 'b' c", "%YAML 1.1",
    "a: \u2028b: c",
]  # fmt: skip


@settings(FUZZ, max_examples=300)
@given(st.lists(st.sampled_from(ODD_LINES), max_size=7))
def test_quick_scanner_declines_rather_than_errs(lines: list[str]) -> None:
    _same_places("\n".join(lines))


def _same_places(text: str) -> None:
    found = quick.scan(text)
    if found is None:
        return
    try:
        document = Document(text)
    except VaultError as error:
        assert error.message.startswith("not valid YAML")
        return
    known = {(s.path, s.start, s.end, s.parent) for s in document.scalars if not s.document}
    assert set(found) <= known
    written = {(s.path, s.start) for s in document.scalars if s.value}
    assert written == {
        place[:2] for place in found if place[1:3] and text[place[1] : place[2]] not in {"''", '""'}
    }


@pytest.mark.parametrize("form", ["kaiun", "yaml_vault", "rails"])
def test_rotation_changes_every_ciphertext_and_no_value(form: str) -> None:
    text = b"# top\na: 1\nb: {c: 'x', d: \"y\"}\ne: |\n  long\n  text\n"
    old = make(form, keys("1"), {})
    fresh = make(form, keys("2"), {})
    sealed = old.encrypt(text)
    rotated = old.rotate(sealed, fresh)
    assert fresh.plain(rotated) == text
    with pytest.raises(VaultError):
        old.plain(rotated)
    assert len(rotated) == len(sealed)


def keys(digit: str) -> dict[str, str]:
    return {
        "KAIUN_SECRETS_KEY": digit * 64,
        "YAML_VAULT_PASSPHRASE": digit,
        "RAILS_MASTER_KEY": digit * 32,
    }
