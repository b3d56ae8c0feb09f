"""The reading side of the formats, written a second time, from their descriptions alone.

Shares no code with kaiun: `cryptography`'s low-level interface, libyaml's composer.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator

import yaml
from cryptography.hazmat.primitives import poly1305
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

Path = tuple[str | int, ...]


def leaves(text: str) -> Iterator[tuple[int, Path, yaml.ScalarNode]]:
    """Yield document, path and node of each value; an alias is not followed twice."""
    for number, root in enumerate(yaml.compose_all(text, Loader=yaml.CSafeLoader)):
        seen: set[int] = set()
        yield from ((number, path, node) for path, node in _below(root, (), seen))


def _below(node: yaml.Node, path: Path, seen: set[int]) -> Iterator[tuple[Path, yaml.ScalarNode]]:
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        yield path, node
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _below(item, (*path, index), seen)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield from _below(value, (*path, key.value), seen)


def derive(passphrase: str, salt: str, kdf_hash: str, length: int) -> bytes:
    return hashlib.pbkdf2_hmac(kdf_hash, passphrase.encode(), salt.encode(), 65536, length)


def open_aead(cipher: str, key: bytes, text: str) -> bytes:
    sealed, nonce, tag = [base64.b64decode(part, validate=True) for part in text.split("--")]
    assert len(nonce) == 12 and len(tag) == 16
    if cipher == "chacha20-poly1305":
        return _chacha(key, nonce, sealed, tag)
    context = Cipher(algorithms.AES(key), modes.GCM(nonce, tag)).decryptor()
    return context.update(sealed) + context.finalize()


def open_signed(cipher: str, key: bytes, signing: bytes, digest: str, text: str) -> bytes:
    data, signature = text.split("--")
    assert hmac.new(signing, data.encode(), digest.lower()).hexdigest() == signature
    sealed, iv = base64.b64decode(data, validate=True).split(b"--")
    start = base64.b64decode(iv)
    if cipher.endswith("cbc"):
        context = Cipher(algorithms.AES(key), modes.CBC(start)).decryptor()
    else:
        context = Cipher(algorithms.AES(key), modes.CTR(start)).decryptor()
    plain = context.update(base64.b64decode(sealed)) + context.finalize()
    return plain[: -plain[-1]] if cipher.endswith("cbc") else plain


def unmarshal(payload: bytes) -> str:
    """Read `04 08 I " LENGTH BYTES 06 :06 E T`, or JSON."""
    if payload[:2] != b"\x04\x08":
        text = json.loads(payload)
        assert isinstance(text, str)
        return text
    assert payload[2:4] == b'I"' and payload[-5:] == b"\x06:\x06ET"
    body = payload[4:-5]
    if body[0] == 0:
        size, start = 0, 1
    elif body[0] > 5:
        size, start = body[0] - 5, 1
    else:
        size, start = int.from_bytes(body[1 : 1 + body[0]], "little"), 1 + body[0]
    assert len(body) - start == size
    return body[start:].decode()


def open_token(text: str, key: bytes, document: int, path: Path, flow: bool) -> tuple[int, str]:
    """Open a token of kaiun's format."""
    name, version, key_id, data = text.split(".")
    assert (name, version) == ("kaiun", "1")
    assert key_id == hashlib.sha256(b"kaiun key id\0" + key).hexdigest()[:8]
    raw = base64.urlsafe_b64decode(data + "=" * (-len(data) % 4))
    steps = [f"i{step}" if isinstance(step, int) else f"k{len(step)}:{step}" for step in path]
    bound = ".".join([f"kaiun.1.{key_id}.{document}.{'f' if flow else 'b'}", *steps])
    context = Cipher(algorithms.AES(key), modes.GCM(raw[:12], raw[-16:])).decryptor()
    context.authenticate_additional_data(bound.encode())
    column, _, value = (context.update(raw[12:-16]) + context.finalize()).decode().partition(":")
    return int(column), value


def _chacha(key: bytes, nonce: bytes, sealed: bytes, tag: bytes) -> bytes:
    """RFC 8439, section 2.8, without associated data."""

    def stream(counter: int, data: bytes) -> bytes:
        start = counter.to_bytes(4, "little") + nonce
        return Cipher(algorithms.ChaCha20(key, start), mode=None).encryptor().update(data)

    padding = bytes(-len(sealed) % 16)
    lengths = bytes(8) + len(sealed).to_bytes(8, "little")
    once = stream(0, bytes(32))
    assert poly1305.Poly1305.generate_tag(once, sealed + padding + lengths) == tag
    return stream(1, sealed)
