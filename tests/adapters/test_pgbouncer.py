"""The store of shared state behind PgBouncer, which gives each transaction another session."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psycopg
import pytest

from moorage import ConfigurationError
from moorage.adapters.state.sql import SqlStorage
from moorage.domain.idempotency.claims import Verdict, complete
from moorage.domain.values.durations import DAY
from moorage.testing import state_conformance as kit
from moorage.testing.kits.checks import name_of
from tests.adapters.sql_lab import Lab, a_claim, a_key
from tests.support.pgbouncer import PrivatePgBouncer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy

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
def database() -> Iterator[Lab]:
    """Yield a PostgreSQL database that has the tables of a state store."""
    lab = Lab("postgresql")
    yield lab
    lab.close()


@pytest.fixture(scope="module")
def pooler() -> Iterator[PrivatePgBouncer]:
    """A pooler with twenty sessions."""
    with PrivatePgBouncer() as running_pooler:
        yield running_pooler


def pooled(pooler: PrivatePgBouncer) -> sqlalchemy.URL:
    """Return the URL of the pooler, which says that it pools transactions."""
    return pooler.url.update_query_dict({"pool_mode": "transaction"})


@pytest.fixture
def store(database: Lab, pooler: PrivatePgBouncer) -> SqlStorage:
    """A store behind the pooler."""
    return database.plain(pooled(pooler))


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_conforms(check: kit.Check, store: SqlStorage) -> None:
    """SqlStorage behind a pooler of transactions passes the conformance kit."""
    check(lambda: store)


@pytest.mark.parametrize("check", kit.TIMED_CHECKS, ids=name_of)
def test_conforms_in_time(check: kit.TimedCheck, store: SqlStorage) -> None:
    """SqlStorage behind a pooler passes the conformance checks that let time pass."""
    check(lambda: (store, time.sleep))


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_async_store_conforms(
    check: kit.AsyncCheck, database: Lab, pooler: PrivatePgBouncer
) -> None:
    """AsyncSqlStorage behind a pooler of transactions passes the conformance kit."""

    async def check_store() -> None:
        async with database.awaited(pooled(pooler)) as store:
            await check(lambda: store)

    asyncio.run(check_store())


def test_many_callers_share_the_sessions(database: Lab, pooler: PrivatePgBouncer) -> None:
    """120 callers of twelve stores are all served by twenty sessions of the server."""
    stores = [database.plain(pooled(pooler)) for _ in range(STORES)]

    def claim_and_settle(number: int) -> bool:
        store, key = stores[number % STORES], a_key()
        claimed = store.execute(a_claim(key))
        assert Verdict.RUN is claimed.verdict
        return store.execute(complete(key, claimed.fence, ("value", number), ttl=DAY)).held

    with ThreadPoolExecutor(CALLERS) as callers:
        assert [True] * CALLERS == list(callers.map(claim_and_settle, range(CALLERS)))


def test_sessions_are_left_as_they_were(database: Lab) -> None:
    """A session of the server keeps no setting and no statement of the store for its next user."""

    def session(host: psycopg.Connection) -> list[object]:
        values = [host.execute(f"SHOW {name}").fetchone() for name in SETTINGS]
        return [*values, host.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()]

    with PrivatePgBouncer(sessions=1) as pooler:
        address = pooler.url.render_as_string(hide_password=False)
        with psycopg.connect(address, autocommit=True, prepare_threshold=None) as host:
            settings_before = session(host)
            store = database.plain(pooled(pooler))
            key = a_key()
            claimed = store.execute(a_claim(key))
            store.execute(complete(key, claimed.fence, ("value", 1), ttl=DAY))
            store.housekeep()
            settings_after = session(host)
            store.close()

    assert settings_before == settings_after


def test_pool_mode_session_keeps_the_session() -> None:
    """A pooler of sessions may be named too; then nothing changes."""
    store = SqlStorage("postgresql://host/name?pool_mode=session")

    assert not store._source.pools_transactions  # noqa: SLF001 - how connections are made


@pytest.mark.parametrize("query", ["pool_mode=", "pool_mode", "a=1&pool_mode=&b=2"])
def test_pool_mode_without_a_value_is_refused(query: str) -> None:
    """An option without a value, which SQLAlchemy ignores, is refused by its name."""
    with pytest.raises(ConfigurationError) as caught:
        SqlStorage(f"postgresql://host/name?{query}")

    assert "The option 'pool_mode' in the URL has no value." == caught.value.message


def test_unknown_pool_mode_is_refused() -> None:
    """A pool mode that the store cannot use is refused with those that it can."""
    with pytest.raises(ConfigurationError) as caught:
        SqlStorage("postgresql://host/name?pool_mode=statement")

    assert "pool_mode" in caught.value.message
    assert "transaction or session" in caught.value.remedy
