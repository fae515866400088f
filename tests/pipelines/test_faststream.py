"""The middleware for FastStream applications: retries, dead letters and acknowledgements."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from faststream.exceptions import AckMessage, NackMessage
from faststream.message import StreamMessage
from faststream.middlewares import AckPolicy
from faststream.nats import NatsBroker, TestNatsBroker

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    InvalidData,
    RetryPolicy,
    StorageUnavailable,
)
from moorage.pipelines.faststream import DeadLetterMiddleware
from moorage.testing import MemoryDeadLetters
from tests.pipelines.pipeline_waiting import until
from tests.support.nats_servers import PrivateNats

if TYPE_CHECKING:
    from collections.abc import Callable

QUICK_RETRIES = RetryPolicy(max_attempts=3, base_delay=0.0001, max_delay=0.0001)


class Shop:
    """A FastStream application without a server, whose handler calls a given function."""

    def __init__(self, act: Callable[[int], Any], **options: Any) -> None:
        self.letters = MemoryDeadLetters()
        options = {"name": "shop", "retry": QUICK_RETRIES, **options}
        middleware = DeadLetterMiddleware(self.letters, **options)
        self.broker = NatsBroker(middlewares=[middleware])
        self.calls: list[int] = []
        self.answers: list[Any] = []

        async def handle(number: int) -> Any:
            self.calls.append(number)
            return act(len(self.calls))

        async def keep(answer: Any) -> None:
            self.answers.append(answer)

        self.broker.subscriber("orders")(self.broker.publisher("paid")(handle))
        self.broker.subscriber("paid")(keep)

    async def publish(self, payload: Any, **fields: Any) -> None:
        """Publish an order, and wait until the order is handled."""
        async with TestNatsBroker(self.broker) as broker:
            await broker.publish(payload, "orders", **fields)


def raising_in_turn(*errors: Exception | None) -> Callable[[int], str]:
    """Return a function that raises these errors in turn, and then always the last one."""

    def run_call(call: int) -> str:
        if error := errors[min(call, len(errors)) - 1]:
            raise error
        return "done"

    return run_call


async def test_success_passes_through() -> None:
    """A handler's return value is published as it would be without the middleware."""
    shop = Shop(raising_in_turn(None))
    await shop.publish(5)
    assert ([5], ["done"], []) == (shop.calls, shop.answers, shop.letters.letters)


async def test_message_at_fault_is_a_dead_letter() -> None:
    """A bad message becomes a dead letter, and the handler's result is not published."""
    shop = Shop(raising_in_turn(InvalidData("There is no such order.")))
    await shop.publish(5, headers={"trace": "abc"}, correlation_id="m-1")
    assert ([5], []) == (shop.calls, shop.answers)
    [letter] = shop.letters.letters
    assert ("shop", "InvalidData", "There is no such order.", 1) == (
        letter.pipeline,
        letter.error,
        letter.message,
        letter.attempts,
    )
    assert (b"5", "orders", "m-1") == (
        letter.record.payload,
        letter.record.topic,
        letter.record.identity,
    )
    assert ["abc"] == list(letter.record.values_of("trace"))


async def test_payload_that_does_not_fit_the_handler_is_a_dead_letter() -> None:
    """If FastStream cannot convert a message for the handler, it becomes a dead letter."""
    shop = Shop(raising_in_turn(None))
    await shop.publish("no number")
    assert ([], 1) == (shop.calls, len(shop.letters.letters))


async def test_temporary_failure_is_repeated() -> None:
    """A temporary failure is retried, and the message is handled once."""
    shop = Shop(raising_in_turn(ConnectionFailed("Away."), ConnectionFailed("Away."), None))
    await shop.publish(5)
    assert ([5, 5, 5], ["done"], []) == (shop.calls, shop.answers, shop.letters.letters)


async def test_temporary_failure_that_lasts_has_the_chosen_consequence() -> None:
    """If all attempts fail, the message is a dead letter or the error is raised, as configured."""
    shop = Shop(raising_in_turn(ConnectionFailed("Away.")))
    await shop.publish(5)
    assert [3] == [letter.attempts for letter in shop.letters.letters]
    shop = Shop(raising_in_turn(ConnectionFailed("Away.")), exhausted="stop")
    with pytest.raises(ConnectionFailed):
        await shop.publish(5)
    assert [] == shop.letters.letters


async def test_other_errors_reach_faststream() -> None:
    """An error that no retry can solve is raised at once, and so are FastStream's own signals."""
    shop = Shop(raising_in_turn(AuthenticationFailed("A wrong password.")))
    with pytest.raises(AuthenticationFailed):
        await shop.publish(5)
    shop = Shop(raising_in_turn(NackMessage()))
    await shop.publish(5)
    assert ([5], []) == (shop.calls, shop.letters.letters)


async def test_lost_dead_letter_is_not_acknowledged() -> None:
    """If a dead letter cannot be stored, the error reaches FastStream after some attempts."""

    class UnreachableInbox:
        attempts = 0

        async def add(self, _: object, /) -> None:
            self.attempts += 1
            raise StorageUnavailable("The disk is full.")

    inbox = UnreachableInbox()
    middleware = DeadLetterMiddleware(inbox, name="shop", retry=QUICK_RETRIES)
    message = StreamMessage(None, b"5")

    async def handle(_: object) -> None:
        raise InvalidData("There is no such order.")

    with pytest.raises(StorageUnavailable):
        await middleware.process(handle, message, "orders")
    assert 3 == inbox.attempts


