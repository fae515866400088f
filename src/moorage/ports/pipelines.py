"""The interfaces at the ends of a pipeline: sources, sinks, and stores of dead letters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from moorage.domain.pipelines.records import Offset, Partition, SinkRecord
    from moorage.domain.pipelines.settings import DeadLetter
    from moorage.domain.values.result import Result

    Revocation: TypeAlias = "Callable[[Sequence[Partition] | None], Awaitable[None]]"


class PollLimits(NamedTuple):
    """The limits of one poll of a source, such as the number of records.

    Attributes:
        records: the largest number of records to return.
        size: the number of bytes of payload at which to return. One record may be larger.
        wait: the seconds to wait for the first record.
    """

    records: int
    size: int
    wait: float


class SourceConnector(Protocol):
    """A source of records, such as the consumer of a broker.

    `commits` says how the pipeline commits records that are done. With "each", it commits every
    record, in any order. With "prefix", the source keeps one position per partition: a record is
    committed only when all records before it in its partition are done, and `commit` gets only the
    last of these records.

    `open` connects, and may be called again after any error; it closes what was open before. The
    source calls and awaits `revoked` with partitions that it lost, before others may get them; None
    means that all deliveries so far are void, as after a lost connection that acknowledgements
    depend on. It may still commit while `revoked` runs. A source whose deliveries outlive its
    connection never calls it.

    `poll` returns records as soon as there are any, in the order of their partitions. `poll`
    returns an empty sequence after `wait` seconds, and None if the source has ended: nothing will
    follow. A poll that is cancelled loses nothing: what it has read is delivered again, or by the
    next poll.

    `commit` marks records as done in the source: they are not delivered again. `release` returns
    records that are not being processed, so that they are soon delivered again, to this consumer
    or another; a source without such a feature does nothing. `extend` reports that records are
    still being processed, so that the source does not deliver them to others; it is called every
    `extend_every` seconds, and never if that is None.

    `seek` moves the position of a partition, so that the next record is the one after `offset`; a
    source that cannot raises `UnsupportedByVendor`.

    Every method raises errors of moorage only. No two of them run at the same time, except that
    `commit`, `release` and `extend` may run while `poll` waits. None of these three waits for
    `revoked`, because a pipeline commits in `revoked`, and would wait for itself. `close` ends
    everything; it may be called repeatedly.

    A source may be a `MeasuredSource` too.
    """

    @property
    def commits(self) -> Literal["each", "prefix"]:
        """The kind of commit that the source supports: "each" record, or a "prefix" of records."""
        ...

    @property
    def extend_every(self) -> float | None:
        """The seconds between two calls of `extend`; None if it is never called."""
        ...

    async def open(self, revoked: Revocation, /) -> None:
        """Connect the source, and begin after the last committed record."""
        ...

    async def poll(self, limits: PollLimits, /) -> Sequence[SinkRecord] | None:
        """Return the next records of the source."""
        ...

    async def commit(self, records: Sequence[SinkRecord], /) -> None:
        """Record in the source that these records are processed."""
        ...

    async def release(self, records: Sequence[SinkRecord], /) -> None:
        """Return these records to the source, which then delivers them again."""
        ...

    async def extend(self, records: Sequence[SinkRecord], /) -> None:
        """Tell the source that these records are still being processed, to extend their lease."""
        ...

    async def seek(self, partition: Partition, offset: Offset, /) -> None:
        """Continue to read a partition from another position."""
        ...

    async def close(self) -> None:
        """Close the source and its connections."""
        ...


class MeasuredSource(SourceConnector, Protocol):
    """A source that can report how many of its records are not processed yet.

    `lag` returns the number of records in the source that are not committed yet, including records
    in flight: of the whole queue or group, or of the partitions that this consumer has if each has
    its own. It returns None if the source does not know it now. It may run while `poll` waits,
    ends soon by itself, and its errors have no consequence.
    """

    async def lag(self) -> int | None:
        """Return the number of uncommitted records; None if the number is unknown."""
        ...


class SinkConnector(Protocol):
    """A sink of records, such as a database, an API or another broker.

    `process_batch` processes records in their order, and returns one result for each. None means
    that all records were processed; fewer results mean that the rest was not tried. An exception
    means that the batch failed, and does not say which record is at fault. A batch that failed
    because of a record must have had no effect, since the pipeline tries its halves next. If
    `process_batch` is cancelled, it may return the results of the first records, so that the
    pipeline need not deliver them again.

    Errors decide what follows. `InvalidData`, an error response of a vendor and Python's errors
    about values (`ValueError`, `KeyError`, …) are the fault of the record, which becomes a dead
    letter. A `retryable` error is temporary. Any other error stops the pipeline.

    A batch may arrive again after a crash. `SinkRecord.identity` is the same each time.

    `open` prepares the sink, and raises `ConfigurationError` if it can never work. `flush` returns
    when everything that was processed is stored; only then are the records committed at the source.
    It may run while `process_batch` does. `close` may be called repeatedly.
    """

    async def open(self) -> None:
        """Prepare the sink, for example by connecting."""
        ...

    async def process_batch(
        self, records: Sequence[SinkRecord], /
    ) -> Sequence[Result[object]] | None:
        """Process a batch of records, and return a result for each."""
        ...

    async def flush(self) -> None:
        """Wait until the sink has stored all processed records."""
        ...

    async def close(self) -> None:
        """Close the sink and its connections."""
        ...


class DeadLetters(Protocol):
    """A store for records that could not be processed.

    `add` returns when the record is stored, so that it survives a crash; then the record is
    committed at the source. A record may be added again after a crash.
    """

    async def add(self, letter: DeadLetter, /) -> None:
        """Store a dead letter."""
        ...


class CheckpointStore(Protocol):
    """Stores the positions of sources that do not store positions themselves.

    `begin` makes the caller the owner of a name, and returns its epoch, which is greater than that
    of every owner before it, and the positions by partition. `advance` stores the positions, all or
    none, if no later owner began; it raises `StorageUnavailable` if the store cannot be reached,
    and `LocalFailure` if a later owner began: the caller must stop then. `move` does the same for
    positions that may lie before the stored ones. `move` raises `LocalFailure` if a sink stores the
    positions with its rows, so that earlier records would be skipped.
    """

    async def begin(self, name: str, /) -> tuple[int, Mapping[str, Offset]]:
        """Become the owner of a checkpoint's name; return the epoch and the stored positions."""
        ...

    async def advance(self, name: str, epoch: int, positions: Mapping[str, Offset], /) -> None:
        """Store the positions up to which records are processed."""
        ...

    async def move(self, name: str, epoch: int, positions: Mapping[str, Offset], /) -> None:
        """Store positions from which to continue, even if they are earlier than the stored ones."""
        ...
