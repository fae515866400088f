"""Shared state in a SQLite file, for all processes of one machine."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.adapters.concurrency._closing import AsyncContextClosable, ContextClosable
from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.concurrency.pooled_threads import submit
from moorage.adapters.databases._sqlite_file import DatabaseBusy
from moorage.adapters.state import _sqlite_engine
from moorage.adapters.state._posted_commands import MAX_POSTED, PostedCommands
from moorage.adapters.state._sqlite_engine import Engine, WouldBlock, pauses, retry_until
from moorage.domain.resilience.gate_commands import return_unclaimed
from moorage.domain.resilience.interruptions import dropped_errors, is_interruption
from moorage.errors import LocalFailure, StorageUnavailable

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from concurrent.futures import Future, ThreadPoolExecutor

    from moorage.domain.state.commands import Command
    from moorage.ports.clock import Clock

Answer = TypeVar("Answer")
Result = TypeVar("Result")

_POST_TIMEOUT: Final = 0.02
"""Seconds that `post` waits for the lock."""

_MAX_BYTES_IN_LOOP: Final = 64 << 10
"""The maximum number of bytes that are written in the event loop, and not in a thread."""

_SHORTEST_TIMER: Final = 1e-3
"""The shortest pause in seconds for which an event loop's timer is used."""

_THREADS: Final = 4


class SqliteStorage(ContextClosable):
    """A `StateStorage` in a file that all processes and threads of one machine may share.

    The file must be moorage's own, not the host's database: a host that holds the file's lock
    during a call would wait for its own lock. The file must be on a local disk, in an existing
    directory. The first use of the store creates it, readable for its owner only. A successful call
    does not wait for the disk, unless it claims an idempotency key.

    The time is the machine's boot clock. The origin of this clock is stored in the file once per
    boot, so changes of the wall clock have no effect. On systems that do not identify a boot
    (macOS, Windows) it is the wall clock.

    Args:
        path: the path of the file.
        timeout: the maximum number of seconds to wait for the lock of the file. Waiting for a disk
            that hangs has no timeout.
        clock: measures time; by default the machine's boot clock.
    """

    durable = True
    reach = "machine"
    mixes_tags = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float = 0.5,
        clock: Clock | None = None,
    ) -> None:
        self._engine = Engine(path, timeout, clock)
        self._restart_after_fork()
        in_child(self, SqliteStorage._restart_after_fork)

    def _restart_after_fork(self) -> None:
        # The parent process executes the commands that it has posted.
        self._posted: deque[Command[Any]] = deque(maxlen=MAX_POSTED)

    def __repr__(self) -> str:
        return f"SqliteStorage({self._engine.file.path!r})"

    def execute(self, command: Command[Answer], /, timeout: float | None = None) -> Answer:
        """Run one command on its states, and return the reply."""
        engine, end_time = self._engine, None
        if self._posted:
            end_time = engine.until(timeout)
            self._settle(end_time)
        try:
            answer = engine.attempt(command)
        except DatabaseBusy:
            answer = engine.retry(command, end_time or engine.until(timeout))
        if command.durable and engine.flush.is_needed:
            try:
                engine.flush(engine.flush.ticket())
            except BaseException:
                self._return_grants(command, answer)
                raise
        if engine.writes >= _sqlite_engine.MAINTENANCE_INTERVAL:
            engine.maintain()
        return answer

    def post(self, command: Command[Any], /) -> None:
        """Run a command without waiting for its reply; if the file is locked, run it later."""
        try:
            retry_until(partial(self._engine.attempt, command), self._engine.until(_POST_TIMEOUT))
        except DatabaseBusy:
            self._posted.append(command)
        except Exception as error:
            # No caller waits for the answer.
            if is_interruption(error):
                raise

    def _return_grants(self, command: Command[Any], answer: Any) -> None:
        """Give back the tokens and slots of a command whose caller has stopped waiting."""
        for return_command in return_unclaimed(command, answer):
            self.post(return_command)

    def housekeep(self, *, limit: int = 100_000) -> int:
        """Delete expired states, at most `limit`, and return their number.

        Commands that write also do so from time to time.
        """
        return self._engine.housekeep(limit)

    def migrate(self) -> None:
        """Update the file to this release's schema; the first use of the store does this too."""
        self._engine.migrate()

    def close(self) -> None:
        """Close the file."""
        self._engine.close()

    def _settle(self, until: float) -> None:
        """Run the commands that were queued while the file was locked, until a deadline."""
        while self._posted:
            with dropped_errors():
                command = self._posted.popleft()
                try:
                    retry_until(partial(self._engine.attempt, command), until)
                except DatabaseBusy:
                    self._posted.appendleft(command)
                    return
                except BaseException as error:
                    is_stopped = not isinstance(error, Exception) or is_interruption(error)
                    if is_stopped and not command.once:
                        self._posted.appendleft(command)
                    raise


