"""Clock faults: a clock that is ahead, and a clock that is set back."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import Final

from benchmarks.faults.trial import MissingServer, Observation, Trial

_WORKER: Final = """
import sys, time
ahead = float(sys.argv[1])
clock = time.time
time.time = lambda: clock() + ahead
{0}
count, end = 0, time.monotonic() + 3.0
while time.monotonic() < end:
    count += take()
    time.sleep(0.005)  # both processes offer about 200 calls a second
print(count)
"""
_OURS: Final = """
from moorage import RateLimiter, RateLimitConfig
from moorage.adapters.state.redis import RedisStorage
limiter = RateLimiter(RateLimitConfig.per_second(10, burst=1), storage=RedisStorage({0!r}))
take = limiter.try_acquire
"""
_LIMITS: Final = """
import limits
store = limits.storage.storage_from_string({0!r})
limiter = limits.strategies.MovingWindowRateLimiter(store)
item = limits.parse("10/second")
take = lambda: limiter.hit(item, "vendor")
"""


def skewed_clock() -> dict[str, Trial]:
    """Two processes, one with a clock a minute ahead, must share ten calls a second in Redis."""
    if shutil.which("redis-server") is None:
        raise MissingServer("redis-server was not found. Install Redis.")
    from servers import redis

    def share_limit(program: str) -> Observation:
        with redis(tcp=True) as (url, _):
            text = _WORKER.format(program.format(url))
            workers = [
                subprocess.Popen(
                    [sys.executable, "-c", text, ahead], stdout=subprocess.PIPE, text=True
                )
                for ahead in ("0", "60")
            ]
            grant_counts = [int(worker.communicate(timeout=60)[0]) for worker in workers]
        total = sum(grant_counts)
        text = f"{grant_counts[0]} and {grant_counts[1]} granted in three seconds"
        return Observation(text, total <= 40 and min(grant_counts) >= total / 3)

    return {"moorage": lambda: share_limit(_OURS), "limits": lambda: share_limit(_LIMITS)}


_STEPPING: Final = """
import datetime, time
steps = [0.0]
clock, original = time.time, datetime.datetime
time.time = lambda: clock() + steps[0]

class Stepped(original):
    @classmethod
    def now(cls, tz=None):
        return original.fromtimestamp(time.time(), tz)

datetime.datetime = Stepped
{0}
use_up()
steps[0] = -3600.0
time.sleep(1)  # by then the circuit is due, and the limit has a token
print(goes_out())
"""
_STEPPED_CIRCUIT: Final = """
def fail():
    raise ConnectionError

def goes_out(function=lambda: None):
    try:
        call(function)
    except Exception:
        return False
    return True

use_up = lambda: goes_out(fail)
"""
_STEPPED_LIMIT: Final = """
goes_out = take

def use_up():
    for _ in range(20):
        take()
"""
_OUR_CIRCUIT_IN_MEMORY: Final = """
from moorage import CircuitBreaker, CircuitBreakerConfig
call = CircuitBreaker(CircuitBreakerConfig(failures=1, open_for=0.3)).call
"""
_PYBREAKER_IN_MEMORY: Final = """
import pybreaker
call = pybreaker.CircuitBreaker(fail_max=1, reset_timeout=0.3).call
"""
_PURGATORY_IN_MEMORY: Final = """
import purgatory
factory = purgatory.SyncCircuitBreakerFactory(default_threshold=1, default_ttl=0.3)
def call(function):
    with factory.get_breaker("vendor"):
        function()
"""
_OUR_LIMIT_IN_MEMORY: Final = """
from moorage import RateLimiter, RateLimitConfig
take = RateLimiter(RateLimitConfig.per_second(10)).try_acquire
"""
_LIMITS_IN_MEMORY: Final = """
import limits
limiter = limits.strategies.MovingWindowRateLimiter(limits.storage.MemoryStorage())
take = lambda: limiter.hit(limits.parse("10/second"), "vendor")
"""


def clock_step() -> dict[str, Trial]:
    """A second after a clock is set back by an hour, the calls within the limit must be sent."""

    def step(library: str, use: str) -> Observation:
        program = _STEPPING.format(library + use)
        result = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
        )
        goes_out = result.stdout.strip() == "True"
        return Observation("a call goes out" if goes_out else "calls are refused", goes_out)

    return {
        "moorage, circuit": lambda: step(_OUR_CIRCUIT_IN_MEMORY, _STEPPED_CIRCUIT),
        "pybreaker": lambda: step(_PYBREAKER_IN_MEMORY, _STEPPED_CIRCUIT),
        "purgatory": lambda: step(_PURGATORY_IN_MEMORY, _STEPPED_CIRCUIT),
        "moorage, limit": lambda: step(_OUR_LIMIT_IN_MEMORY, _STEPPED_LIMIT),
        "limits": lambda: step(_LIMITS_IN_MEMORY, _STEPPED_LIMIT),
    }
