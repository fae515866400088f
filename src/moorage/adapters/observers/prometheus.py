"""An observer that counts calls for Prometheus."""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from importlib import import_module
from itertools import pairwise
from math import inf
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from weakref import WeakKeyDictionary

from moorage.adapters.concurrency.forking import ForkSafeLock
from moorage.adapters.observers._description import (
    CIRCUIT_OPEN,
    CIRCUIT_STATES,
    NAMES,
    holder_of,
)
from moorage.adapters.observers._pipelines import (
    OF_PIPELINES,
    PipelineCollector,
    PipelineReadings,
)
from moorage.adapters.observers._pools import PoolReadings
from moorage.domain.monitoring.health import HealthState
from moorage.domain.observation.call_events import (
    AttemptFinished,
    CallFinished,
    ending_of,
    operation_of,
    success_event,
)
from moorage.domain.observation.call_identity import CallOutcome
from moorage.domain.observation.events import (
    BulkheadShrank,
    BulkheadWaited,
    CallRefused,
    CircuitChanged,
    ConnectorChecked,
    Event,
    LogEntriesLost,
    RateLimitWaited,
    RetryScheduled,
    TenantRecordsNearBound,
    VendorPaused,
)
from moorage.domain.observation.late_fields import facts_of
from moorage.domain.values.durations import count
from moorage.domain.values.installation import install
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from moorage.domain.connectors.pool_statistics import PoolSource
    from moorage.domain.observation.call_events import AttemptFacts, CallFacts, SuccessFacts
    from moorage.domain.pipelines.settings import ObservedPipeline

_EndKey: TypeAlias = "tuple[str, str | None, str | None, bool, CallOutcome]"
"""A service, an operation, an error, whether the call was cancelled, and its outcome."""

_AttemptKey: TypeAlias = "tuple[str, str | None, int | None, str | None]"
"""A service, an operation, a status and an error."""

OTHER: Final = "other"
"""The label of whatever is beyond the limit of a label's values."""

_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_BOUNDS_IN_NANOSECONDS: Final = tuple(round(bound * 1e9) for bound in _BUCKETS)
"""The upper bounds of the buckets in nanoseconds."""

_LONGEST_ID: Final = 64
_MOST_PENDING: Final = 500
"""The number of successful calls of a series that wait to be added to the metrics at most."""

_CONNECTIONS: Final = "moorage_pool_connections"
_WAITING_METRIC: Final = "moorage_pool_waiting"
_MAXIMUM: Final = "moorage_pool_maximum"
_POOL_METRICS: Final = (_CONNECTIONS, _WAITING_METRIC, _MAXIMUM)
"""The metrics that are read from pools, and not counted by events."""

_POOL_INTERVAL: Final = 1_000_000_000
"""Nanoseconds between two readings of the pools in the multiprocess mode."""

_SHARED_FOLDER: Final = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")
"""The variables of the environment that turn on the multiprocess mode of prometheus-client."""

_UP_STATES: Final = frozenset({HealthState.HEALTHY, HealthState.DEGRADED})
_EXEMPLAR_INTERVAL: Final = 1_000_000_000
"""The least nanoseconds between two exemplars of a bucket, because making one is expensive."""


def exemplar_of(event: Event) -> Mapping[str, str] | None:
    """Return a call's correlation id as an exemplar; None if it is missing or too long."""
    request_id = event.request_id or ""
    return {"request_id": request_id} if 0 < len(request_id) <= _LONGEST_ID else None


