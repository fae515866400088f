"""The store of shared state in PostgreSQL and MariaDB."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy
from sqlalchemy import event
from sqlalchemy.ext.asyncio import create_async_engine

from moorage import ConnectorManager, RateLimitConfig, Service
from moorage.domain.idempotency.claims import Verdict
from moorage.domain.values.durations import SECOND
from moorage.errors import StorageUnavailable
from moorage.testing import state_conformance as kit
from moorage.testing.kits.checks import name_of
from tests.adapters.in_flight import waits_of_the_next
from tests.adapters.sql_harness import (
    PATIENCE,
    Append,
    Harness,
    Proxy,
    RacingAppend,
    ReadCommand,
    hold_rows,
    new_claim,
    new_key,
    values,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine.interfaces import DBAPIConnection

    from moorage.adapters.state.sql import SqlStorage


# --- conformance -----------------------------------------------------------------


@pytest.mark.untraced
@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_sql_storage_passes_conformance_kit(check: kit.Check, sql_store: SqlStorage) -> None:
    """SqlStorage passes the conformance kit."""
    check(lambda: sql_store)


@pytest.mark.untraced
@pytest.mark.parametrize("check", kit.TIMED_CHECKS, ids=name_of)
def test_store_passes_the_timed_conformance_checks(
    check: kit.TimedCheck, sql_store: SqlStorage
) -> None:
    """SqlStorage passes the conformance checks that let time pass."""
    check(lambda: (sql_store, time.sleep))


@pytest.mark.untraced
@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_async_sql_storage_passes_conformance_kit(check: kit.AsyncCheck, harness: Harness) -> None:
    """AsyncSqlStorage passes the conformance kit."""

    async def check_store() -> None:
        async with harness.async_store() as store:
            await check(lambda: store)

    asyncio.run(check_store())


@pytest.mark.untraced
@pytest.mark.parametrize("check", kit.ASYNC_TIMED_CHECKS, ids=name_of)
def test_async_store_passes_the_timed_conformance_checks(
    check: kit.AsyncTimedCheck, harness: Harness
) -> None:
    """AsyncSqlStorage passes the conformance checks that let time pass."""

    async def check_store() -> None:
        async with harness.async_store() as store:
            await check(lambda: (store, time.sleep))

    asyncio.run(check_store())


def test_grant_of_a_task_cancelled_in_flight_is_given_back(harness: Harness) -> None:
    """A caller cancelled while it requests a rate limit token gives the token back."""

    async def waits_of_cancelled() -> list[int]:
        async with harness.async_store() as store:
            return await waits_of_the_next(store, range(0, 300, 5))

    results = asyncio.run(waits_of_cancelled())
    assert results  # some tasks were cancelled in time, however fast this machine is
    # A server that is slow for a moment may not notice that a slot was returned.
    assert sorted(results)[len(results) // 2] <= SECOND


# --- number of statements --------------------------------------------------------


class Recorder:
    """A recorder of the bytes that a client sends, which counts the SQL statements in them."""

    def __init__(self) -> None:
        self.sent = b""

    def sees(self, chunk: bytes) -> None:
        """Record the bytes that were sent."""
        self.sent += chunk

    def statements(self, kind: str) -> int:
        """Return the number of statements that were sent."""
        count, offset = 0, 0
        while offset < len(self.sent):
            if kind == "postgresql":
                count += self.sent[offset : offset + 1] in (b"E", b"Q")
                offset += 1 + int.from_bytes(self.sent[offset + 1 : offset + 5], "big")
            else:
                count += self.sent[offset + 4 : offset + 5] == b"\x03"
                offset += 4 + int.from_bytes(self.sent[offset : offset + 3], "little")
        return count


def test_a_successful_call_is_four_statements_at_most(harness: Harness) -> None:
    """A successful call with a circuit and a limit sends at most four SQL statements."""
    recorder = Recorder()
    with Proxy(harness.url, recorder.sees) as proxy:
        storage = harness.sync_store(proxy.url)
        service = Service(new_key(), limits=RateLimitConfig.per_second(1_000))
        manager = ConnectorManager([service], state=storage)
        for _ in range(3):
            manager.run(service.name, lambda: None)
        recorder.sent = b""

        manager.run(service.name, lambda: None)

        assert {"postgresql": 4, "mariadb": 2}[harness.kind] == recorder.statements(harness.kind)


def test_a_new_claim_is_four_statements_and_a_flush_at_most(harness: Harness) -> None:
    """A new idempotency key is claimed in one transaction with at most one flush to disk."""
    recorder = Recorder()
    with Proxy(harness.url, recorder.sees) as proxy:
        storage = harness.sync_store(proxy.url)
        storage.execute(new_claim(new_key()))
        recorder.sent = b""

        storage.execute(new_claim(new_key()))

        assert {"postgresql": 5, "mariadb": 2}[harness.kind] == recorder.statements(harness.kind)


# --- time ------------------------------------------------------------------------


@pytest.mark.parametrize("locked", [0, 1])
def test_the_clock_is_read_after_the_wait(
    harness: Harness, sql_store: SqlStorage, locked: int
) -> None:
    """A command that waits for a locked row uses the time at the end of the wait."""
    keys = [new_key(), new_key()]
    sql_store.execute(Append(1, *keys))
    read_times: list[int] = []
    waiting_thread = threading.Thread(
        target=lambda: read_times.append(sql_store.execute(Append(2, *keys))[0])
    )

    with hold_rows(harness, keys[locked]) as connection:
        waiting_thread.start()
        harness.wait_for_blocked_connection()
        release_time = harness.clock(connection)
    waiting_thread.join(PATIENCE)

    assert read_times[0] >= release_time


def test_the_clients_clock_does_not_matter(
    harness: Harness, sql_store: SqlStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client whose clock is wrong by days uses the database server's time."""
    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    with harness.engine.connect() as connection:
        clock_before = harness.clock(connection)

        now, _ = sql_store.execute(Append(1, new_key()))

        assert clock_before <= now <= harness.clock(connection)


