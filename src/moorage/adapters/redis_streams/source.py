"""A source of records from Redis streams, with a consumer group.

Laws:

1. An entry is acknowledged only by `commit`. Until then it is delivered again: to the consumer with
   the same name when it opens, and to any other consumer if nobody has extended it for some time.
2. A poll uses a connection of its own, so that other commands need not wait for it.
3. An entry that another consumer has taken over meanwhile is neither extended nor released.
"""

from __future__ import annotations

import os
import socket
from collections import defaultdict
from itertools import groupby, repeat
from operator import attrgetter
from secrets import token_hex
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from redis import exceptions as redis_errors

from moorage.adapters.redis_streams._links import connect_async
from moorage.domain.messages.publish_failures import PublishFault
from moorage.domain.messages.redis_streams import packed_list, record_columns, refusal, times_of
from moorage.domain.pipelines.records import checked_records
from moorage.domain.secrets.frames import with_careful_constructor, without_frames
from moorage.domain.values.durations import seconds
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta

    from moorage.adapters.redis_streams._links import AsyncRedisLink
    from moorage.adapters.redis_streams.kind import RedisStreams
    from moorage.domain.pipelines.records import Offset, Partition, SinkRecord
    from moorage.errors import ConnectorError
    from moorage.ports.pipelines import PollLimits, Revocation

_TOPIC: Final = attrgetter("topic")

_MARGIN: Final = 5.0
"""Seconds in which Redis must answer, beyond the time that it was asked to wait."""

_TEMPORARY_ERRORS: Final = (
    PublishFault.FULL,
    PublishFault.BLOCKED,
    PublishFault.READ_ONLY,
    PublishFault.STARTING,
    PublishFault.REJECTED,
)

_FIRST_POSITION: Final = "0-0"
"""The position from which Redis examines unacknowledged entries, and to which it returns."""

_CLAIM_AGAIN: Final = """
for number = 4, #ARGV do
    local id = ARGV[number]
    local owned = redis.pcall('XPENDING', KEYS[1], ARGV[1], id, id, 1, ARGV[2])
    if owned.err then return owned end
    if #owned > 0 then
        local words = {KEYS[1], ARGV[1], ARGV[2], 0, id, 'IDLE', ARGV[3], 'JUSTID'}
        local claimed = redis.pcall('XCLAIM', unpack(words))
        if claimed.err then return claimed end
    end
end
return 0
"""
"""A script that sets the idle time of the entries that still belong to a consumer.

XCLAIM alone would take an entry from whichever consumer has it.
"""

_USUAL_SIZE: Final = 1_000
"""The bytes of a payload that are assumed before the first record is read."""


