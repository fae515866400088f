"""The circuit breaker as a stand-alone part, without a manager."""

import asyncio
import functools
import itertools
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from moorage import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitBreakerOpen,
    CircuitState,
    ConfigurationError,
    ConnectionFailed,
    InvalidData,
    RateLimitExceeded,
    StorageUnavailable,
    VendorRejected,
)
from moorage.adapters.state.memory import MemoryStorage
from moorage.domain.resilience.gate_commands import Report
from tests.parts import interrupted
from tests.parts.ways_of_use import (
    PATIENCE,
    START,
    USES,
    Clock,
    DistantStore,
    EventLog,
    FunctionFailure,
    PlainStore,
    as_async,
    call_async,
    call_in_block,
    call_part,
    run,
    run_threads,
)

EVERY_USE = pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
BOTH = pytest.mark.parametrize("use", [call_part, call_async], ids=["sync", "async"])
MANY = 10**6


def raise_error() -> None:
    """Raise an error that counts as a failure."""
    raise FunctionFailure


def half_open(clock: Clock, *, probes: int = 1, **options: Any) -> CircuitBreaker:
    """Return a half-open circuit breaker, which no number of successful probes closes."""
    config = CircuitBreakerConfig(failures=1, open_for=1, probes=probes, successes=MANY)
    breaker = CircuitBreaker(config, clock=clock, **options)
    with pytest.raises(FunctionFailure):
        breaker.call(raise_error)
    clock.advance(1)
    return breaker


def states(breaker: CircuitBreaker) -> list[CircuitState]:
    """Return the circuit's state as read by the synchronous and by the asynchronous method."""
    return [breaker.state().state, run(breaker.astate()).state]


@EVERY_USE
def test_circuit_opens_probes_and_closes(use: Callable[..., Any]) -> None:
    """A circuit opens after enough failures, and closes when a probe succeeds later."""
    clock = Clock()
    breaker = CircuitBreaker(CircuitBreakerConfig(failures=3, open_for=60), name="v", clock=clock)
    requests: list[None] = []

    for _ in range(3):
        with pytest.raises(FunctionFailure):
            use(breaker, raise_error)
    assert [CircuitState.OPEN] * 2 == states(breaker)

    clock.advance(20)
    with pytest.raises(CircuitBreakerOpen, match=r"^v: The circuit breaker is open") as excinfo:
        use(breaker, lambda: requests.append(None))
    assert START + timedelta(seconds=60) == excinfo.value.retry_at
    assert ("v", True, []) == (excinfo.value.service, excinfo.value.retryable, requests)

    clock.advance(40)
    assert 7 == use(breaker, lambda: 7)
    assert [CircuitState.CLOSED] * 2 == states(breaker)


@EVERY_USE
def test_failed_probe_opens_circuit_again(use: Callable[..., Any]) -> None:
    """A failed probe opens the circuit again, for longer."""
    clock = Clock()
    breaker = half_open(clock)

    with pytest.raises(FunctionFailure):
        use(breaker, raise_error)

    assert 2.0 == breaker.state().retry_after


@EVERY_USE
@pytest.mark.parametrize(
    "error, failures",
    [
        (FunctionFailure(), 1),
        (ConnectionFailed("?"), 1),
        (VendorRejected("?"), 0),
        (RateLimitExceeded("?", by_vendor=True), 0),
        (RateLimitExceeded("?"), 0),
        (KeyboardInterrupt(), 0),
        (GeneratorExit(), 0),
        (KeyError(), 0),
        (IndexError(), 0),
    ],
    ids=repr,
)
def test_circuit_counts_only_failures(
    use: Callable[..., Any], error: BaseException, failures: int
) -> None:
    """Rejections, interruptions and ignored exceptions do not count as failures of the circuit."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failures=9), ignore=(LookupError,))

    def end() -> None:
        raise error

    with pytest.raises(type(error)):
        use(breaker, end)

    assert failures == breaker.state().failures


def test_circuit_breaker_ignore_may_be_single_exception_class() -> None:
    """A circuit breaker's `ignore` may be a single exception class."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failures=1), ignore=FunctionFailure)

    with pytest.raises(FunctionFailure):
        breaker.call(raise_error)

    assert CircuitState.CLOSED is breaker.state().state


