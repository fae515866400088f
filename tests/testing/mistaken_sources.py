"""In-memory sources, most of them with one fault that the conformance kit must find."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs

from moorage import (
    ConfigurationError,
    ConnectionFailed,
    PollLimits,
    SinkRecord,
    UnsupportedByVendor,
)
from moorage.testing import MemorySource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage import Message
    from moorage.domain.pipelines.records import Offset, Partition


class TopicSource(MemorySource):
    """A correct source that reads an in-memory topic, and whose connection a test can break."""

    published = 0

    async def publish(self, messages: Sequence[Message]) -> None:
        """Add messages to the topic."""
        for message in messages:
            self.add([self.record(message)])
            self.published += 1

    def record(self, message: Message) -> SinkRecord:
        """Return the record for a message."""
        return SinkRecord(
            message.payload,
            key=message.key,
            id=message.id,
            content_type=message.content_type,
            topic="orders",
            offset=self.published,
        )

    def interrupt(self) -> None:
        """Make the next poll raise an error."""
        self.fail(ConnectionFailed("The connection was lost."))


class ReleasingSource(TopicSource):
    """A correct source that redelivers each released record immediately."""

    async def release(self, records: Sequence[SinkRecord], /) -> None:
        await super().release(records)
        self._waiting += records
        if records:
            self._more.set()


class BackwardsSource(TopicSource):
    """A faulty source that returns the records of a poll in reverse order."""

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        return (await super().poll(limits) or [])[::-1]


class NamelessSource(TopicSource):
    """A faulty source that gives all records the same id."""

    def record(self, message: Message) -> SinkRecord:
        return attrs.evolve(super().record(message), id="same")


class KeylessSource(TopicSource):
    """A faulty source that loses the keys of messages."""

    def record(self, message: Message) -> SinkRecord:
        return attrs.evolve(super().record(message), key=None)


class GreedySource(TopicSource):
    """A faulty source that returns more records than a poll allows."""

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        return await super().poll(limits._replace(records=1_000))


class HeavySource(TopicSource):
    """A faulty source that returns more bytes than a poll allows."""

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        return await super().poll(limits._replace(size=1_000_000_000))


class InventsSource(TopicSource):
    """A faulty source that returns a record that was never published."""

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        return await super().poll(limits) or [SinkRecord(b"0", topic="orders", offset=-1)]


class FillsSource(TopicSource):
    """A faulty source that makes each poll wait until it has all the records that it may return."""

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        if limits.wait > 1:
            await asyncio.Event().wait()
        return await super().poll(limits)


class ForgetfulSource(TopicSource):
    """A faulty source that forgets commits."""

    async def commit(self, records: Sequence[SinkRecord], /) -> None:
        """Ignore the commit."""


class HastySource(TopicSource):
    """A faulty source that treats delivered records as committed."""

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        records = await super().poll(limits)
        self.committed += records or []
        return records


class CommitsAllSource(TopicSource):
    """A faulty source that commits all delivered records, like a Kafka consumer by default."""

    async def commit(self, records: Sequence[SinkRecord], /) -> None:
        delivered = [record for record in self._records if record not in self._waiting]
        await super().commit(delivered)


class RenamesSource(TopicSource):
    """A faulty source that gives a record another id at each delivery."""

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        records = await super().poll(limits)
        return [attrs.evolve(record, id=f"poll {self.polls}") for record in records or []]


class LosesCancelledSource(TopicSource):
    """A faulty source that loses records if a poll is cancelled."""

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        records = await super().poll(limits)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return records


class UndercountingSource(TopicSource):
    """A faulty source whose lag omits delivered records."""

    async def lag(self) -> int | None:
        return len(self._waiting)


class SerialSource(TopicSource):
    """A faulty source that commits only while no poll waits."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.lock = asyncio.Lock()

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        async with self.lock:
            return await super().poll(limits)

    async def commit(self, records: Sequence[SinkRecord], /) -> None:
        async with self.lock:
            await super().commit(records)


class ImpatientSource(TopicSource):
    """A faulty source that ends a waiting poll as soon as records are committed."""

    waiting_poll: asyncio.Task[list[SinkRecord] | None] | None = None

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        self.waiting_poll = asyncio.ensure_future(super().poll(limits))
        await asyncio.wait([self.waiting_poll])
        return [] if self.waiting_poll.cancelled() else self.waiting_poll.result()

    async def commit(self, records: Sequence[SinkRecord], /) -> None:
        await super().commit(records)
        if self.waiting_poll is not None:
            self.waiting_poll.cancel()
        for _ in range(10):
            await asyncio.sleep(0)


class ReleasesAllSource(ReleasingSource):
    """A faulty source that delivers all records again if one is released."""

    async def release(self, records: Sequence[SinkRecord], /) -> None:
        await super().release(self._records if records else [])


class ClaimsSource(TopicSource):
    """A faulty source that redelivers records although their processing time was extended."""

    async def extend(self, records: Sequence[SinkRecord], /) -> None:
        self._waiting += records


class ForeignSource(TopicSource):
    """A faulty source that raises a Python exception if it is not open."""

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        if not self.is_open:
            raise RuntimeError("closed")
        return await super().poll(limits)


class StubbornSource(TopicSource):
    """A faulty source that raises a configuration error if it is not open."""

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        if not self.is_open:
            raise ConfigurationError("closed")
        return await super().poll(limits)


class ImmovableSource(TopicSource):
    """A faulty source that ignores requests to move its position."""

    async def seek(self, partition: Partition, offset: Offset, /) -> None:
        """Ignore the new position."""


class FinalSource(TopicSource):
    """A faulty source that reports a lost connection as a configuration error."""

    def interrupt(self) -> None:
        self.fail(ConfigurationError("lost"))


class NeverOpensAgainSource(TopicSource):
    """A faulty source that cannot be reopened after a lost connection."""

    def interrupt(self) -> None:
        super().interrupt()
        self.fail(ConfigurationError("lost"), method="open")


class EndsSource(TopicSource):
    """A faulty source that reports the end of its data as soon as it has no records."""

    def __init__(self, *arguments: Any, **_: Any) -> None:
        super().__init__(*arguments)


class EndsEarlySource(TopicSource):
    """A faulty source that reports the end of its data once its first records are committed."""

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        return None if self.committed else await super().poll(limits)


class StallsSource(TopicSource):
    """A faulty source that delivers only some of the published records."""

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        if self.published > 50:
            await asyncio.sleep(limits.wait)
            return []
        return await super().poll(limits)


class UnreachableSource(TopicSource):
    """A faulty source that refuses all commits after the first records."""

    async def commit(self, records: Sequence[SinkRecord], /) -> None:
        if self.published >= 120:
            raise ConnectionFailed("The connection was lost.")
        await super().commit(records)


class FixedSource(TopicSource):
    """A correct source that cannot move its position."""

    async def seek(self, partition: Partition, offset: Offset, /) -> None:
        raise UnsupportedByVendor("The position cannot be moved.")


class ScatteredSource(TopicSource):
    """A correct source with one partition per record."""

    def record(self, message: Message) -> SinkRecord:
        return attrs.evolve(super().record(message), partition=self.published)
