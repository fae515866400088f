"""Messages for brokers: the rules of each broker, and the JSON form of a message."""

from __future__ import annotations

import copy
import pickle
import re
from datetime import UTC, datetime

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import ConnectionFailed, InvalidData, Message, PublishReceipt
from moorage.domain.messages.broker_rules import (
    KEY_HEADER,
    BrokerRules,
    batches,
    check_message,
    check_topic,
    deduplication_id,
    headers_of,
    is_repeatable,
    outgoing_messages,
    size_of,
)
from moorage.domain.messages.message import OutgoingMessage
from moorage.domain.messages.plain_messages import (
    message_of,
    messages_of,
    plain_receipt,
    plain_results,
)
from moorage.domain.values.result import Result

RULES = BrokerRules(system="test", title="The test broker")
STRICT = BrokerRules(
    system="strict",
    title="The strict broker",
    topic="subject",
    topic_pattern=re.compile(r"[a-z.]+"),
    longest_name=5,
    largest=20,
    most_headers=2,
    header_name=re.compile(r"[A-Za-z-]+"),
    binary_headers=False,
    reserved=frozenset({"x-own"}),
    longest_delay=900.0,
    has_keys=False,
    deduplicates=True,
)
NOW = datetime(2031, 5, 6, tzinfo=UTC)


def test_message_encodes_texts_and_survives_copies() -> None:
    """A message's payload becomes bytes, and a message can be copied and pickled."""
    message = Message("é", key="k", headers={"a": "1", "b": b"\xff"}, id="7", delay=1.5)
    assert (message.payload, message.key) == ("é".encode(), b"k")
    assert message.headers == (("a", "1"), ("b", b"\xff"))
    assert copy.deepcopy(message) == message == pickle.loads(pickle.dumps(message))  # noqa: S301 - the test made it
    assert hash(message) == hash(copy.copy(message))
    assert Message(bytearray(b"x")).payload == b"x"
    assert Message(b"x", headers=[("a", "1"), ("a", "2")]).headers == (("a", "1"), ("a", "2"))
    assert "payload" not in repr(message)


def test_message_made_from_json_has_compact_utf8_and_json_content_type() -> None:
    """A message made from JSON has compact UTF-8 and a JSON content type."""
    assert Message.of_json({"a": "é"}) == Message('{"a":"é"}', content_type="application/json")
    other = Message.of_json([1], content_type="application/vnd.acme+json")
    assert other.content_type == "application/vnd.acme+json"


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"payload": 7}, "payload"),
        ({"payload": "\ud800"}, "payload"),
        ({"payload": b"", "key": ""}, "key"),
        ({"payload": b"", "key": 7}, "key"),
        ({"payload": b"", "headers": {"": "x"}}, "headers"),
        ({"payload": b"", "headers": {"a": 7}}, "headers"),
        ({"payload": b"", "headers": {"a": "\ud800"}}, "headers"),
        ({"payload": b"", "content_type": "a\nb"}, "content_type"),
        ({"payload": b"", "id": ""}, "id"),
    ],
)
def test_message_with_a_wrong_field_is_refused(fields: dict[str, object], field: str) -> None:
    """A message with a wrong field is refused; the error has the field's name."""
    with pytest.raises(InvalidData) as excinfo:
        Message(**fields)  # type: ignore[arg-type]  # the wrong types are the point
    assert excinfo.value.field == field


@pytest.mark.parametrize("topic", ["", 7, "a*", "a\nb"])
def test_topic_is_checked_for_its_form(topic: object) -> None:
    """A topic name that breaks the broker's naming rules is refused."""
    with pytest.raises(InvalidData, match="not a valid subject of The strict broker"):
        check_topic(topic, STRICT)


def test_topic_without_an_encoding_is_refused() -> None:
    """A topic that cannot be written as UTF-8 is refused, whatever the broker allows."""
    with pytest.raises(InvalidData, match="not a valid topic of The test broker"):
        check_topic("\ud800", RULES)


def test_topic_is_checked_for_its_length() -> None:
    """A topic name's length is measured in UTF-8 bytes."""
    rules = attrs.evolve(RULES, longest_name=4)
    check_topic("éé", rules)
    with pytest.raises(
        InvalidData, match="The topic has 5 bytes, but The test broker accepts at most 4"
    ):
        check_topic("éée", rules)


@pytest.mark.parametrize(
    "message, field",
    [
        (Message(b"x" * 21), "payload"),
        (Message(b"x" * 10, headers={"name": "x" * 10}), "payload"),
        (Message(b"", headers={"a": "", "b": "", "c": ""}), "headers"),
        (Message(b"", headers={"a b": ""}), "headers"),
        (Message(b"", headers={"X-Own": ""}), "headers"),
        (Message(b"", headers={"a": b""}), "headers"),
        (Message(b"", headers={"a": "\n"}), "headers"),
        (Message(b"", headers=[("a", ""), ("a", "")]), "headers"),
        (Message(b"", key=b"\xff"), "key"),
        (Message(b"", key="a\nb"), "key"),
        (Message(b"", delay=901), "delay"),
        (Message(b"", id="123456"), "id"),
        (Message(b"", content_type="éé/e"), "content_type"),
    ],
)
def test_message_is_checked_before_it_is_sent(message: Message, field: str) -> None:
    """A message that the broker cannot accept is refused, and the error names the wrong field."""
    with pytest.raises(InvalidData) as excinfo:
        check_message(message, STRICT)
    assert excinfo.value.field == field


def test_message_within_the_bounds_is_accepted() -> None:
    """A message at the broker's limits is accepted."""
    check_message(Message(b"x" * 20), STRICT)
    check_message(Message(b"", key="k", headers={"a": "1", "b": "2"}, delay=900), STRICT)
    check_message(Message(b"x", key=b"\xff", headers={"a b": b"\xff"}), RULES)
    with pytest.raises(InvalidData, match="cannot delay a single message"):
        check_message(Message(b"", delay=1), RULES)


