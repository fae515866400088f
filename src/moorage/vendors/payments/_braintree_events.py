"""Conversion of Braintree's webhooks to events."""

from __future__ import annotations

import re
from typing import Final

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import PaymentEvent

_ID: Final = re.compile(r"[A-Za-z0-9_]{1,64}")
_PLACES: Final = {
    "transaction_": "subject.transaction",
    "dispute_": "subject.dispute.transaction",
}


def read_events(event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[PaymentEvent, ...]:
    """Convert a webhook to an event that causes a look-up of its payment, if it names one."""
    place = next(
        (path for kind, path in _PLACES.items() if event.vendor_type.startswith(kind)), None
    )
    if place is None:
        return ()
    transaction = _document(event).object(place)
    id_ = transaction.text("id") or ""
    is_refund = transaction.text("type") == "credit"
    if is_refund or _ID.fullmatch(id_) is None:
        return ()
    return (
        PaymentEvent(
            id=event.id,
            ref=ref(id_),
            vendor_type=event.vendor_type,
            at=event.time,
            ask=True,
            raw=event.payload,
        ),
    )


def _document(event: sdk.WebhookEvent) -> sdk.Answer:
    """The fields of a webhook's XML document; empty if it is not XML."""
    try:
        document = sdk.read_xml((sdk.as_answer(event.payload).text("document") or "").encode())
    except sdk.NotXmlError:
        return sdk.Answer({})
    return sdk.Answer(document.as_dict())
