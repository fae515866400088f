"""Workers may be killed at any step: calls stay in order, and calls that are done are not repeated.

The workers' wall clocks are changed repeatedly, which has no effect on the entries.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.adapters.entries.memory import MemoryOutbox
from moorage.domain.entries.inbox import InboxEntry
from moorage.domain.entries.outbox import OutboxEntry
from moorage.domain.entries.queue import Entry, EntryQuery, EntryState, ErrorConsequence
from moorage.domain.resilience.retry import Jitter, RetryPolicy
from moorage.services.core.renewal import EntryRenewals
from moorage.services.entries.processing import EntryProcessing
from moorage.services.entries.store import EntryStore
from moorage.testing import VirtualClock
from moorage.wiring.core_assembly import sync_core
from moorage.wiring.entry_tracing import HostTracing
from moorage.wiring.ports import Ports
from tests.support.examples import examples
from tests.support.manual_heartbeat import ManualHeartbeat
from tests.support.virtual_tasks import run_plain

LEASE = 30.0
TRIES = 4

if TYPE_CHECKING:
    from datetime import datetime


_VERBS = ("add", "due", "swap", "find", "remove", "now")


class KilledError(BaseException):
    """The exception that represents the signal that kills a worker."""


class StoreWalk:
    """A store, workers that may be killed at any step, and a record of the work done.

    Args:
        kind: the kind of the store's entries.
    """

    def __init__(self, kind: type[Entry]) -> None:
        self.kind: Any = kind
        self.clock = VirtualClock()
        self.store: Any = MemoryOutbox(self.clock)
        self.skew = 0
        self.leases: dict[str, datetime] = {}
        self.done: list[str] = []
        self.finished: set[str] = set()
        self.lanes: dict[str, list[str]] = defaultdict(list)
        self.steps = 0
        core = attrs.evolve(sync_core(Ports(clock=self.clock)).core, utc=self._utc)
        verbs = {name: self._verb(name) for name in _VERBS}
        entry_store = EntryStore[Any](**verbs)
        self.keeping = EntryProcessing[Any](
            core,
            entry_store,
            name="walk",
            retry=RetryPolicy(max_attempts=TRIES, base_delay=5.0, jitter=Jitter.NONE),
            lease=LEASE,
            renewals=EntryRenewals(entry_store, self.clock.nanoseconds, heartbeat=ManualHeartbeat),
            tracing=HostTracing(),
            judge=lambda _: ErrorConsequence.AGAIN,
        )

    def _utc(self) -> datetime:
        return self.clock.utc() + timedelta(seconds=self.skew)

    def _verb(self, name: str) -> Any:
        method = getattr(self.store, name)

        async def step(*values: Any) -> Any:
            self._step()
            answer = method(*values)
            if name == "swap" and answer and values[0].state is EntryState.CLAIMED:
                self._leased(values[0])
            # A call whose worker dies here, after the response, counts as done.
            if name == "swap" and answer and values[0].state is EntryState.DONE:
                self.finished.add(values[0].id)
            self._step()
            return answer

        return step

    def _leased(self, entry: Any) -> None:
        # The previous holder is dead or has released the entry.
        lease_end = self.leases.get(entry.id)
        assert lease_end is None or lease_end <= self.clock.utc(), "one at a time"
        assert self.clock.utc() + timedelta(seconds=LEASE) == entry.due, "for as long as a lease"
        self.leases[entry.id] = entry.due

    def _step(self) -> None:
        self.steps -= 1
        if self.steps == 0:
            raise KilledError

    def add(self, number: int, lane: str | None) -> None:
        """Store an entry."""
        entry = self.kind(
            id=f"e{number}",
            target="walk",
            operation="go",
            lane=lane,
            added_at=self._utc(),
        )
        self.store.add(entry)
        if lane is not None:
            self.lanes[lane].append(entry.id)

    def work(self, steps: int, *, fails: bool) -> None:
        """Work until nothing is due, or until the worker is killed."""
        self.steps = steps

        async def work(entry: Any) -> None:
            assert entry.id not in self.finished, "never after done"
            self._in_order(entry)
            self._step()
            if not fails:
                self.done.append(entry.id)
                self._step()
            del self.leases[entry.id]
            if fails:
                raise RuntimeError

        with suppress(KilledError):
            run_plain(self.keeping.process_due_entries(work, 5, self._utc))
        self.steps = 0

    def _in_order(self, entry: Any) -> None:
        if entry.lane is None:
            return
        lane = self.lanes[entry.lane]
        for earlier_id in lane[: lane.index(entry.id)]:
            (stored_entry,) = self.store.find(EntryQuery(id=earlier_id)).items
            excess_states = (
                {EntryState.DONE} if entry.dead_holds else {EntryState.DONE, EntryState.DEAD}
            )
            assert stored_entry.state in excess_states, "in order"

    def finish(self) -> None:
        """Run workers that are not killed until no entry is left."""
        for _ in range(4 * (TRIES + 1)):
            self.clock.advance(LEASE + 60.0)
            self.work(-1, fails=False)


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from([None, "a", "b"])),
        st.tuples(st.just("work"), st.integers(1, 30), st.booleans()),
        st.tuples(st.just("wait"), st.sampled_from([1.0, 10.0, LEASE])),
        st.tuples(st.just("set"), st.sampled_from([0, 360, -360, 3_600, -3_600])),
    ),
    max_size=25,
)


@pytest.mark.untraced
@pytest.mark.parametrize("kind", [InboxEntry, OutboxEntry])
@examples(150)
@given(actions=ACTIONS)
def test_crashes_lose_and_repeat_nothing_that_is_done(
    kind: type[Entry], actions: list[tuple[Any, ...]]
) -> None:
    """Although workers are killed, each entry is processed in order until done or given up."""
    walk = StoreWalk(kind)
    count = 0
    for action, *values in actions:
        if action == "add":
            walk.add(count, *values)
            count += 1
        elif action == "work":
            walk.work(values[0], fails=values[1])
        elif action == "set":
            (walk.skew,) = values
        else:
            walk.clock.advance(*values)
    walk.finish()

    entries = walk.store.find(EntryQuery(limit=100)).items
    assert count == len(entries)
    given_up = {entry.lane for entry in entries if entry.state is EntryState.DEAD}
    for entry in entries:
        holds_lane = entry.dead_holds and entry.lane in given_up and entry.lane is not None
        excess_states = {EntryState.DONE, EntryState.DEAD} | (
            {EntryState.WAITING} if holds_lane else set()
        )
        assert entry.state in excess_states
        assert entry.state is not EntryState.DONE or entry.id in walk.done
        assert entry.attempts <= TRIES


def test_contested_claims_stay_within_the_limit() -> None:
    """If another worker claims an entry first, the store offers others, up to the limit."""
    walk = StoreWalk(OutboxEntry)
    for number in range(4):
        walk.add(number, None)
    offers: list[int] = []
    contested_ids = ["e0"]
    original_due, swap = walk.keeping.store.due, walk.keeping.store.swap

    async def record_offer(limit: int) -> Any:
        offers.append(limit)
        return await original_due(limit)

    async def swap_entry(entry: Any, fence: int) -> bool:
        if entry.id in contested_ids:
            contested_ids.remove(entry.id)
            return False
        return await swap(entry, fence)

    walk.keeping.store = attrs.evolve(walk.keeping.store, due=record_offer, swap=swap_entry)

    async def work(_: Any) -> None:
        """Do nothing."""

    worked_entries = run_plain(walk.keeping.process_due_entries(work, 2, walk.clock.utc))

    assert (2, [2, 1]) == (len(worked_entries), offers)
