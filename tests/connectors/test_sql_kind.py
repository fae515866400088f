"""The connector kind `sql`: databases that a configuration names."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage.adapters.sql.connector import AsyncSqlConnector, SqlConnector
from moorage.adapters.sql.kind import SqlSettings
from moorage.errors import ConfigurationError, ConnectionFailed
from tests.adapters.sql.database_harness import SYSTEMS, url_of
from tests.support.modules import uninstall

if TYPE_CHECKING:
    from pathlib import Path

STATEMENTS = {
    "create": "CREATE TABLE IF NOT EXISTS moorage_kind (article varchar(40), pieces integer)",
    "add": "INSERT INTO moorage_kind (article, pieces) VALUES (:article, :pieces)",
    "find": "SELECT article, pieces FROM moorage_kind WHERE article IN :articles",
    "drop": "DROP TABLE moorage_kind",
}


def table(**settings: Any) -> dict[str, Any]:
    """Return a configuration with one `sql` connector."""
    return {"connectors": {"stock": {"kind": "sql", "statements": STATEMENTS, **settings}}}


@pytest.mark.parametrize("system", SYSTEMS)
def test_statements_of_a_configuration_are_run_by_name(system: str) -> None:
    """Named SQL statements of a configuration work with each database; only the URL differs."""
    with moorage.open(table(url=url_of(system))) as hub:
        run = hub.connectors.run
        run("stock", "create")
        try:
            assert 1 == run("stock", "add", {"article": "bolt", "pieces": 3})
            rows = run("stock", "find", {"articles": ["bolt", "nut"]})
        finally:
            run("stock", "drop")
        health = hub.connectors.health("stock")

    assert [{"article": "bolt", "pieces": 3}] == rows
    assert health.is_healthy
    assert "hunter2" not in repr(hub)


def test_asynchronous_hub_has_the_asynchronous_connector() -> None:
    """A `sql` configuration of a synchronous hub works in an asynchronous hub."""

    async def run() -> Any:
        async with moorage.aopen(table(url="sqlite://")) as hub:
            await hub.connectors.run("stock", "create")
            assert isinstance(hub.connectors["stock"], AsyncSqlConnector)
            return await hub.connectors.run("stock", "find", {"articles": ["bolt"]})

    assert [] == asyncio.run(run())


def test_database_is_given_by_fields(tmp_path: Path) -> None:
    """A configuration may set a database by separate fields instead of a URL."""
    settings = {"dialect": "sqlite", "database": str(tmp_path / "stock.db"), "connections": 2}
    with moorage.open(table(**settings)) as hub:
        hub.connectors.run("stock", "create")
        connector = hub.connectors.get("stock", SqlConnector)
        assert 2 == connector.statistics().maximum

    assert (tmp_path / "stock.db").exists()


@pytest.mark.parametrize(
    "settings, address",
    [
        ({"dialect": "sqlite"}, "sqlite://"),
        ({"dialect": "sqlite", "database": "stock.db"}, "sqlite:///stock.db"),
        ({"dialect": "mysql", "host": "::1"}, "mysql://[::1]:3306/"),
        (
            {"dialect": "postgresql", "host": "db", "user": "a@b", "database": "c/d", "port": 1},
            "postgresql://a%40b@db:1/c%2Fd",
        ),
    ],
)
def test_special_characters_are_escaped_in_the_database_url(
    settings: dict[str, Any], address: str
) -> None:
    """Special characters in user, password or database names are escaped in the database URL."""
    assert address == SqlSettings(**settings).address().reveal()


def test_database_password_may_be_a_secret_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database password may be a secret reference, and no output shows the password."""
    monkeypatch.setenv("STOCK_PASSWORD", "hunter2")
    settings = {
        "dialect": "postgresql", "host": "database.invalid", "user": "erp",
        "password": "secret://env/STOCK_PASSWORD", "connect_timeout": 2.0,
    }  # fmt: skip
    with moorage.open(table(**settings)) as hub:
        with pytest.raises(ConnectionFailed) as excinfo:
            hub.connectors.run("stock", "create")
        health = hub.connectors.health("stock")
        shown = f"{excinfo.value!r} {health!r} {hub.connectors['stock']!r} {hub!r}"

    assert "hunter2" not in shown


