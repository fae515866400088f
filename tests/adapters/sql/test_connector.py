"""The SQL connector with real databases, in sync and async mode."""

from __future__ import annotations

import asyncio
import os
import socket
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AuthenticationFailed,
    BulkheadFull,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    DeadlineExceeded,
    InvalidData,
    InvalidRequest,
    LocalFailure,
    OperationAttempt,
    OutcomeUnknown,
    Secret,
    Tls,
    VendorRejected,
)
from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.sql.connector import AsyncSqlConnector, SqlConnector
from moorage.adapters.sql.statements import Command, Query
from moorage.domain.monitoring.health import HealthState
from tests.adapters.forked import run_in_forked_child
from tests.adapters.sql.database_lab import (
    CREATE,
    ENDLESS,
    FIND,
    INSERT,
    LIST,
    SERVERS,
    SESSION,
    SLEEP,
    SLOW_INSERT,
    SYSTEMS,
    UPDATE,
    Administrator,
    Lab,
    url_of,
)
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

each_system = pytest.mark.parametrize("system", SYSTEMS)
each_server = pytest.mark.parametrize("system", SERVERS)
EVIL = "x'; DROP TABLE moorage_orders; -- \\ \" ` %s %(id)s :id {0} $1 ?"


@each_system
def test_rows_come_back_as_immutable_values(labs: Callable[..., Lab], system: str) -> None:
    """A command returns the number of changed rows; a query returns rows that cannot be changed."""
    lab = labs(system)
    assert 1 == lab.execute(INSERT, id=1, note="bolt")
    assert 1 == lab.execute(INSERT, id=2, note=None)
    rows = lab.query(LIST)

    assert ((1, "bolt"), (2, None)) == rows
    assert ("id", "note") == rows[0]._fields
    assert (("bolt",), (None,)) == lab.query(FIND, ids=(1, 2))
    assert () == lab.query(FIND, ids=[])


@each_system
def test_parameter_value_that_looks_like_sql_is_stored_unchanged(
    labs: Callable[..., Lab], system: str
) -> None:
    """A parameter value that looks like SQL is stored unchanged."""
    lab = labs(system)
    lab.execute(INSERT, id=1, note=EVIL)

    assert ((EVIL,),) == lab.query(FIND, ids=[1])


@each_system
@pytest.mark.parametrize(
    "parameters",
    [
        {"id": 1},
        {"id": 1, "note": "a", "note = 'x' --": "b"},
        {"id": 1, "note": {"a": 1}},
        {"id": 1, "note": ["a", {"b": 1}]},
        {"id": 1, "note": object()},
        {"id": 1, "note": type("Text", (str,), {})("a")},
    ],
)
def test_parameters_are_checked(
    labs: Callable[..., Lab], system: str, parameters: dict[str, Any]
) -> None:
    """Missing and unknown parameters, and values of other types, are refused before sending."""
    lab = labs(system)
    with pytest.raises(InvalidData) as excinfo:
        lab.connector.execute(INSERT, **parameters)

    assert "'x'" not in str(excinfo.value)


def test_list_parameter_becomes_an_array(labs: Callable[..., Lab]) -> None:
    """A list parameter becomes a PostgreSQL array."""
    lab = labs("postgresql")
    query = Query("SELECT unnest(CAST(:notes AS text[]))", name="unnest")

    assert (("a",), (EVIL,)) == lab.query(query, notes=["a", EVIL])


@each_system
def test_batch_is_one_transaction(labs: Callable[..., Lab], system: str) -> None:
    """A batch is one transaction: if a statement fails, none takes effect."""
    lab = labs(system)
    first, second = {"id": 1, "note": "a"}, {"id": 2, "note": "b"}
    with pytest.raises(VendorRejected):
        lab.perform(lab.connector.batch((INSERT, first), (INSERT, first), name="orders.import"))
    assert () == lab.query(LIST)
    results = lab.perform(
        lab.connector.batch((INSERT, first), (INSERT, second), (LIST, {}), name="orders.import")
    )

    assert (1, 1, ((1, "a"), (2, "b"))) == results


