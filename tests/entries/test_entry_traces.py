"""Trace contexts that are stored with entries of the inbox and the outbox."""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from moorage import ConfigurationError, Hub, Outbox, Request, Response, Service
from moorage.adapters.entries.memory import MemoryInbox, MemoryOutbox
from moorage.adapters.entries.sqlite import SqliteOutbox
from moorage.adapters.observers._description import NAMES
from moorage.adapters.observers.opentelemetry import OpenTelemetryObserver
from moorage.adapters.observers.opentelemetry_entries import OpenTelemetryEntries
from moorage.domain.entries.outbox import OutboxEntry
from moorage.domain.values.trace_context import TraceContext
from moorage.domain.webhooks.delivery import trace_of
from moorage.errors import InvalidData
from moorage.testing import FakeVendor, ScriptedHttpClient
from moorage.wiring.entry_tracing import HostTracing
from tests.entries.shop import Shop, shop

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["shop"]

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Spans:
    """A tracer provider that keeps finished spans in memory."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracing = OpenTelemetryEntries(tracer_provider=self.provider)
        self.tracer = self.provider.get_tracer("app")

    def span_named(self, name: str) -> Any:
        """Return the only finished span of this name."""
        (span,) = (span for span in self.exporter.get_finished_spans() if span.name == name)
        return span

    def hub(self, vendor: FakeVendor, **settings: Any) -> Hub:
        """Return a hub with the service `erp` that creates spans."""
        service = Service("erp", base_url="https://erp.example", **settings)
        observer = OpenTelemetryObserver(tracer_provider=self.provider)
        return Hub([], services=[service], http=ScriptedHttpClient(vendor), observers=[observer])


def _ids(span: Any) -> tuple[int, int]:
    return span.context.trace_id, span.context.span_id


def test_call_of_the_outbox_continues_the_trace(tmp_path: Path) -> None:
    """A call made by a worker in another process continues the trace that stored the call."""
    spans, vendor = Spans(), FakeVendor()
    vendor.queue(Response(200))
    file = tmp_path / "shop.db"
    with SqliteOutbox(file, create=True) as store, SqliteOutbox(file) as worker_store:
        with spans.tracer.start_as_current_span("order"):
            entry = Outbox(store, tracing=spans.tracing).put_request(
                "erp", Request.post("/invoices", json={}), tenant="acme"
            )
        worker = Outbox(worker_store, tracing=spans.tracing)
        with spans.tracer.start_as_current_span("round"):
            assert 1 == worker.deliver(spans.hub(vendor)).done

    order, send, process = (
        spans.span_named(name) for name in ("order", "send outbox", "process outbox")
    )
    call, attempt = spans.span_named("moorage.call"), spans.span_named("POST")
    assert (order.context.span_id, send.context.span_id, process.context.span_id) == (
        send.parent.span_id,
        process.parent.span_id,
        call.parent.span_id,
    )
    assert {order.context.trace_id} == {
        span.context.trace_id for span in (send, process, call, attempt)
    }
    assert (trace.SpanKind.PRODUCER, trace.SpanKind.CONSUMER) == (send.kind, process.kind)
    linked_spans = [(link.context.trace_id, link.context.span_id) for link in process.links]
    assert [_ids(send), _ids(spans.span_named("round"))] == linked_spans
    assert (entry.id, "outbox", "acme", 1) == tuple(
        process.attributes[name]
        for name in (
            "messaging.message.id",
            "messaging.destination.name",
            "moorage.tenant",
            "moorage.attempts",
        )
    )
    trace_parts = vendor.requests[0].headers["traceparent"].split("-")
    assert [f"{order.context.trace_id:032x}", f"{attempt.context.span_id:016x}"] == trace_parts[1:3]


def test_stored_calls_have_another_name() -> None:
    """With `connector_names`, the span for storing a call is `connector.message_queue.publish`."""
    spans, vendor = Spans(), FakeVendor()
    vendor.queue(Response(200))
    tracing = OpenTelemetryEntries(connector_names=True, tracer_provider=spans.provider)
    outbox = Outbox(MemoryOutbox(), tracing=tracing)
    outbox.put_request("erp", Request.post("/invoices", json={}))
    outbox.deliver(spans.hub(vendor))

    send, process = (
        spans.span_named("connector.message_queue.publish"),
        spans.span_named("process outbox"),
    )
    assert trace.SpanKind.PRODUCER is send.kind
    assert send.context.span_id == process.parent.span_id
    assert send.name == NAMES["connector"]["send outbox"]
    assert {*send.attributes} <= {*NAMES["attributes"]}


def test_failed_work_marks_its_span() -> None:
    """The span of a failed call or webhook has the error's class, but not its message."""
    spans, vendor = Spans(), FakeVendor()
    vendor.queue(Response(400, body=b"canary"))
    outbox = Outbox(MemoryOutbox(), tracing=spans.tracing)
    outbox.put_request("erp", Request.post("/invoices", json={}))

    outbox.deliver(spans.hub(vendor))

    process = spans.span_named("process outbox")
    assert "InvalidRequest" == process.attributes["error.type"]
    assert trace.StatusCode.ERROR is process.status.status_code
    assert "canary" not in process.to_json()
    assert not process.events


