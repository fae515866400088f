"""Renewal of the leases of webhooks and calls, and workers that come too late."""

from __future__ import annotations

import gc
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import ConfigurationError, StorageUnavailable
from moorage.adapters.entries.memory import MemoryOutbox
from moorage.domain.entries.outbox import OutboxEntry
from moorage.domain.entries.queue import EntryQuery, EntryState, ErrorConsequence
from moorage.domain.entries.renewal import ENTRY_LEASE, UNRENEWED, entry_lease
from moorage.domain.resilience.retry import Jitter, RetryPolicy
from moorage.services.core.renewal import EntryRenewals
from moorage.services.entries.processing import EntryProcessing
from moorage.services.entries.store import EntryStore
from moorage.testing import VirtualClock
from moorage.wiring.core_assembly import sync_core
from moorage.wiring.entry_tracing import HostTracing
from moorage.wiring.ports import Ports
from tests.entries.shop import Shop
from tests.support.manual_heartbeat import ManualHeartbeat
from tests.support.virtual_tasks import run_plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.entries.queue import Entry

RETRY = RetryPolicy(max_attempts=3, base_delay=10.0, jitter=Jitter.NONE)
BEAT = ENTRY_LEASE / 3
VERBS = ("now", "add", "due", "swap", "find", "remove")


class SharedInbox:
    """A store that several processes share, each with its own heartbeat."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.store = MemoryOutbox(self.clock)
        self.away = False
        self.swaps = 0
        self.meanwhile: Callable[[], None] = _do_nothing

    def entry_store(self) -> EntryStore[Any]:
        """Return the store's methods, which fail while the test makes the store unavailable."""

        def verb(name: str) -> Any:
            async def call_store(*value: Any) -> Any:
                if self.away:
                    raise StorageUnavailable("it is away.")
                answer = getattr(self.store, name)(*value)
                self.swaps += name == "swap"
                if name == "due":
                    self.meanwhile()
                return answer

            return call_store

        return EntryStore(
            **{name: verb(name) for name in ("now", "add", "due", "swap", "find", "remove")}
        )

    def process(self, lease: float | None = None) -> Process:
        """Return one worker process."""
        return Process(self, lease)

    def add(self, *names: str) -> None:
        """Store entries."""
        for name in names:
            entry = OutboxEntry(id=name, target="x", operation="y", added_at=self.clock.utc())
            self.store.add(entry)

    def entry(self, name: str = "a") -> Entry:
        """Return an entry as it is stored."""
        return self.store.find(EntryQuery(id=name)).items[0]

    def pause(self, seconds: float = ENTRY_LEASE) -> None:
        """Advance the clock without renewing leases."""
        self.clock.advance(seconds)


class Process:
    """A worker process, with a heartbeat that renews the leases of its entries."""

    def __init__(self, shared: SharedInbox, lease: float | None) -> None:
        self.shared = shared
        self.heart: Any = None

        def new_heartbeat(work: Any, target: Any) -> ManualHeartbeat:
            self.heart = ManualHeartbeat(work, target)
            return self.heart  # type: ignore[no-any-return]  # set above

        entry_store, core = shared.entry_store(), sync_core(Ports(clock=shared.clock)).core
        self.renewals = EntryRenewals(entry_store, core.nanoseconds, heartbeat=new_heartbeat)
        self.keeping = EntryProcessing[Any](
            core,
            entry_store,
            name="test",
            retry=RETRY,
            lease=lease,
            renewals=self.renewals,
            tracing=HostTracing(),
            judge=lambda _: ErrorConsequence.AGAIN,
        )

    def work(self, handler: Callable[[Entry], None] | None = None) -> list[str]:
        """Process due entries, and return the ids of the entries that were claimed."""

        async def handle_entry(entry: Entry) -> None:
            if handler is not None:
                handler(entry)

        utc = self.shared.clock.utc
        return [
            item.entry.id
            for item in run_plain(self.keeping.process_due_entries(handle_entry, 10, utc))
        ]

    def beat(self, times: int = 1) -> None:
        """Advance the clock while this process renews its leases."""
        for _ in range(times):
            self.shared.pause(BEAT)
            run_plain(self.heart.beat())


def _do_nothing() -> None:
    """Do nothing."""


def test_entry_lease_is_renewed_while_its_handler_runs() -> None:
    """An entry's lease is renewed while its handler runs, even for a hundred times its length."""
    shared_inbox = SharedInbox()
    process, other_process = shared_inbox.process(), shared_inbox.process()
    shared_inbox.add("a")
    taken_entries: list[str] = []

    def handle_slowly(_: Entry) -> None:
        for _beat in range(300):
            process.beat()
            taken_entries.extend(other_process.work())

    assert ["a"] == process.work(handle_slowly)
    assert ([], EntryState.DONE, 1) == (
        taken_entries,
        shared_inbox.entry().state,
        shared_inbox.entry().attempts,
    )