@each_system
def test_failure_inside_savepoint_undoes_only_savepoint_block(
    labs: Callable[..., Lab], system: str
) -> None:
    """A failure inside a savepoint undoes only the savepoint's block."""
    lab = labs(system)

    async def run_transaction(transaction: Any) -> Any:
        await transaction.execute(INSERT, id=1, note="kept")
        with pytest.raises(VendorRejected):  # noqa: PT012 - what is undone
            async with transaction.savepoint():
                await transaction.execute(INSERT, id=2, note="undone")
                await transaction.execute(INSERT, id=1, note="duplicate")
        async with transaction.savepoint():
            await transaction.execute(INSERT, id=3, note="kept")
        return await transaction.query(LIST)

    assert ((1, "kept"), (3, "kept")) == lab.transaction(run_transaction) == lab.query(LIST)


@each_system
def test_rows_are_written_together(labs: Callable[..., Lab], system: str) -> None:
    """`execute_each` writes all rows or no row."""
    lab = labs(system)
    rows = [{"id": number, "note": "a"} for number in range(1, 4)]

    async def run_transaction(transaction: Any, rows: list[dict[str, Any]]) -> None:
        await transaction.execute_each(INSERT, [])
        await transaction.execute_each(INSERT, rows)

    with pytest.raises(VendorRejected):
        lab.transaction(lambda transaction: run_transaction(transaction, [*rows, rows[0]]))
    with pytest.raises(InvalidData, match="lacks the parameters note"):
        lab.transaction(lambda transaction: run_transaction(transaction, [*rows, {"id": 4}]))
    assert () == lab.query(LIST)
    lab.transaction(lambda transaction: run_transaction(transaction, rows))

    assert ((1, "a"), (2, "a"), (3, "a")) == lab.query(LIST)


@each_system
def test_exception_of_the_function_undoes_the_transaction(
    labs: Callable[..., Lab], system: str
) -> None:
    """An exception of the transaction function is raised unchanged after a rollback."""
    lab = labs(system)
    failure = KeyError("a defect")
    ended: list[Any] = []

    async def run_transaction(transaction: Any) -> None:
        ended.append(transaction)
        await transaction.execute(INSERT, id=1, note="a")
        raise failure

    with pytest.raises(KeyError) as excinfo:
        lab.transaction(run_transaction)

    assert failure is excinfo.value
    assert () == lab.query(LIST)
    assert 1 == lab.connector.statistics().created
    with pytest.raises(InvalidData, match="has ended"):
        lab.finish(ended[0].query(LIST)) if lab.loop else run_now(ended[0].query(LIST))


def test_conflict_repeats_the_whole_transaction(labs: Callable[..., Lab]) -> None:
    """A transaction that conflicts with another one is retried as a whole."""
    lab = labs("postgresql")
    administrator = Administrator("postgresql")
    schema = lab.query(Query("SELECT current_schema() AS name", name="schema"))[0].name
    lab.execute(INSERT, id=1, note="a")
    notes: list[Any] = []

    async def run_transaction(transaction: Any) -> None:
        notes.append((await transaction.query(LIST))[0].note)
        if len(notes) == 1:
            administrator.ask(f"UPDATE {schema}.moorage_orders SET note = 'b'")
        await transaction.execute(UPDATE, id=1, note="c")

    lab.transaction(run_transaction, isolation="repeatable read")
    administrator.close()

    assert ["a", "b"] == notes
    assert "c" == lab.query(LIST)[0].note


def test_unknown_isolation_level_is_refused(labs: Callable[..., Lab]) -> None:
    """An unknown isolation level is refused."""
    lab = labs("postgresql")

    async def run_transaction(transaction: Any) -> None:
        await transaction.query(LIST)

    with pytest.raises(InvalidData, match="isolation level"):
        lab.transaction(run_transaction, isolation="serializable; DROP TABLE moorage_orders")


