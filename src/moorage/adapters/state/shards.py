"""A store that distributes states among several other stores, its shards.

Laws:

1. A command is executed on one shard, by that shard's clock. The other shards need not be
   available.
2. The name of a shard decides which states it has; see `moorage.domain.state.sharding`.
3. While former shards are named, a command for a state that may still be on one of them asks that
   shard first, within the same time limit. A posted command waits in an outage for the next one
   that needs the same two shards.
4. Housekeeping, migration and closing run on every shard, even after an earlier one fails. The
   first error is raised, with a note about each of the others.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager, suppress
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.adapters.concurrency._closing import AsyncContextClosable, ContextClosable
from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.state._posted_commands import MAX_POSTED, PostedCommands
from moorage.domain.idempotency.former_shard import ExecuteOnFormerShard
from moorage.domain.resilience.interruptions import dropped_errors, is_interruption
from moorage.domain.secrets.frames import without_arguments_in_errors
from moorage.domain.state.sharding import Location, location_of
from moorage.errors import ConfigurationError, StateUnavailable, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from contextlib import AbstractContextManager

    from moorage.domain.state.commands import Command

Answer = TypeVar("Answer")

_REACH_ORDER: Final = ("process", "machine", "network")
_SETTLE_SECONDS: Final = 0.5


class _Shards:
    """The common code of the synchronous and asynchronous stores."""

    mixes_tags = False

    @without_arguments_in_errors
    def __init__(
        self, shards: Mapping[str, Any], *, former: Mapping[str, Any] | None = None
    ) -> None:
        former = former or {}
        if not shards:
            raise ConfigurationError(
                "The list of shards is empty.", path="shards", remedy="Pass one or more stores."
            )
        if former and next(iter(former)) != next(iter(shards)):
            raise ConfigurationError(
                "The first shard must not change, because it stores the states that cannot be"
                " distributed.",
                path="former",
                remedy="Use the same first shard as before.",
            )
        self._stores: dict[str, Any] = {**former, **shards}
        if any(getattr(store, "claims_only", False) for store in self._stores.values()):
            raise ConfigurationError(
                "A store that holds only claims cannot be a shard, because shards also store"
                " limits and circuits.",
                path="shards",
                remedy="Use the store for claims only, with `claims=` or keys_url.",
            )
        self._names = tuple(shards)
        self._former = tuple(former)
        stores = self._stores.values()
        self.durable = all(getattr(store, "durable", True) for store in stores)
        self.reach = min(
            (getattr(store, "reach", _REACH_ORDER[-1]) for store in stores), key=_REACH_ORDER.index
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self._stores.values()))})"

    def _location(self, command: Command[Any]) -> Location:
        return location_of(command.keys, self._names, self._former)

    def node_of(self, command: Command[Any], /) -> str:
        """Return the names of the shard and of its node that store a command's keys."""
        shard, former_shard = self._location(command)
        if former_shard is not None:
            # Both stores are needed, so their outages are reported apart from those of a shard.
            return f"{former_shard}, {shard}"
        node_of = getattr(self._stores[shard], "node_of", None)
        node = "" if node_of is None else node_of(command)
        return f"{shard} {node}" if node else shard


