"""Fields of integration log entries, migration of older tables, and query plans."""

from __future__ import annotations

import copy
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import attrs
import pytest
import sqlalchemy
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from moorage import (
    ConfigurationError,
    ConnectorManager,
    Endpoint,
    HttpMethod,
    IntegrationLog,
    IntegrationStatus,
    LogQuery,
    Request,
    Response,
    Service,
    VendorRejected,
)
from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.logs._rows import COLUMNS, encoders, row_of
from moorage.adapters.logs._table import LogSql, LogTable
from moorage.adapters.logs.memory import MemoryIntegrationLogger
from moorage.adapters.logs.sql import SqlIntegrationLogger
from moorage.adapters.logs.sqlite import SqliteIntegrationLogger
from moorage.adapters.observers.opentelemetry import OpenTelemetryObserver
from moorage.adapters.tables._table import StatementResult, moment
from moorage.domain.observation.call_identity import CallIdentity
from moorage.domain.observation.integration_log import (
    full_success_entry,
    size_of_texts,
    success_entry,
)
from moorage.domain.service.plan import Plan
from moorage.testing import FakeVendor, ScriptedHttpClient
from moorage.wiring.store_urls import open_log
from tests.adapters.entry_harnesses import KINDS
from tests.adapters.observed import CANARY, CREDENTIALS
from tests.adapters.test_table_log import DRIVERS, Harness, entry
from tests.support.servers import postgres_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from moorage.domain.observation.call_events import SuccessFacts

NEWER = ("vendor", "account", "trace_id", "method", "route", "error_message")
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture(params=KINDS)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    """Yield a database of each kind for the integration log."""
    value = Harness(request.param, tmp_path)
    try:
        yield value
    finally:
        value.close()


def log_entry_of(request: Request, answer: Response, *observers: Any) -> IntegrationLog:
    """Return the integration log's entry of one call."""
    log = MemoryIntegrationLogger()
    service = Service(
        "v", base_url="https://v.example", endpoints=[Endpoint("item", path="/items/{id}")]
    )
    with ConnectorManager(
        [service], http=ScriptedHttpClient(FakeVendor([answer])), log=log, observers=observers
    ) as manager:
        try:
            manager.call("v", request)
        except VendorRejected:
            assert answer.status == 400
    (item,) = log.find(LogQuery()).items
    return item


# --- fields of an entry -----------------------------------------------------------------


def test_entry_shows_method_and_route_of_the_request() -> None:
    """A log entry has the endpoint's route, and never the request's path."""
    item = log_entry_of(Request.delete("/items/secret-7"), Response(204))

    assert ("DELETE", "/items/{id}", "item") == (item.method, item.route, item.operation)
    assert "secret-7" not in repr(item)


def test_entry_has_the_message_of_the_error() -> None:
    """A failed call's log entry has the vendor's message, with card numbers masked."""
    body = b'{"error": {"code": "E9", "message": "No such card: 4111111111111111"}}'
    item = log_entry_of(
        Request.get("/items/7"), Response(400, {"content-type": "application/json"}, body)
    )

    assert item.error_message is not None
    assert "No such card: 4111***1111" in item.error_message


@pytest.mark.parametrize("form", CREDENTIALS)
def test_no_credential_reaches_an_entry(form: str, tmp_path: Path) -> None:
    """If a vendor repeats the credential in an error message, the log masks it."""
    body = f'{{"error": {{"code": "E9", "message": "Refused: {CANARY}"}}}}'.encode()
    answer = Response(400, {"content-type": "application/json"}, body)
    service = Service("v", base_url="https://v.example", credentials=CREDENTIALS[form])
    http = ScriptedHttpClient(FakeVendor([answer]))
    with open_log(f"sqlite:///{tmp_path}/log.db", create=True, threads=False) as log:
        with (
            ConnectorManager([service], http=http, log=log) as manager,
            pytest.raises(VendorRejected),
        ):
            manager.call("v", Request.get("/items", query={"token": CANARY}))
        (item,) = log.find(LogQuery(text="refused")).items
    stored_bytes = b"".join(path.read_bytes() for path in tmp_path.iterdir())

    assert "InvalidRequest" == item.error
    assert b"Refused" in stored_bytes
    assert CANARY.encode() not in stored_bytes


