"""The forms, including files, that send mail with Mailgun."""

from __future__ import annotations

import json
from email.utils import format_datetime
from html import escape
from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email_bulk import PLACE, BulkMessage, BulkRecipient
from moorage.vendor_sdk import FormFile, Request, extra_for, is_list, is_object, merged
from moorage.vendors.email._common import (
    address_header,
    addresses_header,
    ascii_header,
    filled_fields,
    sender_of,
    whole_second,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moorage.contracts.email import Attachment, EmailMessage
    from moorage.contracts.email_address import EmailAddress

_VARIABLES: Final = "recipient-variables"
_MARK: Final = "%recipient"
_YES_OR_NO: Final = {True: "yes", False: "no", None: None}


def mail_request(
    domain: str, message: EmailMessage, sender: EmailAddress | None, **fields: Any
) -> Request:
    """The request that sends one message; `fields` are further fields of Mailgun's."""
    form = merged(_fields(message, sender) | fields, extra_for("mailgun", message.extra))
    return Request.post(
        f"/v3/{domain}/messages",
        form=[pair for name, value in form.items() for pair in _pairs(name, value)],
        files=[_file(file) for file in message.attachments],
    )


def fits_one(bulk: BulkMessage) -> bool:
    """True if a single request can express all differences between a bulk message's recipients."""
    base, recipients = bulk.base, bulk.recipients
    has_one_address = all(
        len(recipient.everybody) == 1 and not bulk.own_headers(recipient)
        for recipient in recipients
    )
    addresses = {recipient.to[0].wire.lower() for recipient in recipients}
    is_filled = base.template is not None and any(recipient.data for recipient in recipients)
    amp_html = base.amp_html or ""
    texts = [base.subject, base.text or "", base.html or "", amp_html, *base.all_headers.values()]
    texts += [] if base.template is None else [json.dumps(base.template.data)]
    texts += [*base.metadata.values(), *base.tags]
    texts += [
        str(word)
        for recipient in recipients
        for word in (*recipient.data.values(), *recipient.metadata.values())
    ]
    # By Mailgun's documentation, recipient variables work only in texts and HTML.
    is_plain = not any(_MARK in text for text in texts) and PLACE.search(amp_html) is None
    return has_one_address and is_plain and not is_filled and len(addresses) == len(recipients)


def bulk_request(
    domain: str, bulk: BulkMessage, sender: EmailAddress | None, **fields: Any
) -> Request:
    """The request that sends separate messages to all recipients.

    A recipient's value is stored in three variables: unchanged, escaped for HTML, and as metadata.
    They have distinct prefixes, so that no two can be confused.
    """
    base = bulk.base
    names = sorted({name for recipient in bulk.recipients for name in recipient.metadata})
    numbers = {name: f"m_{number}" for number, name in enumerate(names)}
    metadata = {
        **base.metadata,
        **{name: _placeholder(variable) for name, variable in numbers.items()},
    }
    message = sdk.evolve(
        base,
        to=[address for recipient in bulk.recipients for address in recipient.to],
        subject=_with_placeholders(base.subject, "t"),
        text=None if base.text is None else _with_placeholders(base.text, "t"),
        html=None if base.html is None else _with_placeholders(base.html, "h"),
        metadata=metadata,
    )
    variables = {
        recipient.to[0].wire: _recipient_variables(bulk, recipient, numbers)
        for recipient in bulk.recipients
    }
    return mail_request(domain, message, sender, **{_VARIABLES: variables}, **fields)


def _recipient_variables(
    bulk: BulkMessage, recipient: BulkRecipient, numbers: Mapping[str, str]
) -> dict[str, str]:
    words = {name: str(recipient.data[name]) for name in sorted(bulk.places)}
    metadata = {**bulk.base.metadata, **recipient.metadata}
    return (
        {f"t_{name}": word for name, word in words.items()}
        | {f"h_{name}": escape(word) for name, word in words.items()}
        | {variable: metadata.get(name, "") for name, variable in numbers.items()}
    )


def _placeholder(name: str) -> str:
    return f"{_MARK}.{name}%"


def _with_placeholders(text: str, kind: str) -> str:
    return PLACE.sub(lambda match: _placeholder(f"{kind}_{match[1]}"), text)


def _fields(message: EmailMessage, sender: EmailAddress | None) -> dict[str, Any]:
    template, send_time = message.template, message.send_at
    fields = {
        "from": address_header(sender_of(message, sender)),
        "to": addresses_header(message.to),
        "cc": addresses_header(message.cc),
        "bcc": addresses_header(message.bcc),
        "template": None if template is None else template.id,
        "t:variables": None if template is None else dict(template.data),
        "h:Reply-To": ", ".join(addresses_header(message.reply_to)),
        "o:tag": list(message.tags),
        "o:deliverytime": None if send_time is None else format_datetime(whole_second(send_time)),
        "o:tracking-opens": _YES_OR_NO[message.track_opens],
        "o:tracking-clicks": _YES_OR_NO[message.track_clicks],
    }
    return (
        filled_fields(fields)
        | _contents(message)
        | {f"h:{name}": ascii_header(value) for name, value in message.all_headers.items()}
        | {f"v:{name}": value for name, value in message.metadata.items()}
    )


def _contents(message: EmailMessage) -> dict[str, str]:
    if message.template is not None:
        # A template has its own content, and Mailgun accepts no other content with it.
        return {"subject": message.subject} if message.subject else {}
    # Mailgun refuses a message that has only files.
    text = message.text or (None if message.html else " ")
    texts = {"text": text, "amp-html": message.amp_html, "html": message.html}
    return {
        "subject": message.subject,
        **{name: content for name, content in texts.items() if content},
    }


def _pairs(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Return a form field as name-value pairs: a list repeats the name, a table becomes JSON."""
    if is_list(value):
        for item in value:
            yield from _pairs(name, item)
    elif is_object(value):
        yield name, json.dumps(value)
    elif isinstance(value, bool):
        yield name, "yes" if value else "no"
    elif value is not None:
        yield name, str(value)


def _file(file: Attachment) -> tuple[str, FormFile]:
    # The HTML refers to an image by its file name.
    kind = "attachment" if file.content_id is None else "inline"
    return kind, FormFile(file.content_id or file.filename, file.content, file.content_type)
