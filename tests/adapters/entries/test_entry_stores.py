"""Inbox and outbox stores in a SQLite file, PostgreSQL and MariaDB."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.orm import Session

from moorage import ConfigurationError
from moorage.domain.entries.queue import EntryQuery, EntryState, finish_entry, take_entry
from moorage.testing import inbox_conformance, outbox_conformance
from moorage.testing.kits.checks import name_of
from moorage.wiring.store_urls import open_outbox
from tests.adapters.entry_harnesses import entry
from tests.support import overlapping

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tests.adapters.entry_harnesses import EntryHarness
    from tests.support.overlapping import Begin

DAY = timedelta(days=1)


@pytest.mark.untraced
@pytest.mark.parametrize("check", inbox_conformance.CHECKS, ids=name_of)
def test_sqlite_inbox_and_sql_inbox_pass_conformance_kit(
    check: inbox_conformance.Check, harness: EntryHarness
) -> None:
    """SqliteInbox and SqlInbox pass the conformance kit."""
    check(harness.inbox)


@pytest.mark.untraced
@pytest.mark.parametrize("check", outbox_conformance.CHECKS, ids=name_of)
def test_sqlite_outbox_and_sql_outbox_pass_conformance_kit(
    check: outbox_conformance.Check, harness: EntryHarness
) -> None:
    """SqliteOutbox and SqlOutbox pass the conformance kit."""
    check(harness.outbox)


@pytest.mark.untraced
@pytest.mark.parametrize("check", inbox_conformance.ASYNC_CHECKS, ids=name_of)
def test_asynchronous_inboxes_pass_conformance_kit(
    check: inbox_conformance.AsyncCheck, harness: EntryHarness
) -> None:
    """The asynchronous inboxes pass the conformance kit."""
    asyncio.run(_check_store(check, harness, "async_inbox", harness.inbox))


@pytest.mark.untraced
@pytest.mark.parametrize("check", outbox_conformance.ASYNC_CHECKS, ids=name_of)
def test_asynchronous_outboxes_pass_conformance_kit(
    check: outbox_conformance.AsyncCheck, harness: EntryHarness
) -> None:
    """The asynchronous outboxes pass the conformance kit."""
    asyncio.run(_check_store(check, harness, "async_outbox", harness.outbox))


async def _check_store(
    check: Any, harness: EntryHarness, made: str, empty: Callable[[], Any]
) -> None:
    store = await getattr(harness, made)()

    def factory() -> Any:
        empty()
        return store

    try:
        await check(factory)
    finally:
        await store.aclose()


def test_worker_claims_several_entries_at_once(harness: EntryHarness) -> None:
    """A worker claims several entries at once, in order, and skips those of other workers."""
    store = harness.outbox()
    for name in "abcde":
        store.add(entry(name))

    first = store.claim(3, 60.0, 5)
    second = store.claim(3, 60.0, 5)

    assert [item.id for item in first] == ["a", "b", "c"]
    assert [item.id for item in second] == ["d", "e"]
    assert store.claim(3, 60.0, 5) == ()
    assert {item.state for item in (*first, *second)} == {EntryState.CLAIMED}
    stored_entries = {item.id: item for item in store.find(EntryQuery()).items}
    assert stored_entries == {item.id: item for item in (*first, *second)}


def test_claim_takes_at_most_one_entry_of_each_lane(harness: EntryHarness) -> None:
    """A worker's claim takes at most one entry of each ordered group (lane)."""
    store = harness.outbox()
    for name in ("a1", "a2", "b1"):
        store.add(entry(name, lane=name[0]))

    claimed_entries = store.claim(9, 60.0, 5)
    assert [ticket.id for ticket in claimed_entries] == ["a1", "b1"]
    store.settle(
        [finish_entry(ticket, store.now()) for ticket in claimed_entries],
        [ticket.fence for ticket in claimed_entries],
    )
    assert [entry.id for entry in store.claim(9, 60.0, 5)] == ["a2"]


def test_entry_whose_earlier_worker_may_have_crashed_is_claimed_alone(
    harness: EntryHarness,
) -> None:
    """An entry whose earlier worker may have crashed is claimed alone, not in a batch."""
    store = harness.outbox()
    for name in "abc":
        store.add(entry(name))
    (fatal,) = store.find(EntryQuery(id="b")).items
    store.swap(take_entry(fatal, store.now() - DAY, 60.0, 5), fatal.fence)

    claims = [[entry.id for entry in store.claim(9, 60.0, 5)] for _ in range(4)]
    assert claims == [["a"], ["b"], ["c"], []]


