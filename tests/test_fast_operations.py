"""Connector operations on the fast path, and cases that the general path handles."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import attrs
import pytest

from moorage import (
    AsyncConnectorManager,
    AttemptFinished,
    AttemptStarted,
    AttemptTimeout,
    BulkheadConfig,
    BulkheadFull,
    CallFinished,
    CallStarted,
    CircuitBreakerConfig,
    CircuitBreakerOpen,
    ConfigurationError,
    ConnectionFailed,
    ConnectorManager,
    DeadlineExceeded,
    DryRun,
    Endpoint,
    InvalidData,
    RateLimitConfig,
    RateLimitExceeded,
    RetryPolicy,
    Service,
    VendorFailed,
)
from moorage.domain.observation.call_identity import CallOutcome
from moorage.domain.observation.operation_target import MessageTarget
from tests.parts.ways_of_use import AsyncSleeper, Clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage import ConnectorError, OperationAttempt


class CallInterrupted(BaseException):
    """An exception like KeyboardInterrupt, which interrupts a call."""


@attrs.frozen
class ScriptedOperation:
    """A connector operation whose attempts end as the test scripts them."""

    work: Callable[[OperationAttempt], Any]
    repeatable: bool = True
    safe: bool = True
    name: Any = "rates.find"
    system: str = "vendor"
    target: Any = None

    def perform(self, attempt: OperationAttempt) -> Any:
        """Make one attempt of the operation."""
        return self.work(attempt)

    def translate_error(self, error: Exception) -> ConnectorError | None:
        """Classify an error of the foreign library."""
        if isinstance(error, OSError):
            return VendorFailed("It failed.")
        if type(error) is ZeroDivisionError:
            raise LookupError("a mistake in translate_error")
        return None


def raise_error(error: BaseException) -> Callable[[], Any]:
    """Return a function that raises the given error."""

    def raise_error() -> Any:
        raise error

    return raise_error


class Harness:
    """A synchronous or asynchronous manager whose fast path is prepared for the service "v"."""

    def __init__(self, mode: str, **settings: Any) -> None:
        self.clock = Clock()
        self.mode = mode
        observers = settings.pop("observers", ())
        options: dict[str, Any] = {"circuit": None, "retry": None, **settings}
        service = Service("v", **options)
        self.manager: Any = (
            ConnectorManager([service], clock=self.clock, sleeper=self.clock, observers=observers)
            if mode == "sync"
            else AsyncConnectorManager(
                [service],
                clock=self.clock,
                sleeper=AsyncSleeper(self.clock),
                observers=observers,
            )
        )
        self.attempts: list[OperationAttempt] = []
        assert self.perform(1) == 1

    def perform(self, *results: Any, **options: Any) -> Any:
        """Perform an operation whose attempts have the given results, in order."""
        remaining_results = list(results)
        fields = {
            name: options.pop(name) for name in ("name", "repeatable", "target") if name in options
        }

        def perform_attempt(attempt: OperationAttempt) -> Any:
            self.attempts.append(attempt)
            result = remaining_results.pop(0)
            return result() if callable(result) else result

        async def work_later(attempt: OperationAttempt) -> Any:
            return perform_attempt(attempt)

        operation = ScriptedOperation(
            perform_attempt if self.mode == "sync" else work_later, **fields
        )
        performed = self.manager.perform("v", operation, **options)
        return performed if self.mode == "sync" else asyncio.run(performed)


@pytest.fixture(params=["sync", "async"])
def harnesses(request: pytest.FixtureRequest) -> Callable[..., Harness]:
    """Return a function that creates a manager with a prepared fast path in this mode."""
    return lambda **settings: Harness(request.param, **settings)


class EventList:
    """An observer that keeps all events of calls, and has headers for each attempt."""

    event_classes = (CallStarted, AttemptStarted, AttemptFinished, CallFinished)

    def __init__(self) -> None:
        self.events: list[Any] = []

    def __call__(self, event: Any) -> None:
        """Keep the event."""
        self.events.append(event)

    def trace_headers(self, event: Any) -> dict[str, str]:
        """Return a header with the number of the attempt."""
        return {"traceparent": f"attempt {event.attempt}"}

    def take(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the events so far without values that differ between calls, and forget them."""
        taken, self.events = self.events, []
        return [
            (type(event).__name__, attrs.asdict(event, filter=_is_the_same_each_time))
            for event in taken
        ]


