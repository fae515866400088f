"""Calls of Python functions through a manager, instead of HTTP requests."""

# ruff: noqa: SLF001 - values of any kind, and a look inside

from __future__ import annotations

import errno
import threading
from typing import Any

import pytest

from moorage import (
    BulkheadConfig,
    BulkheadFull,
    CircuitBreakerConfig,
    CircuitBreakerOpen,
    CircuitState,
    ConfigurationError,
    ConnectorManager,
    DeadlineExceeded,
    InvalidRequest,
    Jitter,
    RateLimitConfig,
    RetryPolicy,
    Service,
    StorageUnavailable,
    VendorFailed,
)
from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from moorage.hub.internals import flows_of
from tests.services.vat import OPENS_AT_ONCE, vat
from tests.support.modes import Harness, sync_and_async
from tests.support.virtual_tasks import Interruption

# --- functions ---


@pytest.mark.parametrize("timeout, lease", [(None, 10), (30, 10), (100, 105)])
@sync_and_async
async def test_function_that_probes_holds_its_slot_for_the_longer_timeout(
    harness: Harness, timeout: float | None, lease: float
) -> None:
    """A function that probes the circuit holds its slot for the longer of the two timeouts."""
    circuit = CircuitBreakerConfig(failures=1, open_for=10)
    manager = harness.manager(vat(circuit=circuit, attempt_timeout=5))
    with pytest.raises(OSError):  # noqa: PT011 - the very one
        await manager.run("vat", FailingFunction(OSError()).__call__)
    harness.clock.advance(10)
    gate = harness.gate()

    async def probe() -> None:
        await manager.run("vat", gate.wait, timeout=timeout)

    running_probe = harness.start(probe)
    await gate.reached()
    harness.clock.advance(lease - 1)
    with pytest.raises(CircuitBreakerOpen):
        await manager.run("vat", harness.do_nothing)
    harness.clock.advance(1)
    await manager.run("vat", harness.do_nothing)
    gate.open()
    await running_probe.wait_until_over()


@sync_and_async
async def test_unused_fast_path_grant_is_given_back(harness: Harness) -> None:
    """A rate-limit token that the fast path did not use becomes available to the next caller."""
    service = vat(limits=RateLimitConfig(1), circuit=CircuitBreakerConfig())
    manager = harness.manager(service)
    flows = manager.manager._flows
    plan = flows.plans.find("vat", None, None)
    await manager.run("vat", harness.do_nothing)

    flows.return_grants(plan, [await flows.core.execute(plan.admission, None)])
    await manager.run("vat", harness.do_nothing)

    assert [1.0] == harness.sleeper.slept
    assert 2 == (await manager.circuit_state("vat")).calls


@sync_and_async
async def test_fifty_functions_run_concurrently(harness: Harness) -> None:
    """Fifty functions of one service can run at the same time."""
    manager = harness.manager(vat(circuit=CircuitBreakerConfig(), limits=RateLimitConfig(1000)))
    await manager.run("vat", harness.do_nothing)
    running_functions: list[int] = []
    barrier = threading.Barrier(50)
    all_running = harness.event()

    async def wait_for_all() -> None:
        running_functions.append(1)
        if harness.is_awaited:
            if len(running_functions) == 50:
                all_running.set()
            await harness.wait(all_running)
        else:
            barrier.wait(10)

    async def call() -> None:
        await manager.run("vat", wait_for_all)

    assert [None] * 50 == await harness.run_together(*[call] * 50)


@sync_and_async
async def test_decorated_function_keeps_its_name_and_arguments(harness: Harness) -> None:
    """A decorated function keeps its name and arguments, and every call is protected."""
    manager = harness.manager(vat(retry=RetryPolicy(2, 0)))
    remaining_errors = [OSError()]

    async def add(one: int, *, two: int) -> int:
        """Add the second number to the first."""
        for error in remaining_errors:
            remaining_errors.remove(error)
            raise error
        return one + two

    plain_function = manager.plain(add)
    protected = manager.manager.protect("vat")(plain_function)
    value = protected(1, two=2)

    assert 3 == (await value if harness.is_awaited else value)
    assert ("add", add.__doc__) == (protected.__name__, protected.__doc__)


