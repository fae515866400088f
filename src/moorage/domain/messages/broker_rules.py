"""The limits that brokers set for messages, and the checks before a message is sent.

Laws:

1. A message that a broker would refuse for its form is refused here, with the field that is wrong.
2. Batches keep the order of their messages, and each message is in exactly one batch.
3. The id by which a broker recognises a repeat depends on nothing but the message's own id, or on
   the idempotency key of the call and the message's position.
"""

from __future__ import annotations

from hashlib import sha256
from math import inf
from typing import TYPE_CHECKING, Final

import attrs

from moorage.domain.messages.message import OutgoingMessages, messages_of
from moorage.domain.values.patterns import late_pattern
from moorage.domain.values.text import is_encodable
from moorage.errors import InvalidData

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from moorage.domain.messages.message import Message, OutgoingMessage

_PARENTS: Final = frozenset({"traceparent", "b3", "x-b3-traceid"})
"""Headers that name the trace of a message."""

KEY_HEADER: Final = "moorage-key"
"""The header for a message's key at a broker without keys."""

ONE_LINE: Final = late_pattern(r"[^\r\n\0]*")
"""A pattern for texts of one line."""


@attrs.frozen(kw_only=True)
class BrokerRules:
    """The rules of one broker for the messages that it accepts.

    Attributes:
        system: the kind of the broker, such as "rabbitmq".
        title: the broker's name in sentences, such as "RabbitMQ".
        topic: the word for the place that messages are published to, such as "subject".
        verb: the broker's own word for publishing, such as "send".
        usual_port: the port that its servers usually have.
        topic_pattern: the pattern of valid topic names.
        longest_name: the maximum number of bytes of a topic, an id or a content type; None if there
            is not a bound.
        largest: the maximum number of bytes of a message with its headers; None if there is no
            bound.
        has_headers: whether messages can have headers. If not, they have no ids either, and no keys
            unless the broker has a place for them.
        most_headers: the maximum number of headers; None if there is no bound.
        longest_header: the maximum number of bytes of a header's name or value, also of the header
            with a key; None if there is no bound.
        header_name: the pattern of a header's name.
        header_value: the pattern of a string in a header.
        binary_headers: whether headers may be bytes.
        repeated_headers: whether several headers may have the same name.
        reserved: names of headers that the connector uses itself, in lower case.
        longest_delay: the maximum number of seconds for which a message can be held back; 0 if the
            broker cannot hold a message back.
        has_keys: whether messages have keys. If not, `KEY_HEADER` carries the key.
        deduplicates: whether the broker stores only one message of an id.
        remembers: the seconds for which it recognises an id. A message that may be stored is sent
            again only within this time.
        most_in_batch: the maximum number of messages that are sent together.
        most_bytes_in_batch: the maximum number of bytes that are sent together.
        special: other rules for topics, by the ending of the topic's name, such as ".fifo".
    """

    system: str
    title: str
    topic: str = "topic"
    verb: str = "publish"
    usual_port: int | None = None
    topic_pattern: re.Pattern[str] = ONE_LINE
    longest_name: int | None = None
    largest: int | None = None
    has_headers: bool = True
    most_headers: int | None = None
    longest_header: int | None = None
    header_name: re.Pattern[str] = ONE_LINE
    header_value: re.Pattern[str] = ONE_LINE
    binary_headers: bool = True
    repeated_headers: bool = False
    reserved: frozenset[str] = frozenset()
    longest_delay: float = 0.0
    has_keys: bool = True
    deduplicates: bool = False
    remembers: float = inf
    most_in_batch: int = 1000
    most_bytes_in_batch: int = 16 * 1024 * 1024
    special: Mapping[str, BrokerRules] = attrs.field(factory=dict[str, "BrokerRules"])

    def of(self, topic: object) -> BrokerRules:
        """Return the rules for a topic; at some brokers they depend on the ending of its name."""
        for name_ending, rules in self.special.items():
            if isinstance(topic, str) and topic.endswith(name_ending):
                return rules
        return self


def size_of(message: Message) -> int:
    """Return the size of a message in bytes: payload, key and headers."""
    size = len(message.payload)
    if message.key is not None:
        size += len(message.key)
    for name, value in message.headers:
        size += len(name.encode()) + len(value if isinstance(value, bytes) else value.encode())
    return size


