"""Errors of the SQL connector that can be tested without a database server."""

from __future__ import annotations

import asyncio
import enum
import ssl
import sys
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pymysql  # type: ignore[import-untyped]  # it has no types
import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from sqlalchemy.exc import StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from moorage import (
    AsyncConnectorManager,
    AttemptTimeout,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    ConnectorManager,
    DangerouslyUnverified,
    InvalidData,
    InvalidRequest,
    LocalFailure,
    Service,
    Tls,
)
from moorage.adapters.sql._connecting import _demand_tls, _tls_arguments
from moorage.adapters.sql._driver_errors import driver_error_of
from moorage.adapters.sql._links import limit_statement
from moorage.adapters.sql.connector import AsyncSqlConnector, SqlConnector
from moorage.adapters.sql.statements import Command, Query
from moorage.domain.connectors.named_operation import NamedOperation
from moorage.domain.connectors.sql_failures import SqlPhase
from moorage.domain.service.operation import OperationAttempt
from tests.support.threads import no_new_threads

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

CREATE = Command("CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT)", name="orders.create")
INSERT = Command("INSERT INTO orders (id, note) VALUES (:id, :note)", name="orders.insert")
FIND = Query("SELECT note FROM orders WHERE id IN :ids", name="orders.find")
ABSOLUTE = Query("SELECT abs(id) FROM orders ORDER BY id DESC", name="orders.absolute")
SELECT_ONE = Query("SELECT 1", name="one")
MISSING_TABLE = Query("SELECT id FROM nowhere", name="nowhere.list")
ORDERS = sa.table("orders", sa.column("id"), sa.column("note"))
SELECT_BY_IDS = Query(
    sa.select(ORDERS.c.note).where(ORDERS.c.id.in_(sa.bindparam("ids", expanding=True))),
    name="orders.by-ids",
)


class Paint(enum.Enum):
    """An enumeration whose values are strings, used as a parameter."""

    RED = "red"


@pytest.fixture
def manager() -> ConnectorManager:
    """Yield a manager with a service for the connector."""
    return ConnectorManager([Service("sql", retry=None)])


@pytest.fixture
def connector(manager: ConnectorManager) -> Generator[SqlConnector]:
    """Yield a connector to an in-memory database with a table."""
    with SqlConnector("sqlite://") as connector:
        manager.perform("sql", connector.execute(CREATE))
        yield connector


def test_expressions_have_parameters(manager: ConnectorManager, connector: SqlConnector) -> None:
    """An SQLAlchemy expression accepts lists as parameters; an enum member is sent as its value."""
    for number, note in ((1, Paint.RED), (2, "bolt")):
        manager.perform("sql", connector.execute(INSERT, id=number, note=note))

    assert (("red",), ("bolt",)) == manager.perform(
        "sql", connector.query(SELECT_BY_IDS, ids=[1, 2])
    )
    assert (("bolt",),) == manager.perform("sql", connector.query(FIND, ids=(2,)))


@pytest.mark.parametrize("query", [SELECT_BY_IDS, FIND])
def test_parameter_after_in_must_be_list(connector: SqlConnector, query: Query) -> None:
    """A parameter after IN must be a list."""
    with pytest.raises(InvalidData, match="must be a list"):
        connector.query(query, ids=1)


def test_operations_show_only_their_names(connector: SqlConnector) -> None:
    """The repr of an SQL operation does not show its parameters."""
    assert "<SqlOperation orders.insert>" == repr(connector.execute(INSERT, id=1, note="secret"))


def test_pool_without_connections_is_refused() -> None:
    """A connector with `connections=0` is refused."""
    with pytest.raises(InvalidData, match="at least one connection"):
        SqlConnector("sqlite://", connections=0)


def test_stream_that_cannot_be_opened(manager: ConnectorManager, connector: SqlConnector) -> None:
    """Streaming from a missing table fails when the stream opens; the connector stays usable."""
    with pytest.raises(ConnectorError):
        manager.perform("sql", connector.stream(MISSING_TABLE))

    assert ((1,),) == manager.perform("sql", connector.query(SELECT_ONE))


