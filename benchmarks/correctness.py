"""The same fault for several libraries, and what came of it.

`make correctness` runs all faults, and `make correctness FAULTS=lost_answer` one of them. With
`--page FILE` it writes the page of the documentation.

Every fault happens for real: vendors and stores are sockets, callers are threads, tasks and
processes. A cell is what was observed, and whether that is what the fault's first line wants. A
library takes part where it has the feature.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from moorage import (
    CircuitBreaker,
    CircuitBreakerConfig,
    ConnectorManager,
    RateLimitConfig,
    RateLimiter,
    Request,
    RetryPolicy,
    Service,
)
from moorage.adapters.state.redis import RedisStorage
from moorage.domain.resilience.retry import decide
from moorage.errors import ConnectionFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OPEN_SECONDS: Final = 0.3
CALLERS: Final = 20
PATIENCE: Final = 10.0


class Observation(NamedTuple):
    """The observation of one library, and whether it is what the fault wants."""

    text: str
    holds: bool


Trial: TypeAlias = "Callable[[], Observation]"


# --- twenty callers when the circuit half-opens -------------------------------------------


def _all_at_once(call: Callable[[], object]) -> None:
    """Make a call in many threads at the same time, and wait until all have ended."""
    start = threading.Barrier(CALLERS)

    def caller() -> None:
        start.wait()
        with suppress(Exception):
            call()

    threads = [threading.Thread(target=caller) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _crowd(call: Callable[[Callable[[], None]], object]) -> Observation:
    """Open the circuit, wait until it half-opens, and let all callers call at once."""
    calls: list[float] = []

    def fail() -> None:
        raise ConnectionError

    def fail_slowly() -> None:
        calls.append(time.monotonic())
        time.sleep(0.2)  # the other callers come meanwhile
        raise ConnectionError

    with suppress(Exception):
        call(fail)
    time.sleep(OPEN_SECONDS * 1.5)  # the peers' circuits have no clock that could be advanced
    _all_at_once(lambda: call(fail_slowly))
    words = "1 call reaches" if len(calls) == 1 else f"{len(calls)} calls reach"
    return Observation(f"{words} the vendor", len(calls) == 1)


def probe_stampede() -> dict[str, Trial]:
    """Of twenty callers at the moment the circuit half-opens, one reaches the failing vendor."""

    def ours() -> Observation:
        config = CircuitBreakerConfig(failures=1, open_for=OPEN_SECONDS)
        return _crowd(CircuitBreaker(config).call)

    def pybreaker_() -> Observation:
        import pybreaker

        breaker = pybreaker.CircuitBreaker(fail_max=1, reset_timeout=OPEN_SECONDS)
        return _crowd(breaker.call)

    def purgatory_() -> Observation:
        import purgatory

        factory = purgatory.SyncCircuitBreakerFactory(default_threshold=1, default_ttl=OPEN_SECONDS)

        def call(function: Callable[[], None]) -> None:
            with factory.get_breaker("vendor"):
                function()

        return _crowd(call)

    return {"moorage": ours, "pybreaker": pybreaker_, "purgatory": purgatory_}


# --- callers that give up -----------------------------------------------------------------


def cancelled_calls() -> dict[str, Trial]:
    """Ten callers that cancel their calls do not open the circuit of a healthy vendor."""

    async def cancel(call: Callable[[Any], Any]) -> Observation:
        async def slow() -> None:
            await asyncio.sleep(PATIENCE)

        async def quick() -> int:
            return 1

        for _ in range(10):
            task = asyncio.ensure_future(call(slow))
            await asyncio.sleep(0.01)
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task
        try:
            is_closed = await call(quick) == 1
        except Exception:  # noqa: BLE001 - each library has its own
            is_closed = False
        return Observation(
            "the next call goes out" if is_closed else "the circuit opens", is_closed
        )

    def ours() -> Observation:
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

    return {"moorage": ours, "aiobreaker": aiobreaker_, "purgatory": purgatory_}


# --- waits at the cap ---------------------------------------------------------------------


def jitter_at_the_cap() -> dict[str, Trial]:
    """A thousand callers that failed together do not come back together."""

    def spread(waits: list[float]) -> Observation:
        largest_group = max(waits.count(wait) for wait in set(waits))
        return Observation(f"{largest_group} of {len(waits)} wait equally long", largest_group < 50)

    def ours() -> Observation:
        policy = RetryPolicy(max_attempts=20, base_delay=1.0, max_delay=5.0)
        decisions: list[Any] = [
            decide(
                policy,
                ConnectionFailed("The vendor is away."),
                attempt=10,
                repeatable=True,
                retry_after=None,
                remaining=3_600.0,
                previous=5.0,
                draw=random.random(),
                at_once=False,
            )
            for _ in range(1000)
        ]
        return spread([round(decision.delay, 3) for decision in decisions])

    def tenacity_() -> Observation:
        import tenacity

        wait = tenacity.wait_exponential_jitter(initial=1, max=5, jitter=1)
        state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
        state.attempt_number = 10
        return spread([round(wait(state), 3) for _ in range(1000)])

    def urllib3_() -> Observation:
        import urllib3

        def wait() -> float:
            retry = urllib3.Retry(20, backoff_factor=1, backoff_max=5, backoff_jitter=1)
            for _ in range(10):
                retry = retry.increment("GET", "/", error=urllib3.exceptions.ProtocolError())
            return round(retry.get_backoff_time(), 3)

        return spread([wait() for _ in range(1000)])

    return {"moorage": ours, "tenacity, wait_exponential_jitter": tenacity_, "urllib3": urllib3_}


# --- two processes with different clocks --------------------------------------------------

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
    """Two processes, one with its clock a minute ahead, share a limit of ten a second in Redis."""
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
            granted = [int(worker.communicate(timeout=60)[0]) for worker in workers]
        total = sum(granted)
        text = f"{granted[0]} and {granted[1]} granted in three seconds"
        return Observation(text, total <= 40 and min(granted) >= total / 3)

    return {"moorage": lambda: share_limit(_OURS), "limits": lambda: share_limit(_LIMITS)}


# --- a process that dies during its probe ---------------------------------------------------

_PROBE: Final = """
import time
{0}
def hang():
    print("the probe is under way", flush=True)
    time.sleep(60)  # until the harness kills this process
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
    """After the process that probes is killed, another one calls the vendor within ten seconds."""
    from servers import redis

    def kill(breaker: str) -> Observation:
        names: dict[str, Any] = {}
        exec(breaker, names)  # noqa: S102 - a program of ours
        call = names["call"]

        def fail() -> None:
            raise ConnectionError

        with suppress(Exception):
            call(fail)
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

    def ours() -> Observation:
        with TemporaryDirectory() as folder:
            return kill(_OUR_BREAKER.format(f"{folder}/state.db"))

    def over_redis(breaker: str) -> Observation:
        with redis(tcp=True) as (url, _):
            return kill(breaker.format(url))

    return {
        "moorage": ours,
        "pybreaker": lambda: over_redis(_PYBREAKER),
    }


