"""Events, log entries and errors state a call's operation, key, vendor and account."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import (
    Account,
    AttemptFinished,
    AttemptStarted,
    CallFinished,
    CallStarted,
    CircuitBreakerConfig,
    CircuitChanged,
    CircuitState,
    ConnectorManager,
    Endpoint,
    HedgeConfig,
    Hub,
    LogEntriesLost,
    LogQuery,
    Money,
    ObserverFailed,
    Request,
    Response,
    RetryPolicy,
    Service,
    VendorFailed,
    VendorRejected,
)
from moorage.adapters.logs.memory import MemoryIntegrationLogger
from moorage.contracts.payments import Charge
from moorage.testing import FakeVendor, RecordingObserver, ScriptedHttpClient, VirtualClock
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from moorage.vendors.payments.stripe import Stripe

CHARGE = Charge(Money("149.90", "EUR"), "pm_card_visa", reference="INV-1")
BASE = "https://api.vendor.example/v1"


class Attempts(RecordingObserver):
    """An observer that records attempts and calls, and adds headers to requests."""

    event_classes = (AttemptStarted, AttemptFinished, CallStarted, CallFinished, CircuitChanged)

    def __init__(self, headers: Any = ()) -> None:
        super().__init__()
        self.headers = headers

    def trace_headers(self, _: AttemptStarted, /) -> Any:
        """Return the headers to add."""
        if isinstance(self.headers, Exception):
            raise self.headers
        return self.headers


def test_charge_and_refund_are_distinguished_and_found() -> None:
    """Events, log entries and errors name a call's operation, vendor, account and key."""
    stripe, log, attempts = StripeSandbox(), MemoryIntegrationLogger(), Attempts()
    account = Account("till", Stripe(credentials=stripe.api_key), settings={"volatile_keys": True})
    hub = Hub([account], http=SandboxHttpClient(stripe), log=log, observers=[attempts])

    payment = hub.payments().charge(CHARGE, idempotency_key="pay INV-1")
    hub.payments().refund(payment.ref, idempotency_key="refund INV-1")
    with pytest.raises(VendorRejected) as refusal:
        hub.payments().refund(payment.ref, Money("9999.00", "EUR"), idempotency_key="refund INV-2")

    names = ("service", "operation", "vendor", "account", "idempotency_key")
    attempt_facts = [tuple(getattr(event, name) for name in names) for event in attempts.events]
    charge_facts = ("till", "payments.charge", "stripe", "till", "pay INV-1")
    refund_facts = ("till", "payments.refund", "stripe", "till", "refund INV-1")
    assert {charge_facts, refund_facts} <= set(attempt_facts)
    assert {"payments.charge", "payments.refund"} <= {fact[1] for fact in attempt_facts}
    (entry,) = log.find(LogQuery(operation="payments.charge")).items
    assert "pay INV-1" == entry.idempotency_key
    error = refusal.value
    assert ("stripe", "till", "payments.refund") == (error.vendor, error.account, error.operation)
    assert "refund INV-2" == error.idempotency_key


def _manager(vendor: FakeVendor, service: Service, *observers: Any, **ports: Any) -> Any:
    return ConnectorManager(
        [service], http=ScriptedHttpClient(vendor), observers=list(observers), **ports
    )


@pytest.mark.parametrize("retry", [None, RetryPolicy(max_attempts=2, base_delay=0.0)])
def test_attempts_describe_their_request(retry: RetryPolicy | None) -> None:
    """An attempt's events have method, host, route and sizes, and never the path itself."""
    vendor, attempts = FakeVendor(), Attempts()
    vendor.queue(Response(503), Response(200, body=b"four"))
    endpoint = Endpoint("invoice", path="/invoices/{id}", idempotent=True)
    service = Service("erp", base_url=BASE, endpoints=[endpoint], retry=retry)
    manager = _manager(vendor, service, attempts)
    request = Request.post("/invoices/secret-7", body=b"twelve bytes")

    if retry is None:
        with pytest.raises(VendorFailed) as failure:
            manager.call("erp", request)
        assert "invoice" == failure.value.operation
    manager.call("erp", request, idempotency_key="k-1")

    starts, end_events = attempts.of(AttemptStarted), attempts.of(AttemptFinished)
    assert len(starts) == len(end_events) == 2
    first = starts[0]
    assert ("POST", "api.vendor.example", "/invoices/{id}") == (
        first.method,
        first.host,
        first.route,
    )
    assert ([12, 12], [0, 4]) == (
        [event.bytes_out for event in end_events],
        [event.bytes_in for event in end_events],
    )
    assert [503, 200] == [event.status for event in end_events]
    assert "secret-7" not in repr(attempts.events)
    assert "k-1" == attempts.of(CallFinished)[-1].idempotency_key


def test_attempt_of_the_fast_path_is_described() -> None:
    """An attempt on the fast path has the same details of its request in its events."""
    vendor, attempts = FakeVendor(), Attempts()
    vendor.always(Response(200, body=b"four"))
    manager = _manager(vendor, Service("erp", base_url=BASE), attempts)

    for _ in range(2):
        manager.call("erp", Request.get("/stock"))

    start, end = attempts.of(AttemptStarted)[-1], attempts.of(AttemptFinished)[-1]
    assert (1, "GET", "api.vendor.example", None, 0) == (
        start.attempt,
        start.method,
        start.host,
        start.route,
        start.bytes_out,
    )
    assert (1, 200, "GET", 0, 4) == (
        end.attempt,
        end.status,
        end.method,
        end.bytes_out,
        end.bytes_in,
    )


