"""Parsing of Brevo's responses and webhooks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from moorage.contracts.email_outcomes import (
    EmailCounts,
    EmailEvent,
    EmailReceipt,
    EmailStatistics,
    EmailStatus,
    RejectReason,
)
from moorage.vendor_sdk import Result, as_answer, as_time, is_list, malformed, read_answer, required
from moorage.vendors.email._common import bare_address, receipt_of, status_of, sum_of, texts_of

if TYPE_CHECKING:
    from datetime import date, datetime

    from moorage.contracts.email import EmailMessage
    from moorage.contracts.email_bulk import BulkMessage
    from moorage.contracts.email_outcomes import StatisticsQuery
    from moorage.vendor_sdk import Answer, MakeRef, Response, WebhookEvent, Wire

_EVENTS: Final = {
    # After this event, Brevo sends the same event for each message that it blocks.
    "request": EmailStatus.QUEUED,
    "sent": EmailStatus.QUEUED,
    "delivered": EmailStatus.DELIVERED,
    "deferred": EmailStatus.DEFERRED,
    "soft_bounce": EmailStatus.BOUNCED,
    "hard_bounce": EmailStatus.BOUNCED,
    "blocked": EmailStatus.REJECTED,
    "invalid_email": EmailStatus.REJECTED,
    "error": EmailStatus.FAILED,
    "opened": EmailStatus.OPENED,
    "unique_opened": EmailStatus.OPENED,
    "proxy_open": EmailStatus.OPENED,
    "unique_proxy_open": EmailStatus.OPENED,
    "click": EmailStatus.CLICKED,
    "spam": EmailStatus.COMPLAINED,
    "complaint": EmailStatus.COMPLAINED,
    "unsubscribe": EmailStatus.UNSUBSCRIBED,
    "unsubscribed": EmailStatus.UNSUBSCRIBED,
}
_CAUSES: Final = {
    **dict.fromkeys(("soft_bounce", "hard_bounce"), RejectReason.BOUNCED),
    "invalid_email": RejectReason.INVALID,
    "blocked": RejectReason.BLOCKED,
    "error": RejectReason.OTHER,
    **dict.fromkeys(("spam", "complaint"), RejectReason.SPAM),
    **dict.fromkeys(("unsubscribe", "unsubscribed"), RejectReason.UNSUBSCRIBED),
}
_PERMANENT: Final = {
    "hard_bounce": True,
    "invalid_email": True,
    "soft_bounce": False,
    "deferred": False,
}
_TIMES: Final = ("ts_epoch", "s_epoch", "ts_event")
"""The fields that state the time of an event in UTC; `date` and `ts` are in the account's time
zone.
"""
_MILLISECONDS: Final = range(10**11, 10**15)
"""The range of numbers that count milliseconds since 1970; a smaller number counts seconds."""
_CUSTOM: Final = "X-Mailin-custom"
_COUNTS: Final = {
    "requested": ("requests",),
    "delivered": ("delivered",),
    "bounced": ("hardBounces", "softBounces"),
    "blocked": ("blocked",),
    "dropped": ("invalid",),
    "opened": ("opens",),
    "unique_opened": ("uniqueOpens",),
    "clicked": ("clicks",),
    "unique_clicked": ("uniqueClicks",),
    "complained": ("spamReports",),
    "unsubscribed": ("unsubscribed",),
}
"""Brevo's counters, by the contract's names."""


def read_receipt(wire: Wire, message: EmailMessage, response: Response) -> EmailReceipt:
    """Parse the receipt of an accepted message."""
    fields = read_answer(response)
    id_ = required(_id_of(fields.text("messageId")), response, "messageId")
    return receipt_of(wire, id_, message.everybody, status_of(message), fields.raw)


def read_results(wire: Wire, bulk: BulkMessage, response: Response) -> list[Result[EmailReceipt]]:
    """Parse the results of a bulk message, which is accepted for all recipients or none."""
    fields = read_answer(response)
    ids = [_id_of(id_) for id_ in fields.texts("messageIds")]
    if len(ids) != len(bulk.recipients):
        raise malformed(response, "message id for each recipient")
    return [
        Result(
            receipt_of(
                wire,
                required(id_, response, "messageIds"),
                recipient.everybody,
                status_of(bulk.base),
                {"messageId": id_},
            )
        )
        for id_, recipient in zip(ids, bulk.recipients, strict=True)
    ]


def _id_of(text: str | None) -> str | None:
    """A message id without the angle brackets that Brevo sometimes adds."""
    return (text or "").strip("<>") or None


def read_page(response: Response) -> list[Answer]:
    """Parse one page of statistics; the list may be missing if there are none."""
    body = read_answer(response)
    if not is_list(body.value("reports") or []):
        raise malformed(response, "reports")
    rows = list(body.objects("reports"))
    for row in rows:
        required(row.time("date"), response, "date")
    return rows


def read_reports(query: StatisticsQuery, rows: list[Answer]) -> EmailStatistics:
    """Parse the email statistics in a response."""
    counted_pairs: list[tuple[date, EmailCounts]] = []
    for row in rows:
        numbers = {
            field_name: sum_of([row.integer(name) for name in vendor_names])
            for field_name, vendor_names in _COUNTS.items()
        }
        day = row.time("date")
        if day is not None:
            counted_pairs.append((day.date(), EmailCounts(**numbers)))
    return EmailStatistics.of(query, counted_pairs, {"reports": [row.raw for row in rows]})


def read_event(event: WebhookEvent, ref: MakeRef) -> tuple[EmailEvent, ...]:
    """Convert a webhook to events; none if it has no message, such as a campaign's webhook."""
    fields = as_answer(event.payload)
    id_, word = _id_of(fields.text("message-id")), fields.text("event")
    if id_ is None or word is None:
        return ()
    return (
        EmailEvent(
            id=event.id,
            ref=ref(id_),
            status=_EVENTS.get(word, EmailStatus.UNKNOWN),
            vendor_status=word,
            at=_time_of(fields),
            email=bare_address(fields.text("email")),
            reason=fields.text("reason"),
            cause=_CAUSES.get(word),
            permanent=_PERMANENT.get(word),
            url=fields.text("link"),
            tags=fields.texts("tags") or fields.texts("tag"),
            metadata=_metadata_of(fields.text(_CUSTOM)),
            raw=fields.raw,
        ),
    )


def _time_of(fields: Answer) -> datetime | None:
    for name in _TIMES:
        number = fields.integer(name)
        if number is not None:
            return as_time(number / 1000 if number in _MILLISECONDS else number)
    return None


def _metadata_of(text: str | None) -> dict[str, str]:
    try:
        return texts_of(json.loads(text)) if text else {}
    except (ValueError, RecursionError):
        return {}
