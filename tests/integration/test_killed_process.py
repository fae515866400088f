"""Checks the shared state of a process that was killed during its calls."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TYPE_CHECKING
from uuid import uuid4

import attrs
import pytest

from moorage import (
    CircuitBreakerConfig,
    CircuitBreakerOpen,
    ConnectorManager,
    OutcomeUnknown,
    Request,
    Service,
    VendorFailed,
)
from moorage.domain.service.plan import MARGIN
from moorage.testing import Behaviour, VendorServer
from tests.integration.conftest import KINDS
from tests.integration.store_locations import StoreLocation, now, wait_until
from tests.integration.workers import Job

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from moorage.testing.fakes.http_server import ReceivedRequest
    from tests.integration.worker_pool import WorkerPool, WorkerProcess

TIMEOUT = 2.0
LEASE = TIMEOUT + MARGIN
SETS = {kind: (kind,) for kind in (*KINDS, "shards")} | {
    "redis+sqlite": ("redis", "sqlite"),
    "redis+nats": ("redis", "nats"),
}


class Bank:
    """A vendor that kills its caller at the first request with each of two keys.

    It acts once for each idempotency key that it receives.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self.victim = 0
        self.received_keys: dict[str, list[str | None]] = {}
        self.effects: dict[str, int] = {}

    def answer(self, received: ReceivedRequest) -> Behaviour:
        """Act once per idempotency key, and on each request without a key.

        Do not respond to the first request.
        """
        path = received.path
        key = received.headers.get("idempotency-key")
        with self._lock:
            notices = self.received_keys.setdefault(path, [])
            notices.append(key)
            if key is None or notices.count(key) == 1:
                self.effects[path] = self.effects.get(path, 0) + 1
            if len(notices) > 1:
                return Behaviour(200, body=b"effect %d" % self.effects[path])
            if len(self.received_keys) == 2:
                os.kill(self.victim, signal.SIGKILL)
        return Behaviour(delay=3600)


@attrs.define
class KilledProcess:
    """A process that is killed while it probes a circuit and sends two requests.

    Attributes:
        probe: the service whose circuit is half open.
        honoured, other: services whose vendors honour and ignore idempotency keys.
        asked: the time at which the process asked to be the probe.
        refused: the time at which another process was refused shortly afterwards.
        retry_after: the wait in seconds of the refused process; None if that process was admitted.
    """

    place: StoreLocation
    claims: StoreLocation | None
    probe: Service
    honoured: Service
    other: Service
    bank: Bank = attrs.field(factory=Bank)
    asked: int = 0
    refused: int = 0
    retry_after: float | None = None

    @property
    def job(self) -> Job:
        """Return the job during which the process is killed."""
        return Job(
            scenario="hold",
            services=(self.probe, self.honoured, self.other),
            state=self.place,
            claims=self.claims,
        )

    @contextmanager
    def manager(self) -> Generator[ConnectorManager]:
        """Open the same services in another process."""
        with self.place.open() as state, (self.claims or self.place).open() as claims:
            keys = claims if self.claims else None
            with ConnectorManager(self.job.services, state=state, claims=keys) as manager:
                yield manager


@pytest.fixture(scope="module")
def killed_processes(
    pool: WorkerPool, request: pytest.FixtureRequest
) -> Iterator[dict[str, KilledProcess]]:
    """Yield a killed process for each store.

    All processes are prepared at the same time, so that their leases overlap.
    """
    fields = {}
    with VendorServer() as vendor:
        for name, kinds in SETS.items():
            try:
                places = [request.getfixturevalue(f"{kind}_location") for kind in kinds]
            except pytest.skip.Exception:
                continue
            fields[name] = _start_process(vendor, *places)
        workers = pool.prepare_workers([field.job for field in fields.values()])
        for process, worker in zip(fields.values(), workers, strict=True):
            _kill(process, worker)
        yield fields


def _start_process(
    vendor: VendorServer, location: StoreLocation, claims: StoreLocation | None = None
) -> KilledProcess:
    """Start a process with its services and its two requests."""
    marker = uuid4().hex
    circuit = CircuitBreakerConfig(failures=1, open_for=0.01, open_at_most=0.01)
    other_service = Service(f"other-{marker}", base_url=vendor.url, retry=None, timeout=TIMEOUT)
    dead_process = KilledProcess(
        location,
        claims,
        probe=Service(f"probe-{marker}", circuit=circuit, retry=None, timeout=TIMEOUT),
        honoured=attrs.evolve(
            other_service,
            name=f"honoured-{marker}",
            idempotency_header="Idempotency-Key",
            idempotency_memory=86_400,
        ),
        other=other_service,
    )
    for service in (dead_process.honoured, dead_process.other):
        vendor.always(dead_process.bank.answer, path=f"/{service.name}")
    with dead_process.manager() as manager:
        _break(manager, dead_process.probe.name)
    return dead_process


