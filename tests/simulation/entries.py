"""Simulated outbox schedules: hosts with different clocks enqueue calls, and workers execute them.

Hosts write in transactions that stay open for a while, overlap, and are rolled back or lost with
their host. The store is a server with its own clock and keeps what its port promises. The laws
state which behaviour must not depend on clocks or overlaps. The inbox takes its entries by the same
flows from a store with the same promises.
"""

from __future__ import annotations

import random
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from moorage.domain.entries.queue import Entry, EntryPage, EntryQuery, EntryState, arrive
from moorage.domain.resilience.retry import Jitter, RetryPolicy
from moorage.errors import RateLimitExceeded, StorageUnavailable
from moorage.services.core.renewal import EntryRenewals
from moorage.services.entries.outbox import OutboxFlows
from moorage.services.entries.outbox import _digest as digest
from moorage.services.entries.store import EntryStore
from tests.simulation.scenario import LawBroken
from tests.simulation.simulator import Faults, SchedulerStep, Simulation, Worker
from tests.support.manual_heartbeat import ManualHeartbeat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.domain.entries.outbox import OutboxEntry
    from moorage.services.core.core import Core

LEASE = 60.0
RENEWAL_INTERVAL = LEASE / 6
OWN_PAUSE = 5.0
TRIES = 40
MOST_STEPS = 20_000
LANES = (None, "a", "b")
SKEWS = (0, 360, -360, 3_600, -3_600)
WISHES = (None, 2.0, 30.0)
FAULTS = ("crash", "cancel", "store_away", "answer_lost", "wall_step", "freeze")


class SilentTracer:
    """An entry tracer that does nothing, so that a schedule depends on its seed alone.

    The simulated processes share one thread, and so the variables of its context. Python 3.11 can
    crash where the collection of a lost coroutine resets such a variable while another is set.
    """

    def sending(self, *_: object) -> AbstractContextManager[None]:
        """Return a context that traces nothing while an entry is stored."""
        return nullcontext()

    def processing(self, *_: object) -> AbstractContextManager[None]:
        """Return a context that traces nothing while an entry is processed."""
        return nullcontext()


class NoPayments:
    """A payment register that never knows the outcome of a payment."""

    async def closed(self, effects: Sequence[Any]) -> list[bool]:
        """Return whether the outcome of each effect is known."""
        return [False for _ in effects]


NO_PAYMENTS: Any = NoPayments()


@attrs.define
class Claim:
    """One claim of an outbox entry by a worker."""

    entry: Entry
    who: str
    """The name of the worker that claimed the entry."""
    at: datetime
    """The store's time that the worker, or the renewal of its claims, read last."""
    after: frozenset[int]
    """The numbers of the entries that had ended by then."""


@attrs.define(eq=False)
class Transaction:
    """The uncommitted outbox writes of one host."""

    host: Worker
    rows: list[Entry] = attrs.field(factory=list)

    @property
    def is_open(self) -> bool:
        """Return whether the host that opened the transaction may still commit it."""
        return not self.host.ended


