"""A test environment for a source, and a reader that uses the source like a pipeline."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.messages.message import Message
from moorage.errors import ConnectorError
from moorage.ports.pipelines import PollLimits
from moorage.testing.kits.checks import patience, require, wait_soon

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence

    from moorage.domain.pipelines.records import Partition, SinkRecord
    from moorage.ports.pipelines import SourceConnector

KEYS: Final = 3
"""The number of different keys of the messages of a check."""

LIMITS: Final = PollLimits(1_000, 1_000_000, 0.05)
LONG: Final = PollLimits(1_000, 1_000_000, 3_600.0)


@attrs.frozen(kw_only=True)
class SourceSubject:
    """A source to be checked; each check needs a source with its own topic.

    Attributes:
        make: makes a source that reads the topic from its first message. All belong to the same
            consumer group, and there is never more than one open.
        publish: publishes messages to the topic, in order.
        interrupt: ends the connections of the source, or makes its next poll fail with another
            temporary error; None if it has no connection.
        keeps: the fields of a message that its record has, of "key", "id" and "content_type".
        releases: whether `release` has records delivered again.
    """

    make: Callable[[], SourceConnector]
    publish: Callable[[Sequence[Message]], Awaitable[None]]
    interrupt: Callable[[], None] | None = None
    keeps: frozenset[str] = frozenset({"key", "id", "content_type"})
    releases: bool = True


def numbered_messages(numbers: Iterable[int], **fields: Any) -> list[Message]:
    """Return messages with these numbers as payloads, with cyclically repeated keys."""
    return [
        Message(b"%d" % number, key=f"key-{number % KEYS}", id=f"id-{number}", **fields)
        for number in numbers
    ]


def payloads(items: Iterable[Message | SinkRecord]) -> list[bytes]:
    """Return the payloads of messages or records."""
    return [item.payload for item in items]


def require_order(records: Iterable[SinkRecord]) -> None:
    """Check that records with the same key are in order of their numbers."""
    numbers: dict[bytes | None, int] = {}
    for record in records:
        number = int(record.payload)
        key = b"key-%d" % (number % KEYS)
        require(
            numbers.get(key, -1) < number,
            f"Record {number} came after record {numbers.get(key)}, which has the same key.",
        )
        numbers[key] = number


class Reader:
    """Reads from a source like a pipeline, reopening it after temporary errors.

    Attributes:
        source: the source.
        held: the records that were delivered, but neither committed nor revoked.
        void: number of times that all deliveries became void.
    """

    def __init__(self, subject: SourceSubject) -> None:
        self.source = subject.make()
        self.held: list[SinkRecord] = []
        self.void = 0

    async def open(self) -> None:
        """Open the source; fail the check if opening takes too long."""
        await wait_soon(self.source.open(self._revoked), "The source does not open.")

    async def _revoked(self, partitions: Sequence[Partition] | None) -> None:
        self.void += partitions is None
        self.held = [
            record
            for record in self.held
            if partitions is not None and record.place not in partitions
        ]

    async def poll(self, limits: PollLimits = LIMITS) -> Sequence[SinkRecord]:
        """Return the records of one poll."""
        records = await wait_soon(self.source.poll(limits), "A poll does not end.")
        require(
            records is not None, "The source says that it has ended, though messages may follow."
        )
        self.held += records or ()
        return records or ()

    async def read(self, messages: Sequence[Message], *, commit: bool = False) -> list[SinkRecord]:
        """Read until all of these messages have arrived, and return all delivered records.

        Args:
            messages: the messages.
            commit: whether to commit what arrives.
        """
        expected = set(payloads(messages))
        records: list[SinkRecord] = []
        try:
            async with asyncio.timeout(patience()):
                while not expected <= set(payloads(records)):
                    records += await self._attempt(commit=commit)
        except TimeoutError:
            missing_payloads = sorted(expected.difference(payloads(records)))
            raise AssertionError(
                f"Messages were lost: {missing_payloads} did not arrive."
            ) from None
        return records

    async def _attempt(self, *, commit: bool) -> Sequence[SinkRecord]:
        try:
            records = await self.poll()
            if commit:
                await self.commit()
        except ConnectorError as error:
            require(
                error.retryable, f"A temporary failure raises {error!r}, which is not retryable."
            )
            await self._open_again()
            return ()
        return records

    async def _open_again(self) -> None:
        """Reopen the source after a failure, repeating failed attempts."""
        try:
            await self.open()
        except ConnectorError as error:
            require(error.retryable, f"{error!r} is temporary, but not retryable.")
            await asyncio.sleep(0.01)

    async def commit(self) -> None:
        """Commit all delivered records, in the form that the source needs."""
        records = self.held
        if self.source.commits == "prefix":
            records = list({record.place: record for record in records}.values())
        await wait_soon(self.source.commit(records), "A commit does not end.")
        self.held = []


class CommitWatch:
    """A wrapper of a source that knows which delivered records are not committed.

    Attributes:
        uncommitted: the records that were delivered and not committed.
    """

    def __init__(self, source: SourceConnector) -> None:
        self.uncommitted: list[SinkRecord] = []
        self._source = source

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the source."""
        return getattr(self._source, name)

    async def poll(self, limits: PollLimits, /) -> Sequence[SinkRecord] | None:
        """Return the next records."""
        records = await self._source.poll(limits)
        self.uncommitted += records or ()
        return records

    async def commit(self, records: Sequence[SinkRecord], /) -> None:
        """Commit records, and stop tracking them."""
        await self._source.commit(records)
        is_prefix = self._source.commits == "prefix"
        for record in records:
            position = self.uncommitted.index(record)
            self.uncommitted = [
                item
                for number, item in enumerate(self.uncommitted)
                if number > position
                or (number < position and not (is_prefix and item.place == record.place))
            ]


@asynccontextmanager
async def open_reader(subject: SourceSubject) -> AsyncGenerator[Reader]:
    """Yield an open reader of the source under test, and close it afterwards."""
    reader = Reader(subject)
    await reader.open()
    try:
        yield reader
    finally:
        await wait_soon(reader.source.close(), "The source does not close.")
