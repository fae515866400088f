"""The processes of a crash matrix cell: host, vendor, worker and successor."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING, Any

import attrs
import psycopg

import moorage
from moorage import Outbox, RetryPolicy
from moorage.adapters.clocks.system import SystemClock
from moorage.adapters.entries.sql import SqlOutbox
from moorage.adapters.state.sql import SqlStorage
from moorage.contracts.payments import NextStep
from moorage.contracts.vendor import Vendor
from moorage.domain.entries.queue import EntryState
from moorage.domain.observation.call_events import AttemptFinished
from moorage.errors import StorageUnavailable
from moorage.hub.outbox import EntryQuery
from moorage.testing import Behaviour, VendorServer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from multiprocessing.connection import Connection

    from moorage.domain.entries.outbox import OutboxEntry
    from moorage.domain.observation.events import Event
    from moorage.testing.fakes.http_script import ReceivedRequest
    from tools.crashes.cases import CrashCase

SLOW = 2.0
"""Seconds that a vendor takes for a response that should be waited for: longer than a lease."""

_RETRY = RetryPolicy(max_attempts=12, base_delay=0.2, max_delay=1.0)
_POLL = 0.1
_POLLS = 200
_OPEN = EntryQuery(states=(EntryState.WAITING, EntryState.CLAIMED), limit=10)


class CrashPoint:
    """A point in a process that reports to the harness when it is reached, and waits there.

    Args:
        point: the crash point; None if the process has none.
        harness: the connection to the harness.
    """

    def __init__(self, point: str | None, harness: Connection) -> None:
        self.point = point
        self._harness = harness
        self._lock = Lock()

    def stop_at(self, point: str) -> None:
        """If this is the crash point and it is reached for the first time, wait here."""
        with self._lock:
            if point != self.point:
                return
            self.point = None
            self._harness.send(point)
            self._harness.recv()


class ShiftedClock:
    """The system's clock, with UTC shifted by some hours."""

    def __init__(self, hours: int) -> None:
        self._system = SystemClock()
        self._shift = timedelta(hours=hours)

    def nanoseconds(self) -> int:
        """Return the nanoseconds of the system's clock, which measure durations."""
        return self._system.nanoseconds()

    def utc(self) -> datetime:
        """Return the shifted time."""
        return self._system.utc() + self._shift


class GatedOutbox(SqlOutbox):
    """An outbox in PostgreSQL with crash points around its writes.

    Args:
        url: the address of the database.
        gate: stands still at the points.
    """

    def __init__(self, url: str, gate: CrashPoint) -> None:
        super().__init__(url)
        self._gate = gate

    def claim(
        self, limit: int, lease: float, most: int, /, timeout: float | None = None
    ) -> Sequence[OutboxEntry]:
        """Claim entries, then stop if this is the crash point."""
        entries = super().claim(limit, lease, most, timeout)
        if entries:
            self._gate.stop_at("claimed")
        return entries

    def settle(
        self,
        entries: Sequence[OutboxEntry],
        fences: Sequence[int],
        /,
        timeout: float | None = None,
    ) -> Sequence[bool]:
        """Store the results of entries, then stop if this is the crash point."""
        outcomes = super().settle(entries, fences, timeout)
        self._stop_after_write(entries)
        return outcomes

    def swap(self, entry: OutboxEntry, fence: int, /, timeout: float | None = None) -> bool:
        """Store the result of one entry, then stop if this is the crash point."""
        is_written = super().swap(entry, fence, timeout)
        self._stop_after_write([entry])
        return is_written

    def _stop_after_write(self, entries: Sequence[OutboxEntry]) -> None:
        is_renewed = any(entry.state is EntryState.CLAIMED for entry in entries)
        self._gate.stop_at("renewed" if is_renewed else "settled")


def migrate(url: str) -> None:
    """Create the tables of a database."""
    with SqlOutbox(url, create=True) as outbox, SqlStorage(url, create=True) as state:
        outbox.migrate()
        state.migrate()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE orders (id text PRIMARY KEY)")


