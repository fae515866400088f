"""Metrics of calls, stored in memory, in a file, in PostgreSQL or in MariaDB."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import sqlalchemy

from moorage import ConfigurationError, ConnectorManager, Service, StorageUnavailable
from moorage.adapters.metrics.memory import AsyncMemoryMetrics, MemoryMetrics
from moorage.adapters.metrics.recorder import FiguresRecorder, close_all
from moorage.adapters.metrics.sql import AsyncSqlMetrics, SqlMetrics
from moorage.adapters.metrics.sqlite import AsyncSqliteMetrics, SqliteMetrics
from moorage.domain.observation.figures import DAY, HOUR, MINUTE, FiguresQuery, Retention
from moorage.wiring.store_urls import aopen_metrics, open_metrics
from tests.adapters.entry_harnesses import KINDS
from tests.adapters.metrics_process import NOON, finished_call
from tests.support.servers import mariadb_url, postgres_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from moorage.adapters.metrics.recorder import StoredFigures

DRIVERS = {"postgresql": "postgresql+psycopg", "mariadb": "mariadb+pymysql"}
PATIENCE = 120.0
ALL = FiguresQuery(by=())


class Harness:
    """A database with a metrics table that only one test uses.

    Args:
        kind: one of `KINDS`, or "memory".
        directory: the directory of a SQLite file.
    """

    def __init__(self, kind: str, directory: Path) -> None:
        self.kind = kind
        servers = {"postgresql": postgres_url, "mariadb": mariadb_url}
        file = f"sqlite:///{directory / 'metrics.db'}"
        self.url = {"sqlite": file, "memory": "memory:"}.get(kind) or servers[kind]()
        self.prefix = f"harness{uuid4().hex[:8]}_"
        self._opened: list[Any] = []

    def metrics(self, **options: Any) -> Any:
        """Open the metrics of this table, without a background thread."""
        fields: dict[str, Any] = {}
        if self.kind != "memory":
            fields = {"prefix": self.prefix, "create": True, "threads": False, "timeout": 30.0}
        metrics = open_metrics(self.url, **{**fields, **options})
        self._opened.append(metrics)
        return metrics

    def close(self) -> None:
        """Close the database and drop the table."""
        for metrics in self._opened:
            metrics.close()
        if self.kind in DRIVERS:
            url = sqlalchemy.make_url(self.url).set(drivername=DRIVERS[self.kind])
            engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
            with engine.begin() as connection:
                connection.exec_driver_sql(f"DROP TABLE IF EXISTS {self.prefix}metrics")


@pytest.fixture(params=KINDS)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    """Yield a metrics database of each kind."""
    harness = Harness(request.param, tmp_path)
    try:
        yield harness
    finally:
        harness.close()


@pytest.fixture(params=("memory", *KINDS))
def metrics_harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    """Yield a metrics store of each kind: memory, and each kind of database."""
    metrics_harness = Harness(request.param, tmp_path)
    try:
        yield metrics_harness
    finally:
        metrics_harness.close()


def calls(metrics: Any, **options: Any) -> int:
    """Return the number of calls that a query of the metrics counts."""
    return sum(window.figures.calls for window in metrics.figures(FiguresQuery(**options)))


# --- reading ----------------------------------------------------------------------------


def test_metrics_are_found_by_series_and_time(metrics_harness: Harness) -> None:
    """Metrics are found by series and time, with outcomes, attempts, bytes and durations."""
    metrics = metrics_harness.metrics()
    for second in range(0, 180, 10):
        metrics(finished_call(NOON + timedelta(seconds=second), duration=second / 100))
    metrics(finished_call(error="OutcomeUnknown", attempts=3, tenant=None, operation=None))
    metrics(finished_call(error="VendorFailed", service="vat", tenant="b\0\ud800" + "x" * 300))
    (total_row,) = metrics.figures(FiguresQuery(tenant="acme"))
    minutes = metrics.figures(FiguresQuery(service="stripe", by=(), window=60))

    assert (18, 18) == (total_row.figures.success, total_row.figures.attempts)
    assert ("stripe", "payments.charge", "acme") == (
        total_row.service,
        total_row.operation,
        total_row.tenant,
    )
    assert pytest.approx(0.8, rel=0.0101) == total_row.figures.durations.percentile(50)
    assert [7, 6, 6] == [window.figures.calls for window in minutes]
    assert [NOON + timedelta(minutes=number) for number in range(3)] == [
        window.start for window in minutes
    ]
    assert 1 == metrics.figures(FiguresQuery(tenant="", by=()))[0].figures.unknown
    odd_query = FiguresQuery(tenant=("b\\0\\ud800" + "x" * 300)[:255])
    assert 1 == metrics.figures(odd_query)[0].figures.failed
    assert 6 == calls(metrics, since=NOON + timedelta(minutes=2))
    assert 8 == calls(metrics, until=NOON + timedelta(seconds=1))
    assert () == metrics.figures(FiguresQuery(service="nobody"))


def test_metrics_of_several_processes_are_added_up(harness: Harness) -> None:
    """However often a process stores its metrics, it replaces only its own rows."""
    processes = [harness.metrics() for _ in range(3)]
    for number, metrics in enumerate((*processes, *processes)):
        metrics(finished_call(duration=number + 1.0))
        metrics.flush()
        metrics.flush()
    (window,) = processes[0].figures(ALL)

    assert (6, 6) == (window.figures.calls, window.figures.durations.count)
    assert (1.0, 6.0) == (
        window.figures.durations.shortest / 1e9,
        window.figures.durations.longest / 1e9,
    )


def test_metrics_can_observe_a_connector_manager(metrics_harness: Harness) -> None:
    """Metrics can be an observer of a connector manager, and count its calls."""
    metrics = metrics_harness.metrics()
    with ConnectorManager(services=[Service("vat")], observers=[metrics]) as manager:
        manager.run("vat", lambda: 1, tenant="acme")
        with pytest.raises(ZeroDivisionError):
            manager.run("vat", lambda: 1 // 0, tenant="acme")
    (window,) = metrics.figures(FiguresQuery())

    assert ("vat", "acme", 1) == (window.service, window.tenant, window.figures.success)
    assert 2 == window.figures.calls


# --- housekeeping -----------------------------------------------------------------------


def test_older_metrics_are_merged_into_hours_and_days(metrics_harness: Harness) -> None:
    """Metrics per minute are merged into hours, then into days without loss, and later deleted."""
    first, second = metrics_harness.metrics(), metrics_harness.metrics()
    if metrics_harness.kind == "memory":
        second = first
    for minute in range(0, 180, 20):
        for metrics, tenant in ((first, "a"), (second, "b")):
            metrics(finished_call(NOON + timedelta(minutes=minute), tenant=tenant))
        first.flush()
        second.flush()
    hourly_figures = first.figures(FiguresQuery(window=HOUR))

    assert 0 == first.housekeep(NOON + timedelta(hours=23))
    assert 18 == first.housekeep(NOON + timedelta(days=2))
    assert {HOUR} == {window.seconds for window in first.figures(FiguresQuery(window=MINUTE))}
    assert hourly_figures == second.figures(FiguresQuery(window=HOUR))

    second(finished_call(tenant="a"))
    second.flush()
    assert 1 == second.housekeep(NOON + timedelta(days=2))
    assert 19 == calls(first)
    hours = (
        6 if metrics_harness.kind == "memory" else 7
    )  # each roll-up is a separate row of a table
    assert hours == second.housekeep(NOON + timedelta(days=40))
    assert [(DAY, 10), (DAY, 9)] == [
        (window.seconds, window.figures.calls) for window in first.figures(FiguresQuery())
    ]
    assert 2 == first.housekeep(NOON + timedelta(days=900))
    assert () == first.figures(FiguresQuery())


def test_many_rows_are_rolled_up_in_batches(harness: Harness) -> None:
    """If more metrics rows must be merged than one transaction takes, no call is lost."""
    metrics = harness.metrics()
    for minute in range(3):
        for number in range(300):
            metrics(finished_call(NOON + timedelta(minutes=minute), tenant=f"t{number}"))
        metrics.flush()

    assert 900 == metrics.housekeep(NOON + timedelta(days=2))
    assert 900 == calls(metrics)
    metrics.housekeep(NOON + timedelta(days=900))
    assert 0 == calls(metrics)


def test_several_processes_roll_up_at_once(harness: Harness) -> None:
    """If several processes merge the same metrics rows at once, each row is counted once."""
    processes = [harness.metrics() for _ in range(3)]
    for metrics in processes:
        for number in range(120):
            metrics(finished_call(NOON + timedelta(minutes=number % 3), tenant=f"t{number}"))
        metrics.flush()
    failures: list[Exception] = []

    def housekeep(metrics: Any) -> None:
        try:
            metrics.housekeep(NOON + timedelta(days=2))
        except StorageUnavailable as error:
            failures.append(error)

    threads = [threading.Thread(target=housekeep, args=(metrics,)) for metrics in processes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    processes[0].housekeep(NOON + timedelta(days=2))

    assert 360 == calls(processes[0])
    assert {HOUR} == {window.seconds for window in processes[0].figures(FiguresQuery(window=60))}
    assert len(failures) < len(threads)


def test_retention_times_can_be_configured(tmp_path: Path) -> None:
    """Metrics of hours and days are deleted after the configured retention times."""
    retention = Retention(hours=2 * DAY, days=3 * DAY)
    memory = open_metrics("memory:", retention=retention)
    file = open_metrics(f"sqlite:///{tmp_path}/m.db", create=True, retention=retention)
    for metrics in (memory, file):
        with metrics:
            metrics(finished_call())
            metrics.flush()
            metrics.housekeep(NOON + timedelta(days=4))
            assert 0 == calls(metrics)


# --- the table --------------------------------------------------------------------------


def test_a_table_is_made_by_its_statements(harness: Harness) -> None:
    """The statements of `ddl` create the metrics table, and `migrate` may run again."""
    kind = SqliteMetrics if harness.kind == "sqlite" else SqlMetrics
    twin = AsyncSqliteMetrics if harness.kind == "sqlite" else AsyncSqlMetrics
    args = () if harness.kind == "sqlite" else (harness.kind,)
    metrics = harness.metrics()
    metrics.migrate()
    metrics.migrate()

    assert "CREATE TABLE IF NOT EXISTS" in kind.ddl(*args, prefix="own_")
    assert kind.ddl(*args) == twin.ddl(*args)
    assert "own_metrics" in kind.ddl(*args, prefix="own_")


def test_missing_table_error(harness: Harness) -> None:
    """The error for a missing metrics table names `migrate`."""
    metrics = harness.metrics(create=False)
    with pytest.raises(ConfigurationError) as excinfo:
        metrics.figures(ALL)

    assert "migrate()" in str(excinfo.value.remedy)


def test_unreachable_server_is_reported() -> None:
    """If the server is unreachable, a query raises an error, and calls wait until the close."""
    metrics = open_metrics("postgresql://nobody@127.0.0.1:9/none", threads=False, timeout=2.0)
    metrics(finished_call())
    with pytest.raises(StorageUnavailable):
        metrics.figures(ALL)
    metrics(finished_call())
    metrics.after_request()
    assert 0 == metrics.lost
    with pytest.warns(RuntimeWarning, match="closed while the database was unavailable"):
        metrics.close()
    assert 2 == metrics.lost


@pytest.mark.parametrize("scheme", ["redis", "nothing"])
def test_unsupported_metrics_url_is_refused(scheme: str) -> None:
    """A URL that no metrics store supports is refused."""
    with pytest.raises(ConfigurationError, match="cannot be used for metrics") as excinfo:
        open_metrics(f"{scheme}://host")

    assert "metrics.url" == excinfo.value.path


# --- the recorder -----------------------------------------------------------------------


class Table:
    """A fake metrics table that can be unavailable or unusable."""

    def __init__(self) -> None:
        self.rows: dict[Any, int] = {}
        self.batches: list[int] = []
        self.failure: Exception | None = None
        self.housekeeping: list[datetime] = []
        self.stored = threading.Event()

    def store(self, rows: Sequence[StoredFigures]) -> None:
        """Store rows of metrics in memory."""
        self.batches.append(len(rows))
        if self.failure is not None:
            raise self.failure
        for part, row in rows:
            self.rows[part, row.start, row.service, row.tenant] = row.figures.calls
        self.stored.set()

    def recorder(self, **options: Any) -> FiguresRecorder:
        """Return a recorder that stores metrics in this table."""
        fields = {"threads": False, **options}
        return FiguresRecorder(self.store, self.housekeeping.append, "here", **fields)


def test_background_thread_stores_and_ends() -> None:
    """A background thread stores the metrics, and ends when no metrics are left to store."""
    table = Table()
    recorder = table.recorder(threads=True, every=0.01)
    recorder(finished_call())

    assert table.stored.wait(PATIENCE)
    for thread in threading.enumerate():
        if thread.name == "moorage-metrics":
            thread.join(PATIENCE)
    assert [1] == list(table.rows.values())
    recorder.after_request()
    recorder.close()
    assert [1] == table.batches


@pytest.mark.untraced
def test_metrics_wait_while_the_database_is_unavailable() -> None:
    """Metrics recorded while the database is unavailable are stored later, once."""
    table = Table()
    table.failure = StorageUnavailable("away", remedy="Start it.")
    recorder = table.recorder()
    for number in range(450):
        recorder(finished_call(tenant=f"t{number % 225}"))
        recorder.after_request()
    table.failure = None
    table.batches.clear()
    recorder.after_request()
    recorder.after_request()

    assert [200, 25] == table.batches
    assert (450, 0) == (sum(table.rows.values()), recorder.lost)


def test_dropped_metrics_are_counted_and_reported() -> None:
    """Above `max_waiting`, the oldest metrics not yet stored are dropped, with one warning."""
    table = Table()
    table.failure = StorageUnavailable("away", remedy="Start it.")
    recorder = table.recorder(max_waiting=2)
    recorder(finished_call())
    recorder.after_request()
    for minute in (1, 2):
        recorder(finished_call(NOON + timedelta(minutes=minute)))
    with pytest.warns(RuntimeWarning, match="loses figures, because too many are waiting"):
        recorder.after_request()
    recorder(finished_call(NOON + timedelta(minutes=3)))
    recorder.after_request()

    assert 2 == recorder.lost


def test_call_that_ends_after_the_close_is_stored_or_lost() -> None:
    """A call that ends after the metrics were closed is stored if possible, or counted as lost."""
    table = Table()
    recorder = table.recorder()
    recorder.close()
    recorder(finished_call())
    assert ([1], 0) == (list(table.rows.values()), recorder.lost)

    table.failure = StorageUnavailable("closed", remedy="Open it.")
    with pytest.warns(RuntimeWarning, match="calls ended after the metrics were closed"):
        recorder(finished_call(tenant="late"))
    recorder(finished_call(tenant="later"))
    assert ([1], 2) == (list(table.rows.values()), recorder.lost)


def test_unstored_calls_are_lost_when_metrics_are_closed() -> None:
    """Metrics that cannot be stored when they are closed are counted as lost, with a warning."""
    table = Table()
    table.failure = StorageUnavailable("away", remedy="Start it.")
    recorder = table.recorder()
    for _ in range(3):
        recorder(finished_call())
    with pytest.warns(RuntimeWarning, match="were closed while the database was unavailable"):
        recorder.close()
    assert 3 == recorder.lost


def test_an_unusable_table_is_reported_once() -> None:
    """If the metrics table is unusable, one warning gives the reason."""
    table = Table()
    table.failure = ConfigurationError("No table.", path="path", remedy="Run `migrate()`.")
    recorder = table.recorder()
    recorder(finished_call())
    with pytest.warns(RuntimeWarning, match="cannot be written: No table. Run `migrate\\(\\)`"):
        recorder.after_request()
    recorder.after_request()

    assert 0 == recorder.lost


def test_housekeeping_runs_once_an_hour() -> None:
    """The first write in a new hour merges the older metrics."""
    table = Table()
    recorder = table.recorder()
    for minute in (0, 1, 61, 62, 125):
        recorder(finished_call(NOON + timedelta(minutes=minute)))
        recorder.after_request()

    assert [NOON + timedelta(minutes=minute) for minute in (61, 125)] == table.housekeeping


def test_every_recorder_is_closed_at_exit() -> None:
    """All metrics recorders store their metrics when the process ends."""
    table = Table()
    recorder = table.recorder()
    recorder(finished_call())
    close_all()

    assert [1] == list(table.rows.values())
    recorder.after_request()


# --- asynchronous -----------------------------------------------------------------------


def test_asynchronous_metrics_stores_count_like_synchronous_ones(metrics_harness: Harness) -> None:
    """The asynchronous metrics stores count like the synchronous metrics stores."""

    async def use_metrics() -> None:
        options: dict[str, Any] = {}
        if metrics_harness.kind != "memory":
            options = {"prefix": metrics_harness.prefix, "threads": False, "timeout": 30.0}
        async with aopen_metrics(metrics_harness.url, **options) as metrics:
            if metrics_harness.kind != "memory":
                await metrics.migrate()
                assert "Metrics" in repr(metrics)
            metrics(finished_call())
            await metrics.flush()
            (window,) = await metrics.figures(ALL)
            assert (1, 0) == (window.figures.calls, metrics.lost)
            assert 1 == await metrics.housekeep(NOON + timedelta(days=2))

    metrics_harness.metrics()
    asyncio.run(use_metrics())


def test_metrics_in_memory_lose_nothing() -> None:
    """In-memory metrics always report zero lost entries."""
    with MemoryMetrics() as metrics:
        assert 0 == metrics.lost
    assert 0 == AsyncMemoryMetrics().lost


# --- processes --------------------------------------------------------------------------


def _process(harness: Harness, task: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "tests.adapters.metrics_process",
        harness.url,
        harness.prefix,
        task,
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


@pytest.mark.parametrize("task, expected", [("ends", 3), ("forks", 2)])
def test_no_call_is_lost_or_counted_twice_at_process_end(
    task: str, expected: int, harness: Harness
) -> None:
    """When a process ends or forks, no call is lost from the metrics or counted twice."""
    metrics = harness.metrics()
    metrics.migrate()
    with _process(harness, task) as process:
        assert 0 == process.wait()

    assert expected == calls(metrics)


def test_killed_process_loses_only_unstored_metrics(harness: Harness) -> None:
    """If a process is killed, only its metrics of the last seconds, not yet stored, are lost."""
    metrics = harness.metrics()
    metrics.migrate()
    with _process(harness, "waits") as process:
        assert process.stdout is not None
        assert b"stored\n" == process.stdout.readline()
        process.kill()

    assert 1 == calls(metrics)
