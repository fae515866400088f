"""The retry handler as a stand-alone part, without a manager."""

import asyncio
import functools
import inspect
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from moorage import (
    Backoff,
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitBreakerOpen,
    ConfigurationError,
    ConnectionFailed,
    DeadlineExceeded,
    Jitter,
    RateLimitExceeded,
    RetryHandler,
    RetryPolicy,
    VendorRejected,
)
from tests.parts import interrupted
from tests.parts.ways_of_use import (
    PATIENCE,
    START,
    AsyncSleeper,
    Clock,
    EventLog,
    FunctionFailure,
    as_async,
    call_async,
    call_decorated,
    call_decorated_async,
    call_part,
    run,
    run_threads,
)


def call_in_loop(retry: RetryHandler, function: Callable[[], object]) -> object:
    """Call a function inside the `for` loop of a retry handler, synchronously."""
    for attempt in retry:
        with attempt:
            return function()
    raise AssertionError("the loop ended with neither an answer nor an error")


def looped_later(retry: RetryHandler, function: Callable[[], object]) -> object:
    """Call a function inside the `async for` loop of a retry handler."""

    async def loop() -> object:
        async for attempt in retry:
            with attempt:
                return function()
        raise AssertionError("the loop ended with neither an answer nor an error")

    return run(loop())


SYNC = (call_part, call_decorated, call_in_loop)
ASYNC = (call_async, call_decorated_async, looped_later)
EVERY_USE = pytest.mark.parametrize("use", [*SYNC, *ASYNC], ids=lambda use: use.__name__)
STEADY = RetryPolicy(3, 1.0, jitter=Jitter.NONE)


def handler(clock: Clock, policy: RetryPolicy | None = STEADY, **options: Any) -> RetryHandler:
    """Return a retry handler whose pauses take no real time."""
    return RetryHandler(
        policy, clock=clock, sleeper=clock, async_sleeper=AsyncSleeper(clock), **options
    )