@EVERY_USE
def test_slow_calls_open_the_circuit(use: Callable[..., Any]) -> None:
    """Slow successful calls open the circuit at the configured rate."""
    clock = Clock()
    config = CircuitBreakerConfig(slow_call=1, slow_call_rate=0.5, minimum_calls=4)
    breaker = CircuitBreaker(config, clock=clock)

    for seconds in (1.0, 1.0, 1.001):
        use(breaker, lambda seconds=seconds: clock.advance(seconds))
    assert (3, 1) == (breaker.state().calls, breaker.state().slow_calls)
    use(breaker, lambda: clock.advance(2))

    assert CircuitState.OPEN is breaker.state().state


@BOTH
def test_circuit_is_set_by_hand(use: Callable[..., Any]) -> None:
    """A circuit can be forced open, disabled and reset by hand."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failures=1))

    def put(state: CircuitState) -> None:
        if use is call_part:
            breaker.set(state)
        else:
            run(breaker.aset(state))

    put(CircuitState.FORCED_OPEN)
    with pytest.raises(CircuitBreakerOpen, match="by hand") as excinfo:
        use(breaker, int)
    assert (None, False) == (excinfo.value.retry_at, excinfo.value.retryable)

    put(CircuitState.DISABLED)
    for _ in range(3):
        with pytest.raises(FunctionFailure):
            use(breaker, raise_error)

    put(CircuitState.CLOSED)
    assert 0 == use(breaker, int)
    with pytest.raises(ConfigurationError):
        put(CircuitState.HALF_OPEN)


@EVERY_USE
def test_changes_and_refusals_are_reported(use: Callable[..., Any]) -> None:
    """Observers get an event for each change of the circuit and each refused call."""
    clock, recorder = Clock(), EventLog()
    config = CircuitBreakerConfig(failures=1, open_for=1)
    breaker = CircuitBreaker(config, name="v", clock=clock, observers=[recorder])

    with pytest.raises(FunctionFailure):
        use(breaker, raise_error)
    with pytest.raises(CircuitBreakerOpen):
        use(breaker, int)
    clock.advance(1)
    use(breaker, int)

    assert [
        "CircuitChanged",
        "CallRefused",
        "CircuitChanged",
        "CircuitChanged",
    ] == recorder.kinds()
    opened_event, refused_event, half_open, closed_event = recorder
    assert CircuitState.HALF_OPEN is half_open.state
    assert CircuitState.OPEN is opened_event.state
    assert ("CircuitBreakerOpen", 1.0) == (refused_event.error, refused_event.retry_after)
    assert CircuitState.CLOSED is closed_event.state
    assert {"v"} == {event.service for event in recorder}


def test_store_outage_loses_no_result() -> None:
    """The caller gets its function's result even if the store cannot record it."""
    store = PlainStore()
    breaker = CircuitBreaker(storage=store)

    def leave(error: Exception | None = None) -> int:
        store.away = True
        if error is not None:
            raise error
        return 5

    assert 5 == breaker.call(leave)
    store.away = False
    with pytest.raises(FunctionFailure):
        breaker.call(leave, FunctionFailure())


def test_fifty_threads_call_at_once() -> None:
    """A circuit breaker holds no lock during a function, so fifty threads run at once."""
    breaker, inner_barrier = CircuitBreaker(), threading.Barrier(50)

    run_threads(50, lambda _: breaker.call(inner_barrier.wait, PATIENCE))

    assert 50 == breaker.state().calls


@pytest.mark.parametrize("probes", [1, 3])
def test_threads_are_never_more_than_probes(probes: int) -> None:
    """If 16 threads call at once, a half-open circuit admits only the allowed number of probes."""
    breaker = half_open(Clock(), probes=probes)
    all_barrier = threading.Barrier(16)

    def call_breaker(_: int) -> str:
        try:
            breaker.call(all_barrier.wait, PATIENCE)
        except CircuitBreakerOpen:
            all_barrier.wait(PATIENCE)
            return "refused"
        return "probed"

    for _ in range(5):
        results = run_threads(16, call_breaker)
        assert [probes, 16 - probes] == [results.count("probed"), results.count("refused")]
    assert 0 == breaker.state().probes_under_way


