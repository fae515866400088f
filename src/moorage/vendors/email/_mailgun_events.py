"""Conversion of Mailgun's webhooks to message events."""

from __future__ import annotations

from typing import Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email_outcomes import EmailEvent, EmailStatus, RejectReason
from moorage.vendors.email._common import bare_address, texts_of

_EVENTS: Final = {
    "accepted": EmailStatus.QUEUED,
    "delivered": EmailStatus.DELIVERED,
    "rejected": EmailStatus.REJECTED,
    "opened": EmailStatus.OPENED,
    "clicked": EmailStatus.CLICKED,
    "unsubscribed": EmailStatus.UNSUBSCRIBED,
    "complained": EmailStatus.COMPLAINED,
}
_FAILED: Final = {"permanent": EmailStatus.BOUNCED, "temporary": EmailStatus.DEFERRED}
_PERMANENT: Final = {"permanent": True, "temporary": False}
_CAUSES: Final = {
    **dict.fromkeys(("bounce", "suppress-bounce"), RejectReason.BOUNCED),
    "suppress-complaint": RejectReason.SPAM,
    "suppress-unsubscribe": RejectReason.UNSUBSCRIBED,
    "espblock": RejectReason.BLOCKED,
}
"""The reasons for rejection by the reasons of failure that Mailgun states."""
_REACTIONS: Final = {
    "complained": RejectReason.SPAM,
    "unsubscribed": RejectReason.UNSUBSCRIBED,
    "rejected": RejectReason.OTHER,
}
_SUPPRESSED: Final = "suppress-"
_INBOUND: Final = "stored"


def read_events(event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[EmailEvent, ...]:
    """Convert a webhook to its event; none if it is not about a sent message."""
    fields = sdk.as_answer(event.payload).object("event-data")
    id_, kind = fields.text("message.headers.message-id"), fields.text("event")
    if id_ is None or kind in {None, _INBOUND}:
        return ()
    status, severity = fields.object("delivery-status"), fields.text("severity") or ""
    return (
        EmailEvent(
            id=event.id,
            ref=ref(bare_message_id(id_)),
            status=_status(fields),
            vendor_status=kind,
            at=fields.time("timestamp"),
            email=bare_address(fields.text("recipient")),
            code=status.text("enhanced-code") or status.text("code") or fields.text("reason"),
            reason=status.text("description")
            or status.text("message")
            or fields.text("reject.reason"),
            cause=_cause(fields),
            permanent=_PERMANENT.get(severity),
            url=fields.text("url"),
            user_agent=fields.text("client-info.user-agent"),
            tags=fields.texts("tags"),
            metadata=texts_of(fields.value("user-variables")),
            raw=fields.raw,
        ),
    )


def bare_message_id(id_: str) -> str:
    """A message id without the angle brackets that only headers have."""
    return id_.strip("<>")


def _status(fields: sdk.Answer) -> EmailStatus:
    kind = fields.text("event") or ""
    if kind == "failed":
        # A message to a recipient on a suppression list was not even attempted.
        if (fields.text("reason") or "").startswith(_SUPPRESSED):
            return EmailStatus.REJECTED
        return _FAILED.get(fields.text("severity") or "", EmailStatus.FAILED)
    return _EVENTS.get(kind, EmailStatus.UNKNOWN)


def _cause(fields: sdk.Answer) -> RejectReason | None:
    kind = fields.text("event") or ""
    if kind == "failed":
        return _CAUSES.get(fields.text("reason") or "", RejectReason.OTHER)
    return _REACTIONS.get(kind)
