"""All observers, logs and tables of moorage together, for the search for leaked secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest

from moorage import LogContent, LoggedCalls, LogQuery
from moorage.adapters.logs.export import entries_of, export
from moorage.adapters.observers.opentelemetry import OpenTelemetryObserver
from moorage.adapters.observers.prometheus import PrometheusObserver
from moorage.adapters.observers.standard_logging import LoggingObserver
from moorage.wiring.store_urls import open_log, open_metrics

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from moorage import Service


class LoggedOutputs:
    """All observers, a log with requests and responses, and metrics, in files of a folder.

    Attributes:
        observers: the observers for a manager.
        log: the integration log for a manager.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._spans, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        self._registry = CollectorRegistry()
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self._metrics: Any = open_metrics(f"sqlite:///{folder / 'metrics.db'}", create=True)
        self.log: Any = open_log(f"sqlite:///{folder / 'calls.db'}", create=True)
        self.observers = [
            LoggingObserver(),
            OpenTelemetryObserver(tracer_provider=tracers, meter_provider=meters),
            PrometheusObserver(self._registry),
            self._metrics,
        ]

    def logged(self, service: Service) -> Service:
        """Return a service whose requests and responses are all stored in the log."""
        return attrs.evolve(service, log_content=LogContent(LoggedCalls.ALL))

    def outputs(self) -> Iterator[tuple[str, object]]:
        """Yield the data that observers sent to other programs, after completing the files."""
        yield from (
            (f"span {span.name}", span.to_json()) for span in self._spans.get_finished_spans()
        )
        data = self._reader.get_metrics_data()
        yield "metrics of OpenTelemetry", "" if data is None else data.to_json()
        yield "metrics of Prometheus", generate_latest(self._registry)  # type: ignore[no-untyped-call]  # not typed
        for kind in ("csv", "jsonl", "parquet"):
            entries = entries_of(self.log, LogQuery(limit=1_000))
            export(kind, entries, self._folder / f"calls.{kind}")
        self.log.close()
        self._metrics.close()