def test_asynchronous_stream_that_cannot_be_opened() -> None:
    """With the asynchronous connector, streaming from a missing table fails when it is opened."""

    async def body() -> None:
        manager = AsyncConnectorManager([Service("sql", retry=None)])
        async with AsyncSqlConnector("sqlite://") as connector:
            await manager.perform("sql", connector.execute(CREATE))
            with pytest.raises(ConnectorError):
                await manager.perform("sql", connector.stream(MISSING_TABLE))
            assert ((1,),) == await manager.perform("sql", connector.query(SELECT_ONE))

    asyncio.run(body())


def test_interrupted_work_closes_its_connection(
    manager: ConnectorManager, connector: SqlConnector
) -> None:
    """KeyboardInterrupt in a transaction reaches the caller; its connection is not used again."""

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        manager.perform("sql", connector.transaction(interrupted, name="orders.interrupted"))
    statistics = connector.statistics()
    assert statistics is not None
    assert 0 == statistics.active


@pytest.mark.parametrize(
    "url, tls, path",
    [
        ("sqlite://", Tls(), "tls"),
        ("mysql://user@127.0.0.1/db", Tls(authorities=b"-----BEGIN CERTIFICATE-----"), "tls"),
    ],
)
def test_tls_that_a_driver_cannot_use(url: str, tls: Tls, path: str) -> None:
    """TLS settings that a driver cannot use are refused, for example those for SQLite."""
    with pytest.raises(ConfigurationError) as excinfo:
        SqlConnector(url, tls=tls)
    assert path == excinfo.value.path


@pytest.mark.parametrize(
    "url, library, extra",
    [
        ("postgresql://db/erp", "psycopg", "postgresql"),
        ("mariadb://db/erp", "pymysql", "mysql"),
    ],
)
def test_missing_driver_is_named(
    monkeypatch: pytest.MonkeyPatch, url: str, library: str, extra: str
) -> None:
    """If the database driver is not installed, the error names the pip extra to install."""
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigurationError, match=f"needs {library}") as excinfo:
        SqlConnector(url)

    assert "url" == excinfo.value.path
    assert f"[{extra}]" in (excinfo.value.remedy or "")


@pytest.mark.parametrize("connector", [SqlConnector, AsyncSqlConnector])
@pytest.mark.parametrize(
    "url, problem",
    [
        ("postgresql://db/erp?slmode=require", "an option 'slmode'"),
        ("postgresql://db/erp?sslmode=yes", "sslmode in the URL"),
        ("postgresql://db/erp?port=x", "not a whole number"),
        ("mariadb://db/erp?time_out=3", "an option 'time_out'"),
        ("mariadb://db/erp?charset=utf9", "charset in the URL"),
    ],
)
def test_wrong_options_in_the_url_are_named(
    connector: type[SqlConnector | AsyncSqlConnector], url: str, problem: str
) -> None:
    """If a URL has an option that the driver does not support, making the connector fails."""
    with pytest.raises(ConfigurationError, match=problem) as excinfo:
        connector(url)
    assert "url" == excinfo.value.path


@pytest.mark.parametrize("connector", [SqlConnector, AsyncSqlConnector])
@pytest.mark.parametrize(
    "url",
    [
        "postgresql://db/erp?sslmode=verify-full&connect_timeout=3&application_name=erp",
        "postgresql://erp?host=a:5432&host=b:5432&target_session_attrs=read-write",
        "mariadb://db/erp?charset=utf8mb4&connect_timeout=3",
    ],
)
def test_options_of_the_driver_may_stand_in_the_url(
    connector: type[SqlConnector | AsyncSqlConnector], url: str
) -> None:
    """A database URL's query string may contain options of libpq, PyMySQL and asyncmy."""
    assert isinstance(connector(url), connector)


def test_login_without_the_demanded_tls() -> None:
    """A MySQL connection that logged in without the required TLS is closed and refused."""
    closed: list[bool] = []
    _demand_tls(SimpleNamespace(_secure=True), None)
    assert [] == closed
    connection = SimpleNamespace(_secure=False, close=lambda: closed.append(True))
    with pytest.raises(ConnectionFailed):
        _demand_tls(connection, None)
    assert [True] == closed


@pytest.mark.parametrize(
    "system, is_mariadb, statement",
    [
        ("postgresql", False, "SET statement_timeout = 1500"),
        ("sqlite", False, "PRAGMA busy_timeout = 1500"),
        ("mysql", True, "SET max_statement_time = 1.500"),
        ("mysql", False, "SET max_execution_time = 1500"),
    ],
)
def test_time_limit_of_a_statement(system: str, is_mariadb: bool, statement: str) -> None:
    """A statement's time limit is set through each database system's own setting."""
    assert statement == limit_statement(SimpleNamespace(name=system, is_mariadb=is_mariadb), 1500)