def check_topic(topic: object, rules: BrokerRules) -> None:
    """Refuse a topic name that the broker does not allow.

    Raises:
        InvalidData: the name is empty or not allowed.
    """
    if (
        not isinstance(topic, str)
        or not topic
        or not is_encodable(topic)
        or rules.topic_pattern.fullmatch(topic) is None
    ):
        raise InvalidData(
            f"{str(topic)[:80]!r} is not a valid {rules.topic} of {rules.title}.",
            field="topic",
            remedy=f"Pass the name of a {rules.topic}, without wildcards.",
        )
    _check_length("topic", topic, rules)


def check_message(message: Message, rules: BrokerRules) -> None:
    """Refuse a message that the broker cannot accept.

    Raises:
        InvalidData: the message is too large, or has a header, a key or a delay that the broker
            does not support.
    """
    if rules.largest is not None and size_of(message) > rules.largest:
        raise InvalidData(
            f"The message has {size_of(message):,} bytes, but {rules.title} accepts at most"
            f" {rules.largest:,}.",
            field="payload",
            remedy="Store the content elsewhere, for example in a file, and publish its address.",
        )
    for field, text in (("id", message.id), ("content_type", message.content_type)):
        if text is not None:
            _check_length(field, text, rules)
    if message.delay and message.delay > rules.longest_delay:
        raise InvalidData(
            f"{rules.title} can delay a message by at most {rules.longest_delay:g} seconds."
            if rules.longest_delay
            else f"{rules.title} cannot delay a single message.",
            field="delay",
            remedy="Publish the message at the time when it should be delivered.",
        )
    if not rules.has_headers:
        _check_bareness(message, rules)
    if message.key is not None and not rules.has_keys and not rules.binary_headers:
        _check_key(message.key, rules)
    if message.headers:
        _check_headers(message, rules)


def check_messages(messages: Iterable[Message], rules: BrokerRules) -> None:
    """Refuse messages if the broker cannot accept one of them.

    A message with only a payload can violate only the size limit.
    """
    for message in messages:
        if (
            rules.largest is not None
            or message.headers
            or message.key is not None
            or message.id is not None
            or message.content_type is not None
            or message.delay
        ):
            check_message(message, rules)


def _check_length(field: str, text: str, rules: BrokerRules) -> None:
    """Refuse a name that exceeds the broker's maximum length."""
    if rules.longest_name is not None and len(text.encode()) > rules.longest_name:
        raise InvalidData(
            f"The {field.replace('_', ' ')} has {len(text.encode())} bytes, but {rules.title}"
            f" accepts at most {rules.longest_name}.",
            field=field,
            remedy="Use a shorter value.",
        )


def _check_bareness(message: Message, rules: BrokerRules) -> None:
    """Refuse a message whose headers, key or id the broker cannot store."""
    key = None if rules.has_keys else message.key
    for field, value in (("headers", message.headers), ("key", key), ("id", message.id)):
        if value:
            raise InvalidData(
                f"{rules.title} cannot store the {field} of a message.",
                field=field,
                remedy="Move it into the payload, or leave it out.",
            )


def _check_key(key: bytes, rules: BrokerRules) -> None:
    """Refuse a key that cannot be sent as the text of a header."""
    if rules.longest_header is not None and len(key) > rules.longest_header:
        raise InvalidData(
            f"The key has {len(key):,} bytes, but {rules.title} accepts at most"
            f" {rules.longest_header:,}.",
            field="key",
            remedy="Use a shorter key, such as a digest of this one.",
        )
    text = key.decode("utf-8", "replace")
    if text.encode() != key or rules.header_value.fullmatch(text) is None:
        raise InvalidData(
            f"The key is not a string of one line, but {rules.title} accepts only such keys.",
            field="key",
            remedy="Pass a string, such as the hexadecimal digits of the bytes.",
        )


