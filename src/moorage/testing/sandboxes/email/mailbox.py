"""The email that a sandbox has delivered, in one form for all vendors."""

from __future__ import annotations

from email.header import decode_header, make_header
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping


@attrs.frozen
class Item:
    """An attachment or inline image of a delivered message.

    Attributes:
        filename: what it is called.
        content: its bytes.
        content_type: what they are.
        disposition: "attachment" or "inline".
        content_id: what the HTML calls it.
    """

    filename: str
    content: bytes
    content_type: str
    disposition: str
    content_id: str | None


@attrs.frozen(kw_only=True)
class Delivered:
    """An email message that a sandbox has delivered.

    Attributes:
        id: what the vendor calls it.
        sender, sender_name: who it says it is from.
        to, cc, bcc: who got it.
        subject, text, html: what it says.
        headers: further headers.
        items: its files and inline images.
        raw: all that was handed over.
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
    headers: Mapping[str, str]
    items: tuple[Item, ...]
    raw: Any = attrs.field(repr=False)


def decoded(words: str) -> str:
    """Return the text of a header with its encoded words decoded."""
    return str(make_header(decode_header(words)))
