"""Events from Paystack's webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import PaymentEvent
from moorage.vendors.payments._common import dispute_event, events_of, payment_event
from moorage.vendors.payments._paystack_answers import dispute_of, payment_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_REVERSED: Final = "reversed"


def read_events(event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[PaymentEvent, ...]:
    """Convert a webhook to an event of a payment or a dispute; no event for any other object."""
    reader = _READERS.get(event.vendor_type)
    return () if reader is None else events_of(event, reader(ref, sdk.as_answer(event.data)))


def _payment_event(ref: sdk.MakeRef, body: sdk.Answer) -> PaymentEvent | None:
    return payment_event(payment_of(ref, body))


def _refund_event(ref: sdk.MakeRef, body: sdk.Answer) -> PaymentEvent | None:
    """The hint that a payment has changed: a webhook of a refund contains no id of the refund."""
    payment = body.text("transaction_reference")
    if payment is None:
        return None
    return PaymentEvent(
        id=None,
        ref=ref(payment, currency=body.text("currency")),
        vendor_state=body.text("status"),
        ask=True,
    )


def _dispute_event(ref: sdk.MakeRef, body: sdk.Answer) -> PaymentEvent | None:
    is_taken = body.text("transaction.status") == _REVERSED
    return dispute_event(dispute_of(ref, body), taken=is_taken)


_READERS: Final[Mapping[str, Callable[[sdk.MakeRef, sdk.Answer], PaymentEvent | None]]] = {
    "charge.success": _payment_event,
    "charge.dispute.create": _dispute_event,
    "charge.dispute.remind": _dispute_event,
    "charge.dispute.resolve": _dispute_event,
    "refund.failed": _refund_event,
    "refund.needs-attention": _refund_event,
    "refund.pending": _refund_event,
    "refund.processed": _refund_event,
    "refund.processing": _refund_event,
}
