"""States of payments, captures, refunds, disputes and payouts, and reasons of declines."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from moorage.contracts.validators import OneOf


class PaymentState(StrEnum):
    """The state of a payment.

    `failed` is a failed attempt: some vendors let the buyer try the same payment again.
    """

    REQUIRES_PAYMENT_METHOD = "requires_payment_method"
    REQUIRES_ACTION = "requires_action"
    PENDING = "pending"
    AUTHORIZED = "authorized"
    PARTIALLY_CAPTURED = "partially_captured"
    CAPTURED = "captured"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    VOIDED = "voided"
    FAILED = "failed"
    EXPIRED = "expired"
    DISPUTED = "disputed"
    UNKNOWN = "unknown"

    @property
    def settled(self) -> bool:
        """True if the payment will not change soon, so that asking the vendor is pointless."""
        return self not in _OPEN_STATES


_OPEN_STATES: Final = {
    PaymentState.REQUIRES_PAYMENT_METHOD,
    PaymentState.REQUIRES_ACTION,
    PaymentState.PENDING,
    PaymentState.UNKNOWN,
}


class MoveState(StrEnum):
    """The state of a capture, a void or a refund; `pending` until the vendor has done it."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    UNKNOWN = "unknown"


class DeclineReason(StrEnum):
    """The reason why a payment was declined."""

    INSUFFICIENT_FUNDS = "insufficient_funds"
    EXPIRED_CARD = "expired_card"
    INCORRECT_CVC = "incorrect_cvc"
    INCORRECT_NUMBER = "incorrect_number"
    INVALID_EXPIRY = "invalid_expiry"
    INCORRECT_ADDRESS = "incorrect_address"
    INCORRECT_PIN = "incorrect_pin"
    DO_NOT_HONOR = "do_not_honor"
    LOST_OR_STOLEN = "lost_or_stolen"
    FRAUD_SUSPECTED = "fraud_suspected"
    AUTHENTICATION_REQUIRED = "authentication_required"
    CALL_ISSUER = "call_issuer"
    CARD_NOT_SUPPORTED = "card_not_supported"
    CURRENCY_NOT_SUPPORTED = "currency_not_supported"
    LIMIT_EXCEEDED = "limit_exceeded"
    PROCESSING_ERROR = "processing_error"
    DUPLICATE = "duplicate"
    ACCOUNT_CLOSED = "account_closed"
    CANCELED_BY_BUYER = "canceled_by_buyer"
    OTHER = "other"


class RefundReason(OneOf, field="reason"):
    """The reason for a refund."""

    REQUESTED_BY_CUSTOMER = "requested_by_customer"
    DUPLICATE = "duplicate"
    FRAUD = "fraud"
    OTHER = "other"


class NextActionType(StrEnum):
    """The kind of step that the buyer has to take next."""

    REDIRECT = "redirect"
    POST = "post"
    SDK = "sdk"
    DISPLAY = "display"
    AWAIT = "await"
    UNKNOWN = "unknown"


class DisputeState(StrEnum):
    """The state of a dispute."""

    INQUIRY = "inquiry"
    NEEDS_RESPONSE = "needs_response"
    UNDER_REVIEW = "under_review"
    WON = "won"
    LOST = "lost"
    ACCEPTED = "accepted"
    CLOSED = "closed"
    UNKNOWN = "unknown"

    @property
    def final(self) -> bool:
        """True if the dispute is over."""
        return self in {self.WON, self.LOST, self.ACCEPTED, self.CLOSED}


class PayoutState(StrEnum):
    """The state of a payout to your bank."""

    PENDING = "pending"
    IN_TRANSIT = "in_transit"
    PAID = "paid"
    FAILED = "failed"
    CANCELED = "canceled"
    UNKNOWN = "unknown"