def _is_the_same_each_time(field: attrs.Attribute[Any], _: object) -> bool:
    return field.name not in {"at", "request_id"}


@pytest.mark.parametrize(
    "options", [{}, {"timeout": 2.0, "subject": "customer 7"}], ids=["plain", "with options"]
)
def test_first_operation_emits_the_same_events_as_later_ones(
    harnesses: Callable[..., Harness], options: dict[str, Any]
) -> None:
    """The first call, for which no plan is prepared yet, emits the same events as later ones."""
    observer = EventList()
    harness = harnesses(observers=[observer])
    observer.events = []
    harness.perform(2, name="rates.list", tenant="acme", **options)
    general_path_events = observer.take()
    for _ in range(2):
        harness.perform(2, name="rates.list", tenant="acme", **options)
        assert general_path_events == observer.take()
    assert ["CallStarted", "AttemptStarted", "AttemptFinished", "CallFinished"] == [
        name for name, _ in general_path_events
    ]
    assert [(("traceparent", "attempt 1"),)] * 3 == [
        attempt.trace_headers for attempt in harness.attempts[1:]
    ]


def test_failures_emit_same_events_with_new_or_prepared_plan(
    harnesses: Callable[..., Harness],
) -> None:
    """A failed and retried operation emits the same events, with a new plan or a prepared one."""
    observer = EventList()
    harness = harnesses(observers=[observer], retry=RetryPolicy(2, 0))
    emitted: list[Any] = []
    for _ in range(2):
        observer.events = []
        assert harness.perform(raise_error(OSError()), 2, tenant="acme") == 2
        emitted.append(observer.take())
    assert emitted[0] == emitted[1]


def test_observed_operation_names_its_target(harnesses: Callable[..., Harness]) -> None:
    """The events of an observed operation contain the destination that the operation states."""
    observer = EventList()
    harness = harnesses(observers=[observer])
    observer.events = []
    harness.perform(2, target=MessageTarget(system="vendor", destination="orders"))
    assert {"orders"} == {
        event.target.destination for event in observer.events if hasattr(event, "target")
    }


def test_timeout_of_a_call_limits_its_attempt(harnesses: Callable[..., Harness]) -> None:
    """An operation's attempt gets the time that its caller gave, and no more."""
    harness = harnesses(timeout=9.0)
    harness.perform(2, timeout=3.0)
    harness.perform(2, timeout=30.0)
    assert [9.0, 3.0, 30.0] == [attempt.timeout for attempt in harness.attempts]


def test_invalid_timeout_is_refused(harnesses: Callable[..., Harness]) -> None:
    """A call with an invalid timeout is refused before its first attempt."""
    harness = harnesses()
    with pytest.raises(ConfigurationError) as excinfo:
        harness.perform(2, timeout=-1.0, request_id="r1")
    assert ("v", "r1", 1) == (
        excinfo.value.service,
        excinfo.value.request_id,
        len(harness.attempts),
    )


def test_interrupted_operation_has_ended_for_observers(harnesses: Callable[..., Harness]) -> None:
    """An observer is told once that an interrupted operation ended, with an unknown outcome."""
    observer = EventList()
    harness = harnesses(observers=[observer])
    observer.events = []
    with pytest.raises(CallInterrupted):
        harness.perform(raise_error(CallInterrupted()))
    ends = [event for event in observer.events if isinstance(event, CallFinished)]
    assert [(True, CallOutcome.UNKNOWN)] == [(event.cancelled, event.outcome) for event in ends]


def test_operation_waits_for_a_limit(harnesses: Callable[..., Harness]) -> None:
    """If a rate limit delays an operation, the operation waits and then succeeds."""
    harness = harnesses(limits=(RateLimitConfig.per_second(1),))
    assert [harness.perform(2), harness.perform(3)] == [2, 3]
    assert harness.clock.slept


