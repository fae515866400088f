"""Kafka's rules for messages, and the meaning of its error codes.

Laws:

1. A message that the client accepted and the cluster did not acknowledge may be stored, whatever
   the client reports: a message that was sent once, and waits to be sent again after its connection
   was lost, is reported like a message that was never sent.
2. A code with which the cluster refuses a message proves that it was not stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.messages.broker_rules import BrokerRules
from moorage.domain.messages.publish_failures import PublishFault
from moorage.domain.messages.read_failures import read_error
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moorage.domain.messages.message import Message
    from moorage.errors import ConnectorError

CONTENT_TYPE: Final = "content-type"
MESSAGE_ID: Final = "message-id"

TRANSACTION: Final = 30_000
"""Milliseconds that a transaction may take, after which the cluster aborts it."""

TOMBSTONE: Final = "kafka-tombstone"
"""The attribute of a Kafka record without a value, which deletes its key in a compacted topic.

A message with this header and an empty payload is sent without a value, and without the header.
"""

RULES: Final = BrokerRules(
    system="kafka",
    title="Kafka",
    verb="send",
    usual_port=9092,
    topic_pattern=late_pattern(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}"),
    repeated_headers=True,
    reserved=frozenset({CONTENT_TYPE, MESSAGE_ID}),
    header_name=late_pattern(r"[^\0]+"),
    header_value=late_pattern(r"[^\0]*"),
    most_in_batch=10_000,
)

_FAULTS: Final[dict[str, PublishFault]] = {
    **dict.fromkeys(
        ("_UNKNOWN_PARTITION", "_UNKNOWN_TOPIC", "UNKNOWN_TOPIC_OR_PART"), PublishFault.TOPIC
    ),
    **dict.fromkeys(
        ("CLUSTER_AUTHORIZATION_FAILED", "TOPIC_AUTHORIZATION_FAILED"), PublishFault.PERMISSION
    ),
    **dict.fromkeys(("MSG_SIZE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"), PublishFault.TOO_LARGE),
    **dict.fromkeys(
        (
            "_INVALID_ARG",
            "INVALID_RECORD",
            "INVALID_TIMESTAMP",
            "POLICY_VIOLATION",
            "TOPIC_EXCEPTION",
        ),
        PublishFault.INVALID,
    ),
    **dict.fromkeys(("LEADER_NOT_AVAILABLE", "BROKER_NOT_AVAILABLE"), PublishFault.STARTING),
    "NOT_ENOUGH_REPLICAS": PublishFault.REJECTED,
    "_QUEUE_FULL": PublishFault.FULL,
    **dict.fromkeys(
        (
            "_MSG_TIMED_OUT",
            "_PURGE_INFLIGHT",
            "_PURGE_QUEUE",
            "_TIMED_OUT",
            "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
            "REQUEST_TIMED_OUT",
        ),
        PublishFault.TIMEOUT,
    ),
    **dict.fromkeys(("_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED"), PublishFault.PASSWORD),
}

_READING_FAULTS: Final[dict[str, PublishFault]] = {
    **dict.fromkeys(
        ("_UNKNOWN_PARTITION", "_UNKNOWN_TOPIC", "UNKNOWN_TOPIC_OR_PART"), PublishFault.TOPIC
    ),
    **dict.fromkeys(("_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED"), PublishFault.PASSWORD),
    **dict.fromkeys(
        (
            "CLUSTER_AUTHORIZATION_FAILED",
            "GROUP_AUTHORIZATION_FAILED",
            "TOPIC_AUTHORIZATION_FAILED",
        ),
        PublishFault.PERMISSION,
    ),
    **dict.fromkeys(
        (
            "_INVALID_ARG",
            "INCONSISTENT_GROUP_PROTOCOL",
            "INVALID_GROUP_ID",
            "INVALID_SESSION_TIMEOUT",
            "TOPIC_EXCEPTION",
        ),
        PublishFault.INVALID,
    ),
    **dict.fromkeys(("_FATAL", "_FENCED", "FENCED_INSTANCE_ID"), PublishFault.CONFLICT),
}

_CONNECT_FAULTS: Final[dict[str, PublishFault]] = {
    "_AUTHENTICATION": PublishFault.PASSWORD,
    "SASL_AUTHENTICATION_FAILED": PublishFault.PASSWORD,
    "_RESOLVE": PublishFault.HOST,
    "_SSL": PublishFault.TLS,
}
_TRANSPORT_ERRORS: Final = (
    ("ssl handshake", PublishFault.TLS),
    ("certificate", PublishFault.TLS),
    ("refused", PublishFault.REFUSED),
)


def delivery_fault(name: str) -> PublishFault:
    """Return the fault that Kafka's error code for a message stands for."""
    return _FAULTS.get(name, PublishFault.LOST)


