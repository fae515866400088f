"""Public keys and certificates, in the formats in which vendors publish them.

The formats are PEM, the base64 of the same DER, the 32 bytes of Ed25519 in hex, in base64 or after
`whpk_`, and JWK. Only public keys are read: a private key, or any other string, gives no key.
"""

from __future__ import annotations

import json
from binascii import a2b_base64, a2b_hex
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import (
    load_der_public_key,
    load_pem_public_key,
)

from moorage.domain.webhooks.algorithms import WebhookAlgorithm

if TYPE_CHECKING:
    from collections.abc import Callable

PublicKey: TypeAlias = "rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey"
Verify: TypeAlias = "Callable[[bytes, bytes], bool]"
"""A function that returns whether the first argument is a signature of the second."""

_KINDS: Final = (rsa.RSAPublicKey, ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey)
_RAW_KEY_SIZE: Final = 32
_LEAST_BITS: Final = 2048
_NO_KEY: Final = (
    AttributeError,
    KeyError,
    RecursionError,
    x509.InvalidVersion,
    TypeError,
    UnsupportedAlgorithm,
    ValueError,
    # Some hosts raise warnings as errors, and damaged certificates may cause such a warning.
    Warning,
)


def read_key(value: bytes) -> PublicKey | None:
    """Return the public key in a string; None if there is none."""
    try:
        key = _read_key(value.strip())
    except _NO_KEY:
        return None
    if not isinstance(key, _KINDS):
        return None
    return None if isinstance(key, rsa.RSAPublicKey) and key.key_size < _LEAST_BITS else key


def _read_key(value: bytes) -> object:
    if value.startswith(b"-----BEGIN CERTIFICATE-----"):
        return x509.load_pem_x509_certificate(value).public_key()
    if value.startswith(b"-----"):
        return load_pem_public_key(value)
    if value.startswith(b"{"):
        return _from_jwk(json.loads(value))
    if value.startswith(b"whpk_"):
        return ed25519.Ed25519PublicKey.from_public_bytes(_base64(value[5:]))
    if len(value) == 2 * _RAW_KEY_SIZE:
        return ed25519.Ed25519PublicKey.from_public_bytes(a2b_hex(value))
    decoded_bytes = _base64(value)
    if len(decoded_bytes) == _RAW_KEY_SIZE:
        return ed25519.Ed25519PublicKey.from_public_bytes(decoded_bytes)
    return load_der_public_key(decoded_bytes)


def _base64(value: bytes) -> bytes:
    value = value.replace(b"-", b"+").replace(b"_", b"/")
    return a2b_base64(value + b"=" * (-len(value) % 4), strict_mode=True)


def _integer_field(jwk: dict[str, Any], name: str) -> int:
    return int.from_bytes(_base64(jwk[name].encode()), "big")


def _from_jwk(jwk: dict[str, Any]) -> PublicKey:
    kind = jwk["kty"], jwk.get("crv")
    if kind == ("EC", "P-256"):
        point = ec.EllipticCurvePublicNumbers(
            _integer_field(jwk, "x"), _integer_field(jwk, "y"), ec.SECP256R1()
        )
        return point.public_key()
    if kind == ("OKP", "Ed25519"):
        return ed25519.Ed25519PublicKey.from_public_bytes(_base64(jwk["x"].encode()))
    if kind[0] == "RSA":
        return rsa.RSAPublicNumbers(_integer_field(jwk, "e"), _integer_field(jwk, "n")).public_key()
    raise ValueError("another kind of key")


def key_id_of(value: bytes) -> str | None:
    """Return the id in a JWK; None if the text is not a JWK, or has no id."""
    try:
        key_id = json.loads(value)["kid"]
    except (KeyError, RecursionError, TypeError, ValueError):
        return None
    return key_id if isinstance(key_id, str) else None


