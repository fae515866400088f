"""The state of a message at Postmark, derived from the message's events."""

from __future__ import annotations

from typing import Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email_outcomes import EmailReceipt, EmailStatus, RecipientOutcome

_STATUSES: Final = {
    "Queued": EmailStatus.QUEUED,
    "Processed": EmailStatus.SENT,
    "Sent": EmailStatus.SENT,
}
_EVENTS: Final = {
    "Delivered": EmailStatus.DELIVERED,
    "Transient": EmailStatus.DEFERRED,
    "Bounced": EmailStatus.BOUNCED,
    "Opened": EmailStatus.OPENED,
    "LinkClicked": EmailStatus.CLICKED,
}
"""The message status for each of Postmark's events that changes it."""


def read_message(ref: sdk.Ref, response: sdk.Response) -> EmailReceipt:
    """Parse the state of a message, and of each recipient by its last event."""
    fields = sdk.read_answer(response)
    if fields.text("MessageID") != ref.id:
        raise sdk.malformed(response, "MessageID")
    vendor_status = fields.text("Status")
    status = _STATUSES.get(vendor_status or "", EmailStatus.UNKNOWN)
    states = {email.lower(): status for email in fields.texts("Recipients")}
    times: dict[str, str] = {}
    for event in fields.objects("MessageEvents"):
        email, kind = (event.text("Recipient") or "").lower(), event.text("Type") or ""
        moment = event.text("ReceivedAt") or ""
        if email in states and kind in _EVENTS and moment >= times.get(email, ""):
            states[email], times[email] = _EVENTS[kind], moment
    [*kinds] = set(states.values())
    return EmailReceipt(
        ref=ref,
        status=kinds[0] if len(kinds) == 1 else status,
        vendor_status=vendor_status,
        recipients=tuple(
            RecipientOutcome(email=email, status=state) for email, state in states.items()
        ),
        raw=fields.raw,
    )
