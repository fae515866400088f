"""Conversion of Authorize.Net's webhooks to events."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from moorage.contracts.payments import PaymentEvent
from moorage.vendor_sdk import as_answer

if TYPE_CHECKING:
    from moorage.vendor_sdk import MakeRef, WebhookEvent

_ID: Final = re.compile(r"[0-9]{1,20}")
_PAYMENTS: Final = "net.authorize.payment."


def read_events(event: WebhookEvent, ref: MakeRef) -> tuple[PaymentEvent, ...]:
    """Convert a webhook to an event that causes a look-up of its transaction.

    The webhook of a refund has the id of the refund, whose look-up finds the payment.
    """
    payload = as_answer(event.data)
    id_ = payload.text("id") or ""
    is_payment = event.vendor_type.startswith(_PAYMENTS)
    is_transaction = payload.text("entityName") == "transaction"
    if not (is_payment and is_transaction) or _ID.fullmatch(id_) is None:
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