@attrs.define
class Outbox:
    """A simulated outbox store that uses the simulation's clock and records every write."""

    simulation: Simulation
    rows: dict[str, Entry] = attrs.field(factory=dict)
    open: list[Transaction] = attrs.field(factory=list)
    asked: dict[str, tuple[datetime, timedelta]] = attrs.field(factory=dict)
    refused: dict[tuple[str, int], tuple[datetime, timedelta]] = attrs.field(factory=dict)
    heard: dict[str, datetime] = attrs.field(factory=dict)
    claims: dict[str, list[Claim]] = attrs.field(factory=dict)
    looks: dict[tuple[str, str], datetime] = attrs.field(factory=dict)
    """The start of the claim that each worker saw last, for entries that it looked up by id."""
    broken: list[str] = attrs.field(factory=list)
    last: int = 0

    def now(self) -> datetime:
        """Return the store's time."""
        return self.simulation.date(self.simulation.now)

    def holders(self, lane: str | None, transaction: Transaction) -> list[Transaction]:
        """Return all other open transactions that have written to this lane."""
        return [
            item
            for item in self.open
            if item is not transaction
            and item.is_open
            and lane is not None
            and any(row.lane == lane for row in item.rows)
        ]

    def add(self, entry: OutboxEntry, transaction: Transaction) -> OutboxEntry:
        """Write an entry to the outbox in a transaction."""
        self.last += 1
        entry = attrs.evolve(self.arrived(entry), number=self.last)
        asked_at, wait = self.asked[entry.id]
        assert entry.due is not None
        if not asked_at + wait <= entry.due <= self.now() + wait:
            self.broken.append(f"{entry.id} put off by {wait} at {asked_at} is due {entry.due}")
        transaction.rows.append(entry)
        return entry

    def add_alone(self, entry: OutboxEntry, transaction: Transaction) -> OutboxEntry | None:
        """Write an entry if no other open transaction has written to its lane; else return None."""
        return None if self.holders(entry.lane, transaction) else self.add(entry, transaction)

    def arrived(self, entry: OutboxEntry) -> OutboxEntry:
        """Return an entry with the arrival time of this store's clock."""
        return arrive(entry, self.now())

    def commit(self, transaction: Transaction) -> None:
        """Commit the transaction, so that other transactions see its entries."""
        self.open.remove(transaction)
        self.rows |= {row.id: row for row in transaction.rows}
        self.rows = dict(sorted(self.rows.items(), key=lambda item: item[1].number))

    def find(self, who: str, query: EntryQuery) -> EntryPage[Entry]:
        """Return the matching entries, and note when the claims that the worker sees were made."""
        if query.id in self.claims:
            self.looks[who, query.id] = self.claims[query.id][-1].at
        return EntryPage(items=tuple(row for row in self.rows.values() if query.matches(row)))

    def due(self, who: str, limit: int) -> list[Entry]:
        """Return the claimable entries, and forget which claims this worker has seen."""
        self.looks = {key: time for key, time in self.looks.items() if key[0] != who}
        blocked_lanes: set[str | None] = set()
        results = []
        for row in self.rows.values():
            if row.due is not None and row.due <= self.now() and row.lane not in blocked_lanes:
                results.append(row)
            if row.holds and row.lane is not None:
                blocked_lanes.add(row.lane)
        return results[:limit]

    def swap(self, who: str, entry: Entry, fence: int) -> bool:
        """Replace an outbox entry if the fencing token matches."""
        if self.rows[entry.id].fence != fence:
            return False
        if entry.state is EntryState.CLAIMED and entry.fence == fence:
            self._check_renewal(who, entry)
        elif entry.state is EntryState.CLAIMED:
            self._check_claim(who, entry)
        elif who != (claimant := self.claims[entry.id][-1].who):
            # Its last holder died of it and had no attempts left, and another worker gives it up.
            if entry.attempts < TRIES:
                self.broken.append(f"{who} writes its result over {claimant}'s")
        elif (entry.id, fence) in self.refused:
            # If this is not stored, the entry can be claimed again after its lease.
            self.asked[entry.id] = self.refused[entry.id, fence]
        self.rows[entry.id] = entry
        return True

    def _check_renewal(self, who: str, entry: Entry) -> None:
        claim = self.claims[entry.id][-1]
        if who != _renewer_of(claim.who):
            self.broken.append(f"{who} renews {entry.id}, which {claim.who} has")
        claim.at = self.heard[who]

    def _check_claim(self, who: str, entry: Entry) -> None:
        previous_entry = self.rows[entry.id]
        if previous_entry.state is EntryState.CLAIMED:
            # A worker that looked when the lease was over may be overtaken by a renewal that
            # arrives too late.
            claimed_at = self.looks.get((who, entry.id), self.claims[entry.id][-1].at)
            lease_end = claimed_at + timedelta(seconds=LEASE)
            if self.now() < lease_end:
                self.broken.append(f"{who} takes {entry.id}, whose lease ends at {lease_end}")
        asked_at, wait = self.asked[entry.id]
        if self.now() < asked_at + wait:
            self.broken.append(f"{who} takes {entry.id} before {asked_at + wait}")
        lease_end = self.now() + timedelta(seconds=LEASE)
        if entry.due is None or entry.due > lease_end:
            self.broken.append(f"{who} takes {entry.id} until {entry.due}, not {lease_end}")
        ended_entries = frozenset(row.number for row in self.rows.values() if not row.holds)
        time = self.heard.get(who, self.now())
        self.claims.setdefault(entry.id, []).append(Claim(entry, who, time, ended_entries))

    def begin(self, key: str, wait: timedelta) -> None:
        """Record the time at which a host enqueues a call, and the requested delay."""
        self.asked[digest(None, key)] = self.now(), wait

    def refuse(self, entry: Entry, wish: float) -> None:
        """Record that a vendor rejected an entry, with the pause that the vendor asks for."""
        self.refused[entry.id, entry.fence] = self.now(), timedelta(seconds=wish)


