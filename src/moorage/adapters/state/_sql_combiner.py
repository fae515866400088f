"""Combines the commands of several callers in one database transaction.

A row that a command changes is locked for one round trip. If each caller of a process locked the
row, they would queue behind each other, so their commands are combined:

1. A batch applies the commands that have joined it when the server reports that the rows are
   locked. Until then a command that needs no other row can join. A command that needs another row,
   or that must be durable, waits for the next batch over the same rows, which begins when this one
   has read them.
2. Commands are applied one after another, each to the states that those before it left. A command
   that raises changes nothing.
3. A caller stops waiting at its own deadline. Its command is removed if it is not applied yet;
   otherwise the tokens and slots that it is granted are returned.
4. A batch has a deadline too. A caller with a later deadline joins another batch.
5. A command that usually changes nothing is answered by one round trip without locks.
"""

from __future__ import annotations

from copy import copy
from functools import lru_cache, partial
from hashlib import sha256
from itertools import chain
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from moorage.adapters.databases._sql_link import SLOWEST, FateUnknown, Row
from moorage.domain.resilience.gate_commands import Confirm, ReadCircuit
from moorage.domain.resilience.outage import is_slow
from moorage.domain.state.codec import pack, unpack
from moorage.domain.values.durations import HOUR
from moorage.errors import ConnectorError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from moorage.adapters.databases._sql_engine import Engine, Signal
    from moorage.adapters.databases._sql_link import Link
    from moorage.adapters.databases._sql_pool import ConnectionOpening, LinkPool
    from moorage.domain.state.commands import Command, State, States

Answer = TypeVar("Answer")

COARSE: Final = HOUR
"""The interval in microseconds at which the expiry of a busy row is updated."""

_LONGEST_NAME: Final = 1_000
_CACHE_SIZE: Final = 4_096
_UNCACHED_KEYS: Final = 16
"""The number of keys from which their hashes are not cached, as they rarely repeat."""

_MAX_BATCH: Final = 64
"""The maximum number of commands in one batch."""

_SLOW_ROUND_TRIP: Final = 0.02
"""The round trip in seconds from which a connection counts as slow."""

_MIN_ROUND_TRIPS: Final = 16
"""The number of round trips that a batch waits for its rows, even if its first caller leaves."""

_GRACE: Final = 0.1
"""Seconds to wait for a batch that ends at its caller's deadline."""

_READ_ONLY: Final = (Confirm, ReadCircuit)
"""Commands that usually change nothing."""


class RowKeys(NamedTuple):
    """The hashes of a command's keys, which are the ids of its rows in the table.

    Attributes:
        ids: the ids in the order in which the rows are locked.
        command_ids: the id of each key, in the order of the command's keys.
        names: the readable key of each of `ids`.
    """

    ids: tuple[bytes, ...]
    command_ids: tuple[bytes, ...]
    names: tuple[str, ...]


@lru_cache(_CACHE_SIZE)
def row_keys_of(keys: tuple[str, ...]) -> RowKeys:
    """Return the hashes of a command's keys, which are the ids of its rows in the table."""
    hashes = {key: sha256(key.encode("utf-8", "surrogatepass")).digest() for key in keys}
    ordered_keys = sorted(hashes, key=hashes.__getitem__)
    return RowKeys(
        tuple(hashes[key] for key in ordered_keys),
        tuple(hashes[key] for key in keys),
        tuple(map(_storable_key, ordered_keys)),
    )


def _storable_key(key: str) -> str:
    """Return a key with characters that a database with any encoding can store."""
    return key.encode("ascii", "backslashreplace").decode().replace("\0", "\\0")[:_LONGEST_NAME]


def expiry(state: State, stored: int) -> int:
    """Return the expiry for a row: the old expiry, unless it is too early or much too late."""
    earliest_expiry: int = state[0] + state[1]
    return (
        stored
        if earliest_expiry <= stored <= earliest_expiry + 2 * COARSE
        else earliest_expiry + COARSE
    )


