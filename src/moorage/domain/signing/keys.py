"""Signatures of bytes with a key, by standard algorithms."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from moorage.errors import InvalidData

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from moorage.domain.secrets.secret import Secret


class SignatureAlgorithm(StrEnum):
    """The signature algorithms, named as in RFC 9421; all but HMAC need a private key in PEM.

    RFC 9421 does not have `rsa-pss-sha256`, which only JSON Web Tokens use (PS256).
    """

    HMAC_SHA256 = "hmac-sha256"
    RSA_V1_5_SHA256 = "rsa-v1_5-sha256"
    RSA_PSS_SHA256 = "rsa-pss-sha256"
    RSA_PSS_SHA512 = "rsa-pss-sha512"
    ECDSA_P256_SHA256 = "ecdsa-p256-sha256"
    ED25519 = "ed25519"


def check_key(algorithm: SignatureAlgorithm, key: Secret) -> None:
    """Refuse a key that is damaged, encrypted, or for another algorithm."""
    if algorithm is SignatureAlgorithm.HMAC_SHA256:
        if key:
            return
    else:
        private = _private_key(key, checked=False)
        if private is not None and _signature(algorithm, private, b"") is not None:
            return
    raise _wrong_key_error(algorithm)


def sign_bytes(algorithm: SignatureAlgorithm, key: Secret, content: bytes) -> bytes:
    """Return the signature of bytes; for ECDSA, two numbers of 32 bytes each."""
    if algorithm is SignatureAlgorithm.HMAC_SHA256:
        from hmac import digest  # noqa: PLC0415 - loads OpenSSL

        return digest(key.reveal_bytes(), content, "sha256")
    private = _private_key(key, checked=True)
    signature = None if private is None else _signature(algorithm, private, content)
    if signature is None:
        raise _wrong_key_error(algorithm)
    return signature


def public_point(key: Secret) -> tuple[bytes, bytes]:
    """Return the public part of a P-256 key: its two coordinates of 32 bytes each."""
    from cryptography.hazmat.primitives.asymmetric.ec import (  # noqa: PLC0415 - loads OpenSSL
        EllipticCurvePrivateKey,
    )

    private = _private_key(key, checked=True)
    if isinstance(private, EllipticCurvePrivateKey) and private.curve.name == "secp256r1":
        point = private.public_key().public_numbers()
        return point.x.to_bytes(32, "big"), point.y.to_bytes(32, "big")
    raise _wrong_key_error(SignatureAlgorithm.ECDSA_P256_SHA256)


def _private_key(key: Secret, *, checked: bool) -> PrivateKeyTypes | None:
    """Return the private key that a PEM text contains; None if it is not valid.

    Checking an RSA key takes a hundred times as long as signing with it.
    """
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - loads OpenSSL
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - loads OpenSSL
        load_pem_private_key,
    )

    try:
        return load_pem_private_key(
            key.reveal_bytes(), None, unsafe_skip_rsa_key_validation=checked
        )
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return None


def _signature(algorithm: SignatureAlgorithm, key: PrivateKeyTypes, content: bytes) -> bytes | None:
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - loads OpenSSL
    from cryptography.hazmat.primitives.asymmetric import (  # noqa: PLC0415 - loads OpenSSL
        ec,
        ed25519,
        padding,
        rsa,
        utils,
    )

    if isinstance(key, rsa.RSAPrivateKey):
        if algorithm is SignatureAlgorithm.RSA_V1_5_SHA256:
            return key.sign(content, padding.PKCS1v15(), hashes.SHA256())
        hashing = {
            SignatureAlgorithm.RSA_PSS_SHA256: hashes.SHA256(),
            SignatureAlgorithm.RSA_PSS_SHA512: hashes.SHA512(),
        }.get(algorithm)
        if hashing is not None:
            pss_padding = padding.PSS(padding.MGF1(hashing), padding.PSS.DIGEST_LENGTH)
            return key.sign(content, pss_padding, hashing)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        if algorithm is SignatureAlgorithm.ECDSA_P256_SHA256 and key.curve.name == "secp256r1":
            pair = utils.decode_dss_signature(key.sign(content, ec.ECDSA(hashes.SHA256())))
            return b"".join(number.to_bytes(32, "big") for number in pair)
    elif isinstance(key, ed25519.Ed25519PrivateKey) and algorithm is SignatureAlgorithm.ED25519:
        return key.sign(content)
    return None


def _wrong_key_error(algorithm: SignatureAlgorithm) -> InvalidData:
    return InvalidData(
        f"The secret is not a key for {algorithm}.",
        field="secret",
        remedy="For HMAC, set the shared secret. For other algorithms, set a private key of"
        " the right type in PEM, without a password.",
    )
