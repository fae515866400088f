"""If callers stop waiting for a rate limit in Redis, their slots go to other callers.

The tests judge by the times that the store granted, so a slow machine does not fail them.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Any, Final

import pytest

from moorage import RateLimitConfig, RateLimiter
from moorage.adapters.state.redis import AsyncRedisStorage, RedisStorage
from moorage.domain.idempotency.claims import Verdict
from moorage.domain.resilience.admission import Admission, Gates
from moorage.domain.resilience.gate_commands import GiveBack
from moorage.domain.values.durations import SECOND
from moorage.errors import InvalidData
from moorage.testing.kits._state_commands import new_key
from tests.adapters.in_flight import LIMIT, CustomRule, waits_of_the_next
from tests.adapters.redis_modes import MODES, Count, SyncStore
from tests.adapters.sqlite_harness import claim
from tests.integration.history_measurements import burst_of
from tests.support.redis_servers import PrivateRedis
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from moorage.domain.resilience.admission import Admitted
    from moorage.domain.state.commands import Command, Ticket

    Tickets = tuple[Ticket, ...]

RATE, BURST = 20, 5
CALLERS, LEAVERS, NEWCOMERS = 1_000, 900, 900
THREADS, LEAVING_THREADS = 200, 180
PATIENT = 30.0
HORIZON: Final = NEWCOMERS * SECOND // RATE
LIMITS: Final = RateLimitConfig.per_second(RATE, burst=BURST)


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateRedis]:
    """Yield a Redis server for this test alone."""
    with PrivateRedis() as start_redis:
        yield start_redis


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Return the mode of the store under test: synchronous or asynchronous."""
    return str(request.param)


def question() -> Admission:
    """Return a command that requests a token and returns the time of the grant."""
    gates = Gates(limits=[LIMITS.rule], limit_keys=[new_key()])
    return Admission(gates, within=100 * SECOND, lease=0, ticketed=True)


def granted_at(tickets: Tickets) -> int:
    """Return the store's time at which the tickets were granted, in microseconds."""
    return int(tickets[0][1])


def require_use(staying: Sequence[Tickets], newcomers: Sequence[Admitted]) -> None:
    """Check that new callers get 90 % of the limit at first, and never exceed the limit."""
    start_time = granted_at(newcomers[0][3]) - newcomers[0][1]
    times = [
        granted_at(tickets) for tickets in (*staying, *(newcomer[3] for newcomer in newcomers))
    ]
    used_slots = sum(start_time <= time < start_time + HORIZON for time in times)
    assert used_slots >= 0.9 * RATE * HORIZON / SECOND
    assert burst_of([(1_000 * time, 1_000 * time) for time in times], RATE) <= BURST


ORDERS: Final[dict[str, Callable[[list[int]], list[int]]]] = {
    "in order of arrival": lambda places: places[:LEAVERS],
    "in reverse": lambda places: places[: -LEAVERS - 1 : -1],
    "at random": lambda places: Random(1).sample(places, LEAVERS),
}


@pytest.mark.untraced
@pytest.mark.parametrize("order", ORDERS)
def test_abandoned_queue_is_granted_again(order: str, mode: str, server: PrivateRedis) -> None:
    """If 900 of 1,000 callers leave the queue, later callers get their slots."""
    command = question()
    with SyncStore(mode, server.url, timeout=PATIENT) as store:
        queue = [store.execute(command)[3] for _ in range(CALLERS)]
        leaving_places = ORDERS[order](list(range(CALLERS)))
        for place in leaving_places:
            store.execute(GiveBack(command.gates, queue[place]))
        staying_callers = [
            queue[place] for place in sorted(set(range(CALLERS)) - set(leaving_places))
        ]

        answers = [store.execute(command) for _ in range(NEWCOMERS)]

    assert answers[0][1] <= (len(staying_callers) + 1) * SECOND // RATE
    require_use(staying_callers, answers)


