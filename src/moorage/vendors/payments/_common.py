"""Helpers of payment vendors: URLs, texts, references, events and repeated steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    DeclineReason,
    Dispute,
    Money,
    MoveState,
    Payment,
    PaymentEvent,
    PaymentQuery,
    PaymentState,
    Payout,
    Refund,
    Subscription,
    Void,
    payment_ref,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime


A = TypeVar("A")
D = TypeVar("D", "Dispute", "Subscription")

_REDACTION: Final = sdk.Redaction()
_MAX_LENGTH: Final = 300


def return_url_option() -> Any:
    """Make an option for a whole URL that buyers return to, which may be left out."""
    return attrs.field(
        default=None,
        validator=attrs.validators.optional(
            sdk.matches(
                r"[A-Za-z][A-Za-z0-9+.-]*:\S+",
                problem="The value is not a URL to which buyers can return.",
                remedy="Set the complete URL, such as https://shop.example/paid.",
            )
        ),
    )


def url_of(*parts: str) -> str:
    """A path and its further segments, percent-encoded."""
    return "/".join([parts[0], *(quote(part, safe="") for part in parts[1:])])


async def with_payment_reference(
    wire: sdk.Wire, requested: Money | None, sending: Awaitable[A], *, payment_id: str | None = None
) -> A:
    """Send a request; if the payment is declined, the error contains the payment's reference.

    Args:
        wire: makes the reference.
        requested: requested amount, if known.
        sending: sends the request.
        payment_id: id of the payment, if it is known before the response.
    """
    try:
        return await sending
    except sdk.PaymentDeclined as error:
        declined_id = error.payment or payment_id
        if declined_id is not None:
            error.payment = str(payment_ref(wire.ref, declined_id, requested))
        raise


def answered_at(response: sdk.Response) -> datetime | None:
    """Return the time at which the vendor answered, by the vendor's clock."""
    return sdk.Answer({"at": response.headers.get("date")}).time("at")


def safe_text(text: str | None) -> str | None:
    """A vendor's text without secrets, shortened; None if it is empty."""
    return _REDACTION.words(text or "", _MAX_LENGTH) or None


def short_text(text: str | None, most: int, *, vendor: str, field: str) -> str | None:
    """A text, after checking that it is not too long for the vendor.

    Raises:
        InvalidData: it is too long.
    """
    if text is None or len(text) <= most:
        return text
    raise sdk.InvalidData(
        f"{vendor} accepts at most {most} characters for this field.",
        field=field,
        remedy="Give a shorter text.",
    )


async def executed_once(step: Awaitable[D], look_up: Callable[[], Awaitable[D]], done: str) -> D:
    """Return the result of a step that the vendor executes once and then refuses to repeat.

    An earlier request, whose response was lost, may have executed the step.

    Args:
        step: executes the step.
        look_up: gets the dispute or subscription, if the step is refused.
        done: state after the step.

    Raises:
        VendorRejected: the step is refused, and the state is another one.
    """
    try:
        return await step
    except sdk.VendorRejected:
        current = await look_up()
        if current.state != done:
            raise
        return current


def void_of(payment: Payment, *, word: str) -> Void:
    """Return the void of a payment, for vendors whose voids have no id.

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


def refundable_rest(payment: Payment) -> Money:
    """The amount of a payment that is not refunded yet.

    Raises:
        VendorRejected: nothing is left.
    """
    remaining_amount = payment.refundable
    if remaining_amount is not None and remaining_amount.minor > 0:
        return remaining_amount
    raise sdk.VendorRejected(
        "The payment is already refunded completely.",
        remedy="Check the refunds of the payment.",
    )


def is_before(query: PaymentQuery, created_at: datetime | None) -> bool:
    """True if an item was created before the query's start."""
    return created_at is not None and query.since is not None and created_at < query.since


def is_within(query: PaymentQuery, created_at: datetime | None) -> bool:
    """True if an item's time is within the query; items without a time are included."""
    is_late = created_at is not None and query.until is not None and created_at >= query.until
    return not is_late and not is_before(query, created_at)


def reason_by_code(codes: Mapping[DeclineReason, str]) -> dict[str, DeclineReason]:
    """Map each of a vendor's decline codes to its decline reason.

    Args:
        codes: the codes for each reason, separated by white space.
    """
    return {code: reason for reason, texts in codes.items() for code in texts.split()}


# --- events -----------------------------------------------------------------


def events_of(webhook: sdk.WebhookEvent, event: PaymentEvent | None) -> tuple[PaymentEvent, ...]:
    """The given event with the webhook's id, time and type, as a tuple; empty if there is none."""
    if event is None:
        return ()
    return (
        attrs.evolve(
            event,
            id=webhook.id,
            at=webhook.time,
            vendor_type=webhook.vendor_type,
            raw=webhook.data,
        ),
    )


def payment_event(payment: Payment | None) -> PaymentEvent | None:
    """The event with a payment's current state; None without a payment."""
    if payment is None:
        return None
    return PaymentEvent(
        id=None,
        ref=payment.ref,
        state=payment.state,
        vendor_state=payment.vendor_state,
        reference=payment.reference,
        amount=payment.amount,
        authorized=payment.authorized,
        captured=payment.captured,
        refunded=payment.refunded,
        decline=payment.decline,
        payment=payment,
    )


def refund_event(refund: Refund | None) -> PaymentEvent | None:
    """The event with a refund's current state; None if the refund or its payment is unknown."""
    if refund is None or refund.payment is None:
        return None
    return PaymentEvent(
        id=None, ref=refund.payment, vendor_state=refund.vendor_state, refund=refund
    )


def dispute_event(
    dispute: Dispute | None, *, taken: bool, reference: str | None = None
) -> PaymentEvent | None:
    """The event with a dispute's current state; None if the dispute or its payment is unknown.

    Args:
        dispute: the dispute.
        taken: True if the buyer has the money back, temporarily or finally.
        reference: the reference of the payment, if the vendor states it.
    """
    if dispute is None or dispute.payment is None:
        return None
    return PaymentEvent(
        id=None,
        ref=dispute.payment,
        state=PaymentState.DISPUTED if taken else None,
        vendor_state=dispute.vendor_state,
        reference=reference,
        dispute=dispute,
    )


def payout_event(payout: Payout | None) -> PaymentEvent | None:
    """The event with a payout's current state; None without a payout."""
    if payout is None:
        return None
    return PaymentEvent(id=None, ref=payout.ref, vendor_state=payout.vendor_state, payout=payout)