def _renewer_of(name: str) -> str:
    """Return the name of the process that renews a worker's claims."""
    return f"{name}'s heart"


def store_for(
    outbox: Outbox, worker: Worker, transaction: Transaction | None
) -> EntryStore[OutboxEntry]:
    """Return one process's outbox store, whose commands may fail or lose their replies."""
    simulation = outbox.simulation

    async def ask_store(what: str, act: Any) -> Any:
        if simulation.strikes("store_away"):
            await SchedulerStep(f"{what}: store away", _raise_unavailable)
        answer = await SchedulerStep(what, act)
        if simulation.strikes("answer_lost"):
            await SchedulerStep(f"{what}: answer lost", _raise_unavailable)
        return answer

    def note_time_heard() -> datetime:
        outbox.heard[worker.name] = outbox.now()
        return outbox.now()

    async def add(entry: OutboxEntry) -> OutboxEntry:
        assert transaction is not None
        attempt = partial(outbox.add_alone, entry, transaction)
        while (row := await ask_store("add", attempt)) is None:
            worker.wakes = simulation.now + 1_000_000
            await SchedulerStep("waits for its lane", lambda: None)
        return row  # type: ignore[no-any-return]  # an entry, as `add` returns

    async def find(query: EntryQuery) -> EntryPage[OutboxEntry]:
        return await ask_store(f"find {query.id}", partial(outbox.find, worker.name, query))  # type: ignore[no-any-return]  # a page, as `find` returns

    async def remove(_: Any) -> int:
        raise AssertionError("not part of this simulation")

    return EntryStore(
        now=lambda: ask_store("now", note_time_heard),
        add=add,
        due=lambda limit: ask_store("due", partial(outbox.due, worker.name, limit)),
        swap=lambda entry, fence: ask_store(
            f"swap {entry.id} {entry.state}", lambda: outbox.swap(worker.name, entry, fence)
        ),
        find=find,
        remove=remove,
    )


def flows_of(
    core: Core, shelf: EntryStore[OutboxEntry], renewals: EntryRenewals | None = None
) -> OutboxFlows:
    """Return one process's outbox operations, which can claim entries if claims are renewed."""
    retry = RetryPolicy(max_attempts=TRIES, base_delay=OWN_PAUSE, jitter=Jitter.NONE)
    renewals = renewals or EntryRenewals(shelf, core.nanoseconds, heartbeat=ManualHeartbeat)
    return OutboxFlows(
        core,
        shelf,
        retry=retry,
        lease=LEASE,
        renewals=renewals,
        tracing=SilentTracer(),
        check=lambda *_: None,
    )


def play_entries(seed: int) -> Outbox:
    """Simulate the outbox schedule of a seed, and return the outbox with its records."""
    generator = random.Random(seed * 7919 + 3)
    names = generator.sample(FAULTS, generator.randint(2, 4))
    simulation = Simulation(
        seed, Faults(**{name: generator.choice((5, 20, 60)) for name in sorted(names)}), None
    )
    outbox = Outbox(simulation)
    for number in range(generator.randint(2, 3)):
        plans = [
            (
                f"{number}-{call}",
                generator.choice(LANES),
                generator.choice((0, 0, 1, 20)),
                generator.choice((None, None, timedelta(seconds=7), timedelta(seconds=90))),
            )
            for call in range(generator.randint(2, 4))
        ]
        _start(simulation, f"host-{number}", generator.choice(SKEWS), _host(outbox, plans))
    for number in range(generator.randint(2, 3)):
        _start(
            simulation,
            f"worker-{number}",
            generator.choice(SKEWS),
            _worker(outbox, generator.randint(4, 9)),
        )
    simulation.run(MOST_STEPS)
    # At the end, all faults stop, and a last worker executes the remaining entries.
    simulation.faults = Faults()
    simulation.now += 1_000_000_000
    _start(simulation, "latecomer", 0, _worker(outbox, len(outbox.rows) + 1))
    simulation.run(MOST_STEPS)
    return outbox


