"""The Prometheus observer, with the real client library."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import NoOpTracerProvider
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition

from moorage import (
    AttemptFinished,
    BulkheadShrank,
    CallFinished,
    CircuitBreakerOpen,
    ConfigurationError,
    ConnectorManager,
    LogEntriesLost,
    Request,
    Response,
    Service,
    VendorFailed,
)
from moorage.adapters.logs.memory import MemoryIntegrationLogger
from moorage.adapters.observers.opentelemetry import OpenTelemetryObserver
from moorage.adapters.observers.prometheus import OTHER, PrometheusObserver, exemplar_of
from moorage.testing import FakeVendor, RecordingObserver, ScriptedHttpClient, VirtualClock
from tests.adapters.observed import ANSWERS, CANARY, CREDENTIALS, OPENS_AT_ONCE, manager_of
from tests.support.intervening_thread import InterveningThread

if TYPE_CHECKING:
    from pathlib import Path

    from moorage import Event
    from moorage.ports.observer import Observer


NUMBER = 100_000 if os.environ.get("MOORAGE_LONG") else 1_000
"""The number of different URLs, keys and tenants."""


def openmetrics(registry: CollectorRegistry) -> bytes:
    """Return the metrics of a registry in the OpenMetrics format, with exemplars."""
    text: bytes = exposition.generate_latest(registry)  # type: ignore[no-untyped-call]  # the client's
    return text


def test_calls_are_counted() -> None:
    """Calls, attempts, retries, rejections and circuits are counted per service and operation."""
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry)
    manager, _ = manager_of(observer, *ANSWERS)
    manager.call("erp", Request.get("/invoices/7"))
    failing_manager, _ = manager_of(observer, Response(503), circuit=OPENS_AT_ONCE, retry=None)
    with pytest.raises(VendorFailed):
        failing_manager.call("erp", Request.get("/stock"))
    with pytest.raises(CircuitBreakerOpen):
        failing_manager.call("erp", Request.get("/stock"))

    def value(name: str, **labels: str) -> float | None:
        labels = {"service": "erp", "operation": "", **labels}
        return registry.get_sample_value(name, labels)

    invoice = {"operation": "invoice"}
    assert 1 == value("moorage_call_duration_seconds_count", error="", **invoice)
    assert 1 == value("moorage_retries_total", error="VendorFailed", **invoice)
    assert 1 == value("moorage_attempts_total", status="200", error="", **invoice)
    assert 1 == value("moorage_attempts_total", status="503", error="VendorFailed")
    assert 1 == value("moorage_refusals_total", error="CircuitBreakerOpen")
    assert 2 == registry.get_sample_value(
        "moorage_circuit_state", {"service": "erp", "circuit": "erp"}
    )
    assert 1 == value("moorage_outcomes_total", outcome="unknown")
    observer(BulkheadShrank(at=datetime(2026, 1, 1, tzinfo=UTC), service="erp", limit=3))
    assert 1 == value("moorage_bulkhead_shrinks_total")


def test_events_without_a_call_are_counted() -> None:
    """Events that a host creates itself are counted like those of real calls."""
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry, max_operations=1)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    for service in ("erp", "tax", "tax"):
        observer(AttemptFinished(at=now, service=service, attempt=1, duration=0.2, status=200))
        observer(CallFinished(at=now, service=service, started_at=now, duration=0.2, attempts=1))

    samples = [
        registry.get_sample_value(
            name, {"service": service, "operation": operation, "error": "", **labels}
        )
        for service, operation in (("erp", ""), (OTHER, OTHER))
        for name, labels in (
            ("moorage_attempts_total", {"status": "200"}),
            ("moorage_call_duration_seconds_count", {}),
        )
    ]
    assert [1, 1, 2, 2] == samples


def test_functions_and_interruptions_have_no_status() -> None:
    """A function's attempt is counted without HTTP status, an interrupted call as cancelled."""
    registry = CollectorRegistry()
    manager = ConnectorManager([Service("tax")], observers=[PrometheusObserver(registry)])

    def be_interrupted() -> None:
        raise KeyboardInterrupt

    manager.run("tax", lambda: None)
    with pytest.raises(KeyboardInterrupt):
        manager.run("tax", be_interrupted)

    labels = {"service": "tax", "operation": ""}
    attempts = registry.get_sample_value(
        "moorage_attempts_total", {**labels, "status": "", "error": ""}
    )
    cancelled = registry.get_sample_value(
        "moorage_call_duration_seconds_count", {**labels, "error": "cancelled"}
    )
    assert (1, 1) == (attempts, cancelled)