@pytest.mark.parametrize("probes", [1, 3])
@pytest.mark.parametrize("store", [MemoryStorage, DistantStore])
def test_tasks_are_never_more_than_probes(
    probes: int, store: Callable[[Clock], MemoryStorage | DistantStore]
) -> None:
    """While the circuit opens repeatedly, no more tasks run at once than probes are allowed."""
    clock = Clock()
    config = CircuitBreakerConfig(
        failures=1, open_for=1, open_growth=1, probes=probes, successes=MANY
    )
    breaker = CircuitBreaker(config, clock=clock, storage=store(clock))
    running_calls = highest = ran = 0

    async def call_breaker(number: int) -> None:
        nonlocal running_calls, highest, ran
        running_calls += 1
        highest = max(highest, running_calls)
        ran += 1
        for _ in range(number % 4):
            await asyncio.sleep(0)
        running_calls -= 1
        if number % 3 == 0:
            raise FunctionFailure

    async def rounds() -> None:
        with pytest.raises(FunctionFailure):
            await breaker.call(as_async(raise_error))
        for _ in range(20):
            clock.advance(1)
            await asyncio.gather(
                *(breaker.call(call_breaker, number) for number in range(30)),
                return_exceptions=True,
            )

    asyncio.run(rounds())

    assert probes >= highest > 0
    assert ran >= 20
    assert 0 == asyncio.run(breaker.astate()).probes_under_way


@EVERY_USE
@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
def test_interrupted_probe_frees_its_slot(
    use: Callable[..., Any], error: type[BaseException]
) -> None:
    """An interrupted probe is neither a success nor a failure, and frees its slot."""
    breaker = half_open(Clock())

    def interrupt() -> None:
        assert 1 == breaker.state().probes_under_way
        raise error

    for _ in range(3):
        with pytest.raises(error):
            use(breaker, interrupt)

    assert CircuitState.HALF_OPEN is breaker.state().state
    assert 3 == use(breaker, lambda: 3)


def test_a_cancelled_call_is_not_counted() -> None:
    """A cancelled call of a closed circuit is not counted."""
    breaker = CircuitBreaker()
    breaker.call(int)

    async def cancel() -> None:
        task = asyncio.ensure_future(breaker.call(asyncio.sleep, PATIENCE))
        await asyncio.sleep(0)
        assert 2 == breaker.state().calls
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(cancel())

    assert 1 == breaker.state().calls


@pytest.mark.parametrize("error", [None, FunctionFailure])
def test_cancelled_probe_frees_its_slot(error: type[Exception] | None) -> None:
    """A probe whose task is cancelled at any point frees its slot, even in a slow store."""

    async def call_breaker() -> None:
        await asyncio.sleep(0)
        if error:
            raise error

    async def cancel(steps: int) -> bool:
        clock = Clock()
        store = DistantStore(clock)
        config = CircuitBreakerConfig(failures=1, open_for=1, successes=MANY)
        breaker = CircuitBreaker(config, clock=clock, storage=store)
        with pytest.raises(FunctionFailure):
            await breaker.call(as_async(raise_error))
        clock.advance(1)
        task = asyncio.ensure_future(breaker.call(call_breaker))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert 0 == (await breaker.astate()).probes_under_way
        return task.cancelled()

    steps = 0
    while asyncio.run(cancel(steps)):
        steps += 1
    assert steps >= 6


def test_late_outcomes_are_ignored() -> None:
    """The late outcome of a call that began before the circuit last changed is ignored."""
    clock = Clock()
    config = CircuitBreakerConfig(failures=1, open_for=1)
    breaker = CircuitBreaker(config, clock=clock)
    failing_entry, succeeding = breaker.guard(), breaker.guard()
    for entry in (failing_entry, succeeding):
        entry.__enter__()
    with pytest.raises(FunctionFailure):
        breaker.call(raise_error)

    succeeding.__exit__(None, None, None)
    assert CircuitState.OPEN is breaker.state().state
    clock.advance(1)
    breaker.call(int)
    failing_entry.__exit__(FunctionFailure, FunctionFailure(), None)

    assert CircuitState.CLOSED is breaker.state().state
    assert 0 == breaker.state().failures


def test_overrunning_probe_loses_its_slot() -> None:
    """A probe that exceeds its time does not block the next, and its late outcome is ignored."""
    clock = Clock()
    breaker = half_open(clock, timeout=10)
    entry = breaker.guard()
    entry.__enter__()

    with pytest.raises(CircuitBreakerOpen) as excinfo:
        breaker.call(int)
    assert excinfo.value.retry_at is not None
    clock.advance(16)
    with breaker.guard():
        entry.__exit__(FunctionFailure, FunctionFailure(), None)
        assert 1 == breaker.state().probes_under_way

    assert CircuitState.HALF_OPEN is breaker.state().state