def partition_lag(partition: Mapping[str, int]) -> int | None:
    """Return the number of records of a partition that are not committed; None if unknown.

    Args:
        partition: the offsets of the partition in librdkafka's statistics, negative if not known.
    """
    committed_offset, end_offset = partition["committed_offset"], partition["hi_offset"]
    if committed_offset < 0:
        committed_offset = partition["lo_offset"]
    return None if committed_offset < 0 or end_offset < 0 else max(0, end_offset - committed_offset)


def is_final(name: str) -> bool:
    """Return whether a Kafka consumer's error is final, so that no retry helps."""
    return name in _READING_FAULTS


def reading_error(name: str, topic: str | None = None) -> ConnectorError:
    """Return the moorage error for a Kafka consumer's error code.

    Args:
        name: the name of the error code.
        topic: the topic, if the failure concerns one.
    """
    fault = _READING_FAULTS.get(name, PublishFault.LOST)
    if fault is PublishFault.INVALID:
        return ConfigurationError(
            f"Kafka refused the group or the topics of the source ({name}).",
            path="group",
            remedy="Correct the names, and set the same `assignor` in all members of the group.",
        )
    if fault is PublishFault.CONFLICT:
        return ConfigurationError(
            "Another member of the group has started with the same `instance`.",
            path="instance",
            remedy="Set a different `instance` in each running member.",
        )
    return read_error(fault, RULES, topic, code=name)


def connecting_fault(events: Sequence[tuple[str, str]]) -> PublishFault:
    """Return the reason that no Kafka broker could be reached.

    Args:
        events: the names and the texts of the errors that the client reported. The texts are
            searched for known causes and never shown.
    """
    for name, text in events:
        if name in _CONNECT_FAULTS:
            return _CONNECT_FAULTS[name]
        words = text.lower()
        for phrase, fault in _TRANSPORT_ERRORS:
            if name == "_TRANSPORT" and phrase in words:
                return fault
    return PublishFault.SLOW_CONNECT


def value_to_send(message: Message) -> bytes | None:
    """Return the value of a Kafka message.

    None if the headers state that the message deletes its key.
    """
    is_tombstone = not message.payload and any(name == TOMBSTONE for name, _ in message.headers)
    return None if is_tombstone else message.payload


def headers_to_send(message: Message) -> list[tuple[str, str | bytes | None]]:
    """Return the Kafka headers of a message, including its content type and id."""
    headers: list[tuple[str, str | bytes | None]] = [
        pair for pair in message.headers if pair[0] != TOMBSTONE
    ]
    if message.content_type is not None:
        headers.append((CONTENT_TYPE, message.content_type))
    if message.id is not None:
        headers.append((MESSAGE_ID, message.id))
    return headers


def record_columns(
    values: Sequence[bytes | None],
    keys: Sequence[bytes | None],
    headers: Sequence[Sequence[tuple[str, bytes | None]]],
) -> dict[str, list[Any]]:
    """Return the fields of pipeline records as one column per field, read from Kafka messages.

    Args:
        values: the contents; None for a message that deletes its key.
        keys: the keys.
        headers: the headers of each message.
    """
    columns: dict[str, list[Any]] = {
        "payloads": [value or b"" for value in values],
        "key": [key or None for key in keys],
    }
    if None in values or any(headers):
        rows = [
            _attribute_fields(pairs, is_tombstone=value is None)
            for value, pairs in zip(values, headers, strict=True)
        ]
        for name in "attributes", "content_type", "id":
            columns[name] = [row.get(name) for row in rows]
    return columns


def _attribute_fields(
    headers: Sequence[tuple[str, bytes | None]], *, is_tombstone: bool
) -> dict[str, Any]:
    """Return the record fields that a Kafka message's headers contain."""
    fields: dict[str, Any] = {}
    attributes: list[tuple[str, str | bytes]] = []
    for name, content in headers:
        if name == CONTENT_TYPE and content:
            fields["content_type"] = content.decode(errors="backslashreplace")
        elif name == MESSAGE_ID and content:
            fields["id"] = content.decode(errors="backslashreplace")
        else:
            attributes.append((name or "(unnamed)", content or b""))
    if is_tombstone:
        attributes.append((TOMBSTONE, b""))
    fields["attributes"] = tuple(attributes)
    return fields
