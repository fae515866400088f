"""Queues and connections for the RabbitMQ tests."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pika
import pytest
from pika.exceptions import AMQPConnectionError

from moorage import Secret
from moorage.adapters.messages._rabbitmq_async import connect_aio_pika
from moorage.adapters.messages._rabbitmq_sync import connect_pika
from moorage.adapters.messages.rabbitmq import RabbitMq

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.adapters.messages.publisher_harness import Harness


class Broker:
    """A queue of the shared RabbitMQ server, read through a separate connection."""

    def __init__(self, url: str, arguments: dict[str, Any] | None = None) -> None:
        self.url = url
        self._connect()
        self.queue = f"moorage-{uuid4().hex}"
        self.channel.queue_declare(self.queue, durable=True, arguments=arguments)

    def _connect(self) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(self.url))
        self.channel = self._connection.channel()

    def reconnect(self) -> None:
        """Replace a connection that the RabbitMQ server has closed, and free its sockets."""
        with pytest.raises(AMQPConnectionError):
            self._connection.close()
        self._connect()

    def take(self) -> tuple[Any, bytes] | None:
        """Return the properties and payload of the next message in the queue."""
        answer: Any = self.channel.basic_get(self.queue, auto_ack=True)
        return None if answer[0] is None else (answer[1], answer[2])

    def payloads(self) -> list[bytes]:
        """Take all messages from the queue and return their payloads."""
        return [item[1] for item in iter(self.take, None) if item is not None]

    def close(self) -> None:
        """Delete the test's queue, and close the connection."""
        with closing(self._connection):
            self.channel.queue_delete(self.queue)


@contextmanager
def open_connection(harness: Harness, url: str) -> Generator[Any]:
    """Open a broker connection in the publisher's mode, without the publisher's own checks."""
    settings = RabbitMq(url=Secret(url))
    connect = connect_pika if harness.loop is None else connect_aio_pika
    link: Any = harness.finish(connect(settings, 10.0))
    try:
        yield link
    finally:
        link.close()
