"""Workers waiting for new outbox entries, and the clock of a SQLite store."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import sqlalchemy
from sqlalchemy.orm import Session

from moorage.adapters.entries import sqlite as sqlite_entries
from moorage.adapters.entries.sqlite import SqliteOutbox
from moorage.testing import VirtualClock
from moorage.wiring.store_urls import open_outbox
from tests.adapters.entry_harnesses import entry

if TYPE_CHECKING:
    from pathlib import Path

    from tests.adapters.entry_harnesses import EntryHarness

DAY = timedelta(days=1)


def test_waiting_worker_wakes_on_commit(server: EntryHarness) -> None:
    """A waiting worker wakes when entries are committed, and not when they are rolled back."""
    store = server.outbox()
    can = server.kind == "postgresql"
    assert store.wait(0.01) is can  # the first wait cannot know whether entries arrived earlier
    assert not store.wait(0.01)
    with Session(server.engine) as session:
        store.within(session).add(entry("never"))
        session.rollback()
        assert not store.wait(0.01)
        store.within(session).add(entry("kept"))
        assert not store.wait(0.01)
        session.commit()
    assert store.wait(30.0 if can else 0.01) is can
    store.add(entry("kept"))
    assert not store.wait(0.01)


def test_waiting_asynchronous_worker_wakes_on_commit(server: EntryHarness) -> None:
    """A worker waiting on an asynchronous store wakes when entries are committed."""

    async def run() -> None:
        store = await server.async_outbox()
        can = server.kind == "postgresql"
        assert await store.wait(0.01) is can
        waiting_task = asyncio.ensure_future(store.wait(30.0 if can else 0.01))
        await asyncio.sleep(0)
        await store.add(entry("a"))
        assert await waiting_task is can
        await store.aclose()

    asyncio.run(run())


def test_wait_with_zero_timeout_returns_at_once(server: EntryHarness) -> None:
    """A wait with a zero timeout returns at once, even if it must first open a connection."""
    with open_outbox(server.url, prefix=server.prefix) as store:
        assert (server.kind == "postgresql") == store.wait(0.0)
        assert not store.wait(0.0)


def test_waiting_worker_reconnects_and_sees_new_entries(server: EntryHarness) -> None:
    """If a worker loses its connection while it waits, it reconnects and still sees new entries."""
    if server.kind != "postgresql":
        pytest.skip("nobody is woken in MariaDB: run the case of PostgreSQL")
    url = f"{server.url}?application_name={server.prefix}"
    with open_outbox(url, prefix=server.prefix) as store:
        store.wait(0.01)
        with server.engine.begin() as connection:
            connection.execute(
                sqlalchemy.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = :name"
                ),
                {"name": server.prefix},
            )
        assert store.wait(30.0)


@pytest.mark.parametrize("boot", [None, "another"])
def test_time_of_a_sqlite_store_never_goes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, boot: str | None
) -> None:
    """The time of a SQLite store never goes back.

    If the system has no boot id, the store uses the wall clock.
    """
    clock = VirtualClock()
    path = tmp_path / "a.db"
    with SqliteOutbox(path, create=True, clock=clock) as store:
        first = store.add(entry("a")).added_at
        assert first == clock.utc()
    monkeypatch.setattr(sqlite_entries, "boot_id", lambda: boot)
    behind_clock = VirtualClock(first - DAY)
    with SqliteOutbox(path, clock=behind_clock) as store:
        assert store.now() == (behind_clock.utc() if boot is None else first)
        behind_clock.advance(1.5)
        assert store.now() == (
            behind_clock.utc() if boot is None else first + timedelta(seconds=1.5)
        )
