"""A separate database connection for moorage, outside the project's transactions.

What is kept about a call (state, credentials, log) is kept on it. So a host that rolls back takes
no claim back, and a host on SQLite that holds the lock of its file does not wait for itself: there
moorage has a file of its own.
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
"""The models that lie under moorage's own alias; the others belong to the host's transactions."""

_of_parents: Final[list[Any]] = []
_shared: Final[set[str]] = set()
"""Aliases that led to the host's database when Django was set up."""

_SQLITE: Final = "django.db.backends.sqlite3"


def beside(host: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings for `DATABASES["moorage"]`, derived from the project's database settings.

    Beside PostgreSQL, MariaDB or MySQL it is the same database through a connection of its own.
    Beside a file of SQLite it is another file: `erp.sqlite3` has `erp.moorage.sqlite3`. A test
    database of it is made without your migrations, none of which has anything to do there.
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

    With it, `migrate` makes the host's tables in the host's databases only, and
    `migrate moorage_django --database moorage` those of moorage that lie apart.
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
            # One set of tables, made through the host's alias.
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

    While Django makes test databases, it gives them their names one after another.
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
            # Not closed, and not forgotten either, which would close it: it is the parent's.
            _of_parents.append(connection)
            del connections[own_alias]
