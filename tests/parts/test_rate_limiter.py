"""The rate limiter as a stand-alone part, without a manager."""

import asyncio
import functools
import itertools
import os
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeAlias

import pytest

from moorage import (
    ConfigurationError,
    InvalidData,
    RateLimitConfig,
    RateLimiter,
    RateLimitExceeded,
)
from moorage.adapters.state.memory import MemoryStorage
from moorage.domain.resilience.admission import Admission
from moorage.domain.state.commands import Command
from moorage.parts.rate_limiter import Reservation
from moorage.testing.fakes.clock import AsyncVirtualSleeper
from tests.adapters.raising_locks import FragileLock, Interruption
from tests.parts import interrupted
from tests.parts.ways_of_use import (
    START,
    USES,
    AsyncSleeper,
    Clock,
    DistantStore,
    EventLog,
    PlainStore,
    StandingClock,
    run,
)


class SyncLimiterUse:
    """A rate limiter, used synchronously."""

    def __init__(self, limiter: RateLimiter) -> None:
        self.acquire = limiter.acquire
        self.try_acquire = limiter.try_acquire
        self.reserve = limiter.reserve
        self.pause = limiter.pause


class AsyncLimiterUse:
    """A rate limiter, used asynchronously."""

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter

    def acquire(self, *args: Any, **kwargs: Any) -> None:
        """Acquire tokens by `aacquire`."""
        assert run(self._limiter.aacquire(*args, **kwargs)) is None

    def try_acquire(self, *args: Any, **kwargs: Any) -> bool:
        """Try to acquire tokens by `atry_acquire`."""
        is_taken: bool = run(self._limiter.atry_acquire(*args, **kwargs))
        return is_taken

    def reserve(self, *args: Any, **kwargs: Any) -> Reservation:
        """Reserve a slot by `areserve`."""
        reservation: Reservation = run(self._limiter.areserve(*args, **kwargs))
        return reservation

    def pause(self, *args: Any, **kwargs: Any) -> None:
        """Pause the limiter by `apause`."""
        assert run(self._limiter.apause(*args, **kwargs)) is None


EQUAL_LIMITS = (
    RateLimitConfig.per_second(1),
    RateLimitConfig.per_minute(60, burst=1),
    RateLimitConfig.per_hour(3600, burst=1),
)
"""Different limits that each grant one call per second."""
LimiterUse: TypeAlias = Callable[[RateLimiter], SyncLimiterUse | AsyncLimiterUse]
EACH_USE = pytest.mark.parametrize("limiter_use", [SyncLimiterUse, AsyncLimiterUse])
EVERY_USE = pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)


def limiter_of(clock: Clock, *limits: RateLimitConfig, **options: Any) -> RateLimiter:
    """Return a limiter that waits in simulated time; by default it allows one call per second."""
    limits = limits or (RateLimitConfig.per_second(1),)
    return RateLimiter(
        *limits, clock=clock, sleeper=clock, async_sleeper=AsyncSleeper(clock), **options
    )


def test_needs_a_limit() -> None:
    """A rate limiter without limits is refused."""
    with pytest.raises(ConfigurationError) as excinfo:
        RateLimiter()

    assert "limits" == excinfo.value.path


@EVERY_USE
def test_calls_wait_for_their_turn(use: Callable[..., Any]) -> None:
    """As many calls as the burst are granted immediately, and later calls at the limit's rate."""
    clock = Clock()
    limiter = limiter_of(clock, RateLimitConfig.per_second(2, burst=3))

    assert list(range(6)) == [use(limiter, functools.partial(int, str(n))) for n in range(6)]

    assert [0.5, 0.5, 0.5] == clock.slept


