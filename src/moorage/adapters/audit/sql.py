"""The audit trail in PostgreSQL, MariaDB or MySQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.adapters.audit._table import AuditSql, AuditTable
from moorage.adapters.audit._table_trail import PREFIX, TABLE, TableTrail
from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.databases._sql_schema import dialect_of
from moorage.adapters.databases._table_definition import ddl_text
from moorage.adapters.tables._sql import SyncSqlTables
from moorage.adapters.tables._statements import table_name
from moorage.domain.secrets.frames import refusing

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import timedelta

    import sqlalchemy

    from moorage.adapters.tables._table import Execute

A = TypeVar("A")


class SqlAudit(TableTrail, SyncSqlTables[AuditSql]):
    """An `AuditStorage` in PostgreSQL, MariaDB or MySQL.

    Args:
        url: `postgresql://…`, `mariadb://…` or `mysql://…`, or an engine of SQLAlchemy with the
            driver psycopg or pymysql, which is only used to open connections.
        timeout: seconds, or a timedelta, to wait for a connection and for a reply.
        connections: the maximum number of connections.
        prefix: the beginning of the tables' names.
        schema: the schema of the tables, if it is not the connection's default.
        create: whether to create missing tables; otherwise run `migrate()`.
    """

    reach: Final = "network"

    @refusing
    def __init__(
        self,
        url: str | sqlalchemy.URL | sqlalchemy.Engine,
        *,
        timeout: float | timedelta = 5.0,
        connections: int = 2,
        prefix: str = PREFIX,
        schema: str | None = None,
        create: bool = False,
    ) -> None:
        self._connect(
            url,
            timeout,
            connections,
            lambda kind: _statements(kind, prefix, schema),
            create=create,
            is_async=False,
        )
        self._set_up(AuditTable(self._sql), self._source.where, self._in_database)

    @classmethod
    def ddl(cls, dialect: str, *, prefix: str = PREFIX, schema: str | None = None) -> str:
        """Return the statements that create the tables in `postgresql`, `mysql` or `mariadb`."""
        kind = "postgresql" if dialect_of(dialect).name == "postgresql" else "mysql"
        sql = _statements(kind, prefix, schema)
        return ddl_text(sql.definitions(mariadb=dialect == "mariadb"))

    def _in_database(self, work: Callable[[Execute], Coroutine[Any, Any, A]], /) -> A:
        return run_now(self._do(work, None, once=True))


def _statements(kind: str, prefix: str, schema: str | None) -> AuditSql:
    bare_name = f"{prefix}{TABLE}"
    head = table_name(f"{bare_name}_head", prefix, schema, kind)
    return AuditSql(kind, bare_name, table_name(bare_name, prefix, schema, kind), head)