class FailingFunction:
    """A function that raises the given errors one after another, and then succeeds."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> int:
        """Raise the next error, or return the number of calls."""
        self.calls += 1
        if len(self.errors) >= self.calls:
            raise self.errors[self.calls - 1]
        return self.calls


@EVERY_USE
def test_function_is_retried_until_it_succeeds(use: Callable[..., Any]) -> None:
    """A function that fails twice is retried after two growing pauses, and returns its value."""
    clock = Clock()

    assert 3 == use(handler(clock), FailingFunction(FunctionFailure(), FunctionFailure()))
    assert [1.0, 2.0] == clock.slept


@EVERY_USE
def test_error_of_the_last_attempt_is_raised(use: Callable[..., Any]) -> None:
    """After the last attempt, the error of this attempt is raised unchanged."""
    errors = [FunctionFailure(), FunctionFailure(), FunctionFailure(), FunctionFailure()]
    function = FailingFunction(*errors)

    with pytest.raises(FunctionFailure) as excinfo:
        use(handler(Clock()), function)

    assert (errors[2], 3) == (excinfo.value, function.calls)


@EVERY_USE
def test_success_costs_no_pause(use: Callable[..., Any]) -> None:
    """A function that succeeds at once is called only once, even if it returns None."""
    clock = Clock()

    values: list[Any] = [1, None, []]
    for value in values:
        assert value is use(handler(clock), functools.partial(lambda argument: argument, value))

    assert [] == clock.slept


@EVERY_USE
@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        GeneratorExit(),
        SystemExit(),
        TypeError(),
        VendorRejected("?"),
        ConfigurationError("?"),
    ],
    ids=repr,
)
def test_final_errors_are_not_retried(use: Callable[..., Any], error: BaseException) -> None:
    """Interruptions, programming errors and final rejections are raised without a retry."""
    function = FailingFunction(error)

    with pytest.raises(type(error)) as excinfo:
        use(handler(Clock()), function)

    assert (error, 1) == (excinfo.value, function.calls)


@EVERY_USE
@pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration])
def test_control_flow_passes_unharmed(use: Callable[..., Any], error: type[Exception]) -> None:
    """StopIteration and StopAsyncIteration are raised unchanged."""
    if error is StopIteration and use in ASYNC:
        error = StopAsyncIteration
    raised_error = error()

    with pytest.raises(error) as excinfo:
        use(handler(Clock(), RetryPolicy.none()), FailingFunction(raised_error))

    assert raised_error is excinfo.value


@EVERY_USE
@pytest.mark.parametrize(
    "rule", [FunctionFailure, (OSError, FunctionFailure), lambda error: "again" in str(error)]
)
def test_exception_types_or_predicate_decide_which_errors_retry_handler_retries(
    use: Callable[..., Any], rule: Any
) -> None:
    """Exception types or a predicate decide which errors a retry handler retries."""
    retry = handler(Clock(), RetryPolicy(retry_on=rule))

    assert 2 == use(retry, FailingFunction(FunctionFailure("again")))
    with pytest.raises(KeyError):
        use(retry, FailingFunction(KeyError("no")))


@EVERY_USE
def test_time_is_shared_by_all_attempts(use: Callable[..., Any]) -> None:
    """If a pause does not fit before the deadline, the last error is raised with its retry time."""
    clock = Clock()
    policy = RetryPolicy(9, 1.0, jitter=Jitter.NONE)
    function = FailingFunction(*(ConnectionFailed("?") for _ in range(9)))

    with pytest.raises(ConnectionFailed) as excinfo:
        use(handler(clock, policy, timeout=timedelta(seconds=5), name="v"), function)

    assert ([1.0, 2.0], 3) == (clock.slept, function.calls)
    error = excinfo.value
    assert START + timedelta(seconds=7) == error.retry_at
    assert ("v", 3) == (error.service, error.attempts)
    assert error.request_id


@EVERY_USE
def test_oversleeping_ends_the_retries(use: Callable[..., Any]) -> None:
    """If a pause overruns the deadline, no further attempt follows."""

    class OversleepingClock(Clock):
        def sleep(self, seconds: float, /) -> None:
            """Sleep nine seconds longer than requested."""
            super().sleep(seconds + 9)

    function = FailingFunction(FunctionFailure(), FunctionFailure())

    with pytest.raises(DeadlineExceeded, match=r"5 s has passed") as excinfo:
        use(handler(OversleepingClock(), timeout=5, name="v"), function)

    assert 1 == function.calls
    assert ("v", function.errors[0]) == (excinfo.value.service, excinfo.value.__cause__)


@pytest.mark.parametrize(
    "error, processed",
    [(KeyError(), True), (ConnectionFailed("no route", may_have_been_processed=False), False)],
    ids=["lost", "unsent"],
)
@EVERY_USE
def test_deadline_error_states_possible_effects(
    use: Callable[..., Any], error: Exception, *, processed: bool
) -> None:
    """If a pause overruns the deadline, the error states if an attempt may have been processed."""

    class OversleepingClock(Clock):
        def sleep(self, seconds: float, /) -> None:
            """Sleep nine seconds longer than requested."""
            super().sleep(seconds + 9)

    policy = RetryPolicy(retry_on=type(error))

    with pytest.raises(DeadlineExceeded) as excinfo:
        use(handler(OversleepingClock(), policy, timeout=5), FailingFunction(error))

    assert processed is excinfo.value.may_have_been_processed


@EVERY_USE
def test_retry_at_is_respected(use: Callable[..., Any]) -> None:
    """A retry comes no earlier than the error's `retry_at`, and not at all after the deadline."""
    clock = Clock()
    early_retry, late_retry = START + timedelta(seconds=20), START + timedelta(seconds=100)

    assert 2 == use(handler(clock), FailingFunction(RateLimitExceeded("?", retry_at=early_retry)))
    assert [20.0] == clock.slept
    with pytest.raises(RateLimitExceeded) as excinfo:
        use(handler(clock), FailingFunction(RateLimitExceeded("?", retry_at=late_retry)))

    assert late_retry == excinfo.value.retry_at
    assert 2 == use(handler(clock), FailingFunction(RateLimitExceeded("?", retry_at=START)))
    assert [20.0, 1.0] == clock.slept


