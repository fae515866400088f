"""Messages as they are written for those who carry them, the same bytes for the same message."""

from __future__ import annotations

import hashlib
import re
from email.headerregistry import Address
from email.message import EmailMessage as Mime
from email.policy import SMTP
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.email_address import check_line

if TYPE_CHECKING:
    from email.policy import EmailPolicy

    from moorage.contracts.email import Attachment, EmailMessage
    from moorage.contracts.email_address import EmailAddress

# As long as a line may be: what is folded sooner, some readers do not put together again.
_ASCII: Final = SMTP.clone(max_line_length=998, cte_type="7bit")
_WIDE: Final = _ASCII.clone(utf8=True)
_ENDING: Final = re.compile(rb"\r\n|\r|\n")
_FOLD: Final = re.compile(r"\r\n(?=[ \t])|\r\n\Z")


def mime_bytes(message: EmailMessage, sender: EmailAddress, message_id: str) -> bytes:
    """A message, without its date; blind copies are not named in it.

    Args:
        message: what it says.
        sender: who it is from.
        message_id: what it is called, which its boundaries are made of too.

    Raises:
        InvalidData: a text holds a line break in encoded words, which could add headers.
    """
    policy = _WIDE if wide(message, sender) else _ASCII
    whole = _body(message, policy)
    whole["Subject"] = message.subject
    whole["From"] = _written(sender)
    for name, people in (("To", message.to), ("Cc", message.cc), ("Reply-To", message.reply_to)):
        if people:
            whole[name] = [_written(one) for one in people]
    for name, value in message.headers.items():
        whole[name] = value
    for part in whole.walk():
        # Encoded words are decoded on their way in, and written as what they stand for.
        for name, value in part.items():
            check_line(_FOLD.sub("", policy.fold(name, value)), name)
    seed = hashlib.sha256(message_id.encode()).hexdigest()[:32]
    parts = [part for part in whole.walk() if part.is_multipart()]
    for number, part in enumerate(parts):
        part.set_boundary(f"={seed}.{number}")
    # What stands in a message of another type is written with the line endings of this system.
    written = _ENDING.sub(b"\r\n", whole.as_bytes(policy=policy))
    return f"Message-ID: {message_id}\r\n".encode() + written


def wide(message: EmailMessage, sender: EmailAddress) -> bool:
    """Whether only servers that take letters of every language can carry it."""
    return any(one.wide for one in (sender, *message.everybody, *message.reply_to))


def _written(one: EmailAddress) -> Address:
    local, _, domain = one.wire.rpartition("@")
    return Address(one.name or "", local, domain)


def _body(message: EmailMessage, policy: EmailPolicy[Any]) -> Mime:
    whole = Mime(policy=policy)
    if message.text is not None or message.html is None:
        whole.set_content(message.text or "")
    if message.html is not None:
        _add_html(whole, message)
    for file in message.attachments:
        # An image that no HTML shows goes with the message, by the name that it has.
        if file.content_id is None or message.html is None:
            whole.add_attachment(file.content, **_content(file), disposition="attachment")
    return whole


def _add_html(whole: Mime, message: EmailMessage) -> None:
    html: Mime = whole
    if message.text is None:
        whole.set_content(message.html, subtype="html")
    else:
        whole.add_alternative(message.html, subtype="html")
        html = list(whole.iter_parts())[-1]  # type: ignore[assignment]  # of this kind, being made here
    for file in message.attachments:
        if file.content_id is not None:
            html.add_related(
                file.content, **_content(file), disposition="inline", cid=f"<{file.content_id}>"
            )


def _content(file: Attachment) -> dict[str, Any]:
    kind, _, parameters = file.content_type.partition(";")
    main, _, sub = kind.partition("/")
    pairs = [pair.strip().partition("=") for pair in parameters.split(";") if pair.strip()]
    return {
        "maintype": main,
        "subtype": sub,
        "filename": file.filename,
        "params": {name: value for name, _, value in pairs},
    }
