"""Signing keys and certificates of webhook senders, for tests only."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
PEM = serialization.Encoding.PEM
DER = serialization.Encoding.DER
PUBLIC = serialization.PublicFormat.SubjectPublicKeyInfo


@functools.cache
def ed25519_key() -> ed25519.Ed25519PrivateKey:
    """Return an Ed25519 key, the same on every run."""
    return ed25519.Ed25519PrivateKey.from_private_bytes(b"e" * 32)


@functools.cache
def curve() -> ec.EllipticCurvePrivateKey:
    """Return a P-256 key, the same on every run."""
    return ec.derive_private_key(20_310_506, ec.SECP256R1())


@functools.cache
def rsa_key(number: int = 0) -> rsa.RSAPrivateKey:
    """Return the RSA key with this number, made only once per process because this is slow."""
    del number
    return rsa.generate_private_key(65537, 2048)


def rsa_public(key: rsa.RSAPrivateKey) -> str:
    """Return the RSA key's public key in PEM."""
    return key.public_key().public_bytes(PEM, PUBLIC).decode()


def raw_hex(key: ed25519.Ed25519PrivateKey) -> str:
    """Return an Ed25519 public key in hexadecimal, as Discord shows it."""
    return key.public_key().public_bytes_raw().hex()


def spki(key: ec.EllipticCurvePrivateKey) -> str:
    """Return a P-256 public key in Base64 DER, as SendGrid shows it."""
    return base64.b64encode(key.public_key().public_bytes(DER, PUBLIC)).decode()


def url64(value: bytes) -> str:
    """Return bytes in Base64 for URLs without padding, as in JWTs."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def jwk(key: ec.EllipticCurvePrivateKey, key_id: str = "key-1") -> str:
    """Return a P-256 public key as a JSON Web Key, as Plaid serves it."""
    numbers = key.public_key().public_numbers()
    x, y = (url64(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
    return json.dumps({"kty": "EC", "crv": "P-256", "kid": key_id, "alg": "ES256", "x": x, "y": y})


def token(
    claims: Mapping[str, object], algorithm: str = "ES256", key_id: str | None = "key-1"
) -> str:
    """Return a JWT signed by the test key with ES256, whatever algorithm its header names."""
    header = {"alg": algorithm, "typ": "JWT"} | ({"kid": key_id} if key_id else {})
    text = ".".join(url64(json.dumps(part).encode()) for part in (header, claims))
    numbers = utils.decode_dss_signature(curve().sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{text}.{url64(b''.join(number.to_bytes(32, 'big') for number in numbers))}"


def certificate(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    begins: datetime = NOW - timedelta(days=1),
    ends: datetime = NOW + timedelta(days=30),
) -> bytes:
    """Return a certificate that the key signs for itself, in PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sender.example")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begins)
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
        .public_bytes(PEM)
    )


@functools.cache
def usual_certificate() -> bytes:
    """Return the self-signed certificate of the RSA test key."""
    return certificate(rsa_key())


def der(pem: bytes) -> bytes:
    """Return a PEM certificate in DER."""
    return x509.load_pem_x509_certificate(pem).public_bytes(DER)


def fingerprint(pem: bytes) -> str:
    """Return a certificate's fingerprint, by which a verifier recognises a pinned certificate."""
    return hashlib.sha256(der(pem)).hexdigest()


def rsa_signed(content: bytes, algorithm: hashes.HashAlgorithm | None = None) -> str:
    """Return a signature by the RSA test key, in Base64."""
    way = algorithm or hashes.SHA256()
    return base64.b64encode(rsa_key().sign(content, padding.PKCS1v15(), way)).decode()
