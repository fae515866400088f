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
from tests.adapters.sql.database_harness import (
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
    Harness,
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
def test_rows_come_back_as_immutable_values(harnesses: Callable[..., Harness], system: str) -> None:
    """A command returns the number of changed rows; a query returns rows that cannot be changed."""
    harness = harnesses(system)
    assert 1 == harness.execute(INSERT, id=1, note="bolt")
    assert 1 == harness.execute(INSERT, id=2, note=None)
    rows = harness.query(LIST)

    assert ((1, "bolt"), (2, None)) == rows
    assert ("id", "note") == rows[0]._fields
    assert (("bolt",), (None,)) == harness.query(FIND, ids=(1, 2))
    assert () == harness.query(FIND, ids=[])


@each_system
def test_parameter_value_that_looks_like_sql_is_stored_unchanged(
    harnesses: Callable[..., Harness], system: str
) -> None:
    """A parameter value that looks like SQL is stored unchanged."""
    harness = harnesses(system)
    harness.execute(INSERT, id=1, note=EVIL)

    assert ((EVIL,),) == harness.query(FIND, ids=[1])


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
    harnesses: Callable[..., Harness], system: str, parameters: dict[str, Any]
) -> None:
    """Missing and unknown parameters, and values of other types, are refused before sending."""
    harness = harnesses(system)
    with pytest.raises(InvalidData) as excinfo:
        harness.connector.execute(INSERT, **parameters)

    assert "'x'" not in str(excinfo.value)


def test_list_parameter_becomes_an_array(harnesses: Callable[..., Harness]) -> None:
    """A list parameter becomes a PostgreSQL array."""
    harness = harnesses("postgresql")
    query = Query("SELECT unnest(CAST(:notes AS text[]))", name="unnest")

    assert (("a",), (EVIL,)) == harness.query(query, notes=["a", EVIL])


@each_system
def test_batch_is_one_transaction(harnesses: Callable[..., Harness], system: str) -> None:
    """A batch is one transaction: if a statement fails, none takes effect."""
    harness = harnesses(system)
    first, second = {"id": 1, "note": "a"}, {"id": 2, "note": "b"}
    with pytest.raises(VendorRejected):
        harness.perform(
            harness.connector.batch((INSERT, first), (INSERT, first), name="orders.import")
        )
    assert () == harness.query(LIST)
    results = harness.perform(
        harness.connector.batch((INSERT, first), (INSERT, second), (LIST, {}), name="orders.import")
    )

    assert (1, 1, ((1, "a"), (2, "b"))) == results


@each_system
def test_failure_inside_savepoint_undoes_only_savepoint_block(
    harnesses: Callable[..., Harness], system: str
) -> None:
    """A failure inside a savepoint undoes only the savepoint's block."""
    harness = harnesses(system)

    async def run_transaction(transaction: Any) -> Any:
        await transaction.execute(INSERT, id=1, note="kept")
        with pytest.raises(VendorRejected):  # noqa: PT012 - what is undone
            async with transaction.savepoint():
                await transaction.execute(INSERT, id=2, note="undone")
                await transaction.execute(INSERT, id=1, note="duplicate")
        async with transaction.savepoint():
            await transaction.execute(INSERT, id=3, note="kept")
        return await transaction.query(LIST)

    assert ((1, "kept"), (3, "kept")) == harness.transaction(run_transaction) == harness.query(LIST)


@each_system
def test_rows_are_written_together(harnesses: Callable[..., Harness], system: str) -> None:
    """`execute_each` writes all rows or no row."""
    harness = harnesses(system)
    rows = [{"id": number, "note": "a"} for number in range(1, 4)]

    async def run_transaction(transaction: Any, rows: list[dict[str, Any]]) -> None:
        await transaction.execute_each(INSERT, [])
        await transaction.execute_each(INSERT, rows)

    with pytest.raises(VendorRejected):
        harness.transaction(lambda transaction: run_transaction(transaction, [*rows, rows[0]]))
    with pytest.raises(InvalidData, match="lacks the parameters note"):
        harness.transaction(lambda transaction: run_transaction(transaction, [*rows, {"id": 4}]))
    assert () == harness.query(LIST)
    harness.transaction(lambda transaction: run_transaction(transaction, rows))

    assert ((1, "a"), (2, "a"), (3, "a")) == harness.query(LIST)


