"""The Redis store of shared state: conformance, and its script compared with the Python model."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.state.redis import AsyncRedisStorage, RedisStorage
from moorage.testing import state_conformance as kit
from moorage.testing.kits.checks import name_of
from tests.adapters.redis_twin import Redis, compare
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
    """Yield a Redis server to run the script on, with separate states."""
    server = Redis()
    yield server
    server.close()


# --- conformance -----------------------------------------------------------------


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_conforms(check: kit.Check, url: str) -> None:
    """RedisStorage passes the conformance kit."""
    with RedisStorage(url, timeout=PATIENT) as store:
        check(lambda: store)


@pytest.mark.parametrize("check", kit.TIMED_CHECKS, ids=name_of)
def test_conforms_in_time(check: kit.TimedCheck, url: str) -> None:
    """RedisStorage passes the conformance checks that let time pass."""
    with RedisStorage(url, timeout=PATIENT) as store:
        check(lambda: (store, time.sleep))


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_conforms_awaited(check: kit.AsyncCheck, url: str) -> None:
    """AsyncRedisStorage passes the conformance kit."""
    asyncio.run(check(lambda: AsyncRedisStorage(url, timeout=PATIENT)))


@pytest.mark.parametrize("check", kit.ASYNC_TIMED_CHECKS, ids=name_of)
def test_conforms_awaited_in_time(check: Callable[..., Any], url: str) -> None:
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
