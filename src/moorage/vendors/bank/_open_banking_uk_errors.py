"""Converts error responses of banks with the UK's Open Banking API to errors of moorage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk

if TYPE_CHECKING:
    from moorage.vendor_sdk import Request, Response

_ENDED_CODES: Final = """
    TK01 TKSP TKXP U009 U011 U028 UK.OBIE.Reauthenticate UK.OBIE.Resource.InvalidConsentStatus
    UK.OBIE.Resource.NotFound
"""
GONE_CODES: Final = frozenset({"U009", "U011", "UK.OBIE.Resource.NotFound"})
"""The codes by which a bank says that a consent has ended, or does not exist."""
_MISSING_CODES: Final = "U011 UK.OBIE.Resource.NotFound"
_SIGNATURE_CODES: Final = """
    U015 U016 U017 U018 U019 U020 UK.OBIE.Signature.Invalid UK.OBIE.Signature.InvalidClaim
    UK.OBIE.Signature.Malformed UK.OBIE.Signature.Missing UK.OBIE.Signature.MissingClaim
    UK.OBIE.Signature.Unexpected
"""


def _error_words(response: Response) -> tuple[str | None, str | None]:
    """Return the code and text of a response's first error, or of the response if it lists none."""
    answer = sdk.error_answer(response)
    error = next(answer.objects("Errors"), sdk.as_answer({}))
    code = error.text("ErrorCode") or answer.text("Code")
    return code, sdk.masked_words(error.text("Message") or answer.text("Message"))


REFUSALS: Final = sdk.Refusals(
    vendor="The bank",
    codes=sdk.words(sdk.ConsentRequired, _ENDED_CODES),
    statuses=sdk.error_statuses("400"),
    read=_error_words,
)
PAYMENT_REFUSALS: Final = sdk.Refusals(
    vendor="The bank",
    codes={
        **sdk.words(sdk.ConsentRequired, _ENDED_CODES),
        **sdk.words(sdk.VendorRejected, _MISSING_CODES),
        **sdk.words(sdk.AuthenticationFailed, _SIGNATURE_CODES),
        "AM04": sdk.PaymentDeclined,
    },
    statuses=sdk.error_statuses("400"),
    read=_error_words,
)
TOKEN_REFUSALS: Final = sdk.Refusals(
    vendor="The bank",
    codes={
        "invalid_grant": sdk.ConsentRequired,
        **sdk.words(sdk.AuthenticationFailed, "invalid_client unauthorized_client"),
    },
    statuses=sdk.error_statuses("400"),
)


def owner_refusal(request: Request, response: Response) -> sdk.ConnectorError | None:
    """Return the error for an owner's rejected access token, which only the owner can replace."""
    return _expired_token(response) or REFUSALS(request, response)


def payer_refusal(request: Request, response: Response) -> sdk.ConnectorError | None:
    """Return the error for a rejected request that had the token of a payment's owner."""
    return _expired_token(response) or PAYMENT_REFUSALS(request, response)


def _expired_token(response: Response) -> sdk.ConnectorError | None:
    if response.status != 401:
        return None
    code, words = _error_words(response)
    text = "the access token of the consent is not valid"
    return sdk.refusal(sdk.ConsentRequired, "The bank", response, code, words, otherwise=text)
