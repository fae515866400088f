"""Tables of tenants in every place that keeps them: made, emptied, and what goes wrong there."""

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
EITHER = pytest.mark.parametrize("awaited", [False, True], ids=["plain", "awaited"])


def ask(verb: Any, *options: object) -> Any:
    """What a verb of either mode gives."""
    if inspect.iscoroutinefunction(verb):
        return asyncio.run(verb(*options))
    return verb(*options)


@contextmanager
def in_database(kind: str, *, awaited: bool) -> Generator[Any]:
    """Tenants in a table that nobody else uses."""
    url = postgres_url() if kind == "postgresql" else mariadb_url()
    prefix = f"ten{uuid4().hex[:8]}_"
    make: Any = AsyncSqlTenants if awaited else SqlTenants
    driver = sqlalchemy.make_url(url).set(drivername=f"{kind}+{DRIVERS[kind]}")
    engine = sqlalchemy.create_engine(driver, poolclass=NullPool)
    tenants = make(url, CIPHER, prefix=prefix)
    ask(tenants.migrate)
    try:
        yield tenants
    finally:
        with engine.begin() as link:
            link.execute(sqlalchemy.text(f"DROP TABLE {prefix}tenants"))


def emptied(tenants: Any) -> None:
    """Keep two, and take both away."""
    ask(tenants.put, "acme", {"sms": {"vendor": "twilio"}})
    ask(tenants.put, "brass", {})

    assert 2 == ask(tenants.clear)
    assert ask(tenants.version, "acme") is None
    assert 0 == ask(tenants.clear)


@EITHER
@pytest.mark.parametrize("kind", DRIVERS)
def test_a_table_is_made_and_emptied(kind: str, *, awaited: bool) -> None:
    """What was made on purpose keeps tenants, until all are taken away at once."""
    with in_database(kind, awaited=awaited) as tenants:
        ask(tenants.migrate)
        emptied(tenants)


@EITHER
def test_a_file_is_emptied(tmp_path: Path, *, awaited: bool) -> None:
    """All tenants of a file are taken away at once."""
    make: Any = AsyncSqliteTenants if awaited else SqliteTenants
    emptied(make(tmp_path / "tenants.db", CIPHER))


@pytest.mark.parametrize("make", [SqlTenants, AsyncSqlTenants])
def test_no_table_is_made_where_nobody_is(make: Any) -> None:
    """Whoever cannot reach the database is told so, without its password."""
    tenants = make("postgresql://me:hunter2@127.0.0.1:1/name", CIPHER, timeout=1.0)

    with pytest.raises(StorageUnavailable) as caught:
        ask(tenants.migrate)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("kind", [SqlTenants, AsyncSqlTenants])
def test_a_host_makes_the_table_itself(kind: type[SqlTenants | AsyncSqlTenants]) -> None:
    """The table stands among the host's own, once, for its migrations to make."""
    custom = sqlalchemy.MetaData()
    table = kind.tables_of(custom, prefix="erp_", schema="vault")

    assert ["vault.erp_tenants"] == list(custom.tables)
    assert table is kind.tables_of(custom, prefix="erp_", schema="vault")
    assert "CREATE TABLE moorage_tenants" in kind.ddl("mariadb")


@pytest.mark.parametrize("make", [open_tenants, aopen_tenants])
def test_what_is_not_installed_is_named(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who lacks the library of a database is told which extra brings it."""
    rooms = "tenants", "sealed", "databases"
    uninstall(monkeypatch, "sqlalchemy", *(f"moorage.adapters.{room}." for room in rooms))

    with pytest.raises(ConfigurationError, match="sqlalchemy, which is not") as caught:
        make("mariadb://me:hunter2@host/name", RING.text())
    assert ("tenants_from.url", install("mysql")) == (
        caught.value.path,
        caught.value.remedy,
    )