def _kill(killed: KilledProcess, worker: WorkerProcess) -> None:
    killed.bank.victim = worker.pid
    worker.go()
    worker.wait_for("inside")
    worker.wait_for_end()
    killed.asked = worker.reports_of("asking")[0]["at"]
    with killed.manager() as manager, suppress(VendorFailed):
        start_time = time.time()
        try:
            manager.run(killed.probe.name, _raise_vendor_failed)
        except CircuitBreakerOpen as error:
            killed.retry_after = error.retry_at.timestamp() - start_time if error.retry_at else None
    killed.refused = now()


def _raise_vendor_failed() -> None:
    raise VendorFailed("the vendor is down.")


def _break(manager: ConnectorManager, name: str) -> None:
    with pytest.raises(VendorFailed):
        manager.run(name, _raise_vendor_failed)


def _process_of_set(
    killed: dict[str, KilledProcess], name: str, request: pytest.FixtureRequest
) -> KilledProcess:
    for kind in SETS[name]:
        request.getfixturevalue(f"{kind}_location")
    return killed[name]


@pytest.mark.parametrize("kind", [*KINDS, "shards"])
def test_lease_of_a_dead_probe_ends(
    killed_processes: dict[str, KilledProcess], kind: str, request: pytest.FixtureRequest
) -> None:
    """The slot of a killed probe becomes free after the deadline of its attempt and a margin."""
    dead_process = _process_of_set(killed_processes, kind, request)
    if dead_process.retry_after is None:  # only on a machine that was suspended for seconds
        assert dead_process.refused - dead_process.asked > LEASE * 1e9
    else:
        assert 0 < dead_process.retry_after <= LEASE + 0.001

    def admitted_count() -> int:
        try:
            manager.run(dead_process.probe.name, lambda: None)
        except CircuitBreakerOpen:
            return 0
        return now()

    with dead_process.manager() as manager:
        admitted_at = wait_until(admitted_count, "no place for a probe")
    assert admitted_at - dead_process.asked >= LEASE * 1e9


@pytest.mark.parametrize("kinds", SETS)
def test_unknown_outcome_is_resent_under_its_key(
    killed_processes: dict[str, KilledProcess], kinds: str, request: pytest.FixtureRequest
) -> None:
    """A request with an unknown outcome is sent again under the same key, with one effect."""
    dead_process = _process_of_set(killed_processes, kinds, request)
    path, key = f"/{dead_process.honoured.name}", f"key of {dead_process.honoured.name}"
    with dead_process.manager() as manager:
        first, second = [
            manager.call(
                dead_process.honoured.name,
                Request.post(path, body=b"one"),
                idempotency_key=key,
                timeout=150,
            )
            for _ in range(2)
        ]
    assert (b"effect 1", b"effect 1") == (first.body, second.body)
    assert (False, True) == (first.replayed, second.replayed)
    assert [key, key] == dead_process.bank.received_keys[path]
    assert 1 == dead_process.bank.effects[path]


@pytest.mark.parametrize("kinds", SETS)
def test_unknown_outcome_is_not_resent_without_keys(
    killed_processes: dict[str, KilledProcess], kinds: str, request: pytest.FixtureRequest
) -> None:
    """A vendor without idempotency keys gets no second request.

    The error states what to look up.
    """
    dead_process = _process_of_set(killed_processes, kinds, request)
    path, key = f"/{dead_process.other.name}", f"key of {dead_process.other.name}"
    with dead_process.manager() as manager:
        for _ in range(2):
            with pytest.raises(OutcomeUnknown) as excinfo:
                manager.call(
                    dead_process.other.name,
                    Request.post(path, body=b"one"),
                    idempotency_key=key,
                    timeout=150,
                )
            assert key == excinfo.value.idempotency_key
            assert key in str(excinfo.value.lookup)
    assert [None] == dead_process.bank.received_keys[path]
    assert 1 == dead_process.bank.effects[path]