def _check_headers(message: Message, rules: BrokerRules) -> None:
    maximum = rules.most_headers
    if maximum is not None and len(message.headers) > maximum:
        raise InvalidData(
            f"The message has {len(message.headers)} headers, but {rules.title} accepts at"
            f" most {maximum}.",
            field="headers",
            remedy="Remove some headers, or move them into the payload.",
        )
    names = set[str]()
    for name, value in message.headers:
        if name in names and not rules.repeated_headers:
            raise InvalidData(
                f"The message has several headers named {name[:80]!r}, but {rules.title}"
                " accepts only one.",
                field="headers",
                remedy="Join the values in one header.",
            )
        names.add(name)
        if rules.header_name.fullmatch(name) is None or name.lower() in rules.reserved:
            raise InvalidData(
                f"{rules.title} does not accept a header named {name[:80]!r}.",
                field="headers",
                remedy="Rename the header. For example, use only letters and hyphens.",
            )
        longest_header = max(
            len(name.encode()), len(value if isinstance(value, bytes) else value.encode())
        )
        if rules.longest_header is not None and longest_header > rules.longest_header:
            raise InvalidData(
                f"The header {name[:80]!r} has {longest_header:,} bytes in its name or value, and"
                f" {rules.title} accepts at most {rules.longest_header:,}.",
                field="headers",
                remedy="Move the content of the header into the payload.",
            )
        if isinstance(value, bytes) and not rules.binary_headers:
            raise InvalidData(
                f"The value of the header {name[:80]!r} is bytes, but {rules.title} accepts"
                " only texts.",
                field="headers",
                remedy="Encode the value as a text, for example with Base64.",
            )
        if isinstance(value, str) and rules.header_value.fullmatch(value) is None:
            raise InvalidData(
                f"{rules.title} does not accept the value of the header {name[:80]!r}.",
                field="headers",
                remedy="Remove line breaks and control characters from the value.",
            )


def headers_of(message: Message, rules: BrokerRules) -> tuple[tuple[str, str | bytes], ...]:
    """Return the headers to send; they include the key if the broker has no field for it."""
    if message.key is None or rules.has_keys:
        return message.headers
    try:
        key: str | bytes = message.key.decode()
    except UnicodeDecodeError:
        key = message.key
    return (*message.headers, (KEY_HEADER, key))


def deduplication_id(message: Message, key: str | None, position: int = 0) -> str | None:
    """Return the id by which the broker recognises a repeated message.

    Args:
        message: the message; its own id comes first.
        key: the idempotency key of the call; None if there is none, or the broker ignores it. Only
            a digest of it is sent.
        position: the position of the message in its batch.
    """
    if message.id is not None or key is None:
        return message.id
    return sha256(f"{position}/{key}".encode()).hexdigest()


def is_repeatable(messages: Sequence[Message], rules: BrokerRules) -> bool:
    """Return whether publishing the messages twice has the same effect as once."""
    return rules.deduplicates and all(message.id is not None for message in messages)


def outgoing_messages(
    topic: str,
    messages: Sequence[Message],
    rules: BrokerRules,
    key: str | None,
    trace_headers: Sequence[tuple[str, str]] = (),
) -> OutgoingMessages:
    """Check messages, and return them with the ids by which the broker recognises repeats.

    Each message also gets the headers of its trace.
    """
    key = key if rules.deduplicates else None
    if key is None and not trace_headers:
        return OutgoingMessages(topic, messages)
    return OutgoingMessages(
        topic,
        [with_trace(message, rules, trace_headers) for message in messages],
        [deduplication_id(message, key, position) for position, message in enumerate(messages)],
    )


def with_trace(
    message: Message, rules: BrokerRules, trace_headers: Sequence[tuple[str, str]]
) -> Message:
    """Return the message with the trace headers that it lacks.

    A header that it has already is not replaced. If the trace headers would break a rule of the
    broker, they are left out.
    """
    if not trace_headers:
        return message
    names = {name.lower() for name, _ in message.headers}
    missing_headers = tuple(pair for pair in trace_headers if pair[0].lower() not in names)
    if not missing_headers or (not names.isdisjoint(_PARENTS)):
        return message
    result = attrs.evolve(message, headers=(*message.headers, *missing_headers))
    try:
        check_message(result, rules)
    except InvalidData:
        return message
    return result


def batches(
    messages: Sequence[OutgoingMessage], rules: BrokerRules
) -> Iterator[Sequence[OutgoingMessage]]:
    """Split messages into batches of a size that the broker accepts.

    A message that exceeds the size limit of a batch becomes a separate batch.
    """
    sizes = [
        size_of(message) if message.headers or message.key is not None else len(message.payload)
        for message in messages_of(messages)
    ]
    if len(sizes) <= rules.most_in_batch and sum(sizes) <= rules.most_bytes_in_batch:
        if sizes:
            yield messages
        return
    first_index = total = 0
    for position, weight in enumerate(sizes):
        is_full = position - first_index >= rules.most_in_batch
        if position > first_index and (is_full or total + weight > rules.most_bytes_in_batch):
            yield messages[first_index:position]
            first_index, total = position, 0
        total += weight
    if first_index < len(messages):
        yield messages[first_index:]