@EVERY_USE
def test_retry_waits_for_a_circuit(use: Callable[..., Any]) -> None:
    """A retry around a circuit breaker comes exactly when the circuit allows a probe."""
    clock = Clock()
    breaker = CircuitBreaker(CircuitBreakerConfig(failures=1, open_for=50), clock=clock)
    function = FailingFunction(FunctionFailure())

    with pytest.raises(CircuitBreakerOpen):
        use(
            handler(clock, RetryPolicy(2, 1.0, jitter=Jitter.NONE)),
            lambda: breaker.call(function),
        )
    assert 2 == use(handler(clock), lambda: breaker.call(function))

    assert [1.0, 49.0] == clock.slept


@EVERY_USE
def test_retries_are_reported(use: Callable[..., Any]) -> None:
    """Observers get an event for each further attempt, before its pause."""
    recorder = EventLog()

    use(
        handler(Clock(), observers=[recorder], name="v"),
        FailingFunction(FunctionFailure(), OSError()),
    )

    reports = [event for event in recorder if type(event).__name__ == "RetryScheduled"]
    assert [("v", 1, 1.0, "FunctionFailure"), ("v", 2, 2.0, "OSError")] == [
        (event.service, event.attempt, event.delay, event.error) for event in reports
    ]
    assert 1 == len({event.request_id for event in recorder})


FUNCTION_USES = pytest.mark.parametrize(
    "use",
    [call_part, call_decorated, call_async, call_decorated_async],
    ids=lambda use: use.__name__,
)


@FUNCTION_USES
@pytest.mark.parametrize("retry_on", [None, ConnectionError], ids=["any error", "some errors"])
@pytest.mark.parametrize("observed", [False, True], ids=["plain", "observed"])
def test_failed_results_are_retried(use: Callable[..., Any], retry_on: Any, observed: bool) -> None:
    """A result that counts as a failure is retried; the last one is returned."""
    clock, events = Clock(), EventLog()
    retry = handler(
        clock,
        RetryPolicy(3, 1.0, jitter=Jitter.NONE, retry_on=retry_on),
        failed_result=lambda state: state == "pending",
        observers=[events] if observed else (),
    )
    states = iter(["pending", "done"])
    assert "done" == use(retry, lambda: next(states))
    assert [1.0] == clock.slept

    states = iter(["pending"] * 3)
    assert "pending" == use(retry, lambda: next(states))
    assert [1.0, 1.0, 2.0] == clock.slept
    assert [] == list(states)


@FUNCTION_USES
def test_failed_results_leave_errors_as_they_are(use: Callable[..., Any]) -> None:
    """A predicate for results does not change which errors `retry_on` retries."""
    clock = Clock()
    retry = handler(
        clock, RetryPolicy(3, 1.0, retry_on=ConnectionError), failed_result=lambda _: False
    )
    function = FailingFunction(LookupError("unknown"))
    with pytest.raises(LookupError, match="unknown"):
        use(retry, function)
    assert [] == clock.slept


@FUNCTION_USES
def test_error_of_the_predicate_reaches_the_caller(use: Callable[..., Any]) -> None:
    """An exception of the predicate is an exception of the attempt."""

    def judge(result: Any) -> bool:
        return bool(result["state"])

    with pytest.raises(TypeError):
        use(handler(Clock(), failed_result=judge), lambda: 7)


