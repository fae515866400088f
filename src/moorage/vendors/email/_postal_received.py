"""Received mail of Postal: from its HTTP endpoints, and from its store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email_mime import read_mime, received_email
from moorage.vendors.email._postal_answers import data_of
from moorage.vendors.email._received import content_of

if TYPE_CHECKING:
    from moorage.contracts.email_received import ReceivedEmail

_HEADERS: Final = (
    "from",
    "to",
    "cc",
    "subject",
    "date",
    "in_reply_to",
    "references",
    "auto_submitted",
)


def read_received(
    event: sdk.WebhookEvent, fields: sdk.Answer, ref: sdk.MakeRef
) -> tuple[ReceivedEmail, ...]:
    """Convert a request to an HTTP endpoint to its message; none if it has no id.

    The format "Hash" has neither all headers nor the types of inline files, so the message is
    incomplete, and `get_received` returns the whole message.
    """
    id_ = fields.integer("id")
    if id_ is None:
        return ()
    stated_fields: dict[str, Any] = {
        "id": event.id,
        "at": fields.time("timestamp"),
        **_envelope(fields),
        "is_forgeable": event.is_forgeable,
        "raw": fields.raw,
    }
    content = content_of(fields.value("message"))
    if content is not None:
        return (read_mime(content, ref(str(id_)), **stated_fields),)
    headers = [
        (name.replace("_", "-"), value)
        for name in _HEADERS
        if (value := fields.text(name)) is not None
    ]
    message = received_email(
        headers,
        ref(str(id_)),
        message_id=fields.text("message_id"),
        text=fields.text("plain_body"),
        html=fields.text("html_body"),
        is_complete=False,
        **stated_fields,
    )
    return (message,)


def read_stored(ref: sdk.Ref, response: sdk.Response) -> ReceivedEmail:
    """Parse a message from Postal's store."""
    data = data_of(response)
    content = content_of(data.value("raw_message"))
    if content is None:
        raise sdk.malformed(response, "raw_message")
    details = data.object("details")
    return read_mime(content, ref, id=None, at=details.time("timestamp"), **_envelope(details))


def _envelope(fields: sdk.Answer) -> dict[str, Any]:
    sender, recipient = fields.value("mail_from"), fields.text("rcpt_to")
    return {
        "envelope_sender": sender if isinstance(sender, str) else None,
        "envelope_recipients": None if recipient is None else (recipient,),
    }
