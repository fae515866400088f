"""An application's stores in one process, opened at their first use."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

from moorage import ConfigurationError
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher
from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.adapters.credentials.sqlite import SqliteCredentialProvider
from moorage.adapters.entries.host import HostInbox, HostOutbox
from moorage.adapters.entries.memory import MemoryInbox
from moorage.adapters.logs.host import HostIntegrationLogger
from moorage.adapters.logs.memory import MemoryIntegrationLogger
from moorage.adapters.tenants.memory import MemoryTenants
from moorage.adapters.tenants.sqlite import SqliteTenants
from moorage.config import read_configuration
from moorage.domain.state.sealing import KeyRing
from moorage.domain.values.shared_property import shared_property
from moorage.wiring.store_urls import open_storage
from moorage_flask.database import MODERN, Database
from moorage_flask.tables import PREFIX, tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from moorage.adapters.tenants.sql import SqlTenants
    from moorage.ports.cipher import Cipher
    from moorage.ports.credentials import CredentialProvider
    from moorage.ports.inbox import InboxStorage
    from moorage.ports.integration_log import IntegrationLogger
    from moorage.ports.state import StateStorage
    from moorage_flask.host import Host
    from moorage_flask.places import StoreLocations
    from moorage_flask.settings import Settings

_KEYS: Final = "MOORAGE_KEYS"
_SHARED_DRIVERS: Final = frozenset({"psycopg", "pymysql"})


class Stores:
    """An application's stores."""

    def __init__(self, settings: Settings, places: StoreLocations, host: Host) -> None:
        self._settings = settings
        self._places = places
        self._host = host
        self._tables = tables()

    @shared_property
    def cipher(self) -> Cipher | None:
        """Return the cipher for stored values; None if no encryption keys are configured."""
        settings = self._settings
        keys = settings.keys or os.environ.get(_KEYS)
        if keys:
            return AesGcmCipher(KeyRing.parse(keys))
        configured = read_configuration(settings.configuration, settings.environment)
        return None if configured.cipher is None else configured.cipher.open()

    @shared_property
    def state(self) -> StateStorage:
        """The store of circuits, limits and idempotency keys."""
        given_storage = self._settings.state
        if given_storage is not None and self._settings.state_url is None:
            return cast("StateStorage", given_storage)
        if self._places.state is None:
            return self._beside_host()
        return cast("StateStorage", open_storage(self._places.state))

    @property
    def state_url(self) -> str | None:
        """The URL of the shared state store; None if that store has no URL."""
        if self._settings.state is not None and self._settings.state_url is None:
            return None
        return self._places.state or _plain_url(self._database)

    @shared_property
    def log(self) -> IntegrationLogger:
        """The integration log."""
        if self._places.memory:
            return MemoryIntegrationLogger()
        return log_in(self._own_database)

    @shared_property
    def inbox(self) -> InboxStorage:
        """The store of received webhooks."""
        if self._places.memory:
            return MemoryInbox()
        return inbox_in(self._own_database)

    @shared_property
    def outbox(self) -> HostOutbox:
        """Return the store of calls that are made after the application commits."""
        return outbox_in(self._database, self._host.session or _no_session)

    @shared_property
    def credentials(self) -> CredentialProvider | None:
        """The provider of encrypted credentials; None without encryption keys."""
        if self.cipher is None:
            return None
        if self._places.memory:
            return MemoryCredentialProvider()
        if self._places.aside is not None:
            path = Path(self._places.aside).with_suffix(".credentials.db")
            return SqliteCredentialProvider(path, self.cipher)
        if not MODERN:
            return MemoryCredentialProvider()
        from moorage.adapters.credentials.sql import (  # noqa: PLC0415 - cannot be imported with SQLAlchemy 1.4
            SqlCredentialProvider,
        )

        return SqlCredentialProvider(_reachable(self._database), self.cipher)

    @property
    def forgets_credentials(self) -> bool:
        """True if credentials are lost when the process ends although other data is stored."""
        in_memory = isinstance(self.credentials, MemoryCredentialProvider)
        return in_memory and not self._places.memory

    @shared_property
    def tenants(self) -> MemoryTenants | SqlTenants | SqliteTenants | None:
        """Return the encrypted configuration tables of tenants.

        None if the settings have no tenants.
        """
        if not self._settings.tenants:
            return None
        if self._places.memory:
            return MemoryTenants()
        if self.cipher is None:
            raise ConfigurationError(
                "Tenants' accounts are stored encrypted, but no encryption key is configured.",
                path="MOORAGE.KEYS",
                remedy=f"Set {_KEYS} in the environment.",
            )
        if self._places.aside is not None:
            path = Path(self._places.aside).with_suffix(".tenants.db")
            return SqliteTenants(path, self.cipher)
        if not MODERN:
            raise _needs_modern("accounts of tenants", "TENANTS", "Set ASIDE to a SQLite file")
        from moorage.adapters.tenants.sql import SqlTenants  # noqa: PLC0415 - cannot be imported with SQLAlchemy 1.4

        return SqlTenants(_reachable(self._database), self.cipher)

    def ready(self) -> None:
        """Create all store objects, without connecting or reading files.

        Raises:
            ConfigurationError: no store can be created from the settings.
        """
        for name in ("cipher", "state", "log", "inbox", "credentials", "tenants"):
            getattr(self, name)

    def migrate(self) -> None:
        """Create missing tables and files."""
        for storage in (self.state, self.credentials, self.tenants):
            make = getattr(storage, "migrate", None)
            if make is not None:
                make()
        if self._places.memory and self._host.database is None:
            return
        own_tables = self._tables
        if self._places.aside is None:
            every_table = (own_tables.log, own_tables.inbox, own_tables.outbox, own_tables.lanes)
            self._database.create(own_tables.log.metadata, every_table)
            return
        self._own_database.create(own_tables.log.metadata, (own_tables.log, own_tables.inbox))
        if self._host.database is not None:
            self._database.create(own_tables.outbox.metadata, (own_tables.outbox, own_tables.lanes))

    def close(self) -> None:
        """Close everything that was opened."""
        for name in ("log", "state", "_own_database"):
            close = getattr(self.__dict__.get(name), "close", None)
            if close is not None:
                close()
        if self._host.database is not None:
            self._host.database.close()

    @shared_property
    def _own_database(self) -> Database:
        separate_path = self._places.aside
        return self._database if separate_path is None else Database(f"sqlite:///{separate_path}")

    @property
    def _database(self) -> Database:
        if self._host.database is None:
            raise ConfigurationError(
                "No database is configured for this application.",
                path="MOORAGE.DATABASE",
                remedy="Set DATABASE to a URL, an engine or a scoped_session of SQLAlchemy.",
            )
        return self._host.database

    def _beside_host(self) -> StateStorage:
        """Return a store of shared state in the application's database, on separate connections."""
        if not MODERN:
            raise _needs_modern("the state", "STATE", "Set STATE, such as to redis://localhost/0")
        from moorage.adapters.state.sql import SqlStorage  # noqa: PLC0415 - cannot be imported with SQLAlchemy 1.4

        return SqlStorage(_reachable(self._database))