def test_predicate_must_be_a_synchronous_function() -> None:
    """Anything but a synchronous function is refused as a predicate."""

    async def later(_: Any) -> bool:
        return True

    for value in ("pending", later):
        with pytest.raises(ConfigurationError) as excinfo:
            RetryHandler(failed_result=value)  # type: ignore[arg-type]  # refused
        assert "failed_result" == excinfo.value.path


@EVERY_USE
def test_zero_delay_does_not_sleep(use: Callable[..., Any]) -> None:
    """With a delay of zero the retry handler does not sleep."""
    clock = Clock()

    assert 3 == use(
        handler(clock, RetryPolicy(base_delay=0)),
        FailingFunction(FunctionFailure(), FunctionFailure()),
    )
    assert [] == clock.slept


@pytest.mark.parametrize("backoff", [Backoff.FIXED, Backoff.DECORRELATED])
def test_jitter_spreads_pauses(backoff: Backoff) -> None:
    """With jitter, a thousand callers at the maximum delay retry at over 900 different times."""
    clock = Clock()
    policy = RetryPolicy(2, 5.0, max_delay=5.0, backoff=backoff)
    if backoff is Backoff.DECORRELATED:
        policy = RetryPolicy(2, 1.0, max_delay=3.0, backoff=backoff)
    retry = handler(clock, policy)

    for _ in range(1_000):
        retry.call(FailingFunction(FunctionFailure()))

    assert len(set(clock.slept)) > 900


def test_threads_are_counted_separately() -> None:
    """Threads that share one retry handler do not use up each other's attempts."""
    retry = handler(Clock())
    functions = [FailingFunction(*[FunctionFailure()] * number) for number in range(4)] * 5

    def call_function(number: int) -> int:
        return retry.call(FailingFunction(*functions[number].errors))

    results = run_threads(20, call_function)

    assert [1, 2, 3, FunctionFailure] * 5 == [
        end if isinstance(end, int) else type(end) for end in results
    ]


def test_tasks_are_counted_separately() -> None:
    """Tasks that share one retry handler do not use up each other's attempts."""
    retry = RetryHandler(RetryPolicy(base_delay=0))

    async def attempt(function: FailingFunction) -> int:
        await asyncio.sleep(0)
        return function()

    async def loop(function: FailingFunction) -> int:
        async for turn in retry:
            with turn:
                return await attempt(function)
        return 0

    async def all_at_once() -> list[int]:
        uses: list[Any] = [lambda function: retry.call(attempt, function), retry(attempt), loop] * 5
        return await asyncio.wait_for(
            asyncio.gather(
                *(use(FailingFunction(FunctionFailure(), FunctionFailure())) for use in uses)
            ),
            PATIENCE,
        )

    assert [3] * 15 == asyncio.run(all_at_once())


def test_a_cancelled_task_is_not_tried_again() -> None:
    """A cancellation during an attempt or a pause is raised and not retried."""

    async def cancel(function: Callable[..., Any]) -> None:
        task = asyncio.ensure_future(RetryHandler().call(function))
        for _ in range(3):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(cancel(functools.partial(asyncio.sleep, PATIENCE)))
    asyncio.run(cancel(as_async(FailingFunction(FunctionFailure()))))