class _Metrics:
    """The Prometheus metrics of one registry, which several observers may share."""

    def __init__(self, client: Any, registry: Any) -> None:
        options: dict[str, dict[str, Any]] = {
            "histogram": {"buckets": _BUCKETS},
            "gauge": {"multiprocess_mode": "mostrecent"},
        }
        self.pools = PoolReadings()
        self.pipelines = PipelineReadings()
        families = import_module("prometheus_client.core")
        registry.register(PipelineCollector(self.pipelines, families))
        self.is_shared = any(name in os.environ for name in _SHARED_FOLDER)
        self._successes: list[_Successes] = []
        kinds = _kinds(client, self._add_waiting_calls)
        self._metrics = {
            name: kinds[definition["type"]](
                name,
                definition["description"],
                definition["labels"],
                registry=registry,
                **options.get(definition["type"], {}),
            )
            for name, definition in NAMES["prometheus"].items()
            if name not in _POOL_METRICS and name not in OF_PIPELINES
        }
        if self.is_shared:
            for name in _POOL_METRICS:
                definition = NAMES["prometheus"][name]
                self._metrics[name] = client.Gauge(
                    name,
                    definition["description"],
                    definition["labels"],
                    registry=registry,
                    multiprocess_mode="livesum",
                )
        else:
            registry.register(_PoolCollector(self.pools, families))
        self._pools_read_at: int | None = None
        self._series: dict[tuple[str, ...], Any] = {}

    def __getitem__(self, name: str) -> Any:
        return self._metrics[f"moorage_{name}"]

    def series(self, name: str, *labels: str) -> Any:
        """Return one time series of a metric, found faster than by Prometheus's client."""
        key = (name, *labels)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = self[name].labels(*labels)
        return series

    def successes(self, ends: _CallSeries, attempts: Any) -> _Successes:
        """Return the queue of a series' successful calls; reading the metrics empties the queue."""
        # In multiprocess mode, other processes read the files, so no value may wait in memory.
        successes = _Successes(ends, attempts, 1 if self.is_shared else _MOST_PENDING)
        self._successes.append(successes)
        return successes

    def _add_waiting_calls(self) -> None:
        for successes in self._successes:
            successes.fold()

    def set_pools(self, now: int | None) -> None:
        """Write the statistics of connection pools to the files for multi-process metrics.

        Only in the multiprocess mode, and at most once a second by `now`, a time of the local
        clock.
        """
        last = self._pools_read_at
        if not self.is_shared or (
            now is not None and last is not None and 0 <= now - last < _POOL_INTERVAL
        ):
            return
        self._pools_read_at = now
        for name, labels, number in _pool_samples(self.pools):
            self._metrics[name].labels(*labels).set(number)


def _pool_samples(pools: PoolReadings) -> Iterator[tuple[str, tuple[str, ...], int]]:
    """Yield metric, labels and value for each statistic of each connection pool."""
    for pool in pools.read():
        statistics = pool.statistics
        for state, number in (("idle", statistics.idle), ("active", statistics.active)):
            yield _CONNECTIONS, (pool.connector, state), number
        yield _WAITING_METRIC, (pool.connector,), statistics.waiting
        if statistics.maximum is not None:
            yield _MAXIMUM, (pool.connector,), statistics.maximum


class _PoolCollector:
    """Reads the connection pools when Prometheus collects this process's metrics."""

    def __init__(self, pools: PoolReadings, client: Any) -> None:
        self._pools = pools
        self._family = client.GaugeMetricFamily

    def collect(self) -> Iterator[Any]:
        """Yield the metrics of connection pools with their current values."""
        families = {family.name: family for family in self.describe()}
        for name, labels, number in _pool_samples(self._pools):
            families[name].add_metric(labels, number)
        yield from families.values()

    def describe(self) -> Iterator[Any]:
        """Yield the metrics of connection pools without values, for registries that need names."""
        for name in _POOL_METRICS:
            definition = NAMES["prometheus"][name]
            yield self._family(name, definition["description"], labels=definition["labels"])


_METRICS: Final[WeakKeyDictionary[Any, _Metrics]] = WeakKeyDictionary()
_CREATION_LOCK: Final = ForkSafeLock()


def _kinds(client: Any, fold: Callable[[], None]) -> dict[str, Any]:
    """Return metric classes by type; their metrics call `fold` before they are read."""

    class Counter(client.Counter):  # type: ignore[misc]  # imported late
        def collect(self) -> Any:
            fold()
            return client.Counter.collect(self)

    class Histogram(client.Histogram):  # type: ignore[misc]  # imported late
        def collect(self) -> Any:
            fold()
            return client.Histogram.collect(self)

        def observe_many(self, counts: Sequence[int], total: float) -> None:
            """Add several observations, given as a count per bucket and the sum of the values."""
            self._sum.inc(total)
            for bucket, number in zip(self._buckets, counts, strict=True):
                if number:
                    bucket.inc(number)

    return {"counter": Counter, "gauge": client.Gauge, "histogram": Histogram}