def test_key_is_sent_as_header_at_broker_without_message_keys() -> None:
    """At a broker without message keys, the key is sent as a header."""
    message = Message(b"", key="k", headers={"a": "1"})
    assert headers_of(message, RULES) == (("a", "1"),)
    assert headers_of(message, STRICT) == (("a", "1"), (KEY_HEADER, "k"))
    binary = attrs.evolve(STRICT, binary_headers=True)
    assert headers_of(Message(b"", key=b"\xff"), binary) == ((KEY_HEADER, b"\xff"),)


def test_size_counts_payload_key_and_headers() -> None:
    """A message's size counts payload, key and headers, in UTF-8."""
    assert size_of(Message(b"12", key="é", headers={"é": "é", "b": b"1"})) == 2 + 2 + 4 + 2


def test_deduplication_id_depends_on_key_and_position_alone() -> None:
    """The deduplication id is the message's id, or a digest of the call's key and position."""
    message = Message(b"x")
    assert deduplication_id(Message(b"x", id="7"), "key") == "7"
    assert deduplication_id(message, None) is None
    first = deduplication_id(message, "secret-key")
    assert first == deduplication_id(Message(b"y"), "secret-key")
    assert first != deduplication_id(message, "secret-key", 1)
    assert first is not None
    assert "secret" not in first
    assert len(first) == 64


def test_idempotency_key_becomes_message_id_only_at_broker_that_recognises_repeats() -> None:
    """An idempotency key becomes a message's id only at a broker that recognises repeats."""
    messages = (Message(b"1"), Message(b"2", id="7"))
    assert [item.id for item in outgoing_messages("t", messages, RULES, "key")] == [None, "7"]
    ids = [item.id for item in outgoing_messages("t", messages, STRICT, "key")]
    assert ids == [deduplication_id(messages[0], "key"), "7"]


def test_publishing_is_repeatable_with_ids_alone() -> None:
    """Publishing may be repeated only if the broker recognises each message's id."""
    with_id, without = Message(b"", id="1"), Message(b"")
    assert is_repeatable([with_id], STRICT)
    assert not is_repeatable([with_id, without], STRICT)
    assert not is_repeatable([with_id], RULES)


@given(
    sizes=st.lists(st.integers(0, 30), max_size=40),
    most=st.integers(1, 7),
    most_bytes=st.integers(1, 60),
)
def test_batches_keep_order_and_bounds(sizes: list[int], most: int, most_bytes: int) -> None:
    """Batches contain all messages in order; only a single message may exceed the byte limit."""
    rules = attrs.evolve(RULES, most_in_batch=most, most_bytes_in_batch=most_bytes)
    items = [OutgoingMessage("t", Message(b"x" * size)) for size in sizes]
    groups = list(batches(items, rules))
    assert [item for group in groups for item in group] == items
    for number, group in enumerate(groups, 1):
        following = groups[number] if number < len(groups) else None
        weight = sum(size_of(item.message) for item in group)
        assert 1 <= len(group) <= most
        assert weight <= most_bytes or len(group) == 1
        if following is not None and len(group) < most:
            assert weight + size_of(following[0].message) > most_bytes


def test_plain_json_can_describe_each_field_of_a_message() -> None:
    """Plain JSON can describe every field of a message."""
    assert message_of({"payload": "x", "key": "k", "id": "7"}) == Message(b"x", key="k", id="7")
    assert message_of({"json": [1], "headers": {"a": "1"}, "delay": 2}) == Message.of_json(
        [1], headers={"a": "1"}, delay=2
    )
    assert messages_of([{"payload": "x"}]) == (Message(b"x"),)


@pytest.mark.parametrize(
    "arguments, field",
    [
        ({}, "payload"),
        ({"payload": "", "json": 1}, "payload"),
        ({"payload": "", "colour": "red"}, "colour"),
        ({"payload": "", "headers": []}, "headers"),
        ({"payload": "", "delay": True}, "delay"),
        ({"payload": "", "delay": "soon"}, "delay"),
    ],
)
def test_json_that_does_not_describe_a_message_is_refused(
    arguments: dict[str, object], field: str
) -> None:
    """JSON that does not describe a message is refused, and the error names the wrong field."""
    with pytest.raises(InvalidData) as excinfo:
        message_of(arguments)
    assert excinfo.value.field == field


@pytest.mark.parametrize("values", ["x", [1]])
def test_messages_must_be_a_list_of_objects(values: object) -> None:
    """A batch of messages in plain JSON must be a list of objects."""
    with pytest.raises(InvalidData, match="list of objects"):
        messages_of(values)


def test_receipts_and_results_as_plain_json() -> None:
    """In plain JSON, a receipt has the broker's fields, and a result has its receipt or error."""
    receipt = PublishReceipt(broker="test", topic="t", at=NOW, offset=3, is_duplicate=True)
    plain_fields = {
        "broker": "test",
        "topic": "t",
        "at": "2031-05-06T00:00:00+00:00",
        "offset": 3,
        "is_duplicate": True,
    }
    assert plain_receipt(receipt) == plain_fields
    lost_error = ConnectionFailed("The connection was lost.")
    assert plain_results(
        [Result(receipt), Result(error=lost_error), Result(error=RuntimeError("secret"))]
    ) == [
        plain_fields,
        {
            "error": "ConnectionFailed",
            "message": "The connection was lost.",
            "publication": "possible",
        },
        {
            "error": "RuntimeError",
            "message": "The client library failed.",
            "publication": "possible",
        },
    ]
