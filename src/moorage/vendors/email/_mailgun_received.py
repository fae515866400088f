"""Conversion of the forms by which Mailgun's routes forward received mail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email_mime import addresses_in, read_mime, received_email
from moorage.contracts.email_received import ReceivedEmail, ReceivedFile, SenderChecks
from moorage.vendor_sdk import FormPart, MakeRef, WebhookEvent, as_answer, is_list, is_object
from moorage.vendors.email._received import (
    check_result,
    form_of,
    ids_shown,
    json_in,
    only_header_value,
    received_file,
    spam_score,
    yes_or_no,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


_FILES: Final = "attachment-"


def read_received(event: WebhookEvent, ref: MakeRef) -> tuple[ReceivedEmail, ...]:
    """Convert a form to its message; none if it has no recipient or no id."""
    contents, uploads = form_of(event.body)
    fields = {name: str(content, "utf-8", "replace") for name, content in contents.items()}
    id_, recipient = fields.get("Message-Id") or fields.get("token"), fields.get("recipient")
    if not id_ or not recipient:
        return ()
    stated_fields: dict[str, Any] = {
        "id": event.id,
        "at": event.time,
        "envelope_sender": fields.get("sender"),
        "envelope_recipients": tuple(item.email for item in addresses_in(recipient)),
        "reply_text": fields.get("stripped-text") or None,
        "is_forgeable": event.is_forgeable,
        "raw": event.payload,
    }
    reference = ref(id_.strip("<>"), url=fields.get("message-url"))
    if "body-mime" in contents:
        message = read_mime(contents["body-mime"], reference, **stated_fields)
    else:
        files = tuple(_files(uploads, fields))
        message = received_email(
            _headers(fields.get("message-headers")),
            reference,
            text=fields.get("body-plain"),
            html=fields.get("body-html"),
            files=files,
            is_complete=all(file.content is not None for file in files),
            **stated_fields,
        )
    return (sdk.evolve(message, checks=_checks(message)),)


def _headers(text: str | None) -> tuple[tuple[str, str], ...]:
    pairs: Any = json_in(text)
    rows = pairs if is_list(pairs) else []
    return tuple(
        (row[0], row[1])
        for row in rows
        if is_list(row) and len(row) == 2 and all(isinstance(item, str) for item in row)
    )


def _files(uploads: Mapping[str, FormPart], fields: Mapping[str, str]) -> Iterator[ReceivedFile]:
    named_ids: Any = json_in(fields.get("content-id-map"))
    content_ids = (
        {name: id_ for id_, name in named_ids.items() if isinstance(name, str)}
        if is_object(named_ids)
        else {}
    )
    shown_ids = ids_shown(fields.get("body-html"))
    for name, upload in uploads.items():
        if name.startswith(_FILES):
            yield received_file(
                upload.content,
                upload.filename,
                upload.content_type,
                content_ids.get(name),
                shown_ids,
            )
    # A route that stores the message names its files, and Mailgun keeps their contents.
    for item in as_answer({"files": json_in(fields.get("attachments"))}).objects("files"):
        yield received_file(
            None,
            item.text("name"),
            item.text("content-type"),
            size=item.integer("size"),
            url=item.text("url"),
        )


def _checks(message: ReceivedEmail) -> SenderChecks:
    headers = message.headers
    return SenderChecks(
        spf=check_result(only_header_value(headers, "x-mailgun-spf")),
        dkim=check_result(only_header_value(headers, "x-mailgun-dkim-check-result")),
        spam=yes_or_no(only_header_value(headers, "x-mailgun-sflag")),
        spam_score=spam_score(only_header_value(headers, "x-mailgun-sscore")),
    )