def interruptions(use: Callable[..., Any], end: Callable[[], object]) -> Iterator[CircuitBreaker]:
    """Interrupt a probe at each possible point, each time with a new circuit."""
    for point in itertools.count():
        breaker = half_open(Clock())
        breaker.state()
        if not interrupted.interrupt_at(point, functools.partial(use, breaker, end)):
            return
        yield breaker


@pytest.mark.untraced
@interrupted.UNTIDY
@pytest.mark.parametrize(
    "use", [call_part, call_in_block, call_async], ids=lambda use: use.__name__
)
@pytest.mark.parametrize("end", [int, raise_error])
def test_another_probe_may_run_after_interruption_of_probe_at_any_point(
    use: Callable[..., Any], end: Callable[[], object]
) -> None:
    """After an interruption of a probe at any point, another probe may run."""
    under_way = [breaker.state().probes_under_way for breaker in interruptions(use, end)]

    assert [0] * len(under_way) == under_way
    assert len(under_way) > 25


@pytest.mark.parametrize("wrong", [5, None, "OSError", int, KeyboardInterrupt, (OSError, 5), [int]])
def test_invalid_ignore_is_refused(wrong: object) -> None:
    """A circuit breaker's `ignore` is refused if it is not an exception type."""
    options: Any = {"ignore": wrong}
    with pytest.raises(ConfigurationError) as excinfo:
        CircuitBreaker(**options)

    assert "ignore" == excinfo.value.path
    assert "exception type" in excinfo.value.remedy


@pytest.mark.parametrize(
    "ignore", [FunctionFailure, (FunctionFailure,), [FunctionFailure], {FunctionFailure, OSError}]
)
def test_circuit_breaker_ignore_may_be_one_exception_type_or_sequence_of_them(
    ignore: object,
) -> None:
    """A circuit breaker's `ignore` may be one exception type or a sequence of them."""
    options: Any = {"ignore": ignore}
    breaker = CircuitBreaker(CircuitBreakerConfig(failures=1), **options)
    for _ in range(2):
        with pytest.raises(FunctionFailure):
            breaker.call(raise_error)

    assert CircuitState.CLOSED is breaker.state().state


# --- the short way ------------------------------------------------------------------


def test_fast_path_refusal_is_observed() -> None:
    """Observers get an event for a call that the fast path refuses."""
    seen_events: list[Any] = []
    breaker = CircuitBreaker(CircuitBreakerConfig(failures=1), observers=[seen_events.append])
    with pytest.raises(FunctionFailure):
        breaker.call(raise_error)
    with pytest.raises(CircuitBreakerOpen):
        breaker.call(do_nothing)
    assert [type(event).__name__ for event in seen_events] == ["CircuitChanged", "CallRefused"]


def do_nothing() -> None:
    """Do nothing."""


def test_function_that_returns_none_counts_as_success() -> None:
    """A function that returns None counts as a success."""
    breaker = CircuitBreaker()
    for _ in range(3):
        breaker.call(do_nothing)
    assert breaker.state().calls == 3


def test_error_is_not_lost_with_a_full_store() -> None:
    """If the store is too full to record a failure, the caller still gets its function's error."""
    clock = Clock()
    storage = MemoryStorage(clock, max_entries=1)
    breaker = CircuitBreaker(clock=clock, storage=storage)
    other_breaker = CircuitBreaker(clock=clock, storage=storage, name="other")

    def crowded_out() -> None:
        clock.advance(30 * 86_400)
        other_breaker.call(do_nothing)
        raise FunctionFailure

    with pytest.raises(FunctionFailure):
        breaker.call(crowded_out)
    assert len(storage) == 1


@BOTH
def test_result_is_not_lost_with_a_full_store(use: Callable[..., Any]) -> None:
    """If the store is too full for an outcome, the caller still gets its function's result."""

    class FullStore(MemoryStorage):
        """A store that admits calls, but raises StorageUnavailable when outcomes are recorded."""

        def execute(self, command: Any, /, timeout: float | None = None) -> Any:
            """Raise StorageUnavailable for reports; execute other commands."""
            if isinstance(command, Report):
                raise StorageUnavailable("the store is full.")
            return super().execute(command, timeout)

    clock = Clock()
    breaker = CircuitBreaker(
        CircuitBreakerConfig(failures=1), clock=clock, storage=FullStore(clock)
    )
    with pytest.raises(FunctionFailure):
        use(breaker, raise_error)
    assert CircuitState.CLOSED is breaker.state().state