def test_operation_is_refused_by_a_limit(harnesses: Callable[..., Harness]) -> None:
    """A rate limit refuses an operation that may not wait; the error names the limit."""
    harness = harnesses(limits=(RateLimitConfig.per_second(1),), max_limit_wait=0)
    with pytest.raises(RateLimitExceeded) as excinfo:
        harness.perform(2)
    assert (excinfo.value.service, excinfo.value.operation) == ("v", "rates.find")
    assert len(harness.attempts) == 1


def test_operation_is_refused_by_a_circuit(harnesses: Callable[..., Harness]) -> None:
    """A failed operation is counted by the circuit, which then refuses the next operation."""
    harness = harnesses(circuit=CircuitBreakerConfig(failures=1))
    with pytest.raises(VendorFailed):
        harness.perform(raise_error(OSError()))
    with pytest.raises(CircuitBreakerOpen) as excinfo:
        harness.perform(2)
    assert (excinfo.value.operation, excinfo.value.vendor) == ("rates.find", "vendor")


@pytest.mark.parametrize("limits", [(), (RateLimitConfig.per_second(1),)], ids=["free", "waited"])
def test_interruption_is_raised(harnesses: Callable[..., Harness], limits: Any) -> None:
    """After an interrupted operation the rate limit stays usable."""
    harness = harnesses(limits=limits)
    with pytest.raises(CallInterrupted):
        harness.perform(raise_error(CallInterrupted()))
    assert harness.perform(2) == 2


def test_failed_operation_is_repeated(harnesses: Callable[..., Harness]) -> None:
    """A repeatable operation is retried after a failure with an unknown outcome."""
    harness = harnesses(retry=RetryPolicy(2, 0))
    assert harness.perform(raise_error(OSError()), 2) == 2
    assert [attempt.number for attempt in harness.attempts[1:]] == [1, 2]


def test_failed_operation_with_an_effect_is_not_repeated(harnesses: Callable[..., Harness]) -> None:
    """An operation that is not repeatable is not retried after an unknown outcome."""
    harness = harnesses(retry=RetryPolicy(2, 0))
    with pytest.raises(VendorFailed) as excinfo:
        harness.perform(raise_error(OSError()), 2, repeatable=False)
    assert (excinfo.value.attempts, excinfo.value.operation) == (1, "rates.find")


def test_unsent_nested_call_proves_nothing_about_the_outer_one(
    harnesses: Callable[..., Harness],
) -> None:
    """If a nested call was not sent, the outer operation may still have had an effect."""
    harness = harnesses(retry=RetryPolicy(2, 0))
    inner = ConnectorManager([Service("inner", retry=None, circuit=None)])

    def call_inside() -> Any:
        def fail_unsent() -> None:
            raise ConnectionFailed("Nothing listens.", may_have_been_processed=False)

        return inner.run("inner", fail_unsent)

    with pytest.raises(ConnectionFailed):
        harness.perform(call_inside, 2, repeatable=False)
    assert len(harness.attempts) == 2


def test_mistake_in_translate_error_is_raised_and_frees_the_probe(
    harnesses: Callable[..., Harness],
) -> None:
    """If `translate_error` raises, the error is raised and the circuit's probe is freed."""
    harness = harnesses(circuit=CircuitBreakerConfig(failures=1, open_for=5))
    with pytest.raises(VendorFailed):
        harness.perform(raise_error(OSError()))
    harness.clock.advance(6)
    with pytest.raises(LookupError):
        harness.perform(raise_error(ZeroDivisionError()))
    assert harness.perform(2) == 2


def test_endpoint_of_the_operations_name_applies(harnesses: Callable[..., Harness]) -> None:
    """The time limit of the endpoint with the operation's name applies."""
    harness = harnesses(endpoints=(Endpoint("rates.find", attempt_timeout=3.0),), timeout=9.0)
    harness.perform(2)
    harness.perform(2, name="rates.other")
    harness.perform(2, name="rates.other")
    harness.perform(2)
    assert [attempt.timeout for attempt in harness.attempts] == [3.0, 3.0, 9.0, 9.0, 3.0]