async def test_batch_becomes_several_dead_letters() -> None:
    """Each message of a batch becomes a separate dead letter with its own headers."""
    letters = MemoryDeadLetters()
    middleware = DeadLetterMiddleware(letters, name="shop", retry=QUICK_RETRIES)
    bodies = [b"5", {"number": 6}]
    message = StreamMessage(
        None, bodies, message_id="m-1", headers={"n": 1}, batch_headers=[{"n": "a"}]
    )

    async def handle(_: object) -> None:
        raise InvalidData("There are no such orders.")

    with pytest.raises(AckMessage):
        await middleware.process(handle, message, "orders")
    records = [letter.record for letter in letters.letters]
    assert [(b"5", "m-1/0"), (b'{"number":6}', "m-1/1")] == [
        (record.payload, record.identity) for record in records
    ]
    assert [["a"], ["1"]] == [list(record.values_of("n")) for record in records]


async def test_topic_is_messages_if_broker_does_not_report_message_topic() -> None:
    """If a broker does not report a message's topic, the topic is "messages"."""
    letters = MemoryDeadLetters()
    context: Any = SimpleNamespace(get=lambda _: None)
    middleware = DeadLetterMiddleware(letters, name="shop", retry=QUICK_RETRIES)(
        None, context=context
    )

    async def handle(_: object) -> None:
        raise InvalidData("There is no such order.")

    with pytest.raises(AckMessage):
        await middleware.consume_scope(handle, StreamMessage(None, b"5"))
    assert ["messages"] == [letter.record.topic for letter in letters.letters]


@pytest.mark.parametrize(
    "arguments, path",
    [
        ({"dead_letters": None}, "dead_letters"),
        ({"name": ""}, "name"),
        ({"exhausted": "never"}, "exhausted"),
    ],
)
def test_wrong_options_are_refused(arguments: dict[str, Any], path: str) -> None:
    """A wrong option is refused, and the error names it."""
    options: dict[str, Any] = {"dead_letters": MemoryDeadLetters(), "name": "shop", **arguments}
    with pytest.raises((ConfigurationError, InvalidData)) as excinfo:
        DeadLetterMiddleware(**options)
    assert path in {getattr(excinfo.value, "path", None), getattr(excinfo.value, "field", None)}


async def test_messages_of_a_real_server_are_acknowledged() -> None:
    """On NATS JetStream, a dead letter and a handled message are each acknowledged once."""
    letters, numbers = MemoryDeadLetters(), list[int]()
    with PrivateNats() as server:
        await asyncio.to_thread(server.add_stream, "orders")
        middleware = DeadLetterMiddleware(letters, name="shop", retry=QUICK_RETRIES)
        broker = NatsBroker(server.url, middlewares=[middleware], graceful_timeout=120.0)

        async def handle(number: int) -> None:
            numbers.append(number)
            if number == 2:
                raise InvalidData("There is no such order.")

        broker.subscriber(
            "orders",
            stream="orders",
            durable="shop",
            pull_sub=True,
            ack_policy=AckPolicy.NACK_ON_ERROR,
        )(handle)
        async with broker:
            await broker.start()
            for number in range(4):
                await broker.publish(number, "orders", stream="orders")
            await until(lambda: len(numbers) == 4)
        info = await asyncio.to_thread(
            server.ask, lambda stream: stream.consumer_info("orders", "shop")
        )
    assert (0, 0) == (info.num_ack_pending, info.num_pending)
    assert [0, 1, 2, 3] == sorted(numbers)
    assert [b"2"] == [letter.record.payload for letter in letters.letters]


async def test_message_that_a_server_delivers_again_is_handled() -> None:
    """After an error that the message did not cause, NATS delivers the message again."""
    letters, numbers = MemoryDeadLetters(), list[int]()
    with PrivateNats() as server:
        await asyncio.to_thread(server.add_stream, "orders")
        middleware = DeadLetterMiddleware(letters, name="shop", retry=QUICK_RETRIES)
        broker = NatsBroker(
            server.url, middlewares=[middleware], graceful_timeout=120.0, logger=None
        )

        async def handle(number: int) -> None:
            numbers.append(number)
            if numbers.count(1) == 1 == number:
                raise AuthenticationFailed("The password has changed.")

        broker.subscriber(
            "orders",
            stream="orders",
            durable="shop",
            pull_sub=True,
            ack_policy=AckPolicy.NACK_ON_ERROR,
        )(handle)
        async with broker:
            await broker.start()
            for number in range(3):
                await broker.publish(number, "orders", stream="orders")
            await until(lambda: len(numbers) == 4)
        info = await asyncio.to_thread(
            server.ask, lambda stream: stream.consumer_info("orders", "shop")
        )
    assert (0, 0) == (info.num_ack_pending, info.num_pending)
    assert [0, 1, 1, 2] == sorted(numbers)
    assert [] == letters.letters
