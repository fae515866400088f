"""The common engine of the synchronous and asynchronous SQLite stores: commands, maintenance.

1. Every command is one transaction, which first takes the write lock. A command that changes
   nothing writes nothing. No other lock is held while the command is applied.
2. SQLite itself never waits for the lock: the caller tries again after short random pauses.
3. A commit writes to the journal, which survives a crash of the process. A durable command then
   also waits until the journal is flushed to the disk, without holding the lock.
4. The write lock is held while the journal is copied into the file: releases of SQLite before
   3.51.3 may damage a file whose journal restarts during the copy.
5. States are deleted by the hour of their expiry. That column changes at most once per hour, so
   its index causes little work for a busy state.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from functools import cache, partial
from random import random, randrange
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.adapters.clocks.system import SystemClock
from moorage.adapters.databases import _sqlite_time
from moorage.adapters.databases._sqlite_file import PAGE, DatabaseBusy, StateFile
from moorage.adapters.databases._sqlite_pool import Pool
from moorage.adapters.state._sqlite_flush import Flush
from moorage.domain.state.codec import pack, unpack
from moorage.domain.values.durations import HOUR, bounded_seconds, count, seconds
from moorage.errors import ConfigurationError, ConnectorError, StorageUnavailable

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from moorage.adapters.databases._sqlite_file import Link
    from moorage.domain.state.commands import Command, States
    from moorage.ports.clock import Clock

Answer = TypeVar("Answer")
Result = TypeVar("Result")

MAINTENANCE_INTERVAL: Final = 10_000
"""The number of writes after which a process deletes expired states and copies the journal."""

_BATCH: Final = 200
_MAX_PRUNED: Final = 3 * MAINTENANCE_INTERVAL
_CHECK_INTERVAL: Final = 100_000
_FIRST_PAUSE, _LONGEST_PAUSE = 30e-6, 2e-3
_DRIVER_ERRORS: Final = (sqlite3.Error, UnicodeEncodeError)
_DELETE_EXPIRED: Final = (
    "DELETE FROM state WHERE rowid IN (SELECT rowid FROM state WHERE until < ? LIMIT ?)"
)


class WouldBlock(Exception):
    """Raised if a command would block the event loop for too long."""


class Engine:
    """Executes commands on one SQLite file.

    Attributes:
        file: the file.
        timeout: the seconds to wait for the lock, unless the caller's deadline is earlier.
        idle: the unused connections.
        writes: the number of writes since the last maintenance.
        flush: flushes the journal to the disk.
    """

    def __init__(self, path: str | os.PathLike[str], timeout: float, clock: Clock | None) -> None:
        self.file = StateFile(path)
        self.timeout = seconds(timeout, "timeout")
        self._clock = SystemClock() if clock is None else clock
        self._nanoseconds = self._clock.nanoseconds
        self._origin = 0
        self._clock_file: object = None
        self._checked_at = 0
        self.writes = randrange(MAINTENANCE_INTERVAL)  # noqa: S311 - spreads the maintenance of several processes
        self.flush = Flush(self.file.path)
        self._pool = Pool()
        self.idle = self._pool.idle

    # --- commands ---------------------------------------------------------------

    def attempt(self, command: Command[Answer], max_bytes: int = 0) -> Answer:
        """Run one command, unless another process has locked the file.

        Args:
            command: the command.
            max_bytes: if it is not 0, the maximum number of durable bytes; then an idle connection
                is required too.

        Raises:
            Busy: the file is locked.
            WouldBlock: there is no idle connection, or too many bytes would be written.
        """
        try:
            link = self.idle.pop()
        except IndexError:
            if max_bytes:
                raise WouldBlock from None
            link = self._pool.open(self._connect)
        try:
            answer = self._transact(link, command, max_bytes)
        except BaseException:
            link.undo()
            self._pool.give(link)
            raise
        self._pool.give(link)
        return answer

    def until(self, timeout: float | None) -> float:
        """Return the deadline for a command that begins now, as a time of `monotonic()`."""
        return time.monotonic() + bounded_seconds(self.timeout, timeout)

    def retry(self, command: Command[Answer], until: float) -> Answer:
        """Run one command; retry while another process locks the file."""
        return self._retry(partial(self.attempt, command), until)

    def _transact(self, link: Link, command: Command[Answer], max_bytes: int) -> Answer:
        run, keys, is_durable = link.run, command.keys, command.durable
        if is_durable and self._was_replaced(link):
            raise DatabaseBusy
        try:
            run("BEGIN IMMEDIATE")
            stored_row = run(_read_statement(len(keys)), keys).fetchone()
        except _DRIVER_ERRORS as error:
            raise self._failure(error) from None
        states_before = tuple(
            [
                packed_state and unpack(packed_state, key)
                for packed_state, key in zip(stored_row, keys)  # noqa: B905 - one each; `strict` takes time
            ]
        )
        now = (self._nanoseconds() + self._origin) // 1000
        states_after, answer = command.apply(states_before, now)
        changes, is_moved = _changes(keys, stored_row, states_before, states_after)
        size = sum(map(len, changes[1::3])) if is_durable else 0
        if max_bytes and size > max_bytes:
            raise WouldBlock
        try:
            if changes:
                run(_write_statement(len(changes) // 3, has_new_end=is_moved), changes)
            run("COMMIT")
        except _DRIVER_ERRORS as error:
            raise self._failure(error) from None
        if changes:
            self.writes += 1 + size // PAGE
            if is_durable:
                self.flush.is_pending = True
        if not self._checked_at <= now < self._checked_at + _CHECK_INTERVAL:
            self._checked_at = now
            self._was_replaced(link)
        return answer

    def _retry(self, attempt: Callable[[], Result], until: float) -> Result:
        try:
            return retry_until(attempt, until)
        except DatabaseBusy:
            raise self.file.locked() from None

    # --- maintenance ------------------------------------------------------------

    def maintain(self) -> None:
        """Copy the write-ahead log into the file, and delete expired states."""
        self.writes = 0
        with suppress(ConnectorError):
            # The slow write to the disk comes first, while other processes can still write.
            self.flush(self.flush.ticket())
            self._with_link(self._copy_journal)
            self.housekeep(_MAX_PRUNED)

    def housekeep(self, limit: int) -> int:
        """Delete expired states, at most `limit`, and return their number."""
        total, remaining_count = 0, count(limit, "limit")
        while remaining_count:
            batch = min(remaining_count, _BATCH)
            deleted_count = self._with_link(partial(self._prune, batch))
            total += deleted_count
            remaining_count = remaining_count - deleted_count if deleted_count == batch else 0
        return total

    def _copy_journal(self, link: Link) -> None:
        link.run("BEGIN IMMEDIATE")
        other_link = self._take_link()
        try:
            other_link.run("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        finally:
            self._pool.give(other_link)

    def _prune(self, limit: int, link: Link) -> int:
        """Delete some expired states."""
        run = link.run
        run("BEGIN IMMEDIATE")
        now = (self._nanoseconds() + self._origin) // 1000
        run("UPDATE clock SET latest = ?", (now * 1000,))
        pruned_count: int = run(_DELETE_EXPIRED, (now // HOUR, limit)).rowcount
        run("COMMIT")
        return pruned_count

    # --- the file ---------------------------------------------------------------

    def migrate(self) -> None:
        """Open the file, and update its schema if necessary."""
        self._with_link(lambda _: None)

    def close(self) -> None:
        """Close the file."""
        self._pool.close()

    def _with_link(self, action: Callable[[Link], Result]) -> Result:
        """Run a function with a connection; retry while the file is locked."""

        def attempt() -> Result:
            link = self._take_link()
            try:
                return action(link)
            except _DRIVER_ERRORS as error:
                raise self._failure(error) from None
            finally:
                link.undo()
                self._pool.give(link)

        return self._retry(attempt, self.until(None))

    def _take_link(self) -> Link:
        try:
            return self.idle.pop()
        except IndexError:
            return self._pool.open(self._connect)

    def _connect(self) -> Link:
        try:
            link = self.file.connect()
        except ConfigurationError as error:
            if self._clock_file is None:
                raise
            # The file was valid before, so this error is an outage.
            raise StorageUnavailable(error.message, remedy=error.remedy) from None
        if link.identity != self._clock_file:
            try:
                self._set_clock(link)
            except BaseException:
                link.close()
                raise
        return link

    def _set_clock(self, link: Link) -> None:
        """Set the clock's origin in a file that is opened for the first time."""
        boot = _sqlite_time.boot_id()
        if boot is None:
            self._nanoseconds = partial(_sqlite_time.wall_nanoseconds, self._clock)
        else:
            try:
                self._origin = _sqlite_time.origin(link.run, boot, self._clock)
            except sqlite3.Error as error:
                raise self._failure(error) from None
        self._clock_file = link.identity

    def _was_replaced(self, link: Link) -> bool:
        """Return whether the file was moved or replaced after it was opened."""
        try:
            was_moved = self.file.identity() != link.identity
        except ConnectorError:
            was_moved = True  # the next connection raises the actual error
        if was_moved:
            self._pool.clear()
        return was_moved

    def _failure(self, error: Exception) -> Exception:
        """Convert an error of SQLite to an error of moorage."""
        failure = self.file.failure(error)
        if not isinstance(failure, DatabaseBusy):
            self._pool.clear()
        return failure


