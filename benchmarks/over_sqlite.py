"""What protection costs where the state is in a SQLite file that other processes share.

`ALL` compares a limiter with a peer's, beside the least that a transaction of SQLite's costs.
`latencies` tells how long single calls take: the whole stack from one process and from several on
one file, and a claim with what settles it, each of which waits for the disk.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from measure import Contender, compare, plain
from pyrate_limiter import Duration, Limiter, Rate, SQLiteBucket

from moorage import ConnectorManager, RateLimitConfig, RateLimiter, RetryBudget, Service
from moorage.adapters.sqlite import SqliteStorage
from moorage.domain.durations import DAY
from moorage.domain.idempotency import Claim, complete

if TYPE_CHECKING:
    from collections.abc import Callable

    from in_process import Comparison

PLENTY = 1_000_000
AHEAD = 1_000_000_000
SECONDS = 3.0


def _nothing() -> None:
    """The call that is protected."""


def _transaction(path: Path) -> Callable[[], object]:
    """The least there is: one row read and written by hand, in one transaction."""
    file = sqlite3.connect(path, isolation_level=None).cursor()
    file.execute("PRAGMA journal_mode = WAL")
    file.execute("PRAGMA synchronous = NORMAL")
    file.execute("CREATE TABLE state (key TEXT UNIQUE, value BLOB)")
    file.execute("INSERT INTO state VALUES ('key', x'00')")

    def run() -> None:
        file.execute("BEGIN IMMEDIATE")
        (value,) = file.execute("SELECT value FROM state WHERE key = ?", ("key",)).fetchone()
        value = bytes((value[0] ^ 1,))
        file.execute("UPDATE state SET value = ? WHERE key = ?", (value, "key"))
        file.execute("COMMIT")

    return run


def limiter_in_a_file(rounds: int) -> Comparison:
    """A token that is there, in a file."""
    from in_process import Comparison, Target  # noqa: PLC0415 - workers need no peers

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        rates = [Rate(AHEAD, Duration.SECOND)]
        bucket = SQLiteBucket.init_from_file(rates, db_path=str(home / "peer.db"))
        with Limiter(bucket) as peer, SqliteStorage(home / "ours.db") as store:
            ours = RateLimiter(RateLimitConfig.per_second(PLENTY, burst=AHEAD), storage=store)
            rows = compare(
                None,
                [
                    Contender("pyrate-limiter", plain(lambda: peer.try_acquire("key"))),
                    Contender("a bare transaction", plain(_transaction(home / "bare.db"))),
                    Contender("moorage", plain(ours.acquire)),
                ],
                rounds=min(rounds, 20),
                block_seconds=0.05,
            )
    return Comparison("limiter in a SQLite file, sync", rows, Target(0.5, 0.25))


def latencies() -> dict[str, dict[str, float]]:
    """Microseconds per call, and calls per second."""
    with tempfile.TemporaryDirectory() as folder:
        found = {
            f"full stack, {number} processes": _together(Path(folder) / f"{number}.db", number)
            for number in (1, 2, 4)
        }
        with SqliteStorage(Path(folder) / "claims.db") as store:
            numbers = iter(range(10**9))
            found["claim and settle"] = _told(
                _timed(lambda: _settle(store, next(numbers)), SECONDS)
            )
    return found


def _settle(store: SqliteStorage, number: int) -> None:
    key = f"{{:ours}}:claim:{number}"
    claimed = store.execute(
        Claim(key, fingerprint=b"f" * 32, owner=7, lease=DAY, ttl=DAY, target="", remembered=0)
    )
    store.execute(complete(key, claimed.fence, b"a" * 500, ttl=DAY))


def _together(path: Path, number: int) -> dict[str, float]:
    """Several processes on one file."""
    workers = [
        subprocess.Popen([sys.executable, __file__, str(path)], stdout=subprocess.PIPE, text=True)
        for _ in range(number)
    ]
    told = [json.loads(worker.communicate()[0]) for worker in workers]
    return {
        "p50": statistics.median(each["p50"] for each in told),
        "p99": max(each["p99"] for each in told),
        "p99.9": max(each["p99.9"] for each in told),
        "calls per second": sum(each["calls per second"] for each in told),
    }


def _timed(call: Callable[[], object], seconds: float) -> list[int]:
    took: list[int] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter_ns()
        call()
        took.append(time.perf_counter_ns() - began)
    return took


def _told(took: list[int]) -> dict[str, float]:
    cuts = statistics.quantiles(took, n=1000)
    return {
        "p50": cuts[499] / 1e3,
        "p99": cuts[989] / 1e3,
        "p99.9": cuts[998] / 1e3,
        "calls per second": len(took) / SECONDS,
    }


def _work(path: str) -> None:
    """What each of several processes does: the whole stack around nothing, again and again."""
    service = Service(
        "ours",
        limits=RateLimitConfig.per_second(PLENTY, burst=AHEAD),
        retry_budget=RetryBudget(),
    )
    with SqliteStorage(path, timeout=5) as store:
        manager = ConnectorManager([service], state=store)
        for _ in range(200):
            manager.run("ours", _nothing)
        took = _timed(lambda: manager.run("ours", _nothing), SECONDS)
    print(json.dumps(_told(took)))


ALL = (limiter_in_a_file,)

if __name__ == "__main__":
    _work(sys.argv[1])