@sync_and_async
async def test_generators_are_refused(harness: Harness) -> None:
    """A generator function is refused, because its body would run unprotected."""

    def lines() -> Any:
        yield 1

    async def yield_later() -> Any:
        yield 1

    for function in (lines, yield_later):
        with pytest.raises(ConfigurationError, match=function.__name__):
            harness.manager(vat()).manager.protect("vat")(function)


@sync_and_async
async def test_function_of_the_wrong_mode_is_refused(harness: Harness) -> None:
    """A synchronous function in an asynchronous call, or the reverse, raises an error."""
    manager = harness.manager(vat())

    async def run_later() -> int:
        return 1

    def now() -> int:
        return 1

    wrong_function = now if harness.is_awaited else run_later
    for service in (vat(), vat(bulkhead=BulkheadConfig(1))):
        manager = harness.manager(service)
        for _ in range(2):
            with pytest.raises(ConfigurationError) as excinfo:
                await manager.call_as_is("run", "vat", wrong_function)
            assert ("function", "vat") == (excinfo.value.path, excinfo.value.service)
    if not harness.is_awaited:
        with pytest.raises(ConfigurationError, match="later is asynchronous"):
            manager.manager.protect("vat")(run_later)


@sync_and_async
async def test_full_store_error_on_the_fast_path_names_the_service(harness: Harness) -> None:
    """On the fast path, the error of a full store names the service and the call."""

    class FullStore(MemoryStorage):
        """A store that raises StorageUnavailable for any tenant but the first."""

        def execute(self, command: Any, /, timeout: float | None = None) -> Any:
            """Raise StorageUnavailable for the second tenant."""
            if "@acme" in command.keys[0]:
                raise StorageUnavailable("the store is full.")
            return super().execute(command, timeout)

    full_store = FullStore(harness.clock)
    state = AsyncMemoryStorage(full_store) if harness.is_awaited else full_store
    manager = harness.manager(vat(circuit=CircuitBreakerConfig()), state=state)
    await manager.run("vat", harness.do_nothing)

    for _ in range(2):
        with pytest.raises(StorageUnavailable) as excinfo:
            await manager.run("vat", harness.do_nothing, tenant="acme")
        assert ("vat", True) == (excinfo.value.service, bool(excinfo.value.request_id))


@pytest.mark.filterwarnings("ignore:The store in memory has:RuntimeWarning")
@sync_and_async
async def test_full_key_store_stops_only_keyed_calls(harness: Harness) -> None:
    """If the store accepts no more keys, a new tenant's call without a key still succeeds."""
    shared_storage = MemoryStorage(harness.clock, max_entries=5)
    state = AsyncMemoryStorage(shared_storage) if harness.is_awaited else shared_storage
    service = vat(circuit=CircuitBreakerConfig(), limits=RateLimitConfig.per_day(1))
    manager = harness.manager(service, state=state)
    for number in range(5):
        await manager.run(
            "vat", harness.do_nothing, idempotency_key=f"k{number}", tenant=f"t{number}"
        )

    with pytest.raises(StorageUnavailable, match="class 'key'"):
        await manager.run("vat", harness.do_nothing, idempotency_key="more", tenant="t9")
    for tenant in ("new", "newer"):
        assert await manager.run("vat", harness.do_nothing, tenant=tenant) is None


@pytest.mark.untraced
@sync_and_async
async def test_plans_of_many_tenants_are_evicted(harness: Harness) -> None:
    """Cached call plans of tenants are evicted when there are many, and rebuilt when needed."""
    manager = harness.manager(vat())
    await manager.run("vat", harness.do_nothing)
    plans = manager.manager._flows.plans
    assert ["vat"] == [*plans.easy_alone]

    for number in range(16_385):
        await manager.run("vat", harness.do_nothing, tenant=f"t{number}")

    assert len(plans._cached) == 16_384
    assert set(plans.easy) <= set(plans._cached)
    assert {} == plans.easy_alone
    await manager.run("vat", harness.do_nothing, tenant="t0")
    await manager.run("vat", harness.do_nothing)