@with_careful_constructor
class RedisStreamsSource:
    """A source that reads Redis streams as a member of a consumer group.

    The members of a group share the entries among them, without an order between members. Entries
    of a member that died are delivered to the others.

    Args:
        settings: the server.
        streams: the names of the streams. Streams and groups that do not exist are created.
        group: the name of the consumer group.
        consumer: the name of this member, which no other living member may have. A member that
            opens with the name of one that died gets its entries immediately. By default the name
            is new each time.
        start: the entry after which a new group begins: "0" for all, or "$" for those to come.
        claim_after: seconds after which an entry that nobody has acknowledged or extended is
            delivered to another member.
    """

    commits: Literal["each", "prefix"] = "each"

    def __init__(
        self,
        settings: RedisStreams,
        streams: Sequence[str],
        *,
        group: str,
        consumer: str | None = None,
        start: str = "0",
        claim_after: float | timedelta = 60.0,
    ) -> None:
        if isinstance(streams, str) or not streams:
            raise ConfigurationError(
                "The Redis Streams source needs a list of streams.",
                path="streams",
                remedy='Pass a list of names, such as ["orders"].',
            )
        self.streams = tuple(streams)
        self.group = group
        self.consumer = consumer or f"{socket.gethostname()}-{os.getpid()}-{token_hex(4)}"
        self._settings = settings
        self._start = start
        self._claim_after = seconds(claim_after, "claim_after")
        self.extend_every: float | None = self._claim_after / 3
        self._polling: AsyncRedisLink | None = None
        self._acknowledging_link: AsyncRedisLink | None = None
        self._backlog: dict[str, str | None] = {}
        self._next_claim = 0.0
        self._size = _USUAL_SIZE
        self._was_open = False

    async def open(self, _: Revocation, /) -> None:
        """Connect to Redis, and create missing consumer groups."""
        await self.close()
        links: list[AsyncRedisLink] = []
        try:
            while len(links) < 2:
                links.append(await connect_async(self._settings, self._settings.connect_timeout))
            for stream in self.streams:
                await self._create_group(links[0], stream)
        except BaseException:
            for link in links:
                link.close()
            raise
        # A commit or an extension may begin at any time, and a connection has one user at a time.
        self._polling, self._acknowledging_link = links
        if not self._was_open:
            # Entries that an earlier member of the same name left; later they would look like our
            # own.
            self._backlog = dict.fromkeys(self.streams, "0")
            self._was_open = True
        self._next_claim = monotonic()

    async def _create_group(self, link: AsyncRedisLink, stream: str) -> None:
        # If a stream is deleted while the source reads it, its entries are all new.
        start = "0" if self._was_open else self._start
        words = ["XGROUP", "CREATE", stream, self.group, start, "MKSTREAM"]
        await self._request(link, words, harmless_prefix="BUSYGROUP")

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord]:
        """Return this consumer's unfinished entries, then abandoned ones, then new ones.

        Raises:
            ConnectionFailed: a connection is closed, also the one that acknowledges entries.
        """
        if self._acknowledging_link is None or self._acknowledging_link.is_closed:
            # The pipeline opens a source again only if a poll fails.
            raise _closed_error()
        count = max(1, min(limits.records, limits.size // self._size))
        while self._backlog:
            stream, position = next(iter(self._backlog.items()))
            records, last = await self._read(stream, str(position), count)
            if last is None:
                del self._backlog[stream]
                continue
            self._backlog[stream] = last
            if records:
                return records
        if monotonic() >= self._next_claim:
            records = await self._claim(count)
            if records:
                return records
            self._next_claim = monotonic() + self._claim_after / 2
        return await self._read_new(count, limits.wait)

    async def _read(
        self, stream: str, position: str, count: int
    ) -> tuple[list[SinkRecord], str | None]:
        """Return this consumer's unacknowledged entries after a position, and the last one's id."""
        reply = await self._request(
            self._polling, [*self._read_command(count), "STREAMS", stream, position]
        )
        # Entries that were deleted in the meantime have an id in the reply, but no record.
        ids = [item[0].decode() for _, entries in _stream_pairs(reply) for item in entries]
        return self._records(reply, deliveries=2), ids[-1] if ids else None

    async def _read_new(self, count: int, wait: float) -> list[SinkRecord]:
        milliseconds = max(1, int(wait * 1000))
        words = [*self._read_command(count), "BLOCK", str(milliseconds), "STREAMS", *self.streams]
        words += [">"] * len(self.streams)
        reply = await self._request(self._polling, words, wait=wait)
        return self._records(reply)

    def _read_command(self, count: int) -> list[str]:
        return ["XREADGROUP", "GROUP", self.group, self.consumer, "COUNT", str(count)]

    async def _claim(self, count: int) -> list[SinkRecord]:
        """Take over entries that another group member has abandoned."""
        idle = str(int(self._claim_after * 1000))
        for stream in self.streams:
            words = ["XAUTOCLAIM", stream, self.group, self.consumer, idle]
            position = _FIRST_POSITION
            while True:
                # Redis examines only some of the entries at a time.
                reply = await self._request(self._polling, [*words, position, "COUNT", str(count)])
                records = self._records([(stream.encode(), reply[1])], deliveries=2)
                if records:
                    return records
                position = reply[0].decode()
                if position == _FIRST_POSITION:
                    break
        return []

    def _records(self, reply: Any, deliveries: int = 1) -> list[SinkRecord]:
        """Return the records in a reply, without entries deleted meanwhile."""
        records = [
            record
            for stream, entries in _stream_pairs(reply)
            for record in _stream_records(stream.decode(), entries, deliveries)
        ]
        if records:
            largest = max(len(record.payload) for record in records)
            self._size = max(1, largest, self._size // 2)
        return records

    async def commit(self, records: Sequence[SinkRecord], /) -> None:
        """Acknowledge entries of the streams."""
        for stream, ids in _by_stream(records):
            await self._request(self._acknowledging_link, ["XACK", stream, self.group], ids)

    async def release(self, records: Sequence[SinkRecord], /) -> None:
        """Make entries available to other group members immediately."""
        await self._set_idle_time(records, int(self._claim_after * 1000))

    async def extend(self, records: Sequence[SinkRecord], /) -> None:
        """Extend the lease of entries, so that no other group member takes them over."""
        await self._set_idle_time(records, 0)

    async def _set_idle_time(self, records: Sequence[SinkRecord], milliseconds: int) -> None:
        for stream, ids in _by_stream(records):
            words = ["EVAL", _CLAIM_AGAIN, "1", stream, self.group, self.consumer]
            await self._request(self._acknowledging_link, [*words, str(milliseconds)], ids)

    async def seek(self, partition: Partition, offset: Offset, /) -> None:
        """Set the consumer group's position in a stream to just after an entry."""
        words = ["XGROUP", "SETID", partition[0], self.group, str(offset)]
        await self._request(self._acknowledging_link, words)

    async def lag(self) -> int | None:
        """Return the number of unacknowledged entries in all streams of the group.

        Before Redis 7, and after entries were deleted from the middle of a stream, Redis does not
        know the number.
        """
        waiting: list[int | None] = []
        for stream in self.streams:
            reply = await self._request(self._acknowledging_link, ["XINFO", "GROUPS", stream])
            groups = {group[b"name"]: group for group in map(_named_values, reply)}
            group: dict[bytes, Any] = groups.get(self.group.encode(), {})
            undelivered_count = group.get(b"lag")
            waiting.append(
                None if undelivered_count is None else undelivered_count + group[b"pending"]
            )
        known_numbers = [number for number in waiting if number is not None]
        return sum(known_numbers) if len(known_numbers) == len(waiting) else None

    async def close(self) -> None:
        """Drop the connections to Redis."""
        for link in (self._polling, self._acknowledging_link):
            if link is not None:
                link.close()
        self._polling = self._acknowledging_link = None

    async def _request(
        self,
        link: AsyncRedisLink | None,
        words: Sequence[str],
        texts: Sequence[str] = (),
        *,
        wait: float = 0.0,
        harmless_prefix: str = "\n",
    ) -> Any:
        """Return the reply to a command; None for an error that begins with `harmless_prefix`.

        Args:
            link: the connection.
            words: the first words of the command.
            texts: the words after them, such as many ids of entries.
            wait: the seconds that Redis was asked to wait for entries.
            harmless_prefix: the beginning of an error response that does not count as a failure.
        """
        if link is None or not link.is_connected():
            if link is not None:
                link.close()
            raise _closed_error()
        try:
            return await link.request(packed_list(words, texts), wait + _MARGIN)
        except redis_errors.ResponseError as error:
            if str(error).startswith(harmless_prefix):
                return None
            failure = _refusal_error(error)
        except (redis_errors.RedisError, OSError) as error:
            failure = ConnectionFailed(
                f"The connection to Redis was lost ({type(error).__name__}).",
                remedy="The pipeline reconnects. Check the Redis server if this error is repeated.",
            )
        raise without_frames(failure)


def _closed_error() -> ConnectionFailed:
    return ConnectionFailed(
        "The connection to Redis is closed.", remedy="Wait until the pipeline reconnects."
    )


def _stream_pairs(reply: Any) -> Iterable[Any]:
    """Return the names of streams with their entries, which Redis sends as a map or as a list."""
    return cast("Any", reply).items() if isinstance(reply, dict) else reply or ()


def _named_values(fields: Any) -> dict[bytes, Any]:
    """Return named values, which Redis sends as a map or as a flat list."""
    if isinstance(fields, dict):
        return cast("dict[bytes, Any]", fields)
    return dict(zip(fields[::2], fields[1::2], strict=True))


def _stream_records(stream: str, entries: Iterable[Any], deliveries: int) -> list[SinkRecord]:
    """Return the records of a stream's entries, without entries deleted meanwhile."""
    existing_items = [item for item in entries if item is not None and item[1] is not None]
    offsets = [item[0].decode() for item in existing_items]
    return checked_records(
        **record_columns([item[1] for item in existing_items]),
        topic=repeat(stream),
        offset=offsets,
        published_at=times_of(offsets),
        deliveries=repeat(deliveries),
    )


def _by_stream(records: Iterable[SinkRecord]) -> Iterable[tuple[str, list[str]]]:
    streams: dict[str, list[str]] = defaultdict(list)
    for stream, run in groupby(records, _TOPIC):
        streams[stream] += [str(record.offset) for record in run]
    return streams.items()


def _refusal_error(error: Exception) -> ConnectorError:
    """Return the error for a reply that refuses a source's command."""
    fault = refusal((kind.__name__ for kind in type(error).__mro__), str(error))
    if fault in _TEMPORARY_ERRORS or str(error).startswith("NOGROUP"):
        return ConnectionFailed(
            "The stream or its consumer group is not available in Redis.",
            remedy="Wait until the pipeline opens the source again and creates a missing"
            " consumer group.",
        )
    if fault in (PublishFault.PASSWORD, PublishFault.PERMISSION):
        return AuthenticationFailed(
            "Redis does not allow this user to read or acknowledge entries of a stream.",
            remedy="Allow the user XGROUP, XREADGROUP, XACK, XAUTOCLAIM and XCLAIM on the streams.",
        )
    return ConfigurationError(
        "Redis refused a command of the Redis Streams source.",
        path="streams",
        remedy="Pass the names of streams, and positions such as '0', '$' or the id of an entry.",
    )
