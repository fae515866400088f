"""Shared state in a SQLite file: one for all processes of a machine."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.databases._sqlite_file import Busy
from moorage.adapters.state import _sqlite_engine
from moorage.adapters.state._posts import MOST, Posts
from moorage.adapters.state._sqlite_engine import Engine, Slow, pauses, tried
from moorage.domain.resilience.admission import unclaimed

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from concurrent.futures import Future

    from moorage.domain.state.commands import Command
    from moorage.ports.clock import Clock

Answer = TypeVar("Answer")
Done = TypeVar("Done")

_POSTING: Final = 0.02
_LONG: Final = 64 << 10
"""Writing so many bytes takes longer than an event loop should stand still."""

_TICK: Final = 1e-3
_THREADS: Final = 4


class SqliteStorage:
    """A `StateStorage` in a file that all processes and threads of one machine may share.

    The file must be moorage's own, never the host's database: a host that holds its lock while it
    calls would wait for itself. It lies on a local disk, in a directory that is there; it is made
    when the store is first used, for its owner only. Nothing is sent to the disk for a call that
    goes well, except where an idempotency key is claimed.

    The time is the machine's boot clock, anchored in the file once per boot, so no step of a wall
    clock touches it; on systems that do not tell one boot from another (macOS, Windows) it is the
    wall clock.

    Args:
        path: of the file.
        timeout: for how many seconds a command comes again while others hold the lock. Waiting for
            a disk that hangs cannot be bounded.
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
        self._start_afresh()
        in_child(self, SqliteStorage._start_afresh)

    def _start_afresh(self) -> None:
        # What a parent has posted is the parent's to execute.
        self._kept: deque[Command[Any]] = deque(maxlen=MOST)

    def __repr__(self) -> str:
        return f"SqliteStorage({self._engine.file.path!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def execute(self, command: Command[Answer], /, timeout: float | None = None) -> Answer:
        """Run one command."""
        engine = self._engine
        if self._kept:
            self._settle(engine.until(timeout))
        try:
            answer = engine.attempt(command)
        except Busy:
            answer = engine.insist(command, engine.until(timeout))
        if command.durable and engine.flush.needed:
            try:
                engine.flush(engine.flush.ticket())
            except BaseException:
                self._give_back(command, answer)
                raise
        if engine.writes >= _sqlite_engine.TURN:
            engine.tend()
        return answer

    def post(self, command: Command[Any], /) -> None:
        """Run a command whose answer nobody waits for; if others hold the lock, with the next."""
        try:
            tried(partial(self._engine.attempt, command), self._engine.until(_POSTING))
        except Busy:
            self._kept.append(command)
        except Exception:  # noqa: BLE001 - nobody is there to be told, as the port says
            return

    def _give_back(self, command: Command[Any], answer: Any) -> None:
        """Give back what was granted to a caller who does not get the answer."""
        for undone in unclaimed(command, answer):
            self.post(undone)

    def housekeep(self, *, limit: int = 100_000) -> int:
        """Forget up to `limit` states that cannot matter any more, and say how many.

        This happens by and by without being asked for, in whoever writes.
        """
        return self._engine.housekeep(limit)

    def migrate(self) -> None:
        """Bring the file to this release's schema, as is done when the store is first used."""
        self._engine.migrate()

    def close(self) -> None:
        """Close the file."""
        self._engine.close()

    def _settle(self, until: float) -> None:
        """Run what was posted while others held the lock, as far as the time allows."""
        while self._kept:
            with suppress(Exception):
                command = self._kept.popleft()
                try:
                    tried(partial(self._engine.attempt, command), until)
                except Busy:
                    self._kept.appendleft(command)
                    return


