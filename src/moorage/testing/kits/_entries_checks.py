"""The checks for every store of inbox or outbox entries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.adapters.entries.memory import MemoryInbox
from moorage.domain.entries.queue import (
    LONGEST_PREDECESSORS,
    EntryQuery,
    EntryState,
    arrive,
    cancel_entry,
    extend_lease,
    finish_entry,
    give_up,
    mark_unknown,
    postpone_entry,
    replay_entry,
    take_entry,
)
from moorage.domain.values.text import with_article
from moorage.testing.kits.checks import (
    interrupted_results,
    require,
    require_pages,
    run_concurrently,
    sync_check,
)

if TYPE_CHECKING:
    from moorage.domain.entries.queue import Entry

Factory: TypeAlias = Callable[[], Any]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[Factory], Coroutine[Any, Any, None]]

_START: Final = datetime(2020, 1, 1, 12, 30, 15, 123_456, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_DAY: Final = timedelta(days=1)
_TICK: Final = timedelta(microseconds=1)
_WRITERS: Final = 8
_STEPS: Final = 250


class Checks:
    """The checks of a store for entries of one kind: of an inbox, or of an outbox.

    Args:
        kind: `InboxEntry` or `OutboxEntry`.
    """

    def __init__(self, kind: type[Any]) -> None:
        self._kind = kind
        self.names = [field.name for field in attrs.fields(kind) if field.name != "reply"]

    # --- one entry ----------------------------------------------------------------------

    async def entries_are_kept_as_they_are(self, factory: Factory) -> None:
        """Added and replaced entries are read back with all attributes unchanged."""
        store = factory()
        for number, entry in enumerate((self._entry(0), self._full_entry()), 1):
            added_entry = await store.add(entry)
            require(
                type(added_entry) is self._kind,
                f"`add` gave {with_article(type(added_entry).__name__)}.",
            )
            expected_entry = attrs.evolve(
                arrive(entry, added_entry.added_at), number=added_entry.number
            )
            self._require_equal(added_entry, expected_entry, "`add` gave")
            require(added_entry.number > 0, f"Entry {number} has the number {added_entry.number}.")
            self._require_equal(await _single_entry(store, entry.id), added_entry, "`find` gave")
        changed_entry = attrs.evolve(
            self._full_entry(), id=self._entry(0).id, fence=9, content=bytes(range(256)) * 300
        )
        require(
            await store.swap(changed_entry, 0),
            "A write with the current fencing token was refused.",
        )
        stored_entry = await _single_entry(store, changed_entry.id)
        self._require_equal(
            stored_entry,
            attrs.evolve(changed_entry, number=stored_entry.number),
            "After `swap`, the store has",
        )
        minimal_entry = attrs.evolve(self._entry(0), id=self._full_entry().id)
        await store.swap(minimal_entry, self._full_entry().fence)
        stored_entry = await _single_entry(store, minimal_entry.id)
        self._require_equal(
            stored_entry,
            attrs.evolve(minimal_entry, number=stored_entry.number),
            "After `swap`, the store has",
        )

    async def times_come_from_the_store(self, factory: Factory) -> None:
        """Arrival and due times come from the store's clock, not the caller's."""
        store = factory()
        earliest_time = await store.now()
        require(
            earliest_time.utcoffset() == timedelta(),
            f"The store's time is {earliest_time!r}, not in UTC.",
        )
        wrong_times = (earliest_time - 400 * _DAY, earliest_time + 400 * _DAY)
        for number, moment in enumerate(wrong_times):
            added_entry = await store.add(
                attrs.evolve(self._entry(number), added_at=moment, due=None)
            )
            now = await store.now()
            require(
                earliest_time <= added_entry.added_at <= now,
                f"An entry that was added between {earliest_time} and {now} has"
                f" `added_at` {added_entry.added_at}.",
            )
            require(
                added_entry.due == added_entry.added_at,
                f"Due at {added_entry.due}, added at {added_entry.added_at}.",
            )
        delayed_entry = await store.add(attrs.evolve(self._entry(2), due=earliest_time + _DAY))
        require(
            delayed_entry.due == earliest_time + _DAY,
            f"An entry delayed until {earliest_time + _DAY} is due at {delayed_entry.due}.",
        )
        await self._require_due(store, [0, 1])

    async def similar_entries_are_separate(self, factory: Factory) -> None:
        """Ids and tenants are compared exactly, including case and accents."""
        store = factory()
        names = ("evt_1", "EVT_1", "\u00e9vt_1", "evt%1")
        for name in names:
            await store.add(attrs.evolve(self._entry(0), id=name, tenant=name))
        for query in (*(EntryQuery(id=name) for name in names), *map(_of_tenant, names)):
            ids = [entry.id for entry in (await store.find(query)).items]
            expected_id = query.id or query.tenant
            require(
                ids == [expected_id], f"{query!r} found {ids}, where only {expected_id} matches."
            )

    async def an_id_is_added_once(self, factory: Factory) -> None:
        """Adding an entry whose id exists returns the existing entry and changes nothing."""
        store = factory()
        first_entry = await store.add(self._entry(1))
        await store.swap(attrs.evolve(first_entry, fence=1, error="later"), 0)
        repeated_entry = await store.add(attrs.evolve(self._full_entry(), id=first_entry.id))
        self._require_equal(
            repeated_entry,
            attrs.evolve(first_entry, fence=1, error="later"),
            "A repeated `add` returned",
        )
        self._require_equal(
            await _single_entry(store, first_entry.id),
            repeated_entry,
            "After the repeated `add`, the store has",
        )

    async def numbers_grow(self, factory: Factory) -> None:
        """Each entry gets a higher number than all earlier entries, and keeps that number."""
        store = factory()
        numbers = [(await store.add(self._entry(index))).number for index in range(20)]
        require(numbers == sorted(set(numbers)), f"The numbers are {numbers}.")
        await store.remove(EntryQuery(id=self._entry(19).id))
        next_number = (await store.add(self._entry(20))).number
        require(next_number >= numbers[-1], f"After {numbers[-1]} comes {next_number}.")
        entry = await _single_entry(store, self._entry(3).id)
        await store.swap(attrs.evolve(entry, number=0, fence=1), 0)
        number = (await _single_entry(store, entry.id)).number
        require(number == entry.number, f"The number {entry.number} became {number}.")

    # --- what is due --------------------------------------------------------------------

    async def due_entries_come_in_order(self, factory: Factory) -> None:
        """`due` returns the entries with the lowest numbers first, up to the limit."""
        store = factory()
        for number in range(6):
            await store.add(self._entry(number))
        now = await store.now()
        await self._change(store, 1, due=now + _DAY)
        await self._change(store, 2, due=None)
        await self._change(store, 4, due=now - _DAY)
        await self._require_due(store, [0, 3, 4, 5])
        await self._require_due(store, [0, 3], limit=2)
        await self._change(store, 0, due=now + _DAY)
        await self._change(store, 1, due=now - _TICK)
        await self._require_due(store, [1, 3, 4, 5])

    async def higher_priorities_come_first(self, factory: Factory) -> None:
        """`due` returns higher priorities first, but keeps the order within an ordered group."""
        store = factory()
        ranks = (0, -1, 5, 5, 0)
        for number, rank in enumerate(ranks):
            await store.add(attrs.evolve(self._entry(number), priority=rank))
        for number, rank in ((5, 0), (6, 9)):
            await store.add(attrs.evolve(self._entry(number), priority=rank, lane="a"))
        await self._require_due(store, [2, 3, 0, 4, 5, 1])
        await self._require_due(store, [2, 3], limit=2)
        await self._change(store, 5, holds=False, due=None)
        await self._require_due(store, [6, 2, 3, 0, 4, 1])

    async def a_lane_goes_in_order(self, factory: Factory) -> None:
        """`due` returns only the first open entry of an ordered group; other groups do not wait."""
        store = factory()
        lanes = ("a", "a", "b", None, "A", "a", "b", None)
        for number, lane in enumerate(lanes):
            await store.add(attrs.evolve(self._entry(number), lane=lane))
        await self._require_due(store, [0, 2, 3, 4, 7])
        await self._change(store, 0, due=await store.now() + _DAY)
        await self._require_due(store, [2, 3, 4, 7])
        await self._change(store, 0, due=None)
        await self._require_due(store, [2, 3, 4, 7])
        await self._change(store, 0, holds=False)
        await self._require_due(store, [1, 2, 3, 4, 7])
        await self._change(store, 1, holds=False)
        await self._require_due(store, [1, 2, 3, 4, 5, 7])
        await store.remove(EntryQuery(id=self._entry(2).id))
        await self._require_due(store, [1, 3, 4, 5, 6, 7])

    # --- who writes ---------------------------------------------------------------------

    async def paused_entries_are_not_offered(self, factory: Factory) -> None:
        """While an entry is paused, `due` does not return it, and nobody can claim it.

        Lanes keep their order during a pause, and the pause's own entry is never offered.
        """
        store = factory()
        scopes = (
            {"target": "billing", "tenant": "acme", "subject": "ada"},
            {"target": "billing", "tenant": "acme"},
            {"target": "billing", "lane": "order-1"},
            {"target": "shipping", "tenant": "acme", "lane": "order-1"},
            {"target": "shipping", "subject": "ada"},
        )
        for number, scope in enumerate(scopes):
            await store.add(self._entry(number, **scope))
        offered_numbers = {0, 1, 2, 4}  # entry 3 waits for the entry before it in its lane
        for pause, offered in (
            ({"target": "billing"}, {4}),
            ({"target": "BILLING"}, offered_numbers),
            ({"target": "*"}, set[int]()),
            ({"target": "*", "tenant": "acme"}, {2, 4}),
            ({"target": "shipping", "tenant": "acme"}, offered_numbers),
            ({"target": "*", "subject": "ada"}, {1, 2}),
            ({"target": "billing", "tenant": "acme", "subject": "ada"}, {1, 2, 4}),
        ):
            paused = self._kind(
                id="pause",
                operation="pause",
                added_at=_START,
                state=EntryState.PAUSED,
                holds=False,
                error="maintenance",
                **pause,
            )
            stored_pause = await store.add(paused)
            require(stored_pause.due is None, f"A pause is due at {stored_pause.due}.")
            due_ids = {entry.id for entry in await store.due(10)}
            expected_ids = {self._entry(number).id for number in offered}
            require(
                due_ids == expected_ids,
                f"With a pause of {pause}, {due_ids} are offered and not {expected_ids}.",
            )
            if not offered and hasattr(store, "claim"):
                claimed_entries = await store.claim(10, 60.0, 5)
                require(not claimed_entries, f"Paused entries were taken: {claimed_entries}.")
            removed_count = await store.remove(EntryQuery(id="pause", states={EntryState.PAUSED}))
            require(removed_count == 1, f"Removing one pause removed {removed_count} entries.")
        due_ids = {entry.id for entry in await store.due(10)}
        require(
            due_ids == {self._entry(number).id for number in offered_numbers},
            f"After the last pause, only {due_ids} are offered.",
        )

    async def entries_wait_for_others(self, factory: Factory) -> None:
        """`due` does not return an entry that waits for other entries or is only prepared."""
        store = factory()
        for number, state in enumerate((EntryState.BLOCKED, EntryState.PREPARED, EntryState.DEAD)):
            entry = self._entry(number, state=state, due=None, predecessors="entry-0009")
            stored_entry = await store.add(entry)
            require(stored_entry.due is None, f"A {state} entry is due at {stored_entry.due}.")
            require(stored_entry.predecessors == "entry-0009", "The predecessors were not stored.")
        await self._require_due(store, [])
        await self._change(store, 0, state=EntryState.WAITING, due=await store.now())
        await self._require_due(store, [0])

    async def late_writers_change_nothing(self, factory: Factory) -> None:
        """A write with a wrong fencing token, or to a removed entry, changes nothing."""
        store = factory()
        entry = await store.add(self._entry(0))
        require(await store.swap(attrs.evolve(entry, fence=1), 0), "The first writer failed.")
        late_entry = attrs.evolve(entry, fence=1, error="late")
        require(not await store.swap(late_entry, 0), "A late write was reported as successful.")
        self._require_equal(
            await _single_entry(store, entry.id), attrs.evolve(entry, fence=1), "There is"
        )
        require(
            not await store.swap(attrs.evolve(late_entry, fence=3), 2),
            "A command with a future fencing token was accepted.",
        )
        await store.remove(EntryQuery(id=entry.id))
        require(
            not await store.swap(attrs.evolve(entry, fence=2), 1),
            "A removed entry was stored again.",
        )
        require(not (await store.find(EntryQuery())).items, "A removed entry was stored again.")

    async def a_lease_is_renewed_by_its_holder(self, factory: Factory) -> None:
        """The holder of an entry can renew its lease until its result is stored."""
        store = factory()
        added_entry = await store.add(self._entry(0))
        leased_entry = take_entry(added_entry, await store.now() - _DAY, 60.0, 5)
        require(
            await store.swap(leased_entry, added_entry.fence),
            "An unclaimed entry could not be claimed.",
        )
        await self._require_due(store, [0])
        renewed_entry = extend_lease(leased_entry, await store.now(), 86_400.0)
        for _ in range(2):
            require(
                await store.swap(renewed_entry, leased_entry.fence),
                "A lease was not renewed: `swap` must write if the fence stays the same, even"
                " if the stored entry is equal.",
            )
        await self._require_due(store, [])
        self._require_equal(
            await _single_entry(store, added_entry.id),
            attrs.evolve(renewed_entry, number=added_entry.number),
            "It is",
        )
        finished_entry = finish_entry(leased_entry, await store.now())
        require(
            await store.swap(finished_entry, leased_entry.fence),
            "After a renewal, the worker's result was not stored.",
        )
        require(
            not await store.swap(renewed_entry, leased_entry.fence),
            "The lease of a finished entry was renewed.",
        )

    async def concurrent_tasks_add_an_entry_once(self, factory: Factory) -> None:
        """If many tasks add the same id concurrently, one succeeds and all get its entry."""
        store = factory()
        entries = [attrs.evolve(self._entry(0), error=str(index)) for index in range(_WRITERS)]
        added_entries = await asyncio.gather(*map(store.add, entries))
        self._require_single(added_entries, (await store.find(EntryQuery())).items)

    async def concurrent_tasks_replace_an_entry_once(self, factory: Factory) -> None:
        """If many tasks replace the same version of an entry concurrently, only one succeeds."""
        store = factory()
        entry = await store.add(self._entry(0))
        claims = [attrs.evolve(entry, fence=1, error=str(index)) for index in range(_WRITERS)]
        swap_results = await asyncio.gather(*(store.swap(claim, 0) for claim in claims))
        self._require_one_winner(swap_results, claims, await _single_entry(store, entry.id))

    def concurrent_threads_add_an_entry_once(self, factory: Factory) -> None:
        """If many threads add the same id concurrently, one succeeds and all get its entry."""
        store = factory()
        entries = [attrs.evolve(self._entry(0), error=str(index)) for index in range(_WRITERS)]
        add = _in_own_thread(store, store.add)
        added_entries = run_concurrently(
            [partial(add, entry) for entry in entries], "`add` did not return."
        )
        self._require_single(added_entries, store.find(EntryQuery()).items)

        def two_calls(number: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
            entry = self._entry(number + 1)
            return partial(add, entry), partial(add, attrs.evolve(entry, error="late"))

        for number, *same_entries in interrupted_results(two_calls, "`add` did not return."):
            stored_entries = store.find(EntryQuery(id=self._entry(number + 1).id)).items
            self._require_single(same_entries, stored_entries)

    def concurrent_threads_replace_an_entry_once(self, factory: Factory) -> None:
        """If many threads replace the same version of an entry concurrently, only one succeeds."""
        store = factory()
        entry = store.add(self._entry(0))
        claims = [attrs.evolve(entry, fence=1, error=str(index)) for index in range(_WRITERS)]
        swap = _in_own_thread(store, store.swap)
        swap_results = run_concurrently(
            [partial(swap, claim, 0) for claim in claims], "`swap` did not return."
        )
        self._require_one_winner(swap_results, claims, store.find(EntryQuery(id=entry.id)).items[0])

        def two_calls(number: int) -> tuple[Callable[[], bool], Callable[[], bool]]:
            store.add(self._entry(number + 1))
            claims[:2] = [
                attrs.evolve(self._entry(number + 1), fence=1, error=f"writer {index}")
                for index in range(2)
            ]
            return partial(swap, claims[0], 0), partial(swap, claims[1], 0)

        for number, *swap_results in interrupted_results(two_calls, "`swap` did not return."):
            stored_entry = store.find(EntryQuery(id=self._entry(number + 1).id)).items[0]
            self._require_one_winner(swap_results, claims[:2], stored_entry)

    # --- questions ----------------------------------------------------------------------

    async def queries_find_all_matching_entries(self, factory: Factory) -> None:
        """Each query of a store finds all matching entries, newest first, without gaps."""
        store, entries = await self._filled_store(factory)
        for query in self._queries():
            expected = [entry.id for entry in entries if query.matches(entry)]
            for limit in (1, 7, 40):
                await require_pages(store.find, query, expected, limit)

    async def removal_deletes_matching_entries(self, factory: Factory) -> None:
        """Removal deletes exactly the entries that match the query."""
        store, entries = await self._filled_store(factory)
        for query in self._queries():
            matching_entries = [entry for entry in entries if query.matches(entry)]
            remaining_ids = sorted(entry.id for entry in entries if entry not in matching_entries)
            removed_count = await store.remove(attrs.evolve(query, limit=4))
            ids = sorted(entry.id for entry in (await store.find(EntryQuery())).items)
            require(ids == remaining_ids, f"Removing {query!r} left the entries {ids}.")
            expected_count = len(matching_entries)
            require(
                removed_count == expected_count,
                f"{query!r} removed {expected_count}, and says {removed_count}.",
            )
            for entry in matching_entries:
                await self._add_with_times(store, entry)

    # --- everything together ------------------------------------------------------------

    async def random_operations_match_the_memory_store(self, factory: Factory) -> None:
        """A random sequence of operations has the same results as with the memory store."""
        random = Random(4)  # noqa: S311 - a walk, and no secret
        model: Any = MemoryInbox()
        store = factory()
        for step in range(_STEPS):
            move, name = random.random(), self._entry(random.randrange(40)).id
            if move < 0.4:
                entry = attrs.evolve(self._entry(0), id=name, lane=random.choice((None, "a", "b")))
                result, expected = await store.add(entry), model.add(entry)
                require(result.fence == expected.fence, f"Step {step} added {result!r}.")
                continue
            now, query = await store.now(), EntryQuery(id=name)
            if move < 0.5:
                removed, expected = await store.remove(query), model.remove(query)
                require(removed == expected, f"Step {step} removed {removed}, not {expected}.")
                continue
            limit = random.randrange(1, 6)
            if move < 0.7:
                found_entries = (await store.find(query)).items
                expected = model.find(query).items
            else:
                found_entries, expected = await store.due(limit), model.due(limit)
            ids = [entry.id for entry in found_entries]
            expected_ids = [entry.id for entry in expected]
            require(ids == expected_ids, f"Step {step} was given {ids}, not {expected_ids}.")
            for stored_entry, model_entry in zip(found_entries, expected, strict=True):
                change = random.choice(_CHANGES)
                fence = stored_entry.fence - (random.random() < 0.1)
                is_written = await store.swap(change(stored_entry, now), fence)
                expected_write = model.swap(change(model_entry, now), fence)
                require(
                    is_written == expected_write,
                    f"Step {step} wrote: {is_written}, not {expected_write}.",
                )

    # --- what they are made of ----------------------------------------------------------

    def _entry(self, number: int, **changes: Any) -> Any:
        """Return an entry with only the required attributes."""
        default_fields: dict[str, Any] = {
            "id": f"entry-{number:04}",
            "target": "stripe",
            "operation": "charge",
            "added_at": _START + number * _SECOND,
            "due": _START,
        }
        return self._kind(**{**default_fields, **changes})

    def _full_entry(self) -> Any:
        """Return an entry with all attributes, each as long as possible."""
        return self._kind(
            id="x" * 64,
            target="t" * 255,
            operation="ö" * 255,
            tenant="Ünïted/1",
            subject="customer 1'\"",
            lane="L" * 255,
            added_at=_START,
            content=b"\0\xff'\"\\" * 50,
            state=EntryState.UNKNOWN,
            due=_START + _TICK,
            holds=False,
            priority=-3,
            fence=7,
            attempts=3,
            turn=2,
            error="é" * 500,
            settled_at=_START + 2 * _TICK,
            traceparent="00-" + "a" * 252,
            tracestate="v=" + "x" * 510,
            predecessors="p" * LONGEST_PREDECESSORS,
        )

    async def _filled_store(self, factory: Factory) -> tuple[Any, list[Entry]]:
        """Return a store with thirty different entries, and these entries, newest first."""
        store, states = factory(), tuple(EntryState)
        entries: list[Entry] = []
        for number in range(30):
            state = states[number % len(states)]
            entry = self._entry(
                number,
                target=("stripe", "adyen")[number % 2],
                operation=("charge", "refund", "Charge")[number % 3],
                tenant=(None, "acme", "acme-fr")[number % 3],
                subject=(None, "customer-1", "customer-2", "Customer-1")[number % 4],
                lane=(None, "lane-1", "Lane-1", "lane-12")[number % 4],
                state=state,
                due=_START + number * _SECOND,
                attempts=number % 4,
                settled_at=_START + number * _SECOND if state is EntryState.DONE else None,
            )
            entries.append(await self._add_with_times(store, entry))
        return store, entries[::-1]

    async def _add_with_times(self, store: Any, entry: Any) -> Entry:
        """Add an entry, and then overwrite the times that the store itself has set."""
        added_entry = await store.add(attrs.evolve(entry, fence=0))
        written_entry: Entry = attrs.evolve(entry, number=added_entry.number, fence=1)
        await store.swap(written_entry, 0)
        return written_entry

    def _queries(self) -> tuple[EntryQuery, ...]:
        noon = _START + 12 * _SECOND
        return (
            EntryQuery(),
            EntryQuery(id=self._entry(7).id),
            EntryQuery(id="nobody"),
            EntryQuery(ids=[self._entry(7).id, self._entry(9).id, "nobody"]),
            EntryQuery(ids=[self._entry(7).id, self._entry(8).id], target="adyen"),
            EntryQuery(ids=[]),
            EntryQuery(target="adyen"),
            EntryQuery(operation="charge"),
            EntryQuery(tenant="acme"),
            EntryQuery(subject="customer-1"),
            EntryQuery(lane="lane-1"),
            EntryQuery(states=[]),
            EntryQuery(states=EntryState.DONE),
            EntryQuery(states=(EntryState.DONE,)),
            EntryQuery(states=("dead", "unknown")),
            EntryQuery(states=("blocked", "undoing")),
            EntryQuery(since=noon),
            EntryQuery(until=noon),
            EntryQuery(since=noon, until=noon + _TICK),
            EntryQuery(settled_before=noon + _TICK),
            EntryQuery(settled_before=noon),
            EntryQuery(waits_beyond=_START - _TICK),
            EntryQuery(waits_beyond=noon),
            EntryQuery(waits_beyond=noon, target="stripe"),
            EntryQuery(target="stripe", tenant="acme-fr", states=("done",), until=noon),
        )

    async def _require_due(self, store: Any, expected: list[int], *, limit: int = 100) -> None:
        offered_ids = [entry.id for entry in await store.due(limit)]
        expected_ids = [self._entry(number).id for number in expected]
        require(offered_ids == expected_ids, f"{offered_ids} were offered, not {expected_ids}.")

    async def _change(self, store: Any, number: int, **changes: Any) -> None:
        entry = await _single_entry(store, self._entry(number).id)
        await store.swap(attrs.evolve(entry, fence=entry.fence + 1, **changes), entry.fence)

    def _require_equal(self, stored: Any, expected: Any, message: str) -> None:
        for name in self.names:
            expected_value, stored_value = getattr(expected, name), getattr(stored, name)
            is_equal = stored_value == expected_value and type(stored_value) is type(expected_value)
            require(is_equal, f"{message} {name}={stored_value!r}, where it is {expected_value!r}.")

    def _require_single(self, added: list[Any], stored: tuple[Any, ...]) -> None:
        require(len(stored) == 1, f"{len(stored)} entries with the same id are stored.")
        for entry in added:
            self._require_equal(entry, stored[0], "A concurrent `add` returned")

    def _require_one_winner(self, wrote: list[bool], claims: list[Any], stored: Any) -> None:
        winners = [claim.error for claim, is_won in zip(claims, wrote, strict=True) if is_won]
        message = f"{winners} reported success, but the stored entry is that of {stored.error!r}."
        require(winners == [stored.error], message)

    # --- the lists ----------------------------------------------------------------------

    @property
    def awaited(self) -> tuple[AsyncCheck, ...]:
        """Return the checks for asynchronous stores."""
        return (
            *self._all_checks,
            self.concurrent_tasks_add_an_entry_once,
            self.concurrent_tasks_replace_an_entry_once,
        )

    @property
    def plain(self) -> tuple[Check, ...]:
        """Return the checks for synchronous stores."""
        return (
            *(sync_check(check) for check in self._all_checks),
            self.concurrent_threads_add_an_entry_once,
            self.concurrent_threads_replace_an_entry_once,
        )

    @property
    def _all_checks(self) -> tuple[AsyncCheck, ...]:
        return (
            self.entries_are_kept_as_they_are,
            self.times_come_from_the_store,
            self.an_id_is_added_once,
            self.similar_entries_are_separate,
            self.numbers_grow,
            self.due_entries_come_in_order,
            self.higher_priorities_come_first,
            self.a_lane_goes_in_order,
            self.paused_entries_are_not_offered,
            self.entries_wait_for_others,
            self.late_writers_change_nothing,
            self.a_lease_is_renewed_by_its_holder,
            self.queries_find_all_matching_entries,
            self.removal_deletes_matching_entries,
            self.random_operations_match_the_memory_store,
        )


_CHANGES: Final[tuple[Callable[[Any, datetime], Any], ...]] = (
    lambda entry, now: take_entry(entry, now, 86_400.0, 5),
    lambda entry, now: take_entry(entry, now - 2 * _DAY, 86_400.0, 5),
    finish_entry,
    lambda entry, now: postpone_entry(entry, now + _DAY, "again"),
    lambda entry, now: postpone_entry(entry, now - _DAY, "again"),
    lambda entry, now: mark_unknown(entry, now, "lost"),
    lambda entry, now: give_up(entry, now, "no"),
    cancel_entry,
    replay_entry,
)


def _in_own_thread(store: Any, operation: Callable[..., Any]) -> Callable[..., Any]:
    """Return an operation after which its thread closes the store's connections of that thread."""

    def run(*arguments: Any) -> Any:
        try:
            return operation(*arguments)
        finally:
            getattr(store, "release_thread", lambda: None)()

    return run


def _of_tenant(tenant: str) -> EntryQuery:
    return EntryQuery(tenant=tenant)


async def _single_entry(store: Any, id: str) -> Any:
    items = (await store.find(EntryQuery(id=id))).items
    require(len(items) == 1, f"The store has {len(items)} entries with the id {id}.")
    return items[0]
