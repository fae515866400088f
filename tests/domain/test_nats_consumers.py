"""Settings of NATS consumers, and JetStream's answers."""

from __future__ import annotations

import json

import attrs
import pytest

from moorage import (
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    TopicNotFound,
)
from moorage.domain.messages.nats_consumers import (
    ConsumerSettings,
    api_error,
    can_pin,
    error_code,
    names_in,
    read_answer,
    read_delivery,
    record_fields,
    subjects_overlap,
)
from moorage.domain.pipelines.records import SinkRecord


@pytest.mark.parametrize(
    "first, second, expected",
    [
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
        ("a.*", "a.c", True),
        ("a.*", "a.b.c", False),
        ("a.>", "a.b.c", True),
        ("a.>", "b.>", False),
        ("*.b", "a.*", True),
        ("a.>", "a", False),
    ],
)
def test_two_nats_subjects_overlap_if_both_can_match_same_subject(
    first: str, second: str, expected: bool
) -> None:
    """Two NATS subjects overlap if both can match the same subject."""
    assert expected is subjects_overlap(first, second)
    assert expected is subjects_overlap(second, first)


@pytest.mark.parametrize(
    "subject, expected",
    [
        ("$JS.ACK.orders.workers.2.7.9.1700000000000000000.3", ("orders", 7, 2)),
        ("$JS.ACK.hub.abc.orders.workers.2.7.9.1700000000000000000.3", ("orders", 7, 2)),
        ("$JS.ACK._.abc.orders.workers.2.7.9.1700000000000000000.3.x", ("orders", 7, 2)),
        ("_INBOX.1.2", None),
        ("", None),
        ("$JS.ACK.orders", None),
        ("$JS.ACK.orders.workers.x.7.9.1700000000000000000.3", None),
        ("$JS.ACK.orders.workers.2.7.9.17000000000000000000000000000000000.3", None),
    ],
)
def test_delivery_is_read(subject: str, expected: tuple[str, int, int] | None) -> None:
    """A NATS acknowledgement's subject contains stream, sequence and delivery count."""
    delivery = read_delivery(subject)
    assert expected == (delivery and (delivery.stream, delivery.sequence, delivery.number))


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"1", b'{"error": 1}'])
def test_answer_that_is_not_an_object_has_no_error_code(data: bytes) -> None:
    """A JetStream answer that is not an object has neither an error code nor a list of names."""
    answer = read_answer(data)
    assert error_code(answer) is None
    assert [] == names_in(answer)


def test_error_is_classified_by_its_code_or_status() -> None:
    """A JetStream error is classified by its code, or else by its status."""
    for error, code in (({"err_code": 10059}, 10059), ({"code": 503}, 503), ({"code": "x"}, 0)):
        assert code == error_code(read_answer(json.dumps({"error": error}).encode()))


@pytest.mark.parametrize(
    "code, kind, is_temporary",
    [
        (10059, TopicNotFound, False),
        (10039, ConfigurationError, False),
        (10008, ConnectionFailed, True),
        (10014, ConnectionFailed, True),
        (10148, ConfigurationError, False),
        (10100, ConfigurationError, False),
    ],
)
def test_cluster_without_a_leader_is_a_temporary_error(
    code: int, kind: type[ConnectorError], is_temporary: bool
) -> None:
    """A JetStream cluster without a leader is a temporary error; a missing stream is not."""
    error = api_error(code, "orders", "workers")
    assert isinstance(error, kind)
    assert is_temporary is error.retryable


def test_pinned_consumers_need_a_version() -> None:
    """A NATS consumer that pins one worker requires NATS 2.11, and differs from a shared one."""
    versions = ("NATS 2.9.10", "NATS 2.11.0", "NATS 3.0.1", None)
    assert [False, True, True, False] == [can_pin(version) for version in versions]
    shared_consumer = ConsumerSettings(
        subjects=("a",),
        group="g",
        start="all",
        ack_wait=30.0,
        max_deliveries=None,
        max_unacknowledged=10,
        exclusive=False,
    )
    pinned = attrs.evolve(shared_consumer, exclusive=True)
    config = pinned.config("g-a", "a")
    assert "priority_policy" == shared_consumer.difference("g-a", "a", config)
    assert pinned.difference("g-a", "a", config) is None


def test_message_with_an_empty_header_name_becomes_a_record() -> None:
    """A NATS message with an empty key, id or header name becomes a record like any other."""
    headers = {"moorage-key": "", "Nats-Msg-Id": "", "": "1"}
    record = SinkRecord(b"", **record_fields(headers), topic="orders", partition="S", offset=1)

    assert (None, None, (("(unnamed)", "1"),)) == (record.key, record.id, record.attributes)
