"""Proofs of possession (DPoP, RFC 9449), by which a token works only with a private key."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from moorage.domain.secrets.frames import without_arguments_in_errors
from moorage.domain.signing.context import Target
from moorage.domain.signing.jwt import JwtAlgorithm, compact
from moorage.domain.signing.keys import public_point
from moorage.domain.values.json_text import encode_json
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.domain.secrets.secret import Secret
    from moorage.domain.signing.context import SigningContext


@without_arguments_in_errors
def proof(
    key: Secret,
    method: str,
    url: str,
    context: SigningContext,
    *,
    token: Secret | None = None,
    nonce: str | None = None,
) -> Secret:
    """Return a proof for one request that the sender has this private key.

    Args:
        key: the private key, P-256 in PEM.
        method: the method of the request.
        url: the URL of the request.
        context: the time, and the id that makes this proof unique.
        token: the access token of the request, if it has one.
        nonce: the nonce that the server demanded, if any.
    """
    target = Target.of(url)
    claims: dict[str, Any] = {
        "jti": context.nonce,
        "htm": str(method),
        "htu": f"{target.scheme}://{target.host}{target.path}",
        "iat": int(context.now.timestamp()),
    }
    if token is not None:
        claims["ath"] = _encode_base64(sha256(token.reveal_bytes()).digest())
    if nonce is not None:
        claims["nonce"] = nonce
    header = _header(key).reveal_bytes()
    return compact(JwtAlgorithm.ES256, key, header, encode_json(claims))


def check_proof_key(key: Secret) -> None:
    """Refuse a key that cannot sign proofs of possession."""
    try:
        _header(key)
    except InvalidData:
        pass
    else:
        return
    raise InvalidData(
        "The dpop_key is not a private key on the curve P-256.",
        field="dpop_key",
        remedy="Set a P-256 private key in PEM, without a password.",
    )


def thumbprint(key: Secret) -> str:
    """Return the thumbprint of a key's public half (RFC 7638)."""
    jwk = json.loads(_header(key).reveal_bytes())["jwk"]
    return _encode_base64(sha256(encode_json(dict(sorted(jwk.items())))).digest())


def _header(key: Secret) -> Secret:
    """Return the header of all proofs by this key, which contains the public key."""
    return key.derive("dpop header", lambda _: _json_bytes(*map(_encode_base64, public_point(key))))


def _json_bytes(x: str, y: str) -> bytes:
    jwk = {"kty": "EC", "crv": "P-256", "x": x, "y": y}
    return encode_json({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk})


def _encode_base64(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()