def test_endpoint_that_was_not_called_yet_applies(harnesses: Callable[..., Harness]) -> None:
    """An endpoint's time limit applies to its first call, even after calls of other operations."""
    harness = harnesses(endpoints=(Endpoint("rates.list", attempt_timeout=3.0),), timeout=9.0)
    harness.perform(2)
    harness.perform(2, name="rates.list")
    assert [attempt.timeout for attempt in harness.attempts] == [9.0, 9.0, 3.0]


def test_operation_attempt_has_tenant_of_its_call(harnesses: Callable[..., Harness]) -> None:
    """An operation's attempt knows the tenant of its call, and has no idempotency key."""
    harness = harnesses()
    for _ in range(2):
        harness.perform(2, tenant="acme")
    assert {(a.tenant, a.idempotency_key) for a in harness.attempts[1:]} == {("acme", None)}


def test_name_that_is_no_text_is_refused(harnesses: Callable[..., Harness]) -> None:
    """A tenant that is not a string is refused."""
    harness = harnesses()
    with pytest.raises(InvalidData):
        harness.perform(2, tenant=[])
    assert len(harness.attempts) == 1


def test_full_bulkhead_refuses_an_operation(harnesses: Callable[..., Harness]) -> None:
    """A full bulkhead refuses a second operation."""
    harness = harnesses(bulkhead=BulkheadConfig(1))
    if harness.mode == "sync":
        with pytest.raises(BulkheadFull):
            harness.perform(lambda: harness.perform(3))
    assert harness.perform(2) == 2


def test_dry_run_performs_safe_operations_only() -> None:
    """In dry-run mode, a manager performs only operations that change nothing."""
    manager = ConnectorManager([Service("v", circuit=None)], dry_run=True)
    for _ in range(2):
        assert manager.perform("v", ScriptedOperation(lambda _: 1)) == 1
        with pytest.raises(DryRun):
            manager.perform("v", ScriptedOperation(lambda _: 1, safe=False))


def test_members_of_an_instance_are_enough() -> None:
    """An operation may have its methods as instance attributes instead of class methods."""

    class ValueWithDictionary:
        def __init__(self) -> None:
            self.name, self.system, self.safe, self.repeatable = "find", "vendor", True, True
            self.perform = lambda _: 1
            self.translate_error = lambda _: None

    manager = ConnectorManager([Service("v", circuit=None)])
    assert [manager.perform("v", ValueWithDictionary()) for _ in range(3)] == [1, 1, 1]
    incomplete: Any = ValueWithDictionary()
    del incomplete.translate_error
    with pytest.raises(ConfigurationError, match="has no translate_error"):
        manager.perform("v", incomplete)


def test_late_operation_is_cancelled_and_may_have_happened() -> None:
    """An asynchronous operation is cancelled at its timeout, with an unknown outcome."""

    async def exceed_deadline(kind: type[ConnectorError], **settings: Any) -> None:
        manager = AsyncConnectorManager([Service("v", retry=None, circuit=None, **settings)])

        async def perform_attempt(_: OperationAttempt) -> int:
            return 1

        async def sleep(_: OperationAttempt) -> int:
            await asyncio.sleep(3600)
            return 1

        assert await manager.perform("v", cast("Any", ScriptedOperation(perform_attempt))) == 1
        with pytest.raises(kind) as excinfo:
            await manager.perform("v", cast("Any", ScriptedOperation(sleep)))
        assert cast("Any", excinfo.value).may_have_been_processed

    asyncio.run(exceed_deadline(AttemptTimeout, attempt_timeout=0.01))
    asyncio.run(exceed_deadline(DeadlineExceeded, timeout=0.01))


def test_operation_without_an_awaitable_is_refused() -> None:
    """An asynchronous manager refuses an operation whose `perform` returns no awaitable."""

    async def perform() -> None:
        manager = AsyncConnectorManager([Service("v", circuit=None)])
        for _ in range(2):
            with pytest.raises(ConfigurationError):
                await manager.perform("v", cast("Any", ScriptedOperation(lambda _: 1)))

    asyncio.run(perform())
