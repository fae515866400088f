"""Exported telemetry answers an operator's questions about a run with faults."""

from __future__ import annotations

import os
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from moorage.adapters.observers.opentelemetry import OpenTelemetryObserver
from tests.telemetry.faulted_run import FaultedRun, true_answers
from tests.telemetry.operator_answers import answers

NUMBER = 10_000 if os.environ.get("MOORAGE_LONG") else 1_000
"""The number of calls of the run."""


def close(value: Any) -> Any:
    """Return a value that equals any number within a millisecond per call of the given one."""
    if isinstance(value, float):
        return pytest.approx(value, abs=NUMBER / 1000, rel=1e-3)
    if isinstance(value, dict):
        return {name: close(item) for name, item in value.items()}
    return value


@pytest.mark.untraced
@pytest.mark.parametrize("seed", [7, 8])
def test_telemetry_answers_every_question(seed: int) -> None:
    """Each of 21 figures computed from spans equals what the vendors and callers recorded."""
    exporter = InMemorySpanExporter()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    observer = OpenTelemetryObserver(
        tracer_provider=tracers, meter_provider=MeterProvider(shutdown_on_exit=False)
    )
    run = FaultedRun(NUMBER, observer, seed=seed)

    run.run()
    reports = answers([span.to_json() for span in exporter.get_finished_spans()])

    assert NUMBER == len(run.records)
    truth = true_answers(run)
    assert {name: close(value) for name, value in truth.items()} == reports
    assert [] == [name for name, value in truth.items() if not value]
    assert {order for order, effects in _effect_counts(run).items() if effects > 1} <= {
        *reports["orders that may have been charged twice"],
        *reports["orders that may have been booked twice"],
    }


def _effect_counts(run: FaultedRun) -> dict[str, int]:
    """Return how often the vendor really carried out each order."""
    effects: dict[str, int] = {}
    for record in run.of("pay", "erp"):
        effects[record.order] = effects.get(record.order, 0) + record.effects
    return effects
