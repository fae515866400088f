"""Reads the statistics of pipelines whenever metrics are collected."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.observers._description import NAMES
from moorage.domain.pipelines.settings import PipelineState, PipelineStatistics
from moorage.domain.values.weak_table import WeakTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from moorage.domain.pipelines.settings import ObservedPipeline

_NUMBERS: Final[Mapping[str, Callable[[PipelineStatistics], float | None]]] = {
    "messages.received": lambda numbers: numbers.received,
    "messages.processed": lambda numbers: numbers.processed,
    "messages.failed": lambda numbers: numbers.failed,
    "messages.retried": lambda numbers: numbers.retried,
    "dead_letters": lambda numbers: numbers.dead_letters,
    "inflight_messages": lambda numbers: numbers.records_in_flight,
    "lag": lambda numbers: numbers.lag,
    "processing.duration": lambda numbers: numbers.processing_duration,
    "batches": lambda numbers: numbers.batches,
    "connector_health": lambda numbers: int(numbers.state is PipelineState.RUNNING),
    "paused": lambda numbers: int(numbers.state is PipelineState.PAUSED),
}
"""Each number that is reported of a pipeline; None if it is not known."""

_DURATION: Final = "moorage_pipeline_processing_duration_seconds"

OF_PIPELINES: Final[Mapping[str, Any]] = {
    name: definition
    for name, definition in NAMES["prometheus"].items()
    if name.startswith("moorage_pipeline_")
}
"""The metrics of Prometheus that are read from pipelines, and not counted by events."""


class PipelineReadings:
    """Reads the statistics of registered pipelines; forgets pipelines no longer in use."""

    def __init__(self) -> None:
        self._pipelines: WeakTable[ObservedPipeline, None] = WeakTable()

    def watch(self, pipeline: ObservedPipeline) -> None:
        """Register a pipeline, to read its statistics later."""
        self._pipelines[pipeline] = None

    def read(self) -> Mapping[str, PipelineStatistics]:
        """Return the statistics by pipeline name; pipelines with the same name are summed up."""
        readings: dict[str, PipelineStatistics] = {}
        for pipeline in self._pipelines:
            current, previous_statistics = pipeline.statistics(), readings.get(pipeline.name)
            readings[pipeline.name] = (
                current
                if previous_statistics is None
                else _merged_statistics(current, previous_statistics)
            )
        return readings


def _merged_statistics(first: PipelineStatistics, second: PipelineStatistics) -> PipelineStatistics:
    """Return the summed statistics of two pipelines with the same name."""
    return second.plus(first) if first.state is PipelineState.RUNNING else first.plus(second)


def pipeline_callbacks(
    readings: PipelineReadings, observation: Callable[[float, dict[str, str]], Any]
) -> Mapping[str, Callable[[Any], Iterator[Any]]]:
    """Return OpenTelemetry's callbacks for pipelines, by metric name.

    Args:
        readings: reads the pipelines.
        observation: makes an observation of OpenTelemetry of a number and its attributes.
    """

    def observe(number: Callable[[PipelineStatistics], float | None], _: object) -> Iterator[Any]:
        for name, statistics in readings.read().items():
            value = number(statistics)
            if value is not None:
                yield observation(value, {"moorage.pipeline": name})

    return {f"moorage.pipeline.{name}": partial(observe, _NUMBERS[name]) for name in _NUMBERS}


class PipelineCollector:
    """Reads the pipelines when Prometheus collects this process's metrics.

    Args:
        readings: reads the pipelines.
        client: the module with the classes of metric families.
    """

    def __init__(self, readings: PipelineReadings, client: Any) -> None:
        self._readings = readings
        self._client = client

    def collect(self) -> Iterator[Any]:
        """Yield the metrics with their current values."""
        readings = self._readings.read()
        for name, family in self._families():
            for pipeline, statistics in readings.items():
                if name == _DURATION:
                    batches, seconds = statistics.batches, statistics.processing_duration
                    family.add_metric([pipeline], count_value=batches, sum_value=seconds)
                    continue
                value = _number(name)(statistics)
                if value is not None:
                    family.add_metric([pipeline], value)
            yield family

    def describe(self) -> Iterator[Any]:
        """Yield the metrics without values, so that the registry reserves their names."""
        for _, family in self._families():
            yield family

    def _families(self) -> Iterator[tuple[str, Any]]:
        for name, definition in OF_PIPELINES.items():
            family = getattr(self._client, f"{definition['type'].capitalize()}MetricFamily")
            yield name, family(name, definition["description"], labels=definition["labels"])


def _number(name: str) -> Callable[[PipelineStatistics], float | None]:
    """Return the function that reads a metric's value from a pipeline's statistics."""
    key = name.removeprefix("moorage_pipeline_").removesuffix("_total")
    return _NUMBERS[key.replace("messages_", "messages.")]
