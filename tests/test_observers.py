"""Observers that make calls, fail, or wait."""

from __future__ import annotations

import asyncio
import threading
import warnings
from datetime import UTC, datetime
from typing import Any

import pytest
from ulid import ULID

from moorage import (
    AsyncConnectorManager,
    ConfigurationError,
    ConnectorManager,
    Event,
    ObserverFailed,
    Request,
    Response,
    Service,
)
from moorage.adapters.logs.memory import MemoryIntegrationLogger
from moorage.domain.observation.call_events import AttemptStarted, CallFinished, CallStarted
from moorage.domain.observation.integration_log import LogQuery
from moorage.testing import FakeVendor, ScriptedHttpClient
from moorage.wiring.observers import Observers
from tests.adapters.forked import run_in_forked_child


def test_observer_that_calls_its_own_manager_gets_no_events_of_its_own_calls() -> None:
    """An observer that calls its own manager receives no events of these calls."""
    reports: list[str] = []

    def alert(event: Event) -> None:
        reports.append(type(event).__name__)
        assert "alerted" == manager.run("alerts", lambda: "alerted")

    seen_events: list[Any] = []
    manager = ConnectorManager(
        [Service("a"), Service("alerts")], observers=[alert, seen_events.append]
    )

    manager.run("a", lambda: None)

    assert ["CallStarted", "AttemptFinished", "CallFinished"] == reports
    assert {"a", "alerts"} == {event.service for event in seen_events}


def test_observer_that_raised_error_still_gets_next_event() -> None:
    """An observer that raised an error still gets the next event."""
    reports: list[str] = []

    def fail_on_event(event: Event) -> None:
        reports.append(type(event).__name__)
        raise ValueError

    manager = ConnectorManager([Service("a")], observers=[fail_on_event])

    manager.run("a", lambda: None)

    assert ["CallStarted", "AttemptFinished", "CallFinished"] == reports


def test_failure_of_the_only_observer_is_logged() -> None:
    """If the only observer fails, a warning is logged once for each error."""

    def exporter(_: Event) -> None:
        raise RuntimeError("my exporter has a bug")

    manager = ConnectorManager([Service("a")], observers=[exporter])
    with pytest.warns(RuntimeWarning, match=r"exporter failed \(RuntimeError\)") as reports:
        manager.run("a", lambda: None)
    with warnings.catch_warnings(record=True) as later_warnings:
        warnings.simplefilter("always")
        manager.run("a", lambda: None)

    assert (1, []) == (len(reports), later_warnings)


def test_other_observer_gets_an_event_if_an_observer_fails() -> None:
    """If one observer fails, another is notified; if both fail, a warning appears."""
    seen_events: list[Any] = []

    def fail_on_event(_: Event) -> None:
        raise ValueError

    manager = ConnectorManager([Service("a")], observers=[fail_on_event, seen_events.append])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        manager.run("a", lambda: None)
    assert 3 == sum(isinstance(event, ObserverFailed) for event in seen_events)

    with pytest.warns(RuntimeWarning, match="fail_on_event failed"):
        ConnectorManager([Service("a")], observers=[fail_on_event, fail_on_event]).run(
            "a", lambda: None
        )


class SelectiveObserver:
    """An observer that declares the events that it wants.

    Attributes:
        kinds: the names of the classes of the events that it received.
    """

    def __init__(self, event_classes: Any = (Event,), *, failures_only: bool = False) -> None:
        self.event_classes = event_classes
        self.failures_only = failures_only
        self.kinds: list[str] = []

    def __call__(self, event: Event) -> None:
        """Record the class of the event."""
        self.kinds.append(type(event).__name__)


@pytest.mark.parametrize(
    "observer, expected",
    [
        (SelectiveObserver(), ["CallStarted", "AttemptFinished", "CallFinished"] * 2),
        (SelectiveObserver(CallFinished), ["CallFinished"] * 2),
        (SelectiveObserver([CallFinished, CallStarted]), ["CallStarted", "CallFinished"] * 2),
        (SelectiveObserver(failures_only=True), ["AttemptFinished", "CallFinished"]),
        (SelectiveObserver((CallFinished,), failures_only=True), ["CallFinished"]),
        (SelectiveObserver((ObserverFailed,)), ["ObserverFailed"] * 6),
        (SelectiveObserver(()), []),
    ],
)
def test_observer_receives_the_events_it_declares(
    observer: SelectiveObserver, expected: list[str]
) -> None:
    """An observer with `event_classes` or `failures_only` gets only the events that it chose."""

    def fail_on_event(_: Event) -> None:
        raise ValueError

    other_observers = [fail_on_event] if observer.event_classes == (ObserverFailed,) else []
    manager = ConnectorManager([Service("a", retry=None)], observers=[observer, *other_observers])

    manager.run("a", lambda: None)
    with pytest.raises(ZeroDivisionError):
        manager.run("a", lambda: 1 / 0)

    assert expected == observer.kinds


def test_observer_with_failures_only_gets_no_event_of_success() -> None:
    """An observer with `failures_only` gets no success events, even if another observer does."""
    everything, failures = SelectiveObserver(), SelectiveObserver(failures_only=True)
    manager = ConnectorManager([Service("a")], observers=[everything, failures])

    manager.run("a", lambda: None)

    assert ["CallStarted", "AttemptFinished", "CallFinished"] == everything.kinds
    assert [] == failures.kinds


