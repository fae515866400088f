"""Connections to RabbitMQ without the publisher's own checks, in sync and async mode."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pytest

from moorage import ConnectionFailed, Message, RetryPolicy, Secret
from moorage.adapters.messages._rabbitmq_async import close_connection, connect_aio_pika
from moorage.adapters.messages._rabbitmq_sync import _SocketLoop, connect_pika
from moorage.adapters.messages.rabbitmq import RabbitMq
from moorage.domain.messages.message import OutgoingMessage
from moorage.domain.messages.publish_failures import Publication, publication_of
from tests.adapters.messages.rabbitmq_harness import open_connection
from tests.support.flooding import MOST, flooding_server
from tests.support.rabbitmq_servers import LossyProxy
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.adapters.messages.publisher_harness import Harness
    from tests.adapters.messages.rabbitmq_harness import Broker

CHANNEL_OPEN: Final = b"\x00\x14\x00\x0a"
"""The class and the method of AMQP 0-9-1 with which a client opens a channel."""


class Interruption(BaseException):
    """A BaseException that a signal handler raises to interrupt a thread."""


def proxy_before(broker: Broker, *, mute_at: bytes | None = None) -> LossyProxy:
    """Return a proxy in front of the RabbitMQ server that has this queue."""
    parts = urlsplit(broker.url)
    return LossyProxy(parts.hostname or "", parts.port or 5672, mute_at=mute_at)


def url_of(proxy: LossyProxy) -> str:
    """Return the URL of the server through this proxy."""
    return f"amqp://guest:guest@127.0.0.1:{proxy.port}/"


def test_message_that_cannot_be_encoded_leaves_the_connection_usable(
    rabbit: Callable[..., Harness], broker: Broker
) -> None:
    """If the library cannot encode a topic, nothing is sent, and later messages are sent."""
    harness = rabbit(broker.url)
    wrong_link, right_link = (
        OutgoingMessage("\ud800", Message(b"1")),
        OutgoingMessage(broker.queue, Message(b"2")),
    )
    with open_connection(harness, broker.url) as link:
        with pytest.raises(UnicodeEncodeError):
            harness.finish(link.publish(wrong_link, 5.0))
        with pytest.raises(UnicodeEncodeError):
            harness.finish(link.publish_batch([wrong_link], 5.0))
        assert harness.finish(link.publish(right_link, 30.0)).topic == broker.queue
    assert broker.payloads() == [b"2"]


@pytest.mark.parametrize("letter", [b"A", b"\0", b"\xff"])
def test_endless_garbage_is_refused(rabbit: Callable[..., Harness], letter: bytes) -> None:
    """Garbage that announces a huge frame ends the connection before the caller's deadline."""
    with flooding_server(letter * 65_536) as (port, sent):
        url = f"amqp://guest:guest@127.0.0.1:{port}/"
        harness = rabbit(url, service={"retry": RetryPolicy.none()}, connect_timeout=600.0)
        with pytest.raises(ConnectionFailed) as excinfo:
            harness.publish("queue", Message(b"1"), timeout=600.0)

    assert not excinfo.value.may_have_been_processed
    assert sum(sent) < MOST


def test_endless_heartbeats_end_at_the_deadline(rabbit: Callable[..., Harness]) -> None:
    """If a server sends frames endlessly, the caller still gets an error at the deadline."""
    with flooding_server(b"\x08\0\0\0\0\0\0\xce" * 8_192) as (port, sent):
        url = f"amqp://guest:guest@127.0.0.1:{port}/"
        harness = rabbit(url, service={"retry": RetryPolicy.none()}, connect_timeout=0.5)
        with pytest.raises(ConnectionFailed) as excinfo:
            harness.publish("queue", Message(b"1"), timeout=600.0)

    assert not excinfo.value.may_have_been_processed
    assert sum(sent) < MOST


def test_partial_socket_write_is_continued() -> None:
    """The event loop writes as many bytes as the socket accepts, and later the rest."""
    loop: Any = _SocketLoop()
    loop.activate_poller()
    near_socket, far_socket = socket.socketpair()
    rest = bytearray(b"x" * 4_000_000)

    def write(fd: int, events: int) -> None:
        assert events & loop.WRITE
        with suppress(BlockingIOError):
            while rest:
                del rest[: near_socket.send(rest)]
            loop.update_handler(fd, loop.READ)

    with near_socket, far_socket:
        near_socket.setblocking(False)
        loop.add_handler(near_socket.fileno(), write, loop.READ)
        loop.update_handler(near_socket.fileno(), loop.READ | loop.WRITE)
        loop.is_open = True
        loop.update_handler(near_socket.fileno(), loop.READ)
        assert 4_000_000 == len(rest)
        loop.update_handler(near_socket.fileno(), loop.READ | loop.WRITE)
        bytes_left = len(rest)
        assert 0 < bytes_left < 4_000_000
        arrived = len(far_socket.recv(4_000_000))
        while rest:
            loop.poll()
            arrived += len(far_socket.recv(4_000_000))
        while arrived < 4_000_000:
            arrived += len(far_socket.recv(4_000_000))
        # No data waits to be written any more, so the loop does not call the handler.
        loop.call_later(0, rest.clear)
        loop.poll()
        loop.remove_handler(near_socket.fileno())
    loop.deactivate_poller()
    loop.close()


