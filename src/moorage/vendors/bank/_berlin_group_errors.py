"""Converts error responses of NextGenPSD2 banks to errors of moorage."""

from __future__ import annotations

from typing import Final

from moorage import vendor_sdk as sdk

_CONSENT_CODES: Final = ("CONSENT_INVALID", "CONSENT_EXPIRED", "CONSENT_UNKNOWN")
_CREDENTIAL_CODES: Final = """
    CERTIFICATE_INVALID CERTIFICATE_EXPIRED CERTIFICATE_BLOCKED CERTIFICATE_REVOKE
    CERTIFICATE_REVOKED CERTIFICATE_MISSING SIGNATURE_INVALID SIGNATURE_MISSING ROLE_INVALID
    CORPORATE_ID_INVALID PSU_CREDENTIALS_INVALID TOKEN_UNKNOWN TOKEN_INVALID TOKEN_EXPIRED
"""
_REQUEST_CODES: Final = """
    FORMAT_ERROR PARAMETER_NOT_CONSISTENT PARAMETER_NOT_SUPPORTED SERVICE_INVALID PERIOD_INVALID
    TIMESTAMP_INVALID SESSIONS_NOT_SUPPORTED
"""


def _error_words(response: sdk.Response) -> tuple[str | None, str | None]:
    """Return the code and text of an error response, in either of the standard's two formats."""
    answer = sdk.error_answer(response)
    messages = list(answer.objects("tppMessages"))
    message = next((item for item in messages if item.text("category") == "ERROR"), answer)
    code = message.text("code")
    words = message.text("text") or message.text("detail") or message.text("title")
    return code, sdk.masked_words(words)


_REFUSALS: Final = sdk.Refusals(
    vendor="The bank",
    codes={
        **dict.fromkeys(_CONSENT_CODES, sdk.ConsentRequired),
        **dict.fromkeys(_CREDENTIAL_CODES.split(), sdk.AuthenticationFailed),
        **dict.fromkeys(_REQUEST_CODES.split(), sdk.InvalidRequest),
        "ACCESS_EXCEEDED": sdk.RateLimitExceeded,
    },
    statuses=sdk.error_statuses("400"),
    read=_error_words,
)


def classify(request: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error for an error response; an exhausted daily access limit is not retried."""
    error = _REFUSALS(request, response)
    if isinstance(error, sdk.RateLimitExceeded) and error.vendor_code == "ACCESS_EXCEEDED":
        error.retryable = False
        error.remedy = "Read this account less often: the consent allows only a few times a day."
    return error
