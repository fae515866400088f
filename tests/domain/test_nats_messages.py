"""Replies and settings of NATS JetStream, without a server."""

from __future__ import annotations

import pytest

from moorage import ConnectionFailed
from moorage.domain.messages.nats import (
    RULES,
    StreamAcknowledgement,
    acknowledgement,
    denied_operation,
    new_stream,
    refusal,
    window_of,
    wire_size,
)
from moorage.domain.messages.publish_failures import PublishFault, check_repeat
from moorage.domain.messages.sqs import RULES as SQS_RULES


@pytest.mark.parametrize(
    "status, data, meaning",
    [
        (None, b'{"stream":"A","seq":7}', StreamAcknowledgement("A", 7, False)),
        (None, b'{"stream":"A","seq":7,"duplicate":true}', StreamAcknowledgement("A", 7, True)),
        ("503", b"", PublishFault.TOPIC),
        (None, b"", PublishFault.BROKEN),
        (None, b"\xff", PublishFault.BROKEN),
        (None, b"[]", PublishFault.BROKEN),
        (None, b"{}", PublishFault.BROKEN),
        (None, b'{"stream":7,"seq":7}', PublishFault.BROKEN),
        (None, b'{"error":"x"}', PublishFault.BROKEN),
        (None, b'{"error":{"code":500}}', PublishFault.BROKEN),
        (None, b'{"error":{"code":503,"err_code":10077}}', PublishFault.FULL),
        (None, b'{"error":{"code":400,"err_code":10071}}', PublishFault.CONFLICT),
        (None, b'{"error":{"code":400,"err_code":10158}}', PublishFault.LOST),
        (None, b'{"error":{"code":400,"err_code":1}}', PublishFault.BROKEN),
    ],
)
def test_only_a_reply_with_the_stream_name_proves_storage(
    status: str | None, data: bytes, meaning: StreamAcknowledgement | PublishFault
) -> None:
    """Only a NATS reply with the stream's name means that the message is stored."""
    assert meaning == acknowledgement(status, data)


@pytest.mark.parametrize(
    "text, fault",
    [
        ("nats: 'Authorization Violation'", PublishFault.PASSWORD),
        ("nats: 'user authentication expired'", PublishFault.PASSWORD),
        ("nats: 'Secure Connection - TLS Required'", PublishFault.TLS),
        ("nats: 'maximum connections exceeded'", PublishFault.UNSENT),
    ],
)
def test_meaning_of_a_refused_connection(text: str, fault: PublishFault) -> None:
    """The NATS server's error text shows whether the user was wrong or encryption was missing."""
    assert fault is refusal(text)


def test_denied_subject_is_read() -> None:
    """A NATS permission error contains the action and the subject; other errors contain neither."""
    assert ("publish", "a.b") == denied_operation(
        'nats: permissions violation for publish to "a.b"'
    )
    assert denied_operation("nats: 'slow consumer'") is None


def test_streams_of_similar_subjects_have_different_names() -> None:
    """NATS streams made for similar subjects get different names, if needed with a digest."""
    names = {
        new_stream(subject, window=None, replicas=1)[0] for subject in ("a.b", "a_b", "a/b", "ä.b")
    }
    assert 4 == len(names)
    assert "a_b" in names
    assert "duplicate_window" not in new_stream("a", window=None, replicas=1)[1]


def test_duplicate_window_is_read_in_seconds() -> None:
    """A NATS stream's duplicate window is read in seconds, if it has one."""
    assert 1.5 == window_of({"config": {"duplicate_window": 1_500_000_000}})
    assert window_of({"config": {}}) is None
    assert window_of({}) is None


def test_size_of_a_message_counts_its_header_lines_as_sent() -> None:
    """A NATS message's size counts its header lines as they are sent."""
    assert 3 == wire_size(b"abc", {})
    assert len(b"NATS/1.0\r\na: \xc3\xa4\r\n\r\nabc") == wire_size(b"abc", {"a": "ä"})


def test_broker_that_forgets_ids_gets_no_late_repeat() -> None:
    """A message that may be stored is not sent again once the broker may have forgotten its id."""
    check_repeat(RULES, 1e9)
    fifo = SQS_RULES.of("a.fifo")
    check_repeat(fifo, 299.0)
    with pytest.raises(ConnectionFailed, match="only within 300 seconds") as excinfo:
        check_repeat(fifo, 300.0)
    assert (True, False) == (excinfo.value.may_have_been_processed, excinfo.value.retryable)
