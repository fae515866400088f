"""Tables of tenants in every kind of store: creating, emptying, and failures."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import sqlalchemy
from sqlalchemy.pool import NullPool

from moorage import ConfigurationError, StorageUnavailable
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.tenants.sql import AsyncSqlTenants, SqlTenants
from moorage.adapters.tenants.sqlite import AsyncSqliteTenants, SqliteTenants
from moorage.domain.values.installation import install
from moorage.wiring.store_urls import aopen_tenants, open_tenants
from tests.support.modules import uninstall
from tests.support.servers import mariadb_url, postgres_url

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

RING = generate_keys()
CIPHER = AesGcmCipher(RING)
DRIVERS = {"postgresql": "psycopg", "mariadb": "pymysql"}
SYNC_AND_ASYNC = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


def call_verb(verb: Any, *options: object) -> Any:
    """Call a synchronous or asynchronous method, and return its result."""
    if inspect.iscoroutinefunction(verb):
        return asyncio.run(verb(*options))
    return verb(*options)


@contextmanager
def in_database(kind: str, *, is_async: bool) -> Generator[Any]:
    """Yield tenants in a table that no other test uses."""
    url = postgres_url() if kind == "postgresql" else mariadb_url()
    prefix = f"ten{uuid4().hex[:8]}_"
    make: Any = AsyncSqlTenants if is_async else SqlTenants
    driver = sqlalchemy.make_url(url).set(drivername=f"{kind}+{DRIVERS[kind]}")
    engine = sqlalchemy.create_engine(driver, poolclass=NullPool)
    tenants = make(url, CIPHER, prefix=prefix)
    call_verb(tenants.migrate)
    try:
        yield tenants
    finally:
        with engine.begin() as link:
            link.execute(sqlalchemy.text(f"DROP TABLE {prefix}tenants"))


def store_and_delete(tenants: Any) -> None:
    """Store two tenants, and then delete all tenants."""
    call_verb(tenants.put, "acme", {"sms": {"vendor": "twilio"}})
    call_verb(tenants.put, "brass", {})

    assert 2 == call_verb(tenants.clear)
    assert call_verb(tenants.version, "acme") is None
    assert 0 == call_verb(tenants.clear)


@SYNC_AND_ASYNC
@pytest.mark.parametrize("kind", DRIVERS)
def test_created_table_can_be_emptied(kind: str, *, is_async: bool) -> None:
    """A new table of tenants stores tenants, and one call deletes all of them."""
    with in_database(kind, is_async=is_async) as tenants:
        call_verb(tenants.migrate)
        store_and_delete(tenants)


@SYNC_AND_ASYNC
def test_file_can_be_emptied(tmp_path: Path, *, is_async: bool) -> None:
    """One call deletes all tenants of a file."""
    make: Any = AsyncSqliteTenants if is_async else SqliteTenants
    store_and_delete(make(tmp_path / "tenants.db", CIPHER))


@pytest.mark.parametrize("make", [SqlTenants, AsyncSqlTenants])
def test_error_for_an_unreachable_database_omits_the_password(make: Any) -> None:
    """The error for an unreachable database contains its URL without the password."""
    tenants = make("postgresql://me:hunter2@127.0.0.1:1/name", CIPHER, timeout=1.0)

    with pytest.raises(StorageUnavailable) as excinfo:
        call_verb(tenants.migrate)
    assert "hunter2" not in str(excinfo.value)


@pytest.mark.parametrize("kind", [SqlTenants, AsyncSqlTenants])
def test_hosts_migrations_create_the_table(kind: type[SqlTenants | AsyncSqlTenants]) -> None:
    """The host's metadata has the tenants' table once, so the host's migrations create it."""
    custom = sqlalchemy.MetaData()
    table = kind.tables_of(custom, prefix="erp_", schema="vault")

    assert ["vault.erp_tenants"] == list(custom.tables)
    assert table is kind.tables_of(custom, prefix="erp_", schema="vault")
    assert "CREATE TABLE moorage_tenants" in kind.ddl("mariadb")


@pytest.mark.parametrize("make", [open_tenants, aopen_tenants])
def test_missing_library_is_named(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a database library is missing, the error states which extra installs it."""
    rooms = "tenants", "sealed", "databases"
    uninstall(monkeypatch, "sqlalchemy", *(f"moorage.adapters.{room}." for room in rooms))

    with pytest.raises(ConfigurationError, match="sqlalchemy, which is not") as excinfo:
        make("mariadb://me:hunter2@host/name", RING.text())
    assert ("tenants_from.url", install("mysql")) == (
        excinfo.value.path,
        excinfo.value.remedy,
    )