@pytest.mark.parametrize("status", [200, 400])
def test_trace_of_the_request_header(status: int) -> None:
    """The log's trace id comes from the request's `traceparent` header, if the request has one."""
    item = log_entry_of(Request.get("/items/7", headers={"Traceparent": PARENT}), Response(status))

    assert TRACE == item.trace_id


@pytest.mark.parametrize(
    "header", ["", "00-xyz-1-01", f"00-{'0' * 32}-{'1' * 16}-01", f"x{PARENT}"]
)
def test_malformed_traceparent_adds_no_trace_id(header: str) -> None:
    """A malformed `traceparent` header adds no trace id to the log entry."""
    item = log_entry_of(Request.get("/items/7", headers={"traceparent": header}), Response(200))

    assert item.trace_id is None


def test_trace_of_the_callers_context() -> None:
    """If no observer creates spans, the log's trace id is that of the current span."""
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("host")
    with tracer.start_as_current_span("request") as span:
        item = log_entry_of(Request.get("/items/7", headers={"traceparent": PARENT}), Response(200))

    assert trace.format_trace_id(span.get_span_context().trace_id) == item.trace_id


def test_trace_of_the_observers_span() -> None:
    """If an observer creates a span for the call, the log's trace id comes from that span."""
    observer = OpenTelemetryObserver(tracer_provider=TracerProvider(shutdown_on_exit=False))
    item = log_entry_of(Request.get("/items/7"), Response(200), observer)

    assert item.trace_id is not None
    assert 32 == len(item.trace_id)


# --- older tables -----------------------------------------------------------------------


def older_table(harness: Harness) -> None:
    """Create the log table as it was in a release without the newer columns."""
    kind = {"mariadb": "mysql"}.get(harness.kind, harness.kind)
    quote = "`" if kind == "mysql" else '"'
    table_name = f"{harness.prefix}log"
    columns = tuple(name for name in COLUMNS if name not in NEWER)
    (definition,) = LogSql(kind, table_name, f"{quote}{table_name}{quote}", columns).definitions()
    older_indexes = tuple(
        index for index in definition.indexes if not any(name in index.columns for name in NEWER)
    )
    url = sqlalchemy.make_url(harness.url)
    if harness.kind in DRIVERS:
        url = url.set(drivername=DRIVERS[harness.kind])
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        for statement in attrs.evolve(definition, indexes=older_indexes).statements():
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql(
            f"INSERT INTO {table_name} (id, service, status, started_at, duration, attempts)"
            " VALUES ('old', 'stripe', 'success', 1, 0.5, 1)"
        )


def test_older_table_is_reported_and_migrated(harness: Harness) -> None:
    """The error for a log table without newer columns advises `migrate`; `migrate` adds them."""
    older_table(harness)
    log = harness.another(create=False, threads=False)
    log.write(entry(3))
    with pytest.raises(ConfigurationError, match=r"column|table") as excinfo:
        log.flush()
    assert "migrate()" in str(excinfo.value.remedy)

    log.migrate()
    items = log.find(LogQuery()).items
    assert [entry(3), "old"] == [items[0], items[1].id]
    assert items[1].vendor is None


def test_older_table_is_extended_where_it_may_be_created(harness: Harness) -> None:
    """With `create=True`, opening a log adds the columns that an older table lacks."""
    older_table(harness)
    log = harness.another(create=True, threads=False)
    log.write(entry(3))

    assert [entry(3)] == list(log.find(LogQuery(vendor="adyen")).items)


# --- insertion --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number, sizes", [(1, [1]), (7, [4, 2, 1]), (128, [128]), (203, [128, 64, 8, 2, 1])]
)
def test_entries_are_inserted_by_few_different_statements(number: int, sizes: list[int]) -> None:
    """Log entries are inserted in order: 128 rows per statement, the rest in smaller statements."""
    sql = LogSql("sqlite", "moorage_log", '"moorage_log"', ("id", "attempts"))
    statements: list[tuple[str, Any]] = []

    async def execute(*several: tuple[str, Any], writes: bool = False) -> None:
        assert writes
        statements.extend(several)

    run_now(LogTable(sql).add(execute, [entry(item) for item in range(number)]))  # type: ignore[arg-type]  # nothing is read

    assert sizes == [text.count("(?, ?)") for text, _ in statements]
    assert [
        value for item in range(number) for value in (entry(item).id, entry(item).attempts)
    ] == [value for _, values in statements for value in values]


