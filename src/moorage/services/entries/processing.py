"""Processing of stored entries: claim an entry, do its work, and record the result."""

from __future__ import annotations

from collections import deque
from copy import copy
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeAlias, TypeVar

import attrs

from moorage.domain.entries.queue import (
    OPEN,
    Entry,
    EntryQuery,
    EntryState,
    ErrorConsequence,
    finish_entry,
    give_back,
    give_up,
    lease_left,
    longest_pause,
    mark_unknown,
    next_batch,
    pause_entry,
    postpone_entry,
    stored_error_text,
    take_entry,
)
from moorage.domain.resilience.interruptions import is_interruption
from moorage.domain.resilience.retry import wait_of
from moorage.domain.resilience.vendor_hints import cap_wait
from moorage.domain.state.sealing import sealing_context
from moorage.domain.values.durations import maybe_seconds
from moorage.errors import (
    ConfigurationError,
)
from moorage.services.core.core import seconds_left
from moorage.services.entries.managing import EntryManagement

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from datetime import datetime, timedelta
    from typing import Self

    from moorage.domain.entries.renewal import HeldEntry
    from moorage.domain.resilience.retry import RetryPolicy
    from moorage.domain.values.result import Result
    from moorage.ports.cipher import Cipher
    from moorage.ports.entry_tracing import EntryTracing
    from moorage.services.core.core import Core
    from moorage.services.core.renewal import EntryRenewals
    from moorage.services.entries.store import EntryStore

E = TypeVar("E", bound=Entry)
Work: TypeAlias = "Callable[[E], Awaitable[Any]]"

_SLOW: Final = 50_000_000
"""Nanoseconds; after work that took longer, results are written at once instead of together."""

_PLAIN_MARK: Final = b"\0"
_SEALED_MARK: Final = b"\1"


@attrs.define
class _AdaptiveBatchSize:
    """The number of entries that a worker takes together, adapted to their duration.

    Attributes:
        batch: number of entries to take together next.
    """

    batch: int = 1


@attrs.frozen(kw_only=True)
class ProcessedEntry(Generic[E]):
    """The result of processing one entry.

    Attributes:
        entry: the stored entry; if another worker has taken it, the entry that would have been
            stored.
        answer: the value that the work returned, if it is done.
        error: exception of the work, if it failed.
    """

    entry: E
    answer: Any = attrs.field(default=None, repr=False)
    error: Exception | None = None


@attrs.frozen(kw_only=True)
class Round(Generic[E]):
    """The results of processing several entries.

    Attributes:
        worked: results, in the order in which the entries were taken.
    """

    worked: tuple[ProcessedEntry[E], ...] = ()

    def __len__(self) -> int:
        return len(self.worked)

    def _count(self, state: EntryState) -> int:
        return sum(item.entry.state is state for item in self.worked)

    @property
    def done(self) -> int:
        """The number of entries whose work is done."""
        return self._count(EntryState.DONE)

    @property
    def later(self) -> int:
        """The number of entries whose work will be tried again."""
        return self._count(EntryState.WAITING)

    @property
    def dead(self) -> int:
        """The number of entries that were given up."""
        return self._count(EntryState.DEAD) + self._count(EntryState.UNDOING)

    @property
    def unknown(self) -> int:
        """The number of entries with an unknown outcome, which a person has to check."""
        return self._count(EntryState.UNKNOWN)


