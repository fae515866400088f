"""Conversion of Mollie's webhooks to events."""

from __future__ import annotations

import re
from typing import Final

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import PaymentEvent

_PAYMENT: Final = re.compile(r"tr_[A-Za-z0-9]{1,64}")


def read_events(event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[PaymentEvent, ...]:
    """Convert a webhook to an event that causes a look-up of its payment, if it names one."""
    data, fields = sdk.as_answer(event.data), sdk.as_answer(event.payload)
    for key in (fields.text("entityId"), data.text("paymentId"), data.text("id")):
        if key is not None and _PAYMENT.fullmatch(key) is not None:
            return (
                PaymentEvent(
                    # The payment's id does not distinguish two of its events.
                    id=None if event.id == key else event.id,
                    ref=ref(key),
                    vendor_type=event.vendor_type,
                    at=event.time,
                    ask=True,
                    raw=event.payload,
                ),
            )
    return ()