@each_system
def test_stream_holds_few_rows(labs: Callable[..., Lab], system: str) -> None:
    """A stream can read only the first rows of an endless query; leaving frees its connection."""
    lab = labs(system, connections=1)
    for _ in range(3):
        rows = lab.first_rows(lab.connector.stream(ENDLESS[system], low=1, batch=100), 250)
        assert list(range(1, 251)) == [row[0] for row in rows]

    assert () == lab.query(LIST)
    assert 0 == lab.connector.statistics().active


@each_system
def test_stream_ends_with_its_rows(labs: Callable[..., Lab], system: str) -> None:
    """A stream that is read to its end returns its connection to the pool."""
    lab = labs(system, connections=1)
    lab.perform(
        lab.connector.batch(*((INSERT, {"id": n, "note": "a"}) for n in range(25)), name="import")
    )
    created = lab.connector.statistics().created
    rows = lab.first_rows(lab.connector.stream(LIST, batch=10), 100)

    assert list(range(25)) == [row.id for row in rows]
    assert created == lab.connector.statistics().created


@each_system
def test_change_cannot_be_streamed(labs: Callable[..., Lab], system: str) -> None:
    """A command cannot be streamed, and no stream can have batches of zero rows."""
    lab = labs(system)
    with pytest.raises(InvalidData, match="not a query"):
        lab.connector.stream(INSERT, id=1, note="a")
    with pytest.raises(InvalidData, match="at least one row"):
        lab.connector.stream(LIST, batch=0)


@each_server
def test_server_ends_a_slow_statement(labs: Callable[..., Lab], system: str) -> None:
    """The server cancels a slow statement before the call's deadline.

    The connection stays open.
    """
    lab = labs(system, connections=1)
    session = lab.session()
    with pytest.raises((DeadlineExceeded, ConnectionFailed)) as excinfo:
        lab.perform(lab.connector.execute(SLOW_INSERT[system], id=1, seconds=60), timeout=0.4)

    assert not excinfo.value.may_have_been_processed
    assert session == lab.session()
    assert () == lab.query(LIST)


def test_sqlite_ends_a_slow_statement(labs: Callable[..., Lab]) -> None:
    """A slow SQLite statement is interrupted at the call's deadline."""
    lab = labs("sqlite")
    count = Query(
        "WITH RECURSIVE series(n) AS (VALUES (:low) UNION ALL SELECT n + 1 FROM series)"
        " SELECT count(*) FROM series",
        name="count",
    )
    with pytest.raises((DeadlineExceeded, ConnectionFailed)) as excinfo:
        lab.perform(lab.connector.query(count, low=1), timeout=0.3)

    assert not excinfo.value.may_have_been_processed
    assert () == lab.query(LIST)


def kill_during_statement(system: str, session: int) -> Thread:
    """Kill the session from another thread while the session executes its next statement."""
    administrator = Administrator(system)

    def kill() -> None:
        administrator.kill_when_busy(session)
        administrator.close()

    thread = Thread(target=kill, daemon=True)
    thread.start()
    return thread


@each_server
def test_read_is_repeated_after_its_session_was_killed(
    labs: Callable[..., Lab], system: str
) -> None:
    """If the session of a query is killed, the query is retried on another connection."""
    lab = labs(system, connections=1)
    session = lab.session()
    killer = kill_during_statement(system, session)
    lab.perform(lab.connector.query(SLEEP[system], seconds=1))
    killer.join()

    assert session != lab.session()


@each_server
def test_write_is_not_repeated_after_its_session_was_killed(
    labs: Callable[..., Lab], system: str
) -> None:
    """If the session of a command is killed, it may have been processed, so it is not retried."""
    lab = labs(system, connections=1)
    killer = kill_during_statement(system, lab.session())
    with pytest.raises(ConnectionFailed) as excinfo:
        lab.perform(lab.connector.execute(SLOW_INSERT[system], id=1, seconds=60))
    killer.join()

    assert (1, True) == (excinfo.value.attempts, excinfo.value.may_have_been_processed)
    assert () == lab.query(LIST)