@EACH_USE
def test_wait_is_bounded_by_the_timeout(limiter_use: LimiterUse) -> None:
    """A wait longer than the timeout is refused at once; the error has a retry time."""
    clock = Clock()
    limiter = limiter_use(limiter_of(clock, name="v", timeout=1.5))

    limiter.acquire()
    limiter.acquire()
    with pytest.raises(RateLimitExceeded, match=r"^v: The rate limit is reached") as excinfo:
        limiter.acquire(timeout=0.5)
    with pytest.raises(RateLimitExceeded):
        limiter.acquire(timeout=0)

    assert START + timedelta(seconds=2) == excinfo.value.retry_at
    assert (True, False) == (excinfo.value.retryable, excinfo.value.by_vendor)
    limiter.acquire()
    assert [1.0, 1.0] == clock.slept


@EACH_USE
def test_request_without_waiting_fails_and_reserves_nothing(limiter_use: LimiterUse) -> None:
    """If no token is available, a request without waiting fails, and reserves nothing."""
    clock = Clock()
    limiter = limiter_use(limiter_of(clock))

    assert [True, False, False] == [limiter.try_acquire() for _ in range(3)]
    clock.advance(1)
    assert limiter.try_acquire()
    assert [] == clock.slept


@EACH_USE
def test_a_call_may_cost_more(limiter_use: LimiterUse) -> None:
    """A call takes as many tokens as its cost, which must not exceed the burst."""
    clock = Clock()
    limiter = limiter_use(limiter_of(clock, RateLimitConfig.per_second(1, burst=5)))

    limiter.acquire(3)
    assert not limiter.try_acquire(3)
    assert limiter.try_acquire(2)
    limiter.acquire(5)
    assert [5.0] == clock.slept
    costs: list[Any] = [0, -1, 6, 1.0, True]
    for use in (limiter.acquire, limiter.try_acquire, limiter.reserve):
        for cost in costs:
            with pytest.raises(InvalidData) as excinfo:
                use(cost)
            assert "cost" == excinfo.value.field


@EACH_USE
def test_limits_grant_together(limiter_use: LimiterUse) -> None:
    """A call needs a token of each limit; if one limit refuses, no limit loses a token."""
    clock = Clock()
    quick_config = RateLimitConfig.per_second(1, burst=10)
    slow_config = RateLimitConfig.per_minute(1, burst=2)
    limiter = limiter_use(limiter_of(clock, quick_config, slow_config))

    limiter.acquire(2)
    for _ in range(20):
        assert not limiter.try_acquire()
    limiter.acquire()

    assert [60.0] == clock.slept


@EACH_USE
def test_keys_are_separate(limiter_use: LimiterUse) -> None:
    """Each key has its own token bucket, separate from the bucket of calls without a key."""
    limiter = limiter_use(limiter_of(Clock()))

    for key in ("a", None, "b", "c"):
        assert limiter.try_acquire(key=key)
        assert not limiter.try_acquire(key=key)
        limiter.reserve(key=key)
        with pytest.raises(RateLimitExceeded):
            limiter.acquire(key=key, timeout=1)


def test_unused_buckets_of_many_keys_are_removed() -> None:
    """With many keys, the limiter removes unused buckets; spent tokens stay spent."""
    limiter = limiter_of(Clock())

    for is_taken in (True, False):
        assert {is_taken} == {limiter.try_acquire(key=str(number)) for number in range(10_500)}

    assert len(vars(limiter)["_questions"]) == 10_000


@EACH_USE
def test_reservation_holds_its_position_in_the_queue(limiter_use: LimiterUse) -> None:
    """A reservation occupies a position in the queue, and later callers wait behind it."""
    clock = Clock()
    limiter = limiter_use(limiter_of(clock))

    assert [0.0, 1.0, 2.0] == [limiter.reserve().delay for _ in range(3)]
    with pytest.raises(RateLimitExceeded):
        limiter.reserve(timeout=2.5)
    assert 3.0 == limiter.reserve(timeout=3).delay
    limiter.acquire()
    assert [4.0] == clock.slept


@EACH_USE
def test_reservation_is_cancelled_once(limiter_use: LimiterUse) -> None:
    """A cancelled reservation frees its slot; cancelling it twice has no further effect."""
    limiter = limiter_use(limiter_of(Clock(), RateLimitConfig.per_second(1, burst=2)))
    limiter.acquire(2)
    first, second = limiter.reserve(), limiter.reserve()

    second.cancel()
    second.cancel()
    assert 2.0 == limiter.reserve().delay
    first.cancel()

    # Its place in the queue is free again, before the caller that came after it.
    assert 1.0 == limiter.reserve().delay


