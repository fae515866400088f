"""Real processes with private servers: reconnection to Redis, and scaling by workers.

    make processes

- 200 processes call through one Redis, which is taken away for ten seconds. The table says how long
  after its return the last process uses it again.
- 1, 2, 4 and 8 workers empty an outbox in a PostgreSQL that writes each commit to its disk.
- The store is asked for due entries in a table with many others.

The results depend on the processors and on other programs; the models in
`make fleet` do not.
"""

from __future__ import annotations

import multiprocessing
import shutil
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg
from redis import ConnectionError as RedisIsAway
from redis import Redis
from servers import postgresql

from moorage import (
    Hub,
    Outbox,
    RateLimitConfig,
    Request,
    Response,
    RetryPolicy,
    Service,
)
from moorage.adapters.entries.sql import SqlOutbox
from moorage.adapters.state.memory import MemoryStorage
from moorage.adapters.state.redis import RedisStorage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkProcess

    from moorage.domain.http.requests import Timeouts

_PROCESSES: Final = 200
_OUTAGE_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.05
_READINGS: Final = 3
_WORKERS: Final = (1, 2, 4, 8)
_DUE_CALLS: Final = 4_000
_VENDOR_SECONDS: Final = (0.0, 0.002)
_ORDERS: Final = 400
_SETTLED: Final = 1_000_000
_DUE: Final = 100_000
_LANES: Final = 5
_IN_LANES: Final = 50_000
_SEARCHES: Final = 51

_context: Final = multiprocessing.get_context("fork")


class _Vendor:
    """A vendor in this process that answers after some seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Wait as long as the vendor takes, then respond."""
        if self._seconds:
            time.sleep(self._seconds)
        return Response(200)


@contextmanager
def _redis(path: Path) -> Iterator[None]:
    """Run a Redis on this socket, and kill it afterwards."""
    program = shutil.which("redis-server")
    if program is None:
        raise RuntimeError("redis-server was not found. Install Redis.")
    command = [program, "--port", "0", "--unixsocket", str(path), "--save", "", "--daemonize", "no"]
    with subprocess.Popen(command, cwd=path.parent, stdout=subprocess.DEVNULL) as server:
        try:
            yield
        finally:
            server.kill()


def _tenants(path: Path) -> int:
    """Return the number of tenants' states in Redis; 0 if Redis is unavailable."""
    with suppress(RedisIsAway), Redis(unix_socket_path=str(path)) as observer:
        return int(observer.dbsize())
    return 0


def _call_forever(url: str, tenant: str) -> None:
    """Call a vendor endlessly, with a rate limit in the Redis at this URL."""
    service = Service(
        "shop",
        base_url="https://shop.example",
        limits=RateLimitConfig.per_second(50),
        circuit=None,  # so each tenant has one state
    )
    hub = Hub([], services=[service], state=RedisStorage(url), http=_Vendor(0.0))
    while True:
        hub.manager.call("shop", Request.get("/"), tenant=tenant)
        time.sleep(_POLL_SECONDS)


def _wait_for_all(path: Path, workers: list[ForkProcess]) -> None:
    """Wait until each worker has stored one state in Redis."""
    while _tenants(path) < len(workers):
        time.sleep(0.01)
        if not all(worker.is_alive() for worker in workers):
            raise RuntimeError("A process ended; its error is above.")


def seconds_to_return(processes: int, away: float) -> float:
    """Return the seconds from Redis's return until all processes use it again.

    Each process has a tenant of its own, so its first call after the return makes a new state in
    the Redis, which lost all others.
    """
    with tempfile.TemporaryDirectory(prefix="moorage-bench-") as folder:
        path = Path(folder, "redis")
        workers = [
            _context.Process(target=_call_forever, args=(f"unix://{path}", f"t{number}"))
            for number in range(processes)
        ]
        try:
            with _redis(path):
                for worker in workers:
                    worker.start()
                _wait_for_all(path, workers)
            path.unlink(missing_ok=True)
            time.sleep(away)
            with _redis(path):
                while not path.exists():
                    time.sleep(0.001)
                start = time.monotonic()
                _wait_for_all(path, workers)
                return time.monotonic() - start
        finally:
            for worker in workers:
                worker.kill()
                worker.join()


def _deliver(url: str, vendor: _Vendor, control: Connection) -> None:
    """Wait for the start signal, then deliver due calls until none are left."""
    service = Service("shop", base_url="https://shop.example", retry=RetryPolicy(max_attempts=1))
    storage = MemoryStorage(max_entries=2 * _DUE_CALLS)
    with Hub([], services=[service], http=vendor, state=storage) as hub, SqlOutbox(url) as store:
        outbox = Outbox(store)
        outbox.deliver(hub, limit=1)
        control.send(None)
        control.recv()
        done_count = 0
        while delivered := outbox.deliver(hub, limit=100):
            done_count += delivered.done
        control.send(done_count)