def with_cause(error: Exception, cause: Exception) -> Exception:
    """Return an exception with this cause."""
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error, kind",
    [
        (PoolTimeoutError("no connection"), AttemptTimeout),
        (StatementError("a value", "SELECT", {}, ValueError("7")), InvalidRequest),
        (with_cause(OSError("silent"), TimeoutError()), AttemptTimeout),
        (OSError("reset"), ConnectionFailed),
    ],
)
@pytest.mark.parametrize("system", ["postgresql", "mysql", "sqlite"])
def test_driver_exceptions_become_moorage_errors(
    error: Exception, kind: type[ConnectorError], system: str
) -> None:
    """The exceptions of a database driver become moorage errors; others stay unchanged."""
    assert isinstance(driver_error_of(error, system, SqlPhase.SENT), kind)
    assert driver_error_of(KeyError("x"), system, SqlPhase.SENT) is None


def test_stream_that_fails_between_its_rows(
    manager: ConnectorManager, connector: SqlConnector
) -> None:
    """If the database fails at a row, the stream yields the rows before it, and then raises."""
    for number in (3, 2, 1, -(2**63)):
        manager.perform("sql", connector.execute(INSERT, id=number, note=None))
    rows: list[Any] = []
    with (
        manager.perform("sql", connector.stream(ABSOLUTE, batch=1)) as stream,
        pytest.raises(ConnectorError),
    ):
        rows.extend(stream)

    # The driver may compute a row before the previous one is read.
    assert rows
    assert [(3,), (2,), (1,)][: len(rows)] == rows
    assert [] == list(stream)


def test_stream_that_is_left_early(manager: ConnectorManager, connector: SqlConnector) -> None:
    """If a caller leaves a stream early, its connection is free at the end of the `with` block."""
    for number in (1, 2, 3):
        manager.perform("sql", connector.execute(INSERT, id=number, note=None))
    with manager.perform("sql", connector.stream(ABSOLUTE, batch=1)) as stream:
        assert (3,) == next(iter(stream))

    assert 3 == len(manager.perform("sql", connector.query(ABSOLUTE)))


def test_tls_settings_reach_the_mysql_driver(tmp_path: Path) -> None:
    """The connector's TLS settings are applied to the SSL context that a MySQL driver gets."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "erp")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), serial_number=1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2040, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    paths = tmp_path / "certificate.pem", tmp_path / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    tls = Tls(
        certificate=str(paths[0]),
        key=str(paths[1]),
        unverified=DangerouslyUnverified(because="a test without an authority"),
    )
    context = _tls_arguments("mysql", tls)["ssl"]

    assert ssl.CERT_NONE == context.verify_mode
    assert not context.check_hostname


def test_ddl_is_refused() -> None:
    """An SQLAlchemy DDL object is refused as a statement, because it contains plain text."""
    statement: Any = sa.DDL("DROP TABLE orders")  # type: ignore[no-untyped-call]  # SQLAlchemy's
    with pytest.raises(InvalidData):
        Command(statement, name="orders.drop")


def test_driver_exception_without_a_code_is_an_invalid_request() -> None:
    """If a MySQL driver's exception has no error code, it becomes an InvalidRequest."""
    error = pymysql.ProgrammingError("cursor closed")
    assert isinstance(driver_error_of(error, "mysql", SqlPhase.SENT), InvalidRequest)


def test_result_of_a_named_operation_is_plain_by_default() -> None:
    """A named operation without a `render` function returns its result unchanged."""
    operation = NamedOperation(name="ask", about="Ask.", build=dict)
    assert {"a": 1} == operation.render({"a": 1})


def test_machine_without_threads_opens_no_connection() -> None:
    """If no thread can open the connection, nothing was executed and the call may be repeated."""
    connector = SqlConnector("postgresql://user@127.0.0.1:9/shop")
    query = connector.query(SELECT_ONE)
    with no_new_threads(), pytest.raises(LocalFailure, match="thread"):
        query.perform(OperationAttempt(1, 5.0))

    assert 0 == connector.statistics().active
    connector.close()