def log_rows(log: SqliteIntegrationLogger, path: Path) -> list[tuple[object, ...]]:
    """Return the rows of a log's table after a flush, without the row numbers."""
    log.flush()
    with closing(sqlite3.connect(path)) as connection:
        names = ", ".join(COLUMNS)
        return connection.execute(f"SELECT {names} FROM moorage_log ORDER BY number").fetchall()


@pytest.mark.parametrize("tenant", [None, "acme"])
def test_successful_call_is_stored_as_same_row_with_or_without_its_complete_entry(
    tenant: str | None, tmp_path: Path
) -> None:
    """A success is stored as the same row with its complete entry as with its compact record."""
    log = SqliteIntegrationLogger(tmp_path / "log.db", create=True, threads=False)
    other_log = SqliteIntegrationLogger(tmp_path / "other.db", create=True, threads=False)
    memory_log = MemoryIntegrationLogger()

    class DualWriter:
        def write(self, entry: IntegrationLog, /) -> None:
            log.write(entry)
            memory_log.write(entry)

        def success_writer(self) -> Callable[[SuccessFacts], int]:
            def write(facts: SuccessFacts) -> int:
                memory_log.write(success_entry(facts))
                return log.success_writer()(facts)

            return write

    service = Service(
        "v", base_url="https://v.example", endpoints=[Endpoint("item", path="/items/{id}")]
    )
    answers = [Response(200), Response(201), Response(400), Response(200)]
    headers = {"traceparent": PARENT}
    with ConnectorManager(
        [service],
        http=ScriptedHttpClient(FakeVendor(answers)),
        log=DualWriter(),  # type: ignore[arg-type]  # only writes
    ) as manager:
        for _ in range(2):  # the second call takes the fast path
            manager.run("v", lambda: None, tenant=tenant, subject="ä" * 300, request_id="order")
            manager.run("v", lambda: None, tenant=tenant, idempotency_key=f"key-{tenant}")
        manager.call("v", Request.get("/items/7", headers=headers), tenant=tenant)
        manager.call("v", Request.get("/items/8"), tenant=tenant)
        with pytest.raises(VendorRejected):
            manager.call("v", Request.get("/stock"), tenant=tenant)
        manager.call("v", Request.post("/items/9"), tenant=tenant)
    for item in reversed(memory_log.find(LogQuery()).items):
        other_log.write(attrs.evolve(item))

    stored_rows = log_rows(log, tmp_path / "log.db")
    assert 8 == len(stored_rows)
    assert log_rows(other_log, tmp_path / "other.db") == stored_rows


@pytest.mark.parametrize("status", [IntegrationStatus.SUCCESS, IntegrationStatus.FAILED])
def test_file_with_an_index_of_every_status_is_read_and_written(
    status: IntegrationStatus, tmp_path: Path
) -> None:
    """A SQLite log still works if its status index, from an earlier release, includes successes."""
    path = tmp_path / "log.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SqliteIntegrationLogger.ddl())
        connection.execute("DROP INDEX moorage_log_status")
        connection.execute(
            "CREATE INDEX moorage_log_status ON moorage_log (status, started_at, number)"
        )
    log = SqliteIntegrationLogger(path, threads=False)
    log.migrate()
    items = [attrs.evolve(entry(number), status=status) for number in range(3)]
    for item in items:
        log.write(item)
    log.write(attrs.evolve(entry(9), status=IntegrationStatus.TIMEOUT))

    assert items[::-1] == list(log.find(LogQuery(status=status)).items)


@pytest.mark.parametrize("columns", [COLUMNS, ("id", "duration", "http_status", "method", "route")])
def test_row_of_a_success_is_that_of_its_entry(columns: tuple[str, ...]) -> None:
    """The compact record of a success and its complete entry produce the same table row."""
    identity = CallIdentity(5_000, 1_700_000_000_123_456_789, str)
    plan = Plan(Service("v"), "acme", None)
    facts: SuccessFacts = (identity, plan, 9_000, 201, "ada", HttpMethod.PUT, PARENT, None)

    rows = [
        [*row_of(item, encoders(columns), complete=columns == COLUMNS)]
        for item in (
            facts,
            success_entry(facts),
            attrs.evolve(success_entry(facts)),
            full_success_entry(facts),
        )
    ]

    assert [rows[0]] * 4 == rows
    assert ["1700000000123", 201] == [
        rows[0][columns.index(name)] for name in ("id", "http_status")
    ]