def test_entry_of_a_dead_worker_is_claimed_when_its_lease_ends() -> None:
    """After a worker's death, another worker claims the entry one lease after the last renewal."""
    shared_inbox = SharedInbox()
    process, other_process = shared_inbox.process(), shared_inbox.process()
    shared_inbox.add("a")
    taken_entries: list[str] = []

    def beat_as_killed(_: Entry) -> None:
        process.beat(10)
        shared_inbox.pause(ENTRY_LEASE - 1e-6)
        taken_entries.extend(other_process.work())
        shared_inbox.pause(2e-6)
        assert [] == taken_entries
        taken_entries.extend(other_process.work())
        # The rest of this coroutine never runs, because this worker is dead.
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process.work(beat_as_killed)
    assert (["a"], EntryState.DONE) == (taken_entries, shared_inbox.entry().state)


def test_interrupted_worker_does_not_renew_its_lease() -> None:
    """An interrupted worker does not renew its lease.

    Another worker claims the entry when the lease ends.
    """
    shared_inbox = SharedInbox()
    process, other_process = shared_inbox.process(), shared_inbox.process()
    shared_inbox.add("a")

    def raise_interrupt(_: Entry) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process.work(raise_interrupt)
    assert not process.heart.wanted()
    process.beat(3)
    assert ["a"] == other_process.work()


def test_stalled_worker_does_not_overwrite_the_entry_of_another_worker() -> None:
    """A stalled worker whose entry another worker has taken neither renews nor stores anything."""
    shared_inbox = SharedInbox()
    process, other_process = shared_inbox.process(), shared_inbox.process()
    shared_inbox.add("a")

    def handle_late(_: Entry) -> None:
        shared_inbox.pause()

        def beat_meanwhile(_: Entry) -> None:
            run_plain(process.heart.beat())
            assert not process.heart.wanted()

        other_process.work(beat_meanwhile)

    def handle_late_and_fail(entry: Entry) -> None:
        handle_late(entry)
        raise RuntimeError

    process.work(handle_late_and_fail)
    assert (EntryState.DONE, 2, "") == (
        shared_inbox.entry().state,
        shared_inbox.entry().attempts,
        shared_inbox.entry().error,
    )


def test_late_renewal_keeps_an_unclaimed_entry() -> None:
    """A late renewal succeeds if no other worker has claimed the entry before."""
    shared_inbox = SharedInbox()
    process, other_process = shared_inbox.process(), shared_inbox.process()
    shared_inbox.add("a")
    taken_entries: list[str] = []

    def handle_late(_: Entry) -> None:
        shared_inbox.pause(10 * ENTRY_LEASE)
        shared_inbox.meanwhile = lambda: run_plain(process.heart.beat())
        taken_entries.extend(other_process.work())

    process.work(handle_late)
    assert ([], EntryState.DONE, 1) == (
        taken_entries,
        shared_inbox.entry().state,
        shared_inbox.entry().attempts,
    )


def test_failed_renewal_is_repeated_at_the_next_heartbeat() -> None:
    """A renewal that fails is repeated at the next heartbeat, so the result is still stored."""
    shared_inbox = SharedInbox()
    process = shared_inbox.process()
    shared_inbox.add("a")

    def outage(_: Entry) -> None:
        shared_inbox.away = True
        process.beat(9)
        shared_inbox.away = False
        process.beat()
        assert shared_inbox.entry().due == shared_inbox.store.now() + _span(ENTRY_LEASE)

    assert ["a"] == process.work(outage)
    assert EntryState.DONE is shared_inbox.entry().state


def test_short_handler_causes_no_renewal() -> None:
    """A handler that ends quickly causes no renewal, only a claim and a result."""
    shared_inbox = SharedInbox()
    process = shared_inbox.process()
    shared_inbox.add("a")
    process.work(lambda _: run_plain(process.heart.beat()))
    assert (2, 1, False) == (shared_inbox.swaps, process.heart.woken, process.heart.wanted())


def test_lease_of_a_minute_is_renewed_every_ten_seconds() -> None:
    """A lease of a minute is renewed every ten seconds, when a sixth of it has passed."""
    shared_inbox = SharedInbox()
    process = shared_inbox.process(lease=60.0)
    shared_inbox.add("a")
    swaps: list[int] = []

    def handle_slowly(_: Entry) -> None:
        process.beat(18)
        swaps.append(shared_inbox.swaps)
        process.beat(2)
        swaps.append(shared_inbox.swaps)

    process.work(handle_slowly)
    assert [1, 2] == swaps


