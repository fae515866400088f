"""Faults of a store shared by processes."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from benchmarks.faults.trial import PATIENCE, Observation, Trial
from moorage import RateLimitConfig, RateLimiter
from moorage.adapters.state.redis import RedisStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def _silent_server() -> Iterator[str]:
    """Yield the URL of a fake Redis that accepts connections and never replies."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def silent_store() -> dict[str, Trial]:
    """A shared store that never replies must not block a caller with a timeout of two seconds."""

    def time_call(take: Callable[[], object]) -> Observation:
        end_event = threading.Event()

        def run() -> None:
            with suppress(Exception):
                take()
            end_event.set()

        start = time.monotonic()
        threading.Thread(target=run, daemon=True).start()
        if not end_event.wait(PATIENCE):
            return Observation(f"still waiting after {PATIENCE:.0f} s", holds=False)
        seconds = time.monotonic() - start
        return Observation(f"back after {seconds:.1f} s", seconds <= 2.5)

    def call_with_moorage() -> Observation:
        with _silent_server() as url, RedisStorage(url) as state:
            limiter = RateLimiter(RateLimitConfig.per_second(10), storage=state)
            return time_call(lambda: limiter.acquire(timeout=2.0))

    def limits_() -> Observation:
        import limits

        with _silent_server() as url:

            def take() -> None:
                store = limits.storage.storage_from_string(url)
                limits.strategies.MovingWindowRateLimiter(store).hit(
                    limits.parse("10/second"), "vendor"
                )

            return time_call(take)

    return {"moorage": call_with_moorage, "limits": limits_}
