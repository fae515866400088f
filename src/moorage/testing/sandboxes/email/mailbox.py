"""The emails delivered by a sandbox, in a common form for all vendors."""

from __future__ import annotations

from email.header import decode_header, make_header
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping


@attrs.frozen
class Item:
    """An attachment or inline image of a delivered email.

    Attributes:
        filename: name of the file.
        content: bytes of the file.
        content_type: media type of the content.
        disposition: "attachment" or "inline".
        content_id: id by which the HTML refers to it.
    """

    filename: str
    content: bytes
    content_type: str
    disposition: str
    content_id: str | None


@attrs.frozen(kw_only=True)
class DeliveredEmail:
    """An email delivered by a sandbox.

    Attributes:
        id: the vendor's id of the message.
        sender, sender_name: address and name of the sender.
        to, cc, bcc: addresses of the recipients.
        subject, text, html, amp_html: the subject, and the texts of the message.
        headers: further headers.
        items: the email's files and inline images.
        raw: the message as the vendor received it.
    """

    id: str
    sender: str
    sender_name: str | None
    to: tuple[str, ...]
    cc: tuple[str, ...]
    bcc: tuple[str, ...]
    subject: str
    text: str | None
    html: str | None
    amp_html: str | None = None
    headers: Mapping[str, str]
    items: tuple[Item, ...]
    raw: Any = attrs.field(repr=False)


def decoded_header(words: str) -> str:
    """Return a header's text with its encoded words decoded."""
    return str(make_header(decode_header(words)))
