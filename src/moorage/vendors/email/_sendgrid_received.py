"""Conversion of the forms by which SendGrid's Inbound Parse forwards received mail."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email_mime import decode_text, read_headers, read_mime, received_email
from moorage.contracts.email_received import CheckResult, ReceivedEmail, ReceivedFile, SenderChecks
from moorage.vendors.email._received import (
    check_result,
    form_of,
    ids_shown,
    json_in,
    received_file,
    spam_score,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


_SIGNATURE: Final = re.compile(r"@([\w.-]{1,253}) *: *([a-z]{1,20})")
_RAW: Final = "email"


def read_received(event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[ReceivedEmail, ...]:
    """Convert a form to its message; none if it is not about received mail.

    SendGrid gives received mail no id, so the reference is the digest that identifies the webhook.
    """
    fields, uploads = form_of(event.body)
    if "headers" not in fields and _RAW not in fields:
        return ()
    envelope = sdk.as_answer(json_in(fields.get("envelope")))
    sender = envelope.value("from")
    stated_fields: dict[str, Any] = {
        "id": event.id,
        "envelope_sender": sender if isinstance(sender, str) else None,
        "envelope_recipients": envelope.texts("to"),
        "checks": _checks(fields),
        "is_forgeable": event.is_forgeable,
        "raw": event.payload,
    }
    if _RAW in fields:
        return (read_mime(fields[_RAW], ref(event.id), **stated_fields),)
    charsets = sdk.as_answer(json_in(fields.get("charsets")))
    html = _text(fields.get("html"), charsets.text("html"))
    message = received_email(
        read_headers(fields["headers"]),
        ref(event.id),
        text=_text(fields.get("text"), charsets.text("text")),
        html=html,
        files=_files(uploads, sdk.as_answer(json_in(fields.get("attachment-info"))), html),
        **stated_fields,
    )
    return (message,)


def _text(content: bytes | None, charset: str | None) -> str | None:
    return None if content is None else decode_text(content, charset)


def _files(
    uploads: Mapping[str, sdk.FormPart], info: sdk.Answer, html: str | None
) -> tuple[ReceivedFile, ...]:
    shown_ids = ids_shown(html)
    return tuple(
        received_file(
            upload.content,
            upload.filename,
            upload.content_type,
            info.object(name).text("content-id"),
            shown_ids,
        )
        for name, upload in uploads.items()
    )


def _checks(fields: Mapping[str, bytes]) -> SenderChecks:
    texts = {
        name: str(fields.get(name, b""), "ascii", "replace")
        for name in ("SPF", "dkim", "spam_score")
    }
    results = {
        domain: check_result(word) for domain, word in _SIGNATURE.findall(texts["dkim"].lower())
    }
    signers = tuple(domain for domain, result in results.items() if result is CheckResult.PASSED)
    return SenderChecks(
        spf=check_result(texts["SPF"]),
        dkim=CheckResult.PASSED if signers else next(iter(results.values()), CheckResult.UNKNOWN),
        signed_by=signers,
        spam_score=spam_score(texts["spam_score"]),
    )
