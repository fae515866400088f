"""The engine of a SQLite store, synchronous and asynchronous: commands and maintenance.

1. Every command is one transaction that begins with the lock for writing; a command that changes
   nothing ends it without writing. No other lock is held while a command decides.
2. Nobody waits for the lock inside SQLite: who finds it taken comes again, soon and at random.
3. A commit reaches the journal, which a crash of the process leaves whole. What an effect hangs on
   is flushed to the disk afterwards, without the lock and before it is answered.
4. The journal is moved into the file while nobody can write. Releases of SQLite before 3.51.3 may
   damage a file whose journal begins anew while it is being moved.
5. A state is pruned by the hour in which it ends to matter. That column changes once an hour at
   most, so that its index costs a busy state nothing.
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
from moorage.adapters.databases._sqlite_file import PAGE, Busy, StateFile
from moorage.adapters.databases._sqlite_pool import Pool
from moorage.adapters.state._sqlite_flush import Flush
from moorage.domain.state.codec import pack, unpack
from moorage.domain.values.durations import HOUR, bounded, count, seconds
from moorage.errors import ConfigurationError, ConnectorError, StorageUnavailable

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from moorage.adapters.databases._sqlite_file import Link
    from moorage.domain.state.commands import Command, States
    from moorage.ports.clock import Clock

Answer = TypeVar("Answer")
Done = TypeVar("Done")

TURN: Final = 10_000
"""After so many writes a process prunes, and moves the journal into the file."""

_BATCH: Final = 200
_PRUNED: Final = 3 * TURN
_LOOK_EVERY: Final = 100_000
_SOON, _LATER = 30e-6, 2e-3
_BROKEN: Final = (sqlite3.Error, UnicodeEncodeError)
_PRUNE: Final = "DELETE FROM state WHERE rowid IN (SELECT rowid FROM state WHERE until < ? LIMIT ?)"


class Slow(Exception):
    """A command would take longer than an event loop should stand still."""


class Engine:
    """One file, and how commands are run on it.

    `idle` are the connections that nobody uses. `writes` counts up to a `TURN`; whoever finds it
    there tends the file. What was flushed, and what need be, is known to `flush`.
    """

    def __init__(self, path: str | os.PathLike[str], timeout: float, clock: Clock | None) -> None:
        self.file = StateFile(path)
        self.timeout = seconds(timeout, "timeout")
        self._clock = SystemClock() if clock is None else clock
        self._nanoseconds = self._clock.nanoseconds
        self._origin = 0
        self._anchored: object = None
        self._looked = 0
        self.writes = randrange(TURN)  # noqa: S311 - so that not all processes prune at once
        self.flush = Flush(self.file.path)
        self._pool = Pool()
        self.idle = self._pool.idle

    # --- commands ---------------------------------------------------------------

    def attempt(self, command: Command[Answer], most: int = 0) -> Answer:
        """Run one command, if nobody holds the lock.

        With `most` it is run only if a connection is there, and what lasts takes no more bytes.

        Raises:
            Busy: somebody holds the lock.
            Slow: it would take long.
        """
        try:
            link = self.idle.pop()
        except IndexError:
            if most:
                raise Slow from None
            link = self._pool.open(self._connect)
        try:
            answer = self._transact(link, command, most)
        except BaseException:
            link.undo()
            self._pool.give(link)
            raise
        self._pool.give(link)
        return answer

    def until(self, timeout: float | None) -> float:
        """When a command that begins now must have ended, by the clock of `time.monotonic`."""
        return time.monotonic() + bounded(self.timeout, timeout)

    def insist(self, command: Command[Answer], until: float) -> Answer:
        """Run one command, coming again while others hold the lock."""
        return self._insist(partial(self.attempt, command), until)

    def _transact(self, link: Link, command: Command[Answer], most: int) -> Answer:
        run, keys, durable = link.run, command.keys, command.durable
        if durable and self._moved(link):
            raise Busy
        try:
            run("BEGIN IMMEDIATE")
            stored = run(_reading(len(keys)), keys).fetchone()
        except _BROKEN as error:
            raise self._failure(error) from None
        before = tuple([packed and unpack(packed, key) for packed, key in zip(stored, keys)])  # noqa: B905 - one each; `strict` takes time
        now = (self._nanoseconds() + self._origin) // 1000
        after, answer = command.apply(before, now)
        changes, moved = _changes(keys, stored, before, after)
        size = sum(map(len, changes[1::3])) if durable else 0
        if most and size > most:
            raise Slow
        try:
            if changes:
                run(_writing(len(changes) // 3, moved=moved), changes)
            run("COMMIT")
        except _BROKEN as error:
            raise self._failure(error) from None
        if changes:
            self.writes += 1 + size // PAGE
            if durable:
                self.flush.wanted = True
        if not self._looked <= now < self._looked + _LOOK_EVERY:
            self._looked = now
            self._moved(link)
        return answer

    def _insist(self, attempt: Callable[[], Done], until: float) -> Done:
        try:
            return tried(attempt, until)
        except Busy:
            raise self.file.locked() from None

    # --- now and then -----------------------------------------------------------

    def tend(self) -> None:
        """Move the journal into the file, and forget what cannot matter any more."""
        self.writes = 0
        with suppress(ConnectorError):
            # Before anybody is kept from writing: most of it takes as long as the disk does.
            self.flush(self.flush.ticket())
            self._with_link(self._move_journal)
            self.housekeep(_PRUNED)

    def housekeep(self, limit: int) -> int:
        """Forget up to `limit` states that cannot matter any more, and say how many."""
        forgotten, left = 0, count(limit, "limit")
        while left:
            batch = min(left, _BATCH)
            pruned = self._with_link(partial(self._prune, batch))
            forgotten += pruned
            left = left - pruned if pruned == batch else 0
        return forgotten

    def _move_journal(self, link: Link) -> None:
        link.run("BEGIN IMMEDIATE")
        other = self._take()
        try:
            other.run("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        finally:
            self._pool.give(other)

    def _prune(self, most: int, link: Link) -> int:
        """Forget a batch; the first to write after the journal was moved begins it anew."""
        run = link.run
        run("BEGIN IMMEDIATE")
        now = (self._nanoseconds() + self._origin) // 1000
        run("UPDATE clock SET latest = ?", (now * 1000,))
        pruned: int = run(_PRUNE, (now // HOUR, most)).rowcount
        run("COMMIT")
        return pruned

    # --- the file ---------------------------------------------------------------

    def migrate(self) -> None:
        """Open the file, which brings it up to date."""
        self._with_link(lambda _: None)

    def close(self) -> None:
        """Close the file."""
        self._pool.close()

    def _with_link(self, action: Callable[[Link], Done]) -> Done:
        """Do something with a connection."""

        def attempt() -> Done:
            link = self._take()
            try:
                return action(link)
            except _BROKEN as error:
                raise self._failure(error) from None
            finally:
                link.undo()
                self._pool.give(link)

        return self._insist(attempt, self.until(None))

    def _take(self) -> Link:
        try:
            return self.idle.pop()
        except IndexError:
            return self._pool.open(self._connect)

    def _connect(self) -> Link:
        try:
            link = self.file.connect()
        except ConfigurationError as error:
            if self._anchored is None:
                raise
            # It was all right before, so this is an outage.
            raise StorageUnavailable(error.message, remedy=error.remedy) from None
        if link.identity != self._anchored:
            try:
                self._anchor(link)
            except BaseException:
                link.close()
                raise
        return link

    def _anchor(self, link: Link) -> None:
        """Find out the time of a file that was not open before."""
        boot = _sqlite_time.boot_id()
        if boot is None:
            self._nanoseconds = partial(_sqlite_time.wall, self._clock)
        else:
            try:
                self._origin = _sqlite_time.origin(link.run, boot, self._clock)
            except sqlite3.Error as error:
                raise self._failure(error) from None
        self._anchored = link.identity

    def _moved(self, link: Link) -> bool:
        """Return whether the file was moved or replaced, so that it must not be used."""
        try:
            moved = self.file.identity() != link.identity
        except ConnectorError:
            moved = True  # who opens it again is told why
        if moved:
            self._pool.clear()
        return moved

    def _failure(self, error: Exception) -> Exception:
        """Return our error for an error of SQLite, after which the file is checked again."""
        failure = self.file.failure(error)
        if not isinstance(failure, Busy):
            self._pool.clear()
        return failure


@cache
def _reading(number: int) -> str:
    states = ", ".join(["(SELECT CAST(value AS BLOB) FROM state WHERE key = ?)"] * number)
    return f"SELECT {states}"


@cache
def _writing(number: int, *, moved: bool) -> str:
    rows = ", ".join(["(?, ?, ?)"] * number)
    until = ", until = excluded.until" if moved else ""
    return (
        f"INSERT INTO state (key, value, until) VALUES {rows}"  # noqa: S608 - nobody else's text
        f" ON CONFLICT (key) DO UPDATE SET value = excluded.value{until}"
    )


def _changes(
    keys: tuple[str, ...], stored: tuple[bytes | None, ...], before: States, after: States
) -> tuple[list[Any], bool]:
    """Key, bytes and last hour of each state that changed; and whether one of the hours has."""
    changes: list[Any] = []
    moved = False
    for key, packed, old, new in zip(keys, stored, before, after, strict=True):
        if new is old or new is None:
            continue
        until = (new[0] + new[1]) // HOUR
        if old is None or packed is None:
            moved = True
            changes += (key, pack(new), until)
        else:
            moved = moved or until != (old[0] + old[1]) // HOUR
            changes += (key, pack(new, old, packed), until)
    return changes, moved


def tried(attempt: Callable[[], Done], until: float) -> Done:
    """Return the result of `attempt` once the lock is free.

    Raises:
        Busy: somebody still does when the time is over.
    """
    for pause in pauses(until):
        try:
            return attempt()
        except Busy:
            time.sleep(pause)
    raise Busy


def pauses(until: float) -> Iterator[float]:
    """Yield the pauses before the next tries, until the deadline; the first is zero."""
    longest = _SOON
    while True:
        yield longest * (0.5 + random())  # noqa: S311 - nobody gains by guessing it
        if time.monotonic() >= until:
            return
        longest = min(2 * longest, _LATER)