def inbox_in(database: Database, *, prefix: str = PREFIX) -> HostInbox:
    """Return the inbox in this database."""
    return HostInbox(
        database.kind, database.lend, prefix=prefix, skips_locked=database.skips_locked
    )


def outbox_in(
    database: Database, session: Callable[[], Session] | None = None, *, prefix: str = PREFIX
) -> HostOutbox:
    """Return the outbox in this database.

    Args:
        database: the database of the table.
        session: returns the session in whose transaction `add` writes; without it, `add` commits.
        prefix: the beginning of the names of the tables.
    """
    table = tables(prefix=prefix).outbox
    return HostOutbox(
        database.kind,
        database.lend,
        lend_to_add=None if session is None else partial(database.lend_session, session, table),
        prefix=prefix,
        skips_locked=database.skips_locked,
    )


def log_in(database: Database, *, prefix: str = PREFIX, **options: Any) -> HostIntegrationLogger:
    """Return the integration log in this database."""
    columns = tables(prefix=prefix).log.columns.keys()
    return HostIntegrationLogger(
        database.kind, database.lend, database.where, columns=columns, prefix=prefix, **options
    )


def _needs_modern(content: str, setting: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(
        f"{content} can be stored in a database server only with SQLAlchemy 2.",
        path=f"MOORAGE.{setting}",
        remedy=f"{remedy}, or install SQLAlchemy 2.",
    )


def _no_session() -> NoReturn:
    raise ConfigurationError(
        "No session of the application is configured in whose transaction moorage could write.",
        path="MOORAGE.SESSION",
        remedy="Set SESSION to a function that returns it, or DATABASE to a scoped_session.",
    )


def _reachable(database: Database) -> Any:
    """Return the engine or URL with which moorage's stores reach the application's database."""
    engine = database.engine
    return engine if engine.dialect.driver in _SHARED_DRIVERS else _plain_url(database)


def _plain_url(database: Database) -> str:
    """Return the URL with moorage's driver instead of the application's."""
    return database.engine.url.set(drivername=database.kind).render_as_string(hide_password=False)
