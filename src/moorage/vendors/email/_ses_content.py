"""Request bodies for Amazon SES."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from html import escape
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.email_bulk import PLACE, BulkMessage, BulkRecipient
from moorage.vendor_sdk import extra_for, merged
from moorage.vendors.email._common import (
    address_header,
    addresses_header,
    ascii_header,
    combined_pairs,
    filled_fields,
    in_base64,
    sender_of,
)
from moorage.vendors.email._mime import mime_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.email import Attachment, EmailMessage
    from moorage.contracts.email_address import EmailAddress

_TAG: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
_HTML: Final = "_html"
_BRACES: Final = "braces_"


def _destination(of: EmailMessage | BulkRecipient) -> dict[str, Any]:
    return filled_fields(
        {
            "ToAddresses": addresses_header(of.to),
            "CcAddresses": addresses_header(of.cc),
            "BccAddresses": addresses_header(of.bcc),
        }
    )


def _message_envelope(
    message: EmailMessage, sender: EmailAddress | None, configuration_set: str | None
) -> dict[str, Any]:
    return {
        "FromEmailAddress": address_header(sender_of(message, sender)),
        "ReplyToAddresses": addresses_header(message.reply_to),
        "FeedbackForwardingEmailAddress": message.envelope_sender and message.envelope_sender.wire,
        "ConfigurationSetName": configuration_set,
    }


def mail_body(
    message: EmailMessage, sender: EmailAddress | None, configuration_set: str | None
) -> dict[str, Any]:
    """The body of a request that sends a message."""
    if message.template is None:
        content = {"Simple": {**_simple_message(message), **_message_options(message)}}
    else:
        data = json.dumps(message.template.data)
        content = {"Template": {**_stored_template(message, data), **_message_options(message)}}
    body = _message_envelope(message, sender, configuration_set) | {
        "Destination": _destination(message),
        "Content": content,
        "EmailTags": _tags(message, message.metadata),
    }
    return merged(filled_fields(body), extra_for("amazon_ses", message.extra))


def raw_body(
    message: EmailMessage,
    sender: EmailAddress | None,
    configuration_set: str | None,
    message_id: str,
) -> dict[str, Any]:
    """The body of a request that sends a message in MIME format.

    Args:
        message: message without a template.
        sender: sender of messages that name none.
        configuration_set: name of the configuration set, if there is one.
        message_id: id from which the boundaries in the message are derived. SES replaces the
            Message-ID of the message by its own.
    """
    mime = mime_bytes(message, sender_of(message, sender), message_id)
    body = _message_envelope(message, sender, configuration_set) | {
        # The message itself contains this header.
        "ReplyToAddresses": None,
        "Destination": _destination(message),
        "Content": {"Raw": {"Data": b64encode(mime).decode()}},
        "EmailTags": _tags(message, message.metadata),
    }
    return merged(filled_fields(body), extra_for("amazon_ses", message.extra))


def bulk_body(
    bulk: BulkMessage, sender: EmailAddress | None, configuration_set: str | None
) -> dict[str, Any]:
    """The body of a request that sends separate messages to all recipients."""
    base = bulk.base
    content = _inline_template(base) if base.template is None else _stored_template(base, "{}")
    body = _message_envelope(base, sender, configuration_set) | {
        "DefaultContent": {"Template": {**content, "TemplateData": "{}", **_message_options(base)}},
        "BulkEmailEntries": [_entry(bulk, recipient) for recipient in bulk.recipients],
    }
    return merged(filled_fields(body), extra_for("amazon_ses", base.extra))


def _entry(bulk: BulkMessage, recipient: BulkRecipient) -> dict[str, Any]:
    base = bulk.base
    if base.template is None:
        words = {name: str(recipient.data[name]) for name in sorted(bulk.places)}
        data: dict[str, Any] = {_BRACES: "{{", **words}
        data |= {name + _HTML: escape(word) for name, word in words.items()}
    else:
        data = {**base.template.data, **recipient.data}
    return filled_fields(
        {
            "Destination": _destination(recipient),
            "ReplacementTags": _tags(base, {**base.metadata, **recipient.metadata}),
            "ReplacementEmailContent": {
                "ReplacementTemplate": {"ReplacementTemplateData": json.dumps(data)}
            },
            "ReplacementHeaders": _headers(bulk.own_headers(recipient)),
        }
    )


def _text(text: str) -> dict[str, str]:
    return {"Data": text, "Charset": "UTF-8"}


def _simple_message(message: EmailMessage) -> dict[str, Any]:
    # A message that has only files still needs a text.
    text = message.text or (None if message.html else " ")
    parts = {"Text": text, "Html": message.html}
    return {
        "Subject": _text(message.subject),
        "Body": {name: _text(value) for name, value in parts.items() if value},
    }


def _stored_template(message: EmailMessage, data: str) -> dict[str, Any]:
    id_ = "" if message.template is None else message.template.id
    return {"TemplateArn" if id_.startswith("arn:") else "TemplateName": id_, "TemplateData": data}


def _inline_template(base: EmailMessage) -> dict[str, Any]:
    """A template inside the request; braces that are not placeholders are escaped."""
    text = base.text or (None if base.html else " ")
    parts = {
        "Text": None if text is None else _with_placeholders(text, ""),
        "Html": None if base.html is None else _with_placeholders(base.html, _HTML),
    }
    subject = {"Subject": _with_placeholders(base.subject, "")}
    return {"TemplateContent": subject | filled_fields(parts)}


def _with_placeholders(text: str, suffix: str) -> str:
    parts = PLACE.split(text)
    literals = [part.replace("{{", f"{{{{{_BRACES}}}}}") for part in parts[::2]]
    placeholders = [f"{{{{{name}{suffix}}}}}" for name in parts[1::2]]
    return "".join(a + b for a, b in zip(literals, [*placeholders, ""], strict=True))


def _message_options(message: EmailMessage) -> dict[str, Any]:
    return filled_fields(
        {
            "Headers": _headers(message.all_headers),
            "Attachments": [_file(file) for file in message.attachments],
        }
    )


def _headers(headers: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": ascii_header(value)} for name, value in headers.items()]


def _file(file: Attachment) -> dict[str, str]:
    fields = {
        "FileName": file.filename,
        "RawContent": in_base64(file),
        "ContentType": file.content_type,
        "ContentDisposition": file.disposition.value.upper(),
        # SES encodes attachments as seven-bit text by default, which damages other content.
        "ContentTransferEncoding": "BASE64",
    }
    return fields | ({"ContentId": file.content_id} if file.content_id else {})


def _tags(message: EmailMessage, metadata: Mapping[str, str]) -> list[dict[str, str]]:
    words = combined_pairs(message.tags, metadata, _TAG, "Amazon SES")
    return [{"Name": name, "Value": value} for name, value in words.items()]
