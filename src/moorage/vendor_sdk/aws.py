"""Helpers for Amazon's services: request signatures and error codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.auth.methods import Credentials
from moorage.domain.signing.sigv4 import AwsSigV4
from moorage.errors import AuthenticationFailed, RateLimitExceeded

if TYPE_CHECKING:
    from moorage.domain.secrets.secret import Secret

_THROTTLED: Final = frozenset(
    {
        "LimitExceededException",
        "RequestLimitExceeded",
        "Throttled",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
"""Codes of throttled requests."""
_UNAUTHORIZED: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthFailure",
        "AuthorizationError",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NotAuthorized",
        "OptInRequired",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
"""Codes of refused credentials."""


def aws_credentials(
    service: str,
    region: str,
    access_key_id: str | None,
    secret: Secret | None,
    session_token: Secret | None,
) -> Credentials | None:
    """Return credentials that sign requests; None without a secret, so that a provider's apply."""
    if secret is None:
        return None
    signing = AwsSigV4(
        access_key_id=access_key_id or "",
        region=region,
        service=service,
        session_token=session_token,
    )
    return Credentials.signed(signing, secret)


def aws_refusal(code: str) -> type[RateLimitExceeded | AuthenticationFailed] | None:
    """Return the error class for a code common to Amazon's services; None for other codes."""
    if code in _THROTTLED:
        return RateLimitExceeded
    return AuthenticationFailed if code in _UNAUTHORIZED else None