@pytest.mark.parametrize(
    "settings, path, message",
    [
        ({}, "url", "url and dialect are not set"),
        ({"url": "hunter2"}, "url", "does not begin with the name of a supported database"),
        (
            {"url": "oracle://host/hunter2"},
            "url",
            "does not begin with the name of a supported database",
        ),
        ({"url": "sqlite://", "host": "db"}, "host", "a URL and host"),
        ({"dialect": "oracle"}, "dialect", "not an allowed value"),
        ({"dialect": "sqlite", "user": "ada"}, "user", "SQLite has no server"),
        ({"dialect": "mariadb"}, "host", "host of the mariadb server is not set"),
        ({"dialect": "mariadb", "host": "db", "port": "x"}, "port", "not a whole number"),
        ({"url": "sqlite://", "connections": 0}, "connections", "allowed range"),
        ({"url": "sqlite://", "connect_timeout": -1.0}, "connect_timeout", "out of range"),
        ({"url": "sqlite://", "lifetime": 0.0}, "lifetime", "out of range"),
        ({"url": "sqlite://", "tls": True}, "tls", "no network"),
        ({"dialect": "sqlite", "tls": True}, "tls", "no network"),
        ({"url": "mysql://db/a", "tls_authorities": "ca.pem"}, "tls", "TLS is not turned on"),
        ({"url": "mysql://db/a", "tls": True, "tls_key": "a"}, "tls_certificate", "no certificate"),
        ({"url": "sqlite://", "repeatable": ["sell"]}, "repeatable", "named 'sell'"),
        ({"url": "sqlite://", "options": 3}, "options", "whole number"),
        ({"url": "sqlite://", "statements": {"a": 3}}, "statements.a", "whole number"),
        ({"url": "sqlite://", "statements": {"a": ""}}, "statements.a", "is empty"),
        ({"url": "sqlite://", "statements": {"a": "BEGIN"}}, "statements.a", "begins with BEGIN"),
        (
            {"url": "sqlite://", "statements": {"a": "SELECT id FROM t WHERE name = 'Ada'"}},
            "statements.a",
            "quoted text",
        ),
        (
            {"url": "sqlite://", "statements": {"a": "SELECT id FROM t; DROP TABLE t"}},
            "statements.a",
            "semicolon",
        ),
    ],
)
def test_wrong_settings_are_refused_with_their_path(
    settings: dict[str, Any], path: str, message: str
) -> None:
    """Each wrong setting of a `sql` connector is reported with its path, without secrets."""
    with pytest.raises(ConfigurationError) as excinfo:
        moorage.open({"connectors": {"stock": {"kind": "sql", **settings}}})
    (problem,) = excinfo.value.problems

    assert f"connectors.stock.{path}" == problem.path
    assert message in problem.found
    assert "hunter2" not in str(excinfo.value)


def test_command_of_a_configuration_may_be_repeatable() -> None:
    """`repeatable` lists the commands of a `sql` connector that may be retried."""
    settings = SqlSettings(
        url=moorage.Secret("sqlite://"), statements=STATEMENTS, repeatable=("drop",)
    )
    traits = {s.name: (s.safe, s.repeatable) for s in settings.declared()}

    assert (False, True) == traits["drop"]
    assert (False, False) == traits["add"]
    assert (True, True) == traits["find"]


def test_configuration_is_valid_without_sqlalchemy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without SQLAlchemy the configuration is valid.

    The first use raises an error that says what to install.
    """
    uninstall(monkeypatch, "sqlalchemy", "sqlalchemy", "moorage.adapters.sql.connector")
    with (
        moorage.open(table(url="sqlite://")) as hub,
        pytest.raises(ConfigurationError) as excinfo,
    ):
        hub.connectors["stock"]

    assert "connectors.stock.kind" == excinfo.value.path
    assert "Connectors of the kind sql need sqlalchemy" in excinfo.value.message
    assert "'.[sql]'" in (excinfo.value.remedy or "")


def test_library_is_imported_at_the_first_use() -> None:
    """A configuration with a database does not import SQLAlchemy before it is used."""
    program = """
import sys
import moorage
hub = moorage.open({"connectors": {"stock": {"kind": "sql", "url": "sqlite://"}}})
hub.connectors.descriptions()
print("sqlalchemy" in sys.modules)
hub.connectors["stock"]
print("sqlalchemy" in sys.modules)
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert ["False", "True"] == result.stdout.split()