def calls_a_second(url: str, workers: int, vendor: _Vendor) -> float:
    """Return how many calls a second these worker processes deliver to the vendor."""
    with SqlOutbox(url, create=True) as store, psycopg.connect(url) as connection:
        store.migrate()
        outbox = Outbox(store)
        # Each worker makes one call before the start, so that all are connected.
        for number in range(_DUE_CALLS + workers):
            outbox.within(connection).put_request(
                "shop", Request.post("/orders", json={}), order=str(number % _ORDERS)
            )
        connection.commit()
    pipes = [_context.Pipe() for _ in range(workers)]
    processes = [_context.Process(target=_deliver, args=(url, vendor, end)) for _, end in pipes]
    for process in processes:
        process.start()
    for control, _ in pipes:
        control.recv()
    start = time.monotonic()
    for control, _ in pipes:
        control.send(None)
    done_count = sum(control.recv() for control, _ in pipes)
    seconds = time.monotonic() - start
    for process in processes:
        process.join()
    if done_count != _DUE_CALLS:
        raise RuntimeError(f"{done_count} of {_DUE_CALLS} calls were made")
    return _DUE_CALLS / seconds


def _insert(number: int, prefix: str, **columns: str) -> str:
    """Return an SQL statement that inserts entries; `columns` replaces their usual values."""
    values = {
        "id": f"'{prefix}-' || n",
        "target": "'shop'",
        "operation": "'call'",
        "lane": "NULL",
        "added_at": "n",
        "content": "decode(repeat('ab', 200), 'hex')",
        "state": "'waiting'",
        "due": "n",
        "holds": "true",
        "priority": "0",
        "fence": "0",
        "attempts": "0",
        "turn": "0",
        "error": "''",
        "settled_at": "NULL",
    } | columns
    return (
        f"INSERT INTO moorage_outbox ({', '.join(values)})"
        f" SELECT {', '.join(values.values())} FROM generate_series(1, {number}) AS n"
    )


def seconds_to_find_due_entries(url: str) -> dict[str, float]:
    """Return the median seconds in which a store finds 100 due entries, by the table's content."""
    due = f"{_DUE:,} due of {_DUE + _SETTLED:,}"
    in_orders = f"{_IN_LANES:,} waiting in {_LANES} orders, of {_IN_LANES + _SETTLED:,}"
    settled_values = {"state": "'done'", "due": "NULL", "holds": "false", "settled_at": "n"}
    lanes = {"lane": f"'order-' || n % {_LANES}"}
    seconds: dict[str, float] = {}
    with SqlOutbox(url, create=True) as store, psycopg.connect(url, autocommit=True) as connection:
        store.migrate()
        connection.execute(_insert(_SETTLED, "settled", **settled_values))
        for name, statement in (
            (due, _insert(_DUE, "due")),
            (in_orders, _insert(_IN_LANES, "lane", **lanes)),
        ):
            connection.execute("DELETE FROM moorage_outbox WHERE due IS NOT NULL")
            connection.execute(statement)
            connection.execute("VACUUM ANALYZE moorage_outbox")
            readings = []
            for _ in range(_SEARCHES):
                start = time.perf_counter()
                entries = store.due(100)
                readings.append(time.perf_counter() - start)
            if len(entries) != min(100, _LANES if name == in_orders else 100):
                raise RuntimeError(f"{len(entries)} entries were found: {name}")
            seconds[name] = statistics.median(readings)
    return seconds


def _print_workers(url: str, vendor_seconds: float) -> None:
    """Measure different numbers of workers, and print a row for each."""
    vendor = _Vendor(vendor_seconds)
    rates: dict[int, list[float]] = {workers: [] for workers in _WORKERS}
    for _ in range(_READINGS):
        for workers in _WORKERS:
            rates[workers].append(calls_a_second(url, workers, vendor))
    single_rate = statistics.median(rates[1])
    for workers, readings in rates.items():
        rate = statistics.median(readings)
        print(
            f"| {vendor_seconds * 1e3:g} ms | {workers} | {rate:,.0f} | {rate / single_rate:.2f} |",
            flush=True,
        )


def main() -> None:
    """Measure everything, and print the tables."""
    returns = [seconds_to_return(_PROCESSES, _OUTAGE_SECONDS) for _ in range(_READINGS)]
    print(f"Of {_PROCESSES} processes the last used a Redis again after its return:")
    print(", ".join(f"{seconds:.2f} s" for seconds in returns), end="\n\n")
    with ExitStack() as stack:
        url, _ = stack.enter_context(postgresql(durable=True))
        print("| vendor's time | workers | calls a second | times one worker |")
        print("| --- | --- | --- | --- |")
        for seconds in _VENDOR_SECONDS:
            _print_workers(url, seconds)
        print("\n| entries | 100 due ones are found in |\n| --- | --- |")
        for name, seconds in seconds_to_find_due_entries(url).items():
            print(f"| {name} | {seconds * 1e3:.1f} ms |")


if __name__ == "__main__":
    main()
