"""Parsing of Mailjet's responses and webhooks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email_outcomes import (
    EmailCounts,
    EmailEvent,
    EmailReceipt,
    EmailStatistics,
    EmailStatus,
    RejectReason,
)
from moorage.vendors.email._common import bare_address, outcomes, texts_of

if TYPE_CHECKING:
    from datetime import date

    from moorage.contracts.email import EmailMessage
    from moorage.contracts.email_outcomes import StatisticsQuery

_ERROR: Final = "error"
_EVENTS: Final = {
    "sent": EmailStatus.DELIVERED,
    "open": EmailStatus.OPENED,
    "click": EmailStatus.CLICKED,
    "bounce": EmailStatus.BOUNCED,
    "blocked": EmailStatus.REJECTED,
    "spam": EmailStatus.COMPLAINED,
    "unsub": EmailStatus.UNSUBSCRIBED,
}
"""Statuses of events. Mailjet's event `sent` means that the recipient's server accepted the
message.
"""
_CAUSES: Final = {
    **dict.fromkeys(
        ("user unknown", "invalid domain", "no mail host", "typofix"), RejectReason.INVALID
    ),
    **dict.fromkeys(
        ("mailbox inactive", "quota exceeded", "relay/access denied"), RejectReason.BOUNCED
    ),
    **dict.fromkeys(
        ("blacklisted", "sender blocked", "content blocked", "policy issue", "preblocked"),
        RejectReason.BLOCKED,
    ),
    "spam reporter": RejectReason.SPAM,
}
"""Causes of bounces and blocks, by Mailjet's errors."""
_REACTIONS: Final = {"spam": RejectReason.SPAM, "unsub": RejectReason.UNSUBSCRIBED}
_FAILURES: Final = frozenset({"bad or empty template", "error in template language"})
_RETRIED: Final = "greylisted"
_BOUNCE: Final = "bounce"
COUNTS: Final = (
    ("Total", "requested"),
    ("MessageSentCount", "delivered"),
    ("MessageDeferredCount", "deferred"),
    ("MessageHardBouncedCount", "bounced"),
    ("MessageSoftBouncedCount", "bounced"),
    ("MessageBlockedCount", "blocked"),
    ("EventOpenedCount", "opened"),
    ("MessageOpenedCount", "unique_opened"),
    ("EventClickedCount", "clicked"),
    ("MessageClickedCount", "unique_clicked"),
    ("MessageSpamCount", "complained"),
    ("MessageUnsubscribedCount", "unsubscribed"),
)
"""Mailjet's counters, with the contract's names."""


def _words_of(response: sdk.Response) -> tuple[str | None, str | None]:
    """The code and text of an error, about the message or the whole request."""
    body = sdk.error_answer(response)
    message = next(body.objects("Messages"), sdk.as_answer(None))
    error = next(message.objects("Errors"), body)
    return error.text("ErrorCode"), sdk.masked_words(error.text("ErrorMessage"))


_REFUSALS: Final = sdk.Refusals(
    vendor="Mailjet",
    codes={
        "mj-0001": sdk.AuthenticationFailed,
        "mj-0015": sdk.AuthenticationFailed,
        "send-0010": sdk.VendorRejected,
    },
    statuses=sdk.error_statuses("400 405 413"),
    # Mailjet also responds with 403 if the sender is not confirmed.
    reading={403: sdk.AuthenticationFailed},
    read=_words_of,
)


def classify(request: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """The error in a response; status 200 is an error if the message reports one."""
    if response.status != 200:
        return _REFUSALS(request, response)
    message = next(sdk.error_answer(response).objects("Messages"), sdk.as_answer(None))
    if message.text("Status") != _ERROR:
        return None
    code, words = _words_of(response)
    return sdk.refusal(
        sdk.VendorRejected, "Mailjet", response, code, words, otherwise="no reason is given"
    )


def read_receipt(
    wire: sdk.Wire, message: EmailMessage, id_: str, response: sdk.Response
) -> EmailReceipt:
    """Parse the receipt of an accepted message."""
    body = sdk.read_answer(response)
    fields = next(body.objects("Messages"), sdk.as_answer(None))
    first = next(fields.objects("To"), sdk.as_answer(None))
    message_id = sdk.required(first.text("MessageID"), response, "MessageID")
    return EmailReceipt(
        ref=wire.ref(id_, message=message_id),
        status=EmailStatus.QUEUED,
        vendor_status=fields.text("Status"),
        recipients=outcomes(message.everybody, EmailStatus.QUEUED),
        raw=body.raw,
    )


def read_rows(response: sdk.Response) -> list[sdk.Answer]:
    """The rows on a page of statistics.

    Raises:
        VendorFailed: the response has no rows, or a row has no day.
    """
    body = sdk.read_answer(response)
    if not sdk.is_list(body.value("Data")):
        raise sdk.malformed(response, "Data")
    rows = list(body.objects("Data"))
    for row in rows:
        sdk.required(row.time("Timeslice"), response, "Timeslice")
    return rows


def read_statistics(query: StatisticsQuery, rows: list[sdk.Answer]) -> EmailStatistics:
    """Parse the rows of statistics."""
    counted_pairs: list[tuple[date, EmailCounts]] = [
        (day.date(), EmailCounts(**{field: row.integer(counter)}))
        for row in rows
        if (day := row.time("Timeslice")) is not None
        for counter, field in COUNTS
    ]
    return EmailStatistics.of(query, counted_pairs, [row.raw for row in rows])


def read_events(event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[EmailEvent, ...]:
    """Convert a webhook item to events; none for received mail."""
    fields = sdk.as_answer(event.payload)
    message_id, kind = fields.text("MessageID"), fields.text("event")
    if message_id is None or kind is None:
        return ()
    error, tag = fields.text("error") or "", fields.text("customcampaign")
    return (
        EmailEvent(
            id=event.id,
            ref=ref(fields.text("CustomID") or message_id, message=message_id),
            status=_status(fields, kind, error),
            vendor_status=kind,
            at=fields.time("time"),
            email=bare_address(fields.text("email")),
            code=error or fields.text("source"),
            reason=fields.text("comment") or fields.text("error_related_to"),
            cause=_REACTIONS.get(kind)
            or (_CAUSES.get(error, RejectReason.OTHER) if error else None),
            permanent=fields.flag("hard_bounce"),
            url=fields.text("url"),
            user_agent=fields.text("agent"),
            tags=() if tag is None else (tag,),
            metadata=_metadata(fields.text("Payload") or ""),
            raw=fields.raw,
        ),
    )


def _status(fields: sdk.Answer, kind: str, error: str) -> EmailStatus:
    if error in _FAILURES:
        return EmailStatus.FAILED
    if kind == _BOUNCE and error == _RETRIED and not fields.flag("hard_bounce"):
        return EmailStatus.DEFERRED
    return _EVENTS.get(kind, EmailStatus.UNKNOWN)


def _metadata(text: str) -> dict[str, str]:
    """The metadata in an event's payload; empty if moorage did not write the payload."""
    try:
        return texts_of(json.loads(text))
    except (ValueError, RecursionError):
        return {}
