"""Conversion of Postal's webhooks to events and received mail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email_outcomes import EmailEvent, EmailStatus, RejectReason
from moorage.vendors.email._common import bare_address

if TYPE_CHECKING:
    from moorage.contracts.email_received import ReceivedEmail

_EVENTS: Final = {
    "MessageSent": EmailStatus.DELIVERED,
    "MessageDelayed": EmailStatus.DEFERRED,
    "MessageDeliveryFailed": EmailStatus.BOUNCED,
    "MessageHeld": EmailStatus.QUEUED,
    "MessageBounced": EmailStatus.BOUNCED,
    "MessageLinkClicked": EmailStatus.CLICKED,
    "MessageLoaded": EmailStatus.OPENED,
}
_PERMANENT: Final = {"MessageDeliveryFailed": True, "MessageDelayed": False}
_BOUNCED: Final = "MessageBounced"
_FAILED: Final = "MessageDeliveryFailed"
_INCOMING: Final = "incoming"


def read_events(
    event: sdk.WebhookEvent, ref: sdk.MakeRef
) -> tuple[EmailEvent, ...] | tuple[ReceivedEmail, ...]:
    """Convert a webhook to an event or a received message; none if it is about a domain."""
    fields = sdk.as_answer(event.payload)
    if fields.text("rcpt_to") is not None:
        from moorage.vendors.email._postal_received import read_received  # noqa: PLC0415 - few accounts receive mail

        return read_received(event, fields, ref)
    kind = fields.text("event") or ""
    message = fields.object("payload.original_message" if kind == _BOUNCED else "payload.message")
    id_, message_id = message.integer("id"), message.text("message_id")
    # A webhook about a received message says that it could not be forwarded to a server of yours.
    if id_ is None or message_id is None or message.text("direction") == _INCOMING:
        return ()
    tag, payload = message.text("tag"), fields.object("payload")
    return (
        EmailEvent(
            id=event.id,
            ref=ref(message_id, message=str(id_)),
            status=_EVENTS.get(kind, EmailStatus.UNKNOWN),
            vendor_status=kind or None,
            at=fields.time("timestamp"),
            email=bare_address(message.text("to")),
            reason=payload.text("output") or payload.text("details"),
            cause=_cause(kind, payload),
            permanent=_PERMANENT.get(kind),
            url=payload.text("url"),
            user_agent=payload.text("user_agent"),
            tags=() if tag is None else (tag,),
            raw=fields.raw,
        ),
    )


def _cause(kind: str, payload: sdk.Answer) -> RejectReason | None:
    if kind == _BOUNCED or (kind == _FAILED and payload.text("output")):
        return RejectReason.BOUNCED
    # Without a reply of the recipient's server, a rule of this installation was the reason.
    return RejectReason.OTHER if kind == _FAILED else None
