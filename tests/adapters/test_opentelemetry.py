"""The OpenTelemetry observer, with the real SDK."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from moorage import (
    AttemptFinished,
    AttemptStarted,
    BulkheadShrank,
    BulkheadWaited,
    CallFinished,
    CallOutcome,
    CallRefused,
    CallStarted,
    CircuitBreakerConfig,
    CircuitBreakerOpen,
    CircuitState,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    ConnectorManager,
    Endpoint,
    Event,
    HedgeConfig,
    LogEntriesLost,
    RateLimitWaited,
    Region,
    Request,
    Response,
    RetryPolicy,
    RetryScheduled,
    Service,
    VendorFailed,
    VendorPaused,
)
from moorage.adapters.observers import opentelemetry
from moorage.adapters.observers._description import NAMES, holder_of
from moorage.adapters.observers.opentelemetry import OpenTelemetryObserver
from moorage.domain.observation import events
from moorage.domain.observation.call_identity import CallIdentity, ContractCall
from moorage.domain.observation.late_fields import make_late
from moorage.domain.service.plan import Plan, circuit_name
from moorage.testing import FakeVendor, RecordingObserver, ScriptedHttpClient
from tests.adapters.observed import ANSWERS, CANARY, CREDENTIALS, OPENS_AT_ONCE, manager_of

READ = Request.get(f"/invoices/{CANARY}")


class Telemetry:
    """The OpenTelemetry SDK with in-memory exporters, and an observer that uses it."""

    def __init__(self, *, connector_names: bool = False, **options: Any) -> None:
        self.spans_out = InMemorySpanExporter()
        self.logs_out: Any = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # the SDK's
        self.reader = InMemoryMetricReader()
        self.tracers = TracerProvider(shutdown_on_exit=False, **options)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans_out))
        loggers = LoggerProvider(shutdown_on_exit=False)
        loggers.add_log_record_processor(SimpleLogRecordProcessor(self.logs_out))
        self.observer = OpenTelemetryObserver(
            connector_names=connector_names,
            tracer_provider=self.tracers,
            meter_provider=MeterProvider([self.reader], shutdown_on_exit=False),
            logger_provider=loggers,
        )

    def spans(self) -> list[Any]:
        """Return the finished spans, ordered by their start."""
        return sorted(self.spans_out.get_finished_spans(), key=lambda span: span.start_time or 0)

    def metrics(self) -> dict[str, Any]:
        """Return the exported metrics by name."""
        data = self.reader.get_metrics_data()
        return {
            metric.name: metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def text(self) -> str:
        """Return all exported data as text."""
        logs = [repr(vars(log.log_record)) for log in self.logs_out.get_finished_logs()]
        data = self.reader.get_metrics_data()
        return "".join([span.to_json() for span in self.spans()] + logs) + (
            data.to_json() if data else ""
        )


def test_call_is_child_span_of_caller_span() -> None:
    """A call is a child span of the caller's span, and each attempt a child span of the call."""
    telemetry = Telemetry()
    manager, vendor = manager_of(telemetry.observer, *ANSWERS)

    with telemetry.tracers.get_tracer("app").start_as_current_span("order") as order:
        manager.call("erp", READ, tenant="acme", request_id="order-7")

    names = {span.name for span in telemetry.spans()}
    assert {"order", "moorage.call", "GET /invoices/{id}"} == names
    (call,) = (span for span in telemetry.spans() if span.name == "moorage.call")
    attempts = [span for span in telemetry.spans() if span.name.startswith("GET")]
    assert order.get_span_context().span_id == call.parent.span_id
    assert [call.context.span_id] * 2 == [span.parent.span_id for span in attempts]
    assert [503, 200] == [span.attributes["http.response.status_code"] for span in attempts]
    assert [None, 1] == [span.attributes.get("http.request.resend_count") for span in attempts]
    assert trace.SpanKind.CLIENT is attempts[0].kind
    assert "moorage.RetryScheduled" in [event.name for event in call.events]
    assert ("acme", "order-7", 2) == tuple(
        call.attributes[f"moorage.{name}"] for name in ("tenant", "request_id", "attempts")
    )
    sent_traces = [delivery.headers["traceparent"][:-3] for delivery in vendor.requests]
    assert sent_traces == [
        f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}" for span in attempts
    ]


