"""A separate database connection for moorage, outside the project's transactions.

The state, credentials and log of calls are stored over this connection. So a rollback of the
project undoes no claim. For a project on SQLite, moorage uses a second file, so that a transaction
of the project does not wait for itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections

from moorage_django.settings import project_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.db.backends.base.base import BaseDatabaseWrapper

LABEL: Final = "moorage_django"
APART: Final = frozenset({"state", "credential", "call"})
"""The models in moorage's own database; the others are part of the project's transactions."""

_of_parents: Final[list[Any]] = []
_shared: Final[set[str]] = set()
"""The aliases that led to the project's database when Django was set up."""

_SQLITE: Final = "django.db.backends.sqlite3"


def beside(host: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings for `DATABASES["moorage"]`, derived from the project's database settings.

    For PostgreSQL, MariaDB or MySQL, they lead to the same database over a separate connection. For
    SQLite, they lead to another file: `erp.moorage.sqlite3` for `erp.sqlite3`. Django creates its
    test database without the project's migrations.
    """
    own_settings = {**host, "ATOMIC_REQUESTS": False, "AUTOCOMMIT": True}
    if host.get("ENGINE") != _SQLITE:
        return own_settings
    test_settings = dict(host.get("TEST") or {})
    for fields in (own_settings, test_settings):
        name = fields.get("NAME")
        if name and not _in_memory(name):
            path = Path(str(name))
            fields["NAME"] = path.with_name(f"{path.stem}.moorage{path.suffix or '.sqlite3'}")
    return {**own_settings, "TEST": {**test_settings, "MIGRATE": False}}


class Router:
    """The router for moorage's tables, to be named in `DATABASE_ROUTERS`.

    With this router, `migrate` creates the project's tables only in the project's databases, and
    `migrate moorage_django --database moorage` creates moorage's separate tables.
    """

    def db_for_read(self, model: Any, **_: object) -> str | None:
        """Return the alias of the database from which a table is read; None lets Django choose."""
        return _home_database(model)

    def db_for_write(self, model: Any, **_: object) -> str | None:
        """Return the alias of the database to which a table is written; None lets Django choose."""
        return _home_database(model)

    def allow_migrate(
        self, db: str, app_label: str, model_name: str | None = None, **_: object
    ) -> bool | None:
        """Return whether a table belongs in an alias's database."""
        own_alias = project_settings().database
        if own_alias == DEFAULT_DB_ALIAS:
            return None
        if same_database(own_alias):
            # There is one set of tables, created over the project's alias.
            return False if db == own_alias else None
        if app_label != LABEL:
            return False if db == own_alias else None
        if model_name is None:
            return None
        return db == (own_alias if model_name in APART else DEFAULT_DB_ALIAS)


def same_database(alias: str) -> bool:
    """Return whether an alias is a second connection to the project's own database."""
    return alias in _shared or _is_same(alias)


def remember() -> None:
    """Record that moorage's alias leads to the project's database server.

    While Django creates test databases, it sets their names one after another.
    """
    own_alias = project_settings().database
    host_database, own_database = (
        settings.DATABASES.get(name, {}) for name in (DEFAULT_DB_ALIAS, own_alias)
    )
    test_names = [
        (fields.get("TEST") or {}).get("NAME") for fields in (host_database, own_database)
    ]
    if (
        own_database
        and own_database["ENGINE"] != _SQLITE
        and test_names[0] == test_names[1]
        and _is_same(own_alias)
    ):
        _shared.add(own_alias)


def _is_same(alias: str) -> bool:
    host_database, own_database = (settings.DATABASES[name] for name in (DEFAULT_DB_ALIAS, alias))
    return all(
        str(host_database.get(part, "")) == str(own_database.get(part, ""))
        for part in ("ENGINE", "NAME", "HOST", "PORT")
    )


def tune(connection: BaseDatabaseWrapper, **_: object) -> None:
    """Configure moorage's SQLite file so that readers do not wait for writers."""
    if (
        connection.vendor == "sqlite"
        and connection.alias == project_settings().database != DEFAULT_DB_ALIAS
    ):
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode = WAL")


def _in_memory(name: object) -> bool:
    return name == ":memory:" or "mode=memory" in str(name)


def _home_database(model: Any) -> str | None:
    meta = model._meta
    return (
        project_settings().database
        if meta.app_label == LABEL and meta.model_name in APART
        else None
    )


def leave_to_parent() -> None:
    """Make a forked child open its own connections, and leave the parent's connections open."""
    own_alias = project_settings().database
    for connection in connections.all(initialized_only=True):
        if connection.alias == own_alias:
            # The connection is the parent's: deleting the last reference would close it.
            _of_parents.append(connection)
            del connections[own_alias]
