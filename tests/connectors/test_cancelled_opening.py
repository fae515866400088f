"""If opening a connector is cancelled at any `await`, nothing stays open.

The opening runs in a task that is cancelled at its first wait, then at its second, and so on.
Afterwards the tests count the tasks of the event loop, and its transports that are not closing.
"""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest

from moorage import Mqtt, Nats, RabbitMq
from moorage.adapters.sql.connector import AsyncSqlConnector
from tests.adapters.sql.database_harness import url_of
from tests.support.mqtt_brokers import PrivateMosquitto
from tests.support.nats_servers import PrivateNats
from tests.support.servers import rabbitmq_url

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

MOST = 200
PATIENCE = 30.0


class CancellingAwait:
    """An awaitable that cancels the running task at one of the pauses of another awaitable.

    Attributes:
        waits: the number of waits so far.
    """

    def __init__(self, work: Awaitable[Any], number: int) -> None:
        self._work = work
        self._number = number
        self.waits = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._work.__await__()
        send: Callable[[Any], Any] = steps.send
        value: Any = None
        while True:
            try:
                wait = send(value)
            except StopIteration as stop:
                return stop.value
            self.waits += 1
            if self.waits == self._number:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                send, value = steps.send, (yield wait)
            except BaseException as error:  # noqa: BLE001 - passed on
                send, value = steps.throw, error


class CountedTransports:
    """The transports that an event loop has opened, counted where connections are created."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.transports: list[Any] = []
        self._open: Any = loop.create_connection
        loop.create_connection = self._create_connection  # type: ignore[method-assign]  # counted from now on

    async def _create_connection(self, *arguments: Any, **options: Any) -> Any:
        transport, protocol = await self._open(*arguments, **options)
        self.transports.append(transport)
        return transport, protocol

    def open_transports(self) -> list[Any]:
        """Return the transports that were not closed."""
        return [transport for transport in self.transports if not transport.is_closing()]


async def cancel_everywhere(make: Callable[[], Any]) -> int:
    """Cancel the opening at each of its `await`s in turn, and return the number of `await`s."""
    loop = asyncio.get_running_loop()
    for number in range(1, MOST):
        opened = CountedTransports(loop)
        connector = make()
        opening = CancellingAwait(connector.open(PATIENCE), number)

        async def run(opening: CancellingAwait = opening) -> None:
            await opening

        task = asyncio.create_task(run())
        await asyncio.wait([task])
        if not task.cancelled():
            assert opening.waits < number
            await connector.close()
            return number
        # The connector is usable: it opens another connection.
        await connector.open(PATIENCE)
        await connector.close()
        await _wait_for_closed_transports(opened)
    raise AssertionError("Opening the connection never ended.")


async def _wait_for_closed_transports(opened: CountedTransports) -> None:
    """Wait until the current task is the only running one, and every transport is closed."""
    async with asyncio.timeout(PATIENCE):
        while opened.open_transports() or asyncio.all_tasks() - {asyncio.current_task()}:
            gc.collect()
            await asyncio.sleep(0)


@pytest.mark.parametrize("system", ["postgresql", "mariadb"])
def test_cancelled_opening_of_database_leaves_no_connection(system: str) -> None:
    """A cancelled opening of a database leaves no connection."""
    assert 1 < asyncio.run(cancel_everywhere(lambda: AsyncSqlConnector(url_of(system))))


def test_cancelled_opening_of_rabbitmq_leaves_no_connection() -> None:
    """A cancelled opening of RabbitMQ leaves no connection, even one that its client forgets."""
    settings = RabbitMq(url=rabbitmq_url())
    assert 1 < asyncio.run(cancel_everywhere(lambda: settings.async_publisher("events")))


def test_cancelled_opening_of_nats_leaves_no_connection() -> None:
    """A cancelled opening of NATS leaves no connection."""
    with PrivateNats() as server:
        settings = Nats(url=server.url)
        assert 1 < asyncio.run(cancel_everywhere(lambda: settings.async_publisher("events")))


def test_cancelled_opening_of_mqtt_broker_leaves_no_connection() -> None:
    """A cancelled opening of an MQTT broker leaves no connection."""
    with PrivateMosquitto() as broker:
        settings = Mqtt(url=broker.url)
        assert 1 < asyncio.run(cancel_everywhere(lambda: settings.async_publisher("events")))