class AsyncSqliteStorage:
    """As `SqliteStorage`; `execute` is awaited.

    What takes a few microseconds is done at once, and never waits in the event loop. What goes to
    the disk, or is large, is done in a thread.
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
        self._posts = Posts(self._run, self._engine.timeout)
        self._start_afresh()
        in_child(self, AsyncSqliteStorage._start_afresh)

    def _start_afresh(self) -> None:
        # A forked child has none of its parent's threads.
        self._threads: ThreadPoolExecutor | None = None

    def __repr__(self) -> str:
        return f"AsyncSqliteStorage({self._engine.file.path!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def execute(
        self,
        command: Command[Answer],
        /,
        timeout: float | None = None,
    ) -> Answer:
        """Run one command."""
        engine, posts = self._engine, self._posts
        if posts.kept or posts.sending:
            await posts.settle(timeout)
        try:
            answer = engine.attempt(command, _LONG)
        except Busy:
            answer = await self._run(command, timeout)
        except Slow:
            answer = await self._insist(command, engine.until(timeout))
        if command.durable and engine.flush.needed:
            try:
                await self._in_thread(partial(engine.flush, engine.flush.ticket()))
            except BaseException:
                self._give_back(command, answer)
                raise
        if engine.writes >= _sqlite_engine.TURN:
            engine.writes = 0
            self._pool().submit(engine.tend)
        return answer

    def post(self, command: Command[Any], /) -> None:
        """Run a command whose answer nobody waits for; if others hold the lock, a little later."""
        posts = self._posts
        try:
            if posts.kept or posts.sending:
                posts.post(command)
            else:
                self._engine.attempt(command, _LONG)
        except (Busy, Slow):
            posts.post(command)
        except Exception:  # noqa: BLE001 - nobody is there to be told, as the port says
            return

    def _give_back(self, command: Command[Any], answer: Any) -> None:
        """Give back what was granted to a caller who does not get the answer."""
        for undone in unclaimed(command, answer):
            self.post(undone)

    async def housekeep(self, *, limit: int = 100_000) -> int:
        """Forget up to `limit` states that cannot matter any more, and say how many.

        This happens by and by without being asked for, in whoever writes.
        """
        return await self._in_thread(partial(self._engine.housekeep, limit))

    async def migrate(self) -> None:
        """Bring the file to this release's schema, as is done when the store is first used."""
        await self._in_thread(self._engine.migrate)

    async def aclose(self) -> None:
        """Close the file, when what was posted is executed."""
        posts = self._posts
        if posts.kept or posts.sending:
            await posts.settle()
        await self._in_thread(self._engine.close)
        self._pool().shutdown(wait=False)
        self._start_afresh()

    async def _run(
        self,
        command: Command[Answer],
        timeout: float | None = None,
    ) -> Answer:
        """Run one command, coming again while others hold the lock."""
        engine = self._engine
        until = engine.until(timeout)
        for pause in pauses(until):
            try:
                return engine.attempt(command, _LONG)
            except Slow:
                return await self._insist(command, until)
            except Busy:
                from asyncio import sleep  # noqa: PLC0415 - whoever blocks does without

                # No timer of a loop is as short as the lock is usually held.
                await sleep(pause if pause > _TICK else 0)
        raise engine.file.locked()

    async def _insist(self, command: Command[Answer], until: float) -> Answer:
        """Run one command in a thread, which gives back what a caller who leaves was granted."""
        from asyncio import CancelledError, wrap_future  # noqa: PLC0415 - whoever blocks does without

        running = self._pool().submit(self._engine.insist, command, until)
        try:
            return await wrap_future(running)
        except CancelledError:
            running.add_done_callback(partial(self._abandon, command))
            raise

    def _abandon(self, command: Command[Answer], ended: Future[Answer]) -> None:
        if not ended.cancelled() and ended.exception() is None:
            self._give_back(command, ended.result())

    async def _in_thread(self, function: Callable[[], Done]) -> Done:
        from asyncio import get_running_loop  # noqa: PLC0415 - whoever blocks does without

        return await get_running_loop().run_in_executor(self._pool(), function)

    def _pool(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="moorage-sqlite")
        return self._threads
