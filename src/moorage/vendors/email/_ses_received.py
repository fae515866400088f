"""Conversion of the notifications by which Amazon SES forwards received mail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.email_mime import read_mime, received_email
from moorage.contracts.email_received import CheckResult, ReceivedEmail, SenderChecks
from moorage.vendors.email._received import content_of

if TYPE_CHECKING:
    from moorage.vendor_sdk import Answer, MakeRef, WebhookEvent

_RESULTS: Final = {
    "PASS": CheckResult.PASSED,
    "FAIL": CheckResult.FAILED,
    "GRAY": CheckResult.NONE,
}
_FLAGS: Final = {"PASS": False, "FAIL": True}


def read_received(event: WebhookEvent, fields: Answer, id_: str, ref: MakeRef) -> ReceivedEmail:
    """Convert the notification of a received message, including its content if present."""
    sender = fields.value("mail.source")
    stated_fields: dict[str, Any] = {
        "id": event.id,
        "at": fields.time("mail.timestamp"),
        "envelope_sender": sender if isinstance(sender, str) else None,
        "envelope_recipients": fields.texts("receipt.recipients"),
        "checks": _checks(fields.object("receipt")),
        "stored_at": _s3_url(fields.object("receipt.action")),
        "is_forgeable": event.is_forgeable,
        "raw": {name: value for name, value in fields.raw.items() if name != "content"},
    }
    content_text = fields.value("content")
    content = content_text.encode(errors="replace") if isinstance(content_text, str) else None
    if fields.text("receipt.action.encoding") == "BASE64":
        content = content_of(content_text)
    if content is not None:
        return read_mime(content, ref(id_), **stated_fields)
    headers = [
        (item.text("name") or "", item.text("value") or "")
        for item in fields.objects("mail.headers")
    ]
    return received_email(headers, ref(id_), is_complete=False, **stated_fields)


def _s3_url(action: Answer) -> str | None:
    bucket, key = action.text("bucketName"), action.text("objectKey")
    return None if bucket is None or key is None else f"s3://{bucket}/{key}"


def _checks(receipt: Answer) -> SenderChecks:
    verdicts = {
        name: receipt.text(f"{name}Verdict.status") or ""
        for name in ("spf", "dkim", "dmarc", "spam", "virus")
    }
    return SenderChecks(
        spf=_RESULTS.get(verdicts["spf"], CheckResult.UNKNOWN),
        dkim=_RESULTS.get(verdicts["dkim"], CheckResult.UNKNOWN),
        dmarc=_RESULTS.get(verdicts["dmarc"], CheckResult.UNKNOWN),
        spam=_FLAGS.get(verdicts["spam"]),
        virus=_FLAGS.get(verdicts["virus"]),
    )
