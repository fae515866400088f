"""Stores behind PgBouncer: each transaction may run in a different server session."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from moorage import ConfigurationError, ConnectorManager, Service
from moorage.adapters.audit.sql import SqlAudit
from moorage.adapters.cache.sealed import SealedCache
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.credentials.sql import AsyncSqlCredentialProvider, SqlCredentialProvider
from moorage.adapters.entries.sql import AsyncSqlOutbox, SqlInbox, SqlOutbox
from moorage.adapters.logs.sql import SqlIntegrationLogger
from moorage.adapters.metrics.sql import SqlMetrics
from moorage.adapters.state.sql import SqlStorage
from moorage.adapters.tenants.sql import AsyncSqlTenants, SqlTenants
from moorage.domain.auth.methods import Credentials
from moorage.domain.entries.queue import EntryQuery
from moorage.domain.idempotency.claims import Verdict, store_answer
from moorage.domain.observation.figures import FiguresQuery
from moorage.domain.observation.integration_log import LogQuery
from moorage.domain.values.durations import DAY
from moorage.testing import (
    cache_conformance,
    credentials_conformance,
    inbox_conformance,
    integration_log_conformance,
    outbox_conformance,
    tenants_conformance,
)
from moorage.testing import state_conformance as kit
from moorage.testing.kits.checks import name_of
from tests.adapters.sql_harness import Harness, new_claim, new_key
from tests.support.pgbouncer import PrivatePgBouncer
from tests.support.servers import postgres_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import sqlalchemy

CIPHER = AesGcmCipher(generate_keys())
STORES = 12
CALLERS = 120
SETTINGS = (
    "synchronous_commit",
    "lock_timeout",
    "statement_timeout",
    "idle_in_transaction_session_timeout",
    "enable_seqscan",
    "jit",
    "plan_cache_mode",
)


@pytest.fixture(scope="module")
def database() -> Iterator[Harness]:
    """Yield a PostgreSQL database that has the tables of a state store."""
    harness = Harness("postgresql")
    yield harness
    harness.close()


@pytest.fixture(scope="module")
def pooler() -> Iterator[PrivatePgBouncer]:
    """Yield a PgBouncer in transaction mode with twenty server sessions."""
    with PrivatePgBouncer() as running_pooler:
        yield running_pooler


def pooled_url(pooler: PrivatePgBouncer) -> sqlalchemy.URL:
    """Return PgBouncer's URL with the option `pool_mode=transaction`."""
    return pooler.url.update_query_dict({"pool_mode": "transaction"})


@pytest.fixture
def store(database: Harness, pooler: PrivatePgBouncer) -> SqlStorage:
    """Return a store that connects through PgBouncer."""
    return database.sync_store(pooled_url(pooler))


@pytest.mark.untraced
@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_sql_storage_behind_pgbouncer_passes_conformance_kit(
    check: kit.Check, store: SqlStorage
) -> None:
    """SqlStorage behind PgBouncer in transaction mode passes the conformance kit."""
    check(lambda: store)


@pytest.mark.untraced
@pytest.mark.parametrize("check", kit.TIMED_CHECKS, ids=name_of)
def test_store_passes_the_timed_conformance_checks(
    check: kit.TimedCheck, store: SqlStorage
) -> None:
    """SqlStorage behind PgBouncer passes the conformance checks that let time pass."""
    check(lambda: (store, time.sleep))


@pytest.mark.untraced
@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_async_store_conforms(
    check: kit.AsyncCheck, database: Harness, pooler: PrivatePgBouncer
) -> None:
    """AsyncSqlStorage behind PgBouncer in transaction mode passes the conformance kit."""

    async def check_store() -> None:
        async with database.async_store(pooled_url(pooler)) as store:
            await check(lambda: store)

    asyncio.run(check_store())


def test_many_callers_share_the_sessions(database: Harness, pooler: PrivatePgBouncer) -> None:
    """Twenty server sessions serve 120 callers of twelve stores."""
    stores = [database.sync_store(pooled_url(pooler)) for _ in range(STORES)]

    def claim_and_settle(number: int) -> bool:
        store, key = stores[number % STORES], new_key()
        claim_result = store.execute(new_claim(key))
        assert Verdict.RUN is claim_result.verdict
        return store.execute(store_answer(key, claim_result.fence, ("value", number), ttl=DAY)).held

    with ThreadPoolExecutor(CALLERS) as callers:
        assert [True] * CALLERS == list(callers.map(claim_and_settle, range(CALLERS)))