def verifier(algorithm: WebhookAlgorithm, key: PublicKey) -> Verify | None:
    """Return a function that verifies signatures with this key; None for another key type."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        return _guarded_verification(key.verify) if algorithm is WebhookAlgorithm.ED25519 else None
    if isinstance(key, ec.EllipticCurvePublicKey):
        if algorithm is not WebhookAlgorithm.ECDSA_P256_SHA256 or key.curve.name != "secp256r1":
            return None
        signature_algorithm = ec.ECDSA(hashes.SHA256())
        return _guarded_verification(
            lambda signature, content: key.verify(signature, content, signature_algorithm)
        )
    padding_and_hash = _RSA.get(algorithm)
    if padding_and_hash is None:
        return None
    scheme, algorithm_hash = padding_and_hash
    return _guarded_verification(
        lambda signature, content: key.verify(signature, content, scheme, algorithm_hash)
    )


_RSA: Final[dict[WebhookAlgorithm, tuple[Any, Any]]] = {
    WebhookAlgorithm.RSA_SHA256: (padding.PKCS1v15(), hashes.SHA256()),
    WebhookAlgorithm.RSA_SHA1_LEGACY: (padding.PKCS1v15(), hashes.SHA1()),  # noqa: S303 - the vendor's own way
    WebhookAlgorithm.RSA_PSS_SHA256: (
        padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH),
        hashes.SHA256(),
    ),
}


def joined_verifier(algorithm: WebhookAlgorithm, key: PublicKey) -> Verify | None:
    """Return a function that verifies the signatures of JSON Web Tokens with this key."""
    verify = verifier(algorithm, key)
    if verify is None or algorithm is not WebhookAlgorithm.ECDSA_P256_SHA256:
        return verify

    def verify_all(signature: bytes, content: bytes) -> bool:
        if len(signature) != 2 * _RAW_KEY_SIZE:
            return False
        numbers = (
            int.from_bytes(half_number, "big")
            for half_number in (signature[:_RAW_KEY_SIZE], signature[_RAW_KEY_SIZE:])
        )
        return verify(utils.encode_dss_signature(*numbers), content)

    return verify_all


def _guarded_verification(verify: Callable[[bytes, bytes], None]) -> Verify:
    def verify_guarded(signature: bytes, content: bytes) -> bool:
        try:
            verify(signature, content)
        except (InvalidSignature, ValueError):
            return False
        return True

    return verify_guarded


def certified_key(value: bytes, now: datetime) -> PublicKey | None:
    """Return the public key of the first certificate in a string, if it is valid now."""
    try:
        certificate = x509.load_pem_x509_certificate(value)
        start_time, end_time = _validity(certificate)
        key = certificate.public_key()
    except _NO_KEY:
        return None
    return key if isinstance(key, _KINDS) and start_time <= now <= end_time else None


def fingerprint(value: str, now: datetime) -> str | None:
    """Return the SHA-256 fingerprint of a client's certificate, if it is valid now.

    The certificate is in the form of RFC 9440, in PEM, or in escaped PEM.
    """
    from urllib.parse import unquote  # noqa: PLC0415 - rarely needed

    text = value.strip()
    try:
        if text[:1] == ":" == text[-1:]:
            certificate = x509.load_der_x509_certificate(_base64(text[1:-1].encode()))
        else:
            certificate = x509.load_pem_x509_certificate(unquote(text).encode())
        start_time, end_time = _validity(certificate)
    except _NO_KEY:
        return None
    return certificate.fingerprint(hashes.SHA256()).hex() if start_time <= now <= end_time else None


def _validity(certificate: x509.Certificate) -> tuple[datetime, datetime]:
    if hasattr(certificate, "not_valid_before_utc"):
        return certificate.not_valid_before_utc, certificate.not_valid_after_utc
    # Releases of cryptography before 42 have only the attributes without a time zone.
    start_time, end_time = certificate.not_valid_before, certificate.not_valid_after
    return start_time.replace(tzinfo=UTC), end_time.replace(tzinfo=UTC)