def test_attempts_have_the_ids_of_their_spans() -> None:
    """Observers listed after OpenTelemetryObserver see the trace and span ids of each attempt."""
    telemetry, attempts = Telemetry(), Attempts()
    manager, _ = manager_of(attempts, *ANSWERS)
    manager.call("erp", READ)
    assert [(None, None)] * 4 == attempts.ids
    vendor = FakeVendor()
    vendor.queue(*ANSWERS)
    service = Service("erp", base_url="https://a.example", retry=RetryPolicy(2, base_delay=0.0))
    manager = ConnectorManager(
        [service], http=ScriptedHttpClient(vendor), observers=[telemetry.observer, attempts]
    )
    attempts.ids.clear()
    manager.call("erp", READ)

    spans: list[Any] = [
        span for span in telemetry.spans_out.get_finished_spans() if span.name == "GET"
    ]
    expected = [
        (f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}")
        for span in spans
        for _ in range(2)
    ]
    assert 4 == len(expected)
    assert expected == attempts.ids


class Attempts:
    """An observer that records the trace and span ids of each attempt's events."""

    event_classes = (AttemptStarted, AttemptFinished)

    def __init__(self) -> None:
        self.ids: list[tuple[str | None, str | None]] = []

    def __call__(self, event: Any, /) -> None:
        """Record the trace and span ids of the event."""
        self.ids.append((event.trace_id, event.span_id))


def test_attempts_with_and_without_names() -> None:
    """An HTTP attempt's span has the method as its name; other attempts' spans a fixed name."""
    telemetry = Telemetry()
    manager, _ = manager_of(telemetry.observer, Response(200), Response(200))

    for _ in range(2):
        manager.call("erp", Request.get("/stock"))
    manager.run("erp", lambda: None)

    names = [span.name for span in telemetry.spans() if span.parent is not None]
    assert ["GET", "GET", "moorage.attempt"] == sorted(names)


def test_emitted_names_are_registered() -> None:
    """Every emitted span, attribute and metric name is in the telemetry registry."""
    telemetry = Telemetry()
    manager, _ = manager_of(telemetry.observer, *ANSWERS, Response(503), circuit=None)
    refusing_manager, _ = manager_of(
        telemetry.observer, Response(503), circuit=OPENS_AT_ONCE, retry=None
    )
    manager.call("erp", READ, tenant="acme", idempotency_key="k")
    with pytest.raises(VendorFailed):
        refusing_manager.call("erp", READ)
    with pytest.raises(CircuitBreakerOpen):
        refusing_manager.call("erp", READ)
    telemetry.observer(LogEntriesLost(at=datetime.now(UTC), service="log", entries=3, total=3))
    telemetry.observer(VendorPaused(at=datetime.now(UTC), service="erp", delay=3.0))
    telemetry.observer(BulkheadShrank(at=datetime.now(UTC), service="erp", limit=3))

    attributes = {name for span in telemetry.spans() for name in span.attributes}
    for metric in telemetry.metrics().values():
        attributes |= {name for point in metric.data.data_points for name in point.attributes}
    assert attributes <= set(NAMES["attributes"])
    span_events = {event.name: event for span in telemetry.spans() for event in span.events}
    assert {"moorage.RetryScheduled", "moorage.CallRefused", "moorage.CircuitChanged"} <= set(
        span_events
    )
    for name, event in span_events.items():
        allowed_attributes = {
            *NAMES["events"][name]["attributes"],
            *NAMES["attributes"],
            "moorage.at",
        }
        assert set(event.attributes) <= allowed_attributes
    other_prefixes = ("db.", "messaging.", "moorage.pool.", "moorage.pipeline.")
    call_metrics = {name for name in NAMES["metrics"] if not name.startswith(other_prefixes)}
    assert call_metrics == set(telemetry.metrics())
    for name, metric in telemetry.metrics().items():
        assert NAMES["metrics"][name]["unit"] == metric.unit
    names = {"moorage.call", "GET /invoices/{id}", "moorage.event"}
    assert names == {span.name for span in telemetry.spans()}


