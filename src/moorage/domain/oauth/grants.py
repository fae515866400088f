"""How a first token is obtained, and what a request for one says of it.

A grant that needs nobody can be repeated at any time. Consent is given by a person: what follows
from it is a refresh token, and when that is gone the person must be asked again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias

import attrs

from moorage.domain.frames import careful
from moorage.domain.secret import Secret, as_secret
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.signing.jwt import JwtSigning
    from moorage.domain.signing.occasion import Occasion

Parameters: TypeAlias = "tuple[tuple[str, str], ...]"

ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a name
_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@attrs.frozen
class Consent:
    """A person gave consent once; from then on refresh tokens follow each other."""

    alone: ClassVar = False


@attrs.frozen
class ClientCredentials:
    """The client asks in its own name."""

    alone: ClassVar = True

    def parameters(self, _: Occasion, __: Secret | None) -> Parameters:
        """What a request says."""
        return (("grant_type", "client_credentials"),)


@careful
@attrs.frozen
class JwtBearer:
    """The client shows a token of its own making that vouches for somebody (RFC 7523).

    Attributes:
        signing: who vouches for whom, before whom, and for how long.
        key: what the token is signed with.
    """

    alone: ClassVar = True

    signing: JwtSigning
    key: Secret = attrs.field(converter=as_secret, hash=False)

    def __attrs_post_init__(self) -> None:
        """Refuse a key that cannot sign so, while there is someone to tell."""
        self.signing.check_key(self.key)

    def parameters(self, occasion: Occasion, _: Secret | None) -> Parameters:
        """What a request says, with a new token each time."""
        # Who asks may sign as the same issuer, in the same request, and no number comes twice.
        occasion = occasion._replace(nonce=f"{occasion.nonce}-grant")
        assertion = self.signing.token(self.key, occasion)
        return (("grant_type", _JWT_BEARER), ("assertion", assertion.reveal()))


@careful
@attrs.frozen(kw_only=True)
class TokenExchange:
    """The client exchanges a token that it has for another (RFC 8693).

    Attributes:
        subject: whose token is exchanged: the name of another service, whose current access token
            is taken each time; or the token itself, as a Secret.
        subject_token_type: what kind of token that is.
        actor: in whose name the client acts, as a token, if in another's.
        actor_token_type: what kind of token that is.
        requested_token_type: what kind is wanted, if not an access token.
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
        """Refuse what names nobody."""
        if not isinstance(self.subject, (Secret, str)) or not self.subject:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidData(
                "A token exchange needs to know whose token is exchanged.",
                field="subject",
                remedy="Give the name of the service that the token is for, or the token as a"
                " Secret.",
            )

    def parameters(self, _: Occasion, subject: Secret | None) -> Parameters:
        """What a request says; `subject` is the other service's token, where one is named."""
        token = subject if isinstance(self.subject, str) else self.subject
        told = [("grant_type", _EXCHANGE)]
        if token is not None:
            told.append(("subject_token", token.reveal()))
        told.append(("subject_token_type", self.subject_token_type))
        if self.actor is not None:
            told.append(("actor_token", self.actor.reveal()))
            told.append(("actor_token_type", self.actor_token_type))
        if self.requested_token_type is not None:
            told.append(("requested_token_type", self.requested_token_type))
        return tuple(told)


Grant: TypeAlias = Consent | ClientCredentials | JwtBearer | TokenExchange


def refreshing(token: Secret) -> Parameters:
    """What a request says that shows a refresh token."""
    return (("grant_type", "refresh_token"), ("refresh_token", token.reveal()))


def extra_parameters(given: Mapping[str, str]) -> Parameters:
    """What else every request says, such as an audience."""
    return tuple((str(name), str(value)) for name, value in given.items())