class _PendingCommand:
    """A command whose caller waits for the reply, until a time of `monotonic()`.

    Attributes:
        finished: whether the caller has its answer or its error, or must retry.
        committed: whether its answer is committed.
        abandoned: whether the caller has stopped waiting.
        retry: whether the caller must join another batch.
    """

    __slots__ = (
        "abandoned",
        "answer",
        "command",
        "committed",
        "error",
        "finished",
        "retry",
        "row_keys",
        "signal",
        "until",
    )

    def __init__(self, command: Command[Any], row_keys: RowKeys, until: float) -> None:
        self.command = command
        self.row_keys = row_keys
        self.until = until
        self.signal: Signal | None = None
        self.answer: Any = None
        self.error: Exception | None = None
        self.finished = self.abandoned = self.retry = self.committed = False


class _Batch:
    """The commands that share one transaction.

    Attributes:
        row_keys: the batch's rows, which are fixed when the batch begins.
        until: the batch's deadline, as a time of `monotonic()`.
        detached: whether it runs apart from its callers, so that it can outlast them.
        following: the next batch over rows of this one.
        running: the thread or task that runs it.
    """

    __slots__ = (
        "begun",
        "closed",
        "detached",
        "following",
        "ids",
        "pending_commands",
        "row_keys",
        "running",
        "until",
    )

    def __init__(self) -> None:
        self.row_keys = RowKeys((), (), ())
        self.ids: frozenset[bytes] = frozenset()
        self.until = 0.0
        self.pending_commands: list[_PendingCommand] = []
        self.following: _Batch | None = None
        self.running: ConnectionOpening | None = None
        self.detached = self.begun = self.closed = False

    def begin(self, minimum: float) -> None:
        """Set the rows that the batch locks, and its deadline: the latest of its callers'."""
        self.begun = True
        row_keys = [pending_command.row_keys for pending_command in self.pending_commands]
        if all(keys is row_keys[0] for keys in row_keys):
            self.row_keys = row_keys[0]
        else:
            pairs = (zip(keys.ids, keys.names, strict=True) for keys in row_keys)
            names = dict(chain.from_iterable(pairs))
            ids = tuple(sorted(names))
            self.row_keys = RowKeys(ids, (), tuple(map(names.__getitem__, ids)))
        self.ids = frozenset(self.row_keys.ids)
        self.until = max(
            minimum, *(pending_command.until for pending_command in self.pending_commands)
        )

    def can_join(self, pending: _PendingCommand) -> bool:
        """Return whether a command can join the batch."""
        if self.closed or len(self.pending_commands) >= _MAX_BATCH:
            return False
        return not self.begun or (
            not pending.command.durable and self.ids.issuperset(pending.row_keys.ids)
        )


