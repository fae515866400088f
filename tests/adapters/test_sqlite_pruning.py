"""Expiry of states in a SQLite file, and the limit on the file's size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moorage.adapters.state import _sqlite_engine as engine
from moorage.adapters.state.sqlite import SqliteStorage
from moorage.domain.values.durations import DAY, HOUR, SECOND
from moorage.errors import ConfigurationError
from moorage.testing import VirtualClock
from tests.adapters.memory_commands import Put
from tests.adapters.sqlite_harness import DurablePut, OtherProgram, engine_of, values

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_random_housekeeping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn off the housekeeping that the store starts at random."""
    monkeypatch.setattr(engine, "randrange", lambda _: 0)


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    """Return a path for a new file."""
    return tmp_path / "state.db"


@pytest.fixture(name="store")
def _store(path: Path) -> Iterator[SqliteStorage]:
    """Return a store for this test."""
    with SqliteStorage(path) as store:
        yield store


def rows(path: Path) -> int:
    """Return the number of states in the file."""
    other_program = OtherProgram(path)
    try:
        return other_program.ask("SELECT count(*) FROM state")  # type: ignore[no-any-return]  # a count
    finally:
        other_program.connection.close()


def test_housekeeping_removes_expired_states(path: Path) -> None:
    """Housekeeping removes only expired states, in batches and up to a limit."""
    clock = VirtualClock()
    with SqliteStorage(path, clock=clock) as store:
        for number in range(500):
            store.execute(Put("dust", f"dust-{number}", keep_for=SECOND))
        store.execute(Put("kept", "kept", keep_for=DAY))
        early_count = store.housekeep()
        clock.advance(2 * HOUR / SECOND)

        forgotten = [store.housekeep(limit=10), store.housekeep(limit=250), store.housekeep()]

        assert (0, [10, 250, 240], 1) == (early_count, forgotten, rows(path))
        assert ["kept"] == values(store, "kept")
        with pytest.raises(ConfigurationError, match="limit"):
            store.housekeep(limit=0)


def test_using_a_state_postpones_its_expiry(path: Path) -> None:
    """Using a state again postpones its expiry."""
    clock = VirtualClock()
    with SqliteStorage(path, clock=clock) as store:
        store.execute(Put(0, "a", keep_for=HOUR // 2))
        for number in range(1, 20):
            clock.advance(HOUR // 3 / SECOND)
            store.execute(Put(number, "a", keep_for=HOUR // 2))
            store.housekeep()
            assert [number] == values(store, "a")

        clock.advance(2 * HOUR / SECOND)
        assert 1 == store.housekeep()


def test_frequent_writes_do_not_update_the_index(path: Path, store: SqliteStorage) -> None:
    """If a state's expiry time stays within the same hour, a write does not update the index."""
    statements: list[str] = []
    store.execute(Put(0, "a"))
    link = engine_of(store).idle[-1]
    link.connection.set_trace_callback(statements.append)

    store.execute(Put(1, "a"))
    store.execute(Put(2, "b"))

    assert [False, True] == ["until = " in text for text in statements if text.startswith("INSERT")]


def test_a_file_does_not_grow_without_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From time to time, a command removes expired states and shortens the write-ahead log."""
    monkeypatch.setattr(engine, "MAINTENANCE_INTERVAL", 50)
    clock = VirtualClock()
    with SqliteStorage(path, clock=clock) as store:
        engine_of(store).writes = 0
        row_counts = []
        for number in range(1_000):
            store.execute(Put("dust", f"dust-{number}", keep_for=SECOND))
            clock.advance(120)
            row_counts.append(rows(path) if not number % 100 else 0)

        assert max(row_counts) < 150
        assert path.with_name("state.db-wal").stat().st_size < 1_000_000


def test_failed_pruning_fails_no_command(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If housekeeping fails, the command that started it succeeds."""
    with SqliteStorage(path, timeout=0.01) as store:
        store.execute(Put("old", "a"))
        with OtherProgram(path):
            engine_of(store).maintain()

        assert ["old"] == values(store, "a")


def test_large_answers_fill_the_journal_sooner(store: SqliteStorage) -> None:
    """Large writes cause the write-ahead log to be shortened after fewer commands."""
    store.execute(Put("old", "a"))
    engine_of(store).writes = 0

    store.execute(DurablePut(b"x" * 20_000, "a"))

    assert 10 == engine_of(store).writes
