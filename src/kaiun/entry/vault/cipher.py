"""Ciphers by OpenSSL's names. `cryptography` is imported when one is first used."""

from __future__ import annotations

from .problem import VaultError

AEAD = {"aes-128-gcm": 16, "aes-192-gcm": 24, "aes-256-gcm": 32, "chacha20-poly1305": 32}
MODES = ("cbc", "ctr", "cfb", "cfb8", "ofb")
PLAIN = {f"aes-{bits}-{mode}": bits // 8 for bits in (128, 192, 256) for mode in MODES}
TAG_LEN, NONCE_LEN, BLOCK = 16, 12, 16
REFUSED = "does not open: another key or passphrase, or the value was changed"


def key_length(name: str) -> int:
    """Return the bytes that a cipher's key has. Raises VaultError for one we do not know."""
    length = AEAD.get(name) or PLAIN.get(name)
    if length is None:
        known = ", ".join([*AEAD, *PLAIN])
        raise VaultError(f"no cipher {name!r}; one of {known}")
    return length


def open_aead(name: str, key: bytes, nonce: bytes, sealed: bytes, extra: bytes = b"") -> bytes:
    """Return the plaintext of ciphertext and tag. Raises VaultError."""
    if len(nonce) != NONCE_LEN or len(sealed) < TAG_LEN:
        raise VaultError(REFUSED)
    text = _bare(name, key, nonce, sealed, extra)
    if text is not None:
        return text
    from cryptography.exceptions import InvalidTag

    try:
        return _aead(name, key).decrypt(nonce, sealed, extra)
    except InvalidTag:
        raise VaultError(REFUSED) from None


def seal_aead(name: str, key: bytes, nonce: bytes, text: bytes, extra: bytes = b"") -> bytes:
    """Return ciphertext and tag."""
    return _aead(name, key).encrypt(nonce, text, extra)


def open_plain(name: str, key: bytes, iv: bytes, sealed: bytes) -> bytes:
    """Return the plaintext of a cipher that does not authenticate. Raises VaultError."""
    blocks = name.endswith("-cbc")
    if len(iv) != BLOCK or (blocks and (not sealed or len(sealed) % BLOCK)):
        raise VaultError(REFUSED)
    bare = _bare(name, key, iv, sealed, None)
    text = _plain_text(name, key, iv, sealed) if bare is None else bare
    if not blocks:
        return text
    pad = text[-1]
    if not 1 <= pad <= BLOCK or text[-pad:] != bytes([pad]) * pad:
        raise VaultError(REFUSED)
    return text[:-pad]


def _plain_text(name: str, key: bytes, iv: bytes, sealed: bytes) -> bytes:
    context = _plain(name, key, iv).decryptor()
    return context.update(sealed) + context.finalize()


def _bare(name: str, key: bytes, iv: bytes, sealed: bytes, extra: bytes | None) -> bytes | None:
    """Return the plaintext by the short way, None where there is none. Raises VaultError."""
    from . import bare

    _sized(name, key)
    try:
        return bare.decrypt(name, key, iv, sealed, extra)
    except bare.Refused:
        raise VaultError(REFUSED) from None


def seal_plain(name: str, key: bytes, iv: bytes, text: bytes) -> bytes:
    if name.endswith("-cbc"):
        pad = BLOCK - len(text) % BLOCK
        text += bytes([pad]) * pad
    context = _plain(name, key, iv).encryptor()
    return context.update(text) + context.finalize()


def _aead(name: str, key: bytes) -> AESGCM | ChaCha20Poly1305:
    try:
        from cryptography.hazmat.primitives.ciphers import aead
    except ImportError as error:
        raise VaultError(f"Python's `cryptography` is missing: {error.name}") from None
    _sized(name, key)
    return aead.ChaCha20Poly1305(key) if name == "chacha20-poly1305" else aead.AESGCM(key)


def _plain(name: str, key: bytes, iv: bytes) -> Cipher[CBC]:
    try:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    except ImportError as error:
        raise VaultError(f"Python's `cryptography` is missing: {error.name}") from None
    _sized(name, key)
    mode = name.rpartition("-")[2].upper()
    if mode not in {"CBC", "CTR"}:
        modes = _rare_modes() or modes
    return Cipher(algorithms.AES(key), getattr(modes, mode)(iv))


def _rare_modes() -> ModuleType | None:
    """Return where newer versions of `cryptography` have the modes that nobody should choose."""
    import importlib

    try:
        return importlib.import_module("cryptography.hazmat.decrepit.ciphers.modes")
    except ImportError:
        return None


def _sized(name: str, key: bytes) -> None:
    if len(key) != key_length(name):
        raise VaultError(f"{name} takes a key of {key_length(name)} bytes, got {len(key)}")


TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
    from cryptography.hazmat.primitives.ciphers.modes import CBC