@each_server
def test_keyed_write_is_unknown_after_its_session_was_killed(
    labs: Callable[..., Lab], system: str
) -> None:
    """If a command with an idempotency key loses its session, it raises OutcomeUnknown."""
    lab = labs(system, connections=1)
    killer = kill_during_statement(system, lab.session())
    slow = lab.connector.execute(SLOW_INSERT[system], id=1, seconds=60)
    with pytest.raises(OutcomeUnknown):
        lab.perform(slow, idempotency_key="order-1")
    killer.join()
    with pytest.raises(OutcomeUnknown):
        lab.perform(slow, idempotency_key="order-1")


@each_server
def test_killed_transaction_is_repeated_before_its_commit(
    labs: Callable[..., Lab], system: str
) -> None:
    """If a transaction's session is killed before COMMIT, the transaction is retried."""
    lab = labs(system, connections=1)
    killers = [kill_during_statement(system, lab.session())]
    attempts: list[int] = []

    async def run_transaction(transaction: Any) -> None:
        attempts.append(len(attempts))
        await transaction.execute(INSERT, id=1, note="a")
        if len(attempts) == 1:
            await transaction.query(SLEEP[system], seconds=60)

    lab.transaction(run_transaction)
    killers[0].join()

    assert [0, 1] == attempts
    assert ((1, "a"),) == lab.query(LIST)


@each_server
def test_insert_repeated_with_same_idempotency_key_is_executed_once(
    labs: Callable[..., Lab], system: str
) -> None:
    """An insert repeated with the same idempotency key is executed once."""
    lab = labs(system)
    insert = lab.connector.execute(INSERT, id=1, note="a")

    assert [1, 1] == [lab.perform(insert, idempotency_key="order-1") for _ in range(2)]


@each_server
def test_broken_idle_connection_is_replaced(labs: Callable[..., Lab], system: str) -> None:
    """With `check_idle=True`, a write succeeds even if its idle connection was closed."""
    lab = labs(system, connections=1, check_idle=True)
    administrator, session = Administrator(system), lab.session()
    ending = "SELECT pg_terminate_backend({})" if system == "postgresql" else "KILL {}"
    administrator.ask(ending.format(session))
    administrator.close()

    assert 1 == lab.execute(INSERT, id=1, note="a")


@each_server
def test_exhausted_pool_names_the_holders(labs: Callable[..., Lab], system: str) -> None:
    """If the pool has no free connection, the error lists the operations that hold connections."""
    lab = labs(system, connections=1)
    refusals: list[BulkheadFull] = []

    async def run_transaction(transaction: Any) -> None:
        operation = lab.connector.query(LIST)
        with pytest.raises(BulkheadFull) as excinfo:  # noqa: PT012 - awaited in one mode
            result = operation.perform(OperationAttempt(1, 0.2))
            if lab.loop is not None:
                await result
        refusals.append(excinfo.value)
        assert (1, 0) == (
            lab.connector.statistics().active,
            lab.connector.statistics().waiting,
        )

    lab.transaction(run_transaction)

    assert "in use: work" in refusals[0].message
    assert 0 == lab.connector.statistics().active


@pytest.mark.untraced
@pytest.mark.untraced
@each_server
def test_ten_thousand_operations_reuse_their_connections(
    labs: Callable[..., Lab], system: str
) -> None:
    """Ten thousand operations open no more connections than the pool's maximum."""
    lab = labs(system, connections=2)
    one = lab.connector.query(Query("SELECT 1", name="one"))
    attempt = OperationAttempt(1, 30.0)
    for _ in range(10_000):
        lab.finish(one.perform(attempt))
    statistics = lab.connector.statistics()

    assert (1, 0, 1) == (statistics.created, statistics.active, statistics.idle)
    assert statistics.reuse > 0.99


