"""The integration log in a SQLite file, in PostgreSQL and in MariaDB."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import attrs
import pytest
import sqlalchemy

from moorage import (
    ConfigurationError,
    IntegrationLog,
    IntegrationStatus,
    InvalidData,
    LogQuery,
    StorageUnavailable,
)
from moorage.adapters.logs.sql import AsyncSqlIntegrationLogger, SqlIntegrationLogger
from moorage.adapters.logs.sqlite import AsyncSqliteIntegrationLogger, SqliteIntegrationLogger
from moorage.testing import integration_log_conformance
from moorage.testing.kits.checks import name_of
from moorage.wiring.store_urls import aopen_log, open_log
from tests.adapters.entry_harnesses import KINDS
from tests.support.servers import mariadb_url, postgres_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DRIVERS = {"postgresql": "postgresql+psycopg", "mariadb": "mariadb+pymysql"}


class Harness:
    """A database with a log table that only one test uses.

    Args:
        kind: one of `KINDS`.
        directory: the directory of a SQLite file.
    """

    def __init__(self, kind: str, directory: Path) -> None:
        self.kind = kind
        servers = {"postgresql": postgres_url, "mariadb": mariadb_url}
        self.url = f"sqlite:///{directory / 'log.db'}" if kind == "sqlite" else servers[kind]()
        self.prefix = f"harness{uuid4().hex[:8]}_"
        self._opened: list[Any] = []

    def log(self, **options: Any) -> Any:
        """Open the empty log; its background thread writes within hundredths of a second."""
        own_log = self.another(**options)
        own_log.remove(LogQuery())
        return own_log

    def another(self, **options: Any) -> Any:
        """Open the log again, with its existing entries."""
        fields = {"prefix": self.prefix, "create": True, "every": 0.01, "timeout": 30.0}
        own_log = open_log(self.url, **{**fields, **options})
        self._opened.append(own_log)
        return own_log

    def async_log(self) -> Any:
        """Open the asynchronous log on the same table."""
        self.log()
        return aopen_log(self.url, prefix=self.prefix, every=0.01, timeout=30.0)

    def close(self) -> None:
        """Close everything and drop the table."""
        for log in self._opened:
            log.close()
        if self.kind != "sqlite":
            url = sqlalchemy.make_url(self.url).set(drivername=DRIVERS[self.kind])
            engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
            with engine.begin() as connection:
                connection.exec_driver_sql(f"DROP TABLE IF EXISTS {self.prefix}log")


@pytest.fixture(scope="module", params=KINDS)
def harness(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Harness]:
    """Yield a database of each kind for the integration log."""
    value = Harness(request.param, tmp_path_factory.mktemp("log"))
    try:
        yield value
    finally:
        value.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Harness]:
    """Yield a log in a SQLite file."""
    value = Harness("sqlite", tmp_path)
    try:
        yield value
    finally:
        value.close()


def entry(number: int, **changes: Any) -> IntegrationLog:
    """Return a log entry."""
    return attrs.evolve(integration_log_conformance.entry(number), **changes)


# --- conformance ------------------------------------------------------------------------


@pytest.mark.untraced
@pytest.mark.parametrize("check", integration_log_conformance.CHECKS, ids=name_of)
def test_integration_log_passes_conformance_kit_on_each_database(
    check: integration_log_conformance.Check, harness: Harness
) -> None:
    """The integration log passes the conformance kit on each database."""
    check(harness.log)


@pytest.mark.parametrize("check", integration_log_conformance.ASYNC_CHECKS, ids=name_of)
def test_async_integration_log_conforms(
    check: integration_log_conformance.AsyncCheck, harness: Harness
) -> None:
    """The asynchronous integration log passes the conformance kit on each database."""
    made_logs: list[Any] = []

    def factory() -> Any:
        made_logs.append(harness.async_log())
        return made_logs[-1]

    async def check_log() -> None:
        await check(factory)
        for log in made_logs:
            await log.aclose()

    asyncio.run(check_log())


# --- the table --------------------------------------------------------------------------


def test_pages_are_ordered_by_the_time_of_calls(harness: Harness) -> None:
    """Pages of the log are ordered by the time of the calls, not by the time of writing."""
    log = harness.log(threads=False)
    late_entry, early_entry = entry(2), entry(1)
    same_time_entry = attrs.evolve(early_entry, id="same")
    for item in (late_entry, early_entry, same_time_entry):
        log.write(item)
        log.flush()
    pages: list[Any] = [log.find(LogQuery(limit=1))]
    while pages[-1].next is not None:
        pages.append(log.find(LogQuery(limit=1, after=pages[-1].next)))

    assert timedelta() < late_entry.started_at - early_entry.started_at
    assert [late_entry.id, "same", early_entry.id] == [page.items[0].id for page in pages]


@pytest.mark.parametrize("cursor", ["7", "x.y", "9" * 30 + ".1", ""])
def test_log_query_with_invalid_page_cursor_is_refused(cursor: str, file: Harness) -> None:
    """A log query with an invalid page cursor is refused."""
    with pytest.raises(InvalidData, match="is not valid"):
        file.log().find(LogQuery(after=cursor))


def test_entries_with_unusual_texts_are_stored_and_found(harness: Harness) -> None:
    """A log entry with long text, NUL or lone surrogates is stored, and can be found again."""
    log = harness.log(threads=False)
    odd_tenant = "a\0b\ud800" + "x" * 300
    log.write(entry(0, tenant=odd_tenant, duration=1e-7))
    (result,) = log.find(LogQuery(tenant=odd_tenant)).items

    assert ("a\\0b\\ud800" + "x" * 300)[:255] == result.tenant
    assert 1e-7 == result.duration


def test_old_entries_are_removed_however_many(harness: Harness) -> None:
    """All old log entries are removed, even if one transaction cannot remove so many."""
    log = harness.log(threads=False)
    for number in range(1_003):
        log.write(entry(number))
    end_time = entry(1_002).started_at

    assert 1_002 == log.remove(LogQuery(until=end_time))
    assert [entry(1_002).id] == [item.id for item in log.find(LogQuery()).items]


def test_log_entries_written_by_another_process_are_found(harness: Harness) -> None:
    """Log entries written by another process are found."""
    log, second_log = harness.log(), harness.another()
    second_log.write(entry(1))
    second_log.close()

    assert entry(1) == log.find(LogQuery()).items[0]


def test_a_table_is_made_by_its_statements(harness: Harness) -> None:
    """The statements of `ddl` create the log table, and `migrate` may run again."""
    kind = SqliteIntegrationLogger if harness.kind == "sqlite" else SqlIntegrationLogger
    twin_logger = (
        AsyncSqliteIntegrationLogger if harness.kind == "sqlite" else AsyncSqlIntegrationLogger
    )
    args = () if harness.kind == "sqlite" else (harness.kind,)
    log = harness.log()
    log.migrate()

    assert "CREATE TABLE IF NOT EXISTS" in kind.ddl(*args, prefix="own_")
    assert kind.ddl(*args) == twin_logger.ddl(*args)
    assert "own_log" in kind.ddl(*args, prefix="own_")


def test_missing_table_error(harness: Harness) -> None:
    """The error for a missing log table names `migrate`."""
    harness.log().close()
    log = open_log(harness.url, prefix=f"{harness.prefix}none_", timeout=30.0)
    with pytest.raises(ConfigurationError, match="table") as excinfo:
        log.find(LogQuery())
    log.close()

    assert "migrate()" in str(excinfo.value.remedy)


def test_missing_table_warning_of_the_thread(tmp_path: Path) -> None:
    """The log's background thread warns if the table is missing, and keeps the entries."""
    log = open_log(f"sqlite:///{tmp_path}/log.db", threads=False)
    log.write(entry(1))
    with pytest.warns(RuntimeWarning, match="cannot be written: The file .* does not exist"):
        log._queue._flush_soon()  # noqa: SLF001 - as the thread does
    log.migrate()

    assert [entry(1)] == list(log.find(LogQuery()).items)
    log.close()


