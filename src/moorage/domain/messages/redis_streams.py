"""Messages as entries of a Redis stream, and the meaning of Redis errors.

Laws:

1. An entry holds the message's payload, headers, key, id and type, and nothing else.
2. An error that Redis replies with means that the message was not stored.
3. A reply that did not come means that the message may be stored.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.messages.broker_rules import KEY_HEADER
from moorage.domain.messages.publish_failures import PublishFault

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from moorage.domain.messages.message import OutgoingMessage

PAYLOAD: Final = "payload"
_PAYLOAD: Final = PAYLOAD.encode()
CONTENT_TYPE: Final = "content-type"
MESSAGE_ID: Final = "message-id"
FIELDS: Final = frozenset({PAYLOAD, CONTENT_TYPE, MESSAGE_ID, KEY_HEADER})
"""Fields of a Redis stream entry that no message header may be named after."""

_MOST_COPIED_BYTES: Final = 6_000
"""The largest number of bytes of a word that is copied next to others to be sent with them."""

_CODES: Final = {
    "NOAUTH": PublishFault.PASSWORD,
    "WRONGPASS": PublishFault.PASSWORD,
    "NOPERM": PublishFault.PERMISSION,
    "WRONGTYPE": PublishFault.INVALID,
    "OOM": PublishFault.FULL,
    "MISCONF": PublishFault.BLOCKED,
    "NOREPLICAS": PublishFault.REJECTED,
    "BUSY": PublishFault.REJECTED,
    "READONLY": PublishFault.READ_ONLY,
    "LOADING": PublishFault.STARTING,
    "MASTERDOWN": PublishFault.STARTING,
    "UNBLOCKED": PublishFault.STARTING,
}
"""The faults for the first words of Redis error replies."""

_CLASSES: Final = {
    "AuthenticationError": PublishFault.PASSWORD,
    "NoPermissionError": PublishFault.PERMISSION,
    "OutOfMemoryError": PublishFault.FULL,
    "ReadOnlyError": PublishFault.READ_ONLY,
    "BusyLoadingError": PublishFault.STARTING,
    "MasterDownError": PublishFault.STARTING,
}
"""The faults for redis-py exceptions, whose texts lack the first word of the reply."""


def command_of(
    item: OutgoingMessage,
    headers: Iterable[tuple[str, str | bytes]],
    *,
    creates_streams: bool,
    longest_stream: int | None,
) -> list[str | bytes]:
    """Return the Redis command that adds a message to a stream, as a list of words.

    Args:
        item: the message.
        headers: the message's headers, with the message's key.
        creates_streams: whether Redis creates a stream that does not exist.
        longest_stream: the number of messages that the stream keeps, approximately.
    """
    words: list[str | bytes] = ["XADD", item.topic]
    if not creates_streams:
        words.append("NOMKSTREAM")
    if longest_stream is not None:
        words += ["MAXLEN", "~", str(longest_stream)]
    words += ["*", PAYLOAD, item.message.payload]
    if item.message.content_type is not None:
        words += [CONTENT_TYPE, item.message.content_type]
    if item.id is not None:
        words += [MESSAGE_ID, item.id]
    for name, value in headers:
        words += [name, value]
    return words


def pack_commands(commands: Iterable[Sequence[str | bytes]]) -> list[bytes]:
    """Return Redis commands as pieces of bytes to send one after the other.

    Args:
        commands: the commands, each as a list of words.
    """
    pieces: list[bytes] = []
    small_parts: list[bytes] = []
    for words in commands:
        small_parts.append(b"*%d\r\n" % len(words))
        for word in words:
            data = word.encode() if isinstance(word, str) else word
            if len(data) > _MOST_COPIED_BYTES:
                pieces += (b"".join((*small_parts, b"$%d\r\n" % len(data))), data)
                small_parts = [b"\r\n"]
            else:
                small_parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return [*pieces, b"".join(small_parts)]


def packed_list(words: Sequence[str], texts: Sequence[str]) -> bytes:
    """Return the bytes of a Redis command, made of its words and of texts such as entry ids.

    Many texts of the same length cost little, because they are joined.

    Args:
        words: the first words of the command.
        texts: the words after them, which must be ASCII.
    """
    pieces = [b"*%d" % (len(words) + len(texts))]
    for word in words:
        data = word.encode()
        pieces.append(b"\r\n$%d\r\n%b" % (len(data), data))
    for length, run in groupby(texts, len):
        start = f"\r\n${length}\r\n"
        pieces.append((start + start.join(run)).encode("ascii"))
    return b"".join((*pieces, b"\r\n"))


def record_columns(entries: Sequence[Sequence[bytes]]) -> dict[str, list[Any]]:
    """Return the fields of pipeline records as one column per field, read from Redis entries.

    If another program made an entry, all of its fields become attributes, and the payload is empty.

    Args:
        entries: for each entry the names and the values of its fields, in turn.
    """
    if all(len(words) == 2 and words[0] == _PAYLOAD for words in entries):
        return {"payloads": [words[1] for words in entries]}
    rows = [_record_fields(words) for words in entries]
    columns: dict[str, list[Any]] = {"payloads": [row.get("payload", b"") for row in rows]}
    for name in "key", "content_type", "id":
        columns[name] = [row.get(name) for row in rows]
    columns["attributes"] = [tuple(row["attributes"]) for row in rows]
    return columns


def _record_fields(words: Sequence[bytes]) -> dict[str, Any]:
    """Return the fields of one record; a missing field of the entry is left out."""
    attributes: list[tuple[str, bytes]] = []
    fields: dict[str, Any] = {"attributes": attributes}
    for name, value in zip(words[::2], words[1::2], strict=True):
        field = name.decode(errors="backslashreplace")
        if field == PAYLOAD:
            fields["payload"] = value
        elif field == KEY_HEADER:
            fields["key"] = value or None
        elif field == CONTENT_TYPE:
            fields["content_type"] = value.decode(errors="backslashreplace")
        elif field == MESSAGE_ID:
            fields["id"] = value.decode(errors="backslashreplace") or None
        else:
            attributes.append((field or "(unnamed)", value))
    return fields


def times_of(entries: Iterable[str]) -> list[datetime | None]:
    """Return the times in the ids of Redis stream entries; None for an id without a time."""
    stamps = [entry.partition("-")[0] for entry in entries]
    # Entries that were added together share a millisecond.
    times = {stamp: _time(int(stamp)) for stamp in set(stamps)}
    return list(map(times.__getitem__, stamps))


def _time(milliseconds: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def refusal(classes: Iterable[str], text: str) -> PublishFault:
    """Return the fault that an error reply of Redis stands for.

    Args:
        classes: the names of the exception's class and of those it inherits from.
        text: the text of the reply.
    """
    for name in classes:
        if name in _CLASSES:
            return _CLASSES[name]
    return _CODES.get(text.partition(" ")[0], PublishFault.BROKEN)


def server_facts(report: str) -> dict[str, str]:
    """Return data in the report of a Redis server about itself, such as its version."""
    pairs = (line.split(":", 1) for line in report.splitlines() if ":" in line)
    return {name: value.strip() for name, value in pairs}