@EVERY_USE
def test_keyed_breakers_have_a_circuit_for_each_key(use: Callable[..., Any]) -> None:
    """Each key of a circuit breaker has its own circuit, shared by all breakers of that key."""
    clock, recorder = Clock(), EventLog()
    config = CircuitBreakerConfig(failures=1, open_for=1)
    breaker = CircuitBreaker(config, name="v", clock=clock, observers=[recorder])
    failing_breaker, working_breaker = breaker.keyed("a.example"), breaker.keyed("b.example")

    with pytest.raises(FunctionFailure):
        use(failing_breaker, raise_error)
    with pytest.raises(CircuitBreakerOpen, match=r"^v: The circuit breaker is open"):
        use(working_breaker.keyed("a.example"), int)
    assert 0 == use(working_breaker, int) == use(breaker, int)
    assert [CircuitState.OPEN] * 2 == states(failing_breaker)
    assert [CircuitState.CLOSED] * 4 == states(working_breaker) + states(breaker)

    clock.advance(1)
    assert 0 == use(failing_breaker, int)
    assert [CircuitState.CLOSED] * 2 == states(failing_breaker)
    assert [("v", "a.example")] * 4 == [(event.service, event.tenant) for event in recorder]


@BOTH
def test_keyed_breaker_counts_slow_calls(use: Callable[..., Any]) -> None:
    """Each key's circuit has the settings of its breaker, such as `slow_call` and `ignore`."""
    clock = Clock()
    config = CircuitBreakerConfig(failures=None, slow_call=1.0, minimum_calls=1)
    breaker = CircuitBreaker(config, clock=clock, ignore=FunctionFailure).keyed("a")

    with pytest.raises(FunctionFailure):
        use(breaker, raise_error)
    use(breaker, lambda: clock.advance(2))

    assert [CircuitState.OPEN] * 2 == states(breaker)


def test_keyed_breaker_is_set_by_hand() -> None:
    """Setting the circuit of one key by hand changes no other key's circuit."""
    breaker = CircuitBreaker()

    breaker.keyed("a").set(CircuitState.FORCED_OPEN)

    assert CircuitState.FORCED_OPEN is breaker.keyed("a").state().state
    assert CircuitState.CLOSED is breaker.keyed("b").state().state


@pytest.mark.parametrize("key", ["", "a\nb", 7])
def test_invalid_keys_are_refused(key: Any) -> None:
    """A circuit breaker refuses a key that is not a short printable string."""
    with pytest.raises(InvalidData, match="key must be a printable text"):
        CircuitBreaker().keyed(key)


def test_keyed_breakers_need_little_memory() -> None:
    """Ten thousand keyed circuit breakers need less than a kilobyte of memory each."""
    breaker, number = CircuitBreaker(), 10_000
    breaker.keyed("first")
    tracemalloc.start()
    try:
        breakers = [breaker.keyed(f"tenant-{position}") for position in range(number)]
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert number == len(breakers)
    assert size < 1_000 * number


@pytest.mark.parametrize("key", [None, "acme"], ids=["whole", "keyed"])
@BOTH
def test_failed_results_open_the_circuit(use: Callable[..., Any], key: str | None) -> None:
    """A result that counts as a failure is returned, and opens the circuit like an error."""
    clock = Clock()
    whole = CircuitBreaker(
        CircuitBreakerConfig(failures=2),
        clock=clock,
        failed_result=lambda state: state == "down",
        ignore=Exception,
    )
    breaker = whole if key is None else whole.keyed(key)
    for state in ("down", "up", "down"):
        assert state == use(breaker, lambda state=state: state)
    with pytest.raises(CircuitBreakerOpen):
        use(breaker, lambda: "up")


def test_predicate_of_a_circuit_must_be_a_synchronous_function() -> None:
    """Anything but a synchronous function is refused as a predicate."""
    with pytest.raises(ConfigurationError) as excinfo:
        CircuitBreaker(failed_result="down")  # type: ignore[arg-type]  # refused
    assert "failed_result" == excinfo.value.path
