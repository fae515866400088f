"""The SQLite store while another process locks its file, or while its caller is interrupted."""

from __future__ import annotations

import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from moorage.adapters.state import _sqlite_engine as engine
from moorage.adapters.state.sqlite import SqliteStorage
from moorage.errors import InvalidData, StorageUnavailable
from tests.adapters.memory_commands import Put, ReadCommand
from tests.adapters.sqlite_harness import OtherProgram, engine_of, values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.domain.state.commands import States


class SkippingTime:
    """A fake clock whose pauses take no real time."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Advance the time."""
        self.now += seconds


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


# --- locks of other processes ----------------------------------------------------


def test_command_waits_for_a_held_lock(path: Path, store: SqliteStorage) -> None:
    """A command waits until another program releases the lock of the SQLite file."""
    store.execute(Put("old", "a"))
    with OtherProgram(path) as other_program:
        timer = threading.Timer(0.05, other_program.connection.rollback)
        timer.start()
        store.execute(Put("new", "a"))
        timer.join()

    assert ["new"] == values(store, "a")


def test_a_lock_that_is_kept_is_not_waited_for_for_ever(path: Path) -> None:
    """Waiting for a locked file fails at the timeout with a remedy; later commands succeed."""
    with SqliteStorage(path, timeout=0.02) as store:
        store.execute(Put("old", "a"))
        with OtherProgram(path):
            for attempt in (partial(store.execute, Put("new", "a")), store.housekeep):
                with pytest.raises(StorageUnavailable, match="held the lock") as excinfo:
                    attempt()
                assert "fuser" in excinfo.value.remedy
                assert StorageUnavailable is type(excinfo.value)
                assert excinfo.value.__cause__ is None

        store.execute(Put("new", "a"))
        assert ["new"] == values(store, "a")


def test_posts_under_a_held_lock_are_kept(path: Path) -> None:
    """Posting a command to a locked file does not wait.

    Posted commands run before the next command.
    """
    with SqliteStorage(path, timeout=0.05) as store:
        store.execute(Put("old", "a"))
        with OtherProgram(path):
            store.post(Put("posted", "a"))
            store.post(Put("x", "b", keep_for=-1))
            with pytest.raises(StorageUnavailable):
                store.execute(ReadCommand("a"))

        assert ["posted", "x"] == values(store, "a", "b")


def test_locked_file_delays_command_for_its_timeout_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A locked file delays a command by its timeout once, even if posted commands wait too."""
    clock = SkippingTime()
    monkeypatch.setattr(engine, "time", clock)
    with SqliteStorage(path, timeout=0.5) as store:
        store.execute(Put("old", "a"))
        with OtherProgram(path):
            store.post(Put("posted", "a"))
            start_time = clock.now
            with pytest.raises(StorageUnavailable):
                store.execute(ReadCommand("a"), timeout=10)

        assert 10 <= clock.now - start_time < 11
        assert ["posted"] == values(store, "a")


def test_failing_post_is_dropped(path: Path) -> None:
    """If a posted command raises an exception, the exception is discarded."""

    class FailingPut(Put):
        def apply(self, states: States, now: int) -> tuple[States, States]:
            raise InvalidData("no")

    with SqliteStorage(path, timeout=0.05) as store:
        store.execute(Put("old", "a"))
        with OtherProgram(path):
            store.post(FailingPut("never", "a"))
            store.post(Put("posted", "b"))

        assert ["old", "posted"] == values(store, "a", "b")


def test_readers_do_not_block_writers(path: Path) -> None:
    """Another program may read the SQLite file for any time without blocking writers."""
    with SqliteStorage(path, timeout=0.001) as store:
        store.execute(Put("old", "a"))
        other_program = OtherProgram(path)
        other_program.connection.execute("BEGIN")
        other_program.ask("SELECT count(*) FROM state")

        for number in range(50):
            store.execute(Put(number, "a"))
        engine_of(store).maintain()

        assert [49] == values(store, "a")
        other_program.connection.close()


# --- interruptions ---------------------------------------------------------------


class SignalInterruption(BaseException):
    """The exception that a signal handler raises."""


@pytest.mark.parametrize("where", ["apply", "commit"])
def test_interrupted_command_is_stored_completely_or_not_at_all(
    where: str, path: Path, store: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted command is stored completely or not at all."""

    class InterruptedPut(Put):
        def apply(self, states: States, now: int) -> tuple[States, States]:
            if where == "apply":
                raise SignalInterruption
            return super().apply(states, now)

    def raise_interruption(*_: object, **__: object) -> str:
        raise SignalInterruption

    store.execute(Put("old", "a"))
    with monkeypatch.context() as patched:
        if where == "commit":
            patched.setattr(engine, "_write_statement", raise_interruption)
        with pytest.raises(SignalInterruption):
            store.execute(InterruptedPut("new", "a", "b"))

    with OtherProgram(path):
        pass  # no other program holds the lock
    assert ["old", None] == values(store, "a", "b")


def test_command_interrupted_by_signal_takes_effect_completely_or_not_at_all(path: Path) -> None:
    """A command interrupted by a signal takes effect completely or not at all."""
    program = subprocess.run(
        [sys.executable, "-m", "tests.adapters.sqlite_worker", "add_while_interrupted", str(path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=True,
        text=True,
        timeout=150,
    )
    strikes, partial_writes, locked_files = map(int, program.stdout.split())

    assert strikes > 50
    assert (0, 0) == (partial_writes, locked_files)