@each_system
def test_exception_of_the_function_undoes_the_transaction(
    harnesses: Callable[..., Harness], system: str
) -> None:
    """An exception of the transaction function is raised unchanged after a rollback."""
    harness = harnesses(system)
    failure = KeyError("a defect")
    ended: list[Any] = []

    async def run_transaction(transaction: Any) -> None:
        ended.append(transaction)
        await transaction.execute(INSERT, id=1, note="a")
        raise failure

    with pytest.raises(KeyError) as excinfo:
        harness.transaction(run_transaction)

    assert failure is excinfo.value
    assert () == harness.query(LIST)
    assert 1 == harness.connector.statistics().created
    with pytest.raises(InvalidData, match="has ended"):
        harness.finish(ended[0].query(LIST)) if harness.loop else run_now(ended[0].query(LIST))


def test_conflict_repeats_the_whole_transaction(harnesses: Callable[..., Harness]) -> None:
    """A transaction that conflicts with another one is retried as a whole."""
    harness = harnesses("postgresql")
    administrator = Administrator("postgresql")
    schema = harness.query(Query("SELECT current_schema() AS name", name="schema"))[0].name
    harness.execute(INSERT, id=1, note="a")
    notes: list[Any] = []

    async def run_transaction(transaction: Any) -> None:
        notes.append((await transaction.query(LIST))[0].note)
        if len(notes) == 1:
            administrator.ask(f"UPDATE {schema}.moorage_orders SET note = 'b'")
        await transaction.execute(UPDATE, id=1, note="c")

    harness.transaction(run_transaction, isolation="repeatable read")
    administrator.close()

    assert ["a", "b"] == notes
    assert "c" == harness.query(LIST)[0].note


def test_unknown_isolation_level_is_refused(harnesses: Callable[..., Harness]) -> None:
    """An unknown isolation level is refused."""
    harness = harnesses("postgresql")

    async def run_transaction(transaction: Any) -> None:
        await transaction.query(LIST)

    with pytest.raises(InvalidData, match="isolation level"):
        harness.transaction(run_transaction, isolation="serializable; DROP TABLE moorage_orders")


@each_system
def test_stream_holds_few_rows(harnesses: Callable[..., Harness], system: str) -> None:
    """A stream can read only the first rows of an endless query; leaving frees its connection."""
    harness = harnesses(system, connections=1)
    for _ in range(3):
        rows = harness.first_rows(harness.connector.stream(ENDLESS[system], low=1, batch=100), 250)
        assert list(range(1, 251)) == [row[0] for row in rows]

    assert () == harness.query(LIST)
    assert 0 == harness.connector.statistics().active


@each_system
def test_stream_ends_with_its_rows(harnesses: Callable[..., Harness], system: str) -> None:
    """A stream that is read to its end returns its connection to the pool."""
    harness = harnesses(system, connections=1)
    harness.perform(
        harness.connector.batch(
            *((INSERT, {"id": n, "note": "a"}) for n in range(25)), name="import"
        )
    )
    created = harness.connector.statistics().created
    rows = harness.first_rows(harness.connector.stream(LIST, batch=10), 100)

    assert list(range(25)) == [row.id for row in rows]
    assert created == harness.connector.statistics().created


@each_system
def test_change_cannot_be_streamed(harnesses: Callable[..., Harness], system: str) -> None:
    """A command cannot be streamed, and no stream can have batches of zero rows."""
    harness = harnesses(system)
    with pytest.raises(InvalidData, match="not a query"):
        harness.connector.stream(INSERT, id=1, note="a")
    with pytest.raises(InvalidData, match="at least one row"):
        harness.connector.stream(LIST, batch=0)


