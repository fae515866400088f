"""Connections to Kafka, for synchronous and asynchronous programs.

The asynchronous client of confluent-kafka refuses headers and delays messages. So an asynchronous
link has a thread, which waits while messages are under way.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import KafkaException

from moorage.adapters.concurrency.pooled_threads import submit
from moorage.adapters.messages._kafka_cluster import options_error
from moorage.adapters.messages._kafka_producer import KafkaProducer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from moorage.domain.messages.message import OutgoingMessage, PublishReceipt
    from moorage.domain.values.result import Results

R = TypeVar("R")


class _KafkaLink:
    """The common code of synchronous and asynchronous links to Kafka."""

    def __init__(self, producer: KafkaProducer) -> None:
        self._producer = producer

    @property
    def version(self) -> str | None:
        """The id of the Kafka cluster; a cluster reports no version."""
        return self._producer.version

    def is_connected(self) -> bool:
        """Return False if the producer is closed, or has dropped messages."""
        return self._producer.is_connected()

    def problem(self) -> tuple[str, str] | None:
        """Return None, because a Kafka cluster reports no problems of its own."""
        return None

    def close(self) -> None:
        """Drop unacknowledged messages, and close the producer without waiting."""
        self._producer.close()


class KafkaLink(_KafkaLink):
    """A link with the Kafka producer of a synchronous program."""

    def ping(self, timeout: float, /) -> None:
        """Ask the cluster for the metadata of one topic."""
        self._producer.ping(timeout)

    def publish(self, item: OutgoingMessage, timeout: float, /) -> PublishReceipt:
        """Publish one message."""
        return self._producer.publish((item,), timeout)[0].unwrap()

    def publish_batch(
        self, items: Sequence[OutgoingMessage], timeout: float, /
    ) -> Results[PublishReceipt]:
        """Publish messages to one topic."""
        return self._producer.publish(items, timeout)

    def leave(self, timeout: float, /) -> None:  # noqa: ARG002 - nothing is left to be sent
        """Close the producer; each message is then either acknowledged or dropped."""
        self.close()


class AsyncKafkaLink(_KafkaLink):
    """A link with the Kafka producer of an asynchronous program, and its thread."""

    def __init__(self, producer: KafkaProducer, thread: ThreadPoolExecutor) -> None:
        super().__init__(producer)
        self._thread = thread

    async def ping(self, timeout: float, /) -> None:
        """Ask the cluster for the metadata of one topic."""
        await self._in_thread(partial(self._producer.ping, timeout))

    async def publish(self, item: OutgoingMessage, timeout: float, /) -> PublishReceipt:
        """Publish one message."""
        results = await self._in_thread(partial(self._producer.publish, (item,), timeout))
        return results[0].unwrap()

    async def publish_batch(
        self, items: Sequence[OutgoingMessage], timeout: float, /
    ) -> Results[PublishReceipt]:
        """Publish messages to one topic."""
        return await self._in_thread(partial(self._producer.publish, items, timeout))

    async def leave(self, timeout: float, /) -> None:  # noqa: ARG002 - nothing is left to be sent
        """Close the producer; each message is then either acknowledged or dropped."""
        self.close()

    def close(self) -> None:
        """Drop unacknowledged messages, and close the producer without waiting."""
        super().close()
        self._thread.shutdown(wait=False)

    async def _in_thread(self, step: Callable[[], R]) -> R:
        """Run a blocking step in the link's thread; cancelling the caller purges its messages."""
        try:
            return await asyncio.wrap_future(submit(self._thread, step))
        except asyncio.CancelledError:
            self.close()
            raise


def connect_kafka(settings: Mapping[str, Any], timeout: float) -> KafkaLink:
    """Return a link to a Kafka cluster that has responded before the deadline."""
    link = KafkaLink(_producer(settings))
    try:
        link.ping(timeout)
    except BaseException:
        link.close()
        raise
    return link


async def connect_kafka_async(settings: Mapping[str, Any], timeout: float) -> AsyncKafkaLink:
    """Return a link to a Kafka cluster that has responded before the deadline."""
    thread = ThreadPoolExecutor(1, thread_name_prefix="moorage-kafka")
    link = AsyncKafkaLink(_producer(settings), thread)
    try:
        await link.ping(timeout)
    except BaseException:
        link.close()
        raise
    return link


def _producer(settings: Mapping[str, Any]) -> KafkaProducer:
    try:
        return KafkaProducer(settings)
    except KafkaException:
        pass
    raise options_error()
