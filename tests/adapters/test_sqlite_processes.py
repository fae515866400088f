"""A SQLite file that many processes share."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.databases import _sqlite_time
from moorage.adapters.state.sqlite import SqliteStorage
from moorage.domain.resilience.admission import Answer
from moorage.domain.resilience.circuit import CircuitBreakerConfig
from moorage.domain.resilience.rate_limit import RateLimitConfig
from moorage.domain.service.plan import Plan
from moorage.domain.service.settings import Service
from moorage.domain.values.durations import HOUR, SECOND
from moorage.testing import VirtualClock
from tests.adapters.memory_commands import ReadCommand
from tests.adapters.sqlite_harness import OtherProgram, engine_of, values
from tests.adapters.sqlite_worker import Add

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    """Return a path for a new file."""
    return tmp_path / "state.db"


@pytest.fixture(name="workers")
def _workers(path: Path) -> Iterator[Workers]:
    """Yield a factory of worker processes, which end with the test."""
    workers = Workers(path)
    yield workers
    workers.end()


class Workers:
    """A factory of worker processes that share a SQLite file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._started: list[subprocess.Popen[str]] = []

    def start(self, task: str, *more: object) -> subprocess.Popen[str]:
        """Start another worker process for this task."""
        command = [sys.executable, "-m", "tests.adapters.sqlite_worker", task, str(self._path)]
        worker = subprocess.Popen(
            [*command, *map(str, more)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        self._started.append(worker)
        return worker

    def end(self) -> None:
        """End all worker processes."""
        for worker in self._started:
            worker.kill()
            worker.wait()
            assert worker.stdout
            worker.stdout.close()


def output_of(worker: subprocess.Popen[str]) -> str:
    """Return the output of a worker that ended without an error."""
    output, _ = worker.communicate(timeout=120)
    assert 0 == worker.returncode
    return output


def test_concurrent_writes_are_stored_once(path: Path, workers: Workers) -> None:
    """Eight processes with eight threads each lose no write, even while they create the file."""
    joint_processes = [workers.start("count", 8, 25) for _ in range(8)]

    counts = sorted(
        int(number) for worker in joint_processes for number in output_of(worker).split()
    )

    assert [*range(8 * 8 * 25)] == counts
    with SqliteStorage(path) as store:
        assert [1_600, 1_600] == values(store, "one", "two")
    assert "ok" == OtherProgram(path).ask("PRAGMA integrity_check")


def test_killed_process_leaves_whole_commands(path: Path, workers: Workers) -> None:
    """If a process is killed at any moment, each command is stored completely or not at all."""
    generator, other_process = Random(1), workers.start("increment_counters")
    for _ in range(12):
        worker = workers.start("increment_counters")
        assert worker.stdout
        first = int(worker.stdout.readline())
        time.sleep(generator.random() / 20)
        worker.kill()
        last = max([first, *(int(line) for line in worker.stdout if line.endswith("\n"))])

        with SqliteStorage(path, timeout=20) as store:
            one, two = values(store, "one", "two")
        assert one == two
        assert isinstance(one, int)
        assert last < one
    other_process.kill()

    assert "ok" == OtherProgram(path).ask("PRAGMA integrity_check")


# --- time ------------------------------------------------------------------------


def test_processes_agree_on_the_time(path: Path, workers: Workers) -> None:
    """Processes whose wall clocks differ by hours agree on the store's time."""
    with SqliteStorage(path) as store:
        time_before = store.execute(Add("time"))[1]
        reports = [output_of(workers.start("tell_time", hours)) for hours in (1, -1, 1_000, 0)]
        time_after = store.execute(Add("time"))[1]

    times = [time_before, *(int(line.split()[0]) for line in reports), time_after]
    assert sorted(times) == times
    assert all(abs(int(time) - int(wall)) < 60 * SECOND for time, wall in map(str.split, reports))


def fake_reboot(monkeypatch: pytest.MonkeyPatch, name: str | None) -> None:
    """Make the machine appear to have been rebooted, with this boot id."""
    monkeypatch.setattr(_sqlite_time, "boot_id", lambda: name)


def test_boot_id_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`boot_id` returns an id on Linux, and None if the system has no valid id."""
    assert len(_sqlite_time.boot_id() or "") == (36 if sys.platform == "linux" else 0)

    for content in (None, b"", b"\xff"):
        missing_path = tmp_path / "boot_id"
        if content is not None:
            missing_path.write_bytes(content)
        monkeypatch.setattr(_sqlite_time, "_BOOT", missing_path)
        assert None is _sqlite_time.boot_id()


def store_time(path: Path, clock: VirtualClock) -> int:
    """Return the time of a newly opened store."""
    with SqliteStorage(path, clock=clock) as store:
        return store.execute(Add("time"))[1]


def test_time_is_anchored_once_per_boot(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two boots, the store's time ignores changes of the wall clock."""
    fake_reboot(monkeypatch, "first")
    clock = VirtualClock()
    time_before = store_time(path, clock)
    clock.step_utc(timedelta(hours=1))
    clock.advance(5)

    assert 5 * SECOND == store_time(path, clock) - time_before


@pytest.mark.parametrize("watch", [timedelta(hours=-3), timedelta(hours=3)])
def test_reboot_sets_the_time_from_the_wall_clock(
    watch: timedelta, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a reboot, the store's time is set by the wall clock, but never goes back."""
    fake_reboot(monkeypatch, "first")
    clock = VirtualClock(datetime(2030, 1, 1, tzinfo=UTC))
    clock.advance(10_000)
    with SqliteStorage(path, clock=clock) as store:
        store.execute(Add("time"))
        engine_of(store).maintain()
        time_before = store.execute(Add("time"))[1]

    fake_reboot(monkeypatch, "second")
    repeated_clock = VirtualClock(clock.utc() + watch)
    time_after = store_time(path, repeated_clock)
    repeated_clock.advance(7)

    assert max(watch, timedelta(0)) // timedelta(microseconds=1) == time_after - time_before
    assert 7 * SECOND == store_time(path, repeated_clock) - time_after


def test_processes_that_set_the_time_at_once_use_the_first_time(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If two processes set the time of a SQLite file concurrently, both use the first time."""
    fake_reboot(monkeypatch, "first")
    slow_clock, fast_clock = VirtualClock(), VirtualClock()
    fast_clock.step_utc(timedelta(hours=1))
    store_time(path, slow_clock)
    other_program = OtherProgram(path)
    other_program.connection.execute("DELETE FROM clock")
    times: list[int] = []

    def run(statement: str, *values: Any) -> sqlite3.Cursor:
        if statement.startswith("BEGIN"):
            times.append(store_time(path, fast_clock))
        return other_program.connection.execute(statement, *values)

    times.append(_sqlite_time.origin(run, "first", slow_clock) // 1_000)

    assert times[0] == times[1]
    other_program.connection.close()


def test_missing_boot_id_uses_the_wall_clock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a boot id, the store's time follows the wall clock."""
    fake_reboot(monkeypatch, None)
    clock = VirtualClock()
    with SqliteStorage(path, clock=clock) as store:
        time_before = store.execute(Add("time"))[1]
        clock.advance(5)
        clock.step_utc(timedelta(hours=-1))
        time_after = store.execute(Add("time"))[1]

    assert 5 * SECOND - HOUR == time_after - time_before


@pytest.mark.parametrize("step", [timedelta(hours=-1), timedelta(hours=1)])
def test_steps_of_the_wall_clock_change_nothing(step: timedelta, tmp_path: Path) -> None:
    """Moving the wall clock by an hour opens no circuit and refills no rate limit."""
    outcomes: list[list[Any]] = []
    for number, stepped_duration in enumerate((timedelta(0), step)):
        clock = VirtualClock()
        service = Service(
            "vat",
            limits=(RateLimitConfig.per_hour(1, burst=2),),
            circuit=CircuitBreakerConfig(failures=1),
        )
        plan = Plan(service, None, None)
        messages: list[object] = []
        for _ in range(4):
            with SqliteStorage(tmp_path / f"{number}.db", clock=clock) as store:
                messages.append(store.execute(plan.question.evolve(within=0))[:2])
                messages.append(store.execute(ReadCommand("none")))
            clock.step_utc(stepped_duration)
            clock.advance(60)
        outcomes.append(messages)

    assert outcomes[0] == outcomes[1]
    assert Answer.LIMITED is outcomes[0][-2][0]
