"""Values of yaml_vault's "simple" cryptor: a passphrase through PBKDF2, a MessageEncryptor."""

from __future__ import annotations

import hashlib

from . import message, payload
from .cipher import AEAD, REFUSED, key_length
from .problem import VaultError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROUNDS = 65_536
SIGNATURE_KEY_LEN = 64
KEY_LEN_MAX = 1024
DEFAULT_CIPHER = "aes-256-cbc"
DEFAULT_DIGEST = "SHA256"
KDF_HASHES = ("SHA1", "SHA256")  # Rails until 6.1, Rails 7.0 and later


class Settings:
    """yaml_vault's options; None where the file decides."""

    def __init__(self, options: Mapping[str, object]) -> None:
        self.cipher = _text(options, "cipher")
        self.digest = _text(options, "digest")
        self.kdf_hash = _text(options, "kdf_hash")
        self.salt = _text(options, "salt") or ""
        self.key_len = _number(options, "key_len")
        self.signature_key_len = _number(options, "signature_key_len") or SIGNATURE_KEY_LEN
        if self.cipher is not None:
            self.cipher = self.cipher.lower()
            key_length(self.cipher)


class Simple:
    """Opens and seals values. What one value was made with is tried first on the next.

    `kdf_hash`, `cipher`, `digest` and `frame` are those of the value opened last: a value sealed
    afterwards is made alike.
    """

    def __init__(self, passphrase: str, sign_passphrase: str | None, settings: Settings) -> None:
        self._passphrase = passphrase.encode("utf-8", "surrogateescape")
        self._sign = sign_passphrase.encode("utf-8", "surrogateescape") if sign_passphrase else None
        self._settings = settings
        self._keys: dict[tuple[str, int, bool], bytes] = {}
        self.kdf_hash = settings.kdf_hash or KDF_HASHES[0]
        self.cipher = settings.cipher or DEFAULT_CIPHER
        self.digest = settings.digest or DEFAULT_DIGEST
        self.frame: bytes | None = None

    def open(self, text: str) -> str:
        """Return the value. Raises VaultError."""
        found = message.parts(text)
        for cipher in self._ciphers(is_aead=len(found) == 3):
            for kdf_hash in self._kdf_hashes():
                raw = self._attempt(cipher, kdf_hash, found)
                if raw is not None:
                    return self._note(cipher, kdf_hash, raw)
        raise VaultError(REFUSED)

    def seal(self, text: str) -> str:
        """Return the message of a value."""
        raw = text.encode("utf-8", "surrogatepass")
        wrapped = payload.dump(raw) if self.frame is None else payload.dump(raw, self.frame)
        key = self._key(self.kdf_hash, self.cipher)
        if self.cipher in AEAD:
            return message.seal(self.cipher, key, wrapped)
        signing = self._signing(self.kdf_hash, key)
        return message.seal_and_sign(self.cipher, key, signing, self.digest, wrapped)

    def _note(self, cipher: str, kdf_hash: str, raw: bytes) -> str:
        value, self.frame = payload.load(raw)
        self.cipher, self.kdf_hash = cipher, kdf_hash
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise VaultError("the decrypted text is not UTF-8") from None

    def _attempt(self, cipher: str, kdf_hash: str, found: list[str]) -> bytes | None:
        key = self._key(kdf_hash, cipher)
        try:
            if len(found) == 3:
                return message.open_sealed(cipher, key, found)
            digest = self._settings.digest or message.DIGEST_OF_LENGTH[len(found[1])]
            raw = message.open_signed(cipher, key, self._signing(kdf_hash, key), digest, found)
        except VaultError as error:
            if error.message == REFUSED:
                return None
            raise
        self.digest = digest
        return raw

    def _ciphers(self, *, is_aead: bool) -> list[str]:
        asked = self._settings.cipher
        if asked is not None:
            if (asked in AEAD) != is_aead:
                raise VaultError(f"was not made by {asked}")
            return [asked]
        likely = ("aes-256-gcm", "chacha20-poly1305") if is_aead else (DEFAULT_CIPHER,)
        length = self._settings.key_len
        fitting = [name for name in likely if length in {None, key_length(name)}]
        mode = "gcm" if is_aead else "cbc"
        fitting = fitting or [f"aes-{(length or 32) * 8}-{mode}"]
        return sorted(fitting, key=lambda name: name != self.cipher)

    def _kdf_hashes(self) -> list[str]:
        asked = self._settings.kdf_hash
        if asked is not None:
            return [asked]
        return sorted(KDF_HASHES, key=lambda name: name != self.kdf_hash)

    def _key(self, kdf_hash: str, cipher: str) -> bytes:
        length = self._settings.key_len or key_length(cipher)
        return self._derive(kdf_hash, length, self._passphrase, signing=False)

    def _signing(self, kdf_hash: str, key: bytes) -> bytes:
        if self._sign is None:
            return key
        length = self._settings.signature_key_len
        return self._derive(kdf_hash, length, self._sign, signing=True)

    def _derive(self, kdf_hash: str, length: int, secret: bytes, *, signing: bool) -> bytes:
        """PBKDF2, about 30 ms a key, hence kept."""
        name = (kdf_hash, length, signing)
        if name not in self._keys:
            algorithm = kdf_hash.lower().replace("-", "")
            if algorithm not in hashlib.algorithms_available:
                raise VaultError(f"no hash {kdf_hash!r} for the key; SHA1 or SHA256")
            salt = self._settings.salt.encode("utf-8", "surrogateescape")
            self._keys[name] = hashlib.pbkdf2_hmac(algorithm, secret, salt, ROUNDS, length)
        return self._keys[name]


class Kms:
    """Values of yaml_vault's "aws-kms" cryptor. `unwrap` and `wrap` call KMS."""

    def __init__(
        self,
        unwrap: Callable[[bytes], bytes],
        wrap: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self.unwrap = unwrap
        self._wrap = wrap

    def open(self, text: str) -> str:
        """Return the value: KMS gives a YAML document that is one text. Raises VaultError."""
        from .document import Document

        try:
            sealed = message.decode(text)
        except VaultError:
            raise VaultError(message.NOT_ENCRYPTED) from None
        try:
            scalars = Document(self.unwrap(sealed).decode("utf-8")).scalars
        except UnicodeDecodeError:
            raise VaultError("the decrypted text is not UTF-8") from None
        if len(scalars) != 1 or scalars[0].path:
            raise VaultError("the decrypted payload is not one text")
        return scalars[0].value

    def seal(self, text: str) -> str:
        import json

        if self._wrap is None:
            raise VaultError("no KMS key to encrypt with")
        quoted = json.dumps(text)
        return message.encode(self._wrap(f"--- {quoted}\n".encode()))


def _text(options: Mapping[str, object], name: str) -> str | None:
    value = options.get(name)
    if value is None or isinstance(value, str):
        return value
    raise VaultError(f"{name}: expected a text, got {value!r}")


def _number(options: Mapping[str, object], name: str) -> int | None:
    value = options.get(name)
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if value is None or (isinstance(value, int) and 0 < value <= KEY_LEN_MAX):
        return value
    raise VaultError(f"{name}: expected a number of bytes, got {value!r}")
