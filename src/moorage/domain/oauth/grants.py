"""The OAuth grants: the ways to get a first token, and their request parameters.

A client can repeat a grant that needs no person at any time. Consent comes from a person and leads
to a refresh token; when that token is lost, the person must be asked again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias

import attrs

from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.signing.context import SigningContext
    from moorage.domain.signing.jwt import JwtSigning

Parameters: TypeAlias = "tuple[tuple[str, str], ...]"

ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - the name of a token type
_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@attrs.frozen
class Consent:
    """The grant by a person's consent, after which refresh tokens are used."""

    alone: ClassVar = False


@attrs.frozen
class ClientCredentials:
    """The grant of tokens to the client itself (client credentials), without a person."""

    alone: ClassVar = True

    def parameters(self, _: SigningContext, __: Secret | None) -> Parameters:
        """Return the parameters of a client-credentials token request."""
        return (("grant_type", "client_credentials"),)


@with_careful_constructor
@attrs.frozen
class RefreshToken:
    """The grant by an existing refresh token, for example from the vendor's website.

    If the server rotates refresh tokens, each renewal sends the newest one, which is stored with
    the access token. Then store the tokens where they outlive the process.

    Attributes:
        token: the refresh token, which is sent until the server replaces it.
    """

    alone: ClassVar = True

    token: Secret = attrs.field(converter=as_secret, hash=False)

    def parameters(self, _: SigningContext, __: Secret | None) -> Parameters:
        """Return the parameters of a token request that uses the configured refresh token."""
        return refresh_parameters(self.token)


@with_careful_constructor
@attrs.frozen
class JwtBearer:
    """The grant for a token that identifies a user and is signed by the client (RFC 7523).

    Attributes:
        signing: the issuer, subject, audience and lifetime of the token.
        key: the key that the token is signed with.
    """

    alone: ClassVar = True

    signing: JwtSigning
    key: Secret = attrs.field(converter=as_secret, hash=False)

    def __attrs_post_init__(self) -> None:
        """Check that the key fits the signing algorithm."""
        self.signing.check_key(self.key)

    def parameters(self, context: SigningContext, _: Secret | None) -> Parameters:
        """Return the parameters of a token request, with an assertion that is newly signed."""
        # The client's assertion in the same request may have the same issuer, but it needs another
        # id.
        context = context._replace(nonce=f"{context.nonce}-grant")
        assertion = self.signing.token(self.key, context)
        return (("grant_type", _JWT_BEARER), ("assertion", assertion.reveal()))


@with_careful_constructor
@attrs.frozen(kw_only=True)
class TokenExchange:
    """The grant that exchanges one of the client's tokens for another token (RFC 8693).

    Attributes:
        subject: the token to exchange: the name of another service, whose current access token is
            used each time; or the token itself, as a Secret.
        subject_token_type: the type of that token.
        actor: the token of the party that the client acts for, if any.
        actor_token_type: the type of that token.
        requested_token_type: the type of token to get, if not an access token.
    """

    alone: ClassVar = True

    subject: str | Secret = attrs.field(hash=False)
    subject_token_type: str = ACCESS_TOKEN
    actor: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret), hash=False
    )
    actor_token_type: str = ACCESS_TOKEN
    requested_token_type: str | None = None

    def __attrs_post_init__(self) -> None:
        """Check that the token exchange has a subject token."""
        if not isinstance(self.subject, (Secret, str)) or not self.subject:  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may have no type checker
            raise InvalidData(
                "The token exchange has no subject token.",
                field="subject",
                remedy="Pass the name of the service that the token is for, or the token as a"
                " Secret.",
            )

    def parameters(self, _: SigningContext, subject: Secret | None) -> Parameters:
        """Return the parameters of a token-exchange request.

        `subject` is the token of the service named as subject.
        """
        token = subject if isinstance(self.subject, str) else self.subject
        parameters = [("grant_type", _EXCHANGE)]
        if token is not None:
            parameters.append(("subject_token", token.reveal()))
        parameters.append(("subject_token_type", self.subject_token_type))
        if self.actor is not None:
            parameters.append(("actor_token", self.actor.reveal()))
            parameters.append(("actor_token_type", self.actor_token_type))
        if self.requested_token_type is not None:
            parameters.append(("requested_token_type", self.requested_token_type))
        return tuple(parameters)


Grant: TypeAlias = Consent | ClientCredentials | RefreshToken | JwtBearer | TokenExchange


def refresh_parameters(token: Secret) -> Parameters:
    """Return the parameters of a token request that uses a refresh token."""
    return (("grant_type", "refresh_token"), ("refresh_token", token.reveal()))


def extra_parameters(parameters: Mapping[str, str]) -> Parameters:
    """Return the configured parameters of every token request, such as an audience."""
    return tuple((str(name), str(value)) for name, value in parameters.items())