def test_time_zone_of_a_session_does_not_change_the_time(harness: Harness) -> None:
    """The time zone of a database session does not change the store's time."""
    store = harness.sync_store(_engine(harness, _far_away))
    with harness.engine.connect() as connection:
        clock_before = harness.clock(connection)

        now, _ = store.execute(Append(1, new_key()))

        assert clock_before <= now <= harness.clock(connection)


def _far_away(connection: DBAPIConnection, _: object) -> None:
    word = (
        "SET TIME ZONE 'Asia/Tokyo'" if hasattr(connection, "pgconn") else "SET time_zone='+9:00'"
    )
    connection.cursor().execute(word)


def _engine(harness: Harness, *listeners: Callable[..., None], **options: Any) -> sqlalchemy.Engine:
    """Return a host's SQLAlchemy engine for the test database."""
    driver = "psycopg" if harness.kind == "postgresql" else "pymysql"
    engine = sqlalchemy.create_engine(
        harness.url.set(drivername=f"{harness.kind}+{driver}"), **options
    )
    for listener in listeners:
        event.listen(engine, "connect", listener)
    return engine


# --- the host's transactions ------------------------------------------------------


def test_a_claim_outlives_the_hosts_roll_back(harness: Harness) -> None:
    """A store uses its own transactions, even on the only connection of its host's engine."""
    engine = _engine(harness, pool_size=1, max_overflow=0)
    store, key = harness.sync_store(engine), new_key()
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT 1"))

        first = store.execute(new_claim(key))
        connection.rollback()

    assert Verdict.RUN is first.verdict
    second_claim = store.execute(new_claim(key, owner=2))
    assert Verdict.BUSY is second_claim.verdict
    engine.dispose()


def test_host_engine_is_not_changed(harness: Harness) -> None:
    """A store on a host's engine leaves the host's connections and settings unchanged."""
    engine = _engine(harness)
    harness.sync_store(engine).execute(Append(1, new_key()))

    with engine.connect() as connection:
        word = (
            "SHOW lock_timeout" if harness.kind == "postgresql" else "SELECT @@max_statement_time"
        )
        (wait,) = connection.execute(sqlalchemy.text(word)).one()

    assert str(wait) in {"0", "0.0"}
    assert 0 == engine.pool.checkedout()  # type: ignore[attr-defined]  # a QueuePool has it
    engine.dispose()


def test_asynchronous_engine_of_the_host_can_be_used(harness: Harness) -> None:
    """A store on an AsyncEngine uses the engine's connection settings, but not its pool."""
    driver = "psycopg" if harness.kind == "postgresql" else "asyncmy"

    async def use_engine() -> tuple[Any, ...]:
        engine = create_async_engine(harness.url.set(drivername=f"{harness.kind}+{driver}"))
        key = new_key()
        async with harness.async_store(engine) as store:
            await store.execute(Append(1, key))
            result = await store.execute(ReadCommand(key))
        await engine.dispose()
        return result[1]

    assert ((1,),) == asyncio.run(use_engine())