def test_an_asynchronous_log_is_used_as_a_context(tmp_path: Path) -> None:
    """Leaving an asynchronous log's `async with` block writes the queued entries."""
    url = f"sqlite:///{tmp_path}/log.db"

    async def use_log() -> None:
        async with aopen_log(url, threads=False) as log:
            await log.migrate()
            log.write(entry(1))
            await log.flush()
            log.write(entry(2))
            assert "AsyncSqliteIntegrationLogger" in repr(log)
            assert 0 == log.lost

    asyncio.run(use_log())
    with open_log(url) as log:
        assert 2 == log.summarise(LogQuery()).count
        assert (0, None) == (log.lost, log.find(LogQuery()).next)


def test_unreachable_server_is_reported(tmp_path: Path) -> None:
    """A log query on an unreachable server raises an error, and queued entries are kept."""
    log = open_log("postgresql://nobody@127.0.0.1:9/none", threads=False, timeout=2.0)
    log.write(entry(1))
    with pytest.raises(StorageUnavailable):
        log.find(LogQuery())
    with pytest.warns(RuntimeWarning, match="closed while its database was unavailable"):
        log.close()

    assert 1 == log.lost


@pytest.mark.parametrize(
    "change",
    [
        {"attempts": 2**70},
        {"attempts": "many"},
        {"duration": float("nan")},
        {"duration": float("inf")},
        {"service": None},
        {"status": "success"},
    ],
)
def test_unstorable_entry_alone_is_lost(change: Any, file: Harness) -> None:
    """A log entry that no database can store is counted and reported.

    All other entries are stored.
    """
    log = file.log(threads=False)
    for number in range(9):
        log.write(entry(number, **change) if number == 4 else entry(number))
    with pytest.warns(RuntimeWarning, match="databases cannot store"):
        log.flush()

    assert (1, 8) == (log.lost, log.summarise(LogQuery()).count)


