"""Sources of a topic in memory, each but the first two with one mistake."""

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


class Topic(MemorySource):
    """A topic in memory, which is its own only source and loses its connection if it is told to."""

    published = 0

    async def publish(self, messages: Sequence[Message]) -> None:
        """Add messages."""
        for message in messages:
            self.add([self.record(message)])
            self.published += 1

    def record(self, message: Message) -> SinkRecord:
        """Return the record of a message."""
        return SinkRecord(
            message.payload,
            key=message.key,
            id=message.id,
            content_type=message.content_type,
            topic="orders",
            offset=self.published,
        )

    def interrupt(self) -> None:
        """Make the next poll fail."""
        self.fail(ConnectionFailed("The connection was lost."))


class Releasing(Topic):
    """A topic that delivers released records again at once."""

    async def release(self, records: Sequence[SinkRecord], /) -> None:
        await super().release(records)
        self._waiting += records
        if records:
            self._more.set()


class Backwards(Topic):
    """Returns the records of a poll in the wrong order."""

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        return (await super().poll(limits) or [])[::-1]


class Nameless(Topic):
    """Gives all records the same id."""

    def record(self, message: Message) -> SinkRecord:
        return attrs.evolve(super().record(message), id="same")


class Keyless(Topic):
    """Loses the keys."""

    def record(self, message: Message) -> SinkRecord:
        return attrs.evolve(super().record(message), key=None)


class Greedy(Topic):
    """Ignores the number of records of a poll."""

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        return await super().poll(limits._replace(records=1_000))


class Heavy(Topic):
    """Ignores the bytes of a poll."""

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        return await super().poll(limits._replace(size=1_000_000_000))


class Invents(Topic):
    """Returns a record that nobody published."""

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        return await super().poll(limits) or [SinkRecord(b"0", topic="orders", offset=-1)]


class Fills(Topic):
    """Waits until a poll is full."""

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        if limits.wait > 1:
            await asyncio.Event().wait()
        return await super().poll(limits)


class Forgetful(Topic):
    """Forgets what was committed."""

    async def commit(self, records: Sequence[SinkRecord], /) -> None:
        """Do nothing."""


class Hasty(Topic):
    """Takes every record for done that it has delivered."""

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        records = await super().poll(limits)
        self.committed += records or []
        return records


class Renames(Topic):
    """Gives records another id at each delivery."""

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        records = await super().poll(limits)
        return [attrs.evolve(record, id=f"poll {self.polls}") for record in records or []]


class LosesCancelled(Topic):
    """Loses what a poll has read when it is cancelled."""

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        records = await super().poll(limits)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return records


class Serial(Topic):
    """Commits only when no poll waits."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.lock = asyncio.Lock()

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        async with self.lock:
            return await super().poll(limits)

    async def commit(self, records: Sequence[SinkRecord], /) -> None:
        async with self.lock:
            await super().commit(records)


class Impatient(Topic):
    """Ends a waiting poll at a commit."""

    async def commit(self, records: Sequence[SinkRecord], /) -> None:
        await super().commit(records)
        self._more.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)


class ReleasesAll(Releasing):
    """Delivers everything again if one record is released."""

    async def release(self, records: Sequence[SinkRecord], /) -> None:
        await super().release(self._records if records else [])


class Claims(Topic):
    """Delivers extended records again."""

    async def extend(self, records: Sequence[SinkRecord], /) -> None:
        self._waiting += records


class Foreign(Topic):
    """Raises an error of Python's if it is not open."""

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        if not self.is_open:
            raise RuntimeError("closed")
        return await super().poll(limits)


class Stubborn(Topic):
    """Calls a source that is not open a mistake of configuration."""

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        if not self.is_open:
            raise ConfigurationError("closed")
        return await super().poll(limits)


class Immovable(Topic):
    """Ignores positions."""

    async def seek(self, partition: Partition, offset: Offset, /) -> None:
        """Do nothing."""


class Final(Topic):
    """Calls a lost connection a mistake of configuration."""

    def interrupt(self) -> None:
        self.fail(ConfigurationError("lost"))


class NeverOpensAgain(Topic):
    """Does not open after a lost connection, and says that no repetition helps."""

    def interrupt(self) -> None:
        super().interrupt()
        self.fail(ConfigurationError("lost"), method="open")


class Ends(Topic):
    """Says that it has ended when it has no records."""

    def __init__(self, *arguments: Any, **_: Any) -> None:
        super().__init__(*arguments)


class Stalls(Topic):
    """Delivers a part of what was published."""

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        if self.published > 50:
            await asyncio.sleep(limits.wait)
            return []
        return await super().poll(limits)


class Unreachable(Topic):
    """Refuses every commit after the first records."""

    async def commit(self, records: Sequence[SinkRecord], /) -> None:
        if self.published >= 120:
            raise ConnectionFailed("The connection was lost.")
        await super().commit(records)


class Fixed(Topic):
    """Cannot move its position."""

    async def seek(self, partition: Partition, offset: Offset, /) -> None:
        raise UnsupportedByVendor("The position cannot be moved.")


class Scattered(Topic):
    """Has each record in a partition of its own."""

    def record(self, message: Message) -> SinkRecord:
        return attrs.evolve(super().record(message), partition=self.published)
