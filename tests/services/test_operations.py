"""Operations on databases and other systems, which a manager protects like HTTP requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    AttemptTimeout,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    DryRun,
    Endpoint,
    IdempotencyConflict,
    OperationAttempt,
    OutcomeUnknown,
    RateLimitConfig,
    Region,
    RetryPolicy,
    Service,
    VendorRejected,
)
from tests.support.modes import ASYNC, DISTANT, Harness, sync_and_async

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LOST_CONNECTION = OSError("password=hunter2")
REFUSED_ACCESS = PermissionError("password=hunter2")
UNREACHED = ConnectionRefusedError("password=hunter2")


class Database:
    """A fake database that fails as configured, and records its attempts."""

    def __init__(self, harness: Harness, *failures: Exception) -> None:
        self.attempts: list[OperationAttempt] = []
        self._failures = list(failures)
        self._harness = harness

    async def execute(self, attempt: OperationAttempt) -> int:
        """Record the attempt, then raise the next error or return the number of attempts."""
        await self._harness.yield_to_tasks()
        self.attempts.append(attempt)
        if self._failures:
            raise self._failures.pop(0)
        return len(self.attempts)


@attrs.frozen
class Insert:
    """An operation that inserts into the fake database."""

    work: Callable[[OperationAttempt], Awaitable[Any] | Any]
    repeatable: bool = False
    safe: bool = False
    name: str = "orders.insert"
    system: str = "postgresql"

    def perform(self, attempt: OperationAttempt, /) -> Any:
        """Make one attempt at the database."""
        return self.work(attempt)

    def translate_error(self, error: Exception, /) -> ConnectorError | None:
        """Convert the database's errors into errors of moorage."""
        if isinstance(error, UNREACHED.__class__):
            return ConnectionFailed("Nothing listens.", may_have_been_processed=False)
        if isinstance(error, REFUSED_ACCESS.__class__):
            return VendorRejected("The row exists.", vendor_code="23505")
        if isinstance(error, OSError):
            return ConnectionFailed("The connection was lost.", may_have_been_processed=True)
        return None


def database(**options: Any) -> Service:
    """Return a service named "erp" that has only the given settings."""
    settings: dict[str, Any] = {"circuit": None, "retry": RetryPolicy(3, 0), **options}
    return Service("erp", **settings)


class Trial:
    """A manager, and a fake database that fails as configured."""

    def __init__(self, harness: Harness, *failures: Exception, **options: Any) -> None:
        self.database = Database(harness, *failures)
        self._harness = harness
        self._manager = harness.watched(database(**options))
        self.perform = self._manager.perform
        self.plain = self._manager.plain

    def insert(self, **settings: Any) -> Insert:
        """Return an insert operation, synchronous or asynchronous as the test requires."""
        return Insert(self.plain(self.database.execute), **settings)


@sync_and_async
async def test_result_is_returned(harness: Harness) -> None:
    """An operation's result is returned; each attempt has a number and a time limit."""
    trial = Trial(harness, timeout=7.0)

    assert 1 == await trial.perform("erp", trial.insert())
    assert [OperationAttempt(1, 7.0)] == trial.database.attempts


@sync_and_async
async def test_attempt_timeout_bounds_the_attempt(harness: Harness) -> None:
    """An attempt may take the service's attempt_timeout, or less if the call has less left."""
    trial = Trial(harness, timeout=7.0, attempt_timeout=3.0)
    await trial.perform("erp", trial.insert())
    await trial.perform("erp", trial.insert(), timeout=2.0)

    assert [3.0, 2.0] == [attempt.timeout for attempt in trial.database.attempts]


@pytest.mark.parametrize(
    "failure, repeatable, attempts",
    [
        (LOST_CONNECTION, True, 3),
        (LOST_CONNECTION, False, 1),
        (UNREACHED, False, 3),
        (REFUSED_ACCESS, True, 1),
    ],
)
@sync_and_async
async def test_only_a_harmless_repeat_is_made(
    harness: Harness, failure: Exception, repeatable: bool, attempts: int
) -> None:
    """A write that may have happened is retried only if it is declared repeatable."""
    trial = Trial(harness, failure, failure, failure)
    with pytest.raises(ConnectorError) as excinfo:
        await trial.perform("erp", trial.insert(repeatable=repeatable))

    error = excinfo.value
    assert attempts == len(trial.database.attempts) == error.attempts
    assert list(range(1, attempts + 1)) == [attempt.number for attempt in trial.database.attempts]
    assert ("erp", "orders.insert", "postgresql") == (error.service, error.operation, error.vendor)
    assert "hunter2" not in str(error)
    assert (failure is LOST_CONNECTION) is getattr(error, "may_have_been_processed", False)


