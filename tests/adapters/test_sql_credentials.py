"""Encrypted credentials in PostgreSQL and MariaDB."""

from __future__ import annotations

import asyncio
import contextlib
from threading import Event, Thread
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.credentials.sql import AsyncSqlCredentialProvider, SqlCredentialProvider
from moorage.domain.auth.methods import Credentials
from moorage.domain.state.sealing import sealed_with, sealing_context
from moorage.errors import ConfigurationError, InvalidData, StorageUnavailable
from moorage.testing import credentials_conformance as kit
from moorage.testing.kits.checks import name_of
from tests.adapters.sql_harness import PATIENCE, Proxy
from tests.security.canaries import revealed_texts
from tests.support.servers import mariadb_url, postgres_url

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

OLD, NEW, OTHER = kit.OLD, kit.NEW, kit.OTHER
OWNER = ("stripe", "acme")
RING = generate_keys()
CIPHER = AesGcmCipher(RING)
NEWER = AesGcmCipher(generate_keys(RING))
DRIVERS = {"postgresql": ("psycopg", "psycopg"), "mariadb": ("pymysql", "asyncmy")}


class CredentialsDatabase:
    """A test database with its own tables, which the test reads and writes without the provider."""

    def __init__(self, kind: str, *, is_async: bool = False) -> None:
        self.kind, self.is_async = kind, is_async
        result = postgres_url() if kind == "postgresql" else mariadb_url()
        self.url = sqlalchemy.make_url(result)
        self.engine = sqlalchemy.create_engine(
            self.url.set(drivername=f"{kind}+{DRIVERS[kind][0]}"), poolclass=NullPool
        )
        self._made: list[str] = []
        self.prefix = self.new_prefix()

    def new_prefix(self) -> str:
        """Return a unique prefix for a new table."""
        prefix = f"creds{uuid4().hex[:8]}_"
        SqlCredentialProvider(self.url, CIPHER, prefix=prefix).migrate()
        self._made.append(prefix)
        return prefix

    @property
    def table(self) -> str:
        """Return the table's name."""
        return f"{self.prefix}credentials"

    def provider(self, cipher: Any = CIPHER, url: Any = None, **options: Any) -> Any:
        """Return a provider in the mode under test, synchronous or asynchronous."""
        kind: Any = AsyncSqlCredentialProvider if self.is_async else SqlCredentialProvider
        fields = {"prefix": self.prefix, "timeout": PATIENCE, **options}
        return kind(url or self.url, cipher, **fields)

    def sync_provider(self, cipher: Any = CIPHER, **options: Any) -> SqlCredentialProvider:
        """Return a synchronous provider."""
        fields: dict[str, Any] = {"prefix": self.prefix, "timeout": PATIENCE, **options}
        return SqlCredentialProvider(self.url, cipher, **fields)

    def ask(self, method: Any, /, *settings: object, **options: Any) -> Any:
        """Return the result of a synchronous or asynchronous method."""
        return (
            asyncio.run(method(*settings, **options))
            if self.is_async
            else method(*settings, **options)
        )

    def run(self, statement: str, **values: Any) -> list[Any]:
        """Run a statement without the provider, and return its rows."""
        with self.engine.begin() as connection:
            result = connection.execute(sqlalchemy.text(statement), values)
            return list(result) if result.returns_rows else []

    def sealed(self) -> list[bytes]:
        """Return the encrypted strings in the table."""
        return [
            bytes(sealed_bytes) for (sealed_bytes,) in self.run(f"SELECT sealed FROM {self.table}")
        ]

    def close(self) -> None:
        """Remove everything that the test stored."""
        for prefix in self._made:
            with contextlib.suppress(SQLAlchemyError):
                self.run(f"DROP TABLE {prefix}credentials")


@contextlib.contextmanager
def databases(kind: str, *, is_async: bool) -> Generator[CredentialsDatabase]:
    """Yield a database, and remove its tables after use."""
    base = CredentialsDatabase(kind, is_async=is_async)
    try:
        yield base
    finally:
        base.close()