class ShardedStorage(_Shards, ContextClosable):
    """A `StateStorage` that distributes its states among several stores.

    Limits and circuits are spread by service and tenant, idempotency keys one by one. Adding a
    shard moves only its share of them. Registers, such as that of unsettled payments, are on the
    first shard.

    Args:
        shards: the stores by name. A name decides which states its store has, so it must not change
            when the store moves to another server.
        former: the stores before the last change, in their order and with their names, if their
            idempotency keys may still be needed.

    Raises:
        ConfigurationError: there are no shards, or the first one is not the first of `former`.
    """

    def __init__(
        self, shards: Mapping[str, Any], *, former: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(shards, former=former)
        self._restart_after_fork()
        in_child(self, ShardedStorage._restart_after_fork)

    def _restart_after_fork(self) -> None:
        # The parent process executes the commands that it has posted.
        self._waiting: dict[Location, deque[Command[Any]]] = {}

    def execute(self, command: Command[Answer], /, timeout: float | None = None) -> Answer:
        """Run one command on its states, and return the reply."""
        end_time = inf if timeout is None else monotonic() + timeout
        location = self._location(command)
        if self._waiting.get(location):
            self._settle_waiting(location, end_time)
        return self._execute(command, location, end_time)

    def _settle_waiting(self, location: Location, end_time: float) -> None:
        """Run queued commands for these shards, within the time limit of the next command."""
        waiting, end_time = self._waiting[location], min(end_time, monotonic() + _SETTLE_SECONDS)
        with suppress(IndexError):  # another thread may have taken the last one
            for _ in range(len(waiting)):
                if monotonic() >= end_time or not self._settle(
                    waiting.popleft(), location, end_time
                ):
                    break

    def _execute(self, command: Command[Answer], location: Location, end_time: float) -> Answer:
        shard, former_shard = location
        if former_shard is not None:
            is_here, answer = self._stores[former_shard].execute(
                ExecuteOnFormerShard(command), _seconds_left(end_time)
            )
            if is_here:
                return answer  # type: ignore[no-any-return]  # as the command answers
        return self._stores[shard].execute(command, _seconds_left(end_time))  # type: ignore[no-any-return]  # as the command answers

    def post(self, command: Command[Any], /) -> None:
        """Run a command without waiting for its reply; retry a failure with the next command."""
        try:
            location = self._location(command)
            if location.former is None:
                self._stores[location.shard].post(command)
            else:
                self._settle(command, location, monotonic() + _SETTLE_SECONDS)
        except Exception as error:
            # No caller waits for the answer.
            if is_interruption(error):
                raise

    def _settle(self, command: Command[Any], location: Location, end_time: float) -> bool:
        """Run a queued command on its shard; if the shard is unavailable, queue it again.

        Return False in an outage.
        """
        try:
            self._execute(command, location, end_time)
        except StateUnavailable:
            return True
        except StorageUnavailable:
            if not command.once:
                self._waiting.setdefault(location, deque(maxlen=MAX_POSTED)).append(command)
            return False
        except Exception as error:
            # No caller waits for the answer.
            if is_interruption(error):
                raise
        return True

    def housekeep(self, *, limit: int = 1_000) -> int:
        """Delete up to `limit` expired states on each shard, and return their number."""
        deleted = 0
        with _errors_collected() as shard_action:
            for name, store in self._stores.items():
                if hasattr(store, "housekeep"):
                    with shard_action(name):
                        deleted += store.housekeep(limit=limit)
        return deleted

    def migrate(self) -> None:
        """Update the tables of all shards that have a `migrate` method."""
        with _errors_collected() as shard_action:
            for name, store in self._stores.items():
                if hasattr(store, "migrate"):
                    with shard_action(name):
                        store.migrate()

    def close(self) -> None:
        """Close all shards."""
        with _errors_collected() as shard_action:
            for name, store in self._stores.items():
                if hasattr(store, "close"):
                    with shard_action(name):
                        store.close()


class AsyncShardedStorage(_Shards, AsyncContextClosable):
    """An `AsyncStateStorage` that distributes its states among several asynchronous stores.

    The arguments are those of `ShardedStorage`.
    """

    def __init__(
        self, shards: Mapping[str, Any], *, former: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(shards, former=former)
        self._posted: dict[Location, PostedCommands] = {}

    async def execute(self, command: Command[Answer], /, timeout: float | None = None) -> Answer:
        """Run one command on its states, and return the reply."""
        end_time = inf if timeout is None else monotonic() + timeout
        location = self._location(command)
        posted_commands = self._posted.get(location)
        if posted_commands is not None and (posted_commands.queue or posted_commands.task):
            await posted_commands.settle(timeout)
        return await self._execute(command, location, end_time)

    async def _execute(
        self, command: Command[Answer], location: Location, end_time: float
    ) -> Answer:
        shard, former_shard = location
        if former_shard is not None:
            is_here, answer = await self._stores[former_shard].execute(
                ExecuteOnFormerShard(command), _seconds_left(end_time)
            )
            if is_here:
                return answer  # type: ignore[no-any-return]  # as the command answers
        return await self._stores[shard].execute(command, _seconds_left(end_time))  # type: ignore[no-any-return]  # as the command answers

    async def _settle(self, command: Command[Any]) -> None:
        location = self._location(command)
        await self._execute(command, location, monotonic() + _SETTLE_SECONDS)

    def post(self, command: Command[Any], /) -> None:
        """Queue a command without waiting for its reply; a running event loop runs it at once."""
        with dropped_errors():
            location = self._location(command)
            if location.former is None:
                self._stores[location.shard].post(command)
            else:
                self._queue_of(location).post(command)

    def _queue_of(self, location: Location) -> PostedCommands:
        queue = self._posted.get(location)
        return queue or self._posted.setdefault(
            location, PostedCommands(self._settle, _SETTLE_SECONDS)
        )

    async def housekeep(self, *, limit: int = 1_000) -> int:
        """Delete up to `limit` expired states on each shard, and return their number."""
        deleted = 0
        with _errors_collected() as shard_action:
            for name, store in self._stores.items():
                if hasattr(store, "housekeep"):
                    with shard_action(name):
                        deleted += await store.housekeep(limit=limit)
        return deleted

    async def migrate(self) -> None:
        """Update the tables of all shards that have a `migrate` method."""
        with _errors_collected() as shard_action:
            for name, store in self._stores.items():
                if hasattr(store, "migrate"):
                    with shard_action(name):
                        await store.migrate()

    async def aclose(self) -> None:
        """Run the queued commands, and close all shards."""
        for posted_commands in list(self._posted.values()):
            if posted_commands.queue or posted_commands.task:
                await posted_commands.settle()
        with _errors_collected() as shard_action:
            for name, store in self._stores.items():
                if hasattr(store, "aclose"):
                    with shard_action(name):
                        await store.aclose()


def _seconds_left(end_time: float) -> float | None:
    """Return the seconds until a time of `monotonic()`, or None for None."""
    return None if end_time == inf else max(0.0, end_time - monotonic())


@contextmanager
def _errors_collected() -> Generator[Callable[[str], AbstractContextManager[None]]]:
    """Yield a context manager for work on each shard; at the end, raise all errors together."""
    errors: list[tuple[str, Exception]] = []

    @contextmanager
    def shard_action(name: str) -> Generator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised when all shards were tried
            errors.append((name, error))

    yield shard_action
    if errors:
        (name, first), *other_errors = errors
        first.add_note(f"The shard {name} raised this error. All shards were tried.")
        for name, error in other_errors:
            first.add_note(f"The shard {name} failed too: {error}")
        raise first
