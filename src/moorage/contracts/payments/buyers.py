"""Messages to buyers whose payment did not simply succeed.

Law: a payment whose outcome is unknown is never shown as not charged.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from moorage.domain.resilience.health import may_have_acted
from moorage.domain.values.frozen_values import frozen
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    CredentialNotFound,
    CredentialRefreshFailed,
    DeadlineExceeded,
    IdempotencyConflict,
    IdempotencyInProgress,
    InvalidData,
    OutcomeUnknown,
    PaymentDeclined,
    StorageUnavailable,
    UnsupportedByVendor,
    VendorRejected,
)


class BuyerOutcome(StrEnum):
    """The outcome of a payment, from the buyer's point of view."""

    NOT_ATTEMPTED = "not_attempted"
    DECLINED = "declined"
    UNKNOWN = "unknown"
    UNAVAILABLE = "unavailable"


@frozen(kw_only=True)
class BuyerNotice:
    """A message to the buyer about a payment.

    Attributes:
        outcome: outcome of the payment.
        code: id of the text, for looking up translations.
        text: the message in English.
    """

    outcome: BuyerOutcome
    code: str
    text: str


_TEXTS: Final = {
    "not_attempted": "The payment was not attempted. You have not been charged.",
    "unknown": "We do not know yet whether the payment went through. Please do not pay again; "
    "we will tell you.",
    "unavailable": "Payments are not possible at the moment. You have not been charged. "
    "Please try again later.",
    "declined": "The payment was declined. Please use another means of payment.",
    "declined.insufficient_funds": "The payment was declined for lack of funds. "
    "Please use another means of payment.",
    "declined.expired_card": "The card has expired. Please use another card.",
    "declined.incorrect_cvc": "The security code is wrong. Please check it and try again.",
    "declined.incorrect_number": "The card number is wrong. Please check it and try again.",
    "declined.invalid_expiry": "The expiry date is wrong. Please check it and try again.",
    "declined.incorrect_address": "The address does not belong to the card. "
    "Please check it and try again.",
    "declined.incorrect_pin": "The PIN is wrong. Please try again.",
    "declined.authentication_required": "Your bank wants you to confirm the payment. "
    "Please pay once more and follow its steps.",
    "declined.call_issuer": "The payment was declined. Please ask your bank.",
    "declined.card_not_supported": "This card is not accepted. Please use another one.",
    "declined.currency_not_supported": "The card does not pay in this currency. "
    "Please use another one.",
    "declined.limit_exceeded": "The payment is above the card's limit. "
    "Please use another means of payment.",
    "declined.processing_error": "The payment was declined. Please try again later.",
    "declined.canceled_by_buyer": "You have cancelled the payment.",
}
"""A lost, stolen or suspected card is merely declined, so that its holder learns no more."""

_UNKNOWN_OUTCOME_ERRORS: Final = (
    IdempotencyConflict,
    IdempotencyInProgress,
    OutcomeUnknown,
    StorageUnavailable,
)
"""Errors after which the earlier user of the key may have been charged."""

_LOCAL_REFUSALS: Final = (
    ConfigurationError,
    CredentialNotFound,
    CredentialRefreshFailed,
    InvalidData,
    UnsupportedByVendor,
)


def buyer_notice(error: BaseException) -> BuyerNotice:
    """The message to a buyer whose payment failed with this error."""
    if isinstance(error, PaymentDeclined):
        return _notice_of(BuyerOutcome.DECLINED, f"declined.{error.reason}")
    if _may_be_charged(error):
        return _notice_of(BuyerOutcome.UNKNOWN)
    if isinstance(error, (*_LOCAL_REFUSALS, VendorRejected, AuthenticationFailed)):
        return _notice_of(BuyerOutcome.NOT_ATTEMPTED)
    return _notice_of(BuyerOutcome.UNAVAILABLE)


def _may_be_charged(error: BaseException) -> bool:
    if not isinstance(error, Exception) or isinstance(error, _UNKNOWN_OUTCOME_ERRORS):
        return True
    details = vars(error)
    if isinstance(error, (InvalidData, ConfigurationError)):
        # Before a call this value is a wrong argument; after a call, it may be an unreadable
        # response.
        return "_signature" in details or bool(details.get("_acted"))
    if isinstance(error, DeadlineExceeded) and "_acted" not in details:
        return True
    return bool(details.get("_acted")) or may_have_acted(error)


def _notice_of(outcome: BuyerOutcome, code: str = "") -> BuyerNotice:
    code = code if code in _TEXTS else outcome.value
    return BuyerNotice(outcome=outcome, code=code, text=_TEXTS[code])
