"""An observer that creates spans and metrics of OpenTelemetry.

The names of spans, attributes and metrics are in `telemetry_names.json` beside this module.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import attrs

from moorage.adapters.observers._conventions import (
    DATABASE,
    MESSAGING,
    ending_of_operation,
    ending_of_request,
    of_request,
    of_target,
    series_of_target,
    without_none,
)
from moorage.adapters.observers._description import (
    CIRCUIT_OPEN,
    CIRCUIT_STATES,
    NAMES,
    fields_of,
    holder_of,
)
from moorage.adapters.observers._pipelines import PipelineReadings, pipeline_callbacks
from moorage.adapters.observers._pools import PoolReadings, pool_callbacks
from moorage.adapters.observers._recording import RecordingCheck
from moorage.domain.monitoring.health import HealthState
from moorage.domain.observation.call_events import (
    AttemptFinished,
    AttemptStarted,
    CallFinished,
    CallStarted,
    target_of,
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
    VendorPaused,
)
from moorage.domain.observation.late_fields import facts_of
from moorage.domain.observation.operation_target import MessageTarget
from moorage.domain.values.installation import install
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from moorage.domain.connectors.pool_statistics import PoolSource
    from moorage.domain.observation.call_events import AttemptFacts, CallFacts
    from moorage.domain.observation.call_identity import CallIdentity
    from moorage.domain.observation.operation_target import OperationTarget
    from moorage.domain.pipelines.settings import ObservedPipeline

_METRIC_FIELDS: Final = ("service", "operation", "vendor", "account", "region")
_MOST_KEPT: Final = 1_000
"""The number of series whose attributes are kept; those of others are made for each call."""

_START_EVENTS: Final = (CallStarted, AttemptStarted)
_END_EVENTS: Final = (AttemptFinished, CallFinished)
_CALL_EVENTS: Final = (*_START_EVENTS, *_END_EVENTS)

_SPAN_FIELDS: Final = (*_METRIC_FIELDS, "tenant", "request_id", "idempotency_key")


@attrs.define(eq=False)
class _CallSpans:
    """The open OpenTelemetry spans of one call: one for the call, and one per attempt."""

    span: Any
    attempts: dict[int, Any] = attrs.field(factory=dict[int, Any])


class OpenTelemetryObserver:
    """Makes a span for each call, a child span for each attempt, and metrics.

    The span of a call is a child of the span that is current in the caller's context. Retries,
    waits, renewals of credentials and changes of circuits are events of it. Requests carry
    `traceparent` and `tracestate`, which are added before the request is signed. Only the API of
    OpenTelemetry is needed; without an SDK it records nothing, and continues the trace of a caller
    that has one. An SDK that is installed later records the calls that start after that.

    Args:
        connector_names: True to use the names `connector.execute`, `connector.rest.request`,
            `connector.database.query`, `connector.message_queue.publish`,
            `connector.execution.duration`, `connector.execution.count`, `connector.retry.count`,
            `connector.circuit_breaker.state`, `connector.pool.size`, `connector.pool.idle` and
            `connector.pool.active`, and to emit a log record `connector.error` for each call that
            failed, and `connector.health_check` for each connector that was asked for its health.
        tracer_provider, meter_provider, logger_provider: the providers; by default the global ones.

    Raises:
        ConfigurationError: `opentelemetry-api` is not installed.
    """

    event_classes = (Event, AttemptStarted)

    def __init__(
        self,
        *,
        connector_names: bool = False,
        tracer_provider: Any = None,
        meter_provider: Any = None,
        logger_provider: Any = None,
    ) -> None:
        try:
            self._trace: Any = import_module("opentelemetry.trace")
            metrics: Any = import_module("opentelemetry.metrics")
            propagation: Any = import_module("opentelemetry.trace.propagation.tracecontext")
            self._current_context = import_module("opentelemetry.context").get_current
        except ImportError:
            raise ConfigurationError(
                "The observer opentelemetry needs the package opentelemetry-api.",
                path="observers.opentelemetry",
                remedy=install("opentelemetry"),
            ) from None
        self._aliases: Mapping[str, str] = NAMES["connector"] if connector_names else {}
        self._call_name = self._name("moorage.call")
        self._propagator = propagation.TraceContextTextMapPropagator()
        self._tracer = self._trace.get_tracer("moorage", tracer_provider=tracer_provider)
        meter = metrics.get_meter("moorage", meter_provider=meter_provider)
        self._records_spans = RecordingCheck(
            "opentelemetry.trace",
            "_TRACER_PROVIDER",
            tracer_provider,
            lambda provider: not isinstance(provider.get_tracer("moorage"), self._trace.NoOpTracer),
        )
        self._records_metrics = RecordingCheck(
            "opentelemetry.metrics._internal",
            "_METER_PROVIDER",
            meter_provider,
            lambda provider: not isinstance(provider.get_meter("moorage"), metrics.NoOpMeter),
        )
        self._pools = PoolReadings()
        self._pipelines = PipelineReadings()
        callbacks = {
            **pool_callbacks(self._pools, metrics.Observation),
            **pipeline_callbacks(self._pipelines, metrics.Observation),
        }
        self._instruments = {
            name: getattr(meter, f"create_{metric['instrument']}")(
                self._aliases.get(name, name),
                unit=metric["unit"],
                description=metric["description"],
                **({"callbacks": [callbacks[name]]} if name in callbacks else {}),
            )
            for name, metric in NAMES["metrics"].items()
        }
        self._request_duration = self._instruments["http.client.request.duration"]
        self._call_duration = self._instruments["moorage.call.duration"]
        self._call_count = self._instruments["moorage.call.count"]
        self._log: Any = None
        if connector_names:
            logs: Any = import_module("opentelemetry._logs")
            self._levels = logs.SeverityNumber
            self._log = logs.get_logger("moorage", logger_provider=logger_provider)
        self._calls: WeakKeyDictionary[CallIdentity, _CallSpans] = WeakKeyDictionary()
        self._attributes: dict[tuple[object, ...], dict[str, Any]] = {}

    def current_event_classes(self) -> tuple[type[Event], ...]:
        """Return the classes of a successful call's events that the observer needs now."""
        if self._records_spans():
            return _CALL_EVENTS
        continues_trace = bool(self._current_context())
        if self._records_metrics():
            return _CALL_EVENTS if continues_trace else _END_EVENTS
        return _START_EVENTS if continues_trace else ()

    def __call__(self, event: Event, /) -> None:
        """Record an event in spans and metrics."""
        facts = facts_of(event)
        if facts is None:  # an event that belongs to no call
            self._record_other(event, None)
            return
        call: CallIdentity = facts[0]
        if isinstance(event, CallStarted):
            self._call_started(event, call)
            return
        # Without an SDK no call has a trace, and looking for spans would take most of the time.
        spans = None if call.trace_id is None else self._calls.get(call)
        if isinstance(event, CallFinished):
            if spans is not None:
                del self._calls[call]
            self._call_finished(event, spans)
        elif isinstance(event, AttemptStarted):
            self._attempt_started(event, spans)
        elif isinstance(event, AttemptFinished):
            self._attempt_finished(event, spans)
        else:
            self._record_other(event, spans)

    def trace_headers(self, event: AttemptStarted, /) -> dict[str, str]:
        """Return the HTTP headers that continue an attempt's trace at the vendor."""
        headers: dict[str, str] = {}
        spans = self._calls.get(facts_of(event)[0])
        span = None if spans is None else spans.attempts.get(event.hedge)
        if span is not None:
            self._propagator.inject(headers, context=self._trace.set_span_in_context(span))
        return headers

    def watch_pools(self, pools: PoolSource, /) -> None:
        """Also report the statistics of connection pools whenever metrics are collected."""
        self._pools.watch(pools)

    def watch_pipeline(self, pipeline: ObservedPipeline, /) -> None:
        """Also report the statistics of a pipeline whenever metrics are collected.

        It is forgotten when nobody else uses it any more.
        """
        self._pipelines.watch(pipeline)

    def _call_started(self, event: CallStarted, call: CallIdentity) -> None:
        span = self._tracer.start_span(self._call_name, start_time=_time(call.started_at))
        context = span.get_span_context()
        if not context.is_valid:
            # There is no SDK, and the caller has no trace to continue, so there is no span to end
            # or send.
            return
        call.trace_id = self._trace.format_trace_id(context.trace_id)
        if span.is_recording():
            span.set_attributes(_attributes(event, _SPAN_FIELDS))
        self._calls[call] = _CallSpans(span)

    def _attempt_started(self, event: AttemptStarted, spans: _CallSpans | None) -> None:
        if spans is None:
            return
        name, kind, attributes = self._beginning(event)
        span = self._tracer.start_span(
            name,
            context=self._trace.set_span_in_context(spans.span),
            kind=kind,
            start_time=_time(event.at),
        )
        spans.attempts[event.hedge] = span
        self._share_id(facts_of(event)[0], event.hedge, span)
        if span.is_recording():
            span.set_attributes(
                {
                    **_attributes(event, _METRIC_FIELDS),
                    **attributes,
                    **without_none({"moorage.hedge": event.hedge or None}),
                }
            )

    def _share_id(self, call: CallIdentity, hedge: int, span: Any) -> None:
        """Store the id of an attempt's span, so that other observers can use it."""
        span_id = self._trace.format_span_id(span.get_span_context().span_id)
        call.span_ids = {**(call.span_ids or {}), hedge: span_id}

    def _beginning(self, event: AttemptStarted) -> tuple[str, Any, dict[str, Any]]:
        """Return the name, kind and attributes of an attempt's span."""
        target, kinds = event.target, self._trace.SpanKind
        if target is not None:
            of_messages = isinstance(target, MessageTarget)
            alias = self._aliases.get(MESSAGING if of_messages else DATABASE)
            kind = kinds.PRODUCER if of_messages else kinds.CLIENT
            return alias or str(target), kind, of_target(target)
        name = self._name("moorage.attempt")
        if event.method is not None and not self._aliases:
            name = event.method if event.route is None else f"{event.method} {event.route}"
        resends = {
            "http.request.resend_count": event.attempt - 1 or None,
            "http.request.body.size": event.bytes_out,
        }
        return name, kinds.CLIENT, {**of_request(event), **without_none(resends)}

    def _attempt_finished(self, event: AttemptFinished, spans: _CallSpans | None) -> None:
        facts: AttemptFacts = facts_of(event)
        if facts[9] is not None:
            self._record_request(event, facts)
        elif (target := target_of(facts[0])) is not None:
            self._record_operation(event, target)
        span = None if spans is None else spans.attempts.pop(event.hedge, None)
        if span is None:
            return
        ending_attributes = _attributes_of_ending(event)
        size = without_none({"http.response.body.size": event.bytes_in})
        outcome = {"moorage.outcome": str(event.outcome)}
        self._end(span, {**ending_attributes, **size, **outcome}, event.error, event.at)

    def _record_request(self, event: AttemptFinished, facts: AttemptFacts) -> None:
        plan = facts[1]
        key = (plan.service.name, plan.host, plan.route, facts[9], facts[6], facts[5])
        attributes = self._attributes.get(key)
        if attributes is None:
            service = _attributes(event, ("service",))
            attributes = self._keep(
                key, {**service, **of_request(event), **_attributes_of_ending(event)}
            )
        self._request_duration.record(facts[4] / 1e9, attributes)

    def _record_operation(self, event: AttemptFinished, target: OperationTarget) -> None:
        attributes = {
            **_attributes(event, ("service",)),
            **series_of_target(target),
            **ending_of_operation(event),
        }
        if isinstance(target, MessageTarget):
            duration = self._instruments["messaging.client.operation.duration"]
            sent_counter = self._instruments["messaging.client.sent.messages"]
            sent_counter.add(1 if target.count is None else target.count, attributes)
        else:
            duration = self._instruments["db.client.operation.duration"]
        duration.record(event.duration, attributes)

    def _record_call(self, event: CallFinished) -> None:
        facts: CallFacts = facts_of(event)
        identity, plan, now = facts[:3]
        contract = identity.contract
        called_operation: object = plan.operation
        if contract is not None:
            called_operation = (contract.operation, contract.vendor, contract.account)
        key = (plan.service.name, called_operation, plan.region, facts[4])
        attributes = self._attributes.get(key)
        if attributes is None:
            error = without_none({"error.type": event.error})
            attributes = self._keep(key, {**_attributes(event, _METRIC_FIELDS), **error})
        self._call_duration.record((now - identity.started) / 1e9, attributes)
        self._call_count.add(1, attributes)

    def _keep(self, key: tuple[object, ...], attributes: dict[str, Any]) -> dict[str, Any]:
        """Cache the attributes of a time series, because its next call uses them again."""
        if len(self._attributes) < _MOST_KEPT:
            self._attributes[key] = attributes
        return attributes

    def _call_finished(self, event: CallFinished, spans: _CallSpans | None) -> None:
        self._record_call(event)
        if self._log is not None and event.error is not None:
            self._log.emit(
                event_name=self._name("moorage.error"),
                timestamp=_time(event.at),
                severity_number=self._levels.ERROR,
                body=event.error,
                attributes=without_none(
                    {**_attributes(event, _SPAN_FIELDS), "error.type": event.error}
                ),
            )
        if spans is None:
            return
        interruption = {"moorage.outcome": str(CallOutcome.UNKNOWN), "moorage.cancelled": True}
        for span in list(spans.attempts.values()):
            self._end(span, interruption, None, event.at)
        attributes = {
            **_attributes(event, ("region",)),
            "moorage.attempts": event.attempts,
            "moorage.outcome": str(event.outcome),
            **without_none(
                {
                    "moorage.replayed": event.replayed or None,
                    "moorage.cached": event.cached or None,
                    "moorage.fallback": event.fallback or None,
                    "moorage.cancelled": event.cancelled or None,
                    "error.type": event.error,
                }
            ),
        }
        self._end(spans.span, attributes, event.error, event.at)

    def _record_other(self, event: Event, spans: _CallSpans | None) -> None:
        """Record an event in the call's span, or else in the current span, or else in a new one."""
        span = self._trace.get_current_span() if spans is None else spans.span
        own_span = None
        if spans is None and not span.is_recording():
            own_span = span = self._tracer.start_span("moorage.event", start_time=_time(event.at))
        holder_attributes = without_none({"moorage.held_by": holder_of(event)})
        if span.is_recording():
            name = type(event).__name__
            fields = {f"moorage.{key}": value for key, value in fields_of(event).items()}
            span.add_event(
                f"moorage.{name}", {**fields, **holder_attributes}, timestamp=_time(event.at)
            )
        if own_span is not None:
            own_span.end(end_time=_time(event.at))
        self._measure(event, {**_attributes(event, _METRIC_FIELDS), **holder_attributes})

        if isinstance(event, ConnectorChecked) and self._log is not None:
            self._log_health(event)

    def _log_health(self, event: ConnectorChecked) -> None:
        is_healthy = event.state == HealthState.HEALTHY
        self._log.emit(
            event_name=self._name("moorage.health_check"),
            timestamp=_time(event.at),
            severity_number=self._levels.INFO if is_healthy else self._levels.ERROR,
            body=event.text or event.state,
            attributes=_attributes(event, ("service", "connector", "state", "duration")),
        )

    def _measure(self, event: Event, attributes: dict[str, Any]) -> None:
        if isinstance(event, (RetryScheduled, RateLimitWaited, BulkheadWaited)):
            self._instruments["moorage.wait.duration"].record(event.delay, attributes)
        if isinstance(event, RetryScheduled):
            self._instruments["moorage.retry.count"].add(1, _attributes(event, _METRIC_FIELDS))
        elif isinstance(event, VendorPaused):
            self._instruments["moorage.pause.duration"].record(event.delay, attributes)
        elif isinstance(event, BulkheadShrank):
            self._instruments["moorage.bulkhead.shrink.count"].add(
                1, _attributes(event, _METRIC_FIELDS)
            )
        elif isinstance(event, CallRefused):
            attributes["error.type"] = event.error
            self._instruments["moorage.refusal.count"].add(1, attributes)
        elif isinstance(event, CircuitChanged):
            state = CIRCUIT_STATES.get(event.state, CIRCUIT_OPEN)
            circuit = _attributes(event, ("service", "circuit"))
            self._instruments["moorage.circuit.state"].set(state, circuit)
        elif isinstance(event, LogEntriesLost):
            self._instruments["moorage.log.lost"].add(event.entries)

    def _end(
        self, span: Any, attributes: Mapping[str, Any], error: str | None, at: datetime
    ) -> None:
        if span.is_recording():
            span.set_attributes(attributes)
            if error is not None:
                span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, error))
        span.end(end_time=_time(at))

    def _name(self, name: str) -> str:
        return self._aliases.get(name, name)


def _attributes(event: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return without_none({f"moorage.{name}": getattr(event, name) for name in names})


def _attributes_of_ending(event: AttemptFinished) -> dict[str, Any]:
    return ending_of_request(event) if event.target is None else ending_of_operation(event)


def _time(moment: datetime) -> int:
    """Return a time in nanoseconds since the Unix epoch."""
    return int(moment.timestamp() * 1e6) * 1000
