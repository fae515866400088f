"""Conversion of Postmark's webhooks to email events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email_outcomes import EmailEvent, EmailStatus, RejectReason
from moorage.vendors.email._common import bare_address, texts_of

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.contracts.email_received import ReceivedEmail

_RECORDS: Final = {
    "Delivery": EmailStatus.DELIVERED,
    "Open": EmailStatus.OPENED,
    "Click": EmailStatus.CLICKED,
    "SpamComplaint": EmailStatus.COMPLAINED,
}
_BOUNCES: Final = {
    "HardBounce": EmailStatus.BOUNCED,
    "SoftBounce": EmailStatus.BOUNCED,
    "Transient": EmailStatus.DEFERRED,
    "DnsError": EmailStatus.DEFERRED,
    **sdk.words(
        EmailStatus.REJECTED,
        "BadEmailAddress Blocked DMARCPolicy ManuallyDeactivated SpamNotification Unconfirmed"
        " VirusNotification",
    ),
    "SMTPApiError": EmailStatus.FAILED,
    "TemplateRenderingFailed": EmailStatus.FAILED,
    "SpamComplaint": EmailStatus.COMPLAINED,
    "Subscribe": EmailStatus.SUBSCRIBED,
    "Unsubscribe": EmailStatus.UNSUBSCRIBED,
}
_SUPPRESSED: Final = {
    "HardBounce": EmailStatus.BOUNCED,
    "SpamComplaint": EmailStatus.COMPLAINED,
}
_CAUSES: Final = {
    "BadEmailAddress": RejectReason.INVALID,
    **dict.fromkeys(("HardBounce", "SoftBounce"), RejectReason.BOUNCED),
    **dict.fromkeys(("Blocked", "DMARCPolicy", "ManuallyDeactivated"), RejectReason.BLOCKED),
    **dict.fromkeys(("SpamComplaint", "SpamNotification"), RejectReason.SPAM),
    **dict.fromkeys(("Unsubscribe", "ManualSuppression"), RejectReason.UNSUBSCRIBED),
    **dict.fromkeys(("Unconfirmed", "VirusNotification"), RejectReason.OTHER),
}
"""The reasons for rejection by Postmark's types of bounces and reasons of suppressions."""
_PERMANENT: Final = {
    "HardBounce": True,
    "BadEmailAddress": True,
    "SoftBounce": False,
    "Transient": False,
    "DnsError": False,
}
_TIMES: Final = ("DeliveredAt", "BouncedAt", "ReceivedAt", "ChangedAt")
_INBOUND: Final = "Inbound"


def read_event(
    event: sdk.WebhookEvent, ref: sdk.MakeRef
) -> tuple[EmailEvent, ...] | tuple[ReceivedEmail, ...]:
    """Convert a webhook to events or a received message; none if it has no message."""
    fields = sdk.as_answer(event.payload)
    id_, record, bounce = fields.text("MessageID"), fields.text("RecordType"), fields.text("Type")
    if id_ is not None and (record == _INBOUND or (record is None and fields.object("FromFull"))):
        from moorage.vendors.email._postmark_received import read_received  # noqa: PLC0415 - few accounts receive mail

        return (read_received(event, fields, ref),)
    if id_ is None or record is None:
        return ()
    tag = fields.text("Tag")
    return (
        EmailEvent(
            id=event.id,
            ref=ref(id_),
            status=_status(fields),
            vendor_status=bounce or record,
            at=_time_of(fields),
            email=bare_address(fields.text("Email") or fields.text("Recipient")),
            code=bounce or fields.text("SuppressionReason"),
            reason=fields.text("Details") or fields.text("Description"),
            cause=_cause(fields),
            permanent=_PERMANENT.get(bounce or ""),
            url=fields.text("OriginalLink"),
            user_agent=fields.text("UserAgent"),
            tags=() if tag is None else (tag,),
            metadata=texts_of(fields.value("Metadata")),
            raw=fields.raw,
        ),
    )


def _status(answer: sdk.Answer) -> EmailStatus:
    record = answer.text("RecordType") or ""
    if record == "Bounce":
        return _BOUNCES.get(answer.text("Type") or "", EmailStatus.UNKNOWN)
    if record == "SubscriptionChange":
        if answer.flag("SuppressSending") is False:
            return EmailStatus.SUBSCRIBED
        return _SUPPRESSED.get(answer.text("SuppressionReason") or "", EmailStatus.UNSUBSCRIBED)
    return _RECORDS.get(record, EmailStatus.UNKNOWN)


def _cause(answer: sdk.Answer) -> RejectReason | None:
    if answer.flag("SuppressSending") is False:
        return None
    return _CAUSES.get(answer.text("Type") or answer.text("SuppressionReason") or "")


def _time_of(answer: sdk.Answer) -> datetime | None:
    return next(
        (event_time for name in _TIMES if (event_time := answer.time(name)) is not None), None
    )
