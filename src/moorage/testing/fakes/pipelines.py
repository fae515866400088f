"""A source, sink and dead letter store in memory, for tests of pipelines."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Literal

from moorage.domain.pipelines.records import SinkRecord
from moorage.domain.values.result import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from moorage.domain.pipelines.records import Offset, Partition
    from moorage.domain.pipelines.settings import DeadLetter
    from moorage.ports.pipelines import PollLimits, Revocation


def make_records(
    count: int,
    *,
    keys: int = 0,
    topic: str = "orders",
    partitions: int = 1,
    payload: Callable[[int], object] = lambda number: {"number": number},
) -> list[SinkRecord]:
    """Return numbered records with JSON payloads.

    Args:
        count: the number of records.
        keys: the number of different keys; 0 for records without a key.
        topic: the records' topic.
        partitions: the number of partitions, over which the records are spread in turn.
        payload: makes the value of a record from its number.
    """
    return [
        SinkRecord.of_json(
            payload(number),
            key=f"key-{number % keys}" if keys else None,
            topic=topic,
            partition=number % partitions,
            offset=number // partitions,
        )
        for number in range(count)
    ]


class MemorySource:
    """A source of fixed records, which delivers uncommitted records again after `open`.

    Attributes:
        committed: the records that were committed, in this order.
        released: the records that `release` was called with.
        extended: the records that the last call of `extend` named.
        sought: the positions that `seek` was called with.
        polls: the number of polls.
        is_open: whether it is open.

    Args:
        records: the records, in the order in which they are delivered.
        commits: "prefix" or "each".
        is_endless: True to wait for further records instead of ending.
        extend_every: seconds after which a pipeline has to call `extend` for unfinished records.
    """

    def __init__(
        self,
        records: Iterable[SinkRecord],
        *,
        commits: Literal["each", "prefix"] = "prefix",
        is_endless: bool = False,
        extend_every: float | None = None,
    ) -> None:
        self.commits: Literal["each", "prefix"] = commits
        self.extend_every = extend_every
        self.committed: list[SinkRecord] = []
        self.released: list[SinkRecord] = []
        self.extended: list[SinkRecord] = []
        self.sought: dict[Partition, Offset] = {}
        self.polls = 0
        self.is_open = False
        self._records = list(records)
        self._is_endless = is_endless
        self._waiting: list[SinkRecord] = []
        self._failures: dict[str, list[Exception]] = defaultdict(list)
        self._revoked: Revocation = _ignore_revocation
        self._more = asyncio.Event()

    def fail(
        self,
        *errors: Exception,
        method: Literal["open", "poll", "commit", "release", "lag"] = "poll",
    ) -> None:
        """Make the next calls of a method raise these errors."""
        self._failures[method] += errors

    def add(self, records: Iterable[SinkRecord]) -> None:
        """Append records to the source."""
        records = list(records)
        self._records += records
        self._waiting += records
        self._more.set()

    async def revoke(self, partitions: Sequence[Partition] | None = None) -> None:
        """Revoke some or all partitions; their records are delivered again immediately."""
        await self._revoked(partitions)
        self._waiting = [
            record
            for record in self._uncommitted()
            if record in self._waiting or partitions is None or record.place in partitions
        ]
        self._more.set()

    async def lag(self) -> int | None:
        """Return the number of uncommitted records."""
        self._raise("lag")
        return len(self._uncommitted())

    async def open(self, revoked: Revocation, /) -> None:
        """Open the source, to deliver all uncommitted records."""
        self._raise("open")
        await self._revoked(None)
        self._revoked = revoked
        self._waiting = self._uncommitted()
        self.is_open = True

    def _uncommitted(self) -> list[SinkRecord]:
        if self.commits == "each":
            committed = set(self.committed)
            return [record for record in self._records if record not in committed]
        positions = {record.place: self._records.index(record) for record in self.committed}
        return [
            record
            for number, record in enumerate(self._records)
            if number > positions.get(record.place, -1)
        ]

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        """Return the next records."""
        self.polls += 1
        await asyncio.sleep(0)
        self._raise("poll")
        if not self._waiting:
            if not self._is_endless:
                return None
            try:
                async with asyncio.timeout(limits.wait):
                    # A release or a revocation may wake the poll although nothing is left to read.
                    while not self._waiting:
                        self._more.clear()
                        await self._more.wait()
            except TimeoutError:
                return []
        records: list[SinkRecord] = []
        size = 0
        while self._waiting and len(records) < limits.records:
            size += len(self._waiting[0].payload)
            if records and size > limits.size:
                break
            records.append(self._waiting.pop(0))
        return records

    async def commit(self, records: Sequence[SinkRecord], /) -> None:
        """Record the commits of the pipeline, so that the test can check them."""
        self._raise("commit")
        self.committed += records

    async def release(self, records: Sequence[SinkRecord], /) -> None:
        """Deliver records again at once if `commits` is "each", otherwise after the next `open`."""
        self._raise("release")
        self.released += records
        if self.commits == "each":
            waiting_records = {*self._waiting, *records}
            self._waiting = [record for record in self._uncommitted() if record in waiting_records]
            self._more.set()

    async def extend(self, records: Sequence[SinkRecord], /) -> None:
        """Note which records' leases the pipeline extended, so that the test can check them."""
        self.extended = list(records)

    async def seek(self, partition: Partition, offset: Offset, /) -> None:
        """Continue a partition after an offset, even if later records are committed."""
        self.sought[partition] = offset
        records = [record for record in self._records if record.place == partition]
        offsets = [record.offset for record in records]
        following_records = records[offsets.index(offset) + 1 :] if offset in offsets else records
        other_records = [record for record in self._waiting if record.place != partition]
        self._waiting = [
            record for record in self._records if record in (*other_records, *following_records)
        ]
        self._more.set()

    async def close(self) -> None:
        """Close the source."""
        self.is_open = False

    def _raise(self, method: str) -> None:
        if self._failures[method]:
            raise self._failures[method].pop(0)