def test_observer_hears_no_failure_of_another_inside_its_own_call() -> None:
    """While an observer makes a call, it gets no event of another observer's failure."""
    failures: list[str | None] = []

    def alert(event: Event) -> None:
        if isinstance(event, ObserverFailed):
            failures.append(event.service)
        elif isinstance(event, CallFinished):
            manager.run("alerts", lambda: None)

    def fail_on_event(event: Event) -> None:
        raise ValueError(event)

    services = [Service("a"), Service("alerts")]
    manager = ConnectorManager(services, observers=[alert, fail_on_event])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        manager.run("a", lambda: None)

    assert ["a"] * 3 == failures


def test_observer_can_be_notified_by_several_threads_at_once() -> None:
    """While one thread notifies an observer, other threads and forked children can do so too."""
    entered, free = threading.Event(), threading.Event()
    received_events: list[str | None] = []

    def observe_slowly(event: Event) -> None:
        received_events.append(event.operation)
        if event.operation == "slow":
            entered.set()
            assert free.wait(60)

    observers = Observers([observe_slowly], print)
    moment = datetime(2031, 5, 6, tzinfo=UTC)

    def notify_started(operation: str) -> None:
        event = CallStarted(at=moment, service="a", operation=operation, request_id="1")
        observers.notify(event)

    def notify_in_a_thread() -> list[str | None]:
        # The thread's number may be that of the thread that notifies the observer in the parent
        # process.
        thread = threading.Thread(target=notify_started, args=["of the child"])
        thread.start()
        thread.join()
        return received_events

    thread = threading.Thread(target=notify_started, args=["slow"])
    thread.start()
    try:
        assert entered.wait(60)
        notify_started("quick")
        assert ["slow", "quick", "of the child"] == run_in_forked_child(notify_in_a_thread)
    finally:
        free.set()
        thread.join()

    assert ["slow", "quick"] == received_events


@pytest.mark.parametrize(
    "event_classes", [("CallFinished",), (int,), ("CallFinished", CallFinished)]
)
def test_observer_declares_classes_of_events(event_classes: Any) -> None:
    """An observer is refused if its `event_classes` contains anything but event classes."""
    with pytest.raises(
        ConfigurationError, match="SelectiveObserver must contain only event classes"
    ):
        ConnectorManager([Service("a")], observers=[SelectiveObserver(event_classes)])


def test_ids_of_the_host_are_made_at_the_start() -> None:
    """The host's id generator is called when a call starts, even if no observer reads the id."""
    constructed: list[str] = []

    class ContextIds:
        def new(self) -> str:
            constructed.append("from the context")
            return constructed[-1]

    log = MemoryIntegrationLogger()
    ConnectorManager([Service("a")], log=log, ids=ContextIds()).run("a", lambda: None)

    assert ["from the context"] == constructed
    assert "from the context" == log.find(LogQuery()).items[0].id


def test_id_sorts_by_the_start_of_its_call() -> None:
    """A call's id contains the time at which the call began, even if the id is created later."""
    log = MemoryIntegrationLogger()
    manager = ConnectorManager([Service("a")], log=log)
    manager.run("a", lambda: None)
    (entry,) = log.find(LogQuery()).items

    assert int(entry.started_at.timestamp() * 1000) == ULID.from_str(entry.id).milliseconds


class Tracer:
    """An observer that adds a header to requests, and sends a request when an attempt begins.

    Attributes:
        started: the services whose attempts began.
    """

    event_classes = (AttemptStarted,)

    def __init__(self) -> None:
        self.started: list[str] = []
        self.manager: ConnectorManager | None = None

    def __call__(self, event: Event) -> None:
        """Send a request."""
        self.started.append(event.service)
        if self.manager is not None:
            self.manager.call("alerts", Request.post("/alerts", json={}))

    def trace_headers(self, event: AttemptStarted, /) -> Any:
        """Return the tracing header."""
        return {"traceparent": f"00-{event.service}"}


def test_requests_that_tracing_observer_sends_itself_have_none_of_its_headers() -> None:
    """A request that a tracing observer sends itself gets none of the observer's headers."""
    vendor, tracer = FakeVendor(), Tracer()
    vendor.always(Response(200))
    base = "https://vendor.example"
    services = [Service("a", base_url=base), Service("alerts", base_url=base)]
    manager = ConnectorManager(services, http=ScriptedHttpClient(vendor), observers=[tracer])
    tracer.manager = manager

    manager.call("a", Request.get("/stock"))

    alert, request = vendor.requests
    assert "traceparent" not in alert.headers
    assert "00-a" == request.headers["traceparent"]
    assert ["a"] == tracer.started


def test_observers_get_attempt_started_before_function_is_called() -> None:
    """Observers get `AttemptStarted` before the function is called."""
    tracer = Tracer()
    manager = ConnectorManager([Service("a")], observers=[tracer])

    assert ["a"] == manager.run("a", lambda: [*tracer.started])
    assert ["a", "a"] == manager.run("a", lambda: [*tracer.started])


def test_observers_get_attempt_started_before_asynchronous_function_is_called() -> None:
    """Observers get `AttemptStarted` before the asynchronous function is called."""
    tracer = Tracer()

    async def started_events() -> list[str]:
        return [*tracer.started]

    async def run() -> list[list[str]]:
        async with AsyncConnectorManager([Service("a")], observers=[tracer]) as manager:
            return [await manager.run("a", started_events), await manager.run("a", started_events)]

    assert [["a"], ["a", "a"]] == asyncio.run(run())