# --- a vendor that asks for a pause -------------------------------------------------------

_PAUSE: Final = 2
_CALLER: Final = """
{0}
print("ready", flush=True)
input()
print(call(), flush=True)
"""
_OUR_CALLER: Final = """
from moorage import ConnectorManager, RateLimitConfig, Request, Service
from moorage.adapters.state.sqlite import SqliteStorage
service = Service("vat", {0!r}, limits=RateLimitConfig.per_second(100))
manager = ConnectorManager([service], state=SqliteStorage({1!r}))
call = lambda: manager.call("vat", Request.get("/")).status
"""
_URLLIB3_CALLER: Final = """
import urllib3
pool = urllib3.PoolManager(retries=urllib3.Retry(5, status_forcelist=[429]))
call = lambda: pool.request("GET", {0!r}).status
"""


@contextmanager
def _busy_vendor() -> Iterator[tuple[str, list[float]]]:
    """Yield a vendor that answers its first request with 429, and the times of all requests."""
    times: list[float] = []

    class Handler(BaseHTTPRequestHandler):
        """Asks for a pause once."""

        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """Answer 429 to the first request, and 200 to all others."""
            times.append(time.monotonic())
            self.send_response(429 if len(times) == 1 else 200)
            self.send_header("Retry-After", str(_PAUSE))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", times
    finally:
        server.shutdown()
        server.server_close()


