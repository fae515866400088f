"""The errors for failures of a message broker."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from moorage import (
    AttemptTimeout,
    AuthenticationFailed,
    ConnectionFailed,
    InvalidRequest,
    LocalFailure,
    MessageUnroutable,
    PublishReceipt,
    TopicNotFound,
    VendorFailed,
    VendorRejected,
)
from moorage.domain.messages.broker_rules import BrokerRules
from moorage.domain.messages.publish_failures import (
    Publication,
    PublishFault,
    batch_error,
    complete_results,
    publication_of,
    publish_error,
)
from moorage.domain.values.result import Result, Results

RULES = BrokerRules(system="test", title="The test broker", topic="queue")
RECEIPT = PublishReceipt(broker="test", topic="t", at=datetime(2031, 5, 6, tzinfo=UTC))

MEANINGS = {
    PublishFault.HOST: (ConnectionFailed, False, Publication.NONE),
    PublishFault.REFUSED: (ConnectionFailed, True, Publication.NONE),
    PublishFault.TLS: (ConnectionFailed, False, Publication.NONE),
    PublishFault.SLOW_CONNECT: (ConnectionFailed, True, Publication.NONE),
    PublishFault.PASSWORD: (AuthenticationFailed, False, Publication.NONE),
    PublishFault.PERMISSION: (AuthenticationFailed, False, Publication.NONE),
    PublishFault.NAMESPACE: (TopicNotFound, False, Publication.NONE),
    PublishFault.TOPIC: (TopicNotFound, False, Publication.NONE),
    PublishFault.UNROUTABLE: (MessageUnroutable, False, Publication.NONE),
    PublishFault.CONFLICT: (VendorRejected, False, Publication.NONE),
    PublishFault.NO_REPLIES: (AuthenticationFailed, False, Publication.NONE),
    PublishFault.TOO_LARGE: (InvalidRequest, False, Publication.NONE),
    PublishFault.INVALID: (InvalidRequest, False, Publication.NONE),
    PublishFault.BLOCKED: (ConnectionFailed, True, Publication.NONE),
    PublishFault.FULL: (ConnectionFailed, True, Publication.NONE),
    PublishFault.REJECTED: (ConnectionFailed, True, Publication.NONE),
    PublishFault.READ_ONLY: (ConnectionFailed, True, Publication.NONE),
    PublishFault.STARTING: (ConnectionFailed, True, Publication.NONE),
    PublishFault.UNSENT: (ConnectionFailed, True, Publication.NONE),
    PublishFault.LOST: (ConnectionFailed, True, Publication.POSSIBLE),
    PublishFault.TIMEOUT: (AttemptTimeout, True, Publication.POSSIBLE),
    PublishFault.BROKEN: (VendorFailed, True, Publication.POSSIBLE),
}


def test_table_has_each_kind_of_broker_failure() -> None:
    """The test's table has every kind of broker failure."""
    assert set(PublishFault) == set(MEANINGS)


@pytest.mark.parametrize("fault", PublishFault)
def test_error_of_a_failure_says_if_the_message_may_be_stored(fault: PublishFault) -> None:
    """Each broker failure's error states whether to retry, and if the message may be stored."""
    error = publish_error(fault, RULES, "orders", code="7")
    kind, retryable, publication = MEANINGS[fault]
    assert type(error) is kind
    assert error.retryable is retryable
    assert publication_of(Result(error=error)) is publication
    assert "The test broker" in error.message
    assert error.remedy != "See the cause of this error."


def test_error_for_broker_failure_names_topic() -> None:
    """The error for a broker failure names the topic, and uses the broker's term for topics."""
    error = publish_error(PublishFault.TOPIC, RULES, "orders")
    assert error.message == "The test broker has no queue 'orders' to publish to."
    assert publish_error(PublishFault.TOPIC, RULES).message == (
        "The test broker has no queue to publish to."
    )


@pytest.mark.parametrize(
    "result, publication",
    [
        (Result(RECEIPT), Publication.CERTAIN),
        (Result(error=LocalFailure("The connector is closed.")), Publication.NONE),
        (Result(error=RuntimeError()), Publication.POSSIBLE),
    ],
)
def test_only_a_receipt_proves_publication(
    result: Result[PublishReceipt], publication: Publication
) -> None:
    """Only a receipt proves that a message was published; an unknown exception proves nothing."""
    assert publication_of(result) is publication


def test_batch_fails_only_if_nothing_was_stored_for_certain() -> None:
    """If no message of a batch has a receipt, the batch raises the least certain error."""
    error = publish_error(PublishFault.REJECTED, RULES)
    lost_error = publish_error(PublishFault.LOST, RULES)
    assert batch_error(Results([Result(RECEIPT), Result(error=lost_error)])) is None
    assert batch_error(Results([Result(error=error), Result(error=lost_error)])) is lost_error
    assert batch_error(Results([Result(error=error), Result(error=error)])) is error


def test_sent_messages_may_be_stored_if_publishing_batch_is_interrupted() -> None:
    """If publishing a batch is interrupted, the sent messages may be stored, and the rest not."""
    lost_error = publish_error(PublishFault.LOST, RULES)
    results = complete_results([Result(RECEIPT)], lost_error, RULES, sent=3, total=5)
    assert [publication_of(result) for result in results] == [
        Publication.CERTAIN,
        *[Publication.POSSIBLE] * 2,
        *[Publication.NONE] * 2,
    ]


def test_each_message_of_batch_has_that_error_if_broker_cannot_be_reached() -> None:
    """If a broker cannot be reached, each message of the batch fails with that connection error."""
    error = publish_error(PublishFault.REFUSED, RULES)
    results = complete_results([], error, RULES, sent=0, total=2)
    assert [result.error for result in results] == [error, error]