def _start(simulation: Simulation, name: str, skew: int, flow: Any) -> None:
    worker: list[Worker] = []

    async def run(core: Core) -> None:
        await flow(core, worker[0])

    worker.append(simulation.start(name, run))
    worker[0].skew = skew


def _host(outbox: Outbox, plans: list[tuple[str, str | None, int, timedelta | None]]) -> Any:
    """Return a process that enqueues calls, each in a transaction that stays open for a while."""

    async def run(core: Core, host: Worker) -> None:
        simulation = outbox.simulation
        for key, lane, pause, wait in plans:
            await core.sleep(simulation.dice.random() * 3)
            transaction = Transaction(host)
            outbox.open.append(transaction)
            flows = flows_of(core, store_for(outbox, host, transaction))
            is_written = simulation.dice.randrange(5) > 0

            outbox.begin(key, wait or timedelta())
            try:
                await flows.put("x", "y", key=key, order=lane, not_before=wait)
                await core.sleep(pause)
            except StorageUnavailable:
                is_written = False
            if is_written:
                await SchedulerStep("commits", partial(outbox.commit, transaction))
            else:
                outbox.open.remove(transaction)

    return run


def _worker(outbox: Outbox, rounds: int) -> Any:
    """Return a process that executes due calls, some of which the vendor refuses for a while."""

    async def run(core: Core, worker: Worker) -> None:
        simulation = outbox.simulation
        hearts: list[EntryRenewals] = []

        async def beat(core: Core) -> None:
            entry_store = store_for(outbox, heartbeat, None)
            hearts.append(EntryRenewals(entry_store, core.nanoseconds, heartbeat=ManualHeartbeat))
            while not worker.ended:
                await core.sleep(RENEWAL_INTERVAL)
                if not worker.ended:
                    await hearts[0].round()

        heartbeat = simulation.start(_renewer_of(worker.name), beat)
        while not hearts and not heartbeat.ended:
            await core.sleep(0.1)
        flows = flows_of(core, store_for(outbox, worker, None), *hearts)

        async def call(entry: OutboxEntry, *_: Any) -> None:
            await core.sleep(simulation.dice.choice((0.1, 5.0, 40.0, 150.0)))
            wish = simulation.dice.choice(WISHES)
            if wish is not None and simulation.faults.kinds():
                outbox.refuse(entry, wish)
                time = core.utc() + timedelta(seconds=wish)
                raise RateLimitExceeded("later.", retry_at=time, retryable=True)

        for _ in range(rounds):
            await core.sleep(simulation.dice.random() * 10)
            try:
                await flows.deliver(call, NO_PAYMENTS, limit=2, utc=core.utc)
            except StorageUnavailable:
                continue

    return run


def check_entries(outbox: Outbox) -> None:
    """Raise `LawBroken` if the outbox broke any law."""
    for law in ENTRY_LAWS:
        violation = law(outbox)
        if violation:
            simulation = outbox.simulation
            history_text = "\n".join(simulation.history)
            raise LawBroken(f"seed {simulation.seed}: {law.__name__}: {violation}\n{history_text}")


def only_the_stores_clock_decides(outbox: Outbox) -> str | None:
    """Due times, delays and leases depend on the store's clock only."""
    return "; ".join(outbox.broken) or None


def nothing_overtakes(outbox: Outbox) -> str | None:
    """In an ordered lane, no entry is claimed before each earlier entry has ended."""
    for claims in outbox.claims.values():
        for claim in claims:
            lane, number = claim.entry.lane, claim.entry.number
            overtaken_entries = [
                row.id
                for row in outbox.rows.values()
                if lane is not None
                and row.lane == lane
                and row.number < number
                and row.number not in claim.after
            ]
            if overtaken_entries:
                return f"{claim.entry.id} was taken before {overtaken_entries}"
    return None


def everything_committed_is_done(outbox: Outbox) -> str | None:
    """By the end of a schedule, each committed call has been made."""
    unfinished_entries = [
        row.id for row in outbox.rows.values() if row.state is not EntryState.DONE
    ]
    return f"left over: {unfinished_entries}" if unfinished_entries else None


ENTRY_LAWS = (only_the_stores_clock_decides, nothing_overtakes, everything_committed_is_done)


def _raise_unavailable() -> None:
    raise StorageUnavailable("the store cannot be reached.")