def test_attempts_of_functions_have_no_request() -> None:
    """The events of an attempt that runs a function have no method and no host."""
    attempts = Attempts()
    manager = ConnectorManager([Service("tax")], observers=[attempts])

    for _ in range(2):
        manager.run("tax", lambda: None)

    assert 2 == len(attempts.of(AttemptStarted))
    assert [(None, None)] * 2 == [
        (event.method, event.host) for event in attempts.of(AttemptStarted)
    ]
    assert [None] * 2 == [event.method for event in attempts.of(AttemptFinished)]


def test_observer_without_event_classes_gets_no_attempt_started_event() -> None:
    """An observer without `event_classes` gets no `AttemptStarted` event."""
    recorder = RecordingObserver()
    manager = ConnectorManager([Service("tax")], observers=[recorder, Attempts()])

    manager.run("tax", lambda: None)

    assert [] == recorder.of(AttemptStarted)


def test_extra_requests_are_numbered() -> None:
    """Events number the requests of a hedged read: 0 for the first, 1 for the extra one."""
    vendor, attempts = FakeVendor(), Attempts()
    vendor.queue(Response(503), Response(200))
    service = Service("erp", base_url=BASE, hedge=HedgeConfig(delay=0.001), retry=None)

    _manager(vendor, service, attempts).call("erp", Request.get("/stock"))

    assert {0, 1} == {event.hedge for event in attempts.of(AttemptStarted)}


@pytest.mark.parametrize("key", [None, "k-1"])
def test_headers_of_observers_are_sent(key: str | None) -> None:
    """Observers can add headers to each attempt, but cannot replace the request's headers."""
    vendor, attempts = FakeVendor(), Attempts({"traceparent": "00-1", "tracestate": "a=b"})
    vendor.always(Response(200))
    manager = _manager(vendor, Service("erp", base_url=BASE), attempts)
    for _ in range(2):
        request = Request.get("/stock", headers={"tracestate": "own"})
        manager.call("erp", request, idempotency_key=key and f"{key}{_}")

    for delivery in vendor.requests:
        headers = delivery.headers
        assert ("00-1", "own") == (headers["traceparent"], headers["tracestate"])


@pytest.mark.parametrize("headers", [ValueError("broken"), {"bad name": "x"}])
def test_failing_tracer_breaks_no_call(headers: Any) -> None:
    """If an observer's headers cannot be added, an event says so, and the request is sent."""
    vendor, recorder = FakeVendor(), RecordingObserver()
    vendor.always(Response(200))
    manager = _manager(vendor, Service("erp", base_url=BASE), Attempts(headers), recorder)

    assert 200 == manager.call("erp", Request.get("/stock")).status
    assert {"Attempts"} == {event.observer for event in recorder.of(ObserverFailed)}


def test_half_open_circuit_is_an_event() -> None:
    """Each probe of a half-open circuit emits an event."""
    vendor, attempts, clock = FakeVendor(), Attempts(), VirtualClock()
    vendor.queue(Response(503), Response(200))
    circuit = CircuitBreakerConfig(failures=1, open_for=1)
    service = Service("erp", base_url=BASE, circuit=circuit, retry=None)
    manager = _manager(vendor, service, attempts, clock=clock)

    with pytest.raises(VendorFailed):
        manager.call("erp", Request.get("/stock"))
    clock.advance(1)
    manager.call("erp", Request.get("/stock"))

    assert [CircuitState.OPEN, CircuitState.HALF_OPEN, CircuitState.CLOSED] == [
        event.state for event in attempts.of(CircuitChanged)
    ]


class LosingLog(MemoryIntegrationLogger):
    """A log that reports lost entries."""

    lost = 0


def test_lost_log_entries_are_reported() -> None:
    """Observers are told how many entries the log has lost; each entry is counted once."""
    log, recorder, clock = LosingLog(), RecordingObserver(), VirtualClock()
    manager = ConnectorManager([Service("tax")], observers=[recorder], log=log, clock=clock)
    for lost_count in (0, 3, 3, 5):
        log.lost = lost_count
        clock.advance(1.0)
        manager.run("tax", lambda: None)

    assert [(3, 3), (2, 5)] == [
        (event.entries, event.total) for event in recorder.of(LogEntriesLost)
    ]


def test_overloaded_log_reports_once_a_second() -> None:
    """If the log loses entries at every call, observers get one event a second with the count."""
    log, recorder, clock = LosingLog(), RecordingObserver(), VirtualClock()
    manager = ConnectorManager([Service("tax")], observers=[recorder], log=log, clock=clock)
    for _ in range(8):
        log.lost += 1
        manager.run("tax", lambda: None)
        clock.advance(0.4)

    assert [(1, 1), (3, 4), (3, 7)] == [
        (event.entries, event.total) for event in recorder.of(LogEntriesLost)
    ]
