"""What vendors of payments have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from moorage.contracts.payments import MoveState, Void, payment_ref
from moorage.domain.redaction import Redaction
from moorage.errors import PaymentDeclined, VendorRejected

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from datetime import datetime

    from moorage.contracts.payments import Money, Payment, PaymentQuery
    from moorage.contracts.wire import Wire

A = TypeVar("A")

_USUAL: Final = Redaction()
_LONGEST: Final = 300


async def named(wire: Wire, asked: Money | None, sending: Awaitable[A]) -> A:
    """What is sent; a payment that is declined is named by its whole reference.

    Args:
        wire: makes the reference.
        asked: what was asked for, if that is known.
        sending: sends it.
    """
    try:
        return await sending
    except PaymentDeclined as error:
        if error.payment is not None:
            error.payment = str(payment_ref(wire.ref, error.payment, asked))
        raise


def in_words(text: str | None) -> str | None:
    """A vendor's words, masked as usual and not too long; None if there are none."""
    return _USUAL.words(text or "", _LONGEST) or None


def given_up(payment: Payment, *, word: str) -> Void:
    """The giving up of a payment that has no id of its own.

    Args:
        payment: as it is afterwards.
        word: the vendor's word for one that was given up.
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
    """What of a payment can still be given back.

    Raises:
        VendorRejected: nothing.
    """
    left = payment.refundable
    if left is not None and left.minor > 0:
        return left
    raise VendorRejected(
        "Nothing of this payment is left to give back.",
        remedy="Look at what became of the payment.",
    )


def is_before(query: PaymentQuery, made: datetime | None) -> bool:
    """Whether a thing was made before the time from which they are asked for."""
    return made is not None and query.since is not None and made < query.since


def is_within(query: PaymentQuery, made: datetime | None) -> bool:
    """Whether a thing that was made then is asked for; one whose time nobody says always is."""
    late = made is not None and query.until is not None and made >= query.until
    return not late and not is_before(query, made)
