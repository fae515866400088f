"""Faults of pauses: callers that retry together, or before a vendor allows it."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from benchmarks.faults.trial import PATIENCE, Observation, Trial, serve
from moorage import RetryPolicy
from moorage.domain.resilience.retry import decide
from moorage.errors import ConnectionFailed

if TYPE_CHECKING:
    from collections.abc import Iterator


def jitter_at_the_cap() -> dict[str, Trial]:
    """A thousand callers that failed together must not retry together."""

    def spread(waits: list[float]) -> Observation:
        largest_group = max(waits.count(wait) for wait in set(waits))
        return Observation(f"{largest_group} of {len(waits)} wait equally long", largest_group < 50)

    def pause_with_moorage() -> Observation:
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

    return {
        "moorage": pause_with_moorage,
        "tenacity, wait_exponential_jitter": tenacity_,
        "urllib3": urllib3_,
    }


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
    """Yield a vendor that answers the first request with 429, and all requests' times."""
    times: list[float] = []

    class Handler(BaseHTTPRequestHandler):
        """Responds to the first request with 429 and a `Retry-After` header."""

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

    with serve(Handler) as url:
        yield url, times


def shared_429() -> dict[str, Trial]:
    """After a 429 with a pause of two seconds, no process may call the vendor in that time."""

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

    def pause_with_moorage() -> Observation:
        with TemporaryDirectory() as folder:
            return call_in_turn(_OUR_CALLER, f"{folder}/state.db")

    return {
        "moorage": pause_with_moorage,
        "urllib3's Retry": lambda: call_in_turn(_URLLIB3_CALLER, ""),
    }