@cache
def _read_statement(number: int) -> str:
    states = ", ".join(["(SELECT CAST(value AS BLOB) FROM state WHERE key = ?)"] * number)
    return f"SELECT {states}"


@cache
def _write_statement(number: int, *, has_new_end: bool) -> str:
    rows = ", ".join(["(?, ?, ?)"] * number)
    end_assignment = ", until = excluded.until" if has_new_end else ""
    return (
        f"INSERT INTO state (key, value, until) VALUES {rows}"  # noqa: S608 - constant text with placeholders
        f" ON CONFLICT (key) DO UPDATE SET value = excluded.value{end_assignment}"
    )


def _changes(
    keys: tuple[str, ...], stored: tuple[bytes | None, ...], before: States, after: States
) -> tuple[list[Any], bool]:
    """Return each changed state's key, bytes and expiry hour, and whether any hour changed."""
    changes: list[Any] = []
    is_moved = False
    for key, packed_state, old_state, new_state in zip(keys, stored, before, after, strict=True):
        if new_state is old_state or new_state is None:
            continue
        expiry_hour = (new_state[0] + new_state[1]) // HOUR
        if old_state is None or packed_state is None:
            is_moved = True
            changes += (key, pack(new_state), expiry_hour)
        else:
            is_moved = is_moved or expiry_hour != (old_state[0] + old_state[1]) // HOUR
            changes += (key, pack(new_state, old_state, packed_state), expiry_hour)
    return changes, is_moved


def retry_until(attempt: Callable[[], Result], until: float) -> Result:
    """Return the result of `attempt`, retrying while the file is locked.

    Raises:
        Busy: the file is still locked at the deadline.
    """
    for pause in pauses(until):
        try:
            return attempt()
        except DatabaseBusy:
            time.sleep(pause)
    raise DatabaseBusy


def pauses(until: float) -> Iterator[float]:
    """Yield growing random pauses until a deadline."""
    longest_pause = _FIRST_PAUSE
    while True:
        yield longest_pause * (0.5 + random())  # noqa: S311 - not a secret
        if time.monotonic() >= until:
            return
        longest_pause = min(2 * longest_pause, _LONGEST_PAUSE)
