"""Conversion of Square's webhooks to payment events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk
from moorage.vendors.payments._common import (
    dispute_event,
    events_of,
    payment_event,
    payout_event,
    refund_event,
)
from moorage.vendors.payments._square_answers import dispute_of, payment_of, payout_of, refund_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.contracts.payments import PaymentEvent

_MONEY_WITHDRAWN: Final = frozenset({"EVIDENCE_REQUIRED", "PROCESSING", "LOST", "ACCEPTED"})


def read_events(event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[PaymentEvent, ...]:
    """Convert a webhook to events of payments, refunds, disputes and payouts."""
    fields = sdk.as_answer(event.data)
    for name, reader in _READERS.items():
        read_event = reader(ref, fields.object(name))
        if read_event is not None:
            return events_of(event, read_event)
    return ()


def _payment_event(ref: sdk.MakeRef, body: sdk.Answer) -> PaymentEvent | None:
    return payment_event(payment_of(ref, body))


def _refund_event(ref: sdk.MakeRef, body: sdk.Answer) -> PaymentEvent | None:
    return refund_event(refund_of(ref, body))


def _dispute_event(ref: sdk.MakeRef, body: sdk.Answer) -> PaymentEvent | None:
    dispute = dispute_of(ref, body)
    is_taken = dispute is not None and dispute.vendor_state in _MONEY_WITHDRAWN
    return dispute_event(dispute, taken=is_taken)


def _payout_event(ref: sdk.MakeRef, body: sdk.Answer) -> PaymentEvent | None:
    return payout_event(payout_of(ref, body))


_READERS: Final[Mapping[str, Callable[[sdk.MakeRef, sdk.Answer], PaymentEvent | None]]] = {
    "payment": _payment_event,
    "refund": _refund_event,
    "dispute": _dispute_event,
    "payout": _payout_event,
}
