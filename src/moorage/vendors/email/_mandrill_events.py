"""Conversion of Mandrill's webhooks to events and received mail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email_outcomes import EmailEvent, EmailStatus, RejectReason
from moorage.vendors.email._common import bare_address, original_metadata_name, texts_of
from moorage.vendors.email._mandrill_answers import ID_NAME, is_id_name
from moorage.vendors.email._mandrill_rejects import REASONS

if TYPE_CHECKING:
    from moorage.contracts.email_received import ReceivedEmail

_EVENTS: Final = {
    "send": EmailStatus.SENT,
    "deferral": EmailStatus.DEFERRED,
    "delivered": EmailStatus.DELIVERED,
    "hard_bounce": EmailStatus.BOUNCED,
    "soft_bounce": EmailStatus.BOUNCED,
    "open": EmailStatus.OPENED,
    "click": EmailStatus.CLICKED,
    "spam": EmailStatus.COMPLAINED,
    "unsub": EmailStatus.UNSUBSCRIBED,
    "reject": EmailStatus.REJECTED,
}
_CAUSES: Final = {
    "hard_bounce": RejectReason.BOUNCED,
    "soft_bounce": RejectReason.BOUNCED,
    "spam": RejectReason.SPAM,
    "unsub": RejectReason.UNSUBSCRIBED,
}
_PERMANENT: Final = {"hard_bounce": True, "soft_bounce": False, "deferral": False}
_REJECT: Final = "reject"
_RECEIVED: Final = "inbound"


def read_events(
    event: sdk.WebhookEvent, ref: sdk.MakeRef
) -> tuple[EmailEvent, ...] | tuple[ReceivedEmail, ...]:
    """Convert a webhook item to an event or a received message; none for changes of lists."""
    fields = sdk.as_answer(event.payload)
    kind, message_id = fields.text("event") or "", fields.text("_id")
    if kind == _RECEIVED:
        from moorage.vendors.email._mandrill_received import read_received  # noqa: PLC0415 - few accounts receive mail

        return read_received(event, fields, ref)
    if message_id is None:
        return ()
    message = fields.object("msg")
    metadata = texts_of(message.value("metadata"))
    return (
        EmailEvent(
            id=event.id,
            ref=ref(metadata.get(ID_NAME) or message_id, message=message_id),
            status=_EVENTS.get(kind, EmailStatus.UNKNOWN),
            vendor_status=kind or None,
            at=fields.time("ts"),
            email=bare_address(message.text("email")),
            code=message.text("bounce_description") or message.text("reject.reason"),
            reason=message.text("diag"),
            cause=_reject_cause(message) if kind == _REJECT else _CAUSES.get(kind),
            permanent=_PERMANENT.get(kind),
            url=fields.text("url"),
            user_agent=fields.text("user_agent"),
            tags=message.texts("tags"),
            metadata={
                original_metadata_name(name, is_id_name): text
                for name, text in metadata.items()
                if not is_id_name(name)
            },
            raw=fields.raw,
        ),
    )


def _reject_cause(message: sdk.Answer) -> RejectReason:
    return REASONS.get(message.text("reject.reason") or "", RejectReason.BLOCKED)