def shared_429() -> dict[str, Trial]:
    """After a 429 with a pause of two seconds, no process calls the vendor before its end."""

    def call_in_turn(caller: str, path: str) -> Observation:
        with _busy_vendor() as (url, times):
            program = [sys.executable, "-c", _CALLER.format(caller.format(url, path))]
            callers = [
                subprocess.Popen(
                    program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
                )
                for _ in range(2)
            ]
            for process in callers:
                assert process.stdout is not None
                process.stdout.readline()
            first, second = callers
            assert first.stdin is not None
            first.stdin.write("call\n")
            end = time.monotonic() + PATIENCE
            while not times and time.monotonic() < end:
                time.sleep(0.01)  # the vendor sends no signal
            time.sleep(0.2)  # the first process reads the answer
            second_answer = second.communicate("call\n", timeout=60)[0]
            statuses = [first.communicate(timeout=60)[0].strip(), second_answer.strip()]
        early_calls = sum(moment < times[0] + _PAUSE * 0.9 for moment in times[1:])
        are_answered = statuses == ["200", "200"]
        words = "1 call" if early_calls == 1 else f"{early_calls} calls"
        text = f"{words} during the pause"
        return Observation(text, early_calls == 0 and are_answered)

    def ours() -> Observation:
        with TemporaryDirectory() as folder:
            return call_in_turn(_OUR_CALLER, f"{folder}/state.db")

    return {"moorage": ours, "urllib3's Retry": lambda: call_in_turn(_URLLIB3_CALLER, "")}


# --- a clock that is set back -------------------------------------------------------------

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
    """A second after the clock was set back an hour, calls go out that may go out by now."""

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


# --- a vendor whose answer is lost --------------------------------------------------------