@pytest.fixture(name="base", params=["postgresql", "mariadb"])
def _base(request: pytest.FixtureRequest) -> Iterator[CredentialsDatabase]:
    with databases(request.param, is_async=False) as base:
        yield base


@pytest.fixture(
    name="tested_base",
    params=[(kind, is_async) for kind in DRIVERS for is_async in (False, True)],
    ids=lambda value: f"{value[0]}, async" if value[1] else value[0],
)
def _provider(request: pytest.FixtureRequest) -> Iterator[CredentialsDatabase]:
    kind, is_async = request.param
    with databases(kind, is_async=is_async) as base:
        yield base


@pytest.mark.untraced
@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_sql_credential_provider_passes_conformance_kit(
    check: kit.Check, base: CredentialsDatabase
) -> None:
    """SqlCredentialProvider passes the conformance kit."""

    def make_provider(renew: kit.Renew) -> SqlCredentialProvider:
        base.run(f"DELETE FROM {base.table}")
        return base.sync_provider(renew=renew)

    check(make_provider)


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_async_sql_credential_provider_passes_conformance_kit(
    check: kit.AsyncCheck, base: CredentialsDatabase
) -> None:
    """AsyncSqlCredentialProvider passes the conformance kit."""
    base.is_async = True

    def make_provider(renew: kit.AsyncRenew) -> AsyncSqlCredentialProvider:
        base.run(f"DELETE FROM {base.table}")
        provider: AsyncSqlCredentialProvider = base.provider(renew=renew)
        return provider

    asyncio.run(check(make_provider))


def test_credentials_are_shared_by_processes(tested_base: CredentialsDatabase) -> None:
    """A rotated credential can be read by every process that has the key."""
    tested_base.ask(tested_base.provider().rotate, *OWNER, OLD)

    assert OLD == tested_base.ask(tested_base.provider().get, *OWNER)
    assert OLD == tested_base.ask(tested_base.provider(NEWER).get, *OWNER)
    assert not tested_base.ask(tested_base.provider().has, "stripe", None)


def test_table_shows_owners_but_no_secrets(base: CredentialsDatabase) -> None:
    """The credentials table shows owners in plain text, but no secrets."""
    base.sync_provider().rotate("shop\0é", "acme", Credentials.bearer("sk_live_secret"))
    base.sync_provider().rotate("shop", None, Credentials.bearer("sk_live_secret"))

    rows = base.run(f"SELECT owner, about, sealed FROM {base.table}")
    assert {"shop\\0\\xe9 of acme", "shop"} == {row[0] for row in rows}
    assert "sk_live" not in repr(rows)


def test_a_row_belongs_to_its_owner(tested_base: CredentialsDatabase) -> None:
    """Encrypted bytes copied to another tenant's row cannot be decrypted."""
    tested_base.ask(tested_base.provider().rotate, *OWNER, OLD)
    tested_base.ask(tested_base.provider().rotate, "stripe", "other", NEW)
    recipient, own_bytes = (
        sealing_context(tenant, "stripe", "credential") for tenant in ("other", "acme")
    )
    (foreign_row,) = tested_base.run(
        f"SELECT sealed FROM {tested_base.table} WHERE about = :about", about=own_bytes
    )
    tested_base.run(
        f"UPDATE {tested_base.table} SET sealed = :it WHERE about = :to",
        it=foreign_row[0],
        to=recipient,
    )

    with pytest.raises(InvalidData, match="belongs to another tenant"):
        tested_base.ask(tested_base.provider().get, "stripe", "other")
    assert OLD == tested_base.ask(tested_base.provider().get, *OWNER)


