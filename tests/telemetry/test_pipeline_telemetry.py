"""Metrics of pipelines, with the SDK of OpenTelemetry and the client of Prometheus."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, generate_latest

from moorage import (
    BatchLimits,
    ConnectionFailed,
    ConnectorManager,
    InvalidData,
    Pipeline,
    PipelineConfig,
    PipelineState,
    PipelineStatistics,
    RetryPolicy,
    Service,
)
from moorage.adapters.observers._description import NAMES
from moorage.adapters.observers._pipelines import OF_PIPELINES, PipelineReadings
from moorage.adapters.observers.prometheus import PrometheusObserver
from moorage.hub.internals import core_of
from moorage.testing import MemoryDeadLetters, MemorySink, MemorySource, make_records
from tests.adapters.test_opentelemetry import Telemetry

if TYPE_CHECKING:
    from moorage import SinkRecord

QUICK_RETRIES = RetryPolicy(max_attempts=3, base_delay=0.0001, max_delay=0.0001)
LABELS = {"pipeline": "orders"}


class Outage:
    """A function that refuses the third record always, and the fifth record once."""

    def __init__(self) -> None:
        self._is_over = False

    def __call__(self, record: SinkRecord) -> Exception | None:
        """Return the error for a record, or None."""
        number = record.json()["number"]
        if number == 3:
            return InvalidData("bad")
        if number == 5 and not self._is_over:
            self._is_over = True
            return ConnectionFailed("down", may_have_been_processed=False)
        return None


def faulty() -> Pipeline:
    """Return a pipeline of ten records, of which one becomes a dead letter and one is retried."""
    return Pipeline(
        "orders",
        MemorySource(make_records(10)),
        MemorySink(judge=Outage()),
        dead_letters=MemoryDeadLetters(),
        config=PipelineConfig(retry=QUICK_RETRIES, batch=BatchLimits(records=1)),
    )


class FixedPipeline:
    """A pipeline whose statistics a test sets."""

    name = "orders"

    def __init__(self, **numbers: Any) -> None:
        self._numbers = PipelineStatistics(**numbers)

    def set(self, **numbers: Any) -> None:
        """Change the statistics."""
        self._numbers = PipelineStatistics(**numbers)

    def statistics(self) -> PipelineStatistics:
        """Return the statistics that the test has set."""
        return self._numbers


def test_prometheus_reads_pipelines_when_asked() -> None:
    """At each scrape, Prometheus reads the pipeline's statistics at that moment."""
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry)
    pipeline = faulty()
    observer.watch_pipeline(pipeline)

    def value(name: str) -> float | None:
        return registry.get_sample_value(f"moorage_pipeline_{name}", LABELS)

    assert (0, 0) == (value("messages_received_total"), value("connector_health"))
    statistics = asyncio.run(pipeline.run()).statistics
    assert (10, 9, 2, 1, 1, 0, 0, 10) == tuple(
        value(name)
        for name in (
            "messages_received_total",
            "messages_processed_total",
            "messages_failed_total",
            "messages_retried_total",
            "dead_letters_total",
            "inflight_messages",
            "connector_health",
            "processing_duration_seconds_count",
        )
    )
    assert 0 < statistics.processing_duration == value("processing_duration_seconds_sum")


def test_opentelemetry_reads_pipelines_when_asked() -> None:
    """Each pipeline metric is in the registry of names; its only attribute is the pipeline."""
    telemetry = Telemetry()
    manager = ConnectorManager([Service("erp")], observers=[telemetry.observer, print])
    pipeline = faulty()
    core_of(manager).watch_pipeline(pipeline)
    asyncio.run(pipeline.run())

    metrics = telemetry.metrics()
    expected = {name for name in NAMES["metrics"] if name.startswith("moorage.pipeline.")}
    # The source cannot be measured any more.
    assert expected - {"moorage.pipeline.lag"} == set(metrics)
    values = {}
    for name, metric in metrics.items():
        (point,) = metric.data.data_points
        assert {"moorage.pipeline": "orders"} == dict(point.attributes)
        assert NAMES["metrics"][name]["unit"] == metric.unit
        values[name.removeprefix("moorage.pipeline.")] = point.value
    assert 0 < values.pop("processing.duration")
    assert {
        "messages.received": 10,
        "messages.processed": 9,
        "messages.failed": 2,
        "messages.retried": 1,
        "dead_letters": 1,
        "inflight_messages": 0,
        "batches": 10,
        "connector_health": 0,
        "paused": 0,
    } == values


def test_lag_is_metric_while_source_can_tell_it() -> None:
    """A source's lag is a metric only while it is known; it is never reported as 0 instead."""
    registry, telemetry = CollectorRegistry(), Telemetry()
    manager = ConnectorManager([Service("erp")], observers=[telemetry.observer])
    observer, pipeline = PrometheusObserver(registry), FixedPipeline(lag=7)
    observer.watch_pipeline(pipeline)
    core_of(manager).watch_pipeline(pipeline)
    (point,) = telemetry.metrics()["moorage.pipeline.lag"].data.data_points

    assert 7 == point.value == registry.get_sample_value("moorage_pipeline_lag", LABELS)
    pipeline.set(lag=None)
    assert registry.get_sample_value("moorage_pipeline_lag", LABELS) is None


def test_pause_shows_in_metric_of_its_own() -> None:
    """A pause has its own metric, so that the alert about idle pipelines can exclude pauses."""
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry)
    pipeline = FixedPipeline(state=PipelineState.PAUSED)
    observer.watch_pipeline(pipeline)

    samples = [
        registry.get_sample_value(f"moorage_pipeline_{name}", LABELS)
        for name in ("connector_health", "paused")
    ]
    assert [0, 1] == samples
    alert = NAMES["prometheus"]["moorage_pipeline_connector_health"]["alerts"][
        "MooragePipelineDown"
    ]
    assert alert["expr"].endswith(" unless max by (pipeline) (moorage_pipeline_paused) == 1")


def test_names_of_prometheus_are_registered() -> None:
    """Each Prometheus metric of pipelines has a description, and only the pipeline as its label."""
    registry = CollectorRegistry()
    PrometheusObserver(registry)

    text = generate_latest(registry).decode()
    for name, definition in OF_PIPELINES.items():
        assert ["pipeline"] == definition["labels"]
        assert f"# TYPE {name} {definition['type']}" in text


def test_numbers_of_pipelines_with_one_name_are_added() -> None:
    """Statistics of pipelines with one name are added up; the state is running only if all run."""
    readings = PipelineReadings()
    running = FixedPipeline(state=PipelineState.RUNNING, received=2, processing_duration=0.5)
    lost_pipeline = FixedPipeline(
        state=PipelineState.RECONNECTING, received=3, processing_duration=0.25
    )
    readings.watch(running)
    readings.watch(lost_pipeline)

    (statistics,) = readings.read().values()
    assert (
        FixedPipeline(
            state=PipelineState.RECONNECTING, received=5, processing_duration=0.75
        ).statistics()
        == statistics
    )
    del running, lost_pipeline
    assert {} == readings.read()


def test_two_running_pipelines_with_one_name_are_reported_as_one_running_pipeline() -> None:
    """Two running pipelines with one name are reported as one running pipeline."""
    readings = PipelineReadings()
    pipelines = [FixedPipeline(state=PipelineState.RUNNING, received=1) for _ in range(2)]
    for pipeline in pipelines:
        readings.watch(pipeline)

    statistics = readings.read()["orders"]
    assert (PipelineState.RUNNING, 2) == (statistics.state, statistics.received)