def test_full_entry_of_a_success_is_that_of_late_fields() -> None:
    """The complete entry of a success equals the entry whose fields are computed lazily."""
    identity = CallIdentity(5_000, 1_700_000_000_123_456_789, str)
    plan = Plan(Service("v"), "acme", None)
    facts: SuccessFacts = (identity, plan, 9_000, 201, "ada", HttpMethod.PUT, PARENT, None)

    full_entry = full_success_entry(facts)

    assert success_entry(facts) == full_entry
    assert repr(success_entry(facts)) == repr(full_entry)
    assert copy.deepcopy(full_entry) == full_entry
    assert 0 == size_of_texts(full_entry)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        full_entry.service = "other"  # type: ignore[misc]  # it is frozen


class _ChangingLog(SqliteIntegrationLogger):
    """A log that changes each entry before it is stored."""

    def write(self, entry: IntegrationLog, /) -> None:
        """Store the entry under another tenant."""
        super().write(attrs.evolve(entry, tenant="other"))


@pytest.mark.parametrize("overrides_on_object", [False, True])
def test_overridden_write_method_receives_successes(
    tmp_path: Path, *, overrides_on_object: bool
) -> None:
    """If a log's class or object overrides `write`, successes also go through that `write`."""
    kind = SqliteIntegrationLogger if overrides_on_object else _ChangingLog
    log: Any = kind(tmp_path / "log.db", create=True, threads=False)
    if overrides_on_object:
        log.write = lambda entry: kind.write(log, attrs.evolve(entry, tenant="other"))
    manager = ConnectorManager([Service("v")], log=log)
    for _ in range(3):
        manager.run("v", lambda: None)

    assert ["other"] * 3 == [item.tenant for item in log.find(LogQuery()).items]


def test_pages_of_successes_end_at_the_scan_limit(tmp_path: Path) -> None:
    """A page of successes, which have no index, reads at most `scan_limit` entries."""
    log = SqliteIntegrationLogger(tmp_path / "log.db", create=True, threads=False)
    log.write(attrs.evolve(entry(0), status=IntegrationStatus.SUCCESS))
    for number in range(1, 10):
        log.write(attrs.evolve(entry(number), status=IntegrationStatus.FAILED))
    query = LogQuery(status=IntegrationStatus.SUCCESS, scan_limit=5)

    page = log.find(query)
    last_page = log.find(attrs.evolve(query, after=page.next))

    assert (0, 5) == (len(page.items), page.scanned)
    assert [entry(0).id] == [item.id for item in last_page.items]


# --- query plans ------------------------------------------------------------------------

FILL = """
INSERT INTO {table}
    (id, service, operation, tenant, subject, status, started_at, duration, attempts, vendor,
     account, idempotency_key, trace_id, error, error_message, http_status, vendor_code, region,
     method, route)
WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < {rows})
SELECT 'id-' || n, 'service-' || (n % 20), 'operation-' || (n % 50), 'tenant-' || (n % 40),
       'subject-' || (n % 40), CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'success' END, n / 3, 0.1,
       1, 'vendor-' || (n % 10), 'account-' || (n % 10), 'key-' || n, 'trace-' || n, NULL, NULL,
       NULL, NULL, 'eu', 'GET', '/items'
FROM series
"""
"""Adds rows, three of which begin at the same time."""

FILTERS: tuple[dict[str, Any], ...] = (
    {},
    {"service": "service-3"},
    {"operation": "operation-3"},
    {"tenant": "tenant-3"},
    {"status": IntegrationStatus.FAILED},
    {"subject": "subject-3"},
    {"id": "id-3"},
    {"idempotency_key": "key-3"},
    {"trace_id": "trace-3"},
    {"vendor": "vendor-3"},
    {"region": "eu"},
    {"service": "service-3", "region": "eu"},
    {"service": "service-3", "status": IntegrationStatus.SUCCESS},
    {"failures": True},
    {"failures": True, "since": moment(2_000), "until": moment(5_000)},
    {"since": moment(2_000), "until": moment(5_000)},
    {"tenant": "tenant-3", "since": moment(2_000)},
)