def test_whole_row_copied_to_another_owner_id_is_refused_and_not_re_encrypted(
    tested_base: CredentialsDatabase,
) -> None:
    """A row that was copied to another owner's id is refused and not re-encrypted."""
    tested_base.ask(tested_base.provider().rotate, *OWNER, OLD)
    tested_base.run(
        f"INSERT INTO {tested_base.table} (id, owner, about, sealed)"
        f" SELECT :id, owner, about, sealed FROM {tested_base.table}",
        id=bytes(32),
    )

    with pytest.raises(InvalidData, match="belongs to another tenant"):
        tested_base.ask(tested_base.provider(NEWER).reseal)
    assert {1, 2} == {*map(sealed_with, tested_base.sealed())}


@pytest.mark.parametrize(
    "cipher, cut, problem, kind",
    [
        (
            AesGcmCipher(generate_keys()),
            999,
            "differs from the key of this version in the ring",
            ConfigurationError,
        ),
        (
            AesGcmCipher(generate_keys(RING).without(1)),
            999,
            "the key of version 1, which is not in the ring",
            ConfigurationError,
        ),
        (CIPHER, 20, "cut off", InvalidData),
        (CIPHER, 50, "was changed", InvalidData),
    ],
)
def test_errors_for_wrong_key_missing_key_and_truncated_bytes_differ(
    tested_base: CredentialsDatabase,
    cipher: AesGcmCipher,
    cut: int,
    problem: str,
    kind: type[Exception],
) -> None:
    """The errors for a wrong key, a missing key and truncated bytes differ."""
    tested_base.ask(tested_base.provider().rotate, *OWNER, OLD)
    (sealed_bytes,) = tested_base.sealed()
    tested_base.run(f"UPDATE {tested_base.table} SET sealed = :it", it=sealed_bytes[:cut])

    assert tested_base.ask(tested_base.provider(cipher).has, *OWNER)
    with pytest.raises(kind, match=problem):
        tested_base.ask(tested_base.provider(cipher).get, *OWNER)


@pytest.mark.untraced
@pytest.mark.parametrize("batch", [1, 3, 100])
def test_all_rows_are_reencrypted(tested_base: CredentialsDatabase, batch: int) -> None:
    """Re-encryption with any batch size encrypts each row with the new key once."""
    assert 0 == tested_base.ask(tested_base.provider(NEWER).reseal, batch=batch)
    older_provider, newer_provider = tested_base.sync_provider(), tested_base.sync_provider(NEWER)
    for number in range(7):
        provider = newer_provider if number == 3 else older_provider
        provider.rotate("stripe", f"{number}", Credentials.bearer(f"token-{number}"))

    assert 6 == tested_base.ask(tested_base.provider(NEWER).reseal, batch=batch)
    assert [2] * 7 == [*map(sealed_with, tested_base.sealed())]
    assert 0 == tested_base.ask(tested_base.provider(NEWER).reseal, batch=batch)
    for number in range(7):
        assert Credentials.bearer(f"token-{number}") == newer_provider.get("stripe", f"{number}")


@pytest.mark.untraced
def test_reads_and_writes_continue_during_reencryption(tested_base: CredentialsDatabase) -> None:
    """During re-encryption, processes with both keys can read and write credentials."""
    newer_provider, older_provider = tested_base.sync_provider(NEWER), tested_base.sync_provider()
    for number in range(20):
        older_provider.rotate("stripe", f"{number}", OLD)
    reading, finished_event, wrong_reads = Event(), Event(), list[object]()

    def read() -> None:
        while not finished_event.is_set():
            newer_provider.rotate("stripe", "19", NEW)
            wrong_reads.extend(
                result
                for number in range(19)
                if (result := newer_provider.get("stripe", f"{number}")) != OLD
            )
            reading.set()

    reader = Thread(target=read)
    reader.start()
    reading.wait(20)
    try:
        assert 19 == tested_base.ask(tested_base.provider(NEWER).reseal, batch=3)
    finally:
        finished_event.set()
        reader.join()
    assert [] == wrong_reads
    assert [2] * 20 == [*map(sealed_with, tested_base.sealed())]