@contextmanager
def _vendor(lost: int) -> Iterator[tuple[str, list[str]]]:
    """Yield a vendor that charges, and closes the connection instead of its first answers."""
    charges: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        """Charges for each request, or repeats what it did for the same key."""

        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """Charge, and answer unless the answer is to be lost."""
            self.rfile.read(int(self.headers["Content-Length"]))
            key = self.headers.get("Idempotency-Key")
            if key is None or key not in charges:
                charges.append(key or f"charge {len(charges)}")
            attempts.append(key)
            if len(attempts) <= lost:
                self.close_connection = True
                return
            body = json.dumps({"charge": charges[-1]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    attempts: list[str | None] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", charges
    finally:
        server.shutdown()
        server.server_close()


def lost_answer() -> dict[str, Trial]:
    """A charge whose answer was lost twice is charged once."""

    def charged(charges: list[str], ending: str = "and a receipt") -> Observation:
        count = "1 charge" if len(charges) == 1 else f"{len(charges)} charges"
        return Observation(f"{count}, {ending}", len(charges) == 1)

    def ours(key: str | None) -> Observation:
        with _vendor(lost=2) as (url, charges):
            service = Service(
                "pay",
                base_url=url,
                retry=RetryPolicy(base_delay=0.01),
                idempotency_header="Idempotency-Key",
                idempotency_memory=86_400,
            )
            request = Request.post("/", json={"amount": 1})
            with ConnectorManager([service]) as manager:
                try:
                    manager.call("pay", request, idempotency_key=key)
                except ConnectionFailed:
                    return charged(charges, "and an error that says it may have happened")
            return charged(charges)

    def urllib3_() -> Observation:
        import urllib3

        with _vendor(lost=2) as (url, charges):
            retries = urllib3.Retry(5, allowed_methods=None, backoff_factor=0.01)
            with urllib3.PoolManager() as pool:
                pool.request("POST", url, json={"amount": 1}, retries=retries)
            return charged(charges)

    def stamina_() -> Observation:
        import stamina
        import urllib3

        with _vendor(lost=2) as (url, charges), urllib3.PoolManager() as pool:

            def pay() -> None:
                pool.request("POST", url, json={"amount": 1}, retries=False)

            retried = stamina.retry(on=urllib3.exceptions.HTTPError, wait_initial=0.01, attempts=5)
            retried(pay)()
            return charged(charges)

    return {
        "moorage, without a key": lambda: ours(None),
        "moorage, with a key": lambda: ours("order 1"),
        "urllib3's Retry": urllib3_,
        "stamina": stamina_,
    }


# --- a store that never answers -----------------------------------------------------------


@contextmanager
def _silence() -> Iterator[str]:
    """Yield the URL of a Redis that accepts connections and never replies."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def silent_store() -> dict[str, Trial]:
    """A caller with two seconds of time is not held up by a shared store that never replies."""

    def timed(take: Callable[[], object]) -> Observation:
        ended = threading.Event()

        def run() -> None:
            with suppress(Exception):
                take()
            ended.set()

        start = time.monotonic()
        threading.Thread(target=run, daemon=True).start()
        if not ended.wait(PATIENCE):
            return Observation(f"still waiting after {PATIENCE:.0f} s", holds=False)
        seconds = time.monotonic() - start
        return Observation(f"back after {seconds:.1f} s", seconds <= 2.5)

    def ours() -> Observation:
        with _silence() as url, RedisStorage(url) as state:
            limiter = RateLimiter(RateLimitConfig.per_second(10), storage=state)
            return timed(lambda: limiter.acquire(timeout=2.0))

    def limits_() -> Observation:
        import limits

        with _silence() as url:

            def take() -> None:
                store = limits.storage.storage_from_string(url)
                limits.strategies.MovingWindowRateLimiter(store).hit(
                    limits.parse("10/second"), "vendor"
                )

            return timed(take)

    return {"moorage": ours, "limits": limits_}


# --- a double click -----------------------------------------------------------------------


def double_submit() -> dict[str, Trial]:
    """Twenty submissions of one order at the same time are one charge."""

    def submit(pay: Callable[[], object], charges: list[int]) -> Observation:
        _all_at_once(pay)
        count = "1 charge" if len(charges) == 1 else f"{len(charges)} charges"
        return Observation(count, len(charges) == 1)

    def ours() -> Observation:
        charges: list[int] = []
        with ConnectorManager([Service("pay")]) as manager:
            return submit(
                lambda: manager.run("pay", lambda: charges.append(1), idempotency_key="order 1"),
                charges,
            )

    def stamina_() -> Observation:
        import stamina

        charges: list[int] = []
        pay = stamina.retry(on=ConnectionError)(lambda: charges.append(1))
        return submit(pay, charges)

    return {"moorage": ours, "stamina": stamina_}


FAULTS: Final[tuple[Callable[[], dict[str, Any]], ...]] = (
    probe_stampede,
    killed_probe,
    cancelled_calls,
    jitter_at_the_cap,
    skewed_clock,
    clock_step,
    shared_429,
    lost_answer,
    silent_store,
    double_submit,
)


LIBRARIES: Final = (
    "pybreaker",
    "purgatory",
    "aiobreaker",
    "tenacity",
    "stamina",
    "urllib3",
    "limits",
)
INTRODUCTION: Final = """\
# What libraries do under faults

`make correctness` lets the same fault happen to moorage and to libraries with the same feature,
and writes down what came of it; `make correctness FAULTS=lost_answer` runs one fault. Vendors and
stores are real sockets, and callers are threads, tasks and processes. Peers are used as their
documentation shows it; some have a setting that avoids the fault, such as
`wait_random_exponential` of tenacity.
"""


def observed(fault: Callable[[], dict[str, Any]]) -> Iterator[tuple[str, Observation]]:
    """Yield the observation of each library that takes part in a fault."""
    for library, trial in fault().items():
        yield library, trial()


def sentence(fault: Callable[[], dict[str, Any]]) -> str:
    """Return what a fault wants to see."""
    return (fault.__doc__ or "").strip()


def page() -> str:
    """Run all faults, and return the page of the documentation."""
    lines = [INTRODUCTION]
    for fault in FAULTS:
        lines += [f"## {fault.__name__.replace('_', ' ').capitalize()}\n", f"{sentence(fault)}\n"]
        lines += ["| library | as wanted | observed |", "| --- | --- | --- |"]
        for library, observation in observed(fault):
            answer = "yes" if observation.holds else "no"
            lines.append(f"| {library} | {answer} | {observation.text} |")
        lines.append("")
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return "\n".join([*lines, f"Observed with {versions}.\n"])


def main(arguments: list[str]) -> int:
    """Print the observations of the named faults, or of all; return the exit code."""
    if arguments[:1] == ["--page"]:
        Path(arguments[1]).write_text(page(), "utf-8")
        return 0
    faults = {fault.__name__: fault for fault in FAULTS}
    for name in arguments or faults:
        if name not in faults:
            print(f"There is no fault {name!r}. Use: {', '.join(faults)}.", file=sys.stderr)
            return 2
        print(f"{name}: {sentence(faults[name])}")
        for library, observation in observed(faults[name]):
            print(f"  {'yes' if observation.holds else 'NO ':3}  {library:33} {observation.text}")
    return 0


if __name__ == "__main__":
    logging.disable()  # some peers log every try
    sys.exit(main(sys.argv[1:]))