def test_lost_entries_are_counted() -> None:
    """Log entries that the integration log lost are counted."""
    registry, log = CollectorRegistry(), MemoryIntegrationLogger()
    recorder = RecordingObserver()
    log.lost = 2  # type: ignore[attr-defined]  # as logs in a table have it
    manager = ConnectorManager(
        [Service("tax")], observers=[PrometheusObserver(registry), recorder], log=log
    )

    manager.run("tax", lambda: None)

    assert 1 == len(recorder.of(LogEntriesLost))
    assert 2 == registry.get_sample_value("moorage_log_entries_lost_total")


def test_tenants_near_their_bound_of_records_are_counted() -> None:
    """A tenant that reaches 80 % of its allowed records is counted once, without its name."""
    registry = CollectorRegistry()
    manager = ConnectorManager(
        [Service("tax")], observers=[PrometheusObserver(registry)], records_per_tenant=10
    )

    def number_after_calls(tenant: str, *keys: int) -> float | None:
        for key in keys:
            manager.run("tax", lambda: None, tenant=tenant, idempotency_key=f"key-{key}")
        return registry.get_sample_value("moorage_tenant_records_near_bound_total")

    assert 0 == number_after_calls("acme", *range(7))
    assert 1 == number_after_calls("acme", 7, 8, 9)
    assert 2 == number_after_calls("globex", *range(8))
    assert b"globex" not in generate_latest(registry)


@pytest.mark.untraced
def test_urls_keys_and_tenants_add_no_series() -> None:
    """Different paths, keys, ids and tenants do not create further series of metrics."""
    registry, reader = CollectorRegistry(), InMemoryMetricReader()
    telemetry = OpenTelemetryObserver(
        meter_provider=MeterProvider([reader], shutdown_on_exit=False),
        tracer_provider=NoOpTracerProvider(),
    )
    service = Service("erp", base_url="https://erp.example", circuit=None)
    http = ScriptedHttpClient(FakeVendor(Response(200)))
    observers: list[Observer] = [PrometheusObserver(registry), telemetry]
    manager = ConnectorManager([service], http=http, observers=observers)

    def series() -> tuple[int, int]:
        data = reader.get_metrics_data()
        metrics = data.resource_metrics[0].scope_metrics[0].metrics if data else ()
        points = sum(len(metric.data.data_points) for metric in metrics)
        return generate_latest(registry).count(b"\n"), points

    recorder = RecordingObserver()
    ConnectorManager([service], http=http, observers=[*observers, recorder]).call(
        "erp", Request.post("/warm"), tenant="warm", idempotency_key="warm"
    )
    manager.call("erp", Request.get("/warm"))
    series_before = series()
    (finished_event,) = recorder.of(CallFinished)
    for number in range(NUMBER):
        tenant, request_id = f"tenant-{number}", f"id-{number}"
        request = Request.get(f"/stock/{number}")
        manager.call("erp", request, tenant=tenant, request_id=request_id)
        event = attrs.evolve(
            finished_event, tenant=tenant, request_id=request_id, idempotency_key=f"key-{number}"
        )
        for observer in observers:
            observer(event)

    assert series_before == series()
    labels = {"service": "erp", "operation": "", "outcome": "done"}
    assert 2 + 2 * NUMBER == registry.get_sample_value("moorage_outcomes_total", labels)


def test_operations_are_bounded() -> None:
    """Beyond `max_operations`, further services and operations are counted as "other"."""
    registry = CollectorRegistry()
    services = [Service(f"s{number}") for number in range(5)]
    observer = PrometheusObserver(registry, max_operations=2)
    manager = ConnectorManager(services, observers=[observer])
    for service in services:
        manager.run(service.name, lambda: None)

    labels = {"service": OTHER, "operation": OTHER, "error": ""}
    assert 3 == registry.get_sample_value("moorage_call_duration_seconds_count", labels)


@pytest.mark.parametrize("form", CREDENTIALS)
def test_no_secret_is_exposed(form: str) -> None:
    """No credential and no path appears in a Prometheus metric or exemplar."""
    registry = CollectorRegistry()
    manager, _ = manager_of(PrometheusObserver(registry), *ANSWERS, credentials=CREDENTIALS[form])

    manager.call("erp", Request.get(f"/invoices/{CANARY}"))

    assert CANARY not in openmetrics(registry).decode()


def test_exemplars_name_the_call() -> None:
    """A call's duration has the call's correlation id as exemplar, unless the id is too long."""
    registry = CollectorRegistry()
    manager = ConnectorManager([Service("tax")], observers=[PrometheusObserver(registry)])
    recorder = RecordingObserver()

    manager.run("tax", lambda: None, request_id="order-7")
    ConnectorManager([Service("tax")], observers=[recorder]).run(
        "tax", lambda: None, request_id="x" * 200
    )

    assert 'request_id="order-7"' in openmetrics(registry).decode()
    assert exemplar_of(recorder.events[-1]) is None


