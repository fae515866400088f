"""Locations of stores for shared state, in a form that any process can open."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.adapters.clocks.system import SystemClock
from moorage.domain.resilience.admission import Admission
from moorage.domain.resilience.gate_commands import Confirm

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from moorage.domain.state.commands import Command

PATIENCE: Final = 120.0
"""Seconds that a busy machine may take for anything."""

now: Final[Callable[[], int]] = SystemClock().nanoseconds
"""Nanoseconds on a clock that all processes of the machine share."""

trips: ContextVar[list[dict[str, Any]] | None] = ContextVar("trips", default=None)
"""Where the trips of the call under way are written down."""


@attrs.frozen
class StoreLocation:
    """The location of a store, with which several processes can open it.

    Attributes:
        kind: sqlite, redis, postgresql, mariadb, nats or shards.
        where: the path or URL of the store; empty for shards.
        prefix: the prefix of the store's keys or tables.
        timeout: seconds; by default more than any busy machine takes.
        shards: the locations of the shards; empty for other kinds.
        former: the number of shards before the last one was added; 0 if none was added.
    """

    kind: str
    where: str
    prefix: str = ""
    timeout: float = PATIENCE
    shards: tuple[StoreLocation, ...] = ()
    former: int = 0

    def open(self) -> Any:
        """Open the synchronous store."""
        # Imported here, so that each process imports only what it needs.
        if self.kind == "shards":
            from moorage.adapters.state.shards import ShardedStorage  # noqa: PLC0415 - one of them is enough

            shards, former_shards = self._members(item.open() for item in self.shards)
            return ShardedStorage(shards, former=former_shards)
        if self.kind == "nats":
            from moorage.adapters.state.nats import NatsStorage  # noqa: PLC0415 - one of them is enough

            return NatsStorage(self.where, timeout=self.timeout)
        if self.kind == "sqlite":
            from moorage.adapters.state.sqlite import SqliteStorage  # noqa: PLC0415 - one of them is enough

            return SqliteStorage(self.where, timeout=self.timeout)
        if self.kind == "redis":
            from moorage.adapters.state.redis import RedisStorage  # noqa: PLC0415 - one of them is enough

            return RedisStorage(self.where, timeout=self.timeout, prefix=self.prefix)
        from moorage.adapters.state.sql import SqlStorage  # noqa: PLC0415 - one of them is enough

        return SqlStorage(self.where, timeout=self.timeout, prefix=self.prefix)

    def open_async(self) -> Any:
        """Open the asynchronous store."""
        if self.kind == "shards":
            from moorage.adapters.state.shards import AsyncShardedStorage  # noqa: PLC0415 - one of them is enough

            shards, former_shards = self._members(item.open_async() for item in self.shards)
            return AsyncShardedStorage(shards, former=former_shards)
        if self.kind == "sqlite":
            from moorage.adapters.state.sqlite import AsyncSqliteStorage  # noqa: PLC0415 - one of them is enough

            return AsyncSqliteStorage(self.where, timeout=self.timeout)
        if self.kind == "redis":
            from moorage.adapters.state.redis import AsyncRedisStorage  # noqa: PLC0415 - one of them is enough

            return AsyncRedisStorage(self.where, timeout=self.timeout, prefix=self.prefix)
        from moorage.adapters.state.sql import AsyncSqlStorage  # noqa: PLC0415 - one of them is enough

        return AsyncSqlStorage(self.where, timeout=self.timeout, prefix=self.prefix)

    def _members(self, stores: Iterable[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the current and the former shards, each by its name."""
        shards = {item.kind: store for item, store in zip(self.shards, stores, strict=True)}
        return shards, dict([*shards.items()][: self.former])


class RecordingStore:
    """A store that records the start, end and resulting wait of each command."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.durable = store.durable
        self.mixes_tags = store.mixes_tags
        if hasattr(store, "node_of"):
            self.node_of = store.node_of

    def post(self, command: Command[Any]) -> None:
        """Send a command without waiting for its reply, and record the command."""
        with _record_command(command, posted=True):
            self._store.post(command)

    def execute(self, command: Command[Any], /, timeout: float | None = None) -> Any:
        """Execute a command."""
        with _record_command(command) as trip:
            answer = self._store.execute(command, timeout)
            _record_answer(trip, command, answer)
        return answer


class AsyncRecordingStore(RecordingStore):
    """An asynchronous store that records each command."""

    async def execute(self, command: Command[Any], /, timeout: float | None = None) -> Any:
        """Execute a command."""
        with _record_command(command) as trip:
            answer = await self._store.execute(command, timeout)
            _record_answer(trip, command, answer)
        return answer


@contextmanager
def _record_command(command: Command[Any], *, posted: bool = False) -> Generator[dict[str, Any]]:
    """Record a store command while it runs, if the test records commands."""
    # An admission has variants for the fast path, which are separate classes.
    kind = Admission if isinstance(command, Admission) else type(command)
    trip = {"what": kind.__name__, "began": now(), "posted": posted, "failed": True}
    try:
        yield trip
        trip["failed"] = False
    finally:
        trip["ended"] = now()
        noted_trips = trips.get()
        if noted_trips is not None:
            noted_trips.append(trip)


def _record_answer(trip: dict[str, Any], command: Command[Any], answer: Any) -> None:
    """Add a reply's decision, wait and tickets to the record of the store command."""
    if isinstance(command, (Admission, Confirm)):
        trip |= {"answer": int(answer[0]), "wait": answer[1] * 1000}
    if isinstance(command, Admission):
        trip["tickets"] = [ticket[:2] for ticket in answer[3]]


def wait_until(condition: Callable[[], Any], description: str) -> Any:
    """Wait until the function returns a true value, and return this value."""
    end = time.monotonic() + PATIENCE
    while True:
        with suppress(ConnectionError):
            result = condition()
            if result:
                return result
        if time.monotonic() > end:
            raise AssertionError(f"{description}: not within {PATIENCE:g} s.")
        time.sleep(0.01)


def delete_prefix(location: StoreLocation) -> None:
    """Delete all keys with a prefix from Redis."""
    import redis  # noqa: PLC0415 - only where there is one

    with redis.Redis.from_url(location.where) as client:
        for key in client.scan_iter(f"{location.prefix}*", count=1_000):
            client.delete(key)
