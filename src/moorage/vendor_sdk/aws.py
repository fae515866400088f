"""Helpers of Amazon's vendors: signatures, and codes of refused and throttled requests."""

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
    """Credentials that sign for a service; None without a secret, so that the provider is used."""
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
    """The class of error of a code that all of Amazon's services use; None for any other code."""
    if code in _THROTTLED:
        return RateLimitExceeded
    return AuthenticationFailed if code in _UNAUTHORIZED else None
