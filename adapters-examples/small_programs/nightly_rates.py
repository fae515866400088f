"""A script for cron that stores a day's exchange rates.

Starting it again on the same day does no harm.

    python nightly_rates.py https://rates.example shop.db 2026-11-25

A SQLite file beside the database stores limits, the circuit and responses, so overlapping runs
share one limit, and a second run on the same day sends nothing.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from decimal import Decimal

from moorage import ConnectorError, ConnectorManager, RateLimitConfig, Request, RetryPolicy, Service
from moorage.adapters.state.sqlite import SqliteStorage

TABLE = (
    "CREATE TABLE IF NOT EXISTS rate"
    " (day TEXT, currency TEXT, value TEXT, PRIMARY KEY (day, currency))"
)


def store_rates(base_url: str, path: str, day: str) -> int:
    """Store a day's rates, and return their number.

    Raises:
        ConnectorError: the rates could not be read now; `retry_at` says when to try again.
    """
    rates = Service(
        "rates",
        base_url=base_url,
        limits=RateLimitConfig.per_minute(30),
        retry=RetryPolicy(max_attempts=4),
        timeout=60,
    )
    with (
        SqliteStorage(f"{path}.state") as state,
        ConnectorManager([rates], state=state) as manager,
        closing(sqlite3.connect(path)) as database,
        database,
    ):
        answer = manager.call("rates", Request.get(f"/rates/{day}"), idempotency_key=day)
        values = {currency: Decimal(value) for currency, value in answer.json()["rates"].items()}
        database.execute(TABLE)
        database.executemany(
            "INSERT OR REPLACE INTO rate VALUES (?, ?, ?)",
            [(day, currency, str(value)) for currency, value in values.items()],
        )
    return len(values)


def main(arguments: list[str]) -> int:
    """Run the script, and return its exit code: 75 means "try again later"."""
    base_url, path, day = arguments
    try:
        count = store_rates(base_url, path, day)
    except ConnectorError as error:
        print(error, error.remedy or "", file=sys.stderr)
        return 75 if error.retryable else 1
    print(f"{count} rates of {day}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
