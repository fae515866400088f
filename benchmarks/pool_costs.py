"""The throughput of moorage's connection pool and of psycopg_pool, with 50 callers.

`python benchmarks/pool_costs.py` needs PostgreSQL, and the packages of `requirements.txt`. Both
pools have ten connections with the same settings, and each caller repeats one short statement. The
rounds alternate, so that a busy machine slows both down; the result is the median of the ratios.
"""

from __future__ import annotations

import os
import statistics
import sys
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg_pool import ConnectionPool

from moorage.adapters.links.pool_sync import LinkPool
from moorage.domain.connectors.link_pool import PoolConfig

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

POSTGRES = os.environ.get("MOORAGE_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/test")
CALLERS = 50
CONNECTIONS = 10
ROUNDS = 15
SECONDS = 1.0
LEAST_RATIO = 0.95
LEAST_REUSE = 0.99


class PostgresLink:
    """A psycopg connection as a pooled link."""

    version = None

    def __init__(self, _: float) -> None:
        self.connection: psycopg.Connection[Any] = psycopg.connect(POSTGRES, autocommit=True)
        self.execute = self.connection.execute

    def is_connected(self) -> bool:
        """Return whether the connection is open."""
        return not self.connection.closed

    def ping(self, _: float, /) -> None:
        """Run a query, to check that the server responds."""
        self.execute("SELECT 1")

    def close(self) -> None:
        """Close the connection."""
        self.connection.pgconn.finish()


def per_second(borrow: Callable[[], AbstractContextManager[Any]]) -> float:
    """Return how many statements all callers together run per second."""
    end, counts = monotonic() + SECONDS, [0] * CALLERS

    def call(number: int) -> None:
        while monotonic() < end:
            with borrow() as connection:
                connection.execute("SELECT 1").fetchone()
            counts[number] += 1

    callers = [Thread(target=call, args=(number,)) for number in range(CALLERS)]
    start_time = monotonic()
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return sum(counts) / (monotonic() - start_time)


def main() -> int:
    """Print the figures, and return 1 if a limit is exceeded."""
    peer = ConnectionPool(
        POSTGRES,
        min_size=CONNECTIONS,
        max_size=CONNECTIONS,
        kwargs={"autocommit": True},
        open=True,
    )
    config = PoolConfig(minimum=CONNECTIONS, maximum=CONNECTIONS)
    with peer, LinkPool(PostgresLink, config) as pool:
        peer.wait()
        pool.open(30.0)
        ratios = list[float]()
        for _ in range(ROUNDS):
            peer_rate, own_rate = (
                per_second(peer.connection),
                per_second(lambda: pool.link("call", 30.0)),
            )
            ratios.append(own_rate / peer_rate)
            sys.stdout.write(f"psycopg_pool {peer_rate:8.0f}/s   moorage {own_rate:8.0f}/s\n")
        ratio, reuse = statistics.median(ratios), pool.statistics().reuse
    sys.stdout.write(f"ratio {ratio:.3f} (at least {LEAST_RATIO}), reuse {reuse:.5f}\n")
    return int(ratio < LEAST_RATIO or reuse < LEAST_REUSE)


if __name__ == "__main__":
    sys.exit(main())