def test_webhook_continues_the_senders_trace(shop: Shop) -> None:
    """A webhook's span links to the sender's span, and its handler is in the sender's trace."""
    spans = Spans()
    inbox = shop.inbox_over(MemoryInbox(shop.clock), tracing=spans.tracing)
    current: list[Any] = []
    inbox.on("webhook")(lambda *_: current.append(trace.get_current_span().get_span_context()))
    delivery = shop.webhook_of_payment().arguments()
    headers = {**dict(delivery["headers"]), "traceparent": PARENT, "TraceState": "vendor=1"}

    entry = shop.do(inbox.receive, "stripe", **{**delivery, "headers": headers})
    shop.do(inbox.handle)

    send, process = spans.span_named("send inbox"), spans.span_named("process inbox")
    assert PARENT.split("-")[1:3] == [
        f"{send.parent.trace_id:032x}",
        f"{send.parent.span_id:016x}",
    ]
    assert [PARENT.split("-")[2]] == [f"{link.context.span_id:016x}" for link in send.links]
    assert send.context.span_id == process.parent.span_id
    assert process.context.span_id == current[0].span_id
    assert "vendor=1" == entry.tracestate
    assert send.context.trace_id == process.context.trace_id


def test_webhook_in_a_request_stays_in_its_trace(shop: Shop) -> None:
    """Inside a span of the host, a webhook belongs to that span and links to the sender's span."""
    spans = Spans()
    inbox = shop.inbox_over(MemoryInbox(shop.clock), tracing=spans.tracing)
    delivery = shop.webhook_of_payment().arguments()
    headers = {**dict(delivery["headers"]), "traceparent": PARENT}

    with spans.tracer.start_as_current_span("POST /hooks"):
        shop.do(inbox.receive, "stripe", **{**delivery, "headers": headers})

    send = spans.span_named("send inbox")
    assert spans.span_named("POST /hooks").context.span_id == send.parent.span_id
    assert [PARENT.split("-")[2]] == [f"{link.context.span_id:016x}" for link in send.links]


def test_names_of_entry_spans_are_registered() -> None:
    """Every span name that an outbox run emits is in the registry of names."""
    spans, vendor = Spans(), FakeVendor()
    vendor.queue(Response(400))
    outbox = Outbox(MemoryOutbox(), tracing=spans.tracing)
    outbox.put_request("erp", Request.post("/invoices", json={}), tenant="acme")
    outbox.deliver(spans.hub(vendor))

    finished_spans = [span for span in spans.exporter.get_finished_spans() if "box" in span.name]
    assert {span.name for span in finished_spans} <= set(NAMES["spans"])
    assert {name for span in finished_spans for name in span.attributes or {}} <= set(
        NAMES["attributes"]
    )


def test_host_tracing_follows_the_program() -> None:
    """A call stores the trace context of the current span, or none if there is no span."""
    outbox = Outbox(MemoryOutbox())
    request = Request.post("/invoices", json={})
    assert outbox.put_request("erp", request).trace is None

    context = TraceContext(PARENT, "a=1")
    tracing = HostTracing()
    remote = OutboxEntry(
        id="1",
        target="erp",
        operation="call",
        added_at=_now(),
        traceparent=PARENT,
        tracestate="a=1",
    )
    with tracing.processing("outbox", remote):
        stored_entry = outbox.put_request("erp", request)
    assert context == remote.trace
    assert stored_entry.trace is not None
    assert PARENT == stored_entry.trace.traceparent


def test_without_the_package_nothing_is_imported() -> None:
    """Without OpenTelemetry no trace context is stored, and no OpenTelemetry module is imported."""
    program = """
import sys
from moorage import Outbox, Request
from moorage.adapters.entries.memory import MemoryOutbox
from moorage.wiring.entry_tracing import HostTracing
entry = Outbox(MemoryOutbox()).put_request("erp", Request.post("/x", json={}))
with HostTracing().processing("outbox", entry):
    print(entry.trace, [name for name in sys.modules if "opentelemetry" in name])
"""
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "None []" == process.stdout.strip()


def test_without_the_package_an_entry_has_no_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """Storing and processing an entry works without the OpenTelemetry packages."""
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    entry = Outbox(MemoryOutbox()).put_request("erp", Request.post("/x", json={}))

    assert entry.trace is None
    with HostTracing().processing("outbox", entry) as context:
        assert context is None