@sync_and_async
async def test_exception_that_is_not_converted_is_raised_unchanged(harness: Harness) -> None:
    """An exception that the operation does not convert is raised unchanged and not retried."""
    failure = KeyError("a defect")
    trial = Trial(harness, failure)
    with pytest.raises(KeyError) as excinfo:
        await trial.perform("erp", trial.insert())

    assert excinfo.value is failure
    assert 1 == len(trial.database.attempts)


@sync_and_async
async def test_own_error_is_not_converted(harness: Harness) -> None:
    """An error of moorage that an operation raises itself is not converted."""
    failure = ConnectionFailed("Nothing listens.", may_have_been_processed=False)
    trial = Trial(harness, failure)

    assert 2 == await trial.perform("erp", trial.insert())


@sync_and_async
async def test_events_name_the_operation(harness: Harness) -> None:
    """Events have the operation's name and system, and the caller's idempotency key."""
    trial = Trial(harness)
    await trial.perform("erp", trial.insert(), idempotency_key="order-1")

    end_events = [event for event in harness.events if type(event).__name__ == "CallFinished"]
    assert [("orders.insert", "postgresql", "erp", "order-1")] == [
        (end.operation, end.vendor, end.account, end.idempotency_key) for end in end_events
    ]


@sync_and_async
async def test_endpoint_of_the_same_name_applies(harness: Harness) -> None:
    """An endpoint's settings apply only to the operation of the same name."""
    endpoints = [Endpoint("orders.insert", limits=[RateLimitConfig(1)])]
    trial = Trial(harness, endpoints=endpoints)
    for name in ("orders.insert", "orders.select", "orders.select", "orders.insert"):
        await trial.perform("erp", trial.insert(name=name))

    assert [1.0] == harness.sleeper.slept


@sync_and_async
async def test_repeated_key_returns_first_result(harness: Harness) -> None:
    """A repeated key returns the first result; another payload raises a conflict."""
    trial = Trial(harness)
    results = [
        await trial.perform("erp", trial.insert(), idempotency_key="k", payload={"number": 1})
        for _ in range(2)
    ]
    with pytest.raises(IdempotencyConflict):
        await trial.perform("erp", trial.insert(), idempotency_key="k", payload={"number": 2})

    assert [1, 1] == results
    assert [None] == [attempt.idempotency_key for attempt in trial.database.attempts]


@attrs.frozen
class UnstorableResult:
    """The result of an operation, of a class that the store cannot save by itself."""

    number: int


@attrs.frozen
class InsertReturningPosition(Insert):
    """An insert operation that converts its result to a storable value and back."""

    def pack_result(self, result: UnstorableResult, /) -> object:
        """Return the result as a plain value."""
        return result.number

    def unpack_result(self, stored: Any, /) -> UnstorableResult:
        """Return the result made from its stored value."""
        return UnstorableResult(stored)


@sync_and_async
async def test_result_of_an_own_class_is_replayed(harness: Harness) -> None:
    """A repeated key returns a custom class's result if the operation can convert it."""
    trial = Trial(harness)

    async def execute(attempt: OperationAttempt) -> UnstorableResult:
        return UnstorableResult(await trial.database.execute(attempt))

    operation = InsertReturningPosition(trial.plain(execute))
    positions = [await trial.perform("erp", operation, idempotency_key="k") for _ in range(2)]

    assert [UnstorableResult(1), UnstorableResult(1)] == positions


