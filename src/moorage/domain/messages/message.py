"""A message for a broker, and the receipt that confirms its storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast, overload

import attrs

from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.values.durations import if_given, is_wait, plain_seconds
from moorage.domain.values.json_text import encode_json
from moorage.domain.values.text import is_encodable, with_article
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from typing import Self

JSON: Final = "application/json"


def payload_bytes(value: object) -> bytes:
    """Convert a message's payload to bytes."""
    if isinstance(value, str) and is_encodable(value):
        return value.encode()
    if isinstance(value, bytes):
        return value
    if isinstance(value, bytearray):
        return bytes(value)
    kind = with_article(type(value).__name__)
    raise InvalidData(
        "The payload of a message is a string that cannot be written as UTF-8."
        if isinstance(value, str)
        else f"The payload of a message must be bytes or a string, not {kind}.",
        field="payload",
        remedy="Encode the payload first, or use Message.of_json.",
    )


def key_bytes(value: object) -> bytes | None:
    """Convert a message's key to bytes."""
    if value is None or (isinstance(value, bytes) and value):
        return value
    if isinstance(value, str) and value and is_encodable(value):
        return value.encode()
    raise InvalidData(
        "The key of a message must be a string or bytes, and not empty.",
        field="key",
        remedy="Pass a key such as a customer's number, or omit it.",
    )


def header_pairs(value: object) -> tuple[tuple[str, str | bytes], ...]:
    """Convert a message's headers to pairs."""
    pairs = cast("Mapping[str, Any]", value).items() if isinstance(value, Mapping) else value
    headers = tuple(cast("Iterable[tuple[Any, Any]]", pairs))
    for name, content in headers:
        if not isinstance(name, str) or not name or not is_encodable(name):
            raise InvalidData(
                "The name of a header must be a string, and not empty.",
                field="headers",
                remedy="Pass names such as 'trace-id'.",
            )
        if not isinstance(content, bytes) and not (
            isinstance(content, str) and is_encodable(content)
        ):
            raise InvalidData(
                f"The value of the header {name!r} must be a string or bytes, not"
                f" {with_article(type(content).__name__)}.",
                field="headers",
                remedy="Pass a string or bytes.",
            )
    return headers


def _is_text(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value.isprintable() or not value:
        raise InvalidData(
            f"The {attribute.name.replace('_', ' ')} of a message must be a printable text.",
            field=attribute.name,
            remedy="Pass a string of one line, or omit it.",
        )


@with_careful_constructor
@attrs.frozen
class Message:
    """A message to publish to a broker.

    Attributes:
        payload: the content as bytes. A string is encoded as UTF-8.
        key: the key by which a broker keeps messages in order and chooses a partition: the key of
            Kafka, the message group of an Amazon SQS FIFO queue. Brokers without keys carry it as a
            header.
        headers: pairs of names and values, which are strings or bytes. Give a mapping, or pairs if
            a name occurs several times. Amazon SQS calls them attributes.
        content_type: the type of the payload, such as "application/json".
        id: identifies the message. A broker that recognises repeats stores one message per id.
        delay: seconds for which the broker holds the message back; not every broker can.
    """

    payload: bytes = attrs.field(converter=payload_bytes, repr=False)
    key: bytes | None = attrs.field(default=None, converter=key_bytes, kw_only=True, repr=False)
    headers: tuple[tuple[str, str | bytes], ...] = attrs.field(
        default=(), converter=header_pairs, kw_only=True, repr=False
    )
    content_type: str | None = attrs.field(default=None, validator=if_given(_is_text), kw_only=True)
    id: str | None = attrs.field(default=None, validator=if_given(_is_text), kw_only=True)
    delay: float | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(plain_seconds),
        validator=if_given(is_wait),
        kw_only=True,
    )

    @classmethod
    def of_json(cls, value: object, **fields: Any) -> Self:
        """Return a message whose payload is a value encoded as JSON.

        Args:
            value: a value made of dict, list, str, int, float, bool and None.
            fields: further fields of the message.
        """
        return cls(encode_json(value), **{"content_type": JSON, **fields})


