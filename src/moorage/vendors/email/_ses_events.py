"""Conversion of Amazon SES's events, which arrive through an SNS topic."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.email_outcomes import EmailEvent, EmailStatus, RejectReason
from moorage.vendor_sdk import Answer, MakeRef, WebhookEvent, as_answer, is_list
from moorage.vendors.email._common import bare_address, split_pairs

if TYPE_CHECKING:
    from moorage.contracts.email_received import ReceivedEmail

_STATUSES: Final = {
    "Send": EmailStatus.SENT,
    "Delivery": EmailStatus.DELIVERED,
    "DeliveryDelay": EmailStatus.DEFERRED,
    "Bounce": EmailStatus.BOUNCED,
    "Complaint": EmailStatus.COMPLAINED,
    "Reject": EmailStatus.REJECTED,
    "Rendering Failure": EmailStatus.FAILED,
    "Open": EmailStatus.OPENED,
    "Click": EmailStatus.CLICKED,
    "Subscription": EmailStatus.UNSUBSCRIBED,
}
_RECEIVED: Final = "Received"
_SUPPRESSED: Final = frozenset({"OnAccountSuppressionList", "Suppressed"})
_CAUSES: Final = {
    "Bounce": RejectReason.BOUNCED,
    "Complaint": RejectReason.SPAM,
    "Reject": RejectReason.BLOCKED,
    "Rendering Failure": RejectReason.OTHER,
    "Subscription": RejectReason.UNSUBSCRIBED,
}
_CODES: Final = ("status", "complaintFeedbackType", "bounceSubType", "delayType")
"""The names of the fields with the reason of a failure: fields of one recipient first, then fields
of the whole message.
"""
_PARTS: Final = {
    "Bounce": ("bounce", "bouncedRecipients"),
    "Complaint": ("complaint", "complainedRecipients"),
    "Delivery": ("delivery", "recipients"),
    "DeliveryDelay": ("deliveryDelay", "delayedRecipients"),
    "Click": ("click", ""),
    "Open": ("open", ""),
    "Reject": ("reject", ""),
    "Rendering Failure": ("failure", ""),
    "Send": ("send", ""),
    "Subscription": ("subscription", ""),
}


def read_events(
    event: WebhookEvent, ref: MakeRef
) -> tuple[EmailEvent, ...] | tuple[ReceivedEmail, ...]:
    """Convert a webhook to one event per recipient, or to a received message."""
    try:
        fields = as_answer(json.loads(event.data))
    except (TypeError, ValueError):
        return ()
    kind = fields.text("eventType") or fields.text("notificationType") or ""
    id_ = fields.text("mail.messageId")
    if id_ is None:
        return ()
    if kind == _RECEIVED:
        from moorage.vendors.email._ses_received import read_received  # noqa: PLC0415 - few accounts receive mail

        return (read_received(event, fields, id_, ref),)
    part, recipients_field = _PARTS.get(kind, ("", ""))
    details = fields.object(part)
    people = (
        _recipient_answers(details.value(recipients_field))
        or _recipient_answers(fields.value("mail.destination"))
        or [as_answer({})]
    )
    words = as_answer(fields.value("mail.tags"))
    tags, metadata = split_pairs(
        {name: words.text(f"{name}.0") for name in words.raw if ":" not in name}
    )
    return tuple(
        EmailEvent(
            id=event.id if len(people) == 1 else f"{event.id}/{number}",
            ref=ref(id_),
            status=_status(kind, details),
            vendor_status=kind,
            at=details.time("timestamp") or fields.time("mail.timestamp"),
            email=bare_address(address.text("emailAddress")),
            code=next(
                (code for name in _CODES if (code := address.text(name) or details.text(name))),
                None,
            ),
            reason=address.text("diagnosticCode")
            or details.text("reason")
            or details.text("errorMessage"),
            cause=_CAUSES.get(kind),
            permanent=False
            if kind == "DeliveryDelay"
            else _is_permanent(details.text("bounceType")),
            url=details.text("link"),
            user_agent=details.text("userAgent"),
            tags=tags,
            metadata=metadata,
            raw=fields.raw,
        )
        for number, address in enumerate(people, 1)
    )


def _status(kind: str, details: Answer) -> EmailStatus:
    # A message to a recipient on a suppression list was not even attempted.
    if kind == "Bounce" and details.text("bounceSubType") in _SUPPRESSED:
        return EmailStatus.REJECTED
    return _STATUSES.get(kind, EmailStatus.UNKNOWN)


def _recipient_answers(several: Any) -> list[Answer]:
    """The recipients of an event, listed with or without their results."""
    items = several if is_list(several) else []
    return [as_answer({"emailAddress": item} if isinstance(item, str) else item) for item in items]


def _is_permanent(kind: str | None) -> bool | None:
    return {"Permanent": True, "Transient": False}.get(kind or "")
