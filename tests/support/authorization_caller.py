"""A client of an authorization server, independent of moorage, for tests of client and server.

The client sends whatever the test asks for, whether valid or not.
"""

from __future__ import annotations

import hmac
import json
import secrets
from base64 import b64encode
from contextlib import closing
from functools import cache
from http.client import HTTPConnection, HTTPSConnection
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote_plus, urlencode, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from tests.support.authorization_jwt import digest, encode, thumbprint
from tests.support.authorization_values import CLIENT_ASSERTION

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from email.message import Message

    from tests.support.authorization_server import AuthorizationServer, Client
    from tests.support.authorization_values import PublicKey


class Reply(NamedTuple):
    """A response of the authorisation server."""

    status: int
    headers: Message
    body: bytes

    @property
    def members(self) -> dict[str, Any]:
        """Return the members of the JSON body."""
        return json.loads(self.body)  # type: ignore[no-any-return]  # an object

    @property
    def error(self) -> tuple[int, str]:
        """Return the status and error code of an error response."""
        return self.status, self.members["error"]


class Caller:
    """A client that sends each request on a new connection."""

    def __init__(
        self,
        server: AuthorizationServer,
        client: Client | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.server = server
        self.client = client or server.clients[0]
        self._tls = tls

    def send(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a request, and read the response."""
        place = urlsplit(url)
        address = place.hostname or "", place.port
        connection = (
            HTTPConnection(*address, timeout=30)
            if self._tls is None
            else HTTPSConnection(*address, timeout=30, context=self._tls)
        )
        with closing(connection):
            target = f"{place.path}?{place.query}" if place.query else place.path
            connection.request(method, target, body, {"Accept": "*/*"} | dict(headers or {}))
            answer = connection.getresponse()
            return Reply(answer.status, answer.headers, answer.read())

    def post(
        self,
        url: str,
        form: Mapping[str, str | Sequence[str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Post a form."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode(form or {}, doseq=True).encode()
        return self.send("POST", url, body, kind | dict(headers or {}))

    def token(
        self,
        grant: str,
        params: Mapping[str, str | Sequence[str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Request a token as this client, with its registered authentication.

        A client that authenticates by an assertion passes the assertion in the parameters.
        """
        form = {"grant_type": grant} | dict(params or {})
        request_headers = dict(headers or {})
        match self.client.method:
            case "client_secret_basic":
                request_headers = {
                    "Authorization": basic(self.client.id, self.client.secret)
                } | request_headers
            case "client_secret_post":
                form = {"client_id": self.client.id, "client_secret": self.client.secret} | form
            case "none" | "tls_client_auth" | "self_signed_tls_client_auth":
                form = {"client_id": self.client.id} | form
            case _:
                form = {"client_assertion_type": CLIENT_ASSERTION} | form
        return self.post(self.server.token_url, form, request_headers)

    def refresh(self, token: str, headers: Mapping[str, str] | None = None) -> Reply:
        """Refresh a token as this client."""
        return self.token("refresh_token", {"refresh_token": token}, headers)

    def open(
        self, token: str, scheme: str = "Bearer", headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Request the protected resource with a token."""
        request_headers = {"Authorization": f"{scheme} {token}"} | dict(headers or {})
        return self.send("GET", self.server.resource_url, headers=request_headers)


def basic(name: str, secret: str) -> str:
    """Return a Basic Authorization header, form-encoded as in RFC 6749, section 2.3.1."""
    return raw_basic(f"{quote_plus(name)}:{quote_plus(secret)}")


def raw_basic(text: str) -> str:
    """Return a Basic Authorization header with any text."""
    return f"Basic {b64encode(text.encode()).decode()}"


class Signer:
    """A key pair that signs JWTs and proofs."""

    def __init__(self, algorithm: str = "ES256") -> None:
        self.algorithm = algorithm
        self._key: Any
        match algorithm:
            case "ES256":
                self._key = ec.generate_private_key(ec.SECP256R1())
            case "EdDSA":
                self._key = ed25519.Ed25519PrivateKey.generate()
            case _:
                self._key = _rsa_key()

    @property
    def public(self) -> PublicKey:
        """The public key that verifies the signatures."""
        return self._key.public_key()  # type: ignore[no-any-return]  # a key of one of three kinds

    @property
    def jwk(self) -> dict[str, str]:
        """Return the public key as the JWK that a proof contains."""
        if self.algorithm == "EdDSA":
            return {
                "kty": "OKP",
                "crv": "Ed25519",
                "x": encode(self._key.public_key().public_bytes_raw()),
            }
        numbers = self._key.public_key().public_numbers()
        if self.algorithm == "ES256":
            x, y = (encode(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
            return {"kty": "EC", "crv": "P-256", "x": x, "y": y}
        e, n = (encode(_shortest(number)) for number in (numbers.e, numbers.n))
        return {"kty": "RSA", "e": e, "n": n}

    @property
    def thumbprint(self) -> str:
        """Return the thumbprint of the key."""
        return thumbprint(self.jwk)

    def jwt(self, claims: Mapping[str, Any], **header: Any) -> str:
        """Return a signed JWT with these claims."""
        text = _unsigned_jwt({"alg": self.algorithm, "typ": "JWT"} | header, claims)
        return f"{text}.{encode(self._signature(text.encode()))}"

    def _signature(self, content: bytes) -> bytes:
        match self.algorithm:
            case "ES256":
                der = self._key.sign(content, ec.ECDSA(hashes.SHA256()))
                return b"".join(
                    part.to_bytes(32, "big") for part in utils.decode_dss_signature(der)
                )
            case "EdDSA":
                return self._key.sign(content)  # type: ignore[no-any-return]  # a signature is bytes
            case "PS256":
                way = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
                return self._key.sign(content, way, hashes.SHA256())  # type: ignore[no-any-return]  # a signature is bytes
            case _:
                return self._key.sign(content, padding.PKCS1v15(), hashes.SHA256())  # type: ignore[no-any-return]  # a signature is bytes

    def proof(  # noqa: D417 - the rest is claims
        self,
        method: str,
        url: str,
        now: datetime,
        token: str | None = None,
        *,
        header: Mapping[str, Any] | None = None,
        **claims: Any,
    ) -> dict[str, str]:
        """Return a header field with a proof that the client has the key.

        Args:
            method: the request's method.
            url: the request's URL.
            now: the proof's time.
            token: the access token that is sent with the proof.
            header: entries that replace those of the proof's header.
        """
        fields = {
            "jti": secrets.token_hex(8),
            "htm": method,
            "htu": url,
            "iat": int(now.timestamp()),
        }
        if token is not None:
            fields["ath"] = digest(token.encode())
        proof_header = {"typ": "dpop+jwt", "jwk": self.jwk} | dict(header or {})
        return {"DPoP": self.jwt(without_none(fields | claims), **proof_header)}


def hs256(secret: bytes, claims: Mapping[str, Any]) -> str:
    """Return a JWT signed with a shared secret."""
    text = _unsigned_jwt({"alg": "HS256", "typ": "JWT"}, claims)
    return f"{text}.{encode(hmac.digest(secret, text.encode(), 'sha256'))}"


def claims_of(client: str, audience: str, now: datetime, **others: Any) -> dict[str, Any]:
    """Return the claims of a client's assertion; a claim set to None is left out."""
    moment = int(now.timestamp())
    default_claims = {
        "iss": client,
        "sub": client,
        "aud": audience,
        "iat": moment,
        "exp": moment + 60,
    }
    return without_none(default_claims | {"jti": secrets.token_hex(8)} | others)


def without_none(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members whose values are not None."""
    return {name: value for name, value in members.items() if value is not None}


def _unsigned_jwt(header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    return ".".join(encode(json.dumps(part).encode()) for part in (header, claims))


def _shortest(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


@cache
def _rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