@each_server
def test_cancelling_call_leaves_no_busy_session_behind(system: str) -> None:
    """After a call is cancelled, no session stays busy, and the connector stays usable."""
    administrator = Administrator(system)
    lab = Lab(system, "async", connections=1)
    session = lab.session()

    async def cancel() -> None:
        task = asyncio.ensure_future(
            lab.manager.perform("sql", lab.connector.query(SLEEP[system], seconds=60))
        )
        while not await asyncio.to_thread(administrator.is_busy, session):
            pass
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    lab.finish(cancel())
    assert 0 == lab.connector.statistics().active
    assert ((1,),) == lab.query(Query("SELECT 1", name="one"))
    lab.close()
    administrator.close()


@each_server
def test_unknown_database_is_refused(mode: str, system: str) -> None:
    """A missing database raises VendorRejected, and the call is not retried."""
    lab = Lab(system, mode, url=url_of(system, "moorage_missing"))
    with pytest.raises(VendorRejected, match="does not have this database") as excinfo:
        lab.query(LIST)
    lab.close()

    assert 1 == excinfo.value.attempts


@each_server
def test_unknown_host_is_named_as_the_cause(mode: str, system: str) -> None:
    """If a database host is unknown, the error says so and does not show the password."""
    url = f"{system}://user:hunter2@database.invalid/test"
    lab = Lab(system, mode, url=url)
    with pytest.raises(ConnectionFailed, match="host") as excinfo:
        lab.query(LIST)
    health = lab.finish(lab.connector.health(5.0))
    lab.close()

    assert not excinfo.value.may_have_been_processed
    assert (HealthState.UNAVAILABLE, True) == (health.state, "host" in (health.text or ""))
    for value in (excinfo.value, lab.connector, health, vars(lab.connector)):
        assert "hunter2" not in repr(value)


def test_wrong_password_is_refused(mode: str) -> None:
    """A wrong database password is refused without a retry, and the error does not show it."""
    administrator = Administrator("mariadb")
    user = f"moorage_{os.getpid()}"
    administrator.ask(f"CREATE OR REPLACE USER {user} IDENTIFIED BY 'right'")
    host = url_of("mariadb").rpartition("@")[2]
    lab = Lab("mariadb", mode, url=f"mariadb://{user}@{host}", password=Secret("hunter2"))
    try:
        with pytest.raises(AuthenticationFailed) as excinfo:
            lab.query(LIST)
    finally:
        administrator.ask(f"DROP USER {user}")
        administrator.close()
        lab.close()

    assert 1 == excinfo.value.attempts
    assert "hunter2" not in f"{excinfo.value!r} {vars(excinfo.value)}"


@each_server
def test_tls_that_the_server_does_not_offer_is_refused(mode: str, system: str) -> None:
    """If TLS is required and the server offers none, nothing is sent."""
    lab = Lab(system, mode, tls=Tls(authorities="/etc/ssl/certs/ca-certificates.crt"))
    with pytest.raises(ConnectionFailed, match="TLS") as excinfo:
        lab.query(LIST)
    lab.close()

    assert not excinfo.value.may_have_been_processed


@each_server
def test_silent_host_costs_no_more_than_the_call(mode: str, system: str) -> None:
    """If a database host accepts a connection but never responds, the call ends at its deadline."""
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        lab = Lab(system, mode, url=f"{system}://user:hunter2@127.0.0.1:{port}/test")
        with pytest.raises((DeadlineExceeded, ConnectionFailed)):
            lab.perform(lab.connector.query(LIST), timeout=0.3)
        lab.close()


