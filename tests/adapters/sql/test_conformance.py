"""Checks that the SQL connectors of three databases pass the connector conformance kit."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import make_url

from moorage import AuthenticationFailed, ConnectionFailed, Secret, Tls, VendorRejected
from moorage.adapters.sql.connector import AsyncSqlConnector, SqlConnector
from moorage.adapters.sql.statements import Command, Query
from moorage.testing import TcpProxy, name_of
from moorage.testing import connector_conformance as kit
from tests.adapters.sql.database_harness import SERVERS, Administrator, url_of
from tests.support.ports import free_port
from tests.support.servers import needs_postgres_programs
from tests.support.volumes import operations
from tests.support.waiting import wait_until
from tools.crashes.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

ECHO = {
    "postgresql": Query("SELECT CAST(:text AS text) AS answer", name="echo"),
    "mariadb": Query("SELECT :text AS answer", name="echo"),
    "sqlite": Query("SELECT :text AS answer", name="echo"),
}
INSERT = Command("INSERT INTO moorage_kit (note) VALUES (:text)", name="notes.insert")
PASSWORD = "correct-horse"
WRONG = f"{PASSWORD}-no-more"
"""A wrong password; an error that shows it would show the secret in it too."""


class Database:
    """A database with its own user on the server, reached through a proxy."""

    def __init__(self, system: str) -> None:
        self.system = system
        self.name = f"moorage_kit_{os.getpid()}_{uuid4().hex[:6]}"
        self.administrator = Administrator(system)
        administrator = self.administrator
        administrator.ask(f"CREATE DATABASE {self.name}")
        if system == "postgresql":
            administrator.ask(f"CREATE ROLE {self.name} LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
        else:
            administrator.ask(f"CREATE USER {self.name} IDENTIFIED BY '{PASSWORD}'")
            administrator.ask(f"GRANT ALL ON *.* TO {self.name}")
        url = make_url(url_of(system, self.name))
        self.host, self.port = url.host or "", url.port or 0
        self.inside = Administrator(system, self.name)
        self.inside.ask("CREATE TABLE moorage_kit (note varchar(40))")

    def url(self, host: str, port: int, database: str | None = None) -> str:
        """Return the URL of the database at this address."""
        return f"{self.system}://{self.name}@{host}:{port}/{database or self.name}"

    def count(self, text: str) -> int:
        """Return the number of rows that contain this string."""
        return len(self.inside.ask(f"SELECT note FROM moorage_kit WHERE note = '{text}'"))

    def drop(self) -> None:
        """Remove the database and its user."""
        self.inside.close()
        force = " WITH (FORCE)" if self.system == "postgresql" else ""
        self.administrator.ask(f"DROP DATABASE {self.name}{force}")
        kind = "ROLE" if self.system == "postgresql" else "USER"
        self.administrator.ask(f"DROP {kind} {self.name}")
        self.administrator.close()


@pytest.fixture(scope="module", name="databases")
def _databases() -> Generator[Callable[[str], Database]]:
    made: dict[str, Database] = {}

    def database(system: str) -> Database:
        if system not in made:
            made[system] = Database(system)
        return made[system]

    yield database
    for opened in made.values():
        opened.drop()


@pytest.fixture(scope="module", name="guarded")
def _guarded_server() -> Generator[str]:
    """Yield the URL of a PostgreSQL server that demands the password of a user."""
    needs_postgres_programs()
    with Cluster() as cluster, psycopg.connect(cluster.url("postgres"), autocommit=True) as server:
        server.execute(f"CREATE ROLE guarded LOGIN PASSWORD '{PASSWORD}'")
        (path,) = server.execute("SHOW hba_file").fetchone() or ("",)
        rules = Path(path)
        rules.write_text(f"host all guarded all scram-sha-256\n{rules.read_text()}")
        server.execute("SELECT pg_reload_conf()")
        url = cluster.url("postgres").replace("postgres@", "guarded@")

        def is_refused() -> bool:
            try:
                psycopg.connect(url, password=WRONG).close()
            except psycopg.OperationalError:
                return True
            return False

        wait_until(is_refused, "demanding a password")
        psycopg.connect(url, password=PASSWORD).close()
        yield url


@pytest.fixture(name="subject_of")
def _subject_of(
    databases: Callable[[str], Database], request: pytest.FixtureRequest
) -> Generator[Callable[[str, str], kit.ConnectorSubject]]:
    proxies: list[TcpProxy] = []

    def subject(system: str, mode: str) -> kit.ConnectorSubject:
        database = databases(system)
        proxy = TcpProxy(database.host, database.port)
        proxies.append(proxy)
        guarded = request.getfixturevalue("guarded") if system == "postgresql" else None
        return server_subject(database, proxy, mode, guarded)

    yield subject
    for proxy in proxies:
        proxy.__exit__(None, None, None)


def server_subject(
    database: Database, proxy: TcpProxy, mode: str, guarded: str | None
) -> kit.ConnectorSubject:
    """Return a description of a server's connector for the conformance kit."""
    kind: Any = SqlConnector if mode == "sync" else AsyncSqlConnector
    direct = (database.host, database.port)

    def make_connector(url: str, **settings: Any) -> Any:
        settings = {"password": Secret(PASSWORD), "service": "connector", **settings}
        return lambda _: kind(url, **settings)

    refusals = {
        "unknown database": kit.Refusal(
            make=make_connector(database.url(*direct, "moorage_missing")),
            error=VendorRejected,
            because="database",
        ),
        "unknown host": kit.Refusal(
            make=make_connector(database.url("database.invalid", 5432)),
            error=ConnectionFailed,
            because="host",
        ),
        "nobody listens": kit.Refusal(
            make=make_connector(database.url("127.0.0.1", free_port())), error=ConnectionFailed
        ),
        "no TLS": kit.Refusal(
            make=make_connector(
                database.url(*direct), tls=Tls(authorities="/etc/ssl/certs/ca-certificates.crt")
            ),
            error=ConnectionFailed,
            because="TLS",
        ),
    }
    # The shared PostgreSQL server may accept any user without a password.
    demanding = database.url(*direct) if guarded is None else guarded
    refusals["wrong password"] = kit.Refusal(
        make=make_connector(demanding, password=Secret(WRONG)), error=AuthenticationFailed
    )
    return kit.ConnectorSubject(
        make=make_connector(database.url(*proxy.address), connections=5),
        read=lambda connector, text: connector.query(ECHO[database.system], text=text),
        echoes=True,
        write=lambda connector, text: connector.execute(INSERT, text=text),
        count=database.count,
        network=proxy,
        refusals=refusals,
        secret=PASSWORD,
        timeout=0.5,
        operations=operations(1_000),
    )


