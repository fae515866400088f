"""Links to Kafka: one for synchronous programs, and one for asynchronous ones.

librdkafka has an asynchronous client too, but that one refuses headers and holds messages back. So
an asynchronous link has a thread, which waits while messages are under way.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import KafkaException

from moorage.adapters.messages._kafka_cluster import options_error
from moorage.adapters.messages._kafka_producer import KafkaProducer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from moorage.domain.messages.message import OutgoingMessage, PublishReceipt
    from moorage.domain.values.result import Result

R = TypeVar("R")


class _KafkaLink:
    """The part of a link that both modes share."""

    def __init__(self, producer: KafkaProducer) -> None:
        self._producer = producer

    @property
    def version(self) -> str | None:
        """The id of the cluster, which is all that it tells about itself."""
        return self._producer.version

    def is_connected(self) -> bool:
        """Return False if the producer was closed, or gave up messages."""
        return self._producer.is_connected()

    def concern(self) -> tuple[str, str] | None:
        """Return None: a cluster that answers reports no trouble of its own."""
        return None

    def close(self) -> None:
        """Give up what is not acknowledged, and end the producer without waiting for it."""
        self._producer.close()


class KafkaLink(_KafkaLink):
    """A producer of a synchronous program."""

    def ping(self, timeout: float, /) -> None:
        """Ask the cluster for the metadata of one topic."""
        self._producer.ping(timeout)

    def publish(self, item: OutgoingMessage, timeout: float, /) -> PublishReceipt:
        """Publish one message."""
        return self._producer.publish((item,), timeout)[0].unwrap()

    def publish_batch(
        self, items: Sequence[OutgoingMessage], timeout: float, /
    ) -> list[Result[PublishReceipt]]:
        """Publish messages to one topic."""
        return self._producer.publish(items, timeout)

    def leave(self, timeout: float, /) -> None:  # noqa: ARG002 - nothing is left to be sent
        """End the producer, whose messages are all acknowledged or given up."""
        self.close()


class AsyncKafkaLink(_KafkaLink):
    """A producer of an asynchronous program, and the thread that waits for it."""

    def __init__(self, producer: KafkaProducer, thread: ThreadPoolExecutor) -> None:
        super().__init__(producer)
        self._thread = thread

    async def ping(self, timeout: float, /) -> None:
        """Ask the cluster for the metadata of one topic."""
        await self._aside(partial(self._producer.ping, timeout))

    async def publish(self, item: OutgoingMessage, timeout: float, /) -> PublishReceipt:
        """Publish one message."""
        results = await self._aside(partial(self._producer.publish, (item,), timeout))
        return results[0].unwrap()

    async def publish_batch(
        self, items: Sequence[OutgoingMessage], timeout: float, /
    ) -> list[Result[PublishReceipt]]:
        """Publish messages to one topic."""
        return await self._aside(partial(self._producer.publish, items, timeout))

    async def leave(self, timeout: float, /) -> None:  # noqa: ARG002 - nothing is left to be sent
        """End the producer, whose messages are all acknowledged or given up."""
        self.close()

    def close(self) -> None:
        """Give up what is not acknowledged, and end the producer without waiting for it."""
        super().close()
        self._thread.shutdown(wait=False)

    async def _aside(self, step: Callable[[], R]) -> R:
        """Run a step in the thread; if the caller is cancelled, its messages are given up."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, step)
        except asyncio.CancelledError:
            self.close()
            raise


def connect_kafka(settings: Mapping[str, Any], timeout: float) -> KafkaLink:
    """Return a link to a cluster that answered in time."""
    link = KafkaLink(_producer(settings))
    try:
        link.ping(timeout)
    except BaseException:
        link.close()
        raise
    return link


async def connect_kafka_async(settings: Mapping[str, Any], timeout: float) -> AsyncKafkaLink:
    """Return a link to a cluster that answered in time."""
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
