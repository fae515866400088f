"""A rate limiter that fetches tokens in advance: its store commands and its accuracy."""

# ruff: noqa: SLF001 - stores and commands of any kind, and a look inside

from __future__ import annotations

import itertools
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from moorage import ConfigurationError, InvalidData, RateLimitConfig, RateLimiter, RateLimitExceeded
from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from moorage.parts.leases import HeldTokens, Leases
from tests.parts.ways_of_use import AsyncSleeper, Clock, run

if TYPE_CHECKING:
    from collections.abc import Callable


class CountingStore:
    """A synchronous store that counts its commands."""

    def __init__(self, clock: Clock) -> None:
        self.memory = MemoryStorage(clock)
        self.trips = 0
        self.error: BaseException | None = None
        self.meanwhile: Callable[[], None] | None = None

    def execute(self, command: Any, /, timeout: float | None = None) -> Any:
        """Count and execute the command; the test may run a callback before the reply."""
        self.trips += 1
        if self.error is not None:
            raise self.error
        answer = self.memory.execute(command, timeout)
        concurrent_step, self.meanwhile = self.meanwhile, None
        if concurrent_step is not None:
            concurrent_step()
        return answer

    def post(self, command: Any) -> None:
        """Execute the posted command."""
        self.memory.post(command)


class AsyncCountingStore(CountingStore):
    """An asynchronous store that counts its commands."""

    async def execute(self, command: Any, /, timeout: float | None = None) -> Any:
        """Count and execute the command."""
        return super().execute(command, timeout)


class Process:
    """The rate limiter of one process, whose store is shared with other processes."""

    def __init__(self, clock: Clock, store: Any, *limits: RateLimitConfig, lease: int = 5) -> None:
        self._limiter = RateLimiter(
            *limits,
            storage=store,
            lease=lease,
            clock=clock,
            sleeper=clock,
            async_sleeper=AsyncSleeper(clock),
        )
        self._is_async = isinstance(store, (AsyncCountingStore, AsyncMemoryStorage))

    def acquire(self, cost: int = 1, **options: Any) -> None:
        """Acquire tokens, synchronously or asynchronously like the store."""
        if self._is_async:
            run(self._limiter.aacquire(cost, **options))
        else:
            self._limiter.acquire(cost, **options)

    def pause(self, delay: float) -> None:
        """Pause the limiter, synchronously or asynchronously like the store."""
        if self._is_async:
            run(self._limiter.apause(delay))
        else:
            self._limiter.pause(delay)


@pytest.fixture(params=[CountingStore, AsyncCountingStore])
def store(request: pytest.FixtureRequest) -> Any:
    """Return a store of sync and of async mode, with its own clock."""
    return request.param(Clock())


def clock_of(store: Any) -> Clock:
    """Return the clock that the store uses."""
    clock = store.memory._nanoseconds.__self__
    assert isinstance(clock, Clock)
    return clock


FAST = RateLimitConfig.per_second(10, burst=100)


def begin_fetch(leases: Leases, key: str | None = None) -> HeldTokens:
    """Begin to fetch a lease of rate-limit tokens, and return the lease."""
    held_key = leases.may_fetch(key, 1, 0)
    assert held_key is not None
    return held_key


def test_process_fetches_five_tokens_at_once(store: Any) -> None:
    """A process fetches five tokens at once, and the next four callers send no command."""
    process = Process(clock_of(store), store, FAST)
    for _ in range(20):
        process.acquire()
    assert store.trips == 4


def test_cost_is_taken_from_the_lease(store: Any) -> None:
    """A call takes its cost from leased tokens; if too few are left, they are dropped."""
    process = Process(clock_of(store), store, FAST)
    for _ in range(3):
        process.acquire(2)
    process.acquire(6)
    assert store.trips == 3


@pytest.mark.parametrize("lease", [2, 5, 10])
def test_no_more_than_stated_is_granted(store: Any, lease: int) -> None:
    """In each period, all processes together exceed the limit by less than their leases."""
    clock = clock_of(store)
    burst, rate, processes = 20, 10, 3
    limit = RateLimitConfig.per_second(rate, burst=burst)
    process_list = [Process(clock, store, limit, lease=lease) for _ in range(processes)]
    grant_times: list[float] = []
    start_time = clock.nanoseconds()
    for number in range(600):
        process_list[number % processes].acquire()
        grant_times.append((clock.nanoseconds() - start_time) / 1e9)
        if not number % 7:
            clock.advance(0.13)
    for first, last_grant in itertools.combinations(range(len(grant_times)), 2):
        span = grant_times[last_grant] - grant_times[first]
        maximum = burst + rate * span + processes * (lease - 1)
        assert last_grant - first + 1 <= maximum + 1e-6


def test_leases_reach_the_full_rate(store: Any) -> None:
    """With leases a steady caller still gets the full rate of the limit."""
    clock = clock_of(store)
    process = Process(clock, store, RateLimitConfig.per_second(10, burst=10))
    start_time = clock.nanoseconds()
    for _ in range(110):
        process.acquire()
    assert 10.0 <= (clock.nanoseconds() - start_time) / 1e9 <= 10.6


