"""Conversion of the webhooks by which Postmark forwards received mail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email_mime import addresses_in, received_email
from moorage.contracts.email_received import CheckResult, SenderChecks, valid_address
from moorage.vendors.email._received import (
    check_result,
    content_of,
    ids_shown,
    only_header_value,
    received_file,
    spam_score,
    yes_or_no,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from moorage.contracts.email_address import EmailAddress
    from moorage.contracts.email_received import ReceivedEmail, ReceivedFile
    from moorage.vendor_sdk import Answer, MakeRef, WebhookEvent

_RETURN_PATH: Final = "return-path"
_SIGNED: Final = "DKIM_VALID"
_INVALID_DKIM: Final = "DKIM_INVALID"
_SIGNED_BY_SENDER: Final = "DKIM_VALID_AU"


def read_received(event: WebhookEvent, fields: Answer, ref: MakeRef) -> ReceivedEmail:
    """Convert the webhook of a received message to the message."""
    headers = [
        (name, value)
        for item in fields.objects("Headers")
        if (name := item.text("Name")) and (value := item.text("Value"))
    ]
    # Postmark puts the real envelope sender first; a later one was written by the sender.
    envelope_sender = None
    if headers and headers[0][0].lower() == _RETURN_PATH:
        envelope_sender = headers.pop(0)[1].strip("<>")
    recipient, html = fields.text("OriginalRecipient"), fields.text("HtmlBody")
    shown_ids = ids_shown(html)
    written_fields: dict[str, Any] = {
        "from_": next(iter(_people([fields.object("FromFull")])), None),
        "to": _people(fields.objects("ToFull")),
        "cc": _people(fields.objects("CcFull")),
        "reply_to": addresses_in(fields.text("ReplyTo") or ""),
        "subject": fields.text("Subject"),
        "text": fields.text("TextBody"),
        "html": html,
        "reply_text": fields.text("StrippedTextReply"),
    }
    message = received_email(
        [*headers, ("Date", fields.text("Date") or "")],
        ref(fields.text("MessageID") or ""),
        id=event.id,
        envelope_sender=envelope_sender,
        envelope_recipients=None if recipient is None else (recipient,),
        files=tuple(_file(item, shown_ids) for item in fields.objects("Attachments")),
        is_forgeable=event.is_forgeable,
        raw=fields.raw,
        **written_fields,
    )
    return sdk.evolve(message, headers=tuple(headers), checks=_checks(message))


def _people(several: Iterable[Answer]) -> tuple[EmailAddress, ...]:
    people = [valid_address(item.text("Email") or "", item.text("Name")) for item in several]
    return tuple(address for address in people if address is not None)


def _file(item: Answer, shown: Collection[str]) -> ReceivedFile:
    content = content_of(item.value("Content"))
    content_id = item.text("ContentID")
    kind, size = item.text("ContentType"), item.integer("ContentLength")
    return received_file(content, item.text("Name"), kind, content_id, shown, size=size)


def _checks(message: ReceivedEmail) -> SenderChecks:
    headers = message.headers
    spf = (only_header_value(headers, "received-spf") or "").split(maxsplit=1)
    # The names of the SpamAssassin tests that matched.
    tests = set((only_header_value(headers, "x-spam-tests") or "").replace(",", " ").split())
    dkim = CheckResult.FAILED if _INVALID_DKIM in tests else CheckResult.UNKNOWN
    is_signed = _SIGNED_BY_SENDER in tests and message.from_ is not None
    return SenderChecks(
        spf=check_result(spf[0] if spf else None),
        dkim=CheckResult.PASSED if _SIGNED in tests else dkim,
        signed_by=(message.from_.email.rpartition("@")[2],) if is_signed and message.from_ else (),
        spam=yes_or_no(only_header_value(headers, "x-spam-status")),
        spam_score=spam_score(only_header_value(headers, "x-spam-score")),
    )
