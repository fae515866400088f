"""Strict checks of proofs of possession, independent of moorage's code."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tests.support import authorization_jwt as jose

if TYPE_CHECKING:
    from collections.abc import Mapping


def new_key(curve: ec.EllipticCurve | None = None) -> str:
    """Return a new private key in PEM, by default on P-256."""
    key = ec.generate_private_key(ec.SECP256R1() if curve is None else curve)
    return pem(key)


def pem(key: Any) -> str:
    """Return a private key as PEM."""
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


@cache
def proof_key() -> str:
    """Return a private P-256 key in PEM, the same for every test."""
    return new_key()


def verified_claims(proof: str | None, key: str | None = None) -> Mapping[str, Any]:
    """Verify a proof with this key, and return its claims."""
    assert proof is not None
    jwt = jose.read_jwt(proof)
    private: Any = load_pem_private_key((key or proof_key()).encode(), None)
    assert {"typ", "alg", "jwk"} == jwt.header.keys()
    assert ("dpop+jwt", "ES256") == (jwt.header["typ"], jwt.header["alg"])
    assert {"kty", "crv", "x", "y"} == jwt.header["jwk"].keys()
    assert private.public_key() == jose.public_key(jwt.header["jwk"])
    jose.verify(jwt, private.public_key())
    return jwt.claims
