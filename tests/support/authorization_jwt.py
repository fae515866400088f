"""Strict parsing of JSON Web Tokens and keys by RFC 7515, 7517, 7518, 7519 and 7638."""

from __future__ import annotations

import hmac
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from tests.support.authorization_values import PublicKey

ALGORITHMS: Final = ("ES256", "RS256", "PS256", "EdDSA")
"""How others sign, with keys of which we know the public half."""

_ENCODED: Final = re.compile(r"[A-Za-z0-9_\-]*")
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_FAR_SECONDS: Final = 3600  # seconds; an assertion that lives longer is no assertion but a password


class InvalidJwt(Exception):
    """An invalid token or key, with the reason in ASCII without quotes."""


def require_unflawed(holds: object, reason: str) -> None:
    """Raise InvalidJwt with this reason unless the condition holds."""
    if not holds:
        raise InvalidJwt(reason)


class Jwt(NamedTuple):
    """A parsed JWT whose signature was not yet verified."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes


def encode(content: bytes) -> str:
    """Encode bytes as URL-safe Base64 without padding."""
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def digest(content: bytes) -> str:
    """Return a SHA-256 digest in the form of `ath`, `jkt`, `x5t#S256` and `code_challenge`."""
    return encode(sha256(content).digest())


def decode(text: object) -> bytes:
    """Decode URL-safe Base64 strictly."""
    if not isinstance(text, str) or not _ENCODED.fullmatch(text):
        raise InvalidJwt("a part of the token is not base64url")
    try:
        content = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise InvalidJwt("a part of the token is not base64url") from None
    if encode(content) != text:
        raise InvalidJwt("a base64url text has extra bits at its end")
    return content


def read_jwt(text: str) -> Jwt:
    """Parse a JWT into its parts."""
    parts = text.split(".")
    if len(parts) != 3:
        raise InvalidJwt("a token in compact form must have three parts")
    header, claims, signature = (decode(part) for part in parts)
    jwt = Jwt(_members(header), _members(claims), text.rpartition(".")[0].encode(), signature)
    if "crit" in jwt.header:
        raise InvalidJwt("the token requires an extension, but this server supports none")
    return jwt


def _members(content: bytes) -> Mapping[str, Any]:
    try:
        members = json.loads(content, object_pairs_hook=_unique_members, parse_constant=_no_number)
    except ValueError:
        raise InvalidJwt("a part of the token is not JSON") from None
    if not isinstance(members, dict):
        raise InvalidJwt("a part of the token is not a JSON object")
    return members


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidJwt("a member comes twice")
    return members


def _no_number(name: str) -> None:
    raise InvalidJwt(f"{name} is not JSON")


def verify(jwt: Jwt, key: PublicKey | bytes) -> None:
    """Raise InvalidJwt unless this key signed the token."""
    algorithm = jwt.header.get("alg")
    kind, check = _CHECKS.get(str(algorithm), (None, None))
    if kind is None or check is None or not isinstance(key, kind):
        raise InvalidJwt("the algorithm does not fit the key")
    try:
        check(key, jwt.signature, jwt.signed)
    except (InvalidSignature, ValueError):
        raise InvalidJwt("the signature is wrong") from None


def _hmac(key: Any, signature: bytes, signed: bytes) -> None:
    if not hmac.compare_digest(hmac.digest(key, signed, "sha256"), signature):
        raise InvalidSignature


def _ecdsa(key: Any, signature: bytes, signed: bytes) -> None:
    if len(signature) != 64 or key.curve.name != "secp256r1":
        raise InvalidSignature
    numbers = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    key.verify(utils.encode_dss_signature(*numbers), signed, ec.ECDSA(hashes.SHA256()))


def _pkcs1(key: Any, signature: bytes, signed: bytes) -> None:
    key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())


def _pss(key: Any, signature: bytes, signed: bytes) -> None:
    way = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    key.verify(signature, signed, way, hashes.SHA256())


def _eddsa(key: Any, signature: bytes, signed: bytes) -> None:
    key.verify(signature, signed)


_CHECKS: Final[Mapping[str, tuple[type, Callable[[Any, bytes, bytes], None]]]] = {
    "HS256": (bytes, _hmac),
    "ES256": (ec.EllipticCurvePublicKey, _ecdsa),
    "RS256": (rsa.RSAPublicKey, _pkcs1),
    "PS256": (rsa.RSAPublicKey, _pss),
    "EdDSA": (ed25519.Ed25519PublicKey, _eddsa),
}


# --- keys that others bring along --------------------------------------------


def public_key(jwk: object) -> PublicKey:
    """Return the public key of a JWK; raise InvalidJwt for any other kind of key."""
    if not isinstance(jwk, dict):
        raise InvalidJwt("jwk is not a JSON object")
    if _PRIVATE & jwk.keys():
        raise InvalidJwt("jwk contains a private key")
    try:
        match jwk.get("kty"), jwk.get("crv"):
            case "EC", "P-256":
                point = b"\x04" + decode(jwk.get("x")) + decode(jwk.get("y"))
                return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
            case "OKP", "Ed25519":
                return ed25519.Ed25519PublicKey.from_public_bytes(decode(jwk.get("x")))
            case "RSA", None:
                e, n = (int.from_bytes(decode(jwk.get(name)), "big") for name in "en")
                return _long_enough(rsa.RSAPublicNumbers(e, n).public_key())
            case _:
                raise InvalidJwt("jwk has a key type that this server does not support")
    except ValueError:
        raise InvalidJwt("jwk describes no key") from None


def _long_enough(key: rsa.RSAPublicKey) -> rsa.RSAPublicKey:
    if key.key_size < 2048:
        raise InvalidJwt("jwk is too short a key")
    return key


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """Return the thumbprint of a key (RFC 7638)."""
    names = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}
    required_members = {name: jwk[name] for name in names[jwk["kty"]]}
    return digest(json.dumps(required_members, separators=(",", ":"), sort_keys=True).encode())


# --- what claims must say ----------------------------------------------------


def check_times(claims: Mapping[str, Any], now: datetime) -> None:
    """Refuse expired tokens, tokens without expiry, and tokens that are not valid yet."""
    moment = now.timestamp()
    expires = seconds(claims, "exp")
    if expires <= moment:
        raise InvalidJwt("the assertion has expired")
    if expires > moment + _FAR_SECONDS:
        raise InvalidJwt("the lifetime of the assertion is too long")
    for name in ("nbf", "iat"):
        if name in claims and seconds(claims, name) > moment + 1:
            raise InvalidJwt(f"{name} is in the future")


def seconds(claims: Mapping[str, Any], name: str) -> float:
    """Return a claim whose value must be a number of seconds."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidJwt(f"{name} is not a number")
    return value


def text_claim(claims: Mapping[str, Any], name: str) -> str:
    """Return a claim whose value must be a non-empty text."""
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidJwt(f"{name} is missing or no text")
    return value


def check_audience(claims: Mapping[str, Any], ours: frozenset[str]) -> None:
    """Refuse a token for another audience."""
    value = claims.get("aud")
    named_audiences = value if isinstance(value, list) else [value]
    if not any(isinstance(item, str) and item in ours for item in named_audiences):
        raise InvalidJwt("aud is not this server")


class TokenIdMemory:
    """A memory of token ids, each of which may be used only once."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, str]] = set()

    def remember(self, issuer: str, jti: str) -> None:
        """Remember a token's id; raise InvalidJwt if the id was used before."""
        if (issuer, jti) in self._seen:
            raise InvalidJwt("jti was seen before")
        self._seen.add((issuer, jti))
