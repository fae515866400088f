"""The SQLite store of shared state: conformance, opening and closing."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import threading
import warnings
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from moorage import ConnectorManager, RateLimitConfig, RateLimitExceeded, Service
from moorage.adapters.state import _sqlite_engine as engine
from moorage.adapters.state.sqlite import AsyncSqliteStorage, SqliteStorage
from moorage.domain.idempotency.claims import Claim, Verdict
from moorage.errors import ConfigurationError, StateUnavailable, StorageUnavailable
from moorage.testing import VirtualClock
from moorage.testing import state_conformance as kit
from moorage.testing.kits.checks import name_of
from tests.adapters.memory_commands import Put, ReadCommand
from tests.adapters.sqlite_harness import DurablePut, OtherProgram, claim, engine_of, values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from moorage.domain.state.commands import States


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
    """Return a store in a file of this test."""
    with SqliteStorage(path) as store:
        yield store


# --- conformance -----------------------------------------------------------------


@pytest.fixture(name="stores")
def _stores(tmp_path: Path) -> Iterator[Callable[..., SqliteStorage]]:
    """Return a function that opens stores, each with a new file."""
    storages: list[SqliteStorage] = []
    numbers = count()

    def make_storage(**options: Any) -> SqliteStorage:
        storages.append(SqliteStorage(tmp_path / f"{next(numbers)}.db", timeout=20, **options))
        return storages[-1]

    yield make_storage
    for store in storages:
        store.close()


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_sqlite_storage_passes_conformance_kit(
    check: kit.Check, stores: Callable[..., SqliteStorage]
) -> None:
    """SqliteStorage passes the conformance kit."""
    check(stores)


@pytest.mark.parametrize("check", kit.TIMED_CHECKS, ids=name_of)
def test_store_passes_the_timed_conformance_checks(
    check: kit.TimedCheck, stores: Callable[..., SqliteStorage]
) -> None:
    """SqliteStorage passes the expiry checks with a virtual clock."""

    def timed_storage() -> tuple[SqliteStorage, Callable[[float], None]]:
        clock = VirtualClock()
        return stores(clock=clock), clock.advance

    check(timed_storage)


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_async_sqlite_storage_passes_conformance_kit(check: kit.AsyncCheck, path: Path) -> None:
    """AsyncSqliteStorage passes the conformance kit."""

    async def run() -> None:
        async with AsyncSqliteStorage(path, timeout=20) as store:
            await check(lambda: store)

    asyncio.run(run())


@pytest.mark.parametrize("check", kit.ASYNC_TIMED_CHECKS, ids=name_of)
def test_async_store_passes_the_timed_conformance_checks(
    check: kit.AsyncTimedCheck, tmp_path: Path
) -> None:
    """AsyncSqliteStorage passes the expiry checks with a virtual clock."""

    async def run() -> None:
        clock = VirtualClock()
        async with AsyncSqliteStorage(tmp_path / "a.db", timeout=20, clock=clock) as store:
            await check(lambda: (store, clock.advance))

    asyncio.run(run())


def test_two_stores_share_a_file(path: Path, store: SqliteStorage) -> None:
    """Two stores on the same file, of sync or async mode, read each other's writes."""

    async def read() -> States:
        async with AsyncSqliteStorage(path) as other_storage:
            await other_storage.execute(Put("theirs", "b"))
            return await other_storage.execute(ReadCommand("a"))

    store.execute(Put("mine", "a"))
    (state,) = asyncio.run(read())

    assert state
    assert ("mine", ["theirs"]) == (state[2], values(store, "b"))


def test_states_survive_a_restart(path: Path) -> None:
    """Circuits, rate limits and claims in a SQLite file survive a restart of the process."""
    service = Service("vat", limits=RateLimitConfig.per_hour(1, burst=1), retry=None)
    with SqliteStorage(path) as store:
        ConnectorManager([service], state=store).run("vat", lambda: None)
        assert Verdict.RUN is store.execute(claim()).verdict

    with SqliteStorage(path) as store:
        assert Verdict.RUN is store.execute(claim()).verdict
        second_claim = Claim(
            "claim", fingerprint=b"f", owner=8, lease=1, ttl=1, target="", remembered=0
        )
        assert Verdict.BUSY is store.execute(second_claim).verdict
        manager = ConnectorManager([service], state=store)
        with pytest.raises(Exception, match="limit is reached"):
            manager.run("vat", lambda: None, timeout=1.0)


def test_unchanged_states_are_not_written(path: Path, store: SqliteStorage) -> None:
    """A command that changes no state does not write to the SQLite file."""
    store.execute(Put("old", "a"))
    other_program = OtherProgram(path)
    first_version = other_program.ask("PRAGMA data_version")

    store.execute(ReadCommand("a", "b"))
    unchanged_version = other_program.ask("PRAGMA data_version")
    store.execute(Put("new", "a"))

    assert (first_version, False) == (
        unchanged_version,
        unchanged_version == other_program.ask("PRAGMA data_version"),
    )
    other_program.connection.close()


def test_command_may_have_hundreds_of_keys(store: SqliteStorage) -> None:
    """A command may have hundreds of keys."""
    keys = [f"key-{number}" for number in range(300)]

    store.execute(Put("here", *keys))

    assert {"here"} == set(values(store, *keys))