class _CallSeries:
    """The two time series for calls with one operation and outcome.

    Args:
        durations: the histogram's series.
        outcomes: the counter's series.

    Attributes:
        exemplars: the local time of the latest exemplar of each bucket; at first minus infinity.
    """

    __slots__ = ("_inc", "_observe", "_observe_many", "exemplars")

    def __init__(self, durations: Any, outcomes: Any) -> None:
        self._observe = durations.observe
        self._observe_many = durations.observe_many
        self._inc = outcomes.inc
        self.exemplars: list[float] = [-inf] * (len(_BUCKETS) + 1)

    def add(
        self,
        duration: float,
        now: int | None,
        event: CallFinished,
        exemplar: Callable[[Event], Mapping[str, str] | None],
    ) -> None:
        """Count a call that ended at the local time `now`, if known."""
        if now is not None:
            bucket = bisect_left(_BUCKETS, duration)
            if 0 <= now - self.exemplars[bucket] < _EXEMPLAR_INTERVAL:
                self.count(duration, None)
                return
            self.exemplars[bucket] = now
        self.count(duration, exemplar(event))

    def count(self, duration: float, exemplar: Mapping[str, str] | None) -> None:
        """Count a call, with its exemplar if any."""
        self._inc()
        self._observe(duration, exemplar)

    def add_many(self, counts: Sequence[int], total: float) -> None:
        """Count several calls, given as counts per bucket and the sum of their durations."""
        self._inc(sum(counts))
        self._observe_many(counts, total)


class _Successes:
    """Calls that succeeded at the first attempt, queued for one time series of the metrics.

    Each metric of prometheus-client takes a lock for each update, so many calls are added together:
    when the metrics are read, or when `most` calls wait.

    Args:
        ends: the time series of the calls.
        attempts: the time series of their attempts.
        most: the number of calls that wait at most.
    """

    __slots__ = ("_attempts", "_ends", "_exemplars", "_lock", "_most", "_pending")

    def __init__(self, ends: _CallSeries, attempts: Any, most: int) -> None:
        self._ends = ends
        self._attempts = attempts
        self._most = most
        self._lock = Lock()
        self._exemplars = ends.exemplars
        self._pending: list[int] = []

    def add(self, elapsed: int, now: int) -> bool:
        """Queue a call for counting; return False if it needs an exemplar.

        Args:
            elapsed: the duration of the call.
            now: a time of the local clock.
        """
        bucket = bisect_left(_BOUNDS_IN_NANOSECONDS, elapsed)
        if not 0 <= now - self._exemplars[bucket] < _EXEMPLAR_INTERVAL:
            self._exemplars[bucket] = now
            return False
        pending = self._pending
        pending.append(elapsed)
        if len(pending) >= self._most:
            self.fold()
        return True

    def add_with_exemplar(self, elapsed: int, exemplar: Mapping[str, str] | None) -> None:
        """Count a call immediately, with its exemplar."""
        self._ends.count(elapsed / 1e9, exemplar)
        self._attempts.inc()

    def fold(self) -> None:
        """Add the queued calls to the metrics."""
        with self._lock:
            pending = self._pending
            durations = pending[:]
            number = len(durations)
            # Other threads only append, so the copied durations are still the first ones.
            del pending[:number]
        if not number:
            return
        durations.sort()
        bucket_ends = (
            0,
            *[bisect_right(durations, bound) for bound in _BOUNDS_IN_NANOSECONDS],
            number,
        )
        self._ends.add_many(
            [end - start for start, end in pairwise(bucket_ends)], sum(durations) / 1e9
        )
        self._attempts.inc(number)


