"""AWS KMS, as far as vault files need it."""

from __future__ import annotations

from typing import cast

from kaiun.aws.caller import Caller


class Kms:
    """Both methods raise AwsError."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def encrypt(self, key_id: str, plain: bytes) -> bytes:
        """Return the ciphertext blob of at most 4 KiB (Encrypt)."""
        params = {"KeyId": key_id, "Plaintext": plain}
        answer = self._caller.call("kms", "encrypt", params, where=key_id)
        return cast("bytes", answer["CiphertextBlob"])

    def decrypt(self, sealed: bytes) -> bytes:
        """Return the plaintext; the blob says which key it was (Decrypt)."""
        answer = self._caller.call("kms", "decrypt", {"CiphertextBlob": sealed})
        return cast("bytes", answer["Plaintext"])
