"""Helpers of payment vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from moorage.contracts.payments import MoveState, Void, payment_ref
from moorage.domain.http.redaction import Redaction
from moorage.errors import PaymentDeclined, VendorRejected

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from datetime import datetime

    from moorage.contracts.payments import Money, Payment, PaymentQuery
    from moorage.contracts.wire import Wire

A = TypeVar("A")

_USUAL: Final = Redaction()
_LONGEST: Final = 300


async def named(wire: Wire, requested: Money | None, sending: Awaitable[A]) -> A:
    """Send a request; add the reference of the payment to a decline.

    Args:
        wire: makes the reference.
        requested: requested amount, if known.
        sending: sends the request.
    """
    try:
        return await sending
    except PaymentDeclined as error:
        if error.payment is not None:
            error.payment = str(payment_ref(wire.ref, error.payment, requested))
        raise


def safe_text(text: str | None) -> str | None:
    """A vendor's text, without secrets and shortened; None if it is empty."""
    return _USUAL.words(text or "", _LONGEST) or None


def void_of(payment: Payment, *, word: str) -> Void:
    """The void of a payment, where voids have no id.

    Args:
        payment: the payment afterwards.
        word: the vendor's word for the state of a voided payment.
    """
    return Void(
        ref=payment.ref,
        payment=payment.ref,
        state=MoveState.SUCCEEDED if payment.vendor_state == word else MoveState.UNKNOWN,
        vendor_state=payment.vendor_state,
        after=payment,
        raw=payment.raw,
    )


def left_of(payment: Payment) -> Money:
    """The amount of a payment that can still be refunded.

    Raises:
        VendorRejected: nothing is left.
    """
    left = payment.refundable
    if left is not None and left.minor > 0:
        return left
    raise VendorRejected(
        "Nothing of this payment is left to refund.",
        remedy="Look at the refunds of the payment.",
    )


def is_before(query: PaymentQuery, created_at: datetime | None) -> bool:
    """True if an item was created before the time that the query starts at."""
    return created_at is not None and query.since is not None and created_at < query.since


def is_within(query: PaymentQuery, created_at: datetime | None) -> bool:
    """True if the query includes an item of this time; one without a time is included."""
    late = created_at is not None and query.until is not None and created_at >= query.until
    return not late and not is_before(query, created_at)