class PrometheusObserver:
    """Counts and measures calls, attempts, retries and rejected calls by service and operation.

    No label is the value of a URL, a key, a tenant or a person, so their number does not increase
    the number of series. Services and operations beyond `max_operations` are counted as "other".
    Connection pools and pipelines are read when Prometheus collects the metrics. The observer also
    works in the multiprocess mode of prometheus-client, but without exemplars, and with the
    statistics of pools from the latest attempt or check of a connector.

    Args:
        registry: the registry of the metrics; by default the global one. Observers of the same
            registry share its metrics.
        max_operations: the maximum number of pairs of a service and an operation or circuit.
        exemplar: makes the exemplar of a call's duration; by default its correlation id. It is
            called at most once a second for each bucket of a series.

    Raises:
        ConfigurationError: `prometheus-client` is not installed.
    """

    event_classes = (
        *(AttemptFinished, BulkheadShrank, CallFinished, CallRefused, CircuitChanged),
        ConnectorChecked,
        *(LogEntriesLost, RetryScheduled, RateLimitWaited, BulkheadWaited, VendorPaused),
        TenantRecordsNearBound,
    )

    def __init__(
        self,
        registry: Any = None,
        *,
        max_operations: int = 1_000,
        exemplar: Callable[[Event], Mapping[str, str] | None] = exemplar_of,
    ) -> None:
        try:
            client: Any = import_module("prometheus_client")
        except ImportError:
            raise ConfigurationError(
                "The observer prometheus needs the package prometheus-client.",
                path="observers.prometheus",
                remedy=install("prometheus"),
            ) from None
        self._most = count(max_operations, "max_operations")
        self._exemplar = exemplar
        self._pairs: dict[tuple[str, str], tuple[str, str]] = {}
        self._ends: dict[_EndKey, _CallSeries] = {}
        self._attempts: dict[_AttemptKey, Any] = {}
        self._successes: dict[tuple[str, str | None, int | None], _Successes] = {}
        registry = client.REGISTRY if registry is None else registry
        with _CREATION_LOCK.current:
            metrics = _METRICS.get(registry)
            if metrics is None:
                metrics = _METRICS[registry] = _Metrics(client, registry)
        self._metrics = metrics

    def watch_pools(self, pools: PoolSource, /) -> None:
        """Also report the statistics of these connection pools."""
        self._metrics.pools.watch(pools)

    def watch_pipeline(self, pipeline: ObservedPipeline, /) -> None:
        """Also report a pipeline's statistics at each collection while the pipeline is in use.

        Not in the multiprocess mode: a pipeline belongs to one process.
        """
        self._metrics.pipelines.watch(pipeline)

    def __call__(self, event: Event, /) -> None:
        """Count an event in the Prometheus metrics."""
        if isinstance(event, CallFinished):
            self._call_finished(event)
        elif isinstance(event, AttemptFinished):
            self._attempt_finished(event)
        else:
            self._count_other(event)

    def _call_finished(self, event: CallFinished) -> None:
        # Reading a field of an event takes longer than reading the facts that it is computed from.
        facts: CallFacts | None = facts_of(event)
        now: int | None = None
        if facts is None:
            service, operation, outcome = event.service, event.operation, event.outcome
            duration = event.duration
        else:
            identity, plan, now = facts[:3]
            service, operation, outcome = plan.service.name, operation_of(identity, plan), facts[14]
            duration = (now - identity.started) / 1e9
        error, is_cancelled = ending_of(event)
        ends_of_series = self._ends_of((service, operation, error, is_cancelled, outcome))
        ends_of_series.add(duration, now, event, self._exemplar)

    def read_success(self, facts: SuccessFacts, /) -> None:
        """Count a call that succeeded at its first attempt, and also count this attempt."""
        identity, plan, now, status = facts[:4]
        contract = identity.contract
        operation = plan.operation if contract is None else contract.operation
        key = (plan.service.name, operation, status)
        successes = self._successes.get(key) or self._successes_of(key)
        elapsed = now - identity.started
        if not successes.add(elapsed, now):
            successes.add_with_exemplar(elapsed, self._exemplar(success_event(facts)))
        if self._metrics.is_shared:
            self._metrics.set_pools(now)

    def _ends_of(self, key: _EndKey) -> _CallSeries:
        """Return the two time series for calls with a service, operation and outcome."""
        end_series = self._ends.get(key)
        if end_series is None:
            service, operation, error, is_cancelled, outcome = key
            pair = self._labels(service, operation or "")
            series = self._metrics.series
            end_series = _CallSeries(
                series(
                    "call_duration_seconds", *pair, error or ("cancelled" if is_cancelled else "")
                ),
                series("outcomes_total", *pair, outcome.value),
            )
            if pair[0] is not OTHER:
                self._ends[key] = end_series
        return end_series

    def _successes_of(self, key: tuple[str, str | None, int | None]) -> _Successes:
        """Return the queue of successful calls with a service, operation and status."""
        service, operation, status = key
        if self._labels(service, operation or "")[0] is OTHER:
            key = (OTHER, OTHER, status)
        successes = self._successes.get(key)
        if successes is None:
            ends_of_series = self._ends_of((service, operation, None, False, CallOutcome.DONE))
            attempts = self._attempts_of((service, operation, status, None))
            successes = self._successes[key] = self._metrics.successes(ends_of_series, attempts)
        return successes

    def _attempt_finished(self, event: AttemptFinished) -> None:
        facts: AttemptFacts | None = facts_of(event)
        if facts is None:
            key = (event.service, event.operation, event.status, event.error)
        else:
            identity, plan = facts[:2]
            key = (plan.service.name, operation_of(identity, plan), facts[6], facts[5])
        self._attempts_of(key).inc()
        if self._metrics.is_shared:
            self._metrics.set_pools(None if facts is None else facts[2])

    def _attempts_of(self, key: _AttemptKey) -> Any:
        """Return the time series for attempts with a service, operation, status and error."""
        series = self._attempts.get(key)
        if series is None:
            service, operation, status, error = key
            pair = self._labels(service, operation or "")
            labels = (*pair, "" if status is None else str(status), error or "")
            series = self._metrics.series("attempts_total", *labels)
            if pair[0] is not OTHER:
                self._attempts[key] = series
        return series

    def _count_other(self, event: Event) -> None:
        """Count an event that is not the end of a call."""
        metrics = self._metrics
        if isinstance(event, LogEntriesLost):
            metrics["log_entries_lost_total"].inc(event.entries)
            return
        if isinstance(event, TenantRecordsNearBound):
            # A tenant's name would add a series, and no event reports that the tenant is back below
            # the limit.
            metrics["tenant_records_near_bound_total"].inc()
            return
        if isinstance(event, CircuitChanged):
            circuit = self._labels(event.service, event.circuit)
            state = CIRCUIT_STATES.get(event.state, CIRCUIT_OPEN)
            metrics.series("circuit_state", *circuit).set(state)
            metrics.series("circuit_changes_total", *circuit, event.state.value).inc()
            return
        if isinstance(event, ConnectorChecked):
            is_up = event.state in _UP_STATES
            metrics.series("connector_up", event.connector).set(1 if is_up else 0)
            metrics.set_pools(None)
            return
        pair = self._labels(event.service, event.operation or "")
        if isinstance(event, CallRefused):
            metrics.series("refusals_total", *pair, event.error).inc()
        elif isinstance(event, BulkheadShrank):
            metrics.series("bulkhead_shrinks_total", *pair).inc()
        elif isinstance(event, VendorPaused):
            metrics.series("vendor_pause_seconds_total", *pair).inc(event.delay)
        elif isinstance(event, (BulkheadWaited, RateLimitWaited, RetryScheduled)):
            wait = metrics.series("wait_duration_seconds", *pair, str(holder_of(event)))
            wait.observe(event.delay)
            if isinstance(event, RetryScheduled):
                metrics.series("retries_total", *pair, event.error).inc()

    def _labels(self, service: str, name: str) -> tuple[str, str]:
        """Return a call's labels; a catch-all label once there are too many operations."""
        pair = service, name
        if pair in self._pairs:
            return pair
        if len(self._pairs) >= self._most:
            return OTHER, OTHER
        return self._pairs.setdefault(pair, pair)