@EACH_USE
def test_pause_holds_for_every_caller(limiter_use: LimiterUse) -> None:
    """A pause from a vendor delays both new and waiting callers."""
    clock = Clock()
    limiter = limiter_use(limiter_of(clock))
    limiter.acquire()
    assert 1.0 == limiter.reserve().delay

    limiter.pause(10)

    assert 12.0 == limiter.reserve().delay
    assert not limiter.try_acquire()
    limiter.acquire(key="another")
    for delay in (-1, 0, float("nan")):
        with pytest.raises(ConfigurationError):
            limiter.pause(delay)


@pytest.mark.parametrize("patient", [True, False])
def test_pause_reaches_waiting_callers(patient: bool) -> None:
    """If a caller's turn falls into a pause, it waits for the pause's end, or is refused."""

    class PausingClock(Clock):
        def sleep(self, seconds: float, /) -> None:
            super().sleep(seconds)
            if len(self.slept) == 1:
                limiter.pause(5)

    clock, recorder = PausingClock(), EventLog()
    limiter = limiter_of(clock, observers=[recorder])
    limiter.acquire()

    if patient:
        limiter.acquire(timeout=6)
        assert [1.0, 5.0] == clock.slept
        assert ["RateLimitWaited"] * 2 == recorder.kinds()
    else:
        with pytest.raises(RateLimitExceeded) as excinfo:
            limiter.acquire(timeout=5.5)
        assert START + timedelta(seconds=6) == excinfo.value.retry_at
        assert ["RateLimitWaited", "CallRefused"] == recorder.kinds()


def test_threads_go_in_order_of_arrival() -> None:
    """Waiting threads get their tokens in the order of arrival."""
    clock = StandingClock()
    limiter = limiter_of(clock)
    limiter.acquire()
    call_order: list[int] = []

    def acquire_token(number: int) -> None:
        limiter.acquire()
        call_order.append(number)

    threads = [
        threading.Thread(target=acquire_token, args=(number,), daemon=True) for number in range(8)
    ]
    for arrival_count, thread in enumerate(threads, 1):
        thread.start()
        clock.until_asleep(arrival_count)
    for number, thread in enumerate(threads, 1):
        clock.advance(1)
        thread.join(10)
        clock.until_asleep(len(threads) - number)

    assert list(range(8)) == call_order


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_forked_child_has_an_empty_queue() -> None:
    """A forked process does not wait for callers of its parent process."""
    clock = StandingClock()
    limiter = limiter_of(clock)
    limiter.acquire()
    thread = threading.Thread(target=limiter.acquire, daemon=True)
    thread.start()
    clock.until_asleep(1)
    child = os.fork()
    if child == 0:  # pragma: no cover - in the child
        os._exit(len(vars(limiter._sync_core.waiters)["_lines"]))  # noqa: SLF001 - nothing else shows it
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    clock.advance(1)
    thread.join(10)


def test_tasks_go_in_order_of_arrival_past_the_cancelled() -> None:
    """Waiting tasks get tokens in order of arrival, and cancelled tasks do not delay others."""
    clock = Clock()
    limiter = RateLimiter(
        RateLimitConfig.per_second(1), clock=clock, async_sleeper=AsyncVirtualSleeper(clock)
    )
    call_order: list[int] = []

    async def acquire_token(number: int) -> None:
        await limiter.aacquire()
        call_order.append(number)

    async def settle() -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def queue() -> None:
        await limiter.aacquire()
        tasks = [asyncio.ensure_future(acquire_token(number)) for number in range(4)]
        await settle()
        tasks[3].cancel()
        await settle()
        tasks.append(asyncio.ensure_future(acquire_token(4)))
        for expected in ([0], [0, 1], [0, 1, 2], [0, 1, 2, 4]):
            await settle()
            clock.advance(1)
            await settle()
            assert expected == call_order

    asyncio.run(queue())


