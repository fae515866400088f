"""Faults of a circuit breaker that half-opens, or that should stay closed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextlib import suppress
from datetime import timedelta
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from benchmarks.faults.trial import OPEN_SECONDS, PATIENCE, Observation, Trial, call_at_once
from moorage import CircuitBreaker, CircuitBreakerConfig

if TYPE_CHECKING:
    from collections.abc import Callable


def _call_at_half_open(call: Callable[[Callable[[], None]], object]) -> Observation:
    """Open the circuit, wait until it half-opens, and let all callers call at the same time."""
    calls: list[float] = []

    def raise_error() -> None:
        raise ConnectionError

    def fail_slowly() -> None:
        calls.append(time.monotonic())
        time.sleep(0.2)  # the other callers come meanwhile
        raise ConnectionError

    with suppress(Exception):
        call(raise_error)
    time.sleep(OPEN_SECONDS * 1.5)  # the peers' circuits have no clock that could be advanced
    call_at_once(lambda: call(fail_slowly))
    words = "1 call reaches" if len(calls) == 1 else f"{len(calls)} calls reach"
    return Observation(f"{words} the vendor", len(calls) == 1)


def probe_stampede() -> dict[str, Trial]:
    """Of twenty callers who arrive when a circuit may be probed, only one must reach the vendor."""

    def call_with_moorage() -> Observation:
        config = CircuitBreakerConfig(failures=1, open_for=OPEN_SECONDS)
        return _call_at_half_open(CircuitBreaker(config).call)

    def pybreaker_() -> Observation:
        import pybreaker

        breaker = pybreaker.CircuitBreaker(fail_max=1, reset_timeout=OPEN_SECONDS)
        return _call_at_half_open(breaker.call)

    def purgatory_() -> Observation:
        import purgatory

        factory = purgatory.SyncCircuitBreakerFactory(default_threshold=1, default_ttl=OPEN_SECONDS)

        def call(function: Callable[[], None]) -> None:
            with factory.get_breaker("vendor"):
                function()

        return _call_at_half_open(call)

    return {"moorage": call_with_moorage, "pybreaker": pybreaker_, "purgatory": purgatory_}


def cancelled_calls() -> dict[str, Trial]:
    """Ten cancelled calls must not open the circuit of a healthy vendor."""

    async def cancel(call: Callable[[Any], Any]) -> Observation:
        async def slow_call() -> None:
            await asyncio.sleep(PATIENCE)

        async def return_at_once() -> int:
            return 1

        for _ in range(10):
            task = asyncio.ensure_future(call(slow_call))
            await asyncio.sleep(0.01)
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task
        try:
            is_closed = await call(return_at_once) == 1
        except Exception:  # noqa: BLE001 - each library has its own
            is_closed = False
        return Observation(
            "the next call goes out" if is_closed else "the circuit opens", is_closed
        )

    def call_with_moorage() -> Observation:
        breaker = CircuitBreaker(CircuitBreakerConfig(failures=3))
        return asyncio.run(cancel(breaker.call))

    def aiobreaker_() -> Observation:
        import aiobreaker

        breaker = aiobreaker.CircuitBreaker(fail_max=3, timeout_duration=timedelta(seconds=60))
        return asyncio.run(cancel(breaker.call_async))

    def purgatory_() -> Observation:
        import purgatory

        factory = purgatory.AsyncCircuitBreakerFactory(default_threshold=3)

        async def call(function: Callable[[], Any]) -> Any:
            async with await factory.get_breaker("vendor"):
                return await function()

        return asyncio.run(cancel(call))

    return {"moorage": call_with_moorage, "aiobreaker": aiobreaker_, "purgatory": purgatory_}


_PROBE: Final = """
import signal
{0}
def hang():
    print("the probe is under way", flush=True)
    signal.pause()  # until the harness kills this process
call(hang)
"""
_OUR_BREAKER: Final = """
from moorage import CircuitBreaker, CircuitBreakerConfig
from moorage.adapters.state.sqlite import SqliteStorage
config = CircuitBreakerConfig(failures=1, open_for=0.3)
call = CircuitBreaker(config, name="vendor", storage=SqliteStorage({0!r}), timeout=1.0).call
"""
_PYBREAKER: Final = """
import pybreaker, redis
storage = pybreaker.CircuitRedisStorage(pybreaker.STATE_CLOSED, redis.StrictRedis.from_url({0!r}))
call = pybreaker.CircuitBreaker(fail_max=1, reset_timeout=0.3, state_storage=storage).call
"""


def killed_probe() -> dict[str, Trial]:
    """If the process that probes is killed, another must call the vendor within ten seconds."""
    from servers import redis

    def kill(breaker: str) -> Observation:
        names: dict[str, Any] = {}
        exec(breaker, names)  # noqa: S102 - a program of ours
        call = names["call"]

        def raise_error() -> None:
            raise ConnectionError

        with suppress(Exception):
            call(raise_error)
        time.sleep(OPEN_SECONDS * 1.5)  # the circuit is open by the real clock
        program = [sys.executable, "-c", _PROBE.format(breaker)]
        with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as prober:
            assert prober.stdout is not None
            is_probing = bool(prober.stdout.readline())
            prober.kill()
        start = time.monotonic()
        while is_probing and time.monotonic() < start + PATIENCE:
            with suppress(Exception):
                call(lambda: None)
                seconds = time.monotonic() - start
                return Observation(f"a call goes out after {seconds:.1f} s", seconds <= PATIENCE)
            time.sleep(0.05)  # no signal tells when the next probe may go
        return Observation(f"no call goes out in {PATIENCE:.0f} s", holds=False)

    def call_with_moorage() -> Observation:
        with TemporaryDirectory() as folder:
            return kill(_OUR_BREAKER.format(f"{folder}/state.db"))

    def over_redis(breaker: str) -> Observation:
        with redis(tcp=True) as (url, _):
            return kill(breaker.format(url))

    return {
        "moorage": call_with_moorage,
        "pybreaker": lambda: over_redis(_PYBREAKER),
    }