def test_overtaken_renewal_is_discarded(tested_base: CredentialsDatabase) -> None:
    """If another process stores a credential during a renewal, the renewed one is discarded."""

    def renew_too_late(*_: object) -> Credentials:
        tested_base.sync_provider().rotate(*OWNER, OTHER)
        return NEW

    async def renew_later(*_: object) -> Credentials:
        return await asyncio.to_thread(renew_too_late)

    tested_base.sync_provider().rotate(*OWNER, OLD)
    provider = tested_base.provider(renew=renew_later if tested_base.is_async else renew_too_late)
    assert OTHER == tested_base.ask(provider.refresh, *OWNER, OLD)


def test_missing_table_error(tested_base: CredentialsDatabase) -> None:
    """The error for a missing credentials table advises `migrate`; `migrate` may run again."""
    provider = tested_base.provider(prefix=f"gone{uuid4().hex[:8]}_")
    with pytest.raises(ConfigurationError, match=r"no usable table gone.*Call `migrate"):
        tested_base.ask(provider.has, *OWNER)
    tested_base.ask(tested_base.provider().migrate)
    tested_base.ask(tested_base.provider().migrate)


def test_many_make_the_table_at_once(base: CredentialsDatabase) -> None:
    """Several processes can create the credentials table at the same time."""
    base.run(f"DROP TABLE {base.table}")
    failures: list[Exception] = []

    def migrate() -> None:
        try:
            base.sync_provider().migrate()
        except Exception as error:  # noqa: BLE001 - shown below
            failures.append(error)

    threads = [Thread(target=migrate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == failures
    assert not base.sync_provider().has(*OWNER)


def test_a_host_may_make_the_table(base: CredentialsDatabase) -> None:
    """A host can create the credentials table from its SQLAlchemy metadata or with `ddl`."""
    prefix = base.new_prefix()
    metadata = sqlalchemy.MetaData()
    declared_table = SqlCredentialProvider.tables(metadata, prefix=prefix)
    assert declared_table is SqlCredentialProvider.tables(metadata, prefix=prefix)
    assert [declared_table] == metadata.sorted_tables

    base.run(f"DROP TABLE {prefix}credentials")
    base.run(SqlCredentialProvider.ddl(base.kind, prefix=prefix).rstrip(";\n"))
    SqlCredentialProvider(base.url, CIPHER, prefix=prefix).rotate(*OWNER, OLD)
    assert "in_a_schema.moorage_credentials" in SqlCredentialProvider.ddl(
        base.kind, schema="in_a_schema"
    )


def test_provider_can_use_an_engine_of_the_host(tested_base: CredentialsDatabase) -> None:
    """A provider on a host's engine uses its connections, but in separate transactions."""
    driver = tested_base.url.set(
        drivername=f"{tested_base.kind}+{DRIVERS[tested_base.kind][tested_base.is_async]}"
    )
    if tested_base.is_async:
        engine: Any = create_async_engine(driver, poolclass=NullPool)
        tested_base.ask(tested_base.provider(url=engine).rotate, *OWNER, OLD)
    else:
        engine = sqlalchemy.create_engine(driver, poolclass=NullPool)
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("SELECT 1"))
            tested_base.provider(url=engine).rotate(*OWNER, OLD)
            connection.rollback()

    assert OLD == tested_base.ask(tested_base.provider(url=engine).get, *OWNER)


def test_missing_rights_are_named(base: CredentialsDatabase) -> None:
    """The error for a database user without permissions names the missing permissions."""
    user = f"u{uuid4().hex[:10]}"
    base.run(f"CREATE USER {user}")
    try:
        if base.kind == "mariadb":
            base.run(f"GRANT CREATE ON {base.url.database}.* TO {user}")
        provider = SqlCredentialProvider(
            base.url.set(username=user), CIPHER, prefix=base.prefix, timeout=30
        )
        with pytest.raises(ConfigurationError, match=r"has no access to.*Grant the user SELECT"):
            provider.get(*OWNER)
    finally:
        base.run(f"DROP USER {user}")


def test_a_database_that_cannot_be_reached(tested_base: CredentialsDatabase) -> None:
    """The error for an unreachable database has its name without the password, and is retryable."""
    url = tested_base.url.set(host="127.0.0.1", port=1, password="sk_live")

    for verb, value in (("has", OWNER), ("migrate", ())):
        provider = tested_base.provider(url=url)
        with pytest.raises(StorageUnavailable) as excinfo:
            tested_base.ask(getattr(provider, verb), *value)
        assert excinfo.value.retryable
        assert "127.0.0.1:1" in str(excinfo.value)
        assert "sk_live" not in repr(provider)
        assert [] == [
            path for path, text in revealed_texts(excinfo.value, "error") if "sk_live" in text
        ]


def test_statement_on_a_silent_server_fails_at_its_timeout(
    tested_base: CredentialsDatabase,
) -> None:
    """If the database server does not reply, a statement fails at its timeout."""
    tested_base.ask(tested_base.provider().rotate, *OWNER, OLD)

    def silence_select(chunk: bytes) -> str | None:
        return "never" if b"SELECT" in chunk and tested_base.table.encode() in chunk else None

    with Proxy(tested_base.url, silence_select) as proxy:
        provider = tested_base.provider(url=proxy.url, timeout=1)
        with pytest.raises(StorageUnavailable):
            tested_base.ask(provider.get, *OWNER)


def test_wait_for_a_locked_row_is_bounded(tested_base: CredentialsDatabase) -> None:
    """Waiting too long for a locked credentials row raises StorageUnavailable."""
    tested_base.ask(tested_base.provider().rotate, *OWNER, OLD)
    with tested_base.engine.begin() as connection:
        connection.execute(sqlalchemy.text(f"SELECT id FROM {tested_base.table} FOR UPDATE"))
        with pytest.raises(StorageUnavailable):
            tested_base.ask(tested_base.provider(timeout=0.5).rotate, *OWNER, NEW)
    assert OLD == tested_base.ask(tested_base.provider().get, *OWNER)


@pytest.mark.parametrize("kind", [SqlCredentialProvider, AsyncSqlCredentialProvider])
def test_a_refused_url_is_not_shown(kind: Any) -> None:
    """The error for a URL with an unknown driver does not show the URL."""
    url = "postgresql+other://user:sk_live@localhost/x"
    with pytest.raises(ConfigurationError) as excinfo:
        kind(url, CIPHER)
    assert [] == [
        path for path, text in revealed_texts(excinfo.value, "error") if "sk_live" in text
    ]


@pytest.mark.parametrize("url", ["sqlite:///x.db", "postgresql+asyncpg://localhost/x", "no url", 5])
def test_invalid_urls_are_refused(url: Any) -> None:
    """A URL of an unsupported database is refused at construction."""
    with pytest.raises(ConfigurationError) as excinfo:
        SqlCredentialProvider(url, CIPHER)
    assert "url" == excinfo.value.path


def test_options_are_checked(base: CredentialsDatabase) -> None:
    """A batch size of zero and a timeout of zero are refused."""
    with pytest.raises(ConfigurationError):
        base.sync_provider().reseal(batch=0)
    with pytest.raises(ConfigurationError):
        base.sync_provider(timeout=0)


def test_owners_are_listed_and_deleted(tested_base: CredentialsDatabase) -> None:
    """Owners of credentials are listed without decrypting, and deleted credentials are gone."""
    tested_base.sync_provider().rotate("stripe", "acme", OLD)
    tested_base.sync_provider().rotate("stripe", None, OTHER)
    provider = tested_base.provider()

    assert [("stripe", None), ("stripe", "acme")] == tested_base.ask(provider.owners)
    assert tested_base.ask(provider.delete, "stripe", "acme")
    assert not tested_base.ask(provider.delete, "stripe", "acme")
    assert [("stripe", None)] == tested_base.ask(provider.owners)
    assert 1 == tested_base.ask(provider.clear)
    assert [] == tested_base.ask(provider.owners)
