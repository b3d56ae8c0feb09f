"""Certificates of HTTPS listeners, from an authority of this engine's own.

Whoever wants to trust them trusts `ca.pem`; its key never leaves the engine's home. A certificate
is made for the names that a listener answers to, and made anew before it ends.
"""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kaiun import files

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_MODE: Final = 0o600
_CA_DAYS: Final = 3650
_DAYS: Final = 820  # what browsers take of an authority that a user has added
_RENEW_DAYS: Final = 30


def file_of(folder: Path, names: Sequence[str]) -> Path:
    """Return where the certificate for these names is, whether it is there yet or not."""
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
    return folder / f"{digest}.pem"


def ensure(folder: Path, names: Sequence[str]) -> Path:
    """Return the file with key, certificate and authority for these names, made when missing."""
    path = file_of(folder, names)
    if not (path.exists() and _lasts(path)):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        authority, authority_key = _authority(folder)
        key = _new_key()
        made = _sign(_leaf(names), key, authority, authority_key)
        files.replace(path, _key_pem(key) + _pem(made) + _pem(authority), mode=_MODE)
    return path


def _lasts(path: Path) -> bool:
    from cryptography import x509

    ends = x509.load_pem_x509_certificates(path.read_bytes())[0].not_valid_after_utc
    return ends - _now() > datetime.timedelta(days=_RENEW_DAYS)


def _authority(folder: Path) -> tuple[x509.Certificate, EllipticCurvePrivateKey]:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    certificate, key_file = folder / "ca.pem", folder / "ca.key"
    if certificate.exists() and key_file.exists() and _lasts(certificate):
        key = load_pem_private_key(key_file.read_bytes(), None)
        assert isinstance(key, EllipticCurvePrivateKey)  # noqa: S101  (see below)
        return x509.load_pem_x509_certificate(certificate.read_bytes()), key
    key = _new_key()
    made = _sign(_root(), key, None, key)
    files.replace(key_file, _key_pem(key), mode=_MODE)
    files.replace(certificate, _pem(made), mode=_MODE)
    return made, key


def _root() -> x509.CertificateBuilder:
    from cryptography import x509

    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True,
        content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        _builder("kaiun local ECS", _CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
    )


def _leaf(names: Sequence[str]) -> x509.CertificateBuilder:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    alternatives.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    return (
        _builder(names[0], _DAYS)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )


def _builder(name: str, days: int) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - datetime.timedelta(hours=1))
        .not_valid_after(_now() + datetime.timedelta(days=days))
    )


def _sign(
    builder: x509.CertificateBuilder,
    key: EllipticCurvePrivateKey,
    authority: x509.Certificate | None,
    authority_key: EllipticCurvePrivateKey,
) -> x509.Certificate:
    """Return the signed certificate; without an authority it is its own."""
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    issuer = authority.subject if authority is not None else _named("kaiun local ECS")
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    above = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    complete = (
        builder.issuer_name(issuer)
        .public_key(key.public_key())
        .add_extension(identifier, critical=False)
        .add_extension(above, critical=False)
    )
    return complete.sign(authority_key, SHA256())


def _named(name: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _key_pem(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization as s

    return key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())


def _pem(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