@sync_and_async
async def test_each_new_tenant_evicts_exactly_one_plan_when_cache_of_call_plans_is_full(
    harness: Harness,
) -> None:
    """When the cache of call plans is full, each new tenant evicts exactly one plan."""
    manager = harness.manager(vat())
    plans = manager.manager._flows.plans
    first_plans = [plans.find("vat", f"t{number}", None) for number in range(16_384)]

    await manager.run("vat", harness.do_nothing, tenant="late")

    assert first_plans[1:] == [plans.find("vat", f"t{number}", None) for number in range(1, 16_384)]
    assert first_plans[0] is not plans.find("vat", "t0", None)


@pytest.mark.parametrize("watched", [True, False])
@sync_and_async
async def test_plan_is_reused(harness: Harness, watched: bool) -> None:
    """The plan of a call is built once and used by all later calls."""
    manager = harness.watched(vat()) if watched else harness.manager(vat())
    plans = manager.manager._flows.plans

    cached_plan = plans.find("vat", "acme", None)

    assert cached_plan is plans.find("vat", "acme", None)
    assert [cached_plan] == list(plans.easy.values())


def test_bulkhead_accepts_locks_with_only_acquire_and_release() -> None:
    """A bulkhead also works with a host's locks that have only `acquire` and `release`."""

    class Locks:
        def __init__(self) -> None:
            self.names: list[str] = []

        def acquire(self, name: str, *_: object, **__: object) -> bool:
            self.names.append(name)
            return True

        def release(self, name: str, _: object) -> None:
            self.names.append(name)

    locks: Any = Locks()
    manager = ConnectorManager([Service("vat", bulkhead=BulkheadConfig(1))], locks=locks)
    assert ["ok", "ok"] == [manager.run("vat", lambda: "ok") for _ in range(2)]
    assert ({}, 4) == (flows_of(manager).plans.easy, len(locks.names))


