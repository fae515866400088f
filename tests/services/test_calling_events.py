"""The events that observers receive about a call."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from moorage import (
    CircuitBreakerConfig,
    ConfigurationError,
    Endpoint,
    InvalidData,
    InvalidRequest,
    Jitter,
    RateLimitConfig,
    RateLimitExceeded,
    Response,
    RetryPolicy,
    VendorFailed,
)
from moorage.domain.observation.call_events import CallFinished
from moorage.domain.observation.events import Event, ObserverFailed
from tests.services.vat import GET, POST, vat
from tests.support.modes import Harness, sync_and_async
from tests.support.virtual_ports import START
from tests.support.virtual_tasks import Interruption

# --- events ---


def summaries(events: list[Event]) -> list[str]:
    """Return each event as a short text: its class, attempt, error and status."""
    return [
        " ".join(
            str(part)
            for part in (
                type(event).__name__,
                getattr(event, "attempt", None),
                getattr(event, "error", None),
                getattr(event, "status", None),
            )
            if part is not None
        )
        for event in events
    ]


@sync_and_async
async def test_successful_call_emits_start_attempt_and_end_events(harness: Harness) -> None:
    """A successful call emits a start, an attempt and an end event with the same call id."""
    manager = harness.watched(vat(circuit=CircuitBreakerConfig()))

    await manager.call("vat", GET, tenant="acme")

    assert ["CallStarted", "AttemptFinished 1 200", "CallFinished 200"] == summaries(harness.events)
    finished_event: Any = harness.events[-1]
    assert (False, False, False) == (
        finished_event.fallback,
        finished_event.cancelled,
        finished_event.replayed,
    )
    assert {("vat", "acme", "id-1", START)} == {
        (event.service, event.tenant, event.request_id, event.at) for event in harness.events
    }


@sync_and_async
async def test_retried_call_emits_events_for_attempt_pause_and_circuit(harness: Harness) -> None:
    """A retried call emits events for the failed attempt, the pause and the circuit's change."""
    harness.vendor.answers(harness.answer_after(2.0, Response(503, {"Retry-After": "3"})))
    service = vat(
        circuit=CircuitBreakerConfig(failures=1, shadow=True),
        limits=RateLimitConfig(1000),
        retry=RetryPolicy(2, 1.0, jitter=Jitter.NONE),
    )

    await harness.watched(service).call("vat", GET)

    assert [
        "CallStarted",
        "AttemptFinished 1 VendorFailed 503",
        "CircuitChanged",
        "VendorPaused",
        "RetryScheduled 1 VendorFailed",
        "RateLimitWaited",
        "AttemptFinished 2 200",
        "CallFinished 200",
    ] == summaries(harness.events)
    finished_event: Any = harness.events[-1]
    assert (2, 5.001, START) == (
        finished_event.attempts,
        finished_event.duration,
        finished_event.started_at,
    )
    paused_event, rested_event = harness.events[3], harness.events[4]
    assert (3.0, 3.0) == (paused_event.delay, rested_event.delay)
    assert [2.0, 0.0] == [e.duration for e in harness.events if "Attempt" in type(e).__name__]


@sync_and_async
async def test_refused_call_emits_its_reason_and_no_attempt_event(harness: Harness) -> None:
    """A refused call emits an event with the reason, and no attempt event."""
    manager = harness.watched(vat(limits=RateLimitConfig(1, per=60), max_limit_wait=0))
    await manager.call("vat", GET)
    harness.events.clear()

    with pytest.raises(RateLimitExceeded):
        await manager.call("vat", GET)

    assert [
        "CallStarted",
        "CallRefused RateLimitExceeded",
        "CallFinished RateLimitExceeded",
    ] == summaries(harness.events)
    refusal_event: Any = harness.events[1]
    assert 60.0 == refusal_event.retry_after


@sync_and_async
async def test_replayed_call_emits_a_replay_event_and_no_attempt_event(harness: Harness) -> None:
    """A call with a repeated idempotency key emits a replay event, and no attempt event."""
    manager = harness.watched(vat())
    await manager.call("vat", POST, idempotency_key="k")
    harness.events.clear()

    await manager.call("vat", POST, idempotency_key="k")

    assert ["CallStarted", "IdempotencyReplayed", "CallFinished"] == summaries(harness.events)
    finished_event: Any = harness.events[-1]
    assert "k" == harness.events[1].idempotency_key
    assert ("k", True, 0) == (
        finished_event.idempotency_key,
        finished_event.replayed,
        finished_event.attempts,
    )


