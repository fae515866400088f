"""Checkpoints (a source's positions) in a store of shared state, and sources that need them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from moorage.domain.pipelines.checkpoints import (
    ONLY_PARTITION,
    AdvanceCheckpoint,
    BeginCheckpoint,
    checkpoint_key,
    taken_over_error,
)
from moorage.domain.pipelines.records import SinkRecord, SourceRecord
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.values.durations import seconds
from moorage.domain.values.functions import check_store_kind
from moorage.domain.values.text import with_article
from moorage.errors import InvalidData, LocalFailure
from moorage.pipelines.functions import is_async, threaded_function

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import timedelta
    from typing import TypeAlias

    from moorage.domain.pipelines.records import Offset, Partition
    from moorage.ports.pipelines import CheckpointStore, PollLimits, Revocation
    from moorage.ports.state import AsyncStateStorage

    Records: TypeAlias = "Sequence[SourceRecord] | None"
    Fetch: TypeAlias = "Callable[[Offset | None], Records | Awaitable[Records]]"

_TIMEOUT: Final = 10.0
"""Seconds in which a store must answer."""


class StateCheckpoints:
    """A store of positions in shared state, such as Redis or PostgreSQL.

    Args:
        storage: the asynchronous store, such as `AsyncSqliteStorage`. If it loses its data, sources
            begin again at the start.

    Raises:
        ConfigurationError: the store is synchronous.
    """

    def __init__(self, storage: AsyncStateStorage) -> None:
        check_store_kind(storage, "storage")
        self._storage = storage

    async def begin(self, name: str, /) -> tuple[int, Mapping[str, Offset]]:
        """Take over a named checkpoint; return its new owner number and its positions."""
        command = BeginCheckpoint(checkpoint_key(name), token_hex(16))
        return await self._storage.execute(command, timeout=_TIMEOUT)

    async def advance(self, name: str, epoch: int, positions: Mapping[str, Offset], /) -> None:
        """Store the positions; raise an error if another process has taken the checkpoint over.

        Raises:
            LocalFailure: a later owner began.
        """
        command = AdvanceCheckpoint(checkpoint_key(name), epoch, dict(positions))
        if not await self._storage.execute(command, timeout=_TIMEOUT):
            raise taken_over_error(name)

    async def move(self, name: str, epoch: int, positions: Mapping[str, Offset], /) -> None:
        """Store the positions from which to continue, even if they are earlier than before.

        Raises:
            LocalFailure: a later owner began.
        """
        await self.advance(name, epoch, positions)


@with_careful_constructor
class PollingSource:
    """A source that polls a function for the records after a position.

    Args:
        name: the name under which the position is stored, and the topic of the records.
        fetch: returns the records after a position, in their order, each with an `offset`. The
            position is the offset of the last record, and None at the beginning. An empty list
            means that there are no new records at present, and None that there will never be more.
            A synchronous function runs in a thread.
        checkpoints: keeps the position.
        interval: seconds to wait after a call that returned no records.
    """

    commits: Literal["each", "prefix"] = "prefix"
    extend_every: float | None = None

    def __init__(
        self,
        name: str,
        fetch: Fetch,
        checkpoints: CheckpointStore,
        *,
        interval: float | timedelta = 1.0,
    ) -> None:
        self.name = name
        self._fetch: Any = fetch if is_async(fetch) else threaded_function(fetch)
        self._checkpoints = checkpoints
        self._interval = seconds(interval, "interval")
        self._epoch = 0
        self._position: Offset | None = None
        self._fetched: list[SinkRecord] = []
        self._pause_ends = 0.0

    async def open(self, revoked: Revocation, /) -> None:
        """Load the stored position after which polling continues."""
        await revoked(None)
        self._fetched, self._pause_ends = [], 0.0
        self._epoch, positions = await self._checkpoints.begin(self.name)
        self._position = positions.get(ONLY_PARTITION)

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        """Return the next records."""
        time = asyncio.get_running_loop().time
        deadline = time() + limits.wait
        while not self._fetched:
            await asyncio.sleep(min(self._pause_ends, deadline) - time())
            if time() < self._pause_ends:
                return []
            outcome = await self._fetch(self._position)
            if outcome is None:
                return None
            self._fetched = [self._record(record) for record in self._items(outcome)]
            if self._fetched:
                self._position = self._fetched[-1].offset
            else:
                self._pause_ends = time() + self._interval
        count, size = 0, 0
        for record in self._fetched[: limits.records]:
            size += len(record.payload)
            if count and size > limits.size:
                break
            count += 1
        records, self._fetched = self._fetched[:count], self._fetched[count:]
        return records

    def _items(self, outcome: object) -> Iterable[object]:
        if not isinstance(outcome, Iterable):
            raise self._wrong_outcome_error(outcome)
        return cast("Iterable[object]", outcome)

    def _record(self, record: object) -> SinkRecord:
        if not isinstance(record, SourceRecord):
            raise self._wrong_outcome_error(record)
        if record.offset is None:
            raise InvalidData(
                f"A record of the source {self.name!r} has no offset.",
                field="offset",
                remedy="Set the offset of each record to the position from which to continue"
                " after the record.",
            )
        return SinkRecord.from_source(record, self.name)

    def _wrong_outcome_error(self, outcome: object) -> LocalFailure:
        kind = with_article(type(outcome).__name__)
        return LocalFailure(
            f"The function of the source {self.name!r} returned {kind} where a SourceRecord, or a"
            " list of them, is expected.",
            remedy="Return a list of SourceRecord, which is empty if there are no new records, or"
            " None if there will never be more.",
        )

    async def commit(self, records: Sequence[SinkRecord], /) -> None:
        """Store the position of the last processed record."""
        for record in records[-1:]:
            offset = cast("Offset", record.offset)
            await self._checkpoints.advance(self.name, self._epoch, {ONLY_PARTITION: offset})

    async def release(self, _: Sequence[SinkRecord], /) -> None:
        """Do nothing, because records that are not committed are read again."""

    async def extend(self, _: Sequence[SinkRecord], /) -> None:
        """Do nothing, because records of this source have no lease that could expire."""

    async def seek(self, _: Partition, offset: Offset, /) -> None:
        """Store another position, and continue reading after it.

        Raises:
            LocalFailure: the sink stores the position together with its rows, and has begun to do
                so.
        """
        await self._checkpoints.move(self.name, self._epoch, {ONLY_PARTITION: offset})
        self._position, self._fetched, self._pause_ends = offset, [], 0.0

    async def close(self) -> None:
        """Do nothing, because there is nothing to close."""