class ContendedRows:
    """The rows that several callers needed concurrently.

    Args:
        bound: the number of rows beyond which all are removed before new ones are added.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._ids: set[bytes] = set()

    def add(self, ids: frozenset[bytes]) -> None:
        """Record that several callers needed these rows concurrently."""
        if len(self._ids) > self._bound:
            self._ids.clear()
        self._ids |= ids

    def has_any(self, ids: Iterable[bytes]) -> bool:
        """Return whether any of these rows was needed by several callers."""
        return not self._ids.isdisjoint(ids)


class Combiner:
    """Executes commands in batches, each in one transaction.

    Args:
        engine: runs transactions on its connections.
        returned: called with a command whose caller has stopped waiting, and its answer.
    """

    def __init__(self, engine: Engine, returned: Callable[[Command[Any], Any], None]) -> None:
        self._engine = engine
        self._runtime = engine.runtime
        self._on_abandoned = returned
        self._shared = ContendedRows(_CACHE_SIZE)

    async def execute(self, command: Command[Answer], timeout: float | None = None) -> Answer:
        """Execute a command within `timeout` seconds, or else within the store's own limit."""
        keys = command.keys
        row_keys = (
            row_keys_of(keys) if len(keys) < _UNCACHED_KEYS else row_keys_of.__wrapped__(keys)
        )
        engine = self._engine
        start_time, end_time = monotonic(), engine.until(timeout)
        try:
            if isinstance(command, _READ_ONLY):
                reply = await engine.attempt(
                    partial(_read_only, command, row_keys, end_time), end_time, once=False
                )
                if reply is not None:
                    return reply[0]
            return await self._execute_in_batch(command, row_keys, end_time)  # type: ignore[no-any-return]  # the engine returns Any
        except StorageUnavailable as error:
            now, last_reply = monotonic(), engine.last_reply
            silent_nanoseconds = None if last_reply is None else int((now - last_reply) * 1e9)
            # A server that answered other callers recently is slow, but reachable.
            error.slow = error.slow or is_slow(
                int((now - start_time) * 1e9), end_time - start_time, silent_nanoseconds
            )
            raise

    async def _execute_in_batch(
        self, command: Command[Any], row_keys: RowKeys, until: float
    ) -> Any:
        while True:
            pending_command = _PendingCommand(command, row_keys, until)
            await self._join(self._engine.pool(), pending_command)
            if pending_command.error is not None:
                # Only the waiting caller may hold a reference to the error.
                error, pending_command.error = pending_command.error, None
                raise error
            if not pending_command.retry:
                return pending_command.answer

    async def _join(self, pool: LinkPool, pending: _PendingCommand) -> None:
        """Add a command to a batch, and wait for the end of the batch."""
        batch: _Batch | None = None
        try:
            with pool.lock:
                batch, is_new = self._batch_for(pool, pending)
                batch.pending_commands.append(pending)
                if is_new:
                    batch.detached = not (
                        self._runtime.blocks and self._runs_in_caller(pool, pending)
                    )
                    self._begin_batch(pool, batch)
                if batch.detached or not is_new:
                    pending.signal = self._runtime.signal()
            if is_new and not (batch.detached and self._start_detached(pool, batch)):
                await self._run_batch(pool, batch)
            if not pending.finished and pending.signal is not None:
                await pending.signal.wait(pending.until - monotonic())
                if not pending.finished and batch.begun and batch.until <= pending.until:
                    await pending.signal.wait(_GRACE)
        except BaseException:
            if pending.committed:
                self._on_abandoned(pending.command, pending.answer)
            raise
        finally:
            with pool.lock:
                pending.abandoned = not pending.finished
        if pending.abandoned:
            raise self._engine.unavailable("got no response in time")

    def _runs_in_caller(self, pool: LinkPool, pending: _PendingCommand) -> bool:
        """Return True if the database is near or no rows are shared: the caller runs the batch."""
        return pool.round_trip < _SLOW_ROUND_TRIP or not self._shared.has_any(pending.row_keys.ids)

    def _batch_for(self, pool: LinkPool, pending: _PendingCommand) -> tuple[_Batch, bool]:
        """Return the batch for a command, and whether the batch is new."""
        now = monotonic()
        for id_ in pending.row_keys.ids:
            batch = pool.batches.get(id_)
            while batch is not None and (not batch.begun or batch.until > now):
                self._shared.add(batch.ids)
                if batch.can_join(pending):
                    return batch, False
                if batch.closed:
                    break
                if batch.following is None:
                    batch.following = _Batch()
                batch = batch.following
        return _Batch(), True

    def _begin_batch(self, pool: LinkPool, batch: _Batch) -> None:
        earliest_end = (
            monotonic() + min(SLOWEST, _MIN_ROUND_TRIPS * pool.round_trip)
            if batch.detached
            else 0.0
        )
        batch.begin(earliest_end)
        for id_ in batch.row_keys.ids:
            pool.batches[id_] = batch

    def _start_detached(self, pool: LinkPool, batch: _Batch) -> bool:
        """Execute a batch in the background, if the system can start a thread or task for it."""
        # All callers of the task may leave, so this set keeps a reference to it.
        pool.detached.add(batch)
        batch.running = self._runtime.start_detached(self._run_batch(pool, batch))
        return batch.running is not None

    async def _run_batch(self, pool: LinkPool, batch: _Batch) -> None:
        """Execute a batch, and set the results of its commands."""
        work = partial(self._run_transaction, pool, batch)
        try:
            await self._engine.attempt(work, batch.until, once=False)
        except Exception as error:  # noqa: BLE001 - raised in the waiting caller
            is_late = isinstance(error, StorageUnavailable) and monotonic() >= batch.until
            self._fail_batch(pool, batch, error, has_lost_time=is_late)
        except BaseException:
            self._fail_batch(pool, batch, None, has_lost_time=True)
            raise
        finally:
            pool.detached.discard(batch)
            following_batch = batch.following
            if (
                following_batch is not None
                and following_batch.running is None
                and following_batch.pending_commands
            ):
                await self._run_batch(pool, following_batch)

    async def _run_transaction(self, pool: LinkPool, batch: _Batch, link: Link) -> None:
        """Lock a batch's rows, apply its commands, and write the changes."""
        row_keys = batch.row_keys
        while True:
            rows, now = await link.lock(row_keys.ids, batch.until)
            if 0 < len(rows) < len(row_keys.ids):
                # The existing rows may be newer than the rows that were missing.
                await _insert_missing(link, row_keys, rows, now, batch.until)
                continue
            written_rows = _decide(self._close_and_collect(pool, batch), row_keys, rows, now)
            if written_rows and not rows and len(row_keys.ids) > 1:
                await _insert_missing(link, row_keys, rows, now, batch.until)
                continue
            start_time = monotonic()
            try:
                is_finished = await _commit(link, batch, written_rows, is_new=not rows)
            except FateUnknown as failure:
                error = self._fail_unrepeatable(pool, batch, slow=failure.slow)
                if batch.pending_commands:
                    raise
                pool.clear()
                raise error from None
            except BaseException as failure:
                if not isinstance(failure, Exception):
                    self._fail_unrepeatable(pool, batch)
                raise
            if is_finished:
                pool.round_trip = monotonic() - start_time
                self._finish_batch(pool, batch)
                return

    def _close_and_collect(self, pool: LinkPool, batch: _Batch) -> list[_PendingCommand]:
        """Close a batch, start the next one, and return the commands whose callers still wait."""
        self._close(pool, batch)
        with pool.lock:
            batch.pending_commands = [
                pending_command
                for pending_command in batch.pending_commands
                if not pending_command.abandoned
            ]
            if batch.detached:
                # Each caller leaves at its own deadline; all remaining callers get a result.
                batch.until = max(
                    (
                        batch.until,
                        *(pending_command.until for pending_command in batch.pending_commands),
                    )
                )
            return batch.pending_commands

    def _close(self, pool: LinkPool, batch: _Batch) -> None:
        """Close a batch to further commands, and start the next one."""
        with pool.lock:
            if batch.closed:
                return
            batch.closed = True
            for id_ in batch.row_keys.ids:
                if pool.batches.get(id_) is batch:
                    # A signal handler that just used the store may already have removed it.
                    pool.batches.pop(id_, None)
            following_batch = batch.following
            while following_batch is not None:
                following_batch.pending_commands = [
                    pending_command
                    for pending_command in following_batch.pending_commands
                    if not pending_command.abandoned
                ]
                if following_batch.pending_commands:
                    break
                following_batch = following_batch.following
            batch.following = following_batch
            if following_batch is None:
                return
            following_batch.detached = True
            self._begin_batch(pool, following_batch)
        self._start_detached(pool, following_batch)

    def _fail_unrepeatable(
        self, pool: LinkPool, batch: _Batch, *, slow: bool = False
    ) -> StorageUnavailable:
        """Fail the commands that must not be repeated after a commit with unknown outcome."""
        error = self._engine.unavailable(
            "has an unknown outcome, because the server did not reply to the commit", slow=slow
        )
        with pool.lock:
            for pending_command in batch.pending_commands:
                if pending_command.command.once:
                    pending_command.error = copy(error)
                    _wake_waiters(pending_command)
            batch.pending_commands = [
                pending_command
                for pending_command in batch.pending_commands
                if not pending_command.finished
            ]
        return error

    def _fail_batch(
        self, pool: LinkPool, batch: _Batch, error: Exception | None, *, has_lost_time: bool
    ) -> None:
        """Fail all commands of a batch; callers with time left try their command again."""
        self._close(pool, batch)
        now = monotonic()
        with pool.lock:
            for pending_command in batch.pending_commands:
                pending_command.retry = has_lost_time and pending_command.until > now
                pending_command.error = None if pending_command.retry else _own_copy(error)
                _wake_waiters(pending_command)
            batch.pending_commands = []

    def _finish_batch(self, pool: LinkPool, batch: _Batch) -> None:
        """Give each caller its reply; undo the grants of callers that have stopped waiting."""
        with pool.lock:
            unclaimed_commands = [
                pending_command
                for pending_command in batch.pending_commands
                if pending_command.abandoned and pending_command.error is None
            ]
            for pending_command in batch.pending_commands:
                pending_command.committed = pending_command.error is None
                _wake_waiters(pending_command)
            batch.pending_commands = []
        for pending_command in unclaimed_commands:
            self._on_abandoned(pending_command.command, pending_command.answer)


