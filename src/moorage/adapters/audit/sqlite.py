"""The audit trail in a SQLite file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.adapters.audit._table import AuditSql, AuditTable
from moorage.adapters.audit._table_trail import PREFIX, TABLE, TableTrail
from moorage.adapters.databases._table_definition import ddl_text
from moorage.adapters.tables._sqlite import SqliteTables
from moorage.adapters.tables._statements import table_name

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Coroutine
    from datetime import timedelta

    from moorage.adapters.tables._table import Execute

A = TypeVar("A")


class SqliteAudit(TableTrail, SqliteTables):
    """An `AuditStorage` in a SQLite file, such as the host's own database.

    Args:
        path: the path of the file.
        timeout: seconds, or a timedelta, to wait while others write.
        prefix: the beginning of the tables' names.
        create: whether to create missing tables; otherwise run `migrate()`.
    """

    reach: Final = "machine"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float | timedelta = 5.0,
        prefix: str = PREFIX,
        create: bool = False,
    ) -> None:
        sql = _statements(prefix)
        self._open(path, timeout, create=create, definitions=sql.definitions())
        self._set_up(AuditTable(sql), self._path, self._in_file)

    @classmethod
    def ddl(cls, *, prefix: str = PREFIX) -> str:
        """Return the statements that create the tables, for a host's own migrations."""
        return ddl_text(_statements(prefix).definitions())

    def _in_file(self, work: Callable[[Execute], Coroutine[Any, Any, A]], /) -> A:
        return self._do(work, None)


def _statements(prefix: str) -> AuditSql:
    bare_name = f"{prefix}{TABLE}"
    head = table_name(f"{bare_name}_head", prefix, None, "sqlite")
    return AuditSql("sqlite", bare_name, table_name(bare_name, prefix, None, "sqlite"), head)
