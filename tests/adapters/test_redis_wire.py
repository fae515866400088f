"""The encoding of commands for the Redis script, and commands that run in Python."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
import redis

from moorage import RateLimitConfig, StorageUnavailable
from moorage.adapters.state import _redis_wire as wire
from moorage.adapters.state._redis_server import RedisServer
from moorage.adapters.state.redis import AsyncRedisStorage, RedisStorage
from moorage.domain.idempotency.claims import Claim, Withdraw, store_answer
from moorage.domain.resilience.admission import Admission, Answer, Gates
from moorage.domain.resilience.bucket import TokenBucket
from moorage.domain.resilience.circuit import CircuitBreakerConfig, CircuitRule, Outcome
from moorage.domain.resilience.gate_commands import GiveBack, Report
from moorage.domain.state.codec import pack
from moorage.errors import ConfigurationError
from moorage.testing.kits._state_commands import new_key, read_command
from tests.adapters.redis_modes import Count
from tests.support.redis_servers import PrivateRedis
from tests.support.servers import redis_url

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENT = 10.0


@pytest.fixture
def store() -> Iterator[RedisStorage]:
    """Return a store in the Redis server of this machine."""
    with RedisStorage(redis_url(), timeout=PATIENT) as opened_storage:
        yield opened_storage


def new_admission(*rules: Any) -> Admission:
    """Return a command that requests one token of a limit."""
    limits = rules or (RateLimitConfig(1, burst=5).rule,)
    return Admission(Gates(limits=limits, limit_keys=[new_key()]), within=0, lease=1)


class CustomLimit:
    """A custom limit that works like a token bucket; the script does not know its class."""

    def __init__(self) -> None:
        self._rule = TokenBucket(1, 1_000_000, 2)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rule, name)


def test_rule_of_unknown_class_runs_in_python(store: RedisStorage) -> None:
    """A rule of an unknown class runs in Python, and its state is stored in Redis."""
    command = new_admission(CustomLimit())
    answers = [store.execute(command)[0] for _ in range(3)]
    assert [Answer.GO, Answer.GO, Answer.LIMITED] == answers


def test_subclass_of_admission_runs_its_own_apply_in_python(store: RedisStorage) -> None:
    """A subclass of Admission runs its own `apply` in Python."""

    class UnsentAdmission(Admission):
        __slots__ = ()

        def apply(self, states: Any, now: int) -> Any:
            return states, (Answer.LIMITED, 1, None, ())

    command = new_admission()
    command.__class__ = UnsentAdmission  # an admission itself uses a shorter timeout
    assert Answer.LIMITED is store.execute(command)[0]


def test_a_wrong_number_of_tickets_is_the_callers_error(store: RedisStorage) -> None:
    """A command whose arguments do not fit its rules raises an error, and is not sent."""
    gates = Gates(limits=[RateLimitConfig(1).rule], limit_keys=[new_key()])
    with pytest.raises(ValueError, match="argument 3 is shorter"):
        store.execute(GiveBack(gates, ()))


def test_cache_of_encoded_commands_is_bounded(
    store: RedisStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache of encoded commands is bounded, and results stay correct beyond its size."""
    monkeypatch.setattr(wire, "_CACHE_SIZE", 2)
    commands = [new_admission() for _ in range(5)]
    for command in (*commands, *commands):
        assert Answer.GO is store.execute(command)[0]
    for _ in range(3):
        gates = Gates(circuit=CircuitRule(CircuitBreakerConfig()), circuit_key=new_key())
        report = Report(gates, (0, 1, 0), Outcome.FAILED, "one")
        assert store.execute(report) is None
    script_calls: Any = vars(store)["_script_calls"]
    memo_tables = [vars(script_calls)[name] for name in ("_admissions", "_gates", "_circuits")]
    assert 2 >= max(map(len, memo_tables))


def test_damaged_answer_is_reported(store: RedisStorage) -> None:
    """A damaged stored result raises an error instead of being returned for a repeated key."""
    key = new_key()
    claim = Claim(key, fingerprint=b"", owner=1, lease=10**7, ttl=10**9, target="", remembered=0)
    store.execute(store_answer(key, store.execute(claim).fence, "answer", ttl=10**9))
    with redis.Redis.from_url(redis_url()) as client:
        stored_bytes: Any = client.get(f"moorage:{key}")
        client.set(f"moorage:{key}", stored_bytes[:-3])
    with pytest.raises(StorageUnavailable, match="has a value that moorage did not"):
        store.execute(claim)


