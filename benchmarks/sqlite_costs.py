"""Measures the cost of protections that store their state in a SQLite file that processes share.

A limiter is compared with a peer's, beside the least that a transaction of SQLite costs. Calls with
the whole stack are compared by the number of processes that share one file: the median of the calls
of a block, and the time below which 99 of 100 of them stay.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from measure import ELAPSED, Block, Comparison, Contender, Read, Target, compare, sync_block

from moorage import ConnectorManager, RateLimitConfig, RateLimiter, RetryBudget, Service
from moorage.adapters.state.sqlite import SqliteStorage
from moorage.domain.idempotency.claims import Claim, store_answer
from moorage.domain.values.durations import DAY

if TYPE_CHECKING:
    from collections.abc import Callable

HUGE_RATE = 1_000_000
HUGE_BURST = 1_000_000_000


def _do_nothing() -> None:
    """Do nothing; the benchmark calls this function with protection."""


def _transaction(path: Path) -> Callable[[], object]:
    """Read and write one row in a transaction without moorage; this is the baseline."""
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
    """Measure a call that a rate limiter with state in a SQLite file admits at once."""
    from pyrate_limiter import (  # noqa: PLC0415 - worker processes do not need this library
        Duration,
        Limiter,
        Rate,
        SQLiteBucket,
    )

    with tempfile.TemporaryDirectory() as folder:
        home_directory = Path(folder)
        rates = [Rate(HUGE_BURST, Duration.SECOND)]
        bucket = SQLiteBucket.init_from_file(rates, db_path=str(home_directory / "peer.db"))
        with Limiter(bucket) as peer, SqliteStorage(home_directory / "ours.db") as store:
            our_limiter = RateLimiter(
                RateLimitConfig.per_second(HUGE_RATE, burst=HUGE_BURST), storage=store
            )
            rows = compare(
                None,
                [
                    Contender("pyrate-limiter", sync_block(lambda: peer.try_acquire("key"))),
                    Contender(
                        "a bare transaction", sync_block(_transaction(home_directory / "bare.db"))
                    ),
                    Contender("moorage", sync_block(our_limiter.acquire)),
                ],
                rounds=min(rounds, 20),
                clock=ELAPSED,
                block_seconds=0.05,
            )
    return Comparison("limiter in a SQLite file, sync", rows, Target(0.5, 0.25))


def sqlite_calls(rounds: int) -> Comparison:
    """Measure the median call with all protections, in processes that share one SQLite file."""
    return _shared_file(rounds, 0.5, "median")


def sqlite_slow_calls(rounds: int) -> Comparison:
    """Measure the 99th percentile of calls with all protections, in processes sharing a file."""
    return _shared_file(rounds, 0.99, "99th percentile")


def sqlite_keys(rounds: int) -> Comparison:
    """Measure claiming and settling an idempotency key, with a disk flush for each."""
    with (
        tempfile.TemporaryDirectory() as folder,
        SqliteStorage(Path(folder) / "claims.db") as store,
    ):
        numbers = iter(range(10**9))
        table = compare(
            None,
            [
                Contender(
                    "a durable transaction", sync_block(_durable_insert(Path(folder) / "bare.db"))
                ),
                Contender("moorage", sync_block(lambda: _store_answer(store, next(numbers)))),
            ],
            rounds=min(rounds, 20),
            clock=ELAPSED,
            block_seconds=0.05,
        )
    return Comparison("an idempotency key in a SQLite file, sync", table)


def _durable_insert(path: Path) -> Callable[[], object]:
    """Insert one row durably without moorage; this is the baseline."""
    file = sqlite3.connect(path, isolation_level=None).cursor()
    file.execute("PRAGMA journal_mode = WAL")
    file.execute("PRAGMA synchronous = FULL")
    file.execute("CREATE TABLE state (key INTEGER PRIMARY KEY, value BLOB)")
    return lambda: file.execute("INSERT INTO state (value) VALUES (?)", (b"a" * 500,))


def _store_answer(store: SqliteStorage, number: int) -> None:
    key = f"{{:ours}}:claim:{number}"
    claim = store.execute(
        Claim(key, fingerprint=b"f" * 32, owner=7, lease=DAY, ttl=DAY, target="", remembered=0)
    )
    store.execute(store_answer(key, claim.fence, b"a" * 500, ttl=DAY))


def _shared_file(rounds: int, share: float, name: str) -> Comparison:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        contenders = [
            Contender(
                f"moorage, processes: {number}",
                _processes(stack, folder / f"{number}.db", number, share),
            )
            for number in (1, 2, 4)
        ]
        table = compare(None, contenders, rounds=min(rounds, 20), clock=ELAPSED, block_seconds=0.05)
    return Comparison(f"a SQLite file that processes share, {name} of the calls", table)


def _processes(stack: ExitStack, path: Path, number: int, share: float) -> Block:
    """Run calls in several processes concurrently; return a quantile of the processes' costs."""
    workers = [
        subprocess.Popen(
            [sys.executable, __file__, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(number)
    ]
    for worker in workers:
        stack.callback(worker.communicate)  # closes its input, which ends it
    pipes = [worker.stdout for worker in workers if worker.stdout is not None]

    def block(calls: int, read: Read) -> float:
        for worker in workers:
            print(max(calls, 100), file=worker.stdin, flush=True)
        durations = [duration for pipe in pipes for duration in json.loads(pipe.readline())]
        return float(statistics.quantiles(durations, n=100)[round(share * 100) - 1]) * calls

    return block


def _run_blocks(path: str) -> None:
    """Run blocks of calls with all protections, and print each call's seconds."""
    service = Service(
        "ours",
        limits=RateLimitConfig.per_second(HUGE_RATE, burst=HUGE_BURST),
        retry_budget=RetryBudget(),
    )
    with SqliteStorage(path, timeout=5) as store:
        manager = ConnectorManager([service], state=store)
        for line in sys.stdin:
            duration = []
            for _ in range(int(line)):
                start = time.perf_counter()
                manager.run("ours", _do_nothing)
                duration.append(time.perf_counter() - start)
            print(json.dumps(duration), flush=True)


ALL = (limiter_in_a_file, sqlite_calls, sqlite_slow_calls, sqlite_keys)

if __name__ == "__main__":
    _run_blocks(sys.argv[1])
