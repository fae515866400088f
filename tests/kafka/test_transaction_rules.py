"""The decisions in Kafka transactions: which messages to publish, and how to react to an error."""

from __future__ import annotations

import pytest

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    InvalidRequest,
    Message,
    TopicNotFound,
)
from moorage.domain.messages.kafka_transactions import (
    SourcedMessage,
    open_messages,
    open_positions,
    positions_after,
    transaction_error,
    unknown_outcome,
)
from moorage.domain.messages.message import OutgoingMessage


def message(place: str, position: int) -> SourcedMessage[str]:
    """Return a message whose record lies just before a position."""
    return SourcedMessage(place, position, OutgoingMessage("out", Message(f"{place}{position}")))


MESSAGES = [message("a", 3), message("b", 9), message("a", 4)]


def test_transaction_commits_the_position_after_its_last_record() -> None:
    """A transaction commits, for each partition, the position after its last record."""
    assert {"a": 4, "b": 9} == positions_after(MESSAGES)
    assert {} == positions_after([])


def test_committed_positions_are_not_moved_again() -> None:
    """Positions move forward only, and records before them are not published again."""
    assert {"a": 4} == open_positions({"a": 4, "b": 9}, {"a": 3, "b": 9})
    assert [b"a4"] == [item.message.payload for item in open_messages(MESSAGES, {"a": 3, "b": 12})]


@pytest.mark.parametrize(
    "name, kind, is_temporary",
    [
        ("_FENCED", ConfigurationError, False),
        ("PRODUCER_FENCED", ConfigurationError, False),
        ("INVALID_PRODUCER_EPOCH", ConfigurationError, False),
        ("INVALID_TRANSACTION_TIMEOUT", ConfigurationError, False),
        ("TRANSACTIONAL_ID_AUTHORIZATION_FAILED", AuthenticationFailed, False),
        ("CLUSTER_AUTHORIZATION_FAILED", AuthenticationFailed, False),
        ("ILLEGAL_GENERATION", ConnectionFailed, True),
        ("UNKNOWN_MEMBER_ID", ConnectionFailed, True),
        ("_TIMED_OUT", ConnectionFailed, True),
        ("_QUEUE_FULL", ConnectionFailed, True),
        ("something new", ConnectionFailed, True),
        ("MSG_SIZE_TOO_LARGE", InvalidRequest, False),
        ("UNKNOWN_TOPIC_OR_PART", TopicNotFound, False),
    ],
)
def test_aborted_transaction_raises_a_temporary_error(
    name: str, kind: type[ConnectorError], is_temporary: bool
) -> None:
    """An aborted transaction raises a temporary error, unless worker or message are at fault."""
    error = transaction_error(name, "out")
    assert (kind, is_temporary) == (type(error), error.retryable)


def test_error_for_commit_without_answer_says_that_messages_may_be_visible() -> None:
    """The error for a commit without a response states that the messages may be visible."""
    error = unknown_outcome()
    assert isinstance(error, ConnectionFailed)
    assert (True, True) == (error.retryable, error.may_have_been_processed)