@each_server
def test_statement_that_does_not_fit_is_refused(labs: Callable[..., Lab], system: str) -> None:
    """A statement on a missing table, or with a value out of range, is refused without a retry."""
    lab = labs(system)
    missing = Query("SELECT id FROM moorage_missing", name="missing")
    with pytest.raises(InvalidRequest) as excinfo:
        lab.query(missing)
    with pytest.raises((InvalidRequest, VendorRejected)):
        lab.execute(INSERT, id=2**70, note="a")

    assert 1 == excinfo.value.attempts


def test_forked_child_process_opens_its_own_connections_and_leaves_its_parent_alone() -> None:
    """A forked child opens its own connections instead of using those of its parent."""
    lab = Lab("postgresql", "sync", connections=1)
    session = lab.session()
    childs_session = run_in_forked_child(lab.session)

    assert session != childs_session
    assert session == lab.session()
    lab.close()


@each_system
def test_closed_connector_refuses(labs: Callable[..., Lab], system: str) -> None:
    """A closed connector refuses operations; closing it again has no effect."""
    lab = labs(system)
    lab.finish(lab.connector.close())
    with pytest.raises(LocalFailure, match="closed"):
        lab.query(LIST)


@each_system
def test_health_and_versions(labs: Callable[..., Lab], system: str) -> None:
    """A connector reports its database's health, and the versions of library and server."""
    lab = labs(system, name="erp")
    lab.finish(lab.connector.open(5.0))
    health = lab.finish(lab.connector.health(5.0))
    versions = lab.connector.versions

    assert ("erp", True) == (health.connector, health.is_healthy)
    assert "SQLAlchemy" in (versions.library or "")
    assert system in (versions.server or "")


@each_system
def test_statements_can_be_performed_by_name(labs: Callable[..., Lab], system: str) -> None:
    """Declared statements can be run by name, with plain JSON arguments and results."""
    lab = labs(system, statements=[INSERT, LIST])
    insert, rows = lab.connector.operations["insert"], lab.connector.operations["list"]
    assert 1 == insert.render(lab.perform(insert.build({"id": 1, "note": "a"})))

    assert {"id", "note"} == insert.required
    assert [{"id": 1, "note": "a"}] == rows.render(lab.perform(rows.build({})))
    with pytest.raises(InvalidData):
        insert.build({"id": 1})


def test_file_that_is_no_database_is_unhealthy(tmp_path: Path) -> None:
    """A SQLite file with other content is reported as unhealthy, and cannot be opened."""
    place = tmp_path / "a.db"
    place.write_bytes(b"letters, and no database" * 100)
    with SqlConnector(f"sqlite:///{place}") as connector:
        health = connector.health(5.0)
        with pytest.raises(VendorRejected, match="not a SQLite database") as excinfo:
            connector.open(5.0)

    assert (HealthState.UNAVAILABLE, excinfo.value.message) == (health.state, health.text)
    assert "SQLITE_NOTADB" == excinfo.value.vendor_code


def test_new_file_of_sqlite_is_healthy(tmp_path: Path) -> None:
    """A SQLite file without content is a healthy, empty database."""
    place = tmp_path / "a.db"
    place.touch()
    with SqlConnector(f"sqlite:///{place}") as connector:
        assert HealthState.HEALTHY is connector.health(5.0).state


def test_file_of_sqlite_would_block_an_event_loop() -> None:
    """AsyncSqlConnector refuses a SQLite file, because SQLite would block the event loop."""
    with pytest.raises(ConfigurationError, match="block"):
        AsyncSqlConnector("sqlite:///orders.db")


@pytest.mark.parametrize("url", ["", "oracle://user:hunter2@host/db", "hunter2"])
def test_wrong_url_is_refused_without_its_text(url: str) -> None:
    """A URL of an unsupported database is refused, and the error does not show the URL."""
    with pytest.raises((ConfigurationError, InvalidData)) as excinfo:
        SqlConnector(url)

    assert "hunter2" not in str(excinfo.value)


def test_other_event_loop_is_refused() -> None:
    """An asynchronous SQL connector refuses to be used in a second event loop."""
    lab = Lab("sqlite", "async")
    lab.query(Query("SELECT 1", name="one"))
    with pytest.raises(ConnectorError, match="another event loop"):
        asyncio.run(lab.connector.attempt("one", 1.0, lambda session: None))
    lab.close()


