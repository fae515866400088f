"""The registration of an OAuth client, and the token that it requests."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import attrs

from moorage.domain.http.headers import check_settable
from moorage.domain.oauth.grants import (
    ClientCredentials,
    Consent,
    JwtBearer,
    RefreshToken,
    TokenExchange,
)
from moorage.domain.oauth.server import AuthorizationServer
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.domain.signing.choice import choose
from moorage.domain.signing.jwt import JwtAlgorithm, check_jwt_key
from moorage.errors import ConfigurationError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.domain.oauth.grants import Grant

_LONGEST_TEXT: Final = 255


class ClientAuthentication(StrEnum):
    """The ways in which a client authenticates, by the names of OAuth's registry."""

    BASIC = "client_secret_basic"
    POST = "client_secret_post"
    SECRET_JWT = "client_secret_jwt"  # noqa: S105 - the name of a method
    PRIVATE_KEY_JWT = "private_key_jwt"
    TLS = "tls_client_auth"
    SELF_SIGNED_TLS = "self_signed_tls_client_auth"
    NONE = "none"


_WITHOUT_SECRET: Final = frozenset(
    {ClientAuthentication.TLS, ClientAuthentication.SELF_SIGNED_TLS, ClientAuthentication.NONE}
)
_TLS: Final = frozenset({ClientAuthentication.TLS, ClientAuthentication.SELF_SIGNED_TLS})
_OURS: Final = frozenset(
    {
        "assertion",
        "client_assertion",
        "client_assertion_type",
        "client_id",
        "client_secret",
        "code",
        "code_verifier",
        "device_code",
        "grant_type",
        "redirect_uri",
        "refresh_token",
        "scope",
        "subject_token",
    }
)


def _server(value: AuthorizationServer | str) -> AuthorizationServer:
    if isinstance(value, AuthorizationServer):
        return value
    return AuthorizationServer(token_endpoint=value)


def _secret(value: Secret | str | None) -> Secret | None:
    return None if value is None else as_secret(value)


def _usual_authentication(client: OAuthClient) -> ClientAuthentication:
    return ClientAuthentication.NONE if client.secret is None else ClientAuthentication.BASIC


def _authentication(value: ClientAuthentication | str) -> ClientAuthentication:
    return choose(ClientAuthentication, value, "authentication")


def _algorithm(value: JwtAlgorithm | str | None) -> JwtAlgorithm | None:
    return None if value is None else choose(JwtAlgorithm, value, "algorithm")


def _scope(value: str | Iterable[str]) -> tuple[str, ...]:
    return tuple(value.split() if isinstance(value, str) else value)


def _is_id(_: object, __: object, value: str) -> None:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_TEXT or not value.isprintable():  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may have no type checker
        raise ConfigurationError(
            "The client_id is empty or contains characters that are not allowed.",
            path="client_id",
            remedy="Set the id under which the application is registered.",
        )


def _parameters(value: Mapping[str, str]) -> dict[str, str]:
    return dict(value)


def _are_parameters(_: object, __: object, value: Mapping[str, str]) -> None:
    for name in value:
        if name in _OURS:
            raise ConfigurationError(
                f"moorage sets the parameter {name} automatically.",
                path=f"parameters.{name}",
                remedy="Use the field for this purpose, or remove the parameter.",
            )


@with_careful_constructor
@attrs.frozen(kw_only=True)
class OAuthClient:
    """A client registered at an authorisation server, and the way in which it gets tokens.

    Attributes:
        server: the authorisation server, or only its token endpoint.
        client_id: the client's id at the server.
        secret: the client's password, or the key that its assertions are signed with: the shared
            secret, or a private key in PEM.
        authentication: the way in which the client authenticates; by default HTTP Basic if there is
            a secret, else by its id alone.
        algorithm: the algorithm of assertions; by default HS256 or RS256.
        key_id: the key's id in the header of assertions.
        grant: the way to get the first token, and each later token for which there is no refresh
            token.
        scope: the scopes to request, as a list or a space-separated text.
        parameters: additional parameters of every request, such as `audience` or `resource`.
        dpop_key: the private key in PEM (P-256) that tokens are bound to, if DPoP is wanted.
        token_header: the header in which the service expects the access token without a scheme; by
            default `Authorization`, with a scheme.
    """

    server: AuthorizationServer = attrs.field(converter=_server)
    client_id: str = attrs.field(validator=_is_id)
    secret: Secret | None = attrs.field(default=None, converter=_secret, hash=False)
    authentication: ClientAuthentication = attrs.field(
        default=attrs.Factory(_usual_authentication, takes_self=True), converter=_authentication
    )
    algorithm: JwtAlgorithm | None = attrs.field(default=None, converter=_algorithm)
    key_id: str | None = None
    grant: Grant = attrs.field(
        factory=ClientCredentials,
        validator=attrs.validators.instance_of(
            (ClientCredentials, Consent, JwtBearer, RefreshToken, TokenExchange)
        ),
    )
    scope: tuple[str, ...] = attrs.field(default=(), converter=_scope)
    parameters: Mapping[str, str] = attrs.field(
        factory=dict[str, str],
        converter=_parameters,
        validator=_are_parameters,
        repr=False,
        hash=False,
    )
    dpop_key: Secret | None = attrs.field(default=None, converter=_secret, hash=False)
    token_header: str | None = None

    def __attrs_post_init__(self) -> None:
        """Check that the settings are consistent, before the first request uses them."""
        if (self.secret is None) != (self.authentication in _WITHOUT_SECRET):
            raise ConfigurationError(
                f"The authentication {self.authentication} "
                f"{'needs a' if self.secret is None else 'takes no'} secret.",
                path="secret",
                remedy="Set the authentication method that the client is registered with, and"
                " the client's secret if it has one.",
            )
        self._check_fields()

    def _check_fields(self) -> None:
        path = "secret"
        remedy = (
            "For HS256, set the shared secret. For other algorithms, set a private key of the"
            " right type in PEM, without a password."
        )
        try:
            if self.secret is not None and self.uses_assertions:
                check_jwt_key(self.assertion_algorithm, self.secret)
            if self.dpop_key is not None:
                check_jwt_key(JwtAlgorithm.ES256, self.dpop_key)
            if self.token_header is not None:
                path, remedy = "token_header", ("Set the name of a header, such as x-access-token.")
                check_settable(self.token_header, "token_header")
        except InvalidData as error:
            problem = error.message
        else:
            return
        raise ConfigurationError(problem, path=path, remedy=remedy)

    @property
    def uses_assertions(self) -> bool:
        """True if the client authenticates with a signed assertion."""
        return self.authentication in {
            ClientAuthentication.SECRET_JWT,
            ClientAuthentication.PRIVATE_KEY_JWT,
        }

    @property
    def assertion_algorithm(self) -> JwtAlgorithm:
        """The algorithm with which the client's assertions are signed."""
        if self.algorithm is not None:
            return self.algorithm
        is_shared = self.authentication is ClientAuthentication.SECRET_JWT
        return JwtAlgorithm.HS256 if is_shared else JwtAlgorithm.RS256

    def at(self, endpoint: str) -> str:
        """Return the URL of one of the server's endpoints, for this client."""
        return self.server.at(endpoint, with_certificate=self.authentication in _TLS)
