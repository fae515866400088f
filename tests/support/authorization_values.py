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
        method: the one way in which it says who it is.
        key: what its assertions are verified with, for `private_key_jwt`.
        key_id: the `kid` that its assertions must name, if any.
        subject: the name in its certificate (RFC 4514), for `tls_client_auth`,
        thumbprint: or the certificate itself, by its `x5t#S256`, which a client that signs its own
            must have. The server's TLS has to trust it in either case.
        grants: what it may ask for tokens with.
        scopes: what it may ask for; all of them are what it gets when it names none.
        redirect_uris: where people may be sent back to; the port of a loopback address is free.
        dpop: whether it gets tokens with a proof of possession only.
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
        method: its method.
        url: where it went, without a query.
        query: the parameters in its URL.
        fields: its header fields by name in lower case, each as often as it came.
        form: the parameters in its body, each as often as it came; empty ones are left out.
        formed: whether the body was a form.
        certificate: the client's certificate as DER, if it showed one.
        now: when it arrived.
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
    """A response of the server: JSON members, or a raw body.

    Attributes:
        status: the status code.
        members: the members of the JSON object,
        body: or what is sent as it is.
        headers: the header fields besides those of the body's length and type.
        kind: the body's media type.
        short: how many bytes at its end are never sent.
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
        error: its code.
        description: what is wrong, in ASCII without quotes.
        status: the status of the answer.
        headers: what else the answer says.
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


def need(holds: object, error: str, description: str) -> None:
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
        number: counts them from one.
        at: when it arrived, by the server's clock.
        grant: its `grant_type`; none if there was none, or nothing was read.
        client: the `id` of the client, once it has proved to be that one.
        method: how it said who it is; none if it did not.
        refresh_number: the number of the refresh token that it presented, if there is such a one.
        status: what it was answered with; 0 if with nothing.
        error: the error it was answered with, before any fault changed the answer.
        fault: the fault that it met.
        proven: whether it carried a proof of possession.
        params: what it said, without repetition,
        headers: and in which fields, by their names in lower case.
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
        number: counts them from one.
        at: when it arrived, by the server's clock.
        status: what it was answered with.
        access_number: the number of the access token that it presented, if there is such a one.
        error: the error in its `WWW-Authenticate`, if there was one.
    """

    number: int
    at: datetime
    status: int
    access_number: int | None
    error: str | None = None