def test_record_with_unknown_layout_is_refused(store: RedisStorage) -> None:
    """A circuit record with an unknown layout raises StorageUnavailable."""
    gates = Gates(circuit=CircuitRule(CircuitBreakerConfig()), circuit_key=new_key())
    with redis.Redis.from_url(redis_url()) as client:
        client.set(
            f"moorage:{gates.circuit_key}", pack((1, 2**52, 0, 3, 4, 5, 6, ("odd",))), px=9999
        )
    with pytest.raises(StorageUnavailable, match="has a value that moorage did not"):
        store.execute(Report(gates, (3, 1, 0), Outcome.FAILED, "one"))


def test_an_old_server_is_refused() -> None:
    """A Redis server older than the supported versions is refused."""
    server = RedisServer("redis://host", is_async=False, timeout=1, ca=None, may_evict=False)
    with pytest.raises(ConfigurationError, match=r"has version 5\.0"):
        server.check(b"# Server\r\nredis_version:5.0.14\r\nmaxmemory:0\r\n")
    assert not server.checked
    server.check({"redis_version": "8.2.1", "maxmemory": 0})
    assert server.checked


def test_posts_during_an_outage_are_kept() -> None:
    """Commands posted while Redis is down are executed when it is back, before the next command."""

    async def posting() -> Any:
        command, other_admission = new_admission(), new_admission()
        with PrivateRedis() as server:
            store = AsyncRedisStorage(server.url, timeout=PATIENT)
            await store.execute(new_admission())
            server.kill()
            store.post(command)
            store.post(Count(new_key()))
            with pytest.raises(StorageUnavailable):
                await store.execute(Count(new_key()))
            server.start()
            await store.execute(new_admission())
            await asyncio.to_thread(store.post, other_admission)
            await store.aclose()
            with RedisStorage(server.url, timeout=PATIENT) as plain_storage:
                return plain_storage.execute(read_command(*command.keys, *other_admission.keys))[1]

    assert None not in asyncio.run(posting())


def test_posted_command_that_could_not_be_sent_is_repeated() -> None:
    """A posted command that could not be sent is repeated; one that Redis refused is not."""
    with PrivateRedis() as server, RedisStorage(server.url, timeout=PATIENT) as store:
        commands = [new_admission(), new_admission()]
        store.execute(new_admission())
        server.kill()
        for command in commands:
            store.post(command)
        with pytest.raises(StorageUnavailable):
            store.execute(new_admission())
        server.start()
        store.execute(new_admission())
        _, states = store.execute(read_command(*commands[0].keys, *commands[1].keys))
        with redis.Redis.from_url(server.url) as client:
            client.config_set("maxmemory", 1)
            store.post(new_admission())
            client.config_set("maxmemory", 0)
        assert Answer.GO is store.execute(new_admission())[0]
    assert None not in states


def test_interrupted_sending_keeps_posts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Posted commands are not lost if sending them is interrupted."""
    with RedisStorage(redis_url(), timeout=PATIENT) as store:
        command = new_admission()

        def be_interrupted(*_: object) -> Any:
            raise KeyboardInterrupt

        pool: Any = vars(store)["_pool"]
        with monkeypatch.context() as patch:
            patch.setattr(pool, "run_batch", be_interrupted)
            with pytest.raises(KeyboardInterrupt):
                store.post(Withdraw(new_key(), 1, ttl=1))
        assert 0 == len(vars(store)["_posted"])
        assert Answer.GO is store.execute(command)[0]


def test_nested_commands_do_not_deadlock(store: RedisStorage) -> None:
    """A command that uses the store while the store applies it causes no deadlock."""

    class NestedCount(Count):
        def apply(self, states: Any, now: int) -> Any:
            request = threading.Thread(target=inner_store.execute, args=(Count(new_key()),))
            request.start()
            request.join()
            return super().apply(states, now)

    inner_store = RedisStorage(redis_url(), timeout=PATIENT)
    vars(inner_store)["_swapping"], vars(inner_store)["_timeout"] = vars(store)["_swapping"], 0.01
    with inner_store:
        assert 1 == store.execute(NestedCount(new_key()))