def test_registered_events_are_the_events() -> None:
    """The telemetry registry lists each event that spans can have, and the event's fields."""
    inherited_fields = {field.name for field in attrs.fields(Event)}
    spans = (Event, CallStarted, CallFinished, AttemptStarted, AttemptFinished)
    listed_events = {
        f"moorage.{kind.__name__}": [
            f"moorage.{field.name}"
            for field in attrs.fields(kind)
            if field.name not in inherited_fields
        ]
        for kind in vars(events).values()
        if isinstance(kind, type) and issubclass(kind, Event) and kind not in spans
    }

    assert listed_events == {name: event["attributes"] for name, event in NAMES["events"].items()}


def test_registered_outcomes_and_reasons_are_all() -> None:
    """The telemetry registry lists each call outcome, and each reason for a wait or a rejection."""
    assert [outcome.value for outcome in CallOutcome] == list(NAMES["outcomes"])
    now = datetime.now(UTC)
    waiting_events = [
        RateLimitWaited(at=now, service="erp", delay=1.0),
        RetryScheduled(at=now, service="erp", delay=1.0, attempt=1, error="VendorFailed"),
        BulkheadWaited(at=now, service="erp", delay=1.0),
    ]
    refusals = [
        CallRefused(at=now, service="erp", error=error, retry_after=0.0)
        for details in NAMES["held_by"].values()
        for error in details["errors"]
    ]

    assert set(NAMES["held_by"]) == {holder_of(event) for event in (*waiting_events, *refusals)}


def test_outcomes_are_exported() -> None:
    """Spans of calls and attempts have an outcome attribute: nothing happened, done, or unknown."""
    telemetry = Telemetry()
    manager, vendor = manager_of(telemetry.observer, retry=None)
    vendor.queue(
        Response(200),
        Response(404),
        ConnectionFailed("cut", may_have_been_processed=True),
        ConnectionFailed("refused", may_have_been_processed=False),
    )
    manager.call("erp", READ)
    for _ in range(3):
        with pytest.raises(ConnectorError):
            manager.call("erp", READ)

    outcomes: dict[int, list[Any]] = {}
    spans: Any = telemetry.spans_out.get_finished_spans()  # in the order in which they end
    for span in spans:
        outcomes.setdefault(span.context.trace_id, []).append(span.attributes["moorage.outcome"])
    assert [
        ["done", "done"],
        ["nothing", "nothing"],
        ["unknown", "unknown"],
        ["nothing", "nothing"],
    ] == list(outcomes.values())


def test_changes_by_hand_have_a_span() -> None:
    """When a person opens or closes a circuit, an event is added to the current or a new span."""
    telemetry = Telemetry()
    manager, _ = manager_of(telemetry.observer, circuit=OPENS_AT_ONCE)

    manager.set_circuit("erp", CircuitState.FORCED_OPEN)
    with telemetry.tracers.get_tracer("app").start_as_current_span("admin"):
        manager.set_circuit("erp", CircuitState.CLOSED)

    admin_span, current = telemetry.spans()
    assert ("moorage.event", "admin") == (admin_span.name, current.name)
    for span in (admin_span, current):
        (event,) = span.events
        assert "moorage.CircuitChanged" == event.name
        assert ("erp", True) == tuple(
            event.attributes[f"moorage.{name}"] for name in ("circuit", "by_hand")
        )


def test_circuits_are_named() -> None:
    """A circuit's name in telemetry consists of service, region and endpoint."""
    service = Service(
        "erp",
        regions=[Region("eu", "https://eu.example"), Region("us", "https://us.example")],
        endpoints=[Endpoint("pay", circuit=CircuitBreakerConfig()), Endpoint("list")],
    )

    pay, listing = (Plan(service, None, endpoint) for endpoint in service.endpoints)
    assert "erp@eu/pay" == circuit_name(pay.regions["eu"])
    assert "erp@us" == circuit_name(listing.regions["us"])
    assert "erp" == circuit_name(Plan(service, None, None))


def test_connector_names_option_selects_alternative_telemetry_names() -> None:
    """With `connector_names=True`, spans, metrics and log records use alternative names."""
    telemetry = Telemetry(connector_names=True)
    manager, _ = manager_of(telemetry.observer, *ANSWERS, Response(503), Response(503))
    manager.call("erp", READ)
    with pytest.raises(VendorFailed):
        manager.call("erp", READ)

    assert {"connector.execute", "connector.rest.request"} == {
        span.name for span in telemetry.spans()
    }
    names = {"connector.execution.duration", "connector.execution.count", "connector.retry.count"}
    assert names <= set(telemetry.metrics())
    (log,) = telemetry.logs_out.get_finished_logs()
    assert "connector.error" == log.log_record.event_name
    assert "VendorFailed" == (log.log_record.attributes or {})["error.type"]