def test_keys_that_cannot_be_written_are_refused(store: SqliteStorage) -> None:
    """A key with an unpaired surrogate raises StorageUnavailable."""
    with pytest.raises(StorageUnavailable):
        store.execute(Put(1, "\ud800"))

    store.execute(Put(1, "a"))
    assert [1] == values(store, "a")


def test_foreign_values_are_refused(path: Path, store: SqliteStorage) -> None:
    """A stored value that is not a state raises StateUnavailable."""
    store.execute(Put(1, "a"))
    other_program = OtherProgram(path)
    other_program.connection.execute("UPDATE state SET value = x'ff00'")

    with pytest.raises(StateUnavailable, match="cannot be read") as excinfo:
        store.execute(Put(2, "b", "a"))
    assert "a" == excinfo.value.key

    other_program.connection.execute("UPDATE state SET value = 'text'")
    with pytest.raises(StorageUnavailable, match="cannot be read"):
        store.execute(Put(2, "a"))
    other_program.connection.close()


# --- opening and closing ---------------------------------------------------------


def test_creating_store_does_not_create_file(path: Path) -> None:
    """Creating a store does not create the file."""
    with SqliteStorage(path) as store:
        assert not path.exists()
        store.migrate()
        assert path.exists()


def test_closed_store_refuses_commands(store: SqliteStorage) -> None:
    """A closed store refuses commands, and can be closed again."""
    store.execute(Put("old", "a"))
    store.close()
    store.close()

    with pytest.raises(StorageUnavailable, match="closed"):
        store.execute(ReadCommand("a"))


def test_close_does_not_wait_for_commands(store: SqliteStorage) -> None:
    """Closing a store during a command lets the command finish."""

    class ClosingPut(Put):
        def apply(self, states: States, now: int) -> tuple[States, States]:
            store.close()
            return super().apply(states, now)

    store.execute(ClosingPut("done", "a"))

    with pytest.raises(StorageUnavailable, match="closed"):
        store.execute(ReadCommand("a"))


def test_few_connections_are_kept(store: SqliteStorage) -> None:
    """Extra connections opened during a burst of commands are closed afterwards."""
    joint_barrier = threading.Barrier(12)

    class SimultaneousPut(DurablePut):
        """A command that waits until all threads have a connection."""

        def __init__(self) -> None:
            super().__init__("new", "a")
            self._met = False

        @property
        def durable(self) -> bool:  # type: ignore[override]  # asked for before the lock is
            if not self._met:
                self._met = True
                joint_barrier.wait(20)
            return False

    store.execute(Put("old", "a"))
    threads = [threading.Thread(target=store.execute, args=[SimultaneousPut()]) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert 8 == len(engine_of(store).idle)


def test_repr_shows_path_and_store_is_durable(path: Path) -> None:
    """The `repr` of a store shows its file and its durability."""
    plain_storage, async_storage = SqliteStorage(path), AsyncSqliteStorage(path)

    assert (f"SqliteStorage({str(path)!r})", True) == (repr(plain_storage), plain_storage.durable)
    assert (f"AsyncSqliteStorage({str(path)!r})", True) == (
        repr(async_storage),
        async_storage.durable,
    )


@pytest.mark.parametrize("path", ["", ":memory:", "a\0b", None, 7])
def test_invalid_paths_are_refused(path: Any) -> None:
    """A path that cannot be a file is refused at construction."""
    with pytest.raises(ConfigurationError, match="path of a file"):
        SqliteStorage(path)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), "1"])
def test_invalid_timeouts_are_refused(timeout: Any, path: Path) -> None:
    """A timeout that is not a positive number is refused at construction."""
    with pytest.raises(ConfigurationError, match="duration"):
        SqliteStorage(path, timeout=timeout)


def test_abandoned_store_closes_its_connections(path: Path) -> None:
    """A store that is garbage-collected closes its connections."""
    store = SqliteStorage(path)
    store.execute(Put("old", "a"))
    connection = engine_of(store).idle[0].connection

    gc.disable()
    try:
        del store
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")
    finally:
        gc.enable()


def test_a_store_in_a_circle_of_garbage_is_closed_in_time(path: Path) -> None:
    """A garbage-collected store in a reference cycle closes before Python warns."""
    circle: list[object] = []
    store = SqliteStorage(path)
    store.execute(Put("old", "a"))
    link = engine_of(store).idle[0]
    circle += [circle, store]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del store, circle
        gc.collect()

    assert not link.open


def test_call_is_still_made_if_limit_stored_state_has_unknown_layout(path: Path) -> None:
    """If the stored state of a rate limit has an unknown layout, the call is still made."""
    limit = RateLimitConfig.per_day(2)
    service = Service("vat", limits=limit, circuit=None, max_limit_wait=0)
    with SqliteStorage(path) as store, ConnectorManager([service], state=store) as manager:
        manager.run("vat", lambda: 1)
        with sqlite3.connect(path) as other_connection:
            (key,) = [
                key
                for (key,) in other_connection.execute("SELECT key FROM state")
                if "limit" in key
            ]
        other_connection.close()
        store.execute(Put("of another layout", key))
        assert 1 == manager.run("vat", lambda: 1)
        assert 1 == manager.run("vat", lambda: 1)
        with pytest.raises(RateLimitExceeded):
            manager.run("vat", lambda: 1)