class PartlyDoneError(Exception):
    """Raised if an entry's work was partly done and partly refused.

    Args:
        error: error of the rest.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


@attrs.frozen
class _Result(Generic[E]):
    """The result of one entry's work, not yet written to the store.

    Attributes:
        entry: the entry as it was taken.
        answer: the value that the work returned, if it is done.
        error: exception of the work, if it failed.
        fate: next state of the entry.
        requested_wait: minimum seconds to wait before another attempt.
    """

    entry: E
    answer: Any = None
    error: Exception | None = None
    fate: ErrorConsequence = ErrorConsequence.AGAIN
    requested_wait: float | None = None


class _Batch(Generic[E]):
    """The entries that a worker took from the store together, and may process in several threads.

    Args:
        taken: the entries; those that were given up instead of being claimed need no processing.
        leases: the renewed leases of the claimed entries, by id.
        write_time: the time of the last write, in nanoseconds of the local clock.

    Attributes:
        claimed: the entries that are to be processed.
        worked: entries whose results are written.
    """

    def __init__(self, taken: Sequence[E], leases: dict[str, HeldEntry], write_time: int) -> None:
        self.claimed = [entry for entry in taken if entry.id in leases]
        self.leases = leases
        self.wrote = write_time
        self.worked = [ProcessedEntry(entry=entry) for entry in taken if entry.id not in leases]
        self._turn = deque([None])
        self._results: deque[_Result[E]] = deque()
        self._begun: set[str] = set()

    def may_write(self) -> bool:
        """Return whether the caller may write results now; if so, it must call `note_write_end`."""
        try:
            self._turn.pop()
        except IndexError:
            return False
        return True

    def note_write_end(self, time: int) -> None:
        """Record the end of a write, at this time of the local clock."""
        self.wrote = time
        self._turn.append(None)

    def begin(self, entry: E) -> None:
        """Mark the work of an entry as begun, so that the entry is not released."""
        self._begun.add(entry.id)

    def mark_not_begun(self, entry: E) -> None:
        """Mark an entry as not begun, because its work was interrupted."""
        self._begun.discard(entry.id)

    def add_result(self, result: _Result[E]) -> None:
        """Add an entry's result, which is yet to be written to the store."""
        self._results.append(result)

    def results(self) -> list[_Result[E]]:
        """Remove and return the results that are not written yet."""
        return [self._results.popleft() for _ in range(len(self._results))]

    def unbegun_entries(self) -> list[E]:
        """The entries of the batch that the worker has not begun."""
        return [entry for entry in self.claimed if entry.id not in self._begun]


@attrs.frozen
class Concurrency:
    """The number of entries that a worker processes concurrently.

    Attributes:
        at_once: the number.
        run_all: runs steps concurrently, at most `at_once` of them; unused for one at a time.
    """

    at_once: int = 1
    run_all: Callable[..., Awaitable[list[Exception | None]]] | None = None

    async def run(
        self, steps: Sequence[Callable[[], Awaitable[None]]], stops: Callable[[], bool]
    ) -> None:
        """Run steps until one fails or the worker must stop, then wait for the running steps."""
        failures: list[Exception] = []

        async def run_step(step: Callable[[], Awaitable[None]]) -> Exception | None:
            if failures or stops():
                return None
            try:
                await step()
            except Exception as error:  # noqa: BLE001 - raised when the other steps have ended
                failures.append(error)
                return error
            return None

        if self.run_all is None or self.at_once == 1 or len(steps) == 1:
            for step in steps:
                await run_step(step)
        else:
            await self.run_all([partial(run_step, step) for step in steps], at_once=self.at_once)
        for error in failures:
            raise error


ONE_AT_A_TIME: Final = Concurrency()


class StopSignal(Protocol):
    """An event that stops a worker, such as a `threading.Event`."""

    def is_set(self) -> bool:
        """Return True once the worker must stop."""
        ...