@pytest.mark.parametrize("form", CREDENTIALS)
def test_no_secret_is_exported(form: str) -> None:
    """No credential, path or query is in a span, a metric or a log record."""
    telemetry = Telemetry(connector_names=True)
    answers = (Response(401), Response(503), Response(503))
    credentials = CREDENTIALS[form]
    manager, vendor = manager_of(telemetry.observer, *answers, credentials=credentials)
    for _ in range(2):
        with pytest.raises(Exception, match=r"erp"):
            manager.call("erp", attrs.evolve(READ, query={"token": CANARY}))

    assert 3 == len(vendor.requests)
    assert CANARY not in telemetry.text()
    assert telemetry.spans()


def test_signed_request_covers_the_trace() -> None:
    """A request's signature includes its `traceparent` header."""
    telemetry = Telemetry()
    manager, vendor = manager_of(
        telemetry.observer, Response(200), credentials=CREDENTIALS["aws_sigv4"]
    )

    manager.call("erp", READ)

    assert "traceparent" in vendor.requests[0].headers["authorization"].partition("Signed")[2]


def test_sampled_out_call_costs_no_attributes() -> None:
    """A call that is not sampled has no spans, and its request's `traceparent` says so."""
    telemetry = Telemetry(sampler=ALWAYS_OFF)
    manager, vendor = manager_of(telemetry.observer, *ANSWERS)

    manager.call("erp", READ)

    assert [] == telemetry.spans()
    assert not int(vendor.requests[0].headers["traceparent"][-2:], 16) & 1


def test_interrupted_attempt_ends_with_its_call() -> None:
    """The span of an interrupted attempt ends together with its call's span."""
    telemetry = Telemetry()
    manager = ConnectorManager([Service("tax")], observers=[telemetry.observer])

    def be_interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        manager.run("tax", be_interrupted)

    call, attempt = telemetry.spans()
    assert call.context.span_id == attempt.parent.span_id
    assert call.attributes["moorage.cancelled"]


def test_hedged_attempts_have_spans_of_their_own() -> None:
    """Each attempt of a hedged read gets its own span."""
    telemetry = Telemetry()
    hedge = HedgeConfig(delay=0.001)
    manager, _ = manager_of(telemetry.observer, *ANSWERS, hedge=hedge, retry=None)

    manager.call("erp", READ)

    attempts = [span for span in telemetry.spans() if span.parent is not None]
    assert {None, 1} == {span.attributes.get("moorage.hedge") for span in attempts}


def test_events_of_unknown_calls_are_counted() -> None:
    """If the start of a call was missed, its events create no spans, and are counted."""
    telemetry = Telemetry()
    identity, plan = CallIdentity(0, 0, str), Plan(Service("erp"), None, None)
    started = make_late(AttemptStarted, (identity, plan, 0, 1, 0, None, None))
    empty_outcome = CallOutcome.NOTHING
    attempt_arguments = (
        identity,
        plan,
        0,
        1,
        5,
        None,
        200,
        False,
        0,
        None,
        None,
        None,
        empty_outcome,
    )

    telemetry.observer(started)
    assert {} == telemetry.observer.trace_headers(started)
    telemetry.observer(make_late(AttemptFinished, attempt_arguments))
    ended_outcomes = (
        identity,
        plan,
        0,
        1,
        None,
        200,
        None,
        None,
        *[False] * 5,
        None,
        empty_outcome,
    )
    telemetry.observer(make_late(CallFinished, ended_outcomes))

    assert [] == telemetry.spans()
    assert 1 == telemetry.metrics()["moorage.call.count"].data.data_points[0].value


def test_without_an_sdk_nothing_is_recorded() -> None:
    """With the OpenTelemetry API but without an SDK, calls and requests do not change."""
    manager, vendor = manager_of(OpenTelemetryObserver(), Response(200))

    assert 200 == manager.call("erp", READ).status
    assert "traceparent" not in vendor.requests[0].headers


