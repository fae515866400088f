"""Shared state in Redis (or Valkey), for any number of processes and machines.

A script in Redis executes every frequent command, with one call and Redis' own clock. Tests compare
the script with the pure rules. Laws:

1. A command that the script knows takes one round trip. Any other command, such as a user's own,
   is executed by compare-and-swap: it takes two round trips, or more while others change the same
   state.
2. Callers of one event loop that wait at the same time share one round trip.
3. Redis deletes the keys of expired states.
4. A request whose reply was lost is sent once more, if all its commands are repeatable. A request
   that has timed out is not sent again.
5. Every error of Redis or redis-py is raised as `StorageUnavailable`.

A crash of Redis loses what it has not saved or replicated. So only set `durable=True` if Redis
saves and replicates every write before it replies.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from contextlib import suppress
from copy import copy
from math import inf
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, TypeVar

from redis import exceptions as redis_errors

from moorage.adapters.clocks.event_loop import running_loop
from moorage.adapters.concurrency._closing import AsyncContextClosable, ContextClosable
from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.state._redis_async import AsyncClusterConnection, AsyncServerConnection
from moorage.adapters.state._redis_batcher import (
    MAX_BATCH,
    REQUEST_ERRORS,
    Batcher,
    can_resend,
    pauses,
)
from moorage.adapters.state._redis_cluster import ClusterPool
from moorage.adapters.state._redis_pool import ConnectionPool
from moorage.adapters.state._redis_server import RedisServer, UnsentError
from moorage.adapters.state._redis_wire import CompareAndSwap, ScriptCalls, decode_reply
from moorage.domain.resilience.interruptions import dropped_errors, is_interruption
from moorage.domain.secrets.frames import without_arguments_in_errors
from moorage.domain.state.keys import tag_of
from moorage.domain.values.durations import seconds
from moorage.errors import ConnectorError, StorageUnavailable

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from os import PathLike

    from moorage.adapters.state._redis_wire import Batch, ScriptCall
    from moorage.domain.state.commands import Command

Answer = TypeVar("Answer")

_MAX_POSTED: Final = 1_000


class _Store(ABC):
    """The common code of the synchronous and asynchronous stores."""

    reach = "network"
    _is_async: bool

    @without_arguments_in_errors
    def __init__(
        self,
        where: object = "redis://127.0.0.1:6379/0",
        *,
        timeout: float = 0.5,
        prefix: str = "moorage:",
        ca: str | PathLike[str] | None = None,
        durable: bool = False,
        may_evict: bool = False,
    ) -> None:
        self.durable = durable
        self._timeout = seconds(timeout, "timeout")
        self._server = RedisServer(
            where, is_async=self._is_async, timeout=self._timeout, ca=ca, may_evict=may_evict
        )
        self.mixes_tags = not self._server.is_cluster
        self._script_calls = ScriptCalls(prefix)
        self._ping = CompareAndSwap(self._script_calls, ()).read
        self._closed = False
        self._restart_after_fork()
        in_child(self, type(self)._restart_after_fork)  # noqa: SLF001 - of the subclass

    @abstractmethod
    def _restart_after_fork(self) -> None:
        """Drop all connections and queued commands in a forked child; the parent uses them."""
        self._posted: deque[Command[Any]] = deque(maxlen=_MAX_POSTED)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._server.address!r})"

    def _require_open(self) -> None:
        if self._closed:
            raise StorageUnavailable(
                "The store is closed.", remedy="Create a new store.", retryable=False
            )

    def _error_of(self, error: BaseException) -> ConnectorError:
        """Convert an error of redis-py to an error of moorage."""
        if isinstance(error, ConnectorError):
            return copy(error)
        cause = error.__cause__ if isinstance(error, UnsentError) else error
        return self._server.unavailable(cause or error)

    def _due_commands(self) -> tuple[list[tuple[Command[Any], ScriptCall]], list[Command[Any]]]:
        """Return the queued commands to send: a list for the Redis script, and one of others."""
        calls: list[tuple[Command[Any], ScriptCall]] = []
        other_commands: list[Command[Any]] = []
        while self._posted and len(calls) < MAX_BATCH:
            try:
                command = self._posted.popleft()
                call = self._script_calls.of(command)
            except Exception:  # noqa: BLE001, S112 - sent by another thread, or impossible to encode
                continue
            if call is None:
                other_commands.append(command)
            else:
                calls.append((command, call))
        return calls, other_commands


class RedisStorage(_Store, ContextClosable):
    """A `StateStorage` in Redis, which threads may share; a forked child opens new connections.

    Args:
        where: a URL (`redis://user:password@host:port/0`, `rediss://…` for TLS, `unix:///path`,
            `redis+cluster://host:port,host:port`,
            `redis+sentinel://host:port,host:port/name-of-the-primary`, and `rediss+…`), or a client
            of redis-py, whose settings are copied; the store has its own connections.
        timeout: seconds for connecting, and for each reply, unless the caller's deadline is
            earlier. A command that is executed by compare-and-swap takes up to four times as long.
        prefix: the beginning of all keys in Redis. No other program may write to them.
        ca: a file with the certificates to trust, instead of the system's.
        durable: whether a write that this Redis has confirmed survives its crash.
        may_evict: whether to use a Redis that evicts live states when it is full.

    Raises:
        ConfigurationError: `where` is not an address or a client of Redis. At the first use: Redis
            is too old, or evicts live states when it is full.
    """

    _is_async = False

    def _restart_after_fork(self) -> None:
        super()._restart_after_fork()
        server = self._server
        self._pool = ClusterPool(server) if server.is_cluster else ConnectionPool(server)
        self._swapping = RLock()
        self._unavailable = False

    def execute(self, command: Command[Answer], /, timeout: float | None = None) -> Answer:
        """Run one command on its states, and return the reply."""
        self._require_open()
        end_time = inf if timeout is None else time.monotonic() + timeout
        call = self._script_calls.of(command)
        if call is None:
            swap = CompareAndSwap(self._script_calls, [command])
            return self._compare_and_swap(swap, end_time)  # type: ignore[no-any-return]  # as the command answers
        if self._posted:
            self._send_posted_first(end_time)
        return decode_reply(call, self._execute_batch([call], end_time)[0])  # type: ignore[no-any-return]  # as the command answers

    def post(self, command: Command[Any], /) -> None:
        """Run a command without waiting for its reply; retry a failure with the next command."""
        try:
            # A closed store would open a connection that is never closed again.
            self._require_open()
            self._posted.append(command)
            if not self._unavailable:
                self._send_posted()
        except Exception as error:
            # No caller waits for the answer.
            if is_interruption(error):
                raise

    def node_of(self, command: Command[Any], /) -> str:
        """Return the cluster node that stores a command's keys; empty without a cluster."""
        pool = self._pool
        if not isinstance(pool, ClusterPool) or not command.keys:
            return ""
        return pool.node_of(self._script_calls.key(command.keys[0]))

    def housekeep(self, *, limit: int = 1_000) -> int:  # noqa: ARG002 - every store has it
        """Check the connection, and return 0, because Redis deletes expired states itself."""
        self._require_open()
        self._execute_batch([self._ping])
        return 0

    def close(self) -> None:
        """Send the queued commands, and disconnect from Redis."""
        try:
            if self._posted and not self._closed:
                with dropped_errors():
                    self._send_posted()
        finally:
            self._closed = True
            self._pool.finish()

    def _execute_batch(self, batch: Batch, until: float = inf) -> list[Any]:
        """Execute several commands, waiting at most until a time of `monotonic()`.

        Raises:
            StorageUnavailable: the batch was not executed, or its outcome is unknown.
        """
        try:
            return self._execute_with_repeat(batch, until)
        except REQUEST_ERRORS as error:
            failure = self._error_of(error)
        # Raised outside the handler, so that it does not carry redis-py's frames with the password.
        raise failure

    def _execute_with_repeat(self, batch: Batch, until: float) -> list[Any]:
        """Execute several commands; if the reply is lost, repeat those that are safe to repeat."""
        self._unavailable = True
        try:
            replies = self._pool.run_batch(batch, until)
        except redis_errors.ConnectionError:
            if any(call.once for call in batch):
                raise
            replies = self._pool.run_batch(batch, until)
        except redis_errors.ResponseError:
            self._unavailable = False
            raise
        self._unavailable = False
        return replies

    def _send_posted_first(self, until: float) -> None:
        """Send the queued commands, except those for cluster nodes that failed the last time.

        In a cluster, their failure does not fail the command that follows.
        """
        pool = self._pool
        if not isinstance(pool, ClusterPool):
            self._send_posted(until)
            return
        waiting: list[Command[Any]] = []
        with suppress(IndexError):  # another thread may have taken the last one
            for _ in range(len(self._posted)):
                command = self._posted.popleft()
                is_lost = pool.is_lost(self._script_calls.key(command.keys[0]))
                (waiting if is_lost else self._posted).append(command)
        try:
            with suppress(StorageUnavailable):
                self._send_posted(until)
        finally:
            self._posted.extend(waiting)

    def _send_posted(self, until: float = inf) -> None:
        """Send the queued commands, until Redis is unavailable."""
        for _ in range(0, len(self._posted), MAX_BATCH):
            self._send_due(until)

    def _send_due(self, until: float) -> None:
        """Send the first queued commands to Redis."""
        posted_calls, other_commands = self._due_commands()
        try:
            while posted_calls:
                # In a cluster, each key may be on another node.
                batch = posted_calls[:1] if self._server.is_cluster else posted_calls
                self._execute_with_repeat([call for _, call in batch], until)
                posted_calls = posted_calls[len(batch) :]
        except BaseException as error:
            unsent_commands = [
                command for command, call in posted_calls if can_resend(error, once=call.once)
            ]
            self._posted.extend((*unsent_commands, *other_commands))
            if not isinstance(error, REQUEST_ERRORS):
                raise
            failure = self._error_of(error)
        else:
            for command in other_commands:
                swap = CompareAndSwap(self._script_calls, [command])
                try:
                    self._compare_and_swap(swap, until)
                except StorageUnavailable as error:
                    if swap.can_resend(command, error):
                        self._posted.append(command)
                except Exception as error:
                    # The command is impossible to apply, and no caller waits for its answer.
                    if is_interruption(error):
                        raise
            return
        raise failure

    def _compare_and_swap(self, swap: CompareAndSwap, until: float) -> Any:
        """Execute a command by compare-and-swap on the stored states."""
        pause_lengths = pauses(self._timeout, until)
        # One thread at a time swaps; after half of its time, a thread continues without the lock.
        longest_wait = self._timeout if until == inf else max(0.0, until - time.monotonic()) / 2
        is_locked = self._swapping.acquire(timeout=longest_wait)
        try:
            while True:
                (reply,) = self._execute_batch([swap.read], until)
                write = swap.decide(decode_reply(swap.read, reply))
                if write is None or self._execute_batch([write], until)[0]:
                    break
                swap.may_be_written = False
                time.sleep(next(pause_lengths))
        finally:
            if is_locked:
                self._swapping.release()
        return swap.answer(0)


