"""JSON Web Tokens signed by moorage (RFC 7515, 7519), for bearer tokens and assertions."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.secret import Secret
from moorage.domain.signing.choice import choose
from moorage.domain.signing.keys import SignatureAlgorithm, check_key, sign_bytes
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.json_text import encode_json
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from moorage.domain.http.requests import Request
    from moorage.domain.signing.context import SigningContext


class JwtAlgorithm(StrEnum):
    """The algorithms for signing JSON Web Tokens."""

    HS256 = "HS256"
    RS256 = "RS256"
    PS256 = "PS256"
    ES256 = "ES256"
    EDDSA = "EdDSA"


_ALGORITHMS = {
    JwtAlgorithm.HS256: SignatureAlgorithm.HMAC_SHA256,
    JwtAlgorithm.RS256: SignatureAlgorithm.RSA_V1_5_SHA256,
    JwtAlgorithm.PS256: SignatureAlgorithm.RSA_PSS_SHA256,
    JwtAlgorithm.ES256: SignatureAlgorithm.ECDSA_P256_SHA256,
    JwtAlgorithm.EDDSA: SignatureAlgorithm.ED25519,
}
_OWN_CLAIMS = frozenset({"iss", "sub", "aud", "iat", "exp", "jti"})


def compact(algorithm: JwtAlgorithm, key: Secret, header: bytes, payload: bytes) -> Secret:
    """Return a signed payload in the compact form of RFC 7515."""
    text = f"{_encode_base64(header)}.{_encode_base64(payload)}"
    signature = sign_bytes(_ALGORITHMS[algorithm], key, text.encode())
    return Secret(f"{text}.{_encode_base64(signature)}")


def check_jwt_key(algorithm: JwtAlgorithm, key: Secret) -> None:
    """Check that a key fits the signing algorithm of the token."""
    check_key(_ALGORITHMS[algorithm], key)


def _is_lifetime(_: object, __: object, value: timedelta) -> None:
    if value < timedelta(seconds=1):
        raise InvalidData(
            "The lifetime of a token must be one second or more.",
            field="lifetime",
            remedy="Set a timedelta, such as timedelta(minutes=5).",
        )


def _claims(claims: Mapping[str, Any]) -> dict[str, Any]:
    return dict(claims)


def _are_claims(_: object, __: object, value: Mapping[str, Any]) -> None:
    if doubled_names := sorted(_OWN_CLAIMS & value.keys()):
        raise InvalidData(
            f"The claims {', '.join(doubled_names)} have separate settings.",
            field="claims",
            remedy="Use issuer, subject, audience and lifetime. moorage sets jti and iat"
            " automatically.",
        )
    encode_json(value)


def _algorithm(value: JwtAlgorithm | str) -> JwtAlgorithm:
    return choose(JwtAlgorithm, value, "algorithm")


@with_careful_constructor
@frozen(kw_only=True)
class JwtSigning:
    """Signs each attempt with a new JSON Web Token as the bearer token.

    Attributes:
        algorithm: the algorithm. HS256 needs a shared secret, the others a private key in PEM.
        issuer: the claim `iss`: the issuer of the token.
        subject: the claim `sub`: the subject of the token.
        audience: the claim `aud`: the recipient of the token.
        lifetime: the time for which the token is valid.
        key_id: the key's id in the header.
        claims: further claims. The `repr` does not show them.
    """

    method: ClassVar = "jwt"

    algorithm: JwtAlgorithm = field(converter=_algorithm)
    issuer: str | None = None
    subject: str | None = None
    audience: str | None = None
    lifetime: timedelta = field(default=timedelta(minutes=5), validator=_is_lifetime)
    key_id: str | None = None
    claims: Mapping[str, Any] = field(
        factory=dict[str, Any],
        converter=_claims,
        validator=_are_claims,
        repr=False,
        hash=False,
    )

    def check_key(self, key: Secret) -> None:
        """Check that a key fits the signing algorithm."""
        check_jwt_key(self.algorithm, key)

    def sign(
        self,
        request: Request,
        url: str,  # noqa: ARG002 - tokens for one URL need it
        key: Secret,
        context: SigningContext,
    ) -> Request:
        """Return the request with a newly signed token as its bearer token."""
        return request.with_header("Authorization", f"Bearer {self.token(key, context).reveal()}")

    def token(self, key: Secret, context: SigningContext) -> Secret:
        """Return a signed token, which can also be the assertion of a JWT-bearer grant."""
        header = {"alg": self.algorithm, "typ": "JWT", "kid": self.key_id}
        claims = {
            "iss": self.issuer,
            "sub": self.subject,
            "aud": self.audience,
            "iat": _seconds(context.now),
            "exp": _seconds(context.now + self.lifetime),
            "jti": context.nonce,
        }
        return compact(self.algorithm, key, _json(header), _json(claims | {**self.claims}))


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _json(members: dict[str, Any]) -> bytes:
    return encode_json({name: value for name, value in members.items() if value is not None})


def _encode_base64(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()