@pytest.mark.parametrize(
    "options, repeatable, attempts",
    [
        ({}, False, 1),
        ({}, True, 2),
        ({"honours_keys": True, "idempotency_memory": 3600.0}, False, 2),
    ],
)
@sync_and_async
async def test_lost_keyed_write_is_retried_if_the_system_honours_keys(
    harness: Harness, options: dict[str, Any], repeatable: bool, attempts: int
) -> None:
    """A lost keyed write is retried if it is repeatable or the system honours idempotency keys."""
    trial = Trial(harness, LOST_CONNECTION, **options)
    insert = trial.insert(repeatable=repeatable)
    if attempts == 1:
        with pytest.raises(OutcomeUnknown):
            await trial.perform("erp", insert, idempotency_key="k")
    else:
        assert 2 == await trial.perform("erp", insert, idempotency_key="k")

    assert attempts == len(trial.database.attempts)
    key = "k" if options else None
    assert {key} == {attempt.idempotency_key for attempt in trial.database.attempts}


@pytest.mark.parametrize("key", [None, "k"])
@pytest.mark.parametrize("safe", [True, False])
@sync_and_async
async def test_rehearsal_performs_only_safe_operations(
    harness: Harness, safe: bool, key: str | None
) -> None:
    """A rehearsal (`dry_run`) performs reads, and reports writes instead of performing them."""
    manager = harness.manager(database(), dry_run=True)
    system = Database(harness)
    insert = Insert(manager.plain(system.execute), safe=safe)
    if safe and key is None:
        assert 1 == await manager.perform("erp", insert)
    else:
        with pytest.raises(DryRun, match=r"orders\.insert was not sent"):
            await manager.perform("erp", insert, idempotency_key=key)
        assert not system.attempts


@sync_and_async
async def test_object_that_is_not_an_operation_is_refused(harness: Harness) -> None:
    """An object that is not an operation is refused; the error lists its missing members."""
    manager = harness.manager(database())
    with pytest.raises(ConfigurationError, match="it has no name, system, safe, repeatable"):
        await manager.perform("erp", object())


@sync_and_async
async def test_operation_of_the_wrong_mode_is_refused(harness: Harness) -> None:
    """Synchronous calls refuse operations that return awaitables; asynchronous calls need those."""

    async def run_later(_: OperationAttempt) -> None:
        pass

    manager = harness.manager(database())
    wrong_function = (lambda _: None) if harness.is_awaited else run_later
    with pytest.raises(ConfigurationError):
        await manager.perform("erp", Insert(wrong_function))


@sync_and_async
async def test_operation_of_service_with_regions_is_refused(harness: Harness) -> None:
    """An operation of a connector raises an error if its service is configured with regions."""
    manager = harness.manager(database(regions=[Region("eu", "https://eu.example")]))
    with pytest.raises(ConfigurationError, match="region"):
        await manager.perform("erp", Trial(harness).insert())


@pytest.mark.parametrize("mode", [ASYNC, DISTANT])
def test_late_operation_is_cancelled(mode: str) -> None:
    """An asynchronous operation that exceeds its time is cancelled, and its outcome is unknown."""
    harness = Harness(mode)

    async def body() -> None:
        trial = Trial(harness, attempt_timeout=1e-9)
        gate = harness.gate()

        async def wait(_: OperationAttempt) -> None:
            await gate.wait()

        with pytest.raises(AttemptTimeout) as excinfo:
            await trial.perform("erp", Insert(wait))
        assert excinfo.value.may_have_been_processed

    harness.drive(body())


@pytest.mark.parametrize(
    "options, path",
    [
        ({"honours_keys": True}, "idempotency_memory"),
        (
            {"idempotency_header": "Key", "idempotency_memory": 60.0, "honours_keys": False},
            "honours_keys",
        ),
    ],
)
def test_contradictory_key_settings_are_refused(options: dict[str, Any], path: str) -> None:
    """`honours_keys` is refused without `idempotency_memory`, or if it contradicts a header."""
    with pytest.raises(ConfigurationError) as excinfo:
        Service("erp", **options)
    assert path == excinfo.value.path


def test_removed_header_removes_the_vendors_knowledge_of_keys() -> None:
    """A copy of a service without its idempotency header does not honour idempotency keys."""
    stripe = Service("erp", idempotency_header="Key", idempotency_memory=60.0)
    keyless = attrs.evolve(stripe, idempotency_header=None)
    other = attrs.evolve(keyless, honours_keys=True)
    recognised = [service.recognises_keys for service in (stripe, keyless, other)]
    assert [True, False, True] == recognised
