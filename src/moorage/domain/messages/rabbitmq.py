"""RabbitMQ messages as pipeline records, and the meaning of its errors for a source."""

from __future__ import annotations

import json
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.messages.broker_rules import KEY_HEADER, BrokerRules
from moorage.domain.messages.publish_failures import PublishFault
from moorage.domain.messages.read_failures import read_error
from moorage.errors import ConfigurationError, ConnectionFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.errors import ConnectorError

QUEUE_RULES: Final = BrokerRules(system="rabbitmq", title="RabbitMQ", topic="queue")
"""RabbitMQ in messages about a source, which reads from queues."""

DELIVERY_COUNT: Final = "x-delivery-count"
"""The header in which a quorum queue counts the earlier deliveries of a message."""

STREAM_OFFSET: Final = "x-stream-offset"
"""The header that only messages of a RabbitMQ stream have."""


def attributes_and_key(
    headers: Mapping[str, Any],
) -> tuple[list[tuple[str, str | bytes]], str | bytes | None]:
    """Return the attributes and the key of a record, from a RabbitMQ message's headers.

    A header that is neither a string nor bytes, such as a header that RabbitMQ adds to dead
    letters, becomes JSON.
    """
    attributes: list[tuple[str, str | bytes]] = []
    key: str | bytes | None = None
    for name, value in headers.items():
        text = _text(value)
        if name == KEY_HEADER:
            key = text or None
        elif name != DELIVERY_COUNT:
            attributes.append((name or "(unnamed)", text))
    return attributes, key


def _text(value: object) -> str | bytes:
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    return value if isinstance(value, str) else json.dumps(value, default=str)


def deliveries(headers: Mapping[str, Any], *, was_delivered: bool) -> int:
    """Return the known number of a message's deliveries, including this one."""
    count = headers.get(DELIVERY_COUNT)
    if isinstance(count, int):
        return count + 1
    return 2 if was_delivered else 1


def acknowledgements(done: Iterable[int], open_tag: int) -> list[tuple[int, bool]]:
    """Return the deliveries to acknowledge, each with True if it includes all earlier ones.

    Args:
        done: the tags of the deliveries, which RabbitMQ counts up.
        open_tag: the lowest tag of a delivery that is not to be acknowledged.
    """
    tags = sorted(done)
    count = bisect_left(tags, open_tag)
    single_tags = [(tag, False) for tag in tags[count:]]
    return [(tags[count - 1], True), *single_tags] if count else single_tags


def reading_error(fault: PublishFault, text: str, queue: str | None) -> ConnectorError:
    """Return the moorage error for RabbitMQ's error response to a request of a source.

    Args:
        fault: the meaning of the error code.
        text: the message of the error response. It is searched for known causes and never shown.
        queue: the queue; None while the connection is opened.
    """
    words = text.lower()
    if "exclusive" in words:
        return ConnectionFailed(
            f"Another consumer reads the queue {queue!r} of RabbitMQ, and the queue allows"
            " only one consumer.",
            remedy="The pipeline tries again until the other consumer ends. For a queue with"
            " a single active consumer, remove `exclusive`.",
        )
    if fault is PublishFault.TOPIC and "no queue" not in words:
        return ConnectionFailed(
            f"The queue {queue!r} of RabbitMQ cannot be read now.",
            remedy="The pipeline tries again. Check whether the node of the queue is running.",
        )
    if "acknowledgement" in words:
        return ConnectionFailed(
            "RabbitMQ took back the messages, because one was not acknowledged in time.",
            remedy="Raise `consumer_timeout` in RabbitMQ, or configure smaller batches for"
            " the sink.",
        )
    if fault is PublishFault.INVALID:
        return ConfigurationError(
            f"RabbitMQ does not allow the queue {queue!r} to be read in this way.",
            path="queues",
            remedy="Use classic or quorum queues with arguments that RabbitMQ accepts.",
        )
    return read_error(fault, QUEUE_RULES, queue)


def stream_error(queue: str) -> ConnectorError:
    """Return the error for a RabbitMQ stream, because a stream stores no position for a source."""
    return ConfigurationError(
        f"{queue!r} is a RabbitMQ stream, and RabbitMQ does not store the position of a source"
        " in a stream.",
        path="queues",
        remedy="Set the names of classic or quorum queues.",
    )


def cancelled_error() -> ConnectorError:
    """Return the error for a queue from which RabbitMQ stopped delivering."""
    return ConnectionFailed(
        "RabbitMQ ended the delivery from a queue, because the queue was deleted or its node"
        " failed.",
        remedy="The pipeline opens the queues again.",
    )
