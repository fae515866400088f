"""All processes share one circuit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    CircuitBreakerConfig,
    CircuitState,
    ConnectorManager,
    Service,
    VendorFailed,
)
from tests.integration.history_measurements import most_at_once
from tests.integration.worker_pool import calls
from tests.integration.workers import Job

if TYPE_CHECKING:
    from tests.integration.store_locations import StoreLocation
    from tests.integration.worker_pool import WorkerPool


def _service(name: str, **rules: Any) -> Service:
    rules = {"failures": None, "consecutive_failures": None, **rules}
    return Service(name, circuit=CircuitBreakerConfig(**rules), retry=None)


def _fail(manager: ConnectorManager, name: str) -> None:
    def raise_vendor_failed() -> None:
        raise VendorFailed("the vendor is down.")

    with pytest.raises(VendorFailed):
        manager.run(name, raise_vendor_failed)


@pytest.mark.parametrize(
    "rules", [{"failures": 13}, {"failure_rate": 0.5, "minimum_calls": 13}], ids=" and ".join
)
def test_failures_of_all_processes_count_together(
    pool: WorkerPool, location: StoreLocation, name: str, rules: dict[str, Any]
) -> None:
    """Failures in six processes open their shared circuit, even if no process saw enough."""
    service = _service(name, **rules)
    job = Job(scenario="call", services=(service,), state=location, threads=2, fails=1)
    with location.open() as store, ConnectorManager([service], state=store) as manager:
        first = pool.work(*[job] * 6)
        circuit_state = manager.circuit_state(name)
        _fail(manager, name)
        opened_circuit = manager.circuit_state(name)
        second = pool.work(*[job] * 6)
    assert ["VendorFailed"] * 12 == [call["outcome"] for call in calls(first)]
    assert (CircuitState.CLOSED, 12) == (circuit_state.state, circuit_state.failures)
    assert CircuitState.OPEN == opened_circuit.state
    assert ["CircuitBreakerOpen"] * 12 == [call["outcome"] for call in calls(second)]
    assert not any(call["starts"] for call in calls(second))


def test_quorum_counts_processes(pool: WorkerPool, location: StoreLocation, name: str) -> None:
    """If a circuit needs the failures of several processes, one process alone does not open it."""
    service = _service(name, failures=3, quorum=3)
    job = Job(scenario="call", services=(service,), state=location, threads=2, calls=3, fails=1)
    with location.open() as store, ConnectorManager([service], state=store) as manager:
        process_reports = pool.work(job)
        state_after_one = manager.circuit_state(name).state
        _fail(manager, name)
        state_after_two = manager.circuit_state(name).state
        with ConnectorManager([service], state=store) as third:
            _fail(third, name)
        state_after_three = manager.circuit_state(name).state
    assert 6 == sum(len(call["starts"]) for call in calls(process_reports))
    assert (CircuitState.CLOSED, CircuitState.CLOSED, CircuitState.OPEN) == (
        state_after_one,
        state_after_two,
        state_after_three,
    )


def test_probes_are_counted_over_all_processes(
    pool: WorkerPool, location: StoreLocation, name: str
) -> None:
    """At most the allowed number of probes runs at once, over all processes."""
    service = _service(
        name,
        failures=1,
        probes=2,
        successes=1_000,
        open_for=0.02,
        open_growth=1.0,
    )
    job = Job(
        scenario="call",
        services=(service,),
        state=location,
        threads=2,
        calls=50,
        between=0.005,
        fails=2,
    )
    with location.open() as store, ConnectorManager([service], state=store) as manager:
        _fail(manager, name)
        jobs = [attrs.evolve(job, takes=0.02 * number) for number in range(1, 7)]
        history = calls(pool.work(*jobs))
        openings = manager.circuit_state(name).openings
    probes = [call for call in history if call["starts"]]
    starts = [time for call in probes for time in call["starts"]]
    assert 2 >= most_at_once(starts, [time for call in probes for time in call["ends"]])
    assert len(history) > len(probes) > 5
    assert len({call["process"] for call in probes}) > 1
    assert openings > 1
    assert {"good", "VendorFailed", "CircuitBreakerOpen"} == {call["outcome"] for call in history}
