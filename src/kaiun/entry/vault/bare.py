"""Decrypt by OpenSSL's own functions, as `cryptography` before version 42 binds them.

There the public modules import all of X.509 first: 45 ms of a container's start on Debian 12. The
calls are those that `cryptography` 38 makes itself (hazmat/backends/openssl/aead.py, ciphers.py).
Newer versions have no such binding, and no such cost: then `decrypt` says None.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TAG_LEN = 16


class Refused(Exception):
    """The tag does not fit, or OpenSSL says no."""


def decrypt(name: str, key: bytes, iv: bytes, sealed: bytes, extra: bytes | None) -> bytes | None:
    """Return the plaintext, padding included; None where there is no such binding.

    `extra` is None for ciphers that do not authenticate; else the tag ends `sealed`.
    """
    try:
        from cryptography.hazmat.bindings._openssl import (  # type: ignore[import-not-found]
            ffi,
            lib,
        )

        return _decrypted(ffi, lib, name, key, iv, sealed, extra)
    except (ImportError, AttributeError):
        return None


def _decrypted(  # noqa: PLR0917
    ffi: Any, lib: Any, name: str, key: bytes, iv: bytes, sealed: bytes, extra: bytes | None
) -> bytes | None:
    cipher = lib.EVP_get_cipherbyname(name.encode())
    if cipher == ffi.NULL:
        return None
    context = ffi.gc(lib.EVP_CIPHER_CTX_new(), lib.EVP_CIPHER_CTX_free)
    _must(lib.EVP_CipherInit_ex(context, cipher, ffi.NULL, ffi.NULL, ffi.NULL, 0))
    if extra is not None:
        sealed, tag = sealed[:-TAG_LEN], sealed[-TAG_LEN:]
        _must(lib.EVP_CIPHER_CTX_ctrl(context, lib.EVP_CTRL_AEAD_SET_IVLEN, len(iv), ffi.NULL))
        _must(lib.EVP_CIPHER_CTX_ctrl(context, lib.EVP_CTRL_AEAD_SET_TAG, len(tag), tag))
    _must(lib.EVP_CipherInit_ex(context, ffi.NULL, ffi.NULL, key, iv, 0))
    lib.EVP_CIPHER_CTX_set_padding(context, 0)
    count = ffi.new("int *")
    if extra:
        _must(lib.EVP_CipherUpdate(context, ffi.NULL, count, extra, len(extra)))
    text = ffi.new("unsigned char[]", len(sealed) + TAG_LEN)
    _must(lib.EVP_CipherUpdate(context, text, count, sealed, len(sealed)))
    done = count[0]
    _must(lib.EVP_CipherFinal_ex(context, text + done, count))
    return bytes(ffi.buffer(text, done + count[0])[:])


def _must(result: int) -> None:
    if result <= 0:
        raise Refused