def test_sessions_are_left_as_they_were(database: Harness) -> None:
    """A store leaves no setting and no prepared statement in a server session of PgBouncer."""

    def session(host: psycopg.Connection) -> list[object]:
        values = [host.execute(f"SHOW {name}").fetchone() for name in SETTINGS]
        return [*values, host.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()]

    with PrivatePgBouncer(sessions=1) as pooler:
        address = pooler.url.render_as_string(hide_password=False)
        with psycopg.connect(address, autocommit=True, prepare_threshold=None) as host:
            settings_before = session(host)
            store = database.sync_store(pooled_url(pooler))
            key = new_key()
            claim_result = store.execute(new_claim(key))
            store.execute(store_answer(key, claim_result.fence, ("value", 1), ttl=DAY))
            store.housekeep()
            settings_after = session(host)
            store.close()

    assert settings_before == settings_after


def test_pool_mode_session_keeps_the_session() -> None:
    """With `pool_mode=session` in its URL, a store behaves as without PgBouncer."""
    store = SqlStorage("postgresql://host/name?pool_mode=session")

    assert not store._source.pools_transactions  # noqa: SLF001 - how connections are made


@pytest.mark.parametrize("query", ["pool_mode=", "pool_mode", "a=1&pool_mode=&b=2"])
def test_pool_mode_without_a_value_is_refused(query: str) -> None:
    """A `pool_mode` without a value is refused, because SQLAlchemy would ignore it."""
    with pytest.raises(ConfigurationError) as excinfo:
        SqlStorage(f"postgresql://host/name?{query}")

    assert "The option 'pool_mode' in the URL has no value." == excinfo.value.message


def test_unknown_pool_mode_is_refused() -> None:
    """The error for an unknown pool mode lists the supported modes."""
    with pytest.raises(ConfigurationError) as excinfo:
        SqlStorage("postgresql://host/name?pool_mode=statement")

    assert "pool_mode" in excinfo.value.message
    assert "transaction or session" in excinfo.value.remedy


def entry_url(pooler: PrivatePgBouncer) -> str:
    """Return PgBouncer's URL as text, with the option `pool_mode=transaction`."""
    return pooled_url(pooler).render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def prefix(pooler: PrivatePgBouncer) -> Iterator[str]:
    """Yield the prefix of tables that are created through PgBouncer."""
    result = f"pooled{uuid4().hex[:8]}_"
    for kind in (SqlInbox, SqlOutbox, SqlIntegrationLogger, SqlMetrics, SqlAudit):
        with kind(entry_url(pooler), prefix=result) as store:
            store.migrate()
    for sealed_kind in (SqlCredentialProvider, SqlTenants):
        sealed_kind(entry_url(pooler), CIPHER, prefix=result).migrate()
    yield result
    with psycopg.connect(postgres_url(), autocommit=True) as host:
        for (table,) in host.execute(
            "SELECT tablename FROM pg_tables WHERE tablename LIKE %s", [f"{result}%"]
        ).fetchall():
            host.execute(sql.SQL("DROP TABLE {} CASCADE").format(sql.Identifier(table)))


@pytest.mark.parametrize("check", inbox_conformance.CHECKS, ids=name_of)
def test_sql_inbox_behind_pgbouncer_passes_conformance_kit(
    check: inbox_conformance.Check, pooler: PrivatePgBouncer, prefix: str
) -> None:
    """SqlInbox behind PgBouncer in transaction mode passes the conformance kit."""
    with SqlInbox(entry_url(pooler), prefix=prefix) as store:
        store.remove(EntryQuery())
        check(lambda: store)


@pytest.mark.parametrize("check", outbox_conformance.CHECKS, ids=name_of)
def test_sql_outbox_behind_pgbouncer_passes_conformance_kit(
    check: outbox_conformance.Check, pooler: PrivatePgBouncer, prefix: str
) -> None:
    """SqlOutbox behind PgBouncer in transaction mode passes the conformance kit."""
    with SqlOutbox(entry_url(pooler), prefix=prefix) as store:
        store.remove(EntryQuery())
        check(lambda: store)


@pytest.mark.parametrize("check", outbox_conformance.ASYNC_CHECKS, ids=name_of)
def test_async_outbox_conforms(
    check: outbox_conformance.AsyncCheck, pooler: PrivatePgBouncer, prefix: str
) -> None:
    """AsyncSqlOutbox behind PgBouncer in transaction mode passes the conformance kit."""

    async def check_store() -> None:
        async with AsyncSqlOutbox(entry_url(pooler), prefix=prefix) as store:
            await store.remove(EntryQuery())
            await check(lambda: store)

    asyncio.run(check_store())


def test_wait_for_entries_is_a_pause(pooler: PrivatePgBouncer, prefix: str) -> None:
    """Behind PgBouncer a worker only pauses for new entries, because LISTEN needs a session."""
    with SqlOutbox(entry_url(pooler), prefix=prefix) as store:
        assert not store.wait(0.01)
        assert not store.wait(0.01)


