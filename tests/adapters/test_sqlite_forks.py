"""Shared state in a SQLite file: children of a process that has it open."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from moorage.adapters.concurrency.forking import go_on, stand_still, start_afresh
from moorage.adapters.state import _sqlite_engine as engine
from moorage.adapters.state.sqlite import SqliteStorage
from moorage.errors import StorageUnavailable
from tests.adapters.forked import in_a_child
from tests.adapters.sqlite_lab import Other, inside, values
from tests.adapters.test_memory import Look, Put

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from moorage.domain.state.commands import States


@pytest.fixture(autouse=True)
def _no_luck(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody prunes and moves the journal unless it is time."""
    monkeypatch.setattr(engine, "randrange", lambda _: 0)


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    """Where a file may be made."""
    return tmp_path / "state.db"


@pytest.fixture(name="store")
def _store(path: Path) -> Iterator[SqliteStorage]:
    """A store that nobody else uses."""
    with SqliteStorage(path) as store:
        yield store


def test_a_forked_child_has_connections_of_its_own(store: SqliteStorage) -> None:
    """Parent and child go on, on the same states, also when the child ends first."""
    store.execute(Put("parent", "a"))

    def child() -> list[object]:
        result = values(store, "a")
        store.execute(Put("child", "a"))
        return result

    assert ["parent"] == in_a_child(child)
    assert ["child"] == values(store, "a")
    store.execute(Put("parent again", "a"))
    assert ["parent again"] == values(store, "a")


def test_a_fork_waits_for_who_is_in_the_middle(
    store: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No child is made while a thread holds the lock, which the child would think held for ever."""
    from moorage.adapters.databases import _sqlite_pool  # noqa: PLC0415 - for a busy machine

    monkeypatch.setattr(_sqlite_pool, "_PATIENCE", 20)
    store.execute(Put("old", "a"))
    inside, may = threading.Event(), threading.Event()

    class Slow(Put):
        def apply(self, states: States, now: int) -> tuple[States, States]:
            inside.set()
            may.wait(20)
            return super().apply(states, now)

    thread = threading.Thread(target=store.execute, args=[Slow("slow", "a")])
    thread.start()
    assert inside.wait(20)
    timer = threading.Timer(0.02, may.set)
    timer.start()

    assert ["slow"] == in_a_child(lambda: values(store, "a"))
    thread.join(20)
    timer.join(20)


def test_a_child_of_a_fork_that_did_not_wait_opens_nothing(store: SqliteStorage) -> None:
    """What it inherited could damage the file, so it says how to fork instead."""
    store.execute(Put("old", "a"))

    start_afresh()

    with pytest.raises(StorageUnavailable, match="forked"):
        store.execute(Look("a"))
    (link,) = inside(store)._pool._inherited  # noqa: SLF001 - this is no child: it can be closed
    link.close()


def test_a_fork_in_the_middle_of_a_command_is_made_all_the_same(
    store: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who forks where no fork can be waited for waits for a second, and the parent goes on."""
    from moorage.adapters.databases import _sqlite_pool  # noqa: PLC0415 - for a shorter second

    monkeypatch.setattr(_sqlite_pool, "_PATIENCE", 0.001)

    class Forking(Put):
        def apply(self, states: States, now: int) -> tuple[States, States]:
            stand_still()
            go_on()
            return super().apply(states, now)

    store.execute(Put("old", "a"))
    store.execute(Forking("new", "a"))

    assert ["new"] == values(store, "a")


def test_a_fork_while_somebody_opens_the_file_harms_nobody(
    store: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who takes longer over it than can be waited for keeps others from opening all the while."""
    from moorage.adapters.databases import _sqlite_pool  # noqa: PLC0415 - for a shorter second

    monkeypatch.setattr(_sqlite_pool, "_PATIENCE", 0.001)
    opening = inside(store)._pool._opening  # noqa: SLF001 - nobody else can tell when

    with opening:
        stand_still()
        go_on()
        assert opening.locked()

    store.execute(Put("new", "a"))
    assert ["new"] == values(store, "a")


def test_a_forked_child_executes_nothing_of_its_parent(path: Path) -> None:
    """What a parent has posted is the parent's to execute."""
    with SqliteStorage(path, timeout=0.01) as store:
        store.execute(Put("old", "a"))
        with Other(path):
            store.post(Put("posted", "a"))

        assert ["old"] == in_a_child(lambda: values(store, "a"))
        assert ["posted"] == values(store, "a")