@each_server
def test_server_ends_a_slow_statement(harnesses: Callable[..., Harness], system: str) -> None:
    """The server cancels a slow statement before the call's deadline.

    The connection stays open.
    """
    harness = harnesses(system, connections=1)
    session = harness.session()
    with pytest.raises((DeadlineExceeded, ConnectionFailed)) as excinfo:
        harness.perform(
            harness.connector.execute(SLOW_INSERT[system], id=1, seconds=60), timeout=0.4
        )

    assert not excinfo.value.may_have_been_processed
    assert session == harness.session()
    assert () == harness.query(LIST)


def test_sqlite_ends_a_slow_statement(harnesses: Callable[..., Harness]) -> None:
    """A slow SQLite statement is interrupted at the call's deadline."""
    harness = harnesses("sqlite")
    count = Query(
        "WITH RECURSIVE series(n) AS (VALUES (:low) UNION ALL SELECT n + 1 FROM series)"
        " SELECT count(*) FROM series",
        name="count",
    )
    with pytest.raises((DeadlineExceeded, ConnectionFailed)) as excinfo:
        harness.perform(harness.connector.query(count, low=1), timeout=0.3)

    assert not excinfo.value.may_have_been_processed
    assert () == harness.query(LIST)


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
    harnesses: Callable[..., Harness], system: str
) -> None:
    """If the session of a query is killed, the query is retried on another connection."""
    harness = harnesses(system, connections=1)
    session = harness.session()
    killer = kill_during_statement(system, session)
    harness.perform(harness.connector.query(SLEEP[system], seconds=1))
    killer.join()

    assert session != harness.session()


@each_server
def test_write_is_not_repeated_after_its_session_was_killed(
    harnesses: Callable[..., Harness], system: str
) -> None:
    """If the session of a command is killed, it may have been processed, so it is not retried."""
    harness = harnesses(system, connections=1)
    killer = kill_during_statement(system, harness.session())
    with pytest.raises(ConnectionFailed) as excinfo:
        harness.perform(harness.connector.execute(SLOW_INSERT[system], id=1, seconds=60))
    killer.join()

    assert (1, True) == (excinfo.value.attempts, excinfo.value.may_have_been_processed)
    assert () == harness.query(LIST)


@each_server
def test_keyed_write_is_unknown_after_its_session_was_killed(
    harnesses: Callable[..., Harness], system: str
) -> None:
    """If a command with an idempotency key loses its session, it raises OutcomeUnknown."""
    harness = harnesses(system, connections=1)
    killer = kill_during_statement(system, harness.session())
    slow = harness.connector.execute(SLOW_INSERT[system], id=1, seconds=60)
    with pytest.raises(OutcomeUnknown):
        harness.perform(slow, idempotency_key="order-1")
    killer.join()
    with pytest.raises(OutcomeUnknown):
        harness.perform(slow, idempotency_key="order-1")


@each_server
def test_killed_transaction_is_repeated_before_its_commit(
    harnesses: Callable[..., Harness], system: str
) -> None:
    """If a transaction's session is killed before COMMIT, the transaction is retried."""
    harness = harnesses(system, connections=1)
    killers = [kill_during_statement(system, harness.session())]
    attempts: list[int] = []

    async def run_transaction(transaction: Any) -> None:
        attempts.append(len(attempts))
        await transaction.execute(INSERT, id=1, note="a")
        if len(attempts) == 1:
            await transaction.query(SLEEP[system], seconds=60)

    harness.transaction(run_transaction)
    killers[0].join()

    assert [0, 1] == attempts
    assert ((1, "a"),) == harness.query(LIST)


@each_server
def test_insert_repeated_with_same_idempotency_key_is_executed_once(
    harnesses: Callable[..., Harness], system: str
) -> None:
    """An insert repeated with the same idempotency key is executed once."""
    harness = harnesses(system)
    insert = harness.connector.execute(INSERT, id=1, note="a")

    assert [1, 1] == [harness.perform(insert, idempotency_key="order-1") for _ in range(2)]


