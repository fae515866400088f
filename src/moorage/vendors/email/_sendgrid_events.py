"""Conversion of SendGrid's webhooks to message events."""

from __future__ import annotations

import re
from typing import Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email_outcomes import EmailEvent, EmailStatus, RejectReason
from moorage.vendors.email._common import bare_address, original_metadata_name

_EVENTS: Final = {
    "processed": EmailStatus.QUEUED,
    "delivered": EmailStatus.DELIVERED,
    "deferred": EmailStatus.DEFERRED,
    "bounce": EmailStatus.BOUNCED,
    "dropped": EmailStatus.REJECTED,
    "open": EmailStatus.OPENED,
    "click": EmailStatus.CLICKED,
    "spamreport": EmailStatus.COMPLAINED,
    "unsubscribe": EmailStatus.UNSUBSCRIBED,
    "group_unsubscribe": EmailStatus.UNSUBSCRIBED,
    "group_resubscribe": EmailStatus.SUBSCRIBED,
}
_CAUSES: Final = {
    "invalid": RejectReason.INVALID,
    "bounced address": RejectReason.BOUNCED,
    "spam reporting address": RejectReason.SPAM,
    "spam content": RejectReason.SPAM,
    "unsubscribed address": RejectReason.UNSUBSCRIBED,
    "recipient list over package quota": RejectReason.BLOCKED,
}
"""The reasons for rejection by SendGrid's reasons for dropping a message."""
_REACTIONS: Final = {
    "spamreport": RejectReason.SPAM,
    "unsubscribe": RejectReason.UNSUBSCRIBED,
    "group_unsubscribe": RejectReason.UNSUBSCRIBED,
}
_OWN_FIELDS: Final = sdk.word_set(
    "asm_group_id attempt bounce_classification category email event ip marketing_campaign_id"
    " marketing_campaign_name pool reason response send_at sg_content_type sg_event_id"
    " sg_machine_open sg_message_id sg_template_id sg_template_name smtp-id status timestamp tls"
    " type url url_offset useragent"
)
_SERVER_NAMES: Final = re.compile(r"(?:^|\.)(?:filter|recvd)")
_SMTP_ID: Final = re.compile(r"<([^<>@]+)@[^<>@]*ismtpd[^<>@]*>")


def read_events(event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[EmailEvent, ...]:
    """Convert a webhook to its event; none if it has no message id."""
    fields = sdk.as_answer(event.payload)
    full_id, kind = fields.text("sg_message_id"), fields.text("event")
    id_ = message_id(full_id or "", fields.text("smtp-id") or "")
    if not id_:
        return ()
    category = fields.value("category")
    is_blocked = kind == "bounce" and fields.text("type") == "blocked"
    return (
        EmailEvent(
            id=event.id,
            ref=ref(id_, message=full_id),
            status=_EVENTS.get(kind or "", EmailStatus.UNKNOWN),
            vendor_status=kind,
            at=fields.time("timestamp"),
            email=bare_address(fields.text("email")),
            code=fields.text("status"),
            reason=fields.text("reason") or fields.text("response"),
            cause=_cause(fields),
            permanent={"bounce": not is_blocked, "deferred": False}.get(kind or ""),
            url=fields.text("url"),
            user_agent=fields.text("useragent"),
            tags=(category,) if isinstance(category, str) else fields.texts("category"),
            metadata={
                original_metadata_name(name, is_vendor_field): value
                for name, value in fields.raw.items()
                if name not in _OWN_FIELDS and isinstance(value, str)
            },
            raw=fields.raw,
        ),
    )


def _cause(fields: sdk.Answer) -> RejectReason | None:
    kind = fields.text("event")
    if kind == "bounce":
        is_blocked = fields.text("type") == "blocked"
        return RejectReason.BLOCKED if is_blocked else RejectReason.BOUNCED
    if kind == "dropped":
        return _CAUSES.get((fields.text("reason") or "").lower(), RejectReason.OTHER)
    return _REACTIONS.get(kind or "")


def message_id(id_: str, smtp_id: str = "") -> str:
    """The message id, extracted from the ids in an event.

    Args:
        id_: id in the event, followed by names of servers. A message that was dropped early has
            only server names, which many messages share.
        smtp_id: id that SendGrid's receiving server gave the message, which begins with its id.
    """
    station = _SERVER_NAMES.search(id_)
    if station is None:
        return id_.partition(".")[0]
    named_match = _SMTP_ID.fullmatch(smtp_id)
    return id_[: station.start()] or (id_ if named_match is None else named_match[1])


def is_vendor_field(name: str) -> bool:
    """True if SendGrid's events have a field with this name."""
    return name in _OWN_FIELDS