def _wake_waiters(pending: _PendingCommand) -> None:
    pending.finished = True
    if pending.signal is not None:
        pending.signal.open()


def _own_copy(error: Exception | None) -> Exception | None:
    """Return a copy of an error, so that each caller raises a separate object."""
    return copy(error) if isinstance(error, ConnectorError) else error


async def _read_only(
    command: Command[Any], row_keys: RowKeys, until: float, link: Link
) -> tuple[Any] | None:
    """Return the reply to a command that changes no state; None if it would change one."""
    rows, now = await link.read(row_keys.ids, until)
    pending_command = _PendingCommand(command, row_keys, until)
    if _decide([pending_command], row_keys, rows, now):
        return None
    if pending_command.error is not None:
        raise pending_command.error
    return (pending_command.answer,)


async def _commit(link: Link, batch: _Batch, written: Sequence[Row], *, is_new: bool) -> bool:
    """Write the changes and commit; return False if another process has inserted the new row."""
    end_time = batch.until
    is_durable = any(
        pending_command.command.durable
        for pending_command in batch.pending_commands
        if pending_command.error is None
    )
    if not written:
        # The result of a claim must not depend on data that a crash could still lose.
        await link.leave(end_time, durable=is_durable)
    elif is_new:
        return await link.add(written[0], batch.row_keys.names[0], end_time, durable=is_durable)
    else:
        await link.write(written, end_time, durable=is_durable)
    return True