def test_most_urgent_lease_is_renewed_first() -> None:
    """At a heartbeat, the lease that ends first is renewed first."""
    shared_inbox = SharedInbox()
    process = shared_inbox.process()
    shared_inbox.add("a", "b")
    order: list[str] = []
    swap = shared_inbox.store.swap

    def note_order(entry: Any, fence: int) -> bool:
        order.append(entry.id)
        return swap(entry, fence)

    held_entries = []
    for entry in reversed(shared_inbox.store.due(2)):
        held_entries.append(process.renewals.hold(entry, ENTRY_LEASE))
        shared_inbox.pause(0.1)
    shared_inbox.store.swap = note_order  # type: ignore[method-assign]  # records the writes
    process.beat()
    assert (["b", "a"], 2) == (order, len(held_entries))


def test_forked_child_does_not_renew_entries_that_its_parent_works_on() -> None:
    """A forked child does not renew the entries that its parent works on."""
    shared_inbox = SharedInbox()
    process = shared_inbox.process()
    shared_inbox.add("a")
    held_entry = process.renewals.hold(shared_inbox.entry(), ENTRY_LEASE)
    assert process.heart.wanted()
    process.renewals.stop_after_fork()
    assert not process.heart.wanted()
    assert "a" == held_entry.entry.id


def test_abandoned_entries_are_not_renewed() -> None:
    """An entry whose holder was garbage-collected is not renewed."""
    shared_inbox = SharedInbox()
    process = shared_inbox.process()
    shared_inbox.add("a")
    held_entry = process.renewals.hold(shared_inbox.entry(), ENTRY_LEASE)
    del held_entry
    gc.collect()
    assert not process.heart.wanted()


def test_lease_is_long_without_renewal() -> None:
    """Where leases cannot be renewed, a worker's lease lasts five minutes."""

    class DisabledHeartbeat(ManualHeartbeat):
        def is_available(self) -> bool:
            return False

    shared_inbox = SharedInbox()
    able_renewals = shared_inbox.process().renewals
    unable_renewals = EntryRenewals(
        shared_inbox.entry_store(), shared_inbox.clock.nanoseconds, heartbeat=DisabledHeartbeat
    )
    assert [ENTRY_LEASE, 60.0] == [able_renewals.lease(None), able_renewals.lease(60.0)]
    assert [UNRENEWED, 60.0] == [unable_renewals.lease(None), unable_renewals.lease(60.0)]


def test_lease_shorter_than_three_heartbeats_is_refused() -> None:
    """A lease shorter than three heartbeats is refused."""
    assert [None, 1.5] == [entry_lease(None), entry_lease(1.5)]
    with pytest.raises(ConfigurationError, match="too short: a worker cannot renew it") as excinfo:
        entry_lease(1.0)
    assert "lease" == excinfo.value.path


def test_inbox_and_outbox_have_short_leases() -> None:
    """By default the leases of webhooks and calls are as long as those of idempotency keys."""
    shop = Shop()
    shop.inbox = shop.inbox_over(shop.received, lease=None)
    shop.outbox = shop.outbox_over(shop.sent, lease=None)
    lease_spans: list[Any] = []

    @shop.inbox.on("payments")  # type: ignore[untyped-decorator]  # the inbox is of either mode
    def handle(_: Any, entry: Any) -> None:
        lease_spans.append(entry.due - shop.clock.utc())

    shop.inbox.receive("stripe", **shop.webhook_of_payment().arguments())
    shop.inbox.handle()
    assert [_span(ENTRY_LEASE)] == lease_spans


def _span(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def test_renewal_waits_for_a_slow_store_at_most_until_leases_end() -> None:
    """A round of lease renewals waits for a slow store at most until the leases end."""
    shared_inbox = SharedInbox()
    shared_inbox.add("a")
    reports: list[float] = []
    plain_store = shared_inbox.entry_store()

    def limit_store(left: Callable[[], float]) -> EntryStore[Any]:
        async def now() -> Any:
            reports.append(left())
            shared_inbox.pause(0.5)
            return await plain_store.now()

        async def swap(entry: Entry, fence: int) -> bool:
            reports.append(left())
            return await plain_store.swap(entry, fence)

        return attrs.evolve(plain_store, now=now, swap=swap)

    entry_store = attrs.evolve(plain_store, bounded=limit_store)
    renewals = EntryRenewals(entry_store, shared_inbox.clock.nanoseconds, heartbeat=ManualHeartbeat)
    held_entry = renewals.hold(shared_inbox.entry(), ENTRY_LEASE)
    shared_inbox.pause(BEAT)
    run_plain(renewals.round())
    assert [pytest.approx(1.0), pytest.approx(0.5)] == reports

    shared_inbox.pause(ENTRY_LEASE)
    reports.clear()
    run_plain(renewals.round())
    assert [pytest.approx(0.5), pytest.approx(0.0)] == reports
    assert run_plain(renewals.holds(held_entry))