def test_a_status_is_counted(file: Harness) -> None:
    """A summary of the log counts entries by status, even if all calls failed."""
    log = file.log(threads=False)
    log.write(entry(1, status=IntegrationStatus.FAILED))

    assert {IntegrationStatus.FAILED: 1} == log.summarise(LogQuery()).by_status


# --- processes --------------------------------------------------------------------------


def _process(harness: Harness, task: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "tests.adapters.log_process",
        harness.url,
        harness.prefix,
        task,
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


@pytest.mark.parametrize(
    "task, expected",
    [
        ("ends", 3),
        ("forks", 2),
        ("forks by multiprocessing", 2),
        pytest.param(
            "forks by Celery",
            2,
            marks=pytest.mark.skipif(find_spec("celery") is None, reason="Celery is missing"),
        ),
    ],
)
def test_process_end_writes_the_queue(task: str, expected: int, harness: Harness) -> None:
    """When a process ends or forks, each queued log entry is written exactly once."""
    log = harness.log()
    with _process(harness, task) as process:
        assert 0 == process.wait()

    assert [entry(number) for number in reversed(range(expected))] == list(
        log.find(LogQuery()).items
    )


def test_stored_log_entries_remain_if_process_is_killed(harness: Harness) -> None:
    """If a process is killed, stored log entries remain, and queued log entries are lost."""
    log = harness.log()
    with _process(harness, "waits") as process:
        assert process.stdout is not None
        assert b"written\n" == process.stdout.readline()
        process.kill()

    assert [entry(0)] == list(log.find(LogQuery()).items)


@pytest.mark.parametrize(
    "task, code, expected",
    [
        ("ends_by_signal", -signal.SIGTERM, 3),
        ("handles_the_signal", 7, 3),
        ("flushes_at_the_signal", -signal.SIGTERM, 0),
    ],
)
def test_sigterm_ends_the_process_after_the_log_was_written(
    task: str, code: int, expected: int, harness: Harness
) -> None:
    """SIGTERM ends the process after the queued log entries have been written, if possible."""
    log = harness.log()
    with _process(harness, task) as process:
        assert process.stdout is not None
        assert b"written\n" == process.stdout.readline()
        process.terminate()
        assert code == process.wait()

    assert expected == log.summarise(LogQuery()).count


def test_full_disk_never_reaches_a_call(file: Harness) -> None:
    """While the log's file cannot grow, calls succeed, and lost entries are counted."""
    file.log()
    with _process(file, "fills_the_disk") as process:
        output, _ = process.communicate()

    assert b"(2000, True, True, True)" == output


def test_a_connection_is_opened_where_no_thread_can_be_started(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At interpreter shutdown, when no thread can be started, queued log entries are written."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    log, second_log = harness.log(), harness.another(threads=False)
    second_log.write(entry(1))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        second_log.close()

    assert (1, 0) == (log.summarise(LogQuery()).count, second_log.lost)
