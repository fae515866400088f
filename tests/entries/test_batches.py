"""Batches of entries that are taken and settled together, in a store that supports this."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from threading import Event
from typing import TYPE_CHECKING, Any, cast

import attrs
import pytest

from moorage import AsyncHub, Hub, InvalidData, Request, Response, RetryPolicy, Service
from moorage.adapters.entries.sqlite import AsyncSqliteOutbox, SqliteOutbox
from moorage.domain.entries.queue import EntryQuery, next_batch, take_entry
from moorage.errors import ConnectionFailed, StorageUnavailable
from moorage.hub.outbox import AsyncOutbox, Outbox
from moorage.testing import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from moorage.domain.entries.outbox import OutboxEntry
    from moorage.domain.http.requests import Timeouts
    from moorage.ports.outbox import OutboxStorage


class CountingOutbox(SqliteOutbox):
    """A store that counts writing transactions and records claims.

    `after_each` is called after each transaction.
    """

    def __init__(self, path: Path, **options: Any) -> None:
        super().__init__(path, create=True, **options)
        self.after_each: Callable[[], object] = lambda: None
        self.claims: list[int] = []
        self.settled: list[int] = []

    def claim(self, *options: Any, **named: Any) -> Sequence[OutboxEntry]:
        """Claim entries, and record the claims."""
        taken_entries = super().claim(*options, **named)
        self.claims.append(len(taken_entries))
        self.after_each()
        return taken_entries

    def settle(self, entries: Any, *options: Any, **named: Any) -> Sequence[bool]:
        """Settle entries, and count the transaction."""
        self.settled.append(len(entries))
        swapped = super().settle(entries, *options, **named)
        self.after_each()
        return swapped


class Vendor:
    """A vendor that responds to each call at once, unless its `does` is replaced."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.does: Callable[[int], object] = lambda _: None

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Answer a call of the outbox."""
        number = json.loads(bytes(request.body))  # type: ignore[arg-type]  # no stream
        self.calls.append(number)
        self.does(number)
        return Response(200)


class AsyncVendor(Vendor):
    """A vendor like `Vendor`, with asynchronous methods."""

    async def send(self, *options: Any) -> Response:  # type: ignore[override]  # of the other mode
        """Answer a call of the outbox."""
        return super().send(*options)


SHOP = Service(
    "shop",
    base_url="https://shop.example",
    retry=RetryPolicy(max_attempts=1),
)


@pytest.fixture
def vendor() -> Vendor:
    """Return a vendor that answers quickly."""
    return Vendor()


@pytest.fixture
def hub(vendor: Vendor) -> Hub:
    """Return a hub that calls this vendor."""
    return Hub([], services=[SHOP], http=vendor)


@pytest.fixture
def store(tmp_path: Path) -> CountingOutbox:
    """Return a store that counts transactions and records claims."""
    return CountingOutbox(tmp_path / "app.db")


def put_calls(outbox: Outbox, *numbers: int, **options: Any) -> list[str]:
    """Store calls in the outbox."""
    requests = [Request.post("/orders", json=number) for number in numbers]
    return [outbox.put_request("shop", request, **options).id for request in requests]


def states(outbox: Outbox) -> list[str]:
    """Return the state of each call, oldest first."""
    return [item.state.value for item in outbox.find(EntryQuery(limit=1000)).items][::-1]


def test_batches_grow_while_calls_are_quick(
    hub: Hub, vendor: Vendor, store: CountingOutbox
) -> None:
    """Quick calls are taken and settled in batches of up to fifty, in their order."""
    outbox = Outbox(store, clock=VirtualClock())
    put_calls(outbox, *range(200))

    delivered_batch = outbox.deliver(hub, limit=1000)

    assert delivered_batch.done == 200
    assert vendor.calls == list(range(200))
    assert store.claims == [1, 2, 4, 8, 16, 32, 50, 50, 37, 0]
    assert store.settled == store.claims[:-1]
    assert states(outbox) == ["done"] * 200


def test_busy_store_does_not_make_batches_smaller(hub: Hub, store: CountingOutbox) -> None:
    """If only the store is slow, the batches still grow."""
    clock = VirtualClock()
    outbox = Outbox(store, clock=clock)
    put_calls(outbox, *range(200))
    store.after_each = lambda: clock.advance(1)

    assert 200 == outbox.deliver(hub, limit=1000).done
    assert [1, 2, 4, 8, 16, 32, 50, 50, 37, 0] == store.claims
    assert store.settled == store.claims[:-1]


def test_slow_calls_are_settled_at_once(hub: Hub, vendor: Vendor, store: CountingOutbox) -> None:
    """The result of a slow call is stored at once, and later batches are smaller."""
    clock = VirtualClock()
    outbox = Outbox(store, clock=clock)
    put_calls(outbox, *range(15))
    vendor.does = lambda number: clock.advance(0.4 if number in {8, 12} else 0)

    outbox.deliver(hub, limit=1000)

    assert store.claims == [1, 2, 4, 8, 0]
    assert store.settled == [1, 2, 4, 2, 4, 2]


def test_calls_of_a_batch_are_settled_separately(
    hub: Hub, vendor: Vendor, store: CountingOutbox
) -> None:
    """Each call of a batch is settled with its own outcome."""
    outbox = Outbox(store, clock=VirtualClock())
    put_calls(outbox, *range(7))

    def handle_number(number: int) -> None:
        if number in {2, 4}:
            raise ConnectionFailed("no", may_have_been_processed=number == 2)

    vendor.does = handle_number
    delivered_batch = outbox.deliver(hub, limit=7)

    targets = ["done", "done", "unknown", "done", "waiting", "done", "done"]
    assert [work.entry.state.value for work in delivered_batch.worked] == targets
    assert states(outbox) == targets


def test_stopped_worker_finishes_its_current_call(
    hub: Hub, vendor: Vendor, store: CountingOutbox
) -> None:
    """A stopped worker finishes its current call, and releases the other entries immediately."""
    stop = Event()
    outbox = Outbox(store, clock=VirtualClock())
    put_calls(outbox, *range(10))
    vendor.does = lambda number: stop.set() if number == 4 else None

    outbox.deliver(hub, limit=1000, stop=stop)
    assert states(outbox) == ["done"] * 5 + ["waiting"] * 5
    assert {entry.attempts for entry in store.due(10)} == {0}
    assert not outbox.deliver(hub, limit=1000, stop=stop)
    assert not outbox.deliver(hub, ids=[entry.id for entry in store.due(10)], stop=stop)

    assert outbox.deliver(hub, limit=1000).done == 5
    assert vendor.calls == list(range(10))


def test_interrupted_batch_settles_finished_calls_and_releases_the_others(
    hub: Hub, vendor: Vendor, store: CountingOutbox
) -> None:
    """If a batch is interrupted, finished calls are settled, and all other calls are released."""
    outbox = Outbox(store, clock=VirtualClock())
    put_calls(outbox, *range(7))

    def handle_number(number: int) -> None:
        if number == 5:
            raise KeyboardInterrupt

    vendor.does = handle_number
    with pytest.raises(KeyboardInterrupt):
        outbox.deliver(hub, limit=1000)
    assert states(outbox)[:5] == ["done"] * 5
    assert states(outbox)[6] == "waiting"


def test_late_batch_skips_entries_of_other_workers(
    hub: Hub, vendor: Vendor, store: CountingOutbox
) -> None:
    """A worker whose leases have expired skips the entries that other workers have taken."""
    clock = VirtualClock()
    outbox = Outbox(store, clock=clock, lease=1.5)
    names = put_calls(outbox, *range(7))

    def handle_number(number: int) -> None:
        if number == 3:
            clock.advance(60)  # the store's own clock, by which other workers claim, goes on
            (entry,) = store.find(EntryQuery(id=names[5])).items
            store.swap(take_entry(entry, store.now() - timedelta(days=1), 60.0, 9), entry.fence)

    vendor.does = handle_number
    outbox.deliver(hub, limit=7)
    assert vendor.calls[:6] == [0, 1, 2, 3, 4, 6]


def test_entry_whose_workers_all_died_is_given_up_after_last_attempt(
    hub: Hub, vendor: Vendor, store: CountingOutbox
) -> None:
    """An entry whose workers all died is given up after the last attempt.

    The call is not made again.
    """
    outbox = Outbox(store, clock=VirtualClock(), retry=RetryPolicy(max_attempts=2))
    (name,) = put_calls(outbox, 1)
    for _ in range(2):
        (entry,) = store.find(EntryQuery(id=name)).items
        store.swap(take_entry(entry, store.now() - timedelta(days=1), 60.0, 9), entry.fence)

    assert outbox.deliver(hub).dead == 1
    assert vendor.calls == []


def test_entry_that_was_given_up_stays_so_when_the_worker_stops(
    hub: Hub, vendor: Vendor, store: CountingOutbox
) -> None:
    """If a worker stops right after it gave up an entry, the entry is not released again."""
    outbox = Outbox(store, clock=VirtualClock(), retry=RetryPolicy(max_attempts=2))
    (name,) = put_calls(outbox, 1)
    for _ in range(2):
        (entry,) = store.find(EntryQuery(id=name)).items
        store.swap(take_entry(entry, store.now() - timedelta(days=1), 60.0, 9), entry.fence)
    stop = Event()
    store.after_each = stop.set

    assert outbox.deliver(hub, stop=stop).dead == 1
    assert states(outbox) == ["dead"]
    assert outbox.deliver(hub).worked == ()
    assert vendor.calls == []


def test_store_that_fails_while_a_batch_is_settled_raises_its_error(
    hub: Hub, store: CountingOutbox
) -> None:
    """If the store fails while results of a batch are written, its error is raised."""
    outbox = Outbox(store, clock=VirtualClock())
    put_calls(outbox, 1)
    claim = store.claim

    def claim_and_close(*value: Any) -> Any:
        taken_entries = claim(*value)
        store.close()
        return taken_entries

    lost_outbox = Outbox(
        cast("OutboxStorage", OvertakenOutbox(store, claim_and_close)), clock=VirtualClock()
    )
    with pytest.raises(StorageUnavailable, match="The store is closed"):
        lost_outbox.deliver(hub)


class OvertakenOutbox:
    """A store in which another worker already owns each claimed entry."""

    def __init__(self, store: Any, claim: Any) -> None:
        self._store = store
        self.claim = claim

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_asynchronous_outbox_takes_entries_in_batches(tmp_path: Path) -> None:
    """The asynchronous outbox also takes entries in batches."""

    async def run() -> None:
        vendor = AsyncVendor()
        hub = AsyncHub([], services=[SHOP], http=vendor)
        async with AsyncSqliteOutbox(tmp_path / "app.db", create=True) as store:
            outbox = AsyncOutbox(store)
            for number in range(20):
                await outbox.put_request("shop", Request.post("/orders", json=number))
            assert (await outbox.deliver(hub, limit=1000)).done == 20
        assert vendor.calls == list(range(20))

    asyncio.run(run())


def test_calls_of_one_order_are_made_one_after_another(
    hub: Hub, vendor: Vendor, store: CountingOutbox
) -> None:
    """Calls with the same `order` are made one after another, whatever the batch size."""
    outbox = Outbox(store, clock=VirtualClock())
    put_calls(outbox, *range(4), order="INV-1")
    put_calls(outbox, *range(10, 14), order="INV-2")
    outbox.deliver(hub, limit=1000)
    assert [number for number in vendor.calls if number < 10] == [0, 1, 2, 3]
    assert [number for number in vendor.calls if number >= 10] == [10, 11, 12, 13]


# --- the rules --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size, count, seconds, target",
    [(1, 1, 0.01, 2), (4, 3, 0.01, 4), (32, 32, 0.05, 50), (8, 8, 0.4, 2), (1, 1, 9.0, 1)],
)
def test_batch_size_grows_while_batches_are_full_and_quick(
    size: int, count: int, seconds: float, target: int
) -> None:
    """The batch size grows while batches are full and quick, up to a maximum."""
    assert next_batch(size, count, seconds) == target


# --- priorities, and calls that are called off -------------------------------------------


def test_urgent_calls_are_made_first(hub: Hub, vendor: Vendor, store: CountingOutbox) -> None:
    """Calls with a higher priority overtake other calls, but never within the same `order`."""
    outbox = Outbox(store, clock=VirtualClock())
    put_calls(outbox, 1, 2)
    put_calls(outbox, 3, priority=-1)
    put_calls(outbox, 4, priority=5)
    put_calls(outbox, 5, order="INV-1")
    put_calls(outbox, 6, order="INV-1", priority=9)

    outbox.deliver(hub, limit=1)
    outbox.deliver(hub, limit=100)
    assert vendor.calls == [4, 1, 2, 5, 3, 6]
    with pytest.raises(InvalidData, match="must be an integer"):
        put_calls(outbox, 7, priority=40_000)


def test_call_can_be_cancelled_by_its_key_until_a_worker_begins_it(
    hub: Hub, vendor: Vendor, store: CountingOutbox
) -> None:
    """A call can be cancelled by its key until a worker begins it."""
    outbox = Outbox(store, clock=VirtualClock())
    put_calls(outbox, 1, key="a")
    put_calls(outbox, 2, key="b", tenant="acme")
    assert outbox.cancel("a")
    assert outbox.cancel("a")
    assert outbox.deliver(hub).done == 1
    assert vendor.calls == [2]
    assert not outbox.cancel("b", tenant="acme")
    with pytest.raises(InvalidData, match="No entry has the id"):
        outbox.cancel("b")


def test_call_that_just_began_cannot_be_cancelled(store: CountingOutbox) -> None:
    """Cancelling a call that a worker has just taken is refused."""
    outbox = Outbox(store, clock=VirtualClock())
    (name,) = put_calls(outbox, 1, key="a")
    (seen_entry,) = store.find(EntryQuery(id=name)).items
    store.claim(1, 60.0, 5)
    pages = iter([seen_entry])

    class OutdatedStore(OvertakenOutbox):
        """A store whose first reply about an entry is outdated."""

        def find(self, query: EntryQuery, /) -> Any:
            page = store.find(query)
            return attrs.evolve(page, items=(next(pages, page.items[0]),))

    late_outbox = Outbox(
        cast("OutboxStorage", OutdatedStore(store, store.claim)), clock=VirtualClock()
    )
    assert not late_outbox.cancel("a")


# --- leases in a file -------------------------------------------------------------------


def test_leases_in_a_sqlite_file_are_longer_than_its_transactions(
    hub: Hub, vendor: Vendor, store: CountingOutbox
) -> None:
    """In a SQLite file, where transactions block renewals, entries have longer leases."""
    outbox = Outbox(store)
    (name,) = put_calls(outbox, 1)
    remaining_seconds: list[float] = []

    def observe(_: int) -> None:
        (entry,) = store.find(EntryQuery(id=name)).items
        assert entry.due is not None
        remaining_seconds.append((entry.due - store.now()).total_seconds())

    vendor.does = observe
    outbox.deliver(hub)
    assert remaining_seconds[0] > 1.5
    assert remaining_seconds[0] <= store.shortest_lease == 10.0