@pytest.mark.parametrize("duration, slow", [(1.0, False), (1.001, True)])
@sync_and_async
async def test_slow_attempt_is_reported(harness: Harness, duration: float, slow: bool) -> None:
    """An attempt's event says whether the attempt was slow, as the circuit's settings define it."""
    harness.vendor.answers(harness.answer_after(duration, 200))
    manager = harness.watched(vat(circuit=CircuitBreakerConfig(slow_call=1)))

    await manager.call("vat", GET)

    assert [slow] == [e.slow for e in harness.events if type(e).__name__ == "AttemptFinished"]


@sync_and_async
async def test_failing_observer_is_isolated(harness: Harness) -> None:
    """If an observer raises an error, no call fails, and other observers get an event about it."""

    def broken_observer(_: Event) -> None:
        raise KeyError("hunter2")

    class FailingObserver:
        def __call__(self, event: Event) -> None:
            if isinstance(event, ObserverFailed):
                raise TypeError

    seen_events: list[Event] = []
    service = vat(endpoints=Endpoint("rates", path="/rates"))
    manager = harness.manager(
        service, observers=[broken_observer, FailingObserver(), seen_events.append]
    )

    assert 200 == (await manager.call("vat", GET, tenant="acme")).status

    reports = [event for event in seen_events if isinstance(event, ObserverFailed)]
    assert [("KeyError", True, "vat", "rates", "acme", "id-1", START)] * 3 == [
        (
            report.error,
            "broken" in report.observer,
            report.service,
            report.operation,
            report.tenant,
            report.request_id,
            report.at,
        )
        for report in reports
    ]
    assert 3 == len([event for event in seen_events if not isinstance(event, ObserverFailed)])


@sync_and_async
async def test_integration_log_is_observer_that_records_result_of_each_call(
    harness: Harness,
) -> None:
    """The integration log is an observer that records the result of each call."""
    entries: list[Any] = []

    class Log:
        def write(self, entry: object, /) -> None:
            entries.append(entry)

    harness.vendor.answers(200, 503)
    manager = harness.manager(vat(), log=Log())

    await manager.call("vat", GET)
    with pytest.raises(VendorFailed):
        await manager.call("vat", GET)

    assert ["vat", "vat"] == [entry.service for entry in entries]


@sync_and_async
async def test_final_event_has_status_and_code(harness: Harness) -> None:
    """A call's last event has the vendor's error code and the status of the last response."""
    harness.vendor.answers(Response(422, {"Content-Type": "application/json"}, b'{"code": "E1"}'))
    manager = harness.watched(vat())

    with pytest.raises(InvalidRequest):
        await manager.call("vat", GET)

    finished_event = harness.events[-1]
    assert isinstance(finished_event, CallFinished)
    assert ("E1", 422, 1) == (
        finished_event.vendor_code,
        finished_event.status,
        finished_event.attempts,
    )


@pytest.mark.parametrize("healthy", [True, False])
@sync_and_async
async def test_function_that_becomes_asynchronous_is_refused(
    harness: Harness, healthy: bool
) -> None:
    """A function that returns an awaitable only at its second attempt is refused at that time."""
    service = vat(limits=RateLimitConfig(1), retry=RetryPolicy(2, 0))
    manager = harness.manager(service)
    await manager.run("vat", harness.do_nothing)
    if healthy:
        harness.clock.advance(9)
    remaining_errors = [OSError()]

    async def run_later() -> int:
        return 1

    def run_function() -> Any:
        for error in remaining_errors:
            remaining_errors.remove(error)
            raise error
        return 1 if harness.is_awaited else run_later()

    with pytest.raises(ConfigurationError) as excinfo:
        await manager.call_as_is("run", "vat", run_function)

    assert ("function", "vat") == (excinfo.value.path, excinfo.value.service)


@sync_and_async
async def test_interrupted_function_uses_its_token(harness: Harness) -> None:
    """If a function with a rate limit but no circuit is interrupted, its token is spent."""
    manager = harness.manager(vat(limits=RateLimitConfig(1)))

    async def run_function() -> None:
        raise Interruption

    await manager.run("vat", harness.do_nothing)
    harness.clock.advance(1)
    for _ in range(2):
        with pytest.raises(Interruption):
            await manager.run("vat", run_function)

    assert [1.0] == harness.sleeper.slept


@sync_and_async
async def test_only_repeats_report_an_unstorable_result_without_observers(harness: Harness) -> None:
    """Without observers, only callers that repeat the key learn that its result was not stored."""
    manager = harness.manager(vat())

    async def run_function() -> object:
        return threading.Lock()

    await manager.run("vat", run_function, idempotency_key="k")
    with pytest.raises(InvalidData, match="could not be stored"):
        await manager.run("vat", run_function, idempotency_key="k")