def test_caller_without_a_lease_waits_for_a_single_token(store: Any) -> None:
    """If no lease is available, a caller waits only for a single token."""
    clock = clock_of(store)
    process = Process(clock, store, RateLimitConfig.per_second(10, burst=5))
    for _ in range(5):
        process.acquire()
    trips_before = store.trips
    process.acquire()
    request = store.trips - trips_before
    process.acquire()
    assert (request, store.trips - trips_before - request) == (3, 2)


def test_unused_leases_expire(store: Any) -> None:
    """Leased tokens expire after the time in which the limit produces as many tokens."""
    clock = clock_of(store)
    process = Process(clock, store, FAST)
    process.acquire()
    clock.advance(0.5)
    process.acquire()
    assert store.trips == 2


def test_a_pause_ends_the_lease(store: Any) -> None:
    """After a pause, a process does not use the tokens that it leased before."""
    clock = clock_of(store)
    process = Process(clock, store, FAST)
    process.acquire()
    process.pause(3)
    process.acquire()
    assert clock.slept == [3.1]


@pytest.mark.parametrize("fetch_number", [1, 2])
def test_lease_granted_before_pause_and_received_after_it_is_not_used(fetch_number: int) -> None:
    """A lease granted before a pause and received after it is not used."""
    store = CountingStore(Clock())
    clock = clock_of(store)
    process = Process(clock, store, FAST)
    for _ in range(5 * (fetch_number - 1)):
        process.acquire()
    store.meanwhile = lambda: process.pause(3)
    process.acquire()
    process.acquire()
    assert clock.slept == [3.1]


def test_keys_have_separate_leases(store: Any) -> None:
    """Tokens that were leased for one key are not spent for another key."""
    process = Process(clock_of(store), store, FAST)
    for key in ("a", "b", None, "a", "b", None):
        process.acquire(key=key)
    assert store.trips == 3


def test_interrupted_fetch_of_a_lease_does_not_block_others(store: Any) -> None:
    """If a caller is interrupted while fetching a lease, others can still fetch one."""
    clock = clock_of(store)
    process = Process(clock, store, FAST)
    store.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        process.acquire()
    store.error = None
    clock.advance(0.5)
    for _ in range(5):
        process.acquire()
    assert store.trips == 2


def test_one_caller_of_a_process_fetches_a_lease_at_a_time() -> None:
    """While one caller fetches a lease, no other caller of the process fetches one."""
    leases = Leases([FAST], 5)
    held_key = begin_fetch(leases)
    assert leases.may_fetch(None, 1, 0) is None
    leases.store_lease(held_key, 1, 0, granted=True)
    assert [leases.spend(None, 1, 1) for _ in range(5)] == [True] * 4 + [False]
    assert leases.may_fetch(None, 1, 1)


def test_many_keys_do_not_pile_up() -> None:
    """Leases of keys that are no longer used are removed."""
    leases = Leases([FAST], 5)
    for number in range(10_500):
        leases.store_lease(begin_fetch(leases, str(number)), 1, 0, granted=True)
    assert len(leases._held) <= 10_000


def test_threads_share_a_lease_exactly() -> None:
    """Threads that share a lease use each token once."""
    leases = Leases([RateLimitConfig.per_second(1, burst=1_000)], 1_000)
    leases.store_lease(begin_fetch(leases), 1, 0, granted=True)
    spent_tokens: list[bool] = []

    def spend() -> None:
        for _ in range(500):
            spent_tokens.append(leases.spend(None, 1, 1))  # noqa: PERF401 - as they come

    threads = [threading.Thread(target=spend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert spent_tokens.count(True) == 999


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_has_no_lease() -> None:
    """A forked process does not spend its parent's lease."""
    leases = Leases([FAST], 5)
    leases.store_lease(begin_fetch(leases), 1, 0, granted=True)
    child = os.fork()
    if child == 0:
        os._exit(leases.spend(None, 1, 1))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert leases.spend(None, 1, 1)


def test_a_lease_must_fit_its_limit() -> None:
    """A lease above its limit's burst, or for a calendar quota, is refused."""
    with pytest.raises(InvalidData, match="more than the burst"):
        RateLimiter(RateLimitConfig.per_second(1, burst=3), lease=4)
    with pytest.raises(ConfigurationError, match="calendar") as excinfo:
        RateLimiter(RateLimitConfig.per_calendar_day(100), lease=4)
    assert excinfo.value.path == "lease"
    with pytest.raises(ConfigurationError):
        RateLimiter(FAST, lease=0)


def test_without_a_lease_nothing_changes(store: Any) -> None:
    """With a lease of one token, each token is requested from the store."""
    process = Process(clock_of(store), store, RateLimitConfig.per_second(1, burst=2), lease=1)
    process.acquire()
    process.acquire()
    with pytest.raises(RateLimitExceeded):
        process.acquire(timeout=0.5)
    assert store.trips == 3