class FailingFunction:
    """A function that fails a given number of times, and then returns its number of calls."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.calls = 0

    async def __call__(self) -> int:
        """Raise the next error, or return the number of calls so far."""
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)
        return self.calls


@sync_and_async
async def test_fast_path_function_failures_count(harness: Harness) -> None:
    """On the fast path each failing function counts once, and enough failures open the circuit."""
    manager = harness.manager(vat(circuit=CircuitBreakerConfig(failures=3)))
    await manager.run("vat", harness.do_nothing)

    for failures in range(1, 3):
        with pytest.raises(OSError):  # noqa: PT011 - the very one
            await manager.run("vat", FailingFunction(OSError()).__call__)
        assert failures == (await manager.circuit_state("vat")).failures
    with pytest.raises(OSError):  # noqa: PT011 - the very one
        await manager.run("vat", FailingFunction(OSError()).__call__)

    assert CircuitState.OPEN is (await manager.circuit_state("vat")).state


@sync_and_async
async def test_fast_path_function_refusals_do_not_count(harness: Harness) -> None:
    """On the fast path the circuit counts InvalidRequest as a success, BulkheadFull not at all."""
    manager = harness.manager(vat(circuit=CircuitBreakerConfig(failures=1)))
    await manager.run("vat", harness.do_nothing)

    for error in (InvalidRequest("no"), BulkheadFull("full")):
        with pytest.raises(type(error)):
            await manager.run("vat", FailingFunction(error).__call__)

    state = await manager.circuit_state("vat")
    assert (2, 0) == (state.calls, state.failures)


@pytest.mark.parametrize("observed", [False, True])
@pytest.mark.parametrize(
    "error", [TypeError("bug"), MemoryError(), OSError(errno.EMFILE, "no files")], ids=repr
)
@sync_and_async
async def test_internal_error_is_neutral_for_the_circuit(
    harness: Harness, error: Exception, observed: bool
) -> None:
    """A TypeError, MemoryError or lack of file handles does not count in the circuit at all."""
    circuit = CircuitBreakerConfig(failures=1, consecutive_failures=1)
    event_handlers = [harness.events.append] if observed else []
    manager = harness.manager(vat(circuit=circuit, retry=None), observers=event_handlers)
    await manager.run("vat", harness.do_nothing)

    for _ in range(3):
        with pytest.raises(type(error)):
            await manager.run("vat", FailingFunction(error).__call__)

    state = await manager.circuit_state("vat")
    assert (CircuitState.CLOSED, 1, 0) == (state.state, state.calls, state.failures)


@sync_and_async
async def test_fast_path_function_is_retried(harness: Harness) -> None:
    """On the fast path the policy retries a failing function, and its value is returned."""
    manager = harness.manager(vat(retry=RetryPolicy(3, 1.0, jitter=Jitter.NONE)))
    await manager.run("vat", harness.do_nothing)

    assert 3 == await manager.run("vat", FailingFunction(OSError(), OSError()).__call__)
    assert [1.0, 2.0] == harness.sleeper.slept
    error = VendorFailed("broken")
    with pytest.raises(VendorFailed) as excinfo:
        await manager.run("vat", FailingFunction(*[error] * 3).__call__)
    assert 3 == excinfo.value.attempts


@sync_and_async
async def test_function_runs_after_a_wait(harness: Harness) -> None:
    """A function that had to wait for a rate limit is then called, and retried if it fails."""
    manager = harness.manager(vat(limits=RateLimitConfig(1), retry=RetryPolicy(2, 0)))
    await manager.run("vat", harness.do_nothing)

    assert 2 == await manager.run("vat", FailingFunction(OSError()).__call__)
    assert 2.0 == harness.clock.now


@pytest.mark.parametrize("error, processed", [(OSError(), True), (BulkheadFull("x"), False)])
@sync_and_async
async def test_error_says_whether_function_may_have_acted_if_pause_overruns_deadline(
    harness: Harness,
    error: Exception,
    processed: bool,
) -> None:
    """If a pause passes the deadline, the error says whether the function may have acted."""
    manager = harness.manager(vat(retry=RetryPolicy(2, 1)))
    await manager.run("vat", harness.do_nothing)

    async def pass_deadline() -> None:
        harness.clock.advance(60)

    harness.sleeper.meanwhile.append(pass_deadline)
    with pytest.raises(DeadlineExceeded, match="deadline of 30 s") as excinfo:
        await manager.run("vat", FailingFunction(error).__call__)

    assert processed == excinfo.value.may_have_been_processed
    assert error is excinfo.value.__cause__


@sync_and_async
async def test_interrupted_function_frees_its_probe(harness: Harness) -> None:
    """An interrupted probe is neutral for the circuit, and the next probe may be sent at once."""
    memory = MemoryStorage(harness.clock)
    state = AsyncMemoryStorage(memory) if harness.is_awaited else memory
    manager = harness.manager(vat(circuit=OPENS_AT_ONCE), state=state)
    with pytest.raises(OSError):  # noqa: PT011 - the very one
        await manager.run("vat", FailingFunction(OSError()).__call__)
    harness.clock.advance(10)

    async def be_interrupted() -> None:
        raise Interruption

    with pytest.raises(Interruption):
        await manager.run("vat", be_interrupted)
    result = await manager.circuit_state("vat")
    assert (CircuitState.HALF_OPEN, 0) == (result.state, result.probes_under_way)


@sync_and_async
async def test_interrupted_function_is_neutral(harness: Harness) -> None:
    """With a closed circuit, an interrupted call counts neither as failure nor as success."""
    memory = MemoryStorage(harness.clock)
    state = AsyncMemoryStorage(memory) if harness.is_awaited else memory
    manager = harness.manager(vat(circuit=OPENS_AT_ONCE), state=state)
    await manager.run("vat", harness.do_nothing)
    first_state = await manager.circuit_state("vat")

    async def be_interrupted() -> None:
        raise Interruption

    with pytest.raises(Interruption):
        await manager.run("vat", be_interrupted)
    assert first_state == await manager.circuit_state("vat")