@EACH_USE
@pytest.mark.parametrize("error", [KeyboardInterrupt, asyncio.CancelledError])
def test_interrupted_wait_leaves_no_gap(
    limiter_use: LimiterUse, error: type[BaseException]
) -> None:
    """A caller that is interrupted while waiting leaves no gap in the queue."""

    class InterruptingClock(Clock):
        def sleep(self, seconds: float, /) -> None:
            raise error

    limiter = limiter_use(limiter_of(InterruptingClock()))
    limiter.acquire()

    for _ in range(3):
        with pytest.raises(error):
            limiter.acquire()

    assert 1.0 == limiter.reserve().delay


@EVERY_USE
def test_failed_call_spends_its_token(use: Callable[..., Any]) -> None:
    """A call that fails has used its token."""
    limiter = limiter_of(Clock())

    with pytest.raises(ZeroDivisionError):
        use(limiter, lambda: 1 / 0)

    assert not limiter.try_acquire()


@EVERY_USE
def test_a_guard_waits_as_long_as_it_may(use: Callable[..., Any]) -> None:
    """A call is refused if it would wait for a token beyond its timeout."""
    limiter = limiter_of(Clock(), name="v", timeout=0.5)
    use(limiter, int)

    with pytest.raises(RateLimitExceeded) as excinfo:
        use(limiter, lambda: pytest.fail("called"))

    assert "v" == excinfo.value.service


def test_tasks_queue_in_order_with_a_slow_store() -> None:
    """With a slow store tasks queue in order, and a cancelled task frees its slot."""
    clock = Clock()
    store = DistantStore(clock)
    limiter = RateLimiter(
        RateLimitConfig.per_second(1),
        storage=store,
        clock=clock,
        async_sleeper=AsyncVirtualSleeper(clock),
    )

    async def queue() -> None:
        await limiter.aacquire()
        task = asyncio.ensure_future(limiter.aacquire())
        for _ in range(5):
            await asyncio.sleep(0)
        assert 2.0 == (await limiter.areserve()).delay
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(queue())


def test_asynchronous_function_waits_over_a_distant_store() -> None:
    """With a slow store, a decorated asynchronous function also waits for its token."""
    clock = Clock()
    limiter = limiter_of(clock, storage=DistantStore(clock))

    @limiter
    async def ask(question: str) -> str:
        return question.upper()

    async def call() -> list[str]:
        return [await ask(question) for question in ("a", "b", "c")]

    assert ["A", "B", "C"] == asyncio.run(call())
    assert 2.0 == sum(clock.slept)


def test_rate_limiter_accepts_quota_per_calendar_day() -> None:
    """A rate limiter accepts a quota per calendar day."""
    clock = Clock()
    limiter = limiter_of(clock, RateLimitConfig.per_calendar_day(2))

    for _ in range(3):
        limiter.acquire()

    assert [86_400.0] == clock.slept


def test_limiters_share_a_store() -> None:
    """Limiters with the same name and store share one token bucket per key."""
    store = PlainStore(Clock())
    first, second = (
        RateLimiter(RateLimitConfig.per_second(1), storage=store, clock=store.clock)
        for _ in range(2)
    )

    assert first.try_acquire(key="a")
    assert not second.try_acquire(key="a")
    assert second.try_acquire()


@pytest.mark.parametrize("limits", [1, 2, 3])
@pytest.mark.parametrize("meanwhile", [0, 1])
def test_lost_queued_grant_is_taken_back(limits: int, meanwhile: int) -> None:
    """If a queued caller is interrupted during the store's reply, only its grant is returned.

    Unless somebody queued behind it in the meantime: their grant counts on it.
    """

    class InterruptedLock(FragileLock):
        def release(self) -> None:
            if self.releases == 1:
                self.releases = None
                for _ in range(meanwhile):
                    limiter.reserve()
                self.releases = 1
            super().release()

    store = MemoryStorage(Clock())
    lock = vars(store)["_lock"] = InterruptedLock()
    limiter = RateLimiter(*EQUAL_LIMITS[:limits], storage=store)
    limiter.acquire()

    lock.releases = 1
    with pytest.raises(Interruption):
        limiter.reserve()

    assert 1.0 + 2 * meanwhile == limiter.reserve().delay