class RecordingStore:
    """A store that records which tickets it granted and which tickets were returned."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.durable = store.durable
        self.answers: list[Any] = []
        self.returned: list[Tickets] = []

    def record_grant(self, command: Command[Any], answer: Any) -> Any:
        """Record the tickets that a grant contains."""
        if isinstance(command, Admission):
            self.answers.append(answer)
        return answer

    def post(self, command: Command[Any]) -> None:
        """Record the tickets that a caller gives back."""
        if isinstance(command, GiveBack):
            self.returned.append(command.tickets)
        self._store.post(command)

    def waiting_grants(self) -> list[Tickets]:
        """Return the grants of callers that are still waiting."""
        return [
            answer[3] for answer in self.answers if answer[3] and answer[3] not in self.returned
        ]


class SyncRecordingStore(RecordingStore):
    """A synchronous store that records granted and returned tickets."""

    def execute(self, command: Command[Any], timeout: float | None = None) -> Any:
        """Run one command on its states, and return its result."""
        return self.record_grant(command, self._store.execute(command, timeout))


class AsyncRecordingStore(RecordingStore):
    """An asynchronous store that records granted and returned tickets."""

    async def execute(self, command: Command[Any], timeout: float | None = None) -> Any:
        """Run one command on its states, and return its result."""
        return self.record_grant(command, await self._store.execute(command, timeout))


class BlockingSleeper:
    """A sleeper that sleeps until its caller is cancelled or stops waiting."""

    def __init__(self) -> None:
        self.leaving: set[int] = set()
        self.asleep = 0
        self._turn = threading.Condition()

    def sleep(self, seconds: float) -> None:
        """Block the thread until it stops waiting."""
        with self._turn:
            self.asleep += 1
            self._turn.wait_for(lambda: threading.get_ident() in self.leaving)
        raise GaveUpError

    def give_up(self, threads: Sequence[threading.Thread]) -> None:
        """Make these threads stop waiting."""
        with self._turn:
            self.leaving |= {thread.ident or 0 for thread in threads}
            self._turn.notify_all()


class AsyncEndlessSleeper:
    """A sleeper that sleeps until its task is cancelled."""

    def __init__(self) -> None:
        self.asleep = 0

    async def sleep(self, seconds: float) -> None:
        """Sleep until the task is cancelled."""
        self.asleep += 1
        await asyncio.get_running_loop().create_future()


class GaveUpError(Exception):
    """The exception that makes a thread stop waiting."""


def test_remaining_tasks_get_the_whole_limit_after_mass_cancellation(server: PrivateRedis) -> None:
    """If 900 of 1,000 waiting tasks are cancelled, the remaining tasks get the whole limit."""

    async def execute_many() -> tuple[list[Tickets], list[Admitted], int]:
        async with AsyncRedisStorage(server.url, timeout=PATIENT) as redis:
            generator, store, sleeper = Random(3), AsyncRecordingStore(redis), AsyncEndlessSleeper()
            limiter = RateLimiter(LIMITS, name=new_key(), storage=store, async_sleeper=sleeper)
            await redis.housekeep()  # the store is connected from here on
            tasks = [asyncio.ensure_future(limiter.aacquire()) for _ in range(CALLERS)]
            for _ in range(3):
                await asyncio.sleep(0)
            early_tasks = tasks[: LEAVERS // 2]
            for task in early_tasks:
                task.cancel()
            await asyncio.wait(early_tasks)
            while sum(task.done() for task in tasks) + sleeper.asleep < CALLERS:  # noqa: ASYNC110 - each goes on by itself
                await asyncio.sleep(0)
            late_tasks = generator.sample([task for task in tasks if not task.done()], LEAVERS // 2)
            for task in late_tasks:
                task.cancel()
            await asyncio.wait(late_tasks)
            staying_tasks = sum(not task.done() for task in tasks)
            queue = store.waiting_grants()

            store.answers = []
            for _ in range(NEWCOMERS):
                await limiter.areserve()
            newcomers = store.answers[:]
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        return queue, newcomers, staying_tasks

    queue, newcomers, staying_tasks = asyncio.run(execute_many())
    assert staying_tasks == len(queue)
    assert newcomers[0][1] <= (staying_tasks + 1) * SECOND // RATE
    require_use(queue, newcomers)


def test_remaining_threads_get_the_whole_limit_if_most_give_up(server: PrivateRedis) -> None:
    """If 180 of 200 waiting threads stop waiting, the remaining threads get the whole limit."""
    with RedisStorage(server.url, timeout=PATIENT) as redis:
        store, sleeper = SyncRecordingStore(redis), BlockingSleeper()
        limiter = RateLimiter(LIMITS, name=new_key(), storage=store, sleeper=sleeper)

        def wait_in_line() -> None:
            with suppress(GaveUpError):
                limiter.acquire()

        threads = [threading.Thread(target=wait_in_line) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        wait_until(
            lambda: (
                sleeper.asleep == sum(thread.is_alive() for thread in threads)
                and len(store.answers) == THREADS
            ),
            "waiting in line",
        )
        alive_threads = [thread for thread in threads if thread.is_alive()]
        leaving_threads = Random(4).sample(alive_threads, LEAVING_THREADS)
        sleeper.give_up(leaving_threads)
        for thread in leaving_threads:
            thread.join()
        queue = store.waiting_grants()

        store.answers = []
        for _ in range(NEWCOMERS):
            limiter.reserve()
        newcomers = store.answers[:]
        sleeper.give_up(threads)
        for thread in threads:
            thread.join()

    assert len(alive_threads) - LEAVING_THREADS == len(queue)
    assert newcomers[0][1] <= (len(queue) + 1) * SECOND // RATE
    require_use(queue, newcomers)


# --- rules that the script does not know -----------------------------------------


def test_cancelled_grant_of_a_custom_rule_is_given_back(
    server: PrivateRedis,
) -> None:
    """A token that a custom rule granted to a cancelled caller is given back."""

    async def waits_of_cancelled() -> list[int]:
        async with AsyncRedisStorage(server.url, timeout=PATIENT) as store:
            custom_rule: Any = CustomRule(LIMIT.rule)
            return await waits_of_the_next(store, range(16), custom_rule)

    waits_seen = asyncio.run(waits_of_cancelled())
    assert len(waits_seen) > 2
    assert max(waits_seen) <= SECOND


class FailingCount(Count):
    """A command that raises when it is applied."""

    def apply(self, states: Any, now: int) -> Any:
        """Raise an error."""
        raise InvalidData("this command is wrong.")


def test_failing_command_of_a_cancelled_caller_disturbs_no_other_caller(
    server: PrivateRedis,
) -> None:
    """If a cancelled caller's command fails, the store still serves other callers."""

    async def count_cancelled() -> int:
        async with AsyncRedisStorage(server.url, timeout=PATIENT) as store:
            await store.housekeep()
            cancelled_tasks = 0
            for turns in range(16):
                task = asyncio.ensure_future(store.execute(FailingCount(new_key())))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                cancelled_tasks += task.cancelled()
            assert cancelled_tasks > 2
            return await store.execute(Count(new_key()))

    assert 1 == asyncio.run(count_cancelled())


def test_cancelled_claim_gives_nothing_back(server: PrivateRedis) -> None:
    """If the caller of a claim is cancelled, the claim stays until it is withdrawn or expires."""

    async def verdicts_of_claims() -> set[Verdict]:
        async with AsyncRedisStorage(server.url, timeout=PATIENT) as store:
            await store.housekeep()
            verdicts = set[Verdict]()
            for turns in range(8):
                key = new_key()
                task = asyncio.ensure_future(store.execute(claim(key)))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                verdicts.add((await store.execute(claim(key))).verdict)
        return verdicts

    # The claim belongs to the same owner, whether the first attempt arrived or not.
    assert {Verdict.RUN} == asyncio.run(verdicts_of_claims())
