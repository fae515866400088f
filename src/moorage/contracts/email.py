"""Email: messages, recipients, and the operations of email vendors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from moorage.contracts.email_address import EmailAddress, as_address, as_addresses, check_line
from moorage.contracts.email_unsubscribe import Unsubscribe, check_unsubscribe, with_unsubscribe
from moorage.contracts.validators import (
    OneOf,
    are_all,
    are_texts,
    as_table,
    as_tuple,
    is_a,
    is_maybe,
    is_moment,
)
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import field, frozen, optional
from moorage.domain.values.patterns import late_pattern
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from datetime import datetime

    import attrs

    from moorage.contracts.email_bulk import BulkMessage
    from moorage.contracts.email_outcomes import (
        AddressCheck,
        EmailReceipt,
        EmailStatistics,
        StatisticsQuery,
    )
    from moorage.contracts.email_received import ReceivedEmail
    from moorage.contracts.email_suppressions import SuppressionPage
    from moorage.contracts.ref import Ref
    from moorage.contracts.wire import Wire
    from moorage.domain.values.result import Result

KIND: Final = "email"

_HEADER: Final = late_pattern(r"[!-9;-~]{1,76}")
_MEDIA_TYPE: Final = late_pattern(r"[\w.+-]{1,80}/[\w.+-]{1,80}(?:; ?[\w.+-]+=[\w.+-]+)*", re.ASCII)
_CONTENT_ID: Final = late_pattern(r"[!-;=?-~]{1,78}")
_GENERATED_HEADERS: Final = frozenset(
    {
        "bcc",
        "cc",
        "date",
        "dkim-signature",
        "from",
        "message-id",
        "mime-version",
        "received",
        "reply-to",
        "return-path",
        "subject",
        "to",
    }
)
"""Headers that moorage or the vendor generates, so that callers cannot set them."""

Data: TypeAlias = "Mapping[str, Any]"


class EmailCapability(StrEnum):
    """An optional feature of an email vendor."""

    ATTACHMENTS = "attachments"
    INLINE_IMAGES = "inline_images"
    AMP_HTML = "amp_html"
    CUSTOM_HEADERS = "custom_headers"
    UNSUBSCRIBE = "unsubscribe"
    ENVELOPE_SENDER = "envelope_sender"
    INTERNATIONAL = "international"
    TEMPLATES = "templates"
    METADATA = "metadata"
    TAGS = "tags"
    SCHEDULED = "scheduled"
    CANCEL = "cancel"
    LOOK_UP = "look_up"
    TRACK_OPENS = "track_opens"
    TRACK_CLICKS = "track_clicks"
    VALIDATE_ADDRESS = "validate_address"
    STATISTICS = "statistics"
    RECEIVED = "received"
    SUPPRESSIONS = "suppressions"
    ADD_SUPPRESSION = "add_suppression"


class Disposition(OneOf, field="disposition"):
    """The position of a file in a message: attached to it, or inline in its HTML."""

    ATTACHMENT = "attachment"
    INLINE = "inline"


def _is_line(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    check_line(value, attribute.name)


def _is_bytes(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, bytes):
        raise InvalidData(
            f"The {attribute.name} of a file must be bytes, not {type(value).__name__}.",
            field=attribute.name,
            remedy="Give the bytes of the file.",
        )


def _is_media_type(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or _MEDIA_TYPE.fullmatch(value) is None:
        raise InvalidData(
            f"The {attribute.name} must be a media type.",
            field=attribute.name,
            remedy="Give a media type such as 'image/png'.",
        )


@frozen(kw_only=True)
class Attachment:
    """A file attached to a message, or an image inside its HTML.

    Attributes:
        filename: name that the recipient sees.
        content: bytes of the file.
        content_type: media type of the content.
        disposition: attached to the message, or inline in its HTML.
        content_id: name by which the HTML refers to an inline image, as in `<img src="cid:logo">`;
            None for an attachment.
    """

    filename: str = field(validator=_is_line, repr=False)
    content: bytes = field(validator=_is_bytes, repr=False)
    content_type: str = field(default="application/octet-stream", validator=_is_media_type)
    disposition: Disposition = field(default=Disposition.ATTACHMENT, converter=Disposition)
    content_id: str | None = field(default=None, validator=is_maybe(str))

    def __attrs_post_init__(self) -> None:
        """Refuse an attachment without a usable name, or with a wrong or missing `content_id`."""
        if not self.filename or "/" in self.filename or "\\" in self.filename:
            raise InvalidData(
                "A file must have a name, and its name must not contain a path.",
                field="filename",
                remedy="Give a plain name, such as 'invoice.pdf'.",
            )
        is_inline = self.disposition is Disposition.INLINE
        if is_inline != (self.content_id is not None) or (
            self.content_id is not None and _CONTENT_ID.fullmatch(self.content_id) is None
        ):
            raise InvalidData(
                "An inline image must have a content_id of visible characters, and an attachment"
                " must not have one.",
                field="content_id",
                remedy="Give disposition='inline' and content_id='logo', or leave both out.",
            )


@frozen
class TemplateRef:
    """A template that the vendor stores and fills in.

    Attributes:
        id: the vendor's id of the template.
        data: values for the template, the same for all recipients; any JSON.
    """

    id: str = field(validator=_is_line)
    data: Data = field(factory=no_options, repr=False, validator=is_a(Mapping))


def check_headers(_: object, attribute: attrs.Attribute[Any], value: Mapping[str, str]) -> None:
    """Refuse headers that are malformed or that a field of the message sets."""
    are_texts(_, attribute, value)
    seen_names: set[str] = set()
    for name, text in value.items():
        lower_name = name.lower()
        if (
            _HEADER.fullmatch(name) is None
            or lower_name in _GENERATED_HEADERS
            or lower_name in seen_names
            or lower_name.startswith("content-")
        ):
            raise InvalidData(
                "A header has an invalid name, or the name of a header that a field of the"
                " message sets.",
                field=attribute.name,
                remedy="Use header names such as 'X-Invoice'; set addresses and the subject with"
                " the message's fields.",
            )
        seen_names.add(lower_name)
        check_line(text, attribute.name)


def check_words(_: object, attribute: attrs.Attribute[Any], value: Mapping[str, str]) -> None:
    """Refuse metadata with a name or value of more than one line."""
    are_texts(_, attribute, value)
    for word in [*value, *value.values()]:
        check_line(word, attribute.name)


def _are_tags(_: object, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    are_all(str)(_, attribute, value)
    for word in value:
        check_line(word, attribute.name)


@frozen(kw_only=True)
class EmailMessage:
    """One email message.

    A text is accepted in place of an address, and a single address in place of several.

    Attributes:
        from_: sender; by default the sender of the account.
        to, cc, bcc: recipients.
        reply_to: addresses that replies go to.
        envelope_sender: address that mail servers send delivery failures to.
        subject, text, html: content; with a template, only the parts that the template lacks.
        amp_html: interactive content in AMP for Email, which some mail programs show in place of
            the text and the HTML; the others show these.
        headers: further headers.
        unsubscribe: ways to unsubscribe that mail programs show beside the sender.
        attachments: files and inline images.
        template: the vendor's template to fill in.
        tags: labels that the vendor groups statistics by.
        metadata: names and values of your own, which come back with events.
        send_at: earliest time of sending.
        track_opens, track_clicks: turn tracking on or off; None keeps the account's setting.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    from_: EmailAddress | None = field(default=None, converter=optional(as_address), repr=False)
    to: tuple[EmailAddress, ...] = field(default=(), converter=as_addresses, repr=False)
    cc: tuple[EmailAddress, ...] = field(default=(), converter=as_addresses, repr=False)
    bcc: tuple[EmailAddress, ...] = field(default=(), converter=as_addresses, repr=False)
    reply_to: tuple[EmailAddress, ...] = field(default=(), converter=as_addresses, repr=False)
    envelope_sender: EmailAddress | None = field(
        default=None, converter=optional(as_address), repr=False
    )
    subject: str = field(default="", validator=_is_line, repr=False)
    text: str | None = field(default=None, validator=is_maybe(str), repr=False)
    html: str | None = field(default=None, validator=is_maybe(str), repr=False)
    amp_html: str | None = field(default=None, validator=is_maybe(str), repr=False)
    headers: Mapping[str, str] = field(
        factory=dict, converter=as_table, validator=check_headers, repr=False
    )
    unsubscribe: Unsubscribe | None = field(default=None, validator=is_maybe(Unsubscribe))
    attachments: tuple[Attachment, ...] = field(
        default=(), converter=as_tuple, validator=are_all(Attachment)
    )
    template: TemplateRef | None = field(default=None, validator=is_maybe(TemplateRef))
    tags: tuple[str, ...] = field(default=(), converter=as_tuple, validator=_are_tags)
    metadata: Mapping[str, str] = field(
        factory=dict, converter=as_table, validator=check_words, repr=False
    )
    send_at: datetime | None = field(default=None, validator=is_moment)
    track_opens: bool | None = field(default=None, validator=is_maybe(bool))
    track_clicks: bool | None = field(default=None, validator=is_maybe(bool))
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse missing content, AMP content alone, and conflicting headers or image ids."""
        if not (self.text or self.html or self.template or self.attachments):
            raise InvalidData(
                "The message must have content.",
                field="text",
                remedy="Give a text, HTML, a template or a file.",
            )
        _check_amp(self)
        check_apart(self.everybody)
        check_unsubscribe(self.headers, self.unsubscribe)
        ids = [file.content_id for file in self.attachments if file.content_id is not None]
        if len(set(ids)) < len(ids):
            raise InvalidData(
                "Two inline images have the same content_id.",
                field="attachments",
                remedy="Give each inline image a different content_id.",
            )

    @property
    def everybody(self) -> tuple[EmailAddress, ...]:
        """All recipients: to, cc, then bcc."""
        return self.to + self.cc + self.bcc

    @property
    def all_headers(self) -> dict[str, str]:
        """The additional headers, including those of `unsubscribe`."""
        return with_unsubscribe(self.headers, self.unsubscribe)

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs to send this message."""
        written_addresses = (self.from_, self.envelope_sender, *self.everybody, *self.reply_to)
        requested_features = {
            EmailCapability.ATTACHMENTS: self.attachments,
            EmailCapability.INLINE_IMAGES: any(file.content_id for file in self.attachments),
            EmailCapability.AMP_HTML: self.amp_html,
            EmailCapability.CUSTOM_HEADERS: self.headers,
            EmailCapability.UNSUBSCRIBE: self.unsubscribe,
            EmailCapability.ENVELOPE_SENDER: self.envelope_sender,
            EmailCapability.INTERNATIONAL: any(
                item is not None and item.wide for item in written_addresses
            ),
            EmailCapability.TEMPLATES: self.template,
            EmailCapability.METADATA: self.metadata,
            EmailCapability.TAGS: self.tags,
            EmailCapability.SCHEDULED: self.send_at,
            EmailCapability.TRACK_OPENS: self.track_opens is not None,
            EmailCapability.TRACK_CLICKS: self.track_clicks is not None,
        }
        return frozenset(capability for capability, value in requested_features.items() if value)

    @property
    def size(self) -> int:
        """The approximate size of the sent message in bytes, with its files in base64."""
        texts = (self.subject, self.text, self.html, self.amp_html)
        words = sum(len((text or "").encode()) for text in texts)
        return words + sum(-(-len(file.content) // 3) * 4 for file in self.attachments)


def _check_amp(message: EmailMessage) -> None:
    if not message.amp_html:
        return
    if message.template is not None:
        raise InvalidData(
            "The message has both a template and AMP content.",
            field="amp_html",
            remedy="Put the AMP content into the vendor's template, or send the message without a"
            " template.",
        )
    if not (message.text or message.html):
        raise InvalidData(
            "A message with AMP content must also have a text or HTML.",
            field="amp_html",
            remedy="Add a text or HTML, since most mail programs do not show AMP content.",
        )


def check_apart(people: tuple[EmailAddress, ...]) -> None:
    """Refuse a message that lists the same recipient twice."""
    lower_addresses = {address.wire.lower() for address in people}
    if len(lower_addresses) < len(people):
        raise InvalidData(
            "The recipients include one address more than once.",
            field="to",
            remedy="Name each address once, in `to`, `cc` or `bcc`.",
        )


def check_addressed(message: EmailMessage) -> None:
    """Refuse a message without a recipient."""
    if not message.to:
        raise InvalidData(
            "The message must have a recipient.",
            field="to",
            remedy="Give at least one address in `to`.",
        )


def check_fits(message: EmailMessage, people: int, limits: Mapping[str, int]) -> None:
    """Refuse a message that exceeds the vendor's limits.

    Args:
        message: message to send.
        people: number of recipients.
        limits: limits of the vendor; only "recipients" and "message_bytes" are read.
    """
    if people > limits.get("recipients", people):
        raise InvalidData(
            f"A message has {people} recipients, but the vendor accepts at most"
            f" {limits['recipients']}.",
            field="to",
            remedy="Send the message in bulk, so that each recipient gets a separate message.",
        )
    if message.size > limits.get("message_bytes", message.size):
        raise InvalidData(
            f"A message has about {message.size} bytes, but the vendor accepts at most"
            f" {limits['message_bytes']}.",
            field="attachments",
            remedy="Send links to the files instead of attaching them.",
        )


class EmailVendor(Protocol):
    """The operations of an email vendor; its `capabilities` list the optional ones.

    `send_bulk` receives at most its limit "batch" of recipients, and returns their results in
    order.
    """

    async def send_transactional(
        self, wire: Wire, message: EmailMessage, /, *, key: str | None
    ) -> EmailReceipt: ...

    async def send_bulk(
        self, wire: Wire, bulk: BulkMessage, /, *, key: str | None
    ) -> list[Result[EmailReceipt]]: ...

    async def get(self, wire: Wire, ref: Ref, /) -> EmailReceipt: ...

    async def cancel(self, wire: Wire, ref: Ref, /) -> EmailReceipt: ...

    async def validate_address(self, wire: Wire, address: EmailAddress, /) -> AddressCheck: ...

    async def get_statistics(self, wire: Wire, query: StatisticsQuery, /) -> EmailStatistics: ...

    async def get_received(self, wire: Wire, ref: Ref, /) -> ReceivedEmail: ...

    async def suppressions(self, wire: Wire, after: Ref | None, /) -> SuppressionPage: ...

    async def add_suppression(self, wire: Wire, address: EmailAddress, /) -> None: ...

    async def remove_suppression(self, wire: Wire, address: EmailAddress, /) -> None: ...