def test_arguments_reach_the_function() -> None:
    """All arguments reach the retried function, even if named like the handler's own."""
    retry = RetryHandler()

    def return_arguments(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        return args, kwargs

    options: Any = {"self": 3, "function": 4}
    expected = ((1, 2), options)

    assert expected == retry.call(return_arguments, 1, 2, **options)
    assert expected == retry(return_arguments)(1, 2, **options)
    assert expected == run(retry.call(as_async(return_arguments), 1, 2, **options))
    assert expected == run(retry(as_async(return_arguments))(1, 2, **options))


def test_decorated_function_keeps_its_metadata_and_mode() -> None:
    """A function decorated by a retry handler keeps its metadata, and stays sync or async."""
    retry = RetryHandler()

    for function in (call_in_loop, as_async(call_in_loop)):
        retried_function = retry(function)
        for trait in ("__name__", "__qualname__", "__doc__", "__module__"):
            assert getattr(function, trait) == getattr(retried_function, trait)
        assert inspect.signature(function) == inspect.signature(retried_function)
        mode = inspect.iscoroutinefunction
        assert mode(function) == mode(retried_function)


def generate() -> Iterator[int]:
    """Yield one number."""
    yield 1


async def generate_later() -> AsyncIterator[int]:
    """Yield one number asynchronously."""
    yield 1


@pytest.mark.parametrize("function", [generate, generate_later])
def test_generators_are_refused(function: Callable[..., Any]) -> None:
    """A retry handler refuses a generator function, because its body cannot be repeated."""
    retry = RetryHandler()

    for use in (retry, retry.call):
        with pytest.raises(ConfigurationError, match="generate"):
            use(function)


def test_modes_are_not_mixed() -> None:
    """If a synchronous function returns an awaitable, it is closed and refused, not retried."""
    retry = handler(Clock())
    coroutines = [as_async(int)() for _ in range(2)]
    value = list(coroutines)

    with pytest.raises(ConfigurationError, match="awaitable"):
        _ = retry.call(coroutines.pop)

    assert [value[0]] == coroutines
    assert inspect.CORO_CLOSED == inspect.getcoroutinestate(value[1])
    value[0].close()

    class FakeCoroutineFunction:
        calls = 0

        def __call__(self) -> None:
            self.calls += 1

    liar: Any = FakeCoroutineFunction()
    liar.__call__ = as_async(int)
    with pytest.raises(ConfigurationError, match="did not return an awaitable"):
        run(retry.call(liar))
    assert 1 == liar.calls


@pytest.mark.parametrize("use", [call_in_loop, looped_later])
def test_a_loop_counts_its_attempts(use: Callable[..., Any]) -> None:
    """The attempts of a retry loop are numbered; the loop ends after the first success."""
    retry = handler(Clock())
    numbers: list[int] = []

    async def loop() -> None:
        async for attempt in aiter(aiter(retry)):
            with attempt as entered_attempt:
                numbers.append(entered_attempt.number)
                if entered_attempt.number < 3:
                    raise FunctionFailure

    if use is looped_later:
        run(loop())
    else:
        for attempt in retry:
            with attempt:
                numbers.append(attempt.number)
                if attempt.number < 3:
                    raise FunctionFailure
        numbers.extend(attempt.number for attempt in iter(iter(retry)))

    assert [1, 2, 3] == numbers[:3]
    assert [1] * (use is call_in_loop) == numbers[3:]


def test_retry_loop_may_be_left_and_restarted() -> None:
    """A retry loop may be left during any attempt, and started again."""
    retry = handler(Clock())

    for _ in range(5):
        for attempt in retry:
            with attempt:
                break

    assert 3 == call_in_loop(retry, FailingFunction(FunctionFailure(), FunctionFailure()))


@interrupted.UNTIDY
@pytest.mark.parametrize("use", [*SYNC, call_async], ids=lambda use: use.__name__)
def test_interrupted_retry_makes_no_further_attempt(use: Callable[..., Any]) -> None:
    """After an interruption at any point no attempt follows, and the handler can be used again."""
    retry = handler(Clock())

    for point in itertools.count():
        function = FailingFunction(FunctionFailure())
        call_counts: list[int] = []
        interrupted_use = functools.partial(use, retry, function)
        note_calls = functools.partial(lambda to, of: to.append(of.calls), call_counts, function)
        if not interrupted.interrupt_at(point, interrupted_use, note_calls):
            assert point > 25
            break
        assert [function.calls] == call_counts
        assert 3 == use(retry, FailingFunction(FunctionFailure(), FunctionFailure()))