async def _insert_missing(
    link: Link, row_keys: RowKeys, rows: Sequence[Row], now: int, until: float
) -> None:
    """Insert missing rows without holding a lock."""
    await link.leave(until)
    existing_ids = {row.id for row in rows}
    missing_positions = [
        position for position, id_ in enumerate(row_keys.ids) if id_ not in existing_ids
    ]
    await link.insert_missing(
        [Row(row_keys.ids[position], None, now + COARSE) for position in missing_positions],
        [row_keys.names[position] for position in missing_positions],
        until,
    )


def _decide(
    pending_commands: Sequence[_PendingCommand], row_keys: RowKeys, rows: Sequence[Row], now: int
) -> list[Row]:
    """Apply commands to the rows that were read, and return the changed rows."""
    rows_by_id = {row.id: row for row in rows}
    states: dict[bytes, State | None] = {}
    written_rows: dict[bytes, Row] = {}
    for pending_command in pending_commands:
        ids = pending_command.row_keys.command_ids
        try:
            for id_ in ids:
                if id_ not in states:
                    states[id_] = _read_state(rows_by_id.get(id_), row_keys, id_)
            states_before = tuple(map(states.__getitem__, ids))
            states_after, answer = pending_command.command.apply(states_before, now)
            changed_rows = _changes(ids, rows_by_id, states_before, states_after)
        except Exception as error:  # noqa: BLE001 - raised in the waiting caller
            pending_command.answer, pending_command.error = None, error
            continue
        pending_command.answer, pending_command.error = answer, None
        rows_by_id |= changed_rows
        written_rows |= changed_rows
        states |= {
            id_: new_state
            for id_, new_state in zip(ids, states_after, strict=True)
            if id_ in changed_rows
        }
    return [*written_rows.values()]


def _read_state(row: Row | None, row_keys: RowKeys, id_: bytes) -> State | None:
    if row is None or row.state is None:
        return None
    return unpack(row.state, row_keys.names[row_keys.ids.index(id_)])


def _changes(
    ids: Sequence[bytes], rows_by_id: dict[bytes, Row], before: States, after: States
) -> dict[bytes, Row]:
    """Return the rows that a command changes, encoded for the table."""
    changed_rows: dict[bytes, Row] = {}
    for id_, old_state, new_state in zip(ids, before, after, strict=True):
        if new_state is old_state or new_state is None:
            continue
        row = rows_by_id.get(id_)
        packed_state, expires = (b"", 0) if row is None else (row.state or b"", row.expires)
        changed_rows[id_] = Row(
            id_, pack(new_state, old_state, packed_state), expiry(new_state, expires)
        )
    return changed_rows
