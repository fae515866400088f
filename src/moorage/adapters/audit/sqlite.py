"""The audit trail in a SQLite file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.adapters.audit._table import AuditTable
from moorage.adapters.audit._table_trail import PREFIX, TableTrail, statements_of
from moorage.adapters.databases._table_definition import ddl_text
from moorage.adapters.tables._sqlite import SqliteTables

if TYPE_CHECKING:
    import os
    from datetime import timedelta


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
        sql = statements_of("sqlite", prefix)
        self._open(path, timeout, create=create, definitions=sql.definitions())
        self._set_up(AuditTable(sql), self._path, self._in_file)

    @classmethod
    def ddl(cls, *, prefix: str = PREFIX) -> str:
        """Return the statements that create the tables, for a host's own migrations."""
        return ddl_text(statements_of("sqlite", prefix).definitions())