class AsyncSqliteStorage(AsyncContextClosable):
    """The asynchronous `SqliteStorage`.

    Commands that take a few microseconds run in the event loop, without waiting. Large commands,
    and those that wait for the disk, run in a thread.
    """

    durable = True
    reach = "machine"
    mixes_tags = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float = 0.5,
        clock: Clock | None = None,
    ) -> None:
        self._engine = Engine(path, timeout, clock)
        self._posts = PostedCommands(self._run, self._engine.timeout)
        self._restart_after_fork()
        in_child(self, AsyncSqliteStorage._restart_after_fork)

    def _restart_after_fork(self) -> None:
        # A forked child does not have its parent's threads.
        self._threads: ThreadPoolExecutor | None = None

    def __repr__(self) -> str:
        return f"AsyncSqliteStorage({self._engine.file.path!r})"

    async def execute(
        self,
        command: Command[Answer],
        /,
        timeout: float | None = None,
    ) -> Answer:
        """Run one command on its states, and return the reply."""
        engine, posts, end_time = self._engine, self._posts, None
        if posts.queue or posts.task:
            end_time = engine.until(timeout)
            await posts.settle(timeout)
        try:
            answer = engine.attempt(command, _MAX_BYTES_IN_LOOP)
        except DatabaseBusy:
            answer = await self._run(command, end_time or engine.until(timeout))
        except WouldBlock:
            answer = await self._retry_in_thread(command, end_time or engine.until(timeout))
        if command.durable and engine.flush.is_needed:
            try:
                await self._in_thread(partial(engine.flush, engine.flush.ticket()))
            except BaseException:
                self._return_grants(command, answer)
                raise
        if engine.writes >= _sqlite_engine.MAINTENANCE_INTERVAL:
            with suppress(StorageUnavailable):  # the next command tries again
                self._submit(engine.maintain)
                engine.writes = 0
        return answer

    def post(self, command: Command[Any], /) -> None:
        """Run a command without waiting for its reply; if the file is locked, run it soon."""
        posts = self._posts
        try:
            if posts.queue or posts.task:
                posts.post(command)
            else:
                self._engine.attempt(command, _MAX_BYTES_IN_LOOP)
        except (DatabaseBusy, WouldBlock):
            posts.post(command)
        except Exception as error:
            # No caller waits for the answer.
            if is_interruption(error):
                raise

    def _return_grants(self, command: Command[Any], answer: Any) -> None:
        """Give back the tokens and slots of a command whose caller has stopped waiting."""
        for return_command in return_unclaimed(command, answer):
            self.post(return_command)

    async def housekeep(self, *, limit: int = 100_000) -> int:
        """Delete expired states, at most `limit`, and return their number.

        Commands that write also do so from time to time.
        """
        return await self._in_thread(partial(self._engine.housekeep, limit))

    async def migrate(self) -> None:
        """Update the file to this release's schema; the first use of the store does this too."""
        await self._in_thread(self._engine.migrate)

    async def aclose(self) -> None:
        """Run the queued commands, and close the file."""
        posts = self._posts
        if posts.queue or posts.task:
            await posts.settle()
        await self._in_thread(self._engine.close)
        self._pool().shutdown(wait=False)
        self._restart_after_fork()

    async def _run(
        self,
        command: Command[Answer],
        until: float | None = None,
    ) -> Answer:
        """Run one command; retry while another process locks the file."""
        engine = self._engine
        end_time = engine.until(None) if until is None else until
        for pause in pauses(end_time):
            try:
                return engine.attempt(command, _MAX_BYTES_IN_LOOP)
            except WouldBlock:
                return await self._retry_in_thread(command, end_time)
            except DatabaseBusy:
                from asyncio import sleep  # noqa: PLC0415 - synchronous programs do not need asyncio

                # The lock is usually held for less time than the shortest timer of an event loop.
                await sleep(pause if pause > _SHORTEST_TIMER else 0)
        raise engine.file.locked()

    async def _retry_in_thread(self, command: Command[Answer], until: float) -> Answer:
        """Run a command in a thread; if the caller stops waiting, give back the granted tokens."""
        from asyncio import CancelledError, wrap_future  # noqa: PLC0415 - synchronous programs do not need asyncio

        running_future = self._submit(partial(self._engine.retry, command, until))
        try:
            return await wrap_future(running_future)
        except CancelledError:
            running_future.add_done_callback(partial(self._return_undelivered, command))
            raise

    def _return_undelivered(self, command: Command[Answer], ended: Future[Answer]) -> None:
        if not ended.cancelled() and ended.exception() is None:
            self._return_grants(command, ended.result())

    async def _in_thread(self, function: Callable[[], Result]) -> Result:
        from asyncio import wrap_future  # noqa: PLC0415 - synchronous programs do not need asyncio

        return await wrap_future(self._submit(function))

    def _submit(self, function: Callable[[], Result]) -> Future[Result]:
        try:
            return submit(self._pool(), function)
        except LocalFailure as refusal:
            raise StorageUnavailable(refusal.message, remedy=refusal.remedy) from None

    def _pool(self) -> ThreadPoolExecutor:
        if self._threads is None:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - slow to load

            self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="moorage-sqlite")
        return self._threads