def test_trace_of_the_caller_is_passed_on_without_an_sdk() -> None:
    """Without an SDK, requests pass on the trace of the caller, and the log stores its trace id."""
    recorder = RecordingObserver()
    observer = OpenTelemetryObserver(tracer_provider=NoOpTracerProvider())
    vendor = FakeVendor()
    vendor.queue(*ANSWERS)
    service = Service("erp", base_url="https://erp.example", retry=RetryPolicy(base_delay=0.0))
    manager = ConnectorManager(
        [service], http=ScriptedHttpClient(vendor), observers=[observer, recorder]
    )
    incoming = f"00-{7:032x}-{9:016x}-01"
    token = attach(TraceContextTextMapPropagator().extract({"traceparent": incoming}))
    try:
        manager.call("erp", READ)
    finally:
        detach(token)

    assert [incoming] * 2 == [
        sent_request.headers["traceparent"] for sent_request in vendor.requests
    ]
    (finished_event,) = recorder.of(CallFinished)
    assert f"{7:032x}" == finished_event.trace_id


LATE_SDK = """
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from moorage import ConnectorManager, Service
from moorage.adapters.observers.opentelemetry import OpenTelemetryObserver

observer = OpenTelemetryObserver()
manager = ConnectorManager([Service("tax")], observers=[observer])
manager.run("tax", lambda: None)
spans, reader, tracers = InMemorySpanExporter(), InMemoryMetricReader(), TracerProvider()
tracers.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(tracers)
metrics.set_meter_provider(MeterProvider([reader]))
manager.run("tax", lambda: None)
print([span.name for span in spans.get_finished_spans()])
scope = reader.get_metrics_data().resource_metrics[0].scope_metrics[0]
print(*[p.value for m in scope.metrics if m.name.endswith("count") for p in m.data.data_points])
"""


def test_sdk_may_be_set_up_later() -> None:
    """An observer created before the SDK was set up records the calls made afterwards."""
    ran = subprocess.run(
        [sys.executable, "-c", LATE_SDK], capture_output=True, text=True, check=True
    )

    assert "['moorage.attempt', 'moorage.call']\n1\n" == ran.stdout


def test_metric_attributes_of_call_are_same_whether_they_came_from_cache_or_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Metric attributes of a call are the same whether they came from the cache or not."""
    monkeypatch.setattr(opentelemetry, "_MOST_KEPT", 2)
    telemetry = Telemetry()
    manager, _ = manager_of(telemetry.observer, *[Response(200)] * 6)
    for request in (READ, Request.get("/stock"), Request.post("/stock")) * 2:
        manager.call("erp", request)

    points = telemetry.metrics()["http.client.request.duration"].data.data_points
    event_counts = {
        (point.attributes["http.request.method"], point.attributes.get("url.template")): point.count
        for point in points
    }
    assert {("GET", "/invoices/{id}"): 2, ("GET", None): 2, ("POST", None): 2} == event_counts
    counts = telemetry.metrics()["moorage.call.count"].data.data_points
    assert {"invoice": 2, None: 4} == {
        point.attributes.get("moorage.operation"): point.value for point in counts
    }


def test_operations_of_contracts_are_measured_separately() -> None:
    """Calls to different accounts or operations of a contract are counted in separate series."""
    telemetry = Telemetry()
    plan = Plan(Service("erp"), None, None)
    calls = [("payments.charge", "uk"), ("payments.refund", "uk"), ("payments.charge", "de")]
    for operation, account in [*calls, *calls]:
        identity = CallIdentity(0, 0, str)
        identity.contract = ContractCall(operation, "stripe", account)
        outcome = CallOutcome.DONE
        facts = (identity, plan, 5, 1, None, 200, None, None, *[False] * 5, None, outcome)
        telemetry.observer(make_late(CallFinished, facts))

    points = telemetry.metrics()["moorage.call.count"].data.data_points
    assert dict.fromkeys(calls, 2) == {
        (point.attributes["moorage.operation"], point.attributes["moorage.account"]): point.value
        for point in points
    }


def test_package_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without opentelemetry-api installed, the error names the pip extra to install."""
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)

    with pytest.raises(ConfigurationError, match=r"opentelemetry-api.*\[opentelemetry\]"):
        OpenTelemetryObserver()
