"""Values for the requests and responses between an authorization server and its clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

import attrs
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

Method: TypeAlias = Literal[
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
    "none",
]

CODE: Final = "authorization_code"
CLIENT: Final = "client_credentials"
REFRESH: Final = "refresh_token"
DEVICE: Final = "urn:ietf:params:oauth:grant-type:device_code"
ASSERTION: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
GRANTS: Final = frozenset({CODE, CLIENT, REFRESH, DEVICE, ASSERTION, EXCHANGE})

ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"
REFRESH_TOKEN: Final = "urn:ietf:params:oauth:token-type:refresh_token"
JWT_TOKEN: Final = "urn:ietf:params:oauth:token-type:jwt"
CLIENT_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

_NOT_KEPT: Final = (("Cache-Control", "no-store"), ("Pragma", "no-cache"))


@attrs.frozen(kw_only=True)
class Client:
    """A registered client; requests must match its id and authentication method.

    Attributes:
        id: its `client_id`.
        secret: its secret, for the methods that have one.
        method: its only authentication method.
        key: the key that verifies its assertions, for `private_key_jwt`.
        key_id: the `kid` that its assertions must name, if any.
        subject: its certificate's subject (RFC 4514), for `tls_client_auth`.
        thumbprint: its certificate's `x5t#S256`, required for a client with a self-signed
            certificate. The server's TLS must trust the certificate in either case.
        grants: the grant types that it may use.
        scopes: the scopes that it may request; without a request it gets all.
        redirect_uris: its redirect URIs; a loopback address may have any port.
        dpop: whether it must send a proof of possession to get tokens.
    """

    id: str = "erp"
    secret: str = attrs.field(default="s3cr3t", repr=False)
    method: Method = "client_secret_basic"
    key: PublicKey | None = None
    key_id: str | None = None
    subject: str | None = None
    thumbprint: str | None = None
    grants: frozenset[str] = GRANTS
    scopes: frozenset[str] = frozenset({"read", "write"})
    redirect_uris: tuple[str, ...] = ("https://erp.example/callback",)
    dpop: bool = False

    @property
    def confidential(self) -> bool:
        """Return whether the client can keep a secret."""
        return self.method != "none"


NOBODY: Final = Client(id="", secret="", method="none", grants=frozenset({ASSERTION}))


@attrs.frozen(kw_only=True)
class Call:
    """A request as it arrived at the server.

    Attributes:
        method: the HTTP method.
        url: the URL, without its query.
        query: the parameters in the URL.
        fields: the values of each header field, by its name in lower case.
        form: the values of each non-empty parameter in the body.
        formed: whether the body is a form.
        certificate: the client's certificate as DER, if it presented one.
        now: the time of arrival.
    """

    method: str
    url: str
    query: Mapping[str, tuple[str, ...]]
    fields: Mapping[str, tuple[str, ...]]
    form: Mapping[str, tuple[str, ...]]
    formed: bool
    certificate: bytes | None
    now: datetime

    def optional_parameter(self, name: str) -> str | None:
        """Return an optional form parameter, which may occur only once."""
        values = self.form.get(name)
        return values[0] if values else None

    def needed_parameter(self, name: str) -> str:
        """Return a required form parameter."""
        value = self.optional_parameter(name)
        if value is None:
            raise Refusal("invalid_request", f"{name} is missing")
        return value


@attrs.frozen(kw_only=True)
class Answer:
    """A response of the authorization server: JSON members, or a raw body.

    Attributes:
        status: the status code.
        members: the members of the JSON object.
        body: a raw body, sent instead of the JSON object.
        headers: the header fields other than Content-Length and Content-Type.
        kind: the body's media type.
        short: the number of bytes at the end of the body that are not sent.
    """

    status: int = 200
    members: Mapping[str, Any] | None = None
    body: bytes = attrs.field(default=b"", repr=False)
    headers: tuple[tuple[str, str], ...] = _NOT_KEPT
    kind: str = "application/json"
    short: int = 0


class Refusal(Exception):
    """An error with which the server answers a request.

    Args:
        error: the error code.
        description: the explanation, in ASCII without quotes.
        status: the status of the response.
        headers: further header fields of the response.
    """

    def __init__(self, error: str, description: str, *, status: int = 400, **headers: str) -> None:
        super().__init__(error, description)
        self.error = error
        self.description = description
        self.status = status
        self.headers = tuple((name.replace("_", "-"), text) for name, text in headers.items())

    def answer(self) -> Answer:
        """Return the error response (RFC 6749, section 5.2)."""
        members = {"error": self.error, "error_description": self.description}
        return Answer(status=self.status, members=members, headers=(*_NOT_KEPT, *self.headers))


def require(holds: object, error: str, description: str) -> None:
    """Raise a Refusal with this error unless the condition holds."""
    if not holds:
        raise Refusal(error, description)


class Tokens(NamedTuple):
    """The access and refresh token that a test gives a client."""

    access_token: str
    refresh_token: str


@attrs.frozen(kw_only=True)
class TokenRequest:
    """A token request, as the server records it.

    Attributes:
        number: the request's number, counted from one.
        at: the time of arrival, by the server's clock.
        grant: its `grant_type`; None if it has none, or was not read.
        client: the id of the authenticated client.
        method: the client's authentication method; None if it used none.
        refresh_number: the number of the refresh token that was sent, if it is known.
        status: the status of the response; 0 for no response.
        error: the error code of the response, before a fault changed it.
        fault: the fault that was injected.
        proven: whether the request had a proof of possession.
        params: the form parameters, each once.
        headers: the header fields, by name in lower case.
    """

    number: int
    at: datetime
    grant: str | None = None
    client: str | None = None
    method: str | None = None
    refresh_number: int | None = None
    status: int = 0
    error: str | None = None
    fault: str | None = None
    proven: bool = False
    params: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)


@attrs.frozen(kw_only=True)
class ResourceRequest:
    """A request for the protected resource, as the server records it.

    Attributes:
        number: the request's number, counted from one.
        at: the time of arrival, by the server's clock.
        status: the status of the response.
        access_number: the number of the access token that was sent, if it is known.
        error: the error code in the response's `WWW-Authenticate`, if any.
    """

    number: int
    at: datetime
    status: int
    access_number: int | None
    error: str | None = None
