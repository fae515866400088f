"""The SQLite store in processes that were forked while its file was open."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.concurrency.forking import (
    pause_before_fork,
    restart_in_child,
    resume_after_fork,
)
from moorage.adapters.state import _sqlite_engine as engine
from moorage.adapters.state.sqlite import SqliteStorage
from moorage.errors import StorageUnavailable
from tests.adapters.forked import run_in_forked_child
from tests.adapters.memory_commands import Put, ReadCommand
from tests.adapters.sqlite_harness import OtherProgram, engine_of, values

if TYPE_CHECKING:
    from collections.abc import Iterator
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
    """Return a store for this test."""
    with SqliteStorage(path) as store:
        yield store


def test_parent_and_child_use_same_states_after_fork(store: SqliteStorage) -> None:
    """After a fork, parent and child share the same states, even if the child ends first."""
    store.execute(Put("parent", "a"))

    def child() -> list[object]:
        result = values(store, "a")
        store.execute(Put("child", "a"))
        return result

    assert ["parent"] == run_in_forked_child(child)
    assert ["child"] == values(store, "a")
    store.execute(Put("parent again", "a"))
    assert ["parent again"] == values(store, "a")


def test_fork_waits_for_running_commands(
    store: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork waits for a thread that runs a command."""
    from moorage.adapters.databases import _sqlite_pool  # noqa: PLC0415 - for a busy machine

    monkeypatch.setattr(_sqlite_pool, "_FORK_WAIT", 20)
    store.execute(Put("old", "a"))
    inner_event, may = threading.Event(), threading.Event()

    class SlowPut(Put):
        def apply(self, states: States, now: int) -> tuple[States, States]:
            inner_event.set()
            may.wait(20)
            return super().apply(states, now)

    thread = threading.Thread(target=store.execute, args=[SlowPut("slow", "a")])
    thread.start()
    assert inner_event.wait(20)
    timer = threading.Timer(0.02, may.set)
    timer.start()

    assert ["slow"] == run_in_forked_child(lambda: values(store, "a"))
    thread.join(20)
    timer.join(20)


def test_child_of_an_unsafe_fork_refuses_commands(store: SqliteStorage) -> None:
    """A child forked during a command refuses to use the SQLite file."""
    store.execute(Put("old", "a"))

    restart_in_child()

    with pytest.raises(StorageUnavailable, match="forked"):
        store.execute(ReadCommand("a"))
    (link,) = engine_of(store)._pool._inherited  # noqa: SLF001 - this is no child: it can be closed
    link.close()


def test_fork_inside_a_command_does_not_wait_for_ever(
    store: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork inside a running command does not wait for the command forever."""
    from moorage.adapters.databases import _sqlite_pool  # noqa: PLC0415 - for a shorter second

    monkeypatch.setattr(_sqlite_pool, "_FORK_WAIT", 0.001)

    class ForkingPut(Put):
        def apply(self, states: States, now: int) -> tuple[States, States]:
            pause_before_fork()
            resume_after_fork()
            return super().apply(states, now)

    store.execute(Put("old", "a"))
    store.execute(ForkingPut("new", "a"))

    assert ["new"] == values(store, "a")


def test_fork_while_the_file_is_opened(
    store: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork while another thread opens the file waits only briefly."""
    from moorage.adapters.databases import _sqlite_pool  # noqa: PLC0415 - for a shorter second

    monkeypatch.setattr(_sqlite_pool, "_FORK_WAIT", 0.001)
    opening = engine_of(store)._pool._opening  # noqa: SLF001 - nobody else can tell when

    with opening:
        pause_before_fork()
        resume_after_fork()
        assert opening.locked()

    store.execute(Put("new", "a"))
    assert ["new"] == values(store, "a")


def test_file_can_be_opened_after_forks_in_two_threads(
    store: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After two threads forked at the same time, the parent can open further connections."""
    from moorage.adapters.databases import _sqlite_pool  # noqa: PLC0415 - for a shorter second

    monkeypatch.setattr(_sqlite_pool, "_FORK_WAIT", 0.001)
    store.execute(Put("old", "a"))
    # Only this pool pauses, because threads of other tests may wait for their pools.
    pool: Any = engine_of(store)._pool  # noqa: SLF001 - nobody else can tell when
    pause, resume, opening = pool._pause, pool._resume, pool._opening  # noqa: SLF001 - as above

    def fork() -> None:
        pause()
        resume()

    pause()
    other_thread = threading.Thread(target=fork)
    other_thread.start()
    other_thread.join()
    was_held = opening.locked()
    resume()

    assert (True, False) == (was_held, opening.locked())


def test_forked_child_drops_its_parents_posts(path: Path) -> None:
    """Commands that a parent posted are executed by the parent, not by a forked child."""
    with SqliteStorage(path, timeout=0.01) as store:
        store.execute(Put("old", "a"))
        with OtherProgram(path):
            store.post(Put("posted", "a"))

        assert ["old"] == run_in_forked_child(lambda: values(store, "a"))
        assert ["posted"] == values(store, "a")