def test_tracing_without_opentelemetry_names_the_extra_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If tracing is wanted without OpenTelemetry, the error states which extra to install."""
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)

    with pytest.raises(ConfigurationError, match=r"opentelemetry-api.*\[opentelemetry\]"):
        OpenTelemetryEntries()


@pytest.mark.parametrize(
    "headers, trace",
    [
        ({}, None),
        ({"traceparent": ""}, None),
        ({"traceparent": "x" * 256}, None),
        ([("traceparent", PARENT), ("Traceparent", PARENT[:-1] + "0")], None),
        ({b"Traceparent": PARENT.encode()}, TraceContext(PARENT)),
        ([("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")], "a=1,b=2"),
        ({"traceparent": PARENT, "tracestate": "a" * 513}, TraceContext(PARENT)),
    ],
)
def test_only_valid_trace_headers_are_read(headers: Any, trace: Any) -> None:
    """A single `traceparent` of valid length is read, and `tracestate` if it is not too long."""
    expected = TraceContext(PARENT, trace) if isinstance(trace, str) else trace
    assert expected == trace_of(headers)


def test_invalid_stored_trace_context_starts_a_new_trace() -> None:
    """A stored trace context that is invalid is ignored, and a new trace starts."""
    spans = Spans()
    entry = OutboxEntry(
        id="1", target="erp", operation="call", added_at=_now(), traceparent="nonsense"
    )
    with spans.tracing.processing("outbox", entry):
        pass
    assert spans.span_named("process outbox").parent is None
    assert not spans.span_named("process outbox").links


@pytest.mark.parametrize("state", ["", "x" * 513, 5])
def test_trace_state_that_is_too_long_is_not_stored(state: Any) -> None:
    """A `tracestate` longer than stores allow is not stored."""
    with pytest.raises(InvalidData, match="tracestate must be"):
        OutboxEntry(
            id="1",
            target="erp",
            operation="call",
            added_at=_now(),
            traceparent=PARENT,
            tracestate=state,
        )


def _now() -> Any:
    return MemoryOutbox().now()


# --- over the wire ----------------------------------------------------------------------


class Receiver:
    """An OTLP receiver on this machine, which decodes spans from Protobuf."""

    def __init__(self) -> None:
        received_bodies: deque[bytes] = deque()

        class Handler(BaseHTTPRequestHandler):
            """An HTTP handler that keeps the bodies of exported traces."""

            def do_POST(self) -> None:
                received_bodies.append(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *_: Any) -> None:  # noqa: A002 - as the base class names it
                """Write no log."""

        self.received = received_bodies
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"

    def close(self) -> None:
        """Stop the web server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def test_one_trace_arrives_over_the_wire(shop: Shop) -> None:
    """An OTLP receiver gets outbox, call, webhook and handler as spans of one trace."""
    exporters = pytest.importorskip(
        "opentelemetry.exporter.otlp.proto.http.trace_exporter",
        reason="needs opentelemetry-exporter-otlp-proto-http",
    )
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # noqa: PLC0415 - optional
        ExportTraceServiceRequest,
    )

    receiver, vendor = Receiver(), FakeVendor()
    vendor.queue(Response(200))
    provider = TracerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
    exporter = exporters.OTLPSpanExporter(endpoint=receiver.url)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing = OpenTelemetryEntries(tracer_provider=provider)
    observer = OpenTelemetryObserver(tracer_provider=provider)
    service = Service("erp", base_url="https://erp.example")
    hub = Hub([], services=[service], http=ScriptedHttpClient(vendor), observers=[observer])
    outbox = Outbox(MemoryOutbox(), tracing=tracing)
    inbox = shop.inbox_over(MemoryInbox(shop.clock), tracing=tracing)
    inbox.on("webhook")(lambda *_: None)
    try:
        with provider.get_tracer("app").start_as_current_span("order"):
            outbox.put_request("erp", Request.post("/invoices", json={}))
        outbox.deliver(hub)
        delivery = shop.webhook_of_payment().arguments()
        echoed_headers = {"traceparent": vendor.requests[0].headers["traceparent"]}
        headers = {**dict(delivery["headers"]), **echoed_headers}
        shop.do(inbox.receive, "stripe", **{**delivery, "headers": headers})
        shop.do(inbox.handle)
        provider.shutdown()
    finally:
        receiver.close()

    spans: list[Any] = [
        span
        for body in receiver.received
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert 1 == len({span.trace_id for span in spans})
    parents = {span.span_id: span.name for span in spans}
    assert {
        ("order", None),
        ("send outbox", "order"),
        ("process outbox", "send outbox"),
        ("moorage.call", "process outbox"),
        ("POST", "moorage.call"),
        ("send inbox", "POST"),
        ("process inbox", "send inbox"),
    } == {(span.name, parents.get(span.parent_span_id)) for span in spans}
