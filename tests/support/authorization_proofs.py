"""Checks how clients prove their identity, and that they have the key of a token.

Client authentication follows RFC 6749 (section 2.3), RFC 7523 (section 3) and RFC 8705; proofs of
possession follow RFC 9449. An assertion or proof can be used once.
"""

from __future__ import annotations

import hmac
import re
import secrets
from base64 import b64decode
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus, urlsplit

from cryptography import x509

from tests.support import authorization_jwt as jose
from tests.support.authorization_jwt import InvalidJwt, require_unflawed
from tests.support.authorization_values import CLIENT_ASSERTION, NOBODY, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tests.support.authorization_values import Call, Client, PublicKey

# An id or a secret as appendix B of RFC 6749 encodes it; `*` and `~` may be escaped or not.
_FORM_ENCODED: Final = re.compile(r"(?:[A-Za-z0-9*\-._~+]|%[0-9A-Fa-f]{2})*")
_CERTIFIED: Final = ("tls_client_auth", "self_signed_tls_client_auth")
_BASE_PORTS: Final = {"http": 80, "https": 443}


class ClientAuthenticator:
    """Authenticates clients, and remembers their proofs and assertions.

    Attributes:
        clients: the clients by their id.
        issuers: the keys of the issuers whose assertions are accepted as grants, by name.
        nonces_required: whether a proof of possession needs a nonce of this server.
        window: how many seconds a proof's time may be off.
    """

    def __init__(
        self, clients: tuple[Client, ...], *, nonces_required: bool, window: float
    ) -> None:
        self.clients = {client.id: client for client in clients}
        self.issuers: dict[str, PublicKey] = {}
        self.nonces_required = nonces_required
        self.window = window
        self._assertions = jose.TokenIdMemory()
        self._proofs = jose.TokenIdMemory()
        self._nonces: dict[str, list[str]] = {}

    # --- clients -----------------------------------------------------------

    def client(self, call: Call, audiences: frozenset[str]) -> tuple[Client, str]:
        """Return the calling client and its authentication method."""
        basic = call.fields.get("authorization")
        ways = [
            ("client_secret_basic", basic is not None),
            ("client_secret_post", call.optional_parameter("client_secret") is not None),
            ("assertion", call.optional_parameter("client_assertion") is not None),
        ]
        used_methods = [name for name, is_used in ways if is_used]
        if len(used_methods) > 1:
            raise Refusal("invalid_request", "a client must authenticate in exactly one way")
        if call.optional_parameter("client_assertion_type") and not call.optional_parameter(
            "client_assertion"
        ):
            raise Refusal("invalid_request", "client_assertion is missing")
        if used_methods == ["assertion"]:
            return self._by_assertion(call, audiences)
        if basic is not None:
            return self._by_basic(call, basic)
        if used_methods:
            return self._by_secret(
                call.needed_parameter("client_id"),
                call.needed_parameter("client_secret"),
                "client_secret_post",
            )
        return self._by_name(call)

    def _registered(self, name: str, *methods: str) -> Client:
        client = self.clients.get(name)
        if client is None:
            raise _refuse_client("there is no such client")
        if client.method not in methods:
            raise _refuse_client("the client is registered for another method")
        return client

    def _by_basic(self, call: Call, fields: tuple[str, ...]) -> tuple[Client, str]:
        if len(fields) != 1:
            raise Refusal("invalid_request", "the Authorization header must occur only once")
        scheme, _, encoded_text = fields[0].partition(" ")
        if scheme.lower() != "basic":
            raise _refuse_client("Authorization is not Basic")
        try:
            text = b64decode(encoded_text.strip(), validate=True).decode("ascii")
        except ValueError:
            raise _refuse_client("Authorization is not base64 of ASCII") from None
        name, colon, secret = text.partition(":")
        if not colon or not all(_FORM_ENCODED.fullmatch(part) for part in (name, secret)):
            raise _refuse_client("id and secret are not form-urlencoded")
        name, secret = unquote_plus(name), unquote_plus(secret)
        if call.optional_parameter("client_id") not in {None, name}:
            raise Refusal(
                "invalid_request", "client_id differs from the id in the Authorization header"
            )
        return self._by_secret(name, secret, "client_secret_basic")

    def _by_secret(self, name: str, secret: str, method: str) -> tuple[Client, str]:
        client = self._registered(name, method)
        if not hmac.compare_digest(client.secret.encode(), secret.encode()):
            raise _refuse_client("the secret is wrong")
        return client, method

    def _by_assertion(self, call: Call, audiences: frozenset[str]) -> tuple[Client, str]:
        if call.needed_parameter("client_assertion_type") != CLIENT_ASSERTION:
            raise Refusal("invalid_request", "client_assertion_type is not known")
        try:
            jwt = jose.read_jwt(call.needed_parameter("client_assertion"))
            name = jose.text_claim(jwt.claims, "sub")
            is_same = jose.text_claim(jwt.claims, "iss") == name and call.optional_parameter(
                "client_id"
            ) in {
                None,
                name,
            }
            require_unflawed(is_same, "iss, sub and client_id are not the same")
            client = self._registered(name, "private_key_jwt", "client_secret_jwt")
            require_unflawed(
                client.key_id in (None, jwt.header.get("kid")), "kid names another key"
            )
            private = client.method == "private_key_jwt"
            key = client.key if private else client.secret.encode()
            assert key is not None, f"{name} was registered without a key"
            jose.verify(jwt, key)
            self._accept(jwt.claims, audiences, call.now)
        except InvalidJwt as flaw:
            raise _refuse_client(str(flaw)) from None
        return client, client.method

    def _by_name(self, call: Call) -> tuple[Client, str]:
        name = call.optional_parameter("client_id")
        if name is None:
            # RFC 7521, section 4.1: the bearer of an assertion need not be a client.
            if call.optional_parameter("assertion") is not None:
                return NOBODY, "none"
            raise _refuse_client("the client does not authenticate")
        client = self._registered(name, *_CERTIFIED, "none")
        if client.method in _CERTIFIED:
            _check_certificate(client, call.certificate)
        return client, client.method

    # --- assertions --------------------------------------------------------

    def subject(self, call: Call, audiences: frozenset[str]) -> str:
        """Return the subject of an assertion that is presented as a grant."""
        try:
            jwt = jose.read_jwt(call.needed_parameter("assertion"))
            issuer = jose.text_claim(jwt.claims, "iss")
            require_unflawed(issuer in self.issuers, "iss is not trusted")
            jose.verify(jwt, self.issuers[issuer])
            subject = jose.text_claim(jwt.claims, "sub")
            self._accept(jwt.claims, audiences, call.now)
        except InvalidJwt as flaw:
            raise Refusal("invalid_grant", str(flaw)) from None
        return subject

    def _accept(self, claims: Mapping[str, Any], audiences: frozenset[str], now: datetime) -> None:
        jose.check_audience(claims, audiences)
        jose.check_times(claims, now)
        self._assertions.remember(jose.text_claim(claims, "iss"), jose.text_claim(claims, "jti"))

    # --- proofs of possession ----------------------------------------------

    def nonce(self, place: str) -> str:
        """Return the nonce that proofs for this endpoint must carry from now on."""
        return self._known_nonces(place)[-1]

    def renew_nonces(self, *, abruptly: bool) -> None:
        """Issue new nonces; the previous nonces stay valid unless `abruptly` is set."""
        for place, place_nonces in self._nonces.items():
            kept_nonces = [] if abruptly else place_nonces[-1:]
            self._nonces[place] = [*kept_nonces, _new_nonce()]

    def _known_nonces(self, place: str) -> list[str]:
        return self._nonces.setdefault(place, [_new_nonce()])

    def proof(self, call: Call, place: str, token: str | None = None) -> str | None:
        """Verify a request's proof, and return its key's thumbprint; None without a proof.

        Args:
            call: the request with the proof.
            place: the endpoint, which has its own nonces.
            token: the access token that the proof must be for.
        """
        fields = call.fields.get("dpop", ())
        if not fields:
            return None
        try:
            require_unflawed(len(fields) == 1, "the DPoP header must occur only once")
            jwt = jose.read_jwt(fields[0])
            require_unflawed(jwt.header.get("typ") == "dpop+jwt", "typ is not dpop+jwt")
            jwk = jwt.header.get("jwk")
            jose.verify(jwt, jose.public_key(jwk))
            self._check_claims(jwt.claims, call, token)
            key = jose.thumbprint(jwt.header["jwk"])
            self._proofs.remember(key, jose.text_claim(jwt.claims, "jti"))
        except InvalidJwt as flaw:
            raise Refusal("invalid_dpop_proof", str(flaw)) from None
        if self.nonces_required and jwt.claims.get("nonce") not in self._known_nonces(place):
            raise Refusal("use_dpop_nonce", "the proof needs a nonce of this server")
        return key

    def _check_claims(self, claims: Mapping[str, Any], call: Call, token: str | None) -> None:
        if claims.get("htm") != call.method:
            raise InvalidJwt("htm is another method")
        if _compared_url(jose.text_claim(claims, "htu")) != _compared_url(call.url):
            raise InvalidJwt("htu is another place")
        if abs(jose.seconds(claims, "iat") - call.now.timestamp()) > self.window:
            raise InvalidJwt("iat is too far from now")
        if token is not None and claims.get("ath") != jose.digest(token.encode()):
            raise InvalidJwt("ath is of another token")


