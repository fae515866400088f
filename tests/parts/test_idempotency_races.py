"""Many concurrent callers of one idempotency key."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from moorage import Idempotency, IdempotencyInProgress, OutcomeUnknown
from tests.parts.idempotent_shop import BOTH, Shop, keeper
from tests.parts.ways_of_use import PATIENCE, Clock, DistantStore, run_threads


def test_silent_holders_key_becomes_unknown() -> None:
    """If the first caller of an idempotency key exceeds its lease, a repeat gets OutcomeUnknown."""
    clock, shop = Clock(), Shop()
    part = keeper(clock, timeout=30)

    def perform_effect() -> dict[str, Any]:
        clock.advance(34)
        request = clock.nanoseconds()
        with pytest.raises(OutcomeUnknown):
            part.call("k", shop.sell)
        assert 1 <= (clock.nanoseconds() - request) / 1e9 < 1.25
        return {"late": True}

    assert {"late": True} == part.call("k", perform_effect)
    assert {"late": True} == part.call("k", shop.sell)
    assert [] == shop.effects


@BOTH
def test_a_repeat_waits_as_long_as_it_may(use: Callable[..., Any]) -> None:
    """While the first caller runs, a repeat waits for its result, up to the repeat's deadline."""
    clock = Clock()
    part = keeper(clock, timeout=2)

    def perform_effect() -> float:
        with pytest.raises(IdempotencyInProgress) as excinfo:
            use(part, "k", int)
        assert ("idempotency", True) == (excinfo.value.service, excinfo.value.retryable)
        return sum(clock.slept)

    assert 1.5 < use(part, "k", perform_effect) < 2
    assert max(clock.slept) <= 0.25


def test_overtaken_holder_gets_the_stored_answer() -> None:
    """A caller whose claim was taken over returns the result that the other caller stored."""
    clock = Clock()
    part = keeper(clock, timeout=30, remembered=600)

    def perform_effect() -> str:
        clock.advance(36)
        assert "second" == part.call("k", lambda: "second")
        return "first"

    assert "second" == part.call("k", perform_effect)


def test_one_of_32_threads_with_one_key_runs_the_function() -> None:
    """If 32 threads use one key, one runs the function, and all get a copy of its result."""
    part, shop, arrivals = Idempotency(), Shop(), threading.Semaphore(0)

    def perform_effect() -> dict[str, Any]:
        for _ in range(32):
            assert arrivals.acquire(timeout=PATIENCE)
        return shop.sell()

    def call_once(_: int) -> dict[str, Any]:
        arrivals.release()
        return part.call("k", perform_effect)

    answers = run_threads(32, call_once)

    assert [{"item": "tea", "amount": 1, "lines": ["tea"]}] * 32 == answers
    assert 32 == len({id(answer) for answer in answers})
    assert 1 == len(shop.effects)


@pytest.mark.parametrize("store", [None, DistantStore()], ids=["near", "distant"])
def test_one_of_32_tasks_with_one_key_runs_the_function(store: DistantStore | None) -> None:
    """If 32 tasks use one key, one runs the function, and all get a copy of its result."""
    part, shop = Idempotency(storage=store), Shop()

    async def perform_effect() -> dict[str, Any]:
        for _ in range(10):
            await asyncio.sleep(0)
        return shop.sell()

    async def race() -> list[dict[str, Any]]:
        requests = (part.call("k", perform_effect) for _ in range(32))
        return await asyncio.wait_for(asyncio.gather(*requests), PATIENCE)

    answers = asyncio.run(race())

    assert [{"item": "tea", "amount": 1, "lines": ["tea"]}] * 32 == answers
    assert 32 == len({id(answer) for answer in answers})
    assert 1 == len(shop.effects)
