"""The audit trail in PostgreSQL, MariaDB or MySQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.adapters.audit._table import AuditSql, AuditTable
from moorage.adapters.audit._table_trail import PREFIX, TableTrail, statements_of
from moorage.adapters.tables._sql import SyncSqlTables, ddl_in
from moorage.domain.secrets.frames import without_arguments_in_errors

if TYPE_CHECKING:
    from datetime import timedelta

    import sqlalchemy


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

    @without_arguments_in_errors
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
            lambda kind: statements_of(kind, prefix, schema),
            create=create,
            is_async=False,
        )
        self._set_up(AuditTable(self._sql), self._source.where, self._once_in_database)

    @classmethod
    def ddl(cls, dialect: str, *, prefix: str = PREFIX, schema: str | None = None) -> str:
        """Return the statements that create the tables in `postgresql`, `mysql` or `mariadb`."""
        return ddl_in(dialect, lambda kind: statements_of(kind, prefix, schema))