@attrs.frozen
class CaseSite:
    """The case of a cell, with the database and vendor URLs that its programs use.

    Attributes:
        case: the call.
        database: the address of the database.
        vendor: the address of the vendor.
        about: the object that was prepared for the call.
    """

    case: CrashCase
    database: str
    vendor: str
    about: tuple[Any, ...]

    @property
    def configuration(self) -> dict[str, Any]:
        """Return the configuration of the worker's hub."""
        return self.case.configuration(self.case.fixture(), self.vendor, self.database)


def host(site: CaseSite, gate: CrashPoint, hours: int) -> None:
    """Store an order and the call for it in one transaction."""
    case = site.case
    outbox = Outbox(SqlOutbox(site.database), clock=ShiftedClock(hours))
    # If a host loses its database, it tells its user, who tries again.
    with suppress(psycopg.OperationalError), psycopg.connect(site.database) as connection:
        connection.execute("INSERT INTO orders VALUES ('ORDER-2')")
        inner_outbox = outbox.within(connection)
        inner_outbox.put(
            case.contract, case.verb, *case.values(*site.about), key=f"ORDER-2/{case.verb}"
        )
        gate.stop_at("before commit")
        connection.commit()
        gate.stop_at("committed")


def vendor(case: CrashCase, point: str | None, harness: Connection) -> None:
    """Run the vendor, and report its effects to the harness on request."""
    fixture = case.fixture()
    sandbox = fixture.sandbox
    assert sandbox is not None
    prepared = case.prepare(fixture)
    previous_counts = Counter(case.effects(sandbox))
    slow_points = [point] if point in {"sent", "renewed"} else []

    def behave(received: ReceivedRequest) -> Behaviour:
        behaviour = sandbox.behave(received)
        if not slow_points or Counter(case.effects(sandbox)) == previous_counts:
            return behaviour
        if slow_points.pop() == "sent":
            harness.send("sent")
        return attrs.evolve(behaviour, delay=SLOW)

    with VendorServer() as server:
        server.always(behave)
        if hasattr(sandbox, "files"):
            sandbox.files = server.url
        harness.send((server.url, prepared))
        while harness.recv():
            harness.send(Counter(case.effects(sandbox)) - previous_counts)


def worker(site: CaseSite, gate: CrashPoint) -> None:
    """Make the call that the outbox holds, unless another worker has made it."""
    answers = count()

    def observe(event: Event) -> None:
        if isinstance(event, AttemptFinished) and next(answers) >= site.case.looks:
            gate.stop_at("answered")

    hub = moorage.open(site.configuration, observers=[observe])
    outbox = Outbox(GatedOutbox(site.database, gate), retry=_RETRY)
    for _ in range(_POLLS):
        with suppress(StorageUnavailable):
            if outbox.deliver(hub):
                return
        if gate.point is None:
            return
        time.sleep(_POLL)


def successor(site: CaseSite, hours: int, harness: Connection) -> None:
    """Process outbox entries and payments until nothing changes, then report the final state."""
    clock = ShiftedClock(hours)
    Vendor.listed_within = 0.0  # a sandbox lists its effects at once
    hub = moorage.open(site.configuration, clock=clock)
    outbox = Outbox(SqlOutbox(site.database), retry=_RETRY, clock=clock)
    for _ in range(_POLLS):
        with suppress(StorageUnavailable):
            hub.settle_payments()
            outbox.deliver(hub)
            next_steps = [payment.next for payment in hub.unsettled_payments()]
            if not outbox.find(_OPEN).items and set(next_steps) <= {NextStep.PERSON}:
                break
        time.sleep(_POLL)
    entries: list[Any] = list(outbox.find(EntryQuery(limit=10)).items)
    states = [entry.state.value for entry in entries]
    words = "; ".join(str(entry.error) for entry in entries if entry.error)
    harness.send((states, [payment.next.value for payment in hub.unsettled_payments()], words))