class EntryProcessing(EntryManagement[E]):
    """The entries of an inbox or an outbox, and the processing of them.

    Args:
        core: clock, randomness, and the cipher of contents.
        store: the store.
        name: name of the store, which the cipher authenticates.
        retry: maximum number of attempts for an entry, and the delays between them.
        lease: seconds that a worker keeps an entry without renewing its lease; None for the
            minimum.
        renewals: renews the entries that are being worked on.
        tracing: makes spans of entries.
        judge: decides from an error whether the entry is tried again or ends.
    """

    def __init__(
        self,
        core: Core,
        store: EntryStore[E],
        *,
        name: str,
        retry: RetryPolicy,
        lease: float | None,
        renewals: EntryRenewals,
        tracing: EntryTracing,
        judge: Callable[[Exception], ErrorConsequence],
    ) -> None:
        self.core = core
        self.store = store
        self._name = name
        self._retry = retry
        self._lease = lease
        self._renewals = renewals
        self._tracing = tracing
        self._judge = judge
        self._pace = _AdaptiveBatchSize()
        self._until: int | None = None

    def _with_time_limit(self, timeout: float | timedelta | None, field: str = "timeout") -> Self:
        """Return these operations with a time limit, which the store receives too."""
        span = maybe_seconds(timeout, field)
        if span is None:
            return self
        core, end_time = self.core, self.core.nanoseconds() + int(span * 1e9)
        own_copy = copy(self)
        own_copy._until = end_time  # noqa: SLF001 - a copy of this
        own_copy.store = self.store.within(lambda: seconds_left(core, end_time))
        return own_copy

    def _seconds_left(self) -> float | None:
        """Return the seconds that the store may take; None if the store limits itself."""
        return None if self._until is None else seconds_left(self.core, self._until)

    def _must_stop(self, stop: StopSignal | None) -> bool:
        """Return whether the worker must not begin another entry."""
        is_late = self._until is not None and self.core.nanoseconds() >= self._until
        return is_late or (stop is not None and stop.is_set())

    async def process_due_entries(
        self,
        work: Work[E],
        limit: int,
        utc: Callable[[], datetime],
        ids: Iterable[str] | None = None,
        stop: StopSignal | None = None,
        *,
        concurrency: Concurrency = ONE_AT_A_TIME,
    ) -> list[ProcessedEntry[E]]:
        """Take up to `limit` due entries, and process them.

        Args:
            work: function that processes an entry.
            limit: maximum number of entries.
            utc: clock by which errors of the work state their retry time.
            ids: take only due entries with these ids, one after another.
            stop: event; once it is set, no other entry is started.
            concurrency: the number of entries that are processed concurrently.
        """
        must_stop = partial(self._must_stop, stop)
        results: list[ProcessedEntry[E]] = []
        lease = self._renewals.lease(self._lease)
        if ids is not None:
            for id in islice(ids, limit):
                due_entries: Sequence[E] = () if must_stop() else await self._due_entry(id)
                for entry in due_entries:
                    results += await self._process_one(entry, lease, work, utc)
            return results
        while len(results) < limit and not must_stop():
            earlier_count = len(results)
            if self.store.claim is not None:
                results += await self._process_batch(
                    limit - earlier_count, lease, work, utc, must_stop, concurrency
                )
            else:
                steps = [
                    partial(self._process_due, results, entry, lease, work, utc)
                    for entry in await self.store.due(limit - earlier_count)
                ]
                await concurrency.run(steps, must_stop)
            # Another worker took these entries, so requesting them again would be pointless.
            if len(results) == earlier_count:
                break
        return results

    async def _process_batch(  # noqa: PLR0917 - the settings of one round
        self,
        limit: int,
        lease: float,
        work: Work[E],
        utc: Callable[[], datetime],
        must_stop: Callable[[], bool],
        concurrency: Concurrency,
    ) -> list[ProcessedEntry[E]]:
        """Take several entries, process them, and write their results together.

        After fast work, the results of several entries are written together; after slow work, each
        result is written immediately.
        """
        assert self.store.claim is not None  # noqa: S101 - for the type checker
        size = max(self._pace.batch, concurrency.at_once)
        claimed_entries = await self.store.claim(min(size, limit), lease, self._retry.max_attempts)
        # The store's own time does not count: when many workers keep the store busy, smaller
        # batches would add to its load.
        start_time = self.core.nanoseconds()
        leases = {
            entry.id: self._renewals.hold(entry, lease)
            for entry in claimed_entries
            if entry.state is EntryState.CLAIMED
        }
        batch = _Batch(claimed_entries, leases, start_time)
        try:
            steps = [
                partial(self._process_claimed, batch, entry, work, utc) for entry in batch.claimed
            ]
            await concurrency.run(steps, must_stop)
            seconds = (self.core.nanoseconds() - start_time) / 1e9
        finally:
            await self._write(batch, ends=True)
        self._pace.batch = next_batch(size, len(claimed_entries), seconds)
        return batch.worked

    async def _process_claimed(
        self, batch: _Batch[E], entry: E, work: Work[E], utc: Callable[[], datetime]
    ) -> None:
        """Process an entry of a batch; after slow work, write all finished results.

        An entry that another worker has taken meanwhile is dropped.
        """
        batch.begin(entry)
        try:
            if await self._renewals.holds(batch.leases[entry.id], self._seconds_left()):
                batch.add_result(await self._result(entry, work, utc))
        except BaseException:
            batch.mark_not_begun(entry)
            raise
        is_slow = self.core.nanoseconds() - batch.wrote > _SLOW
        if is_slow and batch.may_write():
            try:
                await self._write(batch)
            finally:
                batch.note_write_end(self.core.nanoseconds())

    async def _write(self, batch: _Batch[E], *, ends: bool = False) -> None:
        """Write the results of a batch; when it ends, release the entries that were not begun."""
        assert self.store.settle is not None  # noqa: S101 - for the type checker
        results = batch.results()
        unstarted_entries = batch.unbegun_entries() if ends else []
        try:
            if results or unstarted_entries:
                now = await self.store.now()
                later_pairs = [(self._entry_after(result, now), result) for result in results]
                entries = [entry for entry, _ in later_pairs] + [
                    give_back(item, now) for item in unstarted_entries
                ]
                fences = [item.entry.fence for item in results] + [
                    item.fence for item in unstarted_entries
                ]
                swap_results = await self.store.settle(entries, fences)
                for (entry, result), is_own in zip(later_pairs, swap_results, strict=False):
                    if not is_own:
                        await self._overwrite_uncertain(result)
                    processed_entry = ProcessedEntry(
                        entry=entry, answer=result.answer, error=result.error
                    )
                    batch.worked.append(processed_entry)
        finally:
            for item in [result.entry for result in results] + batch.claimed * ends:
                if item.id in batch.leases:
                    self._renewals.stop_renewing(batch.leases.pop(item.id))

    async def _due_entry(self, id: str) -> Sequence[E]:
        """Return a list with the entry of this id if it is due; otherwise an empty list."""
        now = await self.store.now()
        candidates = (await self.store.find(EntryQuery(id=id, limit=1))).items
        return [
            entry
            for entry in candidates
            if entry.due is not None
            and entry.due <= now
            and not await self._is_blocked_by_lane(entry)
            and not await self._is_paused(entry)
        ]

    async def _is_blocked_by_lane(self, entry: E) -> bool:
        """Return whether an earlier entry of the same ordered group must be settled first."""
        if entry.lane is None:
            return False
        states = OPEN | {EntryState.DEAD} if entry.dead_holds else OPEN
        earlier_query = EntryQuery(lane=entry.lane, states=states, after=str(entry.number), limit=1)
        return bool((await self.store.find(earlier_query)).items)

    async def _process_due(
        self,
        processed_entries: list[ProcessedEntry[E]],
        entry: E,
        lease: float,
        work: Work[E],
        utc: Callable[[], datetime],
    ) -> None:
        """Process a due entry, and add it to the entries in `processed_entries`."""
        processed_entries += await self._process_one(entry, lease, work, utc)

    async def _process_one(
        self, entry: E, lease: float, work: Work[E], utc: Callable[[], datetime]
    ) -> list[ProcessedEntry[E]]:
        """Process a due entry, unless another worker has claimed it."""
        return [
            await self._work_with_lease(claimed_entry, lease, work, utc)
            for claimed_entry in await self._claim_one(entry, lease)
        ]

    async def _claim_one(self, entry: E, lease: float) -> list[E]:
        """Claim a due entry and return it.

        Return an empty list if another worker has claimed it.
        """
        now = await self.store.now()
        if await self._is_held(entry, now):
            return []
        claimed_entry = take_entry(entry, now, lease, self._retry.max_attempts)
        return [claimed_entry] if await self.store.swap(claimed_entry, entry.fence) else []

    async def _is_held(self, due_entry: E, now: datetime) -> bool:
        """Return whether a worker has renewed its lease on an entry since it was read."""
        if due_entry.state is not EntryState.CLAIMED:
            return False
        page = await self.store.find(EntryQuery(id=due_entry.id, limit=1))
        return any(lease_left(entry, now) for entry in page.items)

    async def _work_with_lease(
        self, taken: E, lease: float, work: Work[E], utc: Callable[[], datetime]
    ) -> ProcessedEntry[E]:
        """Process an entry, renewing its lease until the result is written."""
        if taken.state is not EntryState.CLAIMED:
            return ProcessedEntry(entry=taken)
        lease_of_entry = self._renewals.hold(taken, lease)
        try:
            return await self._work_and_store(taken, work, utc)
        finally:
            self._renewals.stop_renewing(lease_of_entry)

    async def _work_and_store(
        self, taken: E, work: Work[E], utc: Callable[[], datetime]
    ) -> ProcessedEntry[E]:
        result = await self._result(taken, work, utc)
        new_entry = self._entry_after(result, await self.store.now())
        if not await self.store.swap(new_entry, taken.fence):
            await self._overwrite_uncertain(result)
        return ProcessedEntry(entry=new_entry, answer=result.answer, error=result.error)

    async def _result(self, taken: E, work: Work[E], utc: Callable[[], datetime]) -> _Result[E]:
        """Run an entry's work, and return its result."""
        try:
            with self._tracing.processing(self._name, taken):
                return _Result(taken, answer=await work(taken))
        except PartlyDoneError as part:
            # With another key, the completed part would be executed again.
            error, consequence = part.error, ErrorConsequence.NEVER
        except Exception as failed_value:
            if is_interruption(failed_value):
                raise
            error, consequence = failed_value, self._judge(failed_value)
        # The error's retry time follows the caller's clock, so only the difference is used.
        requested_wait = cap_wait(wait_of(error, utc()), longest_pause(self._retry, error))
        return _Result(taken, error=error, fate=consequence, requested_wait=requested_wait)

    async def _overwrite_uncertain(self, result: _Result[E]) -> None:
        """Replace another worker's uncertain result by this certain one."""
        if result.error is not None and result.fate is not ErrorConsequence.SPENT:
            return
        page = await self.store.find(EntryQuery(id=result.entry.id, limit=1))
        for entry in page.items:
            if entry.state is EntryState.UNKNOWN and entry.turn == result.entry.turn:
                await self._overwritten_entries(attrs.evolve(result, entry=entry))

    async def settled(self, entry: E, outcome: Result[Any]) -> list[ProcessedEntry[E]]:
        """Settle an entry with an unknown outcome.

        Return nothing if another worker settled it first.

        Args:
            entry: the entry as it is stored.
            outcome: the value that its work returned, or the error that it raised.
        """
        error = outcome.error
        if error is None:
            return await self._overwritten_entries(_Result(entry, answer=outcome.value))
        return await self._overwritten_entries(_Result(entry, error=error, fate=self._judge(error)))

    async def _overwritten_entries(self, result: _Result[E]) -> list[ProcessedEntry[E]]:
        new_entry = self._entry_after(result, await self.store.now())
        is_written = await self.store.swap(new_entry, result.entry.fence)
        return (
            [ProcessedEntry(entry=new_entry, answer=result.answer, error=result.error)]
            if is_written
            else []
        )

    def _entry_after(self, result: _Result[E], now: datetime) -> E:
        """Return the entry in the state that its result requires."""
        entry, error, consequence = result.entry, result.error, result.fate
        if error is None:
            return finish_entry(entry, now)
        error_text = stored_error_text(error)
        if consequence is ErrorConsequence.DOUBT:
            return mark_unknown(entry, now, error_text)
        if consequence is not ErrorConsequence.AGAIN or entry.attempts >= self._retry.max_attempts:
            return give_up(entry, now, error_text, spent=consequence is ErrorConsequence.SPENT)
        wait = pause_entry(self._retry, entry.attempts, result.requested_wait, self.core.fraction())
        return postpone_entry(entry, now + wait, error_text)

    def closed(self, entry: E, content: bytes) -> E:
        """Return a copy of the entry with this content, encrypted if there is a cipher."""
        cipher = self.core.cipher
        if cipher is None:
            return attrs.evolve(entry, content=_PLAIN_MARK + content)
        sealed_bytes = cipher.seal(content, self._binding_of(entry))
        return attrs.evolve(entry, content=_SEALED_MARK + sealed_bytes)

    def open_content(self, entry: E) -> bytes:
        """Return the decrypted content of an entry.

        Raises:
            ConfigurationError: the content is encrypted, and no cipher is configured.
            InvalidData: the content was changed since it was stored.
        """
        if entry.content[:1] == _PLAIN_MARK:
            return entry.content[1:]
        cipher: Cipher | None = self.core.cipher
        if cipher is None:
            raise ConfigurationError(
                "The content of this entry is encrypted, and no cipher is configured to"
                " decrypt it.",
                path="cipher",
                remedy="Set the same cipher in all processes that share the store.",
            )
        return cipher.open(entry.content[1:], self._binding_of(entry))

    def _binding_of(self, entry: E) -> bytes:
        return sealing_context(entry.tenant, self._name, entry.id)