def test_batch_without_confirmations_may_be_stored(
    rabbit: Callable[..., Harness], broker: Broker
) -> None:
    """If a batch times out before its confirmations, each of its messages may be stored."""
    items = [OutgoingMessage(broker.queue, Message(text)) for text in ("1", "2")]
    with proxy_before(broker) as proxy:
        harness = rabbit(broker.url)
        with open_connection(harness, url_of(proxy)) as link:
            harness.finish(link.publish(items[0], 30.0))
            proxy.is_mute = True
            results = harness.finish(link.publish_batch(items, 0.05))
    assert [publication_of(result) for result in results] == [Publication.POSSIBLE] * 2


def test_synchronous_link_detects_its_lost_connection_before_it_sends_message(
    broker: Broker,
) -> None:
    """A synchronous link detects its lost connection before it sends a message."""
    item = OutgoingMessage(broker.queue, Message(b"1"))
    with proxy_before(broker) as proxy:
        link = connect_pika(RabbitMq(url=Secret(url_of(proxy))), 10.0)
        proxy.hang_up()
        with pytest.raises(ConnectionFailed, match="before the message was sent") as excinfo:
            link.publish(item, 5.0)
        link.close()
    assert not excinfo.value.may_have_been_processed
    assert broker.payloads() == []


def test_cancelled_opening_leaves_no_connection(broker: Broker) -> None:
    """Cancelling a task that is opening a channel closes the connection."""

    async def run(proxy: LossyProxy) -> None:
        opening = asyncio.create_task(
            connect_aio_pika(RabbitMq(url=Secret(url_of(proxy)), connect_timeout=60.0), 60.0)
        )
        await asyncio.to_thread(wait_until, lambda: proxy.is_mute, "opening a channel")
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await asyncio.to_thread(wait_until, lambda: proxy.ended == 1, "closing the connection")

    with proxy_before(broker, mute_at=CHANNEL_OPEN) as proxy:
        asyncio.run(run(proxy))


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals to threads")
def test_interrupted_opening_leaves_no_connection(broker: Broker) -> None:
    """Interrupting a thread that is opening a channel closes the connection."""

    def interrupt(*_: object) -> None:
        raise Interruption

    def strike(proxy: LossyProxy, thread: int) -> None:
        wait_until(lambda: proxy.is_mute, "opening a channel")
        signal.pthread_kill(thread, signal.SIGUSR1)

    previous = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with proxy_before(broker, mute_at=CHANNEL_OPEN) as proxy:
            striker = threading.Thread(target=strike, args=(proxy, threading.get_ident()))
            striker.start()
            with pytest.raises(Interruption):
                connect_pika(RabbitMq(url=Secret(url_of(proxy)), connect_timeout=60.0), 60.0)
            striker.join()
            wait_until(lambda: proxy.ended == 1, "closing the connection")
    finally:
        signal.signal(signal.SIGUSR1, previous)


class SilentConnection:
    """An aio-pika connection whose server never responds to the request to close the connection."""

    is_aborted = False

    async def close(self) -> None:
        """Wait forever, as if the server never responded."""
        await asyncio.Event().wait()

    def abort(self) -> None:
        """Cut off the connection."""
        self.is_aborted = True


def test_connection_that_does_not_close_in_time_is_aborted() -> None:
    """If the server does not respond to a close request in time, the client cuts the connection."""
    connection = SilentConnection()
    asyncio.run(close_connection(connection, 0.0))

    assert connection.is_aborted


def test_lost_connection_prints_nothing(broker: Broker) -> None:
    """If an event loop loses its connection, a program without log handlers prints no traceback."""
    host, port = urlsplit(broker.url).hostname, urlsplit(broker.url).port or 5672
    program = f"""
        import asyncio
        from moorage import AsyncConnectorManager, ConnectorError, Message, Service
        from moorage.adapters.messages.rabbitmq import RabbitMq
        from moorage.testing import TcpProxy

        async def main(proxy):
            url = "amqp://guest:guest@{{}}:{{}}/".format(*proxy.address)
            publisher = RabbitMq(url=url).async_publisher("events")
            manager = AsyncConnectorManager([Service("events")])
            publish = lambda: manager.perform(
                "events", publisher.publish({broker.queue!r}, Message("x"))
            )
            await publish()
            proxy.cut_connections()
            try:
                await publish()
            except ConnectorError as error:
                print(type(error).__name__)
            await publisher.close()

        with TcpProxy({host!r}, {port}) as proxy:
            asyncio.run(main(proxy))
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "ConnectionFailed\n" == result.stdout
    assert not result.stderr