def test_double_quotes_are_refused_for_mysql(labs: Callable[..., Lab]) -> None:
    """MySQL may read a name in double quotes as a string, so such a name is refused for MySQL."""
    lab = labs("mariadb")
    with pytest.raises(InvalidData, match="double quotes"):
        lab.connector.query(Query('SELECT "id" FROM moorage_orders', name="quoted"))


def test_each_server_in_tests_has_query_for_its_session_id() -> None:
    """Each server in the tests has a query for its session id."""
    assert set(SERVERS) == set(SESSION)


def test_refused_stream_keeps_a_database_in_memory(mode: str) -> None:
    """If a streaming query on an in-memory database is refused, the database keeps its rows."""
    lab = Lab("sqlite", mode)
    lab.execute(CREATE)
    lab.execute(INSERT, id=1, note="a")
    missing = Query("SELECT id FROM moorage_missing", name="missing")
    with pytest.raises(InvalidRequest):
        lab.perform(lab.connector.stream(missing))

    assert ((1, "a"),) == lab.query(LIST)
    assert 1 == lab.connector.statistics().created
    lab.close()


@each_server
def test_refused_streaming_query_returns_its_connection_to_pool(
    labs: Callable[..., Lab], system: str
) -> None:
    """If a streaming query is refused, its connection returns to the pool."""
    lab = labs(system, connections=1)
    session = lab.session()
    missing = Query("SELECT id FROM moorage_missing", name="missing")
    with pytest.raises(InvalidRequest):
        lab.perform(lab.connector.stream(missing))

    assert session == lab.session()


def test_keyed_write_replays_its_rows() -> None:
    """A command repeated with an idempotency key returns the rows of its first execution."""
    lab = Lab("sqlite", "sync")
    lab.execute(CREATE)
    insert = Command(
        "INSERT INTO moorage_orders (id, note) VALUES (:id, :note) RETURNING id, note",
        name="insert",
    )
    operation = lab.connector.query(insert, id=1, note="a")
    rows = [lab.perform(operation, idempotency_key="order-1") for _ in range(2)]

    assert [((1, "a"),)] * 2 == rows
    assert "a" == rows[1][0].note
    lab.close()


@pytest.mark.parametrize("value", ["infinity", "20000-01-01", "4000-01-01 BC"])
def test_value_of_a_changed_row_that_python_cannot_represent(
    labs: Callable[..., Lab], value: str
) -> None:
    """If a command's rows cannot be read, the error says the command may have been executed."""
    lab = labs("postgresql")
    insert = Command(
        "INSERT INTO moorage_orders (id, note) VALUES (:id, :note)"
        " RETURNING CAST(note AS timestamp)",
        name="orders.insert",
    )
    with pytest.raises(ConnectionFailed, match="cannot convert a value") as excinfo:
        lab.perform(lab.connector.query(insert, id=1, note=value))
    assert (True, False) == (excinfo.value.may_have_been_processed, excinfo.value.retryable)
    with pytest.raises(InvalidRequest, match="cannot convert a value"):
        lab.perform(lab.connector.batch((insert, {"id": 2, "note": value}), name="orders.add"))
    assert ((1, value),) == lab.query(LIST)


def test_value_in_a_stream_that_python_cannot_represent(labs: Callable[..., Lab]) -> None:
    """A stream with an unreadable value raises an error that names the cause."""
    lab = labs("postgresql")
    lab.execute(INSERT, id=1, note="infinity")
    dates = Query("SELECT CAST(note AS timestamp), note FROM moorage_orders", name="dates")
    with pytest.raises(InvalidRequest, match="cannot convert a value"):
        lab.first_rows(lab.connector.stream(dates), 2)
    assert ((1, "infinity"),) == lab.query(LIST)