@each_server
def test_broken_idle_connection_is_replaced(harnesses: Callable[..., Harness], system: str) -> None:
    """With `check_idle=True`, a write succeeds even if its idle connection was closed."""
    harness = harnesses(system, connections=1, check_idle=True)
    administrator, session = Administrator(system), harness.session()
    ending = "SELECT pg_terminate_backend({})" if system == "postgresql" else "KILL {}"
    administrator.ask(ending.format(session))
    administrator.close()

    assert 1 == harness.execute(INSERT, id=1, note="a")


@each_server
def test_exhausted_pool_names_the_holders(harnesses: Callable[..., Harness], system: str) -> None:
    """If the pool has no free connection, the error lists the operations that hold connections."""
    harness = harnesses(system, connections=1)
    refusals: list[BulkheadFull] = []

    async def run_transaction(transaction: Any) -> None:
        operation = harness.connector.query(LIST)
        with pytest.raises(BulkheadFull) as excinfo:  # noqa: PT012 - awaited in one mode
            result = operation.perform(OperationAttempt(1, 0.2))
            if harness.loop is not None:
                await result
        refusals.append(excinfo.value)
        assert (1, 0) == (
            harness.connector.statistics().active,
            harness.connector.statistics().waiting,
        )

    harness.transaction(run_transaction)

    assert "in use: work" in refusals[0].message
    assert 0 == harness.connector.statistics().active


@pytest.mark.untraced
@pytest.mark.untraced
@each_server
def test_ten_thousand_operations_reuse_their_connections(
    harnesses: Callable[..., Harness], system: str
) -> None:
    """Ten thousand operations open no more connections than the pool's maximum."""
    harness = harnesses(system, connections=2)
    one = harness.connector.query(Query("SELECT 1", name="one"))
    attempt = OperationAttempt(1, 30.0)
    for _ in range(10_000):
        harness.finish(one.perform(attempt))
    statistics = harness.connector.statistics()

    assert (1, 0, 1) == (statistics.created, statistics.active, statistics.idle)
    assert statistics.reuse > 0.99


@each_server
def test_cancelling_call_leaves_no_busy_session_behind(system: str) -> None:
    """After a call is cancelled, no session stays busy, and the connector stays usable."""
    administrator = Administrator(system)
    harness = Harness(system, "async", connections=1)
    session = harness.session()

    async def cancel() -> None:
        task = asyncio.ensure_future(
            harness.manager.perform("sql", harness.connector.query(SLEEP[system], seconds=60))
        )
        while not await asyncio.to_thread(administrator.is_busy, session):
            pass
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    harness.finish(cancel())
    assert 0 == harness.connector.statistics().active
    assert ((1,),) == harness.query(Query("SELECT 1", name="one"))
    harness.close()
    administrator.close()


@each_server
def test_unknown_database_is_refused(mode: str, system: str) -> None:
    """A missing database raises VendorRejected, and the call is not retried."""
    harness = Harness(system, mode, url=url_of(system, "moorage_missing"))
    with pytest.raises(VendorRejected, match="does not have this database") as excinfo:
        harness.query(LIST)
    harness.close()

    assert 1 == excinfo.value.attempts


@each_server
def test_unknown_host_is_named_as_the_cause(mode: str, system: str) -> None:
    """If a database host is unknown, the error says so and does not show the password."""
    url = f"{system}://user:hunter2@database.invalid/test"
    harness = Harness(system, mode, url=url)
    with pytest.raises(ConnectionFailed, match="host") as excinfo:
        harness.query(LIST)
    health = harness.finish(harness.connector.health(5.0))
    harness.close()

    assert not excinfo.value.may_have_been_processed
    assert (HealthState.UNAVAILABLE, True) == (health.state, "host" in (health.text or ""))
    for value in (excinfo.value, harness.connector, health, vars(harness.connector)):
        assert "hunter2" not in repr(value)


