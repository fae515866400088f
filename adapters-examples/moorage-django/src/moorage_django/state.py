"""Shared state in Django's database: PostgreSQL, MariaDB, MySQL, or a separate SQLite file.

1. A command is one short transaction on moorage's own connection: lock the rows in the order of
   their ids, get the database's time, decide, and write.
2. Missing rows are inserted by a transaction that locks nothing else, so there is no deadlock.
   SQLite has a single lock, which is taken first.
3. A command that was certainly not executed is repeated; a command that may have been executed is
   repeated only if that does no harm.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from hashlib import sha256
from itertools import count
from math import inf
from threading import Lock, local
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from django.core.exceptions import SynchronousOnlyOperation
from django.db import Error, OperationalError, connections, transaction

from moorage import ConfigurationError, StorageUnavailable
from moorage.adapters.concurrency.forking import in_child
from moorage.domain.resilience.interruptions import is_interruption
from moorage.packing import pack_state, unpack_state
from moorage_django.errors import meaning, translating_errors
from moorage_django.models import State
from moorage_django.moments import micros_in

if TYPE_CHECKING:
    from collections.abc import Generator

    from moorage.domain.state.commands import Command, States

Answer = TypeVar("Answer")

_MOST_POSTED: Final = 1_000
"""The maximum number of posted commands; the oldest are dropped, and their leases expire."""

_TRIES: Final = 5
_PAUSE: Final = 0.005
_HOUR: Final = 3_600_000_000
_MAX_LENGTH: Final = 1_000
_THREADS: Final = 4
_USUAL: Final = 5.0
"""Seconds that SQLite waits for its lock, unless OPTIONS say otherwise."""

_LEAST: Final = 0.001
_BOUNDS: Final = {
    "postgresql": ("SET statement_timeout = '{:.3f}s'", "RESET statement_timeout"),
    "mariadb": (
        "SET SESSION max_statement_time = {:.3f}",
        "SET SESSION max_statement_time = DEFAULT",
    ),
}
"""The statements that begin and end a time limit for all statements of a session."""
_NOT_TO_THE_DISK: Final = ", set_config('synchronous_commit', 'off', true)"


class _MissingRows(Exception):
    """Raised if some of the needed rows do not exist."""


class _CommandAttempt:
    """One attempt to run a command, with a record of its progress."""

    def __init__(self, alias: str, command: Command[Any], until: float) -> None:
        keys = {_id(key): key for key in command.keys}
        self._alias = alias
        self._command = command
        self._ids = [_id(key) for key in command.keys]
        self._keys = dict(sorted(keys.items()))
        self._rows = State.objects.using(alias)
        self._connection = connections[alias]
        self._until = until
        self.deciding = True

    def run(self) -> Any:
        """Lock the rows, apply the command to them, and write the results."""
        self._prepare()
        while True:
            try:
                with self._in_time(), transaction.atomic(using=self._alias):
                    answer = self._decided()
                    self.deciding = False
            except _MissingRows:
                self._place()
            else:
                return answer

    def _decided(self) -> Any:
        sqlite = self._connection.vendor == "sqlite"
        if sqlite:
            # Another process may write between a read and a write.
            self._rows.filter(pk="").update(expires=0)
        rows_by_id = {
            row.id: row
            for row in self._rows.select_for_update().filter(pk__in=self._keys).order_by("pk")
        }
        if not sqlite and 0 < len(rows_by_id) < len(self._keys):
            # The existing rows may be newer than the missing ones.
            raise _MissingRows
        states = {
            id_: None if row.state is None else unpack_state(bytes(row.state))
            for id_, row in rows_by_id.items()
        }
        old_states = tuple(states.get(id_) for id_ in self._ids)
        current_micros = self._now()
        new_states, answer = self._command.apply(old_states, current_micros)
        changed_states = self._changes(old_states, new_states, rows_by_id, current_micros)
        if changed_states and not sqlite and not rows_by_id:
            raise _MissingRows
        for row in changed_states:
            if row.id in rows_by_id:
                row.save(using=self._alias, update_fields=("state", "expires"))
            else:
                row.save(using=self._alias, force_insert=True)
        return answer

    def _changes(
        self, before: States, after: States, stored: dict[str, State], now: int
    ) -> list[State]:
        changed_rows: dict[str, State] = {}
        for id_, old_state, new_state in zip(self._ids, before, after, strict=True):
            if new_state is old_state or new_state is None:
                continue
            row = stored.get(id_) or self._blank(id_, now)
            row.state = pack_state(new_state)
            earliest_expiry = new_state[0] + new_state[1]
            if not earliest_expiry <= row.expires <= earliest_expiry + 2 * _HOUR:
                row.expires = earliest_expiry + _HOUR
            changed_rows[id_] = row
        return [changed_rows[id_] for id_ in self._keys if id_ in changed_rows]

    def _place(self) -> None:
        """Insert the missing rows without locking any row."""
        current_micros = self._now()
        rows = [self._blank(id_, current_micros) for id_ in self._keys]
        self._rows.bulk_create(rows, ignore_conflicts=True)

    def _blank(self, id_: str, now: int) -> State:
        return State(id=id_, key=_storable_key(self._keys[id_]), state=None, expires=now + _HOUR)

    def _now(self) -> int:
        postgresql = self._connection.vendor == "postgresql"
        may_skip_disk = postgresql and not self._command.durable
        return micros_in(self._alias, besides=_NOT_TO_THE_DISK if may_skip_disk else "")

    @contextmanager
    def _in_time(self) -> Generator[None]:
        """Set a statement timeout in PostgreSQL and MariaDB, if the caller has little time left."""
        remaining_seconds = self._until - time.monotonic()
        set_statement, reset_statement = _BOUNDS.get(_database_kind(self._connection), ("", ""))
        if not set_statement or remaining_seconds > _USUAL or self._connection.in_atomic_block:
            yield
            return
        with self._connection.cursor() as cursor:
            cursor.execute(set_statement.format(max(remaining_seconds, _LEAST)))
        try:
            yield
        finally:
            with suppress(Error), self._connection.cursor() as cursor:
                cursor.execute(reset_statement)

    def _prepare(self) -> None:
        """Make SQLite flush important commits to disk, and limit its waits."""
        connection = self._connection
        if connection.vendor != "sqlite" or connection.in_atomic_block:
            return
        usual_timeout = connection.settings_dict["OPTIONS"].get("timeout", _USUAL)
        patience = max(0.0, min(usual_timeout, self._until - time.monotonic()))
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA synchronous = {'FULL' if self._command.durable else 'NORMAL'}")
            cursor.execute(f"PRAGMA busy_timeout = {int(patience * 1000)}")


class OrmStorage:
    """A `StateStorage` in a Django database, for all processes that share the database.

    The alias must be moorage's own, because a rollback of the project would undo claims. Threads
    share the store, and each thread has its own Django connection.

    A caller's deadline limits the repeats of a command, SQLite's wait for its lock, and each
    statement in PostgreSQL and MariaDB. The driver's OPTIONS limit the time in which a server does
    not respond at all: `connect_timeout` and `read_timeout`, or `tcp_user_timeout`.

    Args:
        alias: the database alias.
    """

    durable: Final = True
    mixes_tags: Final = True

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self._inside = local()
        self._restart_after_fork()
        in_child(self, OrmStorage._restart_after_fork)

    def _restart_after_fork(self) -> None:
        # The parent executes the commands that it posted.
        self._kept: deque[Command[Any]] = deque(maxlen=_MOST_POSTED)
        self._away = False

    def __repr__(self) -> str:
        return f"OrmStorage({self.alias!r})"

    @property
    def reach(self) -> str:
        """The scope of this store: the processes of one machine, or of a network."""
        return "machine" if connections[self.alias].vendor == "sqlite" else "network"

    def execute(self, command: Command[Answer], /, timeout: float | None = None) -> Answer:
        """Run one command on its states, and return the command's result."""
        deadline = inf if timeout is None else time.monotonic() + timeout
        outage = self.settle(deadline)
        if outage is not None:
            # The next command would also wait in vain, for as long.
            raise outage
        try:
            answer: Answer = self._run_repeatedly(command, deadline)
        except StorageUnavailable:
            self._away = True
            raise
        self._away = False
        return answer

    def post(self, command: Command[Any], /) -> None:
        """Run a command now or with the next one, without returning its result."""
        self.keep(command)
        if not self._away:
            self.settle()

    def keep(self, command: Command[Any]) -> None:
        """Store a command until `settle` or the next command runs it."""
        self._kept.append(command)

    def settle(self, until: float = inf) -> StorageUnavailable | None:
        """Run the posted commands while there is time; log an unavailable database."""
        posted_commands = self._kept
        while posted_commands and not getattr(self._inside, "now", False):
            try:
                command = posted_commands.popleft()
            except IndexError:
                break
            try:
                self._run_repeatedly(command, until)
            except StorageUnavailable as error:
                if not command.once:
                    posted_commands.appendleft(command)
                self._away = True
                return error
            except Exception as error:
                # Nobody waits for the answer of a posted command, and a repeat would not help.
                if is_interruption(error):
                    raise
                continue
            self._away = False
        return None

    @translating_errors
    def housekeep(self, *, limit: int = 10_000) -> int:
        """Delete up to `limit` expired states; return their number."""
        rows = State.objects.using(self.alias)
        expiry_limit = micros_in(self.alias) - _HOUR
        expired_ids = list(
            rows.filter(expires__lt=expiry_limit).values_list("pk", flat=True)[:limit]
        )
        return int(rows.filter(pk__in=expired_ids, expires__lt=expiry_limit).delete()[0])

    def _run_repeatedly(self, command: Command[Any], until: float) -> Any:
        """Run a command; repeat it while time is left, if it certainly was not executed."""
        was_inside, self._inside.now = getattr(self._inside, "now", False), True
        try:
            for tries_left in count(_TRIES - 1, -1):
                is_finished, answer = self._attempt_command(command, until, last=not tries_left)
                if is_finished:
                    return answer
                time.sleep(_PAUSE)  # no signal tells when the transaction that blocks this one ends
        finally:
            self._inside.now = was_inside

    def _attempt_command(
        self, command: Command[Any], until: float, *, last: bool
    ) -> tuple[bool, Any]:
        connection = connections[self.alias]
        trip = None
        try:
            trip = _CommandAttempt(self.alias, command, until)
            return True, trip.run()
        except (Error, SynchronousOnlyOperation) as error:
            # In another open transaction, no new transaction can begin.
            may_repeat = isinstance(error, OperationalError) and not connection.in_atomic_block
            is_unsure = trip is not None and not trip.deciding and command.once
            if may_repeat and not is_unsure and not last and time.monotonic() < until:
                connection.close_if_unusable_or_obsolete()
                return False, None
            failure = meaning(error)
        # Raised here, so that its traceback has no frames of the driver, which hold the password.
        raise failure