def _new_nonce() -> str:
    return secrets.token_urlsafe(12)


def _compared_url(url: str) -> tuple[str, str, int | None, str]:
    """Return a URL in the form that RFC 9449 compares, without query and fragment."""
    require_unflawed("?" not in url and "#" not in url, "htu has a query or a fragment")
    try:
        parts = urlsplit(url)
        port = parts.port or _BASE_PORTS.get(parts.scheme)
    except ValueError:
        raise InvalidJwt("htu is no URL") from None
    return parts.scheme, parts.hostname or "", port, parts.path or "/"


def _check_certificate(client: Client, certificate: bytes | None) -> None:
    if certificate is None:
        raise _refuse_client("the client showed no certificate")
    shown_thumbprint = jose.digest(certificate)
    name = x509.load_der_x509_certificate(certificate).subject.rfc4514_string()
    expected = (client.subject or name, client.thumbprint or shown_thumbprint)
    registered_identity = client.thumbprint or (client.method == _CERTIFIED[0] and client.subject)
    if not registered_identity or expected != (name, shown_thumbprint):
        raise _refuse_client("the certificate is not the registered one")


def _refuse_client(reason: str) -> Refusal:
    """Return the refusal of a client; a 401 names the authentication methods (RFC 9110)."""
    realm = 'Basic realm="authorization server", charset="UTF-8"'
    return Refusal("invalid_client", reason, status=401, WWW_Authenticate=realm)
