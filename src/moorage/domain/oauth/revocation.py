"""Revocation of a token (RFC 7009): the request, and the meaning of the response."""

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

    from moorage.domain.auth.methods import OAuthCredentials
    from moorage.domain.http.requests import Response
    from moorage.domain.oauth.grants import Parameters
    from moorage.domain.secrets.secret import Secret


_PAST_EXPIRY: Final = datetime(1970, 1, 1, tzinfo=UTC)


def as_expired(credentials: OAuthCredentials) -> OAuthCredentials:
    """Return the credentials marked as expired, so that no caller uses them any more."""
    return attrs.evolve(credentials, expires_at=_PAST_EXPIRY)


def no_client_error(service: str) -> ConfigurationError:
    """Return the error for a service whose credentials are not a revocable token."""
    return ConfigurationError(
        f"No OAuth client is configured for {service!r}.",
        path="clients",
        remedy="Pass the name of a service that has an OAuth client in the refresher and a"
        " token granted by OAuth.",
    )


def token_to_revoke(credentials: OAuthCredentials) -> tuple[Secret, str]:
    """Return the token to revoke in order to end the whole grant, and the token's type."""
    if credentials.refresh_token is not None:
        return credentials.refresh_token, "refresh_token"
    return credentials.access_token, "access_token"


def revocation_parameters(token: Secret, kind: str) -> Parameters:
    """Return the parameters of a request to revoke a token."""
    return (("token", token.reveal()), ("token_type_hint", kind))


def read_revocation(
    response: Response, asked_at: datetime, hidden: Iterable[Secret]
) -> Refused | bool:
    """Return True if the token is revoked or unknown, or else the server's error."""
    return read_refusal(response, asked_at, hidden) or True


def not_revoked_error(answer: Refused | ConnectorError) -> tuple[ConnectorError, float | None]:
    """Return the error for a token that was not revoked, and the time at which to try again."""
    if isinstance(answer, ConnectorError):
        return answer, None
    message = f"The authorisation server did not revoke the token ({answer.words})."
    details: dict[str, Any] = {"vendor_code": answer.code, "vendor_message": answer.said}
    if answer.why is Refusal.LATER:
        return VendorFailed(message, remedy="Try again later.", **details), answer.wait
    if answer.code == "unsupported_token_type":
        return UnsupportedByVendor(
            message,
            remedy="Let the token expire, or ask the person to withdraw the consent at the server.",
        ), None
    if answer.code in {"invalid_client", "HTTP 401"}:
        return AuthenticationFailed(
            message, remedy="Correct the client's id, secret or authentication method.", **details
        ), None
    return VendorRejected(
        message, remedy="Correct the client's settings or the endpoint.", **details
    ), None