def test_calls_are_logged_and_counted(pooler: PrivatePgBouncer, prefix: str) -> None:
    """The log and the metrics of calls can be written through PgBouncer in transaction mode."""
    url = entry_url(pooler)
    with SqlIntegrationLogger(url, prefix=prefix) as log, SqlMetrics(url, prefix=prefix) as metrics:
        for number in range(10):
            log.write(integration_log_conformance.entry(number))
        log.flush()
        with ConnectorManager([Service("vat")], observers=[metrics]) as manager:
            manager.run("vat", lambda: 1)
        assert 10 == len(log.find(LogQuery()).items)
        assert 1 == metrics.figures(FiguresQuery(service="vat"))[0].figures.success


@pytest.mark.untraced
@pytest.mark.parametrize("check", credentials_conformance.CHECKS, ids=name_of)
def test_sql_credential_provider_behind_pgbouncer_passes_conformance_kit(
    check: credentials_conformance.Check, pooler: PrivatePgBouncer, prefix: str
) -> None:
    """SqlCredentialProvider behind PgBouncer passes the conformance kit."""

    def make_provider(renew: credentials_conformance.Renew) -> SqlCredentialProvider:
        provider = SqlCredentialProvider(entry_url(pooler), CIPHER, renew=renew, prefix=prefix)
        provider.clear()
        return provider

    check(make_provider)


@pytest.mark.parametrize("check", credentials_conformance.ASYNC_CHECKS, ids=name_of)
def test_async_credentials_conform(
    check: credentials_conformance.AsyncCheck, pooler: PrivatePgBouncer, prefix: str
) -> None:
    """AsyncSqlCredentialProvider behind PgBouncer passes the conformance kit."""
    url = entry_url(pooler)

    def make_provider(renew: credentials_conformance.AsyncRenew) -> AsyncSqlCredentialProvider:
        SqlCredentialProvider(url, CIPHER, prefix=prefix).clear()
        return AsyncSqlCredentialProvider(url, CIPHER, renew=renew, prefix=prefix)

    asyncio.run(check(make_provider))


@pytest.mark.parametrize("check", tenants_conformance.CHECKS, ids=name_of)
def test_sql_tenants_behind_pgbouncer_pass_conformance_kit(
    check: tenants_conformance.Check, pooler: PrivatePgBouncer, prefix: str
) -> None:
    """SqlTenants behind PgBouncer in transaction mode passes the conformance kit."""
    tenants = SqlTenants(entry_url(pooler), CIPHER, prefix=prefix)
    tenants.clear()
    check(lambda: (tenants, partial(_put_tables, tenants)))


@pytest.mark.parametrize("check", tenants_conformance.ASYNC_CHECKS, ids=name_of)
def test_async_tenants_conform(
    check: tenants_conformance.AsyncCheck, pooler: PrivatePgBouncer, prefix: str
) -> None:
    """AsyncSqlTenants behind PgBouncer in transaction mode passes the conformance kit."""
    tenants = SqlTenants(entry_url(pooler), CIPHER, prefix=prefix)
    tenants.clear()
    async_tenants = AsyncSqlTenants(entry_url(pooler), CIPHER, prefix=prefix)

    asyncio.run(check(lambda: (async_tenants, partial(_put_tables, tenants))))


def _put_tables(tenants: SqlTenants, tenant: str, tables: Mapping[str, Any] | None) -> None:
    """Store the configuration tables of a tenant, or delete the tenant."""
    if tables is None:
        tenants.remove(tenant)
    else:
        tenants.put(tenant, tables)


@pytest.mark.parametrize("check", cache_conformance.CHECKS, ids=name_of)
def test_sealed_cache_behind_pgbouncer_passes_conformance_kit(
    check: cache_conformance.Check, store: SqlStorage
) -> None:
    """An encrypted cache behind PgBouncer in transaction mode passes the conformance kit."""
    check(lambda: SealedCache(store, CIPHER))


def test_tables_of_credentials_prepare_no_statements(database: Harness, prefix: str) -> None:
    """Even after much use, a credential store leaves no prepared statement in a server session."""
    with PrivatePgBouncer(sessions=1) as pooler:
        provider = SqlCredentialProvider(entry_url(pooler), CIPHER, prefix=prefix)
        for number in range(10):
            provider.rotate("bank", f"tenant-{number}", Credentials.bearer("old"))
        provider.reseal()
        provider.migrate()
        address = pooler.url.render_as_string(hide_password=False)
        with psycopg.connect(address, autocommit=True, prepare_threshold=None) as host:
            statements = host.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()

    assert (0,) == statements