def test_settling_skips_entries_that_another_worker_has_claimed(harness: EntryHarness) -> None:
    """Settling a batch skips entries that another worker has claimed in the meantime."""
    store = harness.outbox()
    for name in "abc":
        store.add(entry(name))
    claimed_entries = store.claim(9, 60.0, 5)
    store.swap(take_entry(claimed_entries[1], store.now(), 60.0, 5), claimed_entries[1].fence)
    finished_entries = [finish_entry(ticket, store.now()) for ticket in claimed_entries]

    assert store.settle(finished_entries, [ticket.fence for ticket in claimed_entries]) == [
        True,
        False,
        True,
    ]
    assert store.settle(finished_entries[1:2], [claimed_entries[1].fence]) == [False]
    states = {item.id: item.state.value for item in store.find(EntryQuery()).items}
    assert states == {"a": "done", "b": "claimed", "c": "done"}


def test_asynchronous_outbox_claims_and_settles_entries_in_batches(harness: EntryHarness) -> None:
    """The asynchronous outbox claims and settles entries in batches."""

    async def run() -> None:
        store = await harness.async_outbox()
        for name in "ab":
            await store.add(entry(name))
        claimed_entries = await store.claim(9, 60.0, 5)
        now = await store.now()
        settled_flags = await store.settle(
            [finish_entry(ticket, now) for ticket in claimed_entries], [1, 1]
        )
        assert [ticket.id for ticket in claimed_entries] == ["a", "b"]
        assert settled_flags == [True, True]
        await store.aclose()

    asyncio.run(run())


def test_claim_skips_rows_that_another_worker_has_locked_instead_of_waiting_for_them(
    server: EntryHarness,
) -> None:
    """A claim skips rows that another worker has locked instead of waiting for them."""
    store = server.outbox()
    for name in "ab":
        store.add(entry(name))
    lock = f"SELECT number FROM {server.prefix}outbox WHERE id = 'a' FOR UPDATE"
    with server.engine.begin() as connection:
        connection.exec_driver_sql(lock)
        assert [entry.id for entry in store.claim(9, 60.0, 5)] == ["b"]
    assert [entry.id for entry in store.claim(9, 60.0, 5)] == ["a"]


@pytest.mark.untraced
@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
@pytest.mark.parametrize("check", overlapping.CHECKS, ids=name_of)
def test_concurrent_transactions_keep_the_order_within_a_lane(
    check: Callable[[Begin, Any], None], server: EntryHarness, isolation: str
) -> None:
    """Concurrent transactions keep the order of entries in a lane and do not block other lanes."""
    engine = server.engine.execution_options(isolation_level=isolation)
    store = server.outbox()

    @contextmanager
    def begin() -> Generator[Any]:
        with Session(engine) as session, session.begin():
            yield store.within(session)

    check(begin, store)


def test_many_lanes_hold_few_locks(server: EntryHarness) -> None:
    """A transaction that adds entries to many lanes holds few locks in the database server."""
    store = server.outbox()
    with server.engine.begin() as connection:
        for number in range(40):
            store.within(connection).add(entry(f"{number}", lane=f"INV-{number}"))
        if server.kind == "postgresql":
            lock_query = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()"
            assert connection.exec_driver_sql(lock_query).scalar_one() < 30
            remaining_result = connection.exec_driver_sql(
                f"SELECT count(*) FROM {server.prefix}lane"
            )
            assert remaining_result.scalar_one() == 0
    assert 40 == len(store.find(EntryQuery(limit=50)).items)


def test_missing_lane_table_advises_migrate(server: EntryHarness) -> None:
    """If tables of an earlier release lack the lane table, adding an entry advises `migrate()`."""
    prefix = f"{server.prefix}earlier_"
    with open_outbox(server.url, prefix=prefix, create=True) as store:
        store.due(1)
    with server.engine.begin() as connection:
        connection.exec_driver_sql(f"DROP TABLE {prefix}lane")
    with open_outbox(server.url, prefix=prefix) as store:
        with pytest.raises(ConfigurationError) as excinfo:
            store.add(entry("a", lane="x"))
        assert "migrate()" in str(excinfo.value.remedy)
        store.migrate()
        assert store.add(entry("a", lane="x")).lane == "x"
    with server.engine.begin() as connection:
        for name in ("outbox", "lane"):
            connection.exec_driver_sql(f"DROP TABLE {prefix}{name}")
