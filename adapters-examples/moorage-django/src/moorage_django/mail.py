"""Mail through the Email contract: `EMAIL_BACKEND = "moorage_django.mail.EmailBackend"`."""

from __future__ import annotations

from email.message import Message
from email.mime.base import MIMEBase
from typing import TYPE_CHECKING, Any, Final

from django.core.mail.backends.base import BaseEmailBackend

from moorage import ConnectorError, InvalidData
from moorage.contracts.email import Attachment, EmailMessage
from moorage_django.deferred import after_commit
from moorage_django.runtime import hub

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PLAIN: Final = "application/octet-stream"
_HTML: Final = "text/html"
_UNSET_SENDER: Final = "webmaster@localhost"
"""Django's default sender; it is replaced by the sender of the account."""


class EmailBackend(BaseEmailBackend):
    """Sends Django's mail through the vendor that the configuration chooses.

    Args:
        fail_silently: True to ignore messages that cannot be sent.
        tenant: the tenant whose account sends the messages.
        deferred: True to send the messages through the outbox, after the transaction commits.
        options: the options of Django's other backends, which are ignored.
    """

    def __init__(
        self,
        fail_silently: bool = False,  # noqa: FBT001, FBT002 - positional in Django's own backends
        *,
        tenant: str | None = None,
        deferred: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(fail_silently=fail_silently, **options)
        self._tenant = tenant
        self._deferred = deferred

    def send_messages(self, email_messages: Iterable[Any]) -> int:
        """Send messages, and return the number of sent messages."""
        return sum(
            self._send_message(message) for message in email_messages if message.recipients()
        )

    def _send_message(self, message: Any) -> bool:
        try:
            message = contract_message(message)
            if self._deferred:
                after_commit("email", "send_transactional", message, tenant=self._tenant)
            else:
                hub().email(self._tenant).send_transactional(message)
        except ConnectorError:
            if not self.fail_silently:
                raise
            return False
        return True


class OutboxEmailBackend(EmailBackend):
    """An `EmailBackend` that sends after the transaction commits."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, deferred=True, **named)


def contract_message(message: Any) -> EmailMessage:
    """Convert a Django message to a message of moorage's Email contract.

    Raises:
        InvalidData: the message has content that the contract cannot express.
    """
    texts = {f"text/{message.content_subtype}": message.body} if message.body else {}
    for content, media_type in getattr(message, "alternatives", ()):
        texts.setdefault(media_type, content)
    unknown_types = sorted(set(texts) - {"text/plain", _HTML})
    if unknown_types:
        raise InvalidData(
            f"A message has an alternative of the type {unknown_types[0]}.",
            field="alternatives",
            remedy="Give a string, and text/html.",
        )
    headers = {name: str(value) for name, value in message.extra_headers.items()}
    sender = headers.pop("From", message.from_email)
    answers = headers.pop("Reply-To", None)
    return EmailMessage(
        from_=None if sender == _UNSET_SENDER else sender,
        # Recipients of blind copies must not see each other, so the message goes to the sender.
        to=message.to or sender,
        cc=message.cc,
        bcc=message.bcc,
        reply_to=message.reply_to or answers or (),
        subject=str(message.subject),
        text=_text(texts.get("text/plain")),
        html=_text(texts.get(_HTML)),
        headers=headers,
        attachments=tuple(_attachments(message.attachments)),
    )


def _text(content: Any) -> str | None:
    return None if content is None else str(content)


def _attachments(attachments: Iterable[Any]) -> Iterator[Attachment]:
    for number, value in enumerate(attachments, 1):
        if isinstance(value, (MIMEBase, Message)):
            yield _of_mime(value, number)
            continue
        name, content, media_type = value
        if isinstance(content, Message):
            content = content.as_bytes()
        elif isinstance(content, str):
            content = content.encode()
        yield Attachment(
            filename=name or f"attachment-{number}",
            content=bytes(content),
            content_type=media_type or _PLAIN,
        )


def _of_mime(part: Any, number: int) -> Attachment:
    """Convert a MIME part to an attachment.

    A part with a Content-ID becomes an inline attachment.
    """
    content = part.get_payload(decode=True)
    content_id = part.get("Content-ID")
    return Attachment(
        filename=part.get_filename() or f"attachment-{number}",
        content=content if content is not None else part.as_bytes(),
        content_type=part.get_content_type(),
        disposition="inline" if content_id else "attachment",
        content_id=content_id.strip("<> ") if content_id else None,
    )
