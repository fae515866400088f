"""Processes killed or paused during calls with idempotency keys, and callers that wait for them."""

from __future__ import annotations

import os
import signal
import time
from threading import Event, Lock
from typing import TYPE_CHECKING, Final

import attrs
import pytest

from moorage import Service
from moorage.domain.http.fingerprint import digest
from moorage.domain.idempotency.claims import LEASE, Claim, Verdict
from moorage.domain.service.plan import Plan
from moorage.domain.values.durations import SECOND
from moorage.testing import Behaviour
from tests.integration.store_locations import now
from tests.integration.workers import Job

if TYPE_CHECKING:
    from moorage.testing import VendorServer
    from moorage.testing.fakes.http_server import ReceivedRequest
    from tests.integration.store_locations import StoreLocation
    from tests.integration.worker_pool import WorkerPool, WorkerProcess

KEY: Final = "the key"
TIMEOUT: Final = 30.0
LONGER_THAN_A_LEASE: Final = 1.5 * LEASE / SECOND
"""And between two renewals: a process paused within one may hold a lock of its database."""


class Bank:
    """A vendor that responds slowly to the first request on each path, and acts once per key."""

    def __init__(self, takes: float) -> None:
        self._takes = takes
        self._lock = Lock()
        self.both = Event()
        self.request_counts: dict[str, int] = {}
        self.effects: dict[str, set[object]] = {}

    def answer(self, received: ReceivedRequest) -> Behaviour:
        """Act once for each idempotency key, however often it is sent."""
        path = received.path
        with self._lock:
            notice = self.request_counts[path] = self.request_counts.get(path, 0) + 1
            mark = received.headers.get("idempotency-key") or notice
            self.effects.setdefault(path, set()).add(mark)
            if len(self.request_counts) == 2:
                self.both.set()
        return Behaviour(
            200, body=b"effect %d" % len(self.effects[path]), delay=self._takes * (notice == 1)
        )


@attrs.frozen
class Race:
    """A process that calls two vendors, one of which honours keys, and callers that wait for it."""

    honoured: Service
    other: Service
    bank: Bank
    holder: WorkerProcess
    waiters: list[WorkerProcess]

    def path(self, service: Service) -> str:
        """Return the path that a service's requests go to."""
        return f"/{service.name}"


def race(
    pool: WorkerPool,
    location: StoreLocation,
    vendor: VendorServer,
    name: str,
    *,
    takes: float,
    is_async: bool,
) -> Race:
    """Start a process whose calls last longer than a lease, and callers that wait for its keys."""
    other_service = Service(f"other-{name}", base_url=vendor.url, retry=None, timeout=TIMEOUT)
    honoured_service = attrs.evolve(
        other_service,
        name=f"honoured-{name}",
        idempotency_header="Idempotency-Key",
        idempotency_memory=86_400,
    )
    bank = Bank(takes)
    vendor.always(bank.answer)
    job = Job(
        scenario="repeat",
        services=(honoured_service, other_service),
        state=location,
        key=KEY,
        is_async=is_async,
    )
    holder_process, *waiters = pool.prepare_workers([job] * 3)
    holder_process.go()
    assert bank.both.wait(TIMEOUT)
    for waiter in waiters:
        waiter.go()
    time.sleep(LONGER_THAN_A_LEASE)
    return Race(honoured_service, other_service, bank, holder_process, waiters)


def end_of_the_lease(location: StoreLocation, service: Service) -> int:
    """Return the time in nanoseconds when the lease of the idempotency key has certainly ended."""
    claim = Claim(
        Plan(service, None, None).claim_key(KEY),
        fingerprint=digest([]),
        owner=1,
        lease=LEASE,
        ttl=SECOND,
        target=Plan(service, None, None).target,
        remembered=0,
    )
    # Another payload is a conflict, so this claim changes nothing.
    with location.open() as store:
        assert Verdict.CONFLICT is store.execute(claim).verdict
        remaining = int(store.execute(_RemainingLease(claim.keys)))
    assert remaining <= LEASE
    return now() + remaining * 1000