def test_lost_immediate_grant_is_spent() -> None:
    """If a caller is interrupted after its token was granted at once, the token is spent."""
    store = MemoryStorage(Clock())
    lock = vars(store)["_lock"] = FragileLock()
    limiter = RateLimiter(*EQUAL_LIMITS, storage=store)

    lock.releases = 1
    with pytest.raises(Interruption):
        limiter.acquire()

    assert not limiter.try_acquire()


@EACH_USE
def test_lost_reservation_is_given_back(limiter_use: LimiterUse) -> None:
    """If a caller is interrupted before it receives its reservation, the slot is returned."""

    class RacingWait(int):
        def __truediv__(self, _: int) -> float:
            raise KeyboardInterrupt

    class Store(PlainStore):
        def execute(self, command: Command[Any], /, timeout: float | None = None) -> Any:
            answer = super().execute(command, timeout)
            if isinstance(command, Admission) and strikes.pop():
                return (answer[0], RacingWait(answer[1]), *answer[2:])
            return answer

    class AsyncStore(Store):
        async def execute(self, command: Command[Any], /, timeout: float | None = None) -> Any:
            return super().execute(command, timeout)

    strikes = [False, True, False]
    store = Store(Clock()) if limiter_use is SyncLimiterUse else AsyncStore(Clock())
    limiter = limiter_use(RateLimiter(RateLimitConfig.per_second(1), storage=store))
    limiter.reserve()

    with pytest.raises(KeyboardInterrupt):
        limiter.reserve()

    assert 1.0 == limiter.reserve().delay


@interrupted.UNTIDY
@pytest.mark.parametrize("limiter_use", [SyncLimiterUse, AsyncLimiterUse])
@pytest.mark.parametrize("verb", ["acquire", "reserve"])
def test_interrupted_caller_frees_its_slot(limiter_use: LimiterUse, verb: str) -> None:
    """If a waiting caller is interrupted at any point, its slot is free afterwards."""
    delays: list[float] = []
    for point in itertools.count():
        clock = Clock()
        limiter = limiter_use(limiter_of(clock))
        limiter.acquire()
        limiter.reserve().cancel()
        if not interrupted.interrupt_at(point, getattr(limiter, verb)):
            break
        # If it had slept already, a second has passed.
        delays.append(limiter.reserve().delay + clock.nanoseconds() / 1e9)

    assert [1.0] * len(delays) == delays
    assert len(delays) > 25


@pytest.mark.parametrize("wrong", ["", "a\n", "x" * 513, 5, [], b"k"], ids=repr)
@EACH_USE
def test_invalid_keys_are_refused(limiter_use: LimiterUse, wrong: Any) -> None:
    """All methods of a limiter refuse an invalid key, with an error for the argument `key`."""
    limiter = limiter_use(RateLimiter(RateLimitConfig(10)))
    uses: list[Callable[[], Any]] = [
        lambda: limiter.acquire(key=wrong),
        lambda: limiter.try_acquire(key=wrong),
        lambda: limiter.reserve(key=wrong),
        lambda: limiter.pause(1, key=wrong),
    ]
    for use in uses:
        with pytest.raises(InvalidData) as excinfo:
            use()
        assert "key" == excinfo.value.field


@EACH_USE
def test_refuses_a_cost_that_has_no_hash(limiter_use: LimiterUse) -> None:
    """A cost that is a list, which has no hash, is refused like any invalid cost."""
    wrong_cost: Any = []
    with pytest.raises(InvalidData) as excinfo:
        limiter_use(RateLimiter(RateLimitConfig(10))).acquire(wrong_cost)

    assert "cost" == excinfo.value.field
