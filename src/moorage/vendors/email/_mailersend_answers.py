"""Parsing of MailerSend's responses and webhooks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email_outcomes import (
    EmailEvent,
    EmailReceipt,
    EmailStatistics,
    EmailStatus,
    RecipientOutcome,
    RejectReason,
    StatisticsQuery,
)
from moorage.contracts.email_received import CheckResult, ReceivedEmail, SenderChecks
from moorage.vendors.email._common import bare_address, days_of, status_of

if TYPE_CHECKING:
    from moorage.contracts.email import EmailMessage

_ALL_SUPPRESSED: Final = "ALL_SUPPRESSED"
_CODE: Final = re.compile(r"#(MS[0-9]{5})\b")
_EVENTS: Final = {
    "queued": EmailStatus.QUEUED,
    "sent": EmailStatus.SENT,
    "delivered": EmailStatus.DELIVERED,
    "deferred": EmailStatus.DEFERRED,
    "soft_bounced": EmailStatus.BOUNCED,
    "hard_bounced": EmailStatus.BOUNCED,
    "suppressed": EmailStatus.REJECTED,
    "opened": EmailStatus.OPENED,
    "opened_unique": EmailStatus.OPENED,
    "clicked": EmailStatus.CLICKED,
    "clicked_unique": EmailStatus.CLICKED,
    "unsubscribed": EmailStatus.UNSUBSCRIBED,
    "spam_complaint": EmailStatus.COMPLAINED,
}
_CAUSES: Final = {
    **dict.fromkeys(("soft_bounced", "hard_bounced"), RejectReason.BOUNCED),
    "suppressed": RejectReason.BLOCKED,
    "unsubscribed": RejectReason.UNSUBSCRIBED,
    "spam_complaint": RejectReason.SPAM,
}
_PERMANENT: Final = {"hard_bounced": True, "soft_bounced": False, "deferred": False}
_RECEIVED: Final = "inbound.message"
_SPF: Final = {
    "+": CheckResult.PASSED,
    "-": CheckResult.FAILED,
    "~": CheckResult.FAILED,
    "?": CheckResult.NONE,
}
"""Results of SPF, by the sign of the rule that applies."""
COUNTS: Final = {
    "requested": ("queued",),
    "processed": ("sent",),
    "delivered": ("delivered",),
    "deferred": ("deferred",),
    "bounced": ("soft_bounced", "hard_bounced"),
    "opened": ("opened",),
    "unique_opened": ("opened_unique",),
    "clicked": ("clicked",),
    "unique_clicked": ("clicked_unique",),
    "complained": ("spam_complaints",),
    "unsubscribed": ("unsubscribed",),
}
"""MailerSend's counters, by the contract's names."""


def read_refusal(response: sdk.Response) -> tuple[str | None, str | None]:
    """Return the code and text of an error response; without a code, the invalid field's name."""
    body = sdk.error_answer(response)
    errors = body.object("errors")
    sentences = [word for field in errors.raw for word in errors_of(errors, field)]
    words = " ".join(sentences) or body.text("message")
    code = _CODE.search(words or "")
    return next(iter(errors.raw), None) if code is None else code[1], words


def errors_of(errors: sdk.Answer, field: str) -> tuple[str, ...]:
    """The error sentences of a field; the field's name may contain dots."""
    return sdk.Answer({"sentences": errors.raw[field]}).texts("sentences")


def read_receipt(wire: sdk.Wire, message: EmailMessage, response: sdk.Response) -> EmailReceipt:
    """Parse the receipt of a message accepted for at least one recipient.

    Raises:
        VendorRejected: all recipients are suppressed.
    """
    fields = sdk.read_answer(response) if response.body else sdk.Answer({})
    warnings = list(fields.objects("warnings"))
    if any(warning.text("type") == _ALL_SUPPRESSED for warning in warnings):
        words = sdk.masked_words(warnings[0].text("message"))
        raise sdk.refusal(sdk.VendorRejected, "MailerSend", response, _ALL_SUPPRESSED, words)
    id_ = sdk.required(response.headers.get("x-message-id") or None, response, "x-message-id")
    reasons = _reasons(warnings)
    status = status_of(message)
    return EmailReceipt(
        ref=wire.ref(id_),
        status=status,
        recipients=tuple(
            RecipientOutcome(
                email=address.email,
                status=EmailStatus.REJECTED,
                code=reasons[address.wire.lower()],
            )
            if address.wire.lower() in reasons
            else RecipientOutcome(email=address.email, status=status)
            for address in message.everybody
        ),
        warnings=tuple(
            words for warning in warnings if (words := sdk.masked_words(warning.text("message")))
        ),
        raw=fields.raw,
    )


def _reasons(warnings: list[sdk.Answer]) -> dict[str, str | None]:
    """The reasons for suppressed addresses, by address."""
    return {
        email.lower(): next(iter(person.texts("reasons")), None)
        for warning in warnings
        for person in warning.objects("recipients")
        if (email := person.text("email")) is not None
    }


def read_analytics(query: StatisticsQuery, response: sdk.Response) -> EmailStatistics:
    """Parse the email statistics in a response."""
    return days_of(query, response, "data.stats", "date", COUNTS)


def read_event(
    event: sdk.WebhookEvent, ref: sdk.MakeRef
) -> tuple[EmailEvent, ...] | tuple[ReceivedEmail, ...]:
    """Convert a webhook to events or a received message; none if it has no message."""
    if sdk.as_answer(event.payload).text("type") == _RECEIVED:
        return _read_received(event, ref)
    fields = sdk.as_answer(event.payload).object("data")
    id_, word = fields.text("email.message.id"), fields.text("type")
    if id_ is None or word is None:
        return ()
    return (
        EmailEvent(
            id=event.id,
            ref=ref(id_),
            status=_EVENTS.get(word, EmailStatus.UNKNOWN),
            vendor_status=word,
            at=fields.time("created_at"),
            email=bare_address(fields.text("email.recipient.email")),
            reason=fields.text("morph.readable_reason") or fields.text("morph.reason"),
            cause=_CAUSES.get(word),
            permanent=_PERMANENT.get(word),
            url=fields.text("morph.url"),
            tags=fields.texts("email.tags"),
            raw=sdk.as_answer(event.payload).raw,
        ),
    )


def _read_received(event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[ReceivedEmail, ...]:
    fields = sdk.as_answer(event.payload).object("data")
    id_, content = fields.text("id"), fields.value("raw")
    if id_ is None or not isinstance(content, str):
        return ()
    sender = fields.value("sender.email")
    recipients = [item.text("email") for item in fields.objects("recipients.rcptTo")]
    from moorage.contracts.email_mime import read_mime  # noqa: PLC0415 - few accounts receive mail

    message = read_mime(
        content.encode(errors="replace"),
        ref(id_),
        id=event.id,
        at=fields.time("created_at"),
        envelope_sender=sender if isinstance(sender, str) else None,
        envelope_recipients=tuple(email for email in recipients if email is not None),
        checks=SenderChecks(
            spf=_SPF.get(fields.text("spf_check.code") or "", CheckResult.UNKNOWN),
            # MailerSend does not say whether False is a broken signature or a missing one.
            dkim=CheckResult.PASSED if fields.flag("dkim_check") else CheckResult.UNKNOWN,
        ),
        is_forgeable=event.is_forgeable,
        raw=sdk.as_answer(event.payload).raw,
    )
    return (message,)