class AsyncRedisStorage(_Store, AsyncContextClosable):
    """An `AsyncStateStorage` in Redis, for callers of one or several event loops.

    Callers that wait at the same time share one round trip. The arguments are those of
    `RedisStorage`; a client must be one of `redis.asyncio`.
    """

    _is_async = True

    def _restart_after_fork(self) -> None:
        super()._restart_after_fork()
        self._connections: dict[
            AbstractEventLoop, AsyncServerConnection | AsyncClusterConnection
        ] = {}
        self._batchers: dict[tuple[AbstractEventLoop, str], Batcher] = {}
        self._latest: Batcher | None = None

    async def execute(
        self,
        command: Command[Answer],
        /,
        timeout: float | None = None,
    ) -> Answer:
        """Run one command on its states, and return the reply."""
        self._require_open()
        call = self._script_calls.of(command)
        batcher = self._batcher(command)
        if self._posted:
            self._queue_posted()
        if call is None:
            return await batcher.swap(command, timeout)  # type: ignore[no-any-return]  # as the command answers
        return decode_reply(call, await batcher.send(call, timeout, command))  # type: ignore[no-any-return]  # as the command answers

    def post(self, command: Command[Any], /) -> None:
        """Queue a command without waiting for its reply; a running event loop runs it at once."""
        with dropped_errors():
            self._require_open()
            self._posted.append(command)
            asyncio.get_running_loop()
            self._queue_posted()

    def node_of(self, command: Command[Any], /) -> str:
        """Return the cluster node that stores a command's keys; empty without a cluster."""
        connection = self._connections.get(running_loop())
        if not isinstance(connection, AsyncClusterConnection) or not command.keys:
            return ""
        return connection.node_of(self._script_calls.key(command.keys[0]))

    async def housekeep(self, *, limit: int = 1_000) -> int:  # noqa: ARG002 - every store has it
        """Check the connection, and return 0, because Redis deletes expired states itself."""
        self._require_open()
        await self._batcher(None).send(self._ping)
        return 0

    async def aclose(self) -> None:
        """Send the queued commands, and disconnect from Redis."""
        loop = asyncio.get_running_loop()
        if self._posted and not self._closed:
            with dropped_errors():
                self._queue_posted()
        self._closed = True
        for (batcher_loop, _), batcher in list(self._batchers.items()):
            if batcher_loop is loop:
                await batcher.finish()
        connection = self._connections.pop(loop, None)
        if connection is not None:
            await connection.close()

    def _batcher(self, command: Command[Any] | None) -> Batcher:
        """Return this event loop's batcher; in a cluster, the one for the command's hash tag."""
        loop = asyncio.get_running_loop()
        latest_batcher = self._latest
        if (
            latest_batcher is not None
            and latest_batcher.loop is loop
            and not self._server.is_cluster
        ):
            return latest_batcher
        key = (loop, self._tag(command))
        batcher = self._batchers.get(key)
        if batcher is None:
            for old_key, old_batcher in list(self._batchers.items()):
                if old_key[0].is_closed() or (self._server.is_cluster and old_batcher.idle()):
                    self._batchers.pop(old_key, None)
            batcher = self._batchers[key] = Batcher(
                loop,
                self._connection(loop),
                script_calls=self._script_calls,
                timeout=self._timeout,
                posted=self._posted,
                error_of=self._error_of,
            )
        self._latest = batcher
        return batcher

    def _tag(self, command: Command[Any] | None) -> str:
        """Return the hash tag of a command's keys in a cluster; empty without a cluster."""
        if command is None or not command.keys or not self._server.is_cluster:
            return ""
        return tag_of(command.keys[0])

    def _connection(
        self, loop: AbstractEventLoop
    ) -> AsyncServerConnection | AsyncClusterConnection:
        connection = self._connections.get(loop)
        if connection is None:
            for other_loop in list(self._connections):
                if other_loop.is_closed():
                    self._connections.pop(other_loop, None)
            kind = AsyncClusterConnection if self._server.is_cluster else AsyncServerConnection
            connection = self._connections[loop] = kind(self._server)
        return connection

    def _queue_posted(self) -> None:
        """Move the queued commands to the batcher of the event loop."""
        while self._posted:
            posted_calls, other_commands = self._due_commands()
            for command, call in posted_calls:
                self._batcher(command).post(command, call)
            for command in other_commands:
                self._batcher(command).post(command, None)