# --- concurrent writers -----------------------------------------------------------


def test_overtaken_insert_decides_again(sql_store: SqlStorage) -> None:
    """If another process inserts a row meanwhile, the command that found no row runs again."""
    key = new_key()
    command = RacingAppend(lambda: sql_store.execute(Append(1, key)), 2, key)

    sql_store.execute(command)

    assert ((1, 2),) == values(sql_store, key)


def test_keys_that_are_partly_new_are_decided_together(sql_store: SqlStorage) -> None:
    """A command on existing and new keys handles all of them in one transaction."""
    old_text, new_text = new_key(), new_key()
    sql_store.execute(Append(1, old_text))

    sql_store.execute(Append(2, new_text, old_text))

    assert ((1, 2), (2,)) == values(sql_store, old_text, new_text)


def test_reads_create_no_rows(harness: Harness, sql_store: SqlStorage) -> None:
    """A command that writes nothing creates no row."""
    keys = [new_key(), new_key()]

    sql_store.execute(ReadCommand(*keys))

    assert [] == harness.run(
        f"SELECT 1 FROM {harness.table} WHERE name IN ('{keys[0]}', '{keys[1]}')"
    )


def test_command_without_keys_gets_the_time(harness: Harness, sql_store: SqlStorage) -> None:
    """A command without keys returns the database's time."""
    with harness.engine.connect() as connection:
        clock_before = harness.clock(connection)

        assert clock_before <= sql_store.execute(ReadCommand())[0]


def test_key_that_command_names_twice_has_one_state(sql_store: SqlStorage) -> None:
    """A key that a command names twice has one state."""
    key = new_key()

    for number in (1, 2):
        sql_store.execute(Append(number, key, key))

    assert ((1, 2), (1, 2)) == values(sql_store, key, key)


def test_rows_that_others_hold_are_not_waited_for_for_ever(
    harness: Harness, sql_store: SqlStorage
) -> None:
    """A command that waits too long for locked rows fails; the store still works."""
    key, hasty_storage = new_key(), harness.sync_store(timeout=0.5)
    hasty_storage.execute(Append(1, key))
    with hold_rows(harness, key), pytest.raises(StorageUnavailable, match="in time"):
        hasty_storage.execute(Append(2, key))

    hasty_storage.execute(Append(3, key))

    assert ((1, 3),) == values(sql_store, key)


def test_caller_longer_timeout_lets_command_wait_for_locked_rows(harness: Harness) -> None:
    """A caller's longer timeout lets a command wait for locked rows."""
    key, hasty_storage = new_key(), harness.sync_store(timeout=0.2)
    hasty_storage.execute(Append(1, key))
    with hold_rows(harness, key):
        with pytest.raises(StorageUnavailable) as excinfo:
            harness.sync_store(timeout=0.2).execute(Append(2, key), 1.0)
        later_thread = threading.Thread(
            target=hasty_storage.execute, args=(Append(3, key), PATIENCE)
        )
        later_thread.start()
        harness.wait_for_blocked_connection()
    later_thread.join(PATIENCE)

    assert excinfo.value.slow
    assert ((1, 3),) == values(hasty_storage, key)


def test_the_victim_of_a_deadlock_tries_again(harness: Harness, sql_store: SqlStorage) -> None:
    """A command that loses a database deadlock is retried."""
    keys = [new_key(), new_key()]
    sql_store.execute(Append(1, *keys))
    order = [
        key
        for (key,) in harness.run(f"SELECT name FROM {harness.table} ORDER BY id")
        if key in keys
    ]
    own_thread = threading.Thread(target=sql_store.execute, args=(Append(2, *keys),))
    with harness.engine.connect() as connection:
        if harness.kind == "postgresql":
            # The other transaction is aborted, because it began to wait first.
            connection.execute(sqlalchemy.text("SET deadlock_timeout = '1min'"))
        for step in (order[1], "wait", order[0]):
            if step == "wait":
                own_thread.start()
                harness.wait_for_blocked_connection()
            else:
                # The transaction that has written more is not aborted.
                statement = f"UPDATE {harness.table} SET expires = expires + 1 WHERE name = :name"
                connection.execute(sqlalchemy.text(statement), {"name": step})
        connection.rollback()
    own_thread.join(PATIENCE)

    assert ((1, 2), (1, 2)) == values(sql_store, *keys)