def test_exemplars_are_made_once_a_second() -> None:
    """A histogram bucket gets at most one exemplar a second."""
    clock = VirtualClock()
    values: list[float] = []

    def exemplar(event: Event) -> dict[str, str]:
        assert isinstance(event, CallFinished)
        values.append(event.duration)
        return {"request_id": "one"}

    registry = CollectorRegistry()
    observer = PrometheusObserver(registry, exemplar=exemplar)
    manager = ConnectorManager([Service("tax")], observers=[observer], clock=clock)
    for seconds in (0.0, 0.002, 0.2, 0.001, 0.9, 0.003):
        manager.run("tax", partial(clock.advance, seconds))
    earlier_manager = ConnectorManager([Service("tax")], observers=[observer], clock=VirtualClock())
    earlier_manager.run("tax", lambda: None)

    assert [0.0, 0.2, 0.9, 0.003, 0.0] == values
    labels = {"service": "tax", "operation": "", "error": ""}
    assert 7 == registry.get_sample_value("moorage_call_duration_seconds_count", labels)


@pytest.mark.parametrize("number", [1, 499, 500, 1_234])
def test_many_successes_are_counted_exactly(number: int) -> None:
    """When metrics are read, they include all successes so far, however many there are."""
    registry, clock = CollectorRegistry(), VirtualClock()
    manager = ConnectorManager(
        [Service("tax")], observers=[PrometheusObserver(registry)], clock=clock
    )
    for position in range(number):
        manager.run("tax", partial(clock.advance, (0.001, 0.005, 0.3, 100.0)[position % 4]))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, {"service": "tax", "operation": "", **labels})

    quick_count = sum(1 for position in range(number) if position % 4 < 2)
    total = sum((0.001, 0.005, 0.3, 100.0)[position % 4] for position in range(number))
    assert number == value("moorage_outcomes_total", outcome="done")
    assert number == value("moorage_attempts_total", status="", error="")
    assert number == value("moorage_call_duration_seconds_count", error="")
    assert quick_count == value("moorage_call_duration_seconds_bucket", error="", le="0.005")
    assert pytest.approx(total) == value("moorage_call_duration_seconds_sum", error="")


def test_successes_of_many_threads_are_all_counted() -> None:
    """Each success is counted exactly once while threads count and others read the metrics."""
    registry = CollectorRegistry()
    manager = ConnectorManager([Service("tax")], observers=[PrometheusObserver(registry)])

    def make_calls() -> None:
        for _ in range(1_500):
            manager.run("tax", lambda: None)

    threads = [threading.Thread(target=make_calls) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        generate_latest(registry)
    for thread in threads:
        thread.join()

    labels = {"service": "tax", "operation": "", "outcome": "done"}
    assert 6_000 == registry.get_sample_value("moorage_outcomes_total", labels)


def test_observers_share_the_metrics_of_a_registry() -> None:
    """Two Prometheus observers on the same registry share their metrics."""
    assert PrometheusObserver()._metrics is PrometheusObserver(REGISTRY)._metrics  # noqa: SLF001 - or it raises


WORKER = """
from moorage import ConnectorManager, Service
from moorage.adapters.observers.prometheus import PrometheusObserver

manager = ConnectorManager([Service("tax")], observers=[PrometheusObserver()])
for _ in range(3):
    manager.run("tax", lambda: None)
"""
READER = """
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

registry = CollectorRegistry()
MultiProcessCollector(registry)
print(generate_latest(registry).decode())
"""


def test_metrics_of_several_processes_are_added_up(tmp_path: Path) -> None:
    """In multiprocess mode each metric is the sum over all processes."""

    def program(text: str) -> str:
        environment = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PATH": ""}
        return subprocess.run(
            [sys.executable, "-c", text],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    program(WORKER)
    program(WORKER)

    labels = 'error="",operation="",service="tax"'
    assert f"moorage_call_duration_seconds_count{{{labels}}} 6.0" in program(READER)


def test_package_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without prometheus-client installed, the error names the pip extra to install."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    with pytest.raises(ConfigurationError, match=r"prometheus-client.*\[prometheus\]"):
        PrometheusObserver()


class RegistryInUse(CollectorRegistry):
    """A registry in which another thread makes an observer while a metric is being registered."""

    def __init__(self) -> None:
        super().__init__()
        self.other_thread = InterveningThread(lambda: PrometheusObserver(self))

    def register(self, collector: Any) -> None:
        """Register a metric, after another thread has begun to make its observer."""
        self.other_thread.start()
        super().register(collector)


def test_observers_of_two_threads_share_metrics_of_registry() -> None:
    """Two threads can make observers for one registry at the same time, and share its metrics."""
    registry = RegistryInUse()
    observer = PrometheusObserver(registry)
    other_observer = registry.other_thread.result()
    assert observer._metrics is other_observer._metrics  # noqa: SLF001 - nobody else can tell
