"""The processor time of reading pages of fifty calls from a large SQLite integration log.

`make log-pages` fills a log with ten million entries in the folder for temporary files, which needs
5 GB there, and reads the first and the next page with each filter, and with each pair of filters,
several times. The control is one row by its primary key.
"""

from __future__ import annotations

import sqlite3
import statistics
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage import IntegrationStatus, LogQuery
from moorage.wiring.store_urls import open_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from moorage.domain.observation.integration_log import LogPage

_ENTRIES: Final = 1_000_000
_ROUNDS: Final = 3
_STEP: Final = timedelta(milliseconds=100)
_FAILED_STATUSES: Final = [
    status for status in IntegrationStatus if status is not IntegrationStatus.SUCCESS
]

_FILL_STATEMENT: Final = """\
WITH RECURSIVE
    services(place, service, operation) AS (
        VALUES (0, 'stripe', 'payments.charge'), (1, 'dhl', 'shipping.buy'),
            (2, 'twilio', 'sms.send'), (3, 'ses', 'email.send'), (4, 's3', 'storage.put')
    ),
    statuses(place, status) AS (VALUES {statuses}),
    positions(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM positions WHERE n + 1 < :number),
    drawn AS (
        SELECT
            n,
            n * 1103515245 % 2147483647 % 5 AS service_place,
            n * 742938285 % 2147483647 % 20 = 0 AS is_bad,
            n * 950706376 % 2147483647 % 10 AS status_place,
            n * 1226874159 % 2147483647 AS tenant_draw,
            n * 62089911 % 2147483647 % 200000 AS subject,
            n * 1343714438 % 2147483647 / 2147483647.0 AS part
        FROM positions
    )
INSERT INTO moorage_log (
    id, service, status, started_at, duration, attempts, operation, tenant, error, http_status,
    subject, vendor, account, trace_id, method, route, error_message
)
SELECT
    'id-' || n, service, CASE WHEN is_bad THEN status ELSE 'success' END, :start + n * 100000,
    part * part * part, 1, operation, 'tenant-' || (2147483647 / (tenant_draw + 1) % 5000),
    CASE WHEN is_bad THEN 'VendorFailed' END, CASE WHEN is_bad THEN 503 ELSE 200 END,
    'subject-' || subject, service, 'main', printf('%032x', n), 'POST', '/v1/' || operation,
    CASE WHEN is_bad THEN 'The vendor refused the order ' || (n % 9973) || '.' END
FROM drawn
JOIN services ON services.place = service_place
JOIN statuses ON statuses.place = status_place
"""
"""Inserts entries, of which every twentieth is a failure; some tenants make most of the calls."""


def fill(path: Path, number: int, now: datetime) -> None:
    """Fill a log's table, then create its indexes."""
    statuses = ", ".join(
        f"({place}, '{status.value}')" for place, status in enumerate(_FAILED_STATUSES)
    )
    start = int((now - number * _STEP).timestamp() * 1_000_000)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = OFF")
        indexes = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f'DROP INDEX "{name}"')
        connection.execute(
            _FILL_STATEMENT.format(statuses=statuses), {"number": number, "start": start}
        )
        for _, statement in indexes:
            connection.execute(statement)
        connection.commit()


def filters(number: int, now: datetime) -> dict[str, list[dict[str, Any]]]:
    """Return filters for each field, which match many log entries, few entries, or none."""
    half = now - _STEP * (number // 2)
    hour = timedelta(hours=1)
    return {
        "no filter": [{}],
        "service": [{"service": "dhl"}, {"service": "nobody"}],
        "operation": [{"operation": "sms.send"}],
        "tenant": [{"tenant": "tenant-1"}, {"tenant": "tenant-4711"}],
        "status": [
            {"status": IntegrationStatus.SUCCESS},
            {"status": IntegrationStatus.FAILED},
        ],
        "failures": [{"failures": True}],
        "vendor": [{"vendor": "ses"}],
        "account": [{"account": "main"}, {"account": "other"}],
        "region": [{"region": "eu"}],
        "id": [{"id": f"id-{number // 2}"}],
        "trace": [{"trace_id": f"{number // 2:032x}"}],
        "key": [{"idempotency_key": "order-1"}],
        "subject": [{"subject": "subject-77"}],
        "text": [{"text": "the order 77"}, {"text": "zebra"}, {"text": "%"}],
        "time": [{"until": half}, {"since": half - hour, "until": half}],
    }


def queries(filters: dict[str, list[dict[str, Any]]]) -> Iterable[tuple[str, LogQuery]]:
    """Yield a query for each filter, and for each pair of filters on two fields."""
    singles = [(name, fields) for name, values in filters.items() for fields in values]
    for name, fields in singles:
        yield name, LogQuery(limit=50, **fields)
    for (name, fields), (other_name, other_fields) in combinations(singles, 2):
        if fields and other_fields and name != other_name:
            yield f"{name} and {other_name}", LogQuery(limit=50, **fields, **other_fields)


def times(read: Callable[[], object]) -> list[float]:
    """Repeat a read, and return the milliseconds of processor time of each repetition."""
    durations: list[float] = []
    for _ in range(_ROUNDS):
        start_time = time.process_time()
        read()
        durations.append((time.process_time() - start_time) * 1_000)
    return durations


def measure(
    find: Callable[[LogQuery], LogPage], queries: Iterable[tuple[str, LogQuery]]
) -> dict[str, list[float]]:
    """Return the times of reading each query's first and next page, grouped by filter name."""
    durations: dict[str, list[float]] = {}
    for name, query in queries:
        durations.setdefault(name, []).extend(times(partial(find, query)))
        cursor = find(query).next
        if cursor is not None:
            next_query = attrs.evolve(query, after=cursor)
            durations[name].extend(times(partial(find, next_query)))
    return durations


def row(name: str, taken: Sequence[float]) -> str:
    """Return a table line with the median, the 95th percentile and the maximum of the times."""
    ordered = sorted(taken)
    percentile_95 = ordered[len(ordered) * 95 // 100]
    return f"{name:28} {statistics.median(ordered):8.2f} {percentile_95:8.2f} {ordered[-1]:8.2f}"


def main(number: int) -> None:
    """Fill a log, and print the times of reading a page for each filter and pair."""
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.db"
        log = open_log(f"sqlite:///{path}", create=True)
        log.find(LogQuery())
        fill(path, number, now)
        print(f"{number} entries, {path.stat().st_size / 1e9:.1f} GB; milliseconds by page")
        print(f"{'':28} {'median':>8} {'95 %':>8} {'longest':>8}")
        with closing(sqlite3.connect(path)) as connection:
            statement = "SELECT * FROM moorage_log WHERE number = ?"
            durations = times(lambda: connection.execute(statement, (number // 2,)).fetchall())
            print(row("one row by its key", durations))
        by_filters = measure(log.find, queries(filters(number, now)))
        log.close()
    for name, durations in by_filters.items():
        print(row(name, durations))
    print(row("all pages", [time for durations in by_filters.values() for time in durations]))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else _ENTRIES)
