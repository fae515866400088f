"""Many callers of a Redis store: threads, tasks, event loops and forks."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import threading
from typing import TYPE_CHECKING, Any

import pytest
import redis

from moorage import (
    AsyncConnectorManager,
    CircuitState,
    ConnectorManager,
    RateLimitConfig,
    RateLimitWaited,
    RetryBudget,
    Service,
    StorageUnavailable,
)
from moorage.adapters.state.redis import AsyncRedisStorage, RedisStorage
from moorage.domain.resilience.admission import Admission, Answer, Gates
from moorage.domain.resilience.circuit import CircuitBreakerConfig, CircuitRule
from moorage.domain.resilience.gate_commands import SetCircuit
from moorage.domain.values.durations import SECOND
from moorage.testing.kits._state_commands import new_key, read_command
from tests.adapters.redis_modes import MODES, Count, SyncStore
from tests.support.redis_servers import PrivateRedis, Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moorage.domain.state.commands import Command

PATIENT = 30.0
MANY_CALLS = 10_000


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateRedis]:
    """Start a Redis server for one test, in which the test can count requests."""
    with PrivateRedis() as start_redis:
        yield start_redis


@pytest.fixture
def calls(server: PrivateRedis) -> Iterator[Callable[[], int]]:
    """Return a function that counts the script calls to the server since it was last called."""
    client = redis.Redis(port=server.port)

    def calls_since_reset() -> int:
        fields: dict[str, Any] = client.info("commandstats")
        client.config_resetstat()
        call_count = sum(
            stat["calls"]
            for name, stat in fields.items()
            if name.startswith(("cmdstat_eval", "cmdstat_script", "cmdstat_multi"))
        )
        return int(call_count)

    calls_since_reset()
    yield calls_since_reset
    client.close()


def one_token(key: str, burst: int = 1_000_000) -> Admission:
    """Return a command that requests one token of a bucket that hardly refills."""
    gates = Gates(limits=[RateLimitConfig(100, burst=burst).rule], limit_keys=[key])
    return Admission(gates, within=0, lease=1)


# --- round trips -------------------------------------------------------------------


def limited_service(name: str, **options: Any) -> Service:
    """Return a service with a circuit, a rate limit, retries and a retry budget."""
    return Service(
        name,
        limits=RateLimitConfig.per_second(1_000, burst=1_000),
        retry_budget=RetryBudget(),
        **options,
    )


def test_a_good_call_is_one_round_trip(server: PrivateRedis, calls: Callable[[], int]) -> None:
    """A call with limit, circuit, retry and budget makes one round trip to Redis."""
    with (
        RedisStorage(server.url, timeout=PATIENT) as store,
        ConnectorManager([limited_service("erp")], state=store) as manager,
    ):
        manager.run("erp", lambda: 1)
        calls()
        for _ in range(10):
            manager.run("erp", lambda: 1)
    assert 10 == calls()


def test_asynchronous_call_makes_one_round_trip_to_redis(
    server: PrivateRedis, calls: Callable[[], int]
) -> None:
    """An asynchronous call makes one round trip to Redis."""

    async def run_function() -> int:
        return 1

    async def make_ten_calls() -> None:
        async with AsyncRedisStorage(server.url, timeout=PATIENT) as store:
            manager = AsyncConnectorManager([limited_service("aerp")], state=store)
            await manager.run("aerp", run_function)
            calls()
            for _ in range(10):
                await manager.run("aerp", run_function)
            await manager.close()

    asyncio.run(make_ten_calls())
    assert 10 == calls()


def test_a_call_with_a_key_is_three_round_trips(
    server: PrivateRedis, calls: Callable[[], int]
) -> None:
    """A call with an idempotency key makes three round trips to Redis."""
    with (
        RedisStorage(server.url, timeout=PATIENT) as store,
        ConnectorManager([limited_service("keyed")], state=store) as manager,
    ):
        manager.run("keyed", lambda: 1, idempotency_key="warm", payload=b"")
        calls()
        manager.run("keyed", lambda: 1, idempotency_key="cold", payload=b"")
    assert 3 == calls()


def test_call_that_waits_for_rate_limit_makes_one_more_round_trip_to_redis(
    server: PrivateRedis, calls: Callable[[], int]
) -> None:
    """A call that waits for a rate limit needs one more round trip to Redis."""
    slow_service = Service("slow", limits=RateLimitConfig.per_second(50, burst=1))
    reports: list[object] = []
    with (
        RedisStorage(server.url, timeout=PATIENT) as store,
        ConnectorManager([slow_service], state=store, observers=[reports.append]) as manager,
    ):
        manager.run("slow", lambda: 1)
        calls()
        manager.run("slow", lambda: 1)
    wait_count = sum(isinstance(event, RateLimitWaited) for event in reports)
    assert 1 + wait_count == calls()


def test_callers_of_a_loop_share_round_trips(
    server: PrivateRedis, calls: Callable[[], int]
) -> None:
    """Fifty concurrent callers need at most one round trip to Redis for every ten commands."""

    async def call_fifty_times() -> int:
        async with AsyncRedisStorage(server.url, timeout=PATIENT) as store:
            first, second, key = one_token(new_key()), one_token(new_key()), new_key()
            await store.execute(first)
            calls()

            async def caller(number: int) -> None:
                for _ in range(20):
                    command: Any = (first, second, first, Count(key))[number % 4]
                    await store.execute(command)

            await asyncio.gather(*map(caller, range(50)))
            assert 50 * 20 / 10 >= calls()
            states: Any
            _, states = await store.execute(read_command(*first.keys, *second.keys, key))
            rule: Any = first.gates.limits[0]
            taken_counts = [(rule.room - state[3]) // rule.price for state in states[:2]]
            assert taken_counts[0] <= 501
            assert taken_counts[1] <= 260
            return int(states[2][2])

    assert 240 == asyncio.run(call_fifty_times())


# --- tasks --------------------------------------------------------------------------


def test_ten_thousand_tasks_are_all_answered(server: PrivateRedis) -> None:
    """Ten thousand concurrent tasks are served in order, and no token is granted twice."""

    async def execute_many() -> list[Any]:
        async with AsyncRedisStorage(server.url, timeout=PATIENT) as store:
            command = one_token(new_key(), burst=MANY_CALLS // 2)
            return await asyncio.gather(*(store.execute(command) for _ in range(MANY_CALLS)))

    answers = [answer for answer, *_ in asyncio.run(execute_many())]
    granted_calls = answers.count(Answer.GO)
    assert MANY_CALLS // 2 <= granted_calls < MANY_CALLS
    assert MANY_CALLS - granted_calls == answers.count(Answer.LIMITED)


def test_replies_are_not_mixed_up_after_a_cancellation(server: PrivateRedis) -> None:
    """After a task is cancelled, every other caller gets the reply to its own command."""

    async def mix_cancellations() -> None:
        generator = random.Random(5)
        async with AsyncRedisStorage(server.url, timeout=PATIENT) as store:
            keys = [new_key() for _ in range(20)]
            for number, key in enumerate(keys):
                await store.execute(Count(key))
                task = asyncio.ensure_future(store.execute(Count(key)))
                for _ in range(generator.randrange(12)):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                final_count = await store.execute(Count(key))
                assert 2 <= final_count <= 3, number

    asyncio.run(mix_cancellations())


def test_grant_of_a_task_cancelled_in_flight_is_given_back(server: PrivateRedis) -> None:
    """A caller cancelled while it requests a rate limit token gives the token back."""
    limit = RateLimitConfig.per_second(1)

    async def next_waits() -> list[int]:
        noted_waits: list[int] = []
        async with AsyncRedisStorage(server.url, timeout=PATIENT) as store:
            for turns in range(12):
                gates = Gates(limits=[limit.rule], limit_keys=[new_key()])
                question = Admission(gates, within=10 * SECOND, lease=1)
                await store.execute(question)
                task = asyncio.ensure_future(store.execute(question))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                # The reply to this command comes after the reply to the cancelled command.
                await store.execute(Count(new_key()))
                wait = (await store.execute(question))[1]
                if task.cancelled():
                    noted_waits.append(wait)
        return noted_waits

    waiting_numbers = asyncio.run(next_waits())
    assert len(waiting_numbers) > 2
    assert max(waiting_numbers) <= SECOND


def test_a_loop_that_ends_in_the_middle_leaves_the_store_whole(server: PrivateRedis) -> None:
    """If an event loop ends while its tasks run commands, the store works in the next loop."""
    store = AsyncRedisStorage(server.url, timeout=PATIENT)
    command, count = one_token(new_key()), Count(new_key())

    async def end_loop_early() -> None:
        await store.execute(command)
        for item in (command, count):
            asyncio.ensure_future(store.execute(item))  # noqa: RUF006 - it is to be forgotten
        store.post(command)
        store.post(count)
        await asyncio.sleep(0)

    for _ in range(5):
        asyncio.run(end_loop_early())
    answers = asyncio.run(store.execute(command))
    assert Answer.GO is answers[0]
    asyncio.run(store.aclose())
    gc.collect()


def test_loops_of_several_threads_use_one_store(server: PrivateRedis) -> None:
    """Event loops in several threads share a store, each with its own connections."""
    store = AsyncRedisStorage(server.url, timeout=PATIENT)
    count, seen_counts = Count(new_key()), []

    async def execute_some() -> None:
        seen_counts.extend([await store.execute(count) for _ in range(20)])

    threads = [threading.Thread(target=asyncio.run, args=(execute_some(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(range(1, 61)) == sorted(seen_counts)


def test_posts_without_a_loop_are_kept(server: PrivateRedis) -> None:
    """Commands posted outside an event loop are executed in the next loop."""
    store = AsyncRedisStorage(server.url, timeout=PATIENT)
    command, count = one_token(new_key()), Count(new_key())
    store.post(command)
    store.post(count)

    async def observe() -> Any:
        await store.execute(one_token(new_key()))
        await store.housekeep()
        await store.aclose()

    asyncio.run(observe())
    with RedisStorage(server.url, timeout=PATIENT) as plain_storage:
        _, (state, kept_count) = plain_storage.execute(read_command(*command.keys, *count.keys))
    assert state is not None
    assert 1 == (kept_count or (0, 0, 0))[2]


# --- threads and processes -----------------------------------------------------------


def test_threads_that_share_store_have_their_own_connections(server: PrivateRedis) -> None:
    """Threads that share a store have their own connections, and get only their own replies."""
    with RedisStorage(server.url, timeout=PATIENT) as store:
        command, count, answers = one_token(new_key(), burst=100), Count(new_key()), []

        def execute_some() -> None:
            for _ in range(50):
                answers.append(store.execute(command)[0])
                store.execute(count)

        threads = [threading.Thread(target=execute_some) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 201 == store.execute(count)
    assert 100 <= answers.count(Answer.GO)


def test_two_processes_decide_alike_over_one_circuit(mode: str, server: PrivateRedis) -> None:
    """If one store changes a circuit's state, another store on the server shows the new state."""
    rule, key = CircuitRule(CircuitBreakerConfig()), new_key()
    asking_admission = Admission(Gates(circuit=rule, circuit_key=key), within=0, lease=1)
    with (
        SyncStore(mode, server.url, timeout=PATIENT) as value,
        SyncStore(mode, server.url, timeout=PATIENT) as second_store,
    ):
        value.execute(SetCircuit(rule, key, CircuitState.FORCED_OPEN))
        assert Answer.CIRCUIT_OPEN is second_store.execute(asking_admission)[0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_forked_child_has_its_own_connections(mode: str, server: PrivateRedis) -> None:
    """A forked child has its own connections, so it never reads its parent's replies."""
    with SyncStore(mode, server.url, timeout=PATIENT) as store:
        count = Count(new_key())
        store.execute(count)
        child = os.fork()
        if child == 0:  # pragma: no cover - in a process of its own
            done_count = 1
            try:
                with SyncStore(mode, server.url, timeout=PATIENT) as own_store:
                    own_store.store = store.store
                    for _ in range(20):
                        own_store.execute(count)
                done_count = 0
            finally:
                os._exit(done_count)
        for _ in range(20):
            store.execute(count)
        assert (child, 0) == os.waitpid(child, 0)
        assert 42 == store.execute(count)


# --- concurrent writers --------------------------------------------------------------


class RacingCount(Count):
    """A command during which another writer changes its state a given number of times."""

    def __init__(self, key: str, url: str, times: int) -> None:
        super().__init__(key)
        self._url = url
        self._times = times

    def apply(self, states: Any, now: int) -> Any:
        """Apply the command, after another writer if the test wants that."""
        if self._times:
            self._times -= 1
            with RedisStorage(self._url, timeout=PATIENT) as other_storage:
                other_storage.execute(Count(self.keys[0]))
        return super().apply(states, now)


def test_overtaken_command_decides_again(mode: str, server: PrivateRedis) -> None:
    """A command whose state was changed concurrently runs again and overwrites nothing."""
    with SyncStore(mode, server.url, timeout=PATIENT) as store:
        assert 4 == store.execute(RacingCount(new_key(), server.url, 3))


def test_endlessly_overtaken_command_gives_up(mode: str, server: PrivateRedis) -> None:
    """If a command's state is changed at each attempt, it raises an error at its timeout."""
    message = "did not answer in time"
    for timeout in (0.05, 0.5, 5):  # on a busy machine a short timeout may pass before any reply
        if "did not answer in time" in message:
            with SyncStore(mode, server.url, timeout=timeout) as store:
                with pytest.raises(StorageUnavailable) as excinfo:
                    store.execute(RacingCount(new_key(), server.url, 10**9))
                message = str(excinfo.value)
                store.post(RacingCount(new_key(), server.url, 10**9))
    assert "kept changing" in message


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Return the mode of the store under test: synchronous or asynchronous."""
    return str(request.param)


def test_lost_post_is_repeated_only_if_idempotent(server: PrivateRedis) -> None:
    """A posted command that is lost in transit is sent again only if it may be repeated."""

    async def post_through_proxy() -> int:
        with Proxy(server.port) as proxy:
            store = AsyncRedisStorage(proxy.url, timeout=PATIENT)
            key, repeatable_key = new_key(), new_key()
            await store.execute(Count(key))
            proxy.cuts = 1
            posted_commands: list[Command[Any]] = [
                one_token(new_key()),
                Count(repeatable_key, once=False),
            ]
            for item in posted_commands:
                store.post(item)
            await asyncio.sleep(0.1)
            final_count = await store.execute(Count(key))
            await store.aclose()
            return final_count

    assert 2 == asyncio.run(post_through_proxy())