class _RemainingLease:
    """A store command that reads the remaining time of an idempotency key's lease."""

    once = False
    durable = False

    def __init__(self, keys: tuple[str, ...]) -> None:
        self.keys = keys

    def apply(self, states: tuple, now: int) -> tuple[tuple, int]:  # type: ignore[type-arg]  # states are as they are
        """Return the remaining time of the lease."""
        return states, states[0][6] - now


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_dead_holder_is_replaced_after_its_lease(
    pool: WorkerPool, location: StoreLocation, vendor: VendorServer, name: str, is_async: bool
) -> None:
    """The idempotency key of a dead process is taken over once its lease ends.

    The key of a running process is never taken over.

    One of the waiters repeats the request at a vendor that knows keys, and all get that response.
    At a vendor without keys the waiters learn that the outcome is unknown, and nothing is sent
    again. The tests of renewals in virtual time check how soon a waiter claims the key again.
    """
    match = race(pool, location, vendor, name, takes=3600, is_async=is_async)
    assert {match.path(match.honoured): 1, match.path(match.other): 1} == match.bank.request_counts
    assert [] == [result for waiter in match.waiters for result in waiter.reports_of("call")]
    match.holder.kill()
    services = (match.honoured, match.other)
    lease_end = max(end_of_the_lease(location, service) for service in services)
    history = []
    for waiter in match.waiters:
        waiter.wait_for("call", 2)
        history += waiter.reports_of("call")
    pool.give_back(match.waiters)

    call_endings = {(entry["service"], entry["outcome"], entry.get("value")) for entry in history}
    assert {
        (match.honoured.name, "good", "effect 1"),
        (match.other.name, "OutcomeUnknown", None),
    } == call_endings
    assert {match.path(match.honoured): 2, match.path(match.other): 1} == match.bank.request_counts
    assert {1} == {len(marks) for marks in match.bank.effects.values()}
    for entry in history:
        if not entry.get("replayed"):
            claims = [trip for trip in entry["trips"] if trip["what"] == "Claim"]
            assert len(claims) > 1, "It did not wait for the key."
            assert all(claim["began"] <= lease_end for claim in claims[:-1])


@pytest.mark.parametrize("location", ["sqlite", "redis"], indirect=True)
def test_paused_holder_and_its_successor_agree(
    pool: WorkerPool,
    location: StoreLocation,
    vendor: VendorServer,
    name: str,
) -> None:
    """A paused process and the process that took over its idempotency key return the same response.

    At a vendor without keys nobody else has sent anything, and the holder's response counts.
    """
    is_async = location.kind == "redis"
    result = race(pool, location, vendor, name, takes=6, is_async=is_async)
    os.kill(result.holder.pid, signal.SIGSTOP)
    for waiter in result.waiters:
        waiter.wait_for("call", 2)
    os.kill(result.holder.pid, signal.SIGCONT)
    result.holder.wait_for("call", 2)
    call_outcomes = {
        item["service"]: (item["outcome"], item["value"])
        for item in result.holder.reports_of("call")
    }
    assert {
        result.honoured.name: ("good", "effect 1"),
        result.other.name: ("good", "effect 1"),
    } == call_outcomes

    job = Job(scenario="repeat", services=(result.honoured, result.other), state=location, key=KEY)
    for worker in (result.holder, *result.waiters):
        worker.wait_for("done")
    pool.give_back([result.holder, *result.waiters])
    repeated_outcomes = [
        (item["value"], item["replayed"]) for item in pool.work(job) if item["what"] == "call"
    ]
    assert [("effect 1", True)] * 2 == repeated_outcomes
    assert {
        result.path(result.honoured): 2,
        result.path(result.other): 1,
    } == result.bank.request_counts