async def _ignore_revocation(_: Sequence[Partition] | None) -> None:
    """Do nothing, because no pipeline has opened the source."""


class MemorySink:
    """A sink that stores records in memory, and fails on request.

    Attributes:
        records: the records that it took, in this order.
        batches: the number of records in each batch that it received, including failed batches.
        flushes: number of flushes so far.
        is_open: whether it is open.

    Args:
        judge: returns the error of a record that must fail, and None for all others.
        reports_each_record: whether it returns a result for each record. Otherwise a batch with a
            record that fails fails as a whole, with that record's error.
    """

    def __init__(
        self,
        judge: Callable[[SinkRecord], Exception | None] = lambda _: None,
        *,
        reports_each_record: bool = True,
    ) -> None:
        self.records: list[SinkRecord] = []
        self.batches: list[int] = []
        self.flushes = 0
        self.is_open = False
        self._judge = judge
        self._reports_each_record = reports_each_record

    @property
    def values(self) -> list[Any]:
        """The payloads of the sink's records, as parsed JSON."""
        return [record.json() for record in self.records]

    async def open(self) -> None:
        """Open the sink."""
        self.is_open = True

    async def process_batch(self, records: Sequence[SinkRecord], /) -> Sequence[Result[object]]:
        """Store the records of a batch, except those that should fail."""
        self.batches.append(len(records))
        await asyncio.sleep(0)
        results: list[Result[object]] = [Result(error=self._judge(record)) for record in records]
        errors = [result.error for result in results if result.error is not None]
        if errors and not self._reports_each_record:
            raise errors[0]
        self.records += [
            record for record, result in zip(records, results, strict=True) if result.ok
        ]
        return results

    async def flush(self) -> None:
        """Count the flushes of the sink, so that the test can check their number."""
        self.flushes += 1

    async def close(self) -> None:
        """Close the sink."""
        self.is_open = False


class MemoryDeadLetters:
    """A store of dead letters in memory.

    Attributes:
        letters: the dead letters, in the order in which they came.
    """

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []
        self._failures: list[Exception] = []

    def fail(self, *errors: Exception) -> None:
        """Make the store raise these errors, one for each of the next dead letters."""
        self._failures += errors

    async def add(self, letter: DeadLetter, /) -> None:
        """Store a dead letter in memory."""
        if self._failures:
            raise self._failures.pop(0)
        self.letters.append(letter)
