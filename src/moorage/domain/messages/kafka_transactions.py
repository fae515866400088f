"""Decisions in Kafka transactions, which publish messages and commit the source's positions.

Laws:

1. A message whose record lies before a committed position is not published again.
2. The outcome of a transaction is unknown only if its commit was requested and not answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

from moorage.domain.messages.kafka import RULES, delivery_fault
from moorage.domain.messages.publish_failures import PublishFault, publish_error
from moorage.errors import AuthenticationFailed, ConfigurationError, ConnectionFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moorage.domain.messages.message import OutgoingMessage
    from moorage.errors import ConnectorError

P = TypeVar("P")
"""A partition of a topic."""

_FENCED: Final = frozenset({"_FENCED", "INVALID_PRODUCER_EPOCH", "PRODUCER_FENCED"})
_INVALID_ERRORS: Final = frozenset({"INVALID_TRANSACTION_TIMEOUT", "TRANSACTIONAL_ID_NOT_FOUND"})
_MOVED_ERRORS: Final = frozenset(
    {
        "_NO_OFFSET",
        "FENCED_INSTANCE_ID",
        "ILLEGAL_GENERATION",
        "REBALANCE_IN_PROGRESS",
        "UNKNOWN_MEMBER_ID",
    }
)
_TRANSACTION_ERRORS: Final = frozenset(
    {PublishFault.LOST, PublishFault.TIMEOUT, PublishFault.STARTING, PublishFault.FULL}
)


class SourcedMessage(NamedTuple, Generic[P]):
    """A message, and the position after the record that it was made from.

    Attributes:
        place: the partition of the record.
        position: the position after the record.
        message: the message.
    """

    place: P
    position: int
    message: OutgoingMessage


def positions_after(messages: Sequence[SourcedMessage[P]]) -> dict[P, int]:
    """Return for each partition the position after the last record used for these messages."""
    positions: dict[P, int] = {}
    for item in messages:
        positions[item.place] = max(positions.get(item.place, 0), item.position)
    return positions


def open_positions(positions: Mapping[P, int], committed: Mapping[P, int]) -> dict[P, int]:
    """Return the positions that are ahead of the committed positions."""
    return {
        place: position
        for place, position in positions.items()
        if position > committed.get(place, 0)
    }


def open_messages(
    messages: Sequence[SourcedMessage[P]], committed: Mapping[P, int]
) -> list[OutgoingMessage]:
    """Return the messages whose source records are after the committed positions."""
    return [item.message for item in messages if item.position > committed.get(item.place, 0)]


def transaction_error(name: str, topic: str | None = None) -> ConnectorError:
    """Return the moorage error for a transaction that was not committed.

    Args:
        name: librdkafka's or Kafka's code for the failure.
        topic: the topic of the message that failed, if one did.
    """
    if name in _FENCED:
        return ConfigurationError(
            "Another worker has started with the same `transactional_id`, or this worker was"
            " suspended for longer than the transaction timeout.",
            path="transactional_id",
            remedy="Set a different id in each running worker, and restart this worker.",
        )
    if name in _INVALID_ERRORS:
        return ConfigurationError(
            f"Kafka refused the transactions of the source ({name}).",
            path="transactional_id",
            remedy="Correct the id, or allow transactions of 30 seconds on the brokers.",
        )
    if name == "TRANSACTIONAL_ID_AUTHORIZATION_FAILED":
        return AuthenticationFailed(
            "The connector's user does not have permission to use this `transactional_id`.",
            remedy="Grant the user WRITE and DESCRIBE on the transactional id.",
            vendor_code=name,
        )
    if name in _MOVED_ERRORS:
        return ConnectionFailed(
            "The transaction was aborted because its partitions moved to another member of"
            " the group.",
            may_have_been_processed=False,
            remedy="The pipeline continues with its remaining partitions.",
        )
    fault = delivery_fault(name)
    if fault in _TRANSACTION_ERRORS:
        return ConnectionFailed(
            "The transaction was aborted because Kafka did not complete it in time.",
            may_have_been_processed=False,
            remedy="Check the load of the brokers, and the network between moorage and the"
            " brokers.",
        )
    return publish_error(fault, RULES, topic, code=name)


def unknown_outcome() -> ConnectorError:
    """Return the error for a transaction whose commit was requested but not confirmed."""
    return ConnectionFailed(
        "The response to the commit of a transaction was lost.",
        remedy="The pipeline asks Kafka for the outcome of the transaction before it continues.",
    )
