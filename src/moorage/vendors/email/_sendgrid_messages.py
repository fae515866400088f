"""The request bodies that send messages with SendGrid."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email_bulk import PLACE, BulkMessage, BulkRecipient
from moorage.vendor_sdk import InvalidData, extra_for, merged
from moorage.vendors.email._common import (
    ascii_header,
    filled_fields,
    in_base64,
    sender_of,
    vendor_metadata_name,
    whole_second,
)
from moorage.vendors.email._sendgrid_events import is_vendor_field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.email import EmailMessage
    from moorage.contracts.email_address import EmailAddress
    from moorage.vendors.email.sendgrid import SendGrid

_MOST_TAGS: Final = 10


def _arguments(metadata: Mapping[str, str]) -> dict[str, str]:
    # SendGrid's events contain these values next to its own fields.
    return {vendor_metadata_name(name, is_vendor_field): value for name, value in metadata.items()}


def _recipient_fields(address: EmailAddress) -> dict[str, str]:
    return {"email": address.wire} | ({"name": address.name} if address.name else {})


def _recipient_list(several: tuple[EmailAddress, ...]) -> list[dict[str, str]]:
    return [_recipient_fields(item) for item in several]


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    # SendGrid writes header values without encoding them.
    return {name: ascii_header(value) for name, value in headers.items()}


def personalization(recipient: BulkRecipient) -> dict[str, Any]:
    """The "personalization" of one recipient, in SendGrid's format."""
    return filled_fields(
        {
            "to": _recipient_list(recipient.to),
            "cc": _recipient_list(recipient.cc),
            "bcc": _recipient_list(recipient.bcc),
            "custom_args": _arguments(recipient.metadata),
        }
    )


def bulk_body(vendor: SendGrid, bulk: BulkMessage) -> dict[str, Any]:
    """The body that sends separate messages to all recipients."""
    base = bulk.base
    personalizations = [personalization(recipient) for recipient in bulk.recipients]
    for fields, recipient in zip(personalizations, bulk.recipients, strict=True):
        # A table in a personalization replaces the table of the whole message.
        if own_headers := bulk.own_headers(recipient):
            fields["headers"] = _headers(own_headers)
        if base.template is not None:
            fields["dynamic_template_data"] = {**base.template.data, **recipient.data}
        elif bulk.places:
            fields["substitutions"] = _substitutions(recipient, bulk.places)
    if bulk.places:
        base = sdk.evolve(
            base,
            subject=PLACE.sub(r"{{\1}}", base.subject),
            text=None if base.text is None else PLACE.sub(r"{{\1}}", base.text),
            html=None if base.html is None else PLACE.sub(r"{{html:\1}}", base.html),
        )
    return mail_body(vendor, base, personalizations)


def _substitutions(recipient: BulkRecipient, places: frozenset[str]) -> dict[str, str]:
    words = {name: str(recipient.data[name]) for name in sorted(places)}
    plain_substitutions = {f"{{{{{name}}}}}": word for name, word in words.items()}
    return plain_substitutions | {
        f"{{{{html:{name}}}}}": escape(word) for name, word in words.items()
    }


def mail_body(
    vendor: SendGrid, message: EmailMessage, personalizations: list[dict[str, Any]]
) -> dict[str, Any]:
    """The body that sends a message."""
    sender = sender_of(message, vendor.sender)
    if len(message.tags) > _MOST_TAGS:
        raise InvalidData(
            f"The message has {len(message.tags)} tags, but SendGrid accepts {_MOST_TAGS}.",
            field="tags",
            remedy="Give fewer tags.",
        )
    template = message.template
    if template is not None:
        personalizations = [
            {"dynamic_template_data": dict(template.data), **item} for item in personalizations
        ]
    is_several = len(message.reply_to) > 1
    tracking = {
        "open_tracking": message.track_opens,
        "click_tracking": message.track_clicks,
    }
    body = {
        "personalizations": personalizations,
        "from": _recipient_fields(sender),
        "reply_to": _recipient_fields(message.reply_to[0]) if len(message.reply_to) == 1 else None,
        "reply_to_list": _recipient_list(message.reply_to) if is_several else None,
        "subject": message.subject,
        "content": _contents(message),
        "attachments": [_file(file) for file in message.attachments],
        "template_id": None if template is None else template.id,
        "headers": _headers(message.all_headers),
        "categories": list(message.tags),
        "custom_args": _arguments(message.metadata),
        "send_at": None
        if message.send_at is None
        else int(whole_second(message.send_at).timestamp()),
        "tracking_settings": {
            name: {"enable": value} for name, value in tracking.items() if value is not None
        },
        "mail_settings": {"sandbox_mode": {"enable": True}} if vendor.sandbox else None,
    }
    return merged(filled_fields(body), extra_for("sendgrid", message.extra))


def _contents(message: EmailMessage) -> list[dict[str, str]]:
    if message.template is not None:
        return []
    # SendGrid requires this order of the parts, and refuses a message that has only files.
    text = message.text or (None if message.html else " ")
    parts = {"text/plain": text, "text/x-amp-html": message.amp_html, "text/html": message.html}
    return [{"type": kind, "value": value} for kind, value in parts.items() if value]


def _file(file: Any) -> dict[str, str]:
    fields = {
        "content": in_base64(file),
        "type": file.content_type,
        "filename": file.filename,
        "disposition": file.disposition.value,
    }
    return fields | ({"content_id": file.content_id} if file.content_id else {})
