"""The Amazon SQS connector tested against moto, an independent emulator, over real HTTP.

moto checks each signature with Amazon's own library, and computes the digests of attributes itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moorage import AuthenticationFailed, ConnectionFailed, Message, TopicNotFound
from moorage.adapters.sqs.amazon_sqs import AmazonSqs
from tests.sqs.queue_harness import FIFO, QueueHarness
from tests.support.moto_server import REGION, MotoServer
from tests.support.publisher_harness import IN_BOTH_MODES

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCOUNT = "123456789012"


@pytest.fixture(scope="module")
def moto() -> Iterator[MotoServer]:
    """Yield a moto server with queues that no other test uses."""
    with MotoServer() as server:
        for name in ("plain-sync", "plain-async", "batch-sync", "batch-async", FIFO):
            server.add_queue(name)
        yield server


def settings(moto: MotoServer, secret: str | None = None) -> AmazonSqs:
    """Return the settings with which a connector uses this moto server."""
    return AmazonSqs(
        region=REGION,
        account=ACCOUNT,
        access_key_id=moto.key.id,
        secret_access_key=secret or moto.key.secret,
        endpoint=moto.url,
    )


def mode(is_async: bool) -> str:
    """Return the name of the mode, synchronous or asynchronous."""
    return "async" if is_async else "sync"


@IN_BOTH_MODES
def test_text_attributes_and_content_type_of_a_message_arrive_unchanged(
    moto: MotoServer, is_async: bool
) -> None:
    """Text, attributes and content type of a sent message arrive unchanged."""
    queue = f"plain-{mode(is_async)}"
    message = Message(
        "Grüße",
        headers={"trace": "a1", "blob": b"\x00\xff"},
        content_type="text/plain",
    )
    with QueueHarness(settings(moto), is_async=is_async) as harness:
        receipt = harness.publish(queue, message)
    answer = moto.receive(queue)
    assert "Grüße" in answer
    assert f"<MessageId>{receipt.id}</MessageId>" in answer
    assert "<BinaryValue>AP8=</BinaryValue>" in answer
    assert "<StringValue>text/plain</StringValue>" in answer


@IN_BOTH_MODES
def test_batch_of_twelve_messages_is_sent_in_groups_of_ten(
    moto: MotoServer, is_async: bool
) -> None:
    """A batch of twelve messages is sent in groups, and each has its own receipt."""
    queue = f"batch-{mode(is_async)}"
    messages = [Message(f"m{number}", headers={"n": str(number)}) for number in range(12)]
    with QueueHarness(settings(moto), is_async=is_async) as harness:
        results = harness.publish_batch(queue, messages)
    assert len({result.unwrap().id for result in results}) == 12
    assert moto.receive(queue).count("<Body>") == 10
    assert moto.receive(queue).count("<Body>") == 2


@IN_BOTH_MODES
def test_repeated_id_is_stored_once(moto: MotoServer, is_async: bool) -> None:
    """A FIFO queue stores a message id once, and its receipt has the sequence number."""
    name = mode(is_async)
    message = Message(b"1", key=f"customer-{name}", id=f"order-{name}")
    with QueueHarness(settings(moto), is_async=is_async) as harness:
        receipts = [harness.publish(FIFO, message) for _ in range(2)]
    assert all(receipt.offset is not None for receipt in receipts)
    assert moto.receive(FIFO).count("<Body>") == 1


@IN_BOTH_MODES
def test_missing_queue_wrong_secret_and_unreachable_server_raise_typed_errors(
    moto: MotoServer, is_async: bool
) -> None:
    """A missing queue, a wrong secret and an unreachable server each raise a typed error."""
    with QueueHarness(settings(moto), is_async=is_async) as harness:
        with pytest.raises(TopicNotFound):
            harness.publish("nowhere", Message(b"1"))
        assert harness.completed(harness.connector.health(5.0)).is_healthy
    with QueueHarness(settings(moto, "wrong-secret"), is_async=is_async) as harness:
        with pytest.raises(AuthenticationFailed) as excinfo:
            harness.publish(f"plain-{mode(is_async)}", Message(b"1"))
        assert "wrong-secret" not in f"{excinfo.value!r} {vars(excinfo.value)}"
    absent = AmazonSqs(
        region=REGION,
        account=ACCOUNT,
        access_key_id="A",
        secret_access_key="s",
        endpoint="http://127.0.0.1:9",
    )
    with QueueHarness(absent, is_async=is_async) as harness:
        with pytest.raises(ConnectionFailed) as unreachable:
            harness.publish("plain-sync", Message(b"1"))
        assert not unreachable.value.may_have_been_processed