def memory_subject(mode: str) -> kit.ConnectorSubject:
    """Return a description of an in-memory SQLite connector for the conformance kit."""
    kind: Any = SqlConnector if mode == "sync" else AsyncSqlConnector
    return kit.ConnectorSubject(
        make=lambda _: kind("sqlite://", service="connector"),
        read=lambda connector, text: connector.query(ECHO["sqlite"], text=text),
        echoes=True,
        operations=operations(1_000),
    )


each_server = pytest.mark.parametrize("system", SERVERS)


@pytest.mark.untraced
@each_server
@pytest.mark.parametrize("check", kit.CHECKS + kit.NETWORK_CHECKS + kit.FORK_CHECKS, ids=name_of)
def test_sync_connector_passes_conformance_kit_with_a_server(
    subject_of: Callable[[str, str], kit.ConnectorSubject], system: str, check: kit.Check
) -> None:
    """The synchronous SQL connector passes the conformance kit with a real server."""
    check(subject_of(system, "sync"))


@each_server
@pytest.mark.parametrize("check", kit.ASYNC_CHECKS + kit.ASYNC_NETWORK_CHECKS, ids=name_of)
def test_async_connector_passes_conformance_kit_with_a_server(
    subject_of: Callable[[str, str], kit.ConnectorSubject], system: str, check: kit.AsyncCheck
) -> None:
    """The asynchronous SQL connector passes the conformance kit with a real server."""
    asyncio.run(check(subject_of(system, "async")))


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_sync_connector_passes_conformance_kit_with_sqlite(check: kit.Check) -> None:
    """The synchronous SQL connector passes the conformance kit with an in-memory database."""
    check(memory_subject("sync"))


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_async_connector_passes_conformance_kit_with_sqlite(check: kit.AsyncCheck) -> None:
    """The asynchronous SQL connector passes the conformance kit with an in-memory database."""
    asyncio.run(check(memory_subject("async")))