class OutgoingMessage(NamedTuple):
    """A checked message on its way to a broker.

    Attributes:
        topic: the topic, subject, queue, stream or routing key that it is published to.
        message: the message.
        id: the id by which the broker recognises a repeat; None if there is none.
    """

    topic: str
    message: Message
    id: str | None = None


# A named tuple's constructor is a Python function, which costs three times as much.
_NEW_ITEM: Final[Callable[[tuple[str, Message, str | None]], OutgoingMessage]] = partial(
    tuple.__new__,  # pyright: ignore[reportUnknownMemberType]  # a stub without parameters
    OutgoingMessage,
)


class OutgoingMessages(Sequence[OutgoingMessage]):
    """Checked messages for one topic; each message is created when it is accessed.

    Attributes:
        topic: the topic of all messages.
        messages: the messages.
        ids: the ids by which the broker recognises repeats; None if they are the messages' own.
    """

    __slots__ = "ids", "messages", "topic"

    def __init__(
        self, topic: str, messages: Sequence[Message], ids: Sequence[str | None] | None = None
    ) -> None:
        self.topic = topic
        self.messages = messages
        self.ids = ids

    def __len__(self) -> int:
        return len(self.messages)

    def __iter__(self) -> Iterator[OutgoingMessage]:
        ids = [message.id for message in self.messages] if self.ids is None else self.ids
        return map(_NEW_ITEM, zip(repeat(self.topic), self.messages, ids, strict=False))

    @overload
    def __getitem__(self, at: int) -> OutgoingMessage: ...

    @overload
    def __getitem__(self, at: slice) -> OutgoingMessages: ...

    def __getitem__(self, at: int | slice) -> OutgoingMessage | OutgoingMessages:
        if isinstance(at, slice):
            ids = None if self.ids is None else self.ids[at]
            return OutgoingMessages(self.topic, self.messages[at], ids)
        message = self.messages[at]
        return OutgoingMessage(
            self.topic, message, message.id if self.ids is None else self.ids[at]
        )


def messages_of(items: Sequence[OutgoingMessage]) -> Sequence[Message]:
    """Return the original messages of checked outgoing messages."""
    if isinstance(items, OutgoingMessages):
        return items.messages
    return [item.message for item in items]


@attrs.frozen(kw_only=True)
class PublishReceipt:
    """A broker's confirmation that it has stored a message.

    Attributes:
        broker: the kind of the broker, such as "kafka".
        topic: the topic, subject, queue, stream or routing key.
        at: the time of the acknowledgement, with a time zone.
        partition: the number of the partition; None if the broker has none.
        offset: the position in the partition or stream; None if the broker states none.
        id: the id that the broker gave to the message, or the message's own id.
        stream: the stream or exchange that took the message, if the topic is only its subject.
        is_duplicate: True if the broker had the message already, and stored nothing new.
    """

    broker: str
    topic: str
    at: datetime
    partition: int | None = None
    offset: int | None = None
    id: str | None = None
    stream: str | None = None
    is_duplicate: bool = False


class _NewReceipt(PublishReceipt):
    """A mutable receipt, which becomes a `PublishReceipt` once all of its fields are set."""

    __slots__ = ()
    # Python sets an attribute without calling a function only if neither method is overridden.
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__


def receipts_of(
    broker: str,
    topic: str,
    at: datetime,
    positions: Iterable[tuple[int | None, int | None, str | None]],
) -> list[PublishReceipt]:
    """Return the receipts of messages that were stored at one time in one topic.

    This takes a third of the constructor's time.

    Args:
        broker: the kind of the broker.
        topic: the topic.
        at: the time of the acknowledgement.
        positions: the partition, the offset and the id of each message.
    """
    receipts: list[PublishReceipt] = []
    new_object = object.__new__
    for partition, offset, id in positions:
        receipt: Any = new_object(_NewReceipt)
        receipt.broker = broker
        receipt.topic = topic
        receipt.at = at
        receipt.partition = partition
        receipt.offset = offset
        receipt.id = id
        receipt.stream = None
        receipt.is_duplicate = False
        receipt.__class__ = PublishReceipt
        receipts.append(receipt)
    return receipts