class AsyncOrmStorage:
    """The asynchronous `OrmStorage`; `execute` runs in the store's threads.

    Args:
        alias: the database alias.
    """

    durable: Final = True
    mixes_tags: Final = True

    def __init__(self, alias: str) -> None:
        self._plain = OrmStorage(alias)
        self._restart_after_fork()
        in_child(self, AsyncOrmStorage._restart_after_fork)

    def _restart_after_fork(self) -> None:
        # A forked child has none of its parent's threads.
        self._threads: ThreadPoolExecutor | None = None
        self._links: list[Any] = []
        self._settling = Lock()

    def __repr__(self) -> str:
        return f"Async{self._plain!r}"

    @property
    def reach(self) -> str:
        """The scope of this store: the processes of one machine, or of a network."""
        return self._plain.reach

    async def execute(self, command: Command[Answer], /, timeout: float | None = None) -> Answer:
        """Run one command in a thread.

        The thread continues if the caller's time limit ends first.
        """
        running_future = asyncio.get_running_loop().run_in_executor(
            self._pool(), partial(self._execute, command, timeout)
        )
        if timeout is None:
            return await running_future
        finished_futures, _ = await asyncio.wait((running_future,), timeout=timeout)
        if not finished_futures:
            running_future.cancel()
            raise StorageUnavailable(
                f"The database {self._plain.alias!r} did not answer in time.",
                remedy="Reduce the load of the database, or give the call a longer timeout.",
            )
        return running_future.result()

    def post(self, command: Command[Any], /) -> None:
        """Run a command soon or with the next one, without returning its result."""
        self._plain.keep(command)
        try:
            self._pool().submit(self._settle)
        except RuntimeError:  # the interpreter ends
            return

    async def housekeep(self, *, limit: int = 10_000) -> int:
        """Delete up to `limit` expired states; return their number."""
        return await asyncio.get_running_loop().run_in_executor(
            self._pool(), partial(self._plain.housekeep, limit=limit)
        )

    async def aclose(self) -> None:
        """Run the posted commands, and end the threads and their connections."""
        await asyncio.to_thread(self.end)

    def end(self) -> None:
        """Do the same as `aclose` outside of an event loop, also while the interpreter ends."""
        threads, links = self._threads, self._links
        self._restart_after_fork()
        if threads is not None:
            _end(threads, links)

    def _pool(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(
                _THREADS, thread_name_prefix="moorage-django", initializer=self._begin
            )
        return self._threads

    def _execute(self, command: Command[Answer], timeout: float | None) -> Answer:
        self._settle()
        return self._plain.execute(command, timeout)

    def _settle(self) -> None:
        # A thread that executes a command waits for a thread that settles commands.
        with self._settling:
            self._plain.settle()

    def _begin(self) -> None:
        # Closing the store closes the connections of its threads.
        link = connections[self._plain.alias]
        link.inc_thread_sharing()
        self._links.append(link)


def store_of_url(url: str, *, is_async: bool) -> OrmStorage | AsyncOrmStorage:
    """Return the store for a URL such as `django://moorage`."""
    alias = urlsplit(url).netloc
    if alias not in connections:
        raise ConfigurationError(
            f"There is no database {alias!r}.",
            path="state.url",
            remedy=f"Name one of DATABASES: {', '.join(sorted(connections))}.",
        )
    return AsyncOrmStorage(alias) if is_async else OrmStorage(alias)


def _end(threads: ThreadPoolExecutor, links: list[Any]) -> None:
    threads.shutdown()
    for link in links:
        link.close()


def _database_kind(connection: Any) -> str:
    """Return the kind of a database, and distinguish MariaDB from MySQL."""
    mariadb = connection.vendor == "mysql" and connection.mysql_is_mariadb
    return "mariadb" if mariadb else str(connection.vendor)


def _id(key: str) -> str:
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _storable_key(key: str) -> str:
    """Return a key with characters that a database with any encoding can store."""
    return key.encode("ascii", "backslashreplace").decode().replace("\0", "\\0")[:_MAX_LENGTH]
