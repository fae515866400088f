"""The Redis store of shared state passes the conformance kit.

Its Lua script matches the Python model.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.state._redis_wire import SCRIPT
from moorage.adapters.state.redis import AsyncRedisStorage, RedisStorage
from moorage.domain.resilience.admission import Admission, Answer, Gates
from moorage.domain.resilience.budget import BudgetRule, RetryBudget
from moorage.domain.resilience.circuit import CircuitBreakerConfig, CircuitRule
from moorage.domain.resilience.gate_commands import Confirm
from moorage.domain.resilience.rate_limit import RateLimitConfig
from moorage.domain.state.codec import pack
from moorage.domain.values.durations import SECOND
from moorage.testing import state_conformance as kit
from moorage.testing.kits.checks import name_of
from tests.adapters.redis_twin import NOON, QueueWalk, Redis, compare
from tests.support.servers import redis_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENT = 10.0
"""Seconds that a busy machine may take."""
CASES = int(os.environ.get("MOORAGE_TEST_REDIS_CASES", "3000"))


@pytest.fixture(scope="module")
def url() -> str:
    """Return the URL of the Redis server for tests."""
    return redis_url()


@pytest.fixture(scope="module")
def script(url: str) -> Iterator[Redis]:
    """Yield a Redis server that runs the script on its own states."""
    server = Redis()
    yield server
    server.close()


# --- conformance -----------------------------------------------------------------


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_redis_storage_passes_conformance_kit(check: kit.Check, url: str) -> None:
    """RedisStorage passes the conformance kit."""
    with RedisStorage(url, timeout=PATIENT) as store:
        check(lambda: store)


@pytest.mark.parametrize("check", kit.TIMED_CHECKS, ids=name_of)
def test_store_passes_the_timed_conformance_checks(check: kit.TimedCheck, url: str) -> None:
    """RedisStorage passes the conformance checks that let time pass."""
    with RedisStorage(url, timeout=PATIENT) as store:
        check(lambda: (store, time.sleep))


@pytest.mark.untraced
@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_async_redis_storage_passes_conformance_kit(check: kit.AsyncCheck, url: str) -> None:
    """AsyncRedisStorage passes the conformance kit."""
    asyncio.run(check(lambda: AsyncRedisStorage(url, timeout=PATIENT)))


@pytest.mark.parametrize("check", kit.ASYNC_TIMED_CHECKS, ids=name_of)
def test_async_store_passes_the_timed_conformance_checks(
    check: Callable[..., Any], url: str
) -> None:
    """AsyncRedisStorage passes the conformance checks that let time pass."""
    asyncio.run(check(lambda: (AsyncRedisStorage(url, timeout=PATIENT), time.sleep)))


# --- the script compared with the model -------------------------------------------


@pytest.mark.parametrize("part", range(10))
def test_the_script_decides_as_the_model(script: Redis, part: int) -> None:
    """The Redis script returns and stores exactly what the Python model does."""
    compared_cases, seed = 0, part * 1_000_000
    while compared_cases < CASES // 10:
        compared_cases += sum(compare(script, seed, 60).values())
        seed += 1


@pytest.mark.untraced
@pytest.mark.parametrize("part", range(4))
def test_the_script_keeps_a_queue_as_the_model(script: Redis, part: int) -> None:
    """The Redis script serves queued callers in the same order as the Python model."""
    compared_cases, seed = 0, part * 1_000_000
    while compared_cases < CASES // 4:
        compared_cases += sum(compare(script, seed, 120, QueueWalk).values())
        seed += 1


def test_waiting_and_refused_callers_need_the_scripts_first_half_only() -> None:
    """Unless a caller leaves a queue, no command needs the expensive half of the script."""
    rules = b"local function everything()\n"
    assert 1 == SCRIPT.count(rules)
    server = Redis(SCRIPT.replace(rules, rules + b"  error('the full rules')\n"))
    gates = Gates(
        circuit=CircuitRule(CircuitBreakerConfig()),
        circuit_key="circuit",
        limits=[RateLimitConfig.per_second(10, burst=2).rule],
        limit_keys=["limit"],
        budget=BudgetRule(RetryBudget()),
        budget_key="budget",
    )
    now, patience = NOON, SECOND // 2
    states, _ = Admission(gates, within=0, lease=SECOND).decide((None, None, None), now)
    stored_keys = {
        key: pack(state)
        for key, state in zip(Admission(gates, within=0, lease=SECOND).keys, states, strict=True)
        if state is not None
    }
    answers: list[Any] = []
    try:
        for wait in (0, patience, patience, patience, 0, patience, patience, patience):
            command = Admission(gates, within=wait, lease=SECOND)
            answer, changes = server.run(command, stored_keys, now)
            stored_keys |= changes
            answers.append(answer[:2])
            if answer[3]:
                confirmation = Confirm(gates, answer[3], answer[2])
                confirmed, unchanged = server.run(confirmation, stored_keys, now + answer[1])
                assert (Answer.GO, 0) == confirmed
                assert {key: stored_keys[key] for key in confirmation.keys} == unchanged
            now += 1_000
    finally:
        server.close()

    go, limited = Answer.GO, Answer.LIMITED
    assert [
        (go, 0),
        (go, 99_000),
        (go, 198_000),
        (go, 297_000),
        (limited, 396_000),
        (go, 395_000),
        (go, 494_000),
        (limited, 593_000),
    ] == answers