def statements_of(sql: LogSql, query: LogQuery) -> list[tuple[str, list[Any]]]:
    """Return the SQL statements that read a page of the log."""
    statements: list[tuple[str, list[Any]]] = []

    async def execute(*several: Any, **_: Any) -> list[StatementResult]:
        statements.extend((text, list(values)) for text, values in several)
        return [StatementResult((), 0)] * len(several)

    run_now(LogTable(sql).find(execute, query))
    return statements


def pages(filters: dict[str, Any]) -> list[LogQuery]:
    """Return a query for the first page of the log, and one for a page in the middle."""
    return [LogQuery(**filters, limit=20), LogQuery(**filters, limit=20, after="4000.12000")]


def test_no_page_is_sorted_or_scans_the_file(tmp_path: Path) -> None:
    """In SQLite, each filtered page of the log is read in index order, without a sort."""
    path = tmp_path / "log.db"
    sql = LogSql("sqlite", "moorage_log", '"moorage_log"', failures_indexed=True)
    all_filters = (*FILTERS, {"failures": True, "service": "service-3"})
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SqliteIntegrationLogger.ddl())
        connection.execute(FILL.format(table=sql.table, rows=20_000))
        connection.execute("ANALYZE")
        plans = {
            str(query): [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]
            for filters in all_filters
            for query in pages(filters)
            for text, values in statements_of(sql, query)
        }

    assert 2 * len(all_filters) == len(plans)
    for query, plan in plans.items():
        assert all("USING" in step and "INDEX" in step for step in plan), (query, plan)
        assert not any("TEMP B-TREE" in step for step in plan), (query, plan)
        reads_failures = "failures=True" in query and "service='service-3'" not in query
        assert reads_failures is any("moorage_log_failures" in step for step in plan), (query, plan)


def test_page_of_failures_is_complete_with_its_index(tmp_path: Path) -> None:
    """With an index of the failures, a page has them all, however many calls are between them."""
    log = SqliteIntegrationLogger(tmp_path / "log.db", create=True, threads=False)
    for number in range(40):
        is_failed = number in {0, 39}
        status = IntegrationStatus.FAILED if is_failed else IntegrationStatus.SUCCESS
        log.write(attrs.evolve(entry(number), status=status))
    page = log.find(LogQuery(failures=True, scan_limit=5))
    assert [IntegrationStatus.FAILED] * 2 == [item.status for item in page.items]
    assert (None, None) == (page.next, page.scanned)
    log.close()


def test_no_page_is_sorted_or_scans_the_table() -> None:
    """In PostgreSQL, each filtered page of the log is read in index order, without a sort."""
    url = sqlalchemy.make_url(postgres_url()).set(drivername=DRIVERS["postgresql"])
    prefix = f"harness{uuid4().hex[:8]}_"
    sql = LogSql("postgresql", f"{prefix}log", f'"{prefix}log"', failures_indexed=True)
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:  # closing it rolls everything back
        for statement in SqlIntegrationLogger.ddl("postgresql", prefix=prefix).split(";\n"):
            if statement:
                connection.exec_driver_sql(statement)
        connection.execute(sqlalchemy.text(FILL.format(table=sql.table, rows=20_000)))
        connection.exec_driver_sql(f"ANALYZE {sql.table}")
        plans: dict[str, str] = {}
        for filters in FILTERS:
            for query in pages(filters):
                for text, values in statements_of(sql, query):
                    explain = f"EXPLAIN {text.replace('?', '%s')}"
                    rows = connection.exec_driver_sql(explain, tuple(values))
                    plans[str(query)] = "\n".join(row[0] for row in rows)

    assert 2 * len(FILTERS) == len(plans)
    for name, plan in plans.items():
        assert "Index Scan" in plan, (name, plan)
        assert "Seq Scan" not in plan, (name, plan)
        assert "Sort" not in plan, (name, plan)
        if "failures=True" in name:
            assert f"{prefix}log_failures" in plan, (name, plan)
