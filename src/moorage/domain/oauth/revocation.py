"""Giving a token back (RFC 7009): what is said, and what it means that it is not taken."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.oauth.token_answer import Refusal, Refused, read_refusal
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.domain.auth import OAuthCredentials
    from moorage.domain.http import Response
    from moorage.domain.oauth.grants import Parameters
    from moorage.domain.secret import Secret


_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


def ended(credentials: OAuthCredentials) -> OAuthCredentials:
    """The same, so that nobody takes it for current, whatever their clock says."""
    return attrs.evolve(credentials, expires_at=_LONG_AGO)


def no_client(service: str) -> ConfigurationError:
    """What is kept for this service is no token that could be given back."""
    return ConfigurationError(
        f"Nothing is known of an authorisation server for {service!r}.",
        path="clients",
        remedy="Name a service of the refresher's clients, whose token was granted by OAuth.",
    )


def given_back(credentials: OAuthCredentials) -> tuple[Secret, str]:
    """The token with which all that belongs to it ends, and what kind of token it is."""
    if credentials.refresh_token is not None:
        return credentials.refresh_token, "refresh_token"
    return credentials.access_token, "access_token"


def revoking(token: Secret, kind: str) -> Parameters:
    """What a request says that gives a token back."""
    return (("token", token.reveal()), ("token_type_hint", kind))


def read_revocation(
    response: Response, asked_at: datetime, hidden: Iterable[Secret]
) -> Refused | bool:
    """True, or why the token is still good; one that the server does not know is good no more."""
    return read_refusal(response, asked_at, hidden) or True


def not_revoked(answer: Refused | ConnectorError) -> tuple[ConnectorError, float | None]:
    """What to raise for a token that was not taken back, and when to come back."""
    if isinstance(answer, ConnectorError):
        return answer, None
    message = f"The authorisation server does not revoke the token ({answer.words})."
    told: dict[str, Any] = {"vendor_code": answer.code, "vendor_message": answer.said}
    if answer.why is Refusal.LATER:
        return VendorFailed(message, remedy="Try again later.", **told), answer.wait
    if answer.code == "unsupported_token_type":
        return UnsupportedByVendor(
            message,
            remedy="Let the token expire, or have the person end the consent at the server.",
        ), None
    if answer.code in {"invalid_client", "HTTP 401"}:
        return AuthenticationFailed(
            message, remedy="Correct the client's id, secret or authentication.", **told
        ), None
    return VendorRejected(message, remedy="Correct the client or its endpoint.", **told), None