def test_wrong_password_is_refused(mode: str) -> None:
    """A wrong database password is refused without a retry, and the error does not show it."""
    administrator = Administrator("mariadb")
    user = f"moorage_{os.getpid()}"
    administrator.ask(f"CREATE OR REPLACE USER {user} IDENTIFIED BY 'right'")
    host = url_of("mariadb").rpartition("@")[2]
    harness = Harness("mariadb", mode, url=f"mariadb://{user}@{host}", password=Secret("hunter2"))
    try:
        with pytest.raises(AuthenticationFailed) as excinfo:
            harness.query(LIST)
    finally:
        administrator.ask(f"DROP USER {user}")
        administrator.close()
        harness.close()

    assert 1 == excinfo.value.attempts
    assert "hunter2" not in f"{excinfo.value!r} {vars(excinfo.value)}"


@each_server
def test_tls_that_the_server_does_not_offer_is_refused(mode: str, system: str) -> None:
    """If TLS is required and the server offers none, nothing is sent."""
    harness = Harness(system, mode, tls=Tls(authorities="/etc/ssl/certs/ca-certificates.crt"))
    with pytest.raises(ConnectionFailed, match="TLS") as excinfo:
        harness.query(LIST)
    harness.close()

    assert not excinfo.value.may_have_been_processed


@each_server
def test_silent_host_costs_no_more_than_the_call(mode: str, system: str) -> None:
    """If a database host accepts a connection but never responds, the call ends at its deadline."""
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        harness = Harness(system, mode, url=f"{system}://user:hunter2@127.0.0.1:{port}/test")
        with pytest.raises((DeadlineExceeded, ConnectionFailed)):
            harness.perform(harness.connector.query(LIST), timeout=0.3)
        harness.close()


@each_server
def test_statement_that_does_not_fit_is_refused(
    harnesses: Callable[..., Harness], system: str
) -> None:
    """A statement on a missing table, or with a value out of range, is refused without a retry."""
    harness = harnesses(system)
    missing = Query("SELECT id FROM moorage_missing", name="missing")
    with pytest.raises(InvalidRequest) as excinfo:
        harness.query(missing)
    with pytest.raises((InvalidRequest, VendorRejected)):
        harness.execute(INSERT, id=2**70, note="a")

    assert 1 == excinfo.value.attempts


def test_forked_child_process_opens_its_own_connections_and_leaves_its_parent_alone() -> None:
    """A forked child opens its own connections instead of using those of its parent."""
    harness = Harness("postgresql", "sync", connections=1)
    session = harness.session()
    childs_session = run_in_forked_child(harness.session)

    assert session != childs_session
    assert session == harness.session()
    harness.close()


@each_system
def test_closed_connector_refuses(harnesses: Callable[..., Harness], system: str) -> None:
    """A closed connector refuses operations; closing it again has no effect."""
    harness = harnesses(system)
    harness.finish(harness.connector.close())
    with pytest.raises(LocalFailure, match="closed"):
        harness.query(LIST)


@each_system
def test_health_and_versions(harnesses: Callable[..., Harness], system: str) -> None:
    """A connector reports its database's health, and the versions of library and server."""
    harness = harnesses(system, name="erp")
    harness.finish(harness.connector.open(5.0))
    health = harness.finish(harness.connector.health(5.0))
    versions = harness.connector.versions

    assert ("erp", True) == (health.connector, health.is_healthy)
    assert "SQLAlchemy" in (versions.library or "")
    assert system in (versions.server or "")


@each_system
def test_statements_can_be_performed_by_name(
    harnesses: Callable[..., Harness], system: str
) -> None:
    """Declared statements can be run by name, with plain JSON arguments and results."""
    harness = harnesses(system, statements=[INSERT, LIST])
    insert, rows = harness.connector.operations["insert"], harness.connector.operations["list"]
    assert 1 == insert.render(harness.perform(insert.build({"id": 1, "note": "a"})))

    assert {"id", "note"} == insert.required
    assert [{"id": 1, "note": "a"}] == rows.render(harness.perform(rows.build({})))
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
    harness = Harness("sqlite", "async")
    harness.query(Query("SELECT 1", name="one"))
    with pytest.raises(ConnectorError, match="another event loop"):
        asyncio.run(harness.connector.attempt("one", 1.0, lambda session: None))
    harness.close()


