"""Messages in MIME format; equal messages have equal bytes."""

from __future__ import annotations

import hashlib
import re
from email.headerregistry import Address
from email.message import EmailMessage as Mime
from email.policy import SMTP
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.email_address import EmailAddress, check_line

if TYPE_CHECKING:
    from email.policy import EmailPolicy

    from moorage.contracts.email import Attachment, EmailMessage

# The maximum length of a header line; some readers do not join lines that were folded earlier.
_ASCII: Final = SMTP.clone(max_line_length=998, cte_type="7bit")
_UTF8: Final = _ASCII.clone(utf8=True)
_LONGEST_ENCODED_LINE: Final = 76
"""The limit of RFC 2045 for lines in base64 and quoted-printable; spam filters object to longer
lines.
"""
_ENDING: Final = re.compile(rb"\r\n|\r|\n")
_FOLD: Final = re.compile(r"\r\n(?=[ \t])|\r\n\Z")


def mime_bytes(message: EmailMessage, sender: EmailAddress, message_id: str) -> bytes:
    """A message in MIME format, without date and without blind-copy recipients.

    Args:
        message: the message.
        sender: sender of the message.
        message_id: id of the message, which its boundaries are derived from too.

    Raises:
        InvalidData: an encoded word contains a line break, which could add headers.
    """
    policy = _UTF8 if needs_smtputf8(message, sender) else _ASCII
    whole_message = _body(message, policy)
    whole_message["Subject"] = message.subject
    whole_message["From"] = _mime_address(sender)
    for name, people in (("To", message.to), ("Cc", message.cc), ("Reply-To", message.reply_to)):
        if people:
            whole_message[name] = [_mime_address(address) for address in people]
    for name, value in message.all_headers.items():
        whole_message[name] = value
    for part in whole_message.walk():
        # Encoded words in the input are decoded, and written as the text they contain.
        for name, value in part.items():
            check_line(_FOLD.sub("", policy.fold(name, value)), name)
    seed = hashlib.sha256(message_id.encode()).hexdigest()[:32]
    parts = [part for part in whole_message.walk() if part.is_multipart()]
    for number, part in enumerate(parts):
        part.set_boundary(f"={seed}.{number}")
    # An attached message is written with the line endings of this system.
    encoded_message = _ENDING.sub(b"\r\n", whole_message.as_bytes(policy=policy))
    return f"Message-ID: {message_id}\r\n".encode() + encoded_message


def needs_smtputf8(message: EmailMessage, sender: EmailAddress) -> bool:
    """True if delivery needs a server that accepts internationalised addresses."""
    return any(item.wide for item in (sender, *message.everybody, *message.reply_to))


def _mime_address(address: EmailAddress) -> Address:
    local, _, domain = address.wire.rpartition("@")
    return Address(address.name or "", local, domain)


def _body(message: EmailMessage, policy: EmailPolicy[Any]) -> Mime:
    whole_message = Mime(policy=policy.clone(max_line_length=_LONGEST_ENCODED_LINE))
    (kind, text), *alternatives = _texts(message)
    whole_message.set_content(text, subtype=kind)
    for kind, text in alternatives:
        whole_message.add_alternative(text, subtype=kind)
    if message.html is not None:
        _add_images(whole_message, message)
    for file in message.attachments:
        # An image that no HTML refers to is attached under its own name.
        if file.content_id is None or message.html is None:
            whole_message.add_attachment(file.content, **_content(file))
    return whole_message


def _texts(message: EmailMessage) -> list[tuple[str, str]]:
    """The texts of a message with their subtypes, in ascending order of preference.

    AMP content is before the HTML, because some mail programs show the last part that they know to
    be a string.
    """
    text = message.text if message.text is not None or message.html is not None else ""
    texts = {"plain": text, "x-amp-html": message.amp_html or None, "html": message.html}
    return [(kind, content) for kind, content in texts.items() if content is not None]


def _add_images(whole: Mime, message: EmailMessage) -> None:
    html: Mime = whole
    if whole.is_multipart():
        html = list(whole.iter_parts())[-1]  # type: ignore[assignment]  # of this kind, being made here
    for file in message.attachments:
        if file.content_id is not None:
            html.add_related(
                file.content, **_content(file), disposition="inline", cid=f"<{file.content_id}>"
            )


def _content(file: Attachment) -> dict[str, Any]:
    kind, _, parameters = file.content_type.partition(";")
    main_type, _, subtype = kind.partition("/")
    pairs = [pair.strip().partition("=") for pair in parameters.split(";") if pair.strip()]
    return {
        "maintype": main_type,
        "subtype": subtype,
        "filename": file.filename,
        "params": {name: value for name, _, value in pairs},
    }
