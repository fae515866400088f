"""The processor time to read a page of fifty calls from a large integration log in SQLite.

`python benchmarks/log_pages.py 10000000` fills a log with ten million entries, and reads one page
with each filter several times. The control is one row by its primary key.
"""

from __future__ import annotations

import random
import sqlite3
import statistics
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage import IntegrationLog, IntegrationStatus, LogQuery
from moorage.wiring.store_urls import open_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ENTRIES: Final = 1_000_000
_ROUNDS: Final = 7
_SERVICES: Final = {
    "stripe": "payments.charge",
    "dhl": "shipping.buy",
    "twilio": "sms.send",
    "ses": "email.send",
    "s3": "storage.put",
}
_GOOD: Final = 0.95
_BAD: Final = [status for status in IntegrationStatus if status is not IntegrationStatus.SUCCESS]


def entries(number: int, now: datetime) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a log in which every twentieth entry is a failure."""
    chance = random.Random(7)
    for position in range(number):
        service, operation = chance.choice([*_SERVICES.items()])
        is_good = chance.random() < _GOOD
        status = IntegrationStatus.SUCCESS if is_good else chance.choice(_BAD)
        entry = IntegrationLog(
            id=f"id-{position}",
            service=service,
            status=status,
            started_at=now - (number - position) * timedelta(milliseconds=100),
            duration=chance.expovariate(5),
            operation=operation,
            tenant=f"tenant-{int(chance.paretovariate(1)) % 5_000}",
            account="main",
            subject=f"subject-{chance.randrange(200_000)}",
            trace_id=f"{position:032x}",
            error=None if is_good else "VendorFailed",
            error_message=None if is_good else f"The vendor refused the order {position % 9_973}.",
        )
        row = attrs.asdict(entry, recurse=False)
        moment = int(entry.started_at.timestamp() * 1_000_000)
        yield tuple((row | {"status": status.value, "started_at": moment}).values())


def fill(path: Path, number: int, now: datetime) -> None:
    """Fill the table of a log, then create its indexes."""
    with closing(sqlite3.connect(path)) as connection:
        indexes = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f'DROP INDEX "{name}"')
        names = [field.name for field in attrs.fields(IntegrationLog)]
        marks = ", ".join("?" * len(names))
        connection.executemany(
            f"INSERT INTO moorage_log ({', '.join(names)}) VALUES ({marks})",
            entries(number, now),
        )
        for _, statement in indexes:
            connection.execute(statement)
        connection.commit()


def filters(number: int, now: datetime) -> dict[str, dict[str, Any]]:
    """Return filters by name: with an index, with two fields, and without any match."""
    half = now - timedelta(milliseconds=100) * (number // 2)
    failed, unknown = IntegrationStatus.FAILED, IntegrationStatus.UNKNOWN
    return {
        "no filter": {},
        "service": {"service": "dhl"},
        "operation": {"operation": "sms.send"},
        "tenant": {"tenant": "tenant-1"},
        "rare tenant": {"tenant": "tenant-4711"},
        "status": {"status": failed},
        "service and status": {"service": "dhl", "status": failed},
        "tenant and status": {"tenant": "tenant-3", "status": unknown},
        "service, status, until": {"service": "s3", "status": failed, "until": half},
        "account without calls": {"account": "other"},
        "subject": {"subject": "subject-77"},
        "trace": {"trace_id": f"{number // 2:032x}"},
        "id": {"id": f"id-{number // 2}"},
        "text": {"text": "the order 77"},
        "vendor's text": {"text": "the order 12", "service": "stripe"},
        "text without calls": {"text": "zebra"},
        "success and text": {"text": "zebra", "status": IntegrationStatus.SUCCESS},
        "since and until": {"since": half - timedelta(hours=1), "until": half},
    }


def times(read: Callable[[], object]) -> list[float]:
    """Return the milliseconds of processor time that repeated reads took."""
    taken: list[float] = []
    for _ in range(_ROUNDS):
        begun = time.process_time()
        read()
        taken.append((time.process_time() - begun) * 1_000)
    return taken


def main(number: int) -> None:
    """Fill a log, and print the median and longest time to read a page with each filter."""
    now = datetime.now(UTC)
    everything: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.db"
        log = open_log(f"sqlite:///{path}", create=True)
        log.find(LogQuery())
        fill(path, number, now)
        with closing(sqlite3.connect(path)) as connection:
            taken = times(
                lambda: connection.execute(
                    "SELECT * FROM moorage_log WHERE number = ?", (number // 2,)
                ).fetchall()
            )
            print(f"{'one row by its key':24} {statistics.median(taken):8.2f} {max(taken):8.2f}")
        for name, fields in filters(number, now).items():
            query = LogQuery(limit=50, **fields)
            taken = times(lambda query=query: log.find(query))
            everything += taken
            print(f"{name:24} {statistics.median(taken):8.2f} {max(taken):8.2f}")
        log.close()
    everything.sort()
    print(f"{'all, 95 of 100 within':24} {everything[len(everything) * 95 // 100]:8.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else _ENTRIES)