def test_double_quotes_are_refused_for_mysql(harnesses: Callable[..., Harness]) -> None:
    """MySQL may read a name in double quotes as a string, so such a name is refused for MySQL."""
    harness = harnesses("mariadb")
    with pytest.raises(InvalidData, match="double quotes"):
        harness.connector.query(Query('SELECT "id" FROM moorage_orders', name="quoted"))


def test_each_server_in_tests_has_query_for_its_session_id() -> None:
    """Each server in the tests has a query for its session id."""
    assert set(SERVERS) == set(SESSION)


def test_refused_stream_keeps_a_database_in_memory(mode: str) -> None:
    """If a streaming query on an in-memory database is refused, the database keeps its rows."""
    harness = Harness("sqlite", mode)
    harness.execute(CREATE)
    harness.execute(INSERT, id=1, note="a")
    missing = Query("SELECT id FROM moorage_missing", name="missing")
    with pytest.raises(InvalidRequest):
        harness.perform(harness.connector.stream(missing))

    assert ((1, "a"),) == harness.query(LIST)
    assert 1 == harness.connector.statistics().created
    harness.close()


@each_server
def test_refused_streaming_query_returns_its_connection_to_pool(
    harnesses: Callable[..., Harness], system: str
) -> None:
    """If a streaming query is refused, its connection returns to the pool."""
    harness = harnesses(system, connections=1)
    session = harness.session()
    missing = Query("SELECT id FROM moorage_missing", name="missing")
    with pytest.raises(InvalidRequest):
        harness.perform(harness.connector.stream(missing))

    assert session == harness.session()


def test_keyed_write_replays_its_rows() -> None:
    """A command repeated with an idempotency key returns the rows of its first execution."""
    harness = Harness("sqlite", "sync")
    harness.execute(CREATE)
    insert = Command(
        "INSERT INTO moorage_orders (id, note) VALUES (:id, :note) RETURNING id, note",
        name="insert",
    )
    operation = harness.connector.query(insert, id=1, note="a")
    rows = [harness.perform(operation, idempotency_key="order-1") for _ in range(2)]

    assert [((1, "a"),)] * 2 == rows
    assert "a" == rows[1][0].note
    harness.close()


@pytest.mark.parametrize("value", ["infinity", "20000-01-01", "4000-01-01 BC"])
def test_value_of_a_changed_row_that_python_cannot_represent(
    harnesses: Callable[..., Harness], value: str
) -> None:
    """If a command's rows cannot be read, the error says the command may have been executed."""
    harness = harnesses("postgresql")
    insert = Command(
        "INSERT INTO moorage_orders (id, note) VALUES (:id, :note)"
        " RETURNING CAST(note AS timestamp)",
        name="orders.insert",
    )
    with pytest.raises(ConnectionFailed, match="cannot convert a value") as excinfo:
        harness.perform(harness.connector.query(insert, id=1, note=value))
    assert (True, False) == (excinfo.value.may_have_been_processed, excinfo.value.retryable)
    with pytest.raises(InvalidRequest, match="cannot convert a value"):
        harness.perform(
            harness.connector.batch((insert, {"id": 2, "note": value}), name="orders.add")
        )
    assert ((1, value),) == harness.query(LIST)


def test_value_in_a_stream_that_python_cannot_represent(harnesses: Callable[..., Harness]) -> None:
    """A stream with an unreadable value raises an error that names the cause."""
    harness = harnesses("postgresql")
    harness.execute(INSERT, id=1, note="infinity")
    dates = Query("SELECT CAST(note AS timestamp), note FROM moorage_orders", name="dates")
    with pytest.raises(InvalidRequest, match="cannot convert a value"):
        harness.first_rows(harness.connector.stream(dates), 2)
    assert ((1, "infinity"),) == harness.query(LIST)
