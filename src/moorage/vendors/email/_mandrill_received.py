"""Conversion of the webhooks by which Mandrill forwards received mail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.contracts.email_mime import read_mime
from moorage.contracts.email_received import CheckResult, ReceivedEmail, SenderChecks
from moorage.vendors.email._received import check_result

if TYPE_CHECKING:
    from moorage.vendor_sdk import Answer, MakeRef, WebhookEvent


def read_received(event: WebhookEvent, fields: Answer, ref: MakeRef) -> tuple[ReceivedEmail, ...]:
    """Convert a webhook item to its message; none if it has no content."""
    message = fields.object("msg")
    content, recipient = message.text("raw_msg"), message.text("email")
    if content is None:
        return ()
    message_id = (message.text("headers.Message-Id") or "").strip("<> ") or event.id
    stated_fields: dict[str, Any] = {
        "id": event.id,
        "at": fields.time("ts"),
        "envelope_recipients": None if recipient is None else (recipient,),
        "checks": _checks(message),
        "is_forgeable": event.is_forgeable,
        "raw": fields.raw,
    }
    return (read_mime(content.encode(), ref(message_id), **stated_fields),)


def _checks(message: Answer) -> SenderChecks:
    signed = message.flag("dkim.signed")
    dkim = CheckResult.PASSED if message.flag("dkim.valid") else CheckResult.FAILED
    dkim_by_signature = {True: dkim, False: CheckResult.NONE, None: CheckResult.UNKNOWN}
    return SenderChecks(
        spf=check_result(message.text("spf.result")),
        dkim=dkim_by_signature[signed],
        spam_score=message.decimal("spam_report.score"),
    )
