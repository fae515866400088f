"""The costs of single calls on this machine, in processor time of Redis and a broker."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from redis import Redis

from benchmarks.fleet.model import Costs
from benchmarks.servers import redis, thread_seconds
from benchmarks.store_costs import command_costs, processor_seconds
from moorage import RateLimitConfig, RateLimiter
from moorage.adapters.state.leasing_sync import LeasingStorage
from moorage.adapters.state.redis import RedisStorage

CONNECTIONS: Final = 500
QUESTIONS: Final = 2_000


def measured_costs() -> Costs:
    """Measure and return the costs of Redis and a broker on this machine."""
    with redis(tcp=True) as (url, _):
        by_name = {name: cost / 1e6 for name, cost in command_costs(url).items()}
        return Costs(
            granted=by_name["granted at once"],
            waits=by_name["queued"] + by_name["confirmed after the wait"],
            refused=by_name["refused behind a queue"],
            connected=connection_cost(url, CONNECTIONS),
            broker=broker_cost(url, QUESTIONS),
        )


def connection_cost(url: str, number: int) -> float:
    """Return Redis's processor seconds for a connection and its first request."""
    with Redis.from_url(url) as observer:
        used_before = processor_seconds(observer)
        for _ in range(number):
            with Redis.from_url(url) as client:
                client.ping()
        return (processor_seconds(observer) - used_before) / number


def broker_cost(url: str, number: int) -> float:
    """Return a broker's processor seconds for one question.

    The questions come one at a time, so each needs a read and a write of the socket for itself.
    """
    limit = {"rate": 1_000_000, "burst": 1_000_000}
    with TemporaryDirectory(prefix="moor") as folder:
        path, file = Path(folder, "b.sock"), Path(folder, "moorage.json")
        settings = {
            "state": {"url": url},
            "broker": {"socket": str(path), "services": ["hot"]},
            "services": {"hot": {"circuit": "off", "limits": limit}},
        }
        file.write_text(json.dumps(settings), encoding="utf-8")
        command = [sys.executable, "-m", "moorage", "broker", "--config", str(file), "--json"]
        with (
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as broker,
            LeasingStorage(
                RedisStorage(url), path, services=["hot"], without_broker="refuse"
            ) as store,
        ):
            try:
                assert broker.stderr is not None
                broker.stderr.readline()
                limiter = RateLimiter(
                    RateLimitConfig.per_second(1_000_000), name="hot", storage=store
                )
                limiter.try_acquire()
                used_before = thread_seconds(broker.pid)
                for _ in range(number):
                    limiter.try_acquire()
                return (thread_seconds(broker.pid) - used_before) / number
            finally:
                broker.kill()
