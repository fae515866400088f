"""Shared state in a SQLite file: one process."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from mooring import ConnectorManager, RateLimitConfig, Service
from mooring.adapters import _sqlite_engine as engine
from mooring.adapters.forking import go_on, stand_still, start_afresh
from mooring.adapters.sqlite import AsyncSqliteStorage, SqliteStorage
from mooring.domain.durations import DAY, HOUR, SECOND
from mooring.domain.idempotency import Claim, Verdict, complete
from mooring.errors import ConfigurationError, InvalidData, StorageUnavailable
from mooring.testing import VirtualClock
from mooring.testing import state_conformance as kit
from mooring.testing.checks import name_of
from tests.adapters.forked import in_a_child
from tests.adapters.test_memory import Look, Put

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mooring.adapters._sqlite_engine import Engine
    from mooring.domain.state import States


class Last(Put):
    """Writes what must outlive a crash."""

    durable = True


def values(store: SqliteStorage, *keys: str) -> list[object]:
    """What was put where."""
    return [state and state[2] for state in store.execute(Look(*keys))]


def inside(store: SqliteStorage) -> Engine:
    """What nobody else can see or bring about."""
    return store._engine  # noqa: SLF001 - as it says


def claim(key: str = "claim") -> Claim:
    """A claim of a key, as a service makes it."""
    return Claim(key, fingerprint=b"f", owner=7, lease=DAY, ttl=DAY, target="vendor", remembered=0)


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


class Other:
    """Another program that has the file open."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(
            path, isolation_level=None, timeout=5, check_same_thread=False
        )

    def __enter__(self) -> Self:
        """Hold the lock for writing."""
        self.connection.execute("BEGIN IMMEDIATE")
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def __del__(self) -> None:
        self.connection.close()

    def ask(self, question: str) -> Any:
        """One value."""
        return self.connection.execute(question).fetchone()[0]


# --- the contract ----------------------------------------------------------------


@pytest.fixture(name="stores")
def _stores(tmp_path: Path) -> Iterator[Callable[..., SqliteStorage]]:
    """What makes stores, each with a file of its own."""
    made: list[SqliteStorage] = []
    numbers = count()

    def make(**options: Any) -> SqliteStorage:
        made.append(SqliteStorage(tmp_path / f"{next(numbers)}.db", timeout=20, **options))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_conforms(check: kit.Check, stores: Callable[..., SqliteStorage]) -> None:
    """The store in a file keeps the contract of its port."""
    check(stores)


@pytest.mark.parametrize("check", kit.TIMED_CHECKS, ids=name_of)
def test_conforms_in_time(check: kit.TimedCheck, stores: Callable[..., SqliteStorage]) -> None:
    """It forgets what it may, when it may, and decides as the model does."""

    def timed() -> tuple[SqliteStorage, Callable[[float], None]]:
        clock = VirtualClock()
        return stores(clock=clock), clock.advance

    check(timed)


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_conforms_awaited(check: kit.AsyncCheck, path: Path) -> None:
    """The asynchronous store keeps the contract of its port."""

    async def run() -> None:
        async with AsyncSqliteStorage(path, timeout=20) as store:
            await check(lambda: store)

    asyncio.run(run())


@pytest.mark.parametrize("check", kit.ASYNC_TIMED_CHECKS, ids=name_of)
def test_conforms_awaited_in_time(check: kit.AsyncTimedCheck, tmp_path: Path) -> None:
    """It forgets what it may, when it may, and decides as the model does."""

    async def run() -> None:
        clock = VirtualClock()
        async with AsyncSqliteStorage(tmp_path / "a.db", timeout=20, clock=clock) as store:
            await check(lambda: (store, clock.advance))

    asyncio.run(run())


def test_two_stores_share_a_file(path: Path, store: SqliteStorage) -> None:
    """What one writes another reads, of whatever colour."""

    async def read() -> States:
        async with AsyncSqliteStorage(path) as other:
            await other.execute(Put("theirs", "b"))
            return await other.execute(Look("a"))

    store.execute(Put("mine", "a"))
    (state,) = asyncio.run(read())

    assert state
    assert ("mine", ["theirs"]) == (state[2], values(store, "b"))


def test_a_restart_keeps_what_was_there(path: Path) -> None:
    """A closed circuit, an empty bucket and a claimed key outlive the process."""
    service = Service("vat", limits=RateLimitConfig.per_hour(1, burst=1), retry=None)
    with SqliteStorage(path) as store:
        ConnectorManager([service], state=store).run("vat", lambda: None)
        assert Verdict.RUN is store.execute(claim()).verdict

    with SqliteStorage(path) as store:
        assert Verdict.RUN is store.execute(claim()).verdict
        again = Claim("claim", fingerprint=b"f", owner=8, lease=1, ttl=1, target="", remembered=0)
        assert Verdict.BUSY is store.execute(again).verdict
        manager = ConnectorManager([service], state=store)
        with pytest.raises(Exception, match="limit is reached"):
            manager.run("vat", lambda: None, timeout=1.0)


def test_what_is_unchanged_is_not_written(path: Path, store: SqliteStorage) -> None:
    """A command that changes nothing leaves no trace in the file, and no lock."""
    store.execute(Put("old", "a"))
    other = Other(path)
    before = other.ask("PRAGMA data_version")

    store.execute(Look("a", "b"))
    unchanged = other.ask("PRAGMA data_version")
    store.execute(Put("new", "a"))

    assert (before, False) == (unchanged, unchanged == other.ask("PRAGMA data_version"))
    other.connection.close()


def test_many_keys_at_once(store: SqliteStorage) -> None:
    """A command may be about more keys than most are."""
    keys = [f"key-{number}" for number in range(300)]

    store.execute(Put("here", *keys))

    assert {"here"} == set(values(store, *keys))


def test_keys_that_cannot_be_written_are_refused(store: SqliteStorage) -> None:
    """Half of a surrogate pair is no text to SQLite, and no reason for a foreign error."""
    with pytest.raises(StorageUnavailable):
        store.execute(Put(1, "\ud800"))

    store.execute(Put(1, "a"))
    assert [1] == values(store, "a")


def test_a_state_of_somebody_elses_is_no_state(path: Path, store: SqliteStorage) -> None:
    """Whatever lies under a key that is not ours is told from a state."""
    store.execute(Put(1, "a"))
    other = Other(path)
    other.connection.execute("UPDATE state SET value = x'ff00'")

    with pytest.raises(StorageUnavailable, match="no state"):
        store.execute(Put(2, "a"))

    other.connection.execute("UPDATE state SET value = 'text'")
    with pytest.raises(StorageUnavailable, match="no state"):
        store.execute(Put(2, "a"))
    other.connection.close()


# --- whoever else holds the lock -------------------------------------------------


def test_a_lock_that_is_given_back_is_waited_for(path: Path, store: SqliteStorage) -> None:
    """Who finds the lock taken comes again until it is free."""
    store.execute(Put("old", "a"))
    with Other(path) as other:
        timer = threading.Timer(0.05, other.connection.rollback)
        timer.start()
        store.execute(Put("new", "a"))
        timer.join()

    assert ["new"] == values(store, "a")


def test_a_lock_that_is_kept_is_not_waited_for_for_ever(path: Path) -> None:
    """When the time is over the error says what to look for; later all is well."""
    with SqliteStorage(path, timeout=0.02) as store:
        store.execute(Put("old", "a"))
        with Other(path):
            for attempt in (partial(store.execute, Put("new", "a")), store.housekeep):
                with pytest.raises(StorageUnavailable, match="held the lock") as caught:
                    attempt()
                assert "fuser" in caught.value.remedy
                assert StorageUnavailable is type(caught.value)
                assert caught.value.__cause__ is None

        store.execute(Put("new", "a"))
        assert ["new"] == values(store, "a")


def test_what_is_posted_while_others_hold_the_lock_is_kept(path: Path) -> None:
    """Whoever posts is not held up; the next command that can executes it first."""
    with SqliteStorage(path, timeout=0.05) as store:
        store.execute(Put("old", "a"))
        with Other(path):
            store.post(Put("posted", "a"))
            store.post(Put("x", "b", quiet=-1))
            with pytest.raises(StorageUnavailable):
                store.execute(Look("a"))

        assert ["posted", "x"] == values(store, "a", "b")


def test_what_was_posted_may_fail(path: Path) -> None:
    """It fails on its own, and nobody hears of it."""

    class Failing(Put):
        def apply(self, states: States, now: int) -> tuple[States, States]:
            raise InvalidData("no")

    with SqliteStorage(path, timeout=0.05) as store:
        store.execute(Put("old", "a"))
        with Other(path):
            store.post(Failing("never", "a"))
            store.post(Put("posted", "b"))

        assert ["old", "posted"] == values(store, "a", "b")


def test_readers_hold_nobody_up(path: Path) -> None:
    """A backup may read for as long as it likes."""
    with SqliteStorage(path, timeout=0.001) as store:
        store.execute(Put("old", "a"))
        other = Other(path)
        other.connection.execute("BEGIN")
        other.ask("SELECT count(*) FROM state")

        for number in range(50):
            store.execute(Put(number, "a"))
        inside(store).tend()

        assert [49] == values(store, "a")
        other.connection.close()


# --- interruptions ---------------------------------------------------------------


class Struck(BaseException):
    """What a signal handler raises."""


@pytest.mark.parametrize("where", ["apply", "commit"])
def test_an_interruption_leaves_all_of_a_command_or_none(
    where: str, path: Path, store: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not committed is taken back, and the lock with it."""

    class Interrupted(Put):
        def apply(self, states: States, now: int) -> tuple[States, States]:
            if where == "apply":
                raise Struck
            return super().apply(states, now)

    def struck(*_: object, **__: object) -> str:
        raise Struck

    store.execute(Put("old", "a"))
    with monkeypatch.context() as patched:
        if where == "commit":
            patched.setattr(engine, "_writing", struck)
        with pytest.raises(Struck):
            store.execute(Interrupted("new", "a", "b"))

    with Other(path):
        pass  # nobody holds the lock
    assert ["old", None] == values(store, "a", "b")


def test_signals_may_strike_anywhere(path: Path) -> None:
    """Wherever a command is struck, it is whole or not at all, and the lock is given back."""
    program = subprocess.run(
        [sys.executable, "-m", "tests.adapters.sqlite_worker", "be_struck", str(path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    struck, torn, locked = map(int, program.stdout.split())

    assert struck > 50
    assert (0, 0) == (torn, locked)


# --- on the disk -----------------------------------------------------------------


@pytest.fixture(name="flushed")
def _flushed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Each time that something was flushed, before it was."""
    from mooring.adapters import _sqlite_flush  # noqa: PLC0415 - what it does is watched

    flushed: list[int] = []
    flush = _sqlite_flush.flush_data

    def noted(file: int) -> None:
        flushed.append(file)
        flush(file)

    monkeypatch.setattr(_sqlite_flush, "flush_data", noted)
    return flushed


def test_only_what_an_effect_hangs_on_waits_for_the_disk(
    store: SqliteStorage, flushed: list[int]
) -> None:
    """A claim is on the disk when it is answered; what a limit counts is not."""
    service = Service("vat", limits=RateLimitConfig.per_second(9))
    ConnectorManager([service], state=store).run("vat", lambda: None)
    without = len(flushed)
    claimed = store.execute(claim())
    once = len(flushed)
    store.execute(claim())
    again = len(flushed)
    store.execute(complete("claim", claimed.fence, b"paid", ttl=DAY))

    assert (0, 1, 1, 2) == (without, once, again, len(flushed))


def test_what_is_posted_waits_for_no_disk(store: SqliteStorage, flushed: list[int]) -> None:
    """Nobody was told anything that a crash could make untrue; the next claim flushes it too."""
    store.post(Last("posted", "a"))
    posted = len(flushed)
    store.execute(Look("a"))
    looked = len(flushed)
    store.execute(claim())

    assert (0, 0, 1) == (posted, looked, len(flushed))


def test_a_disk_that_fails_is_told(
    store: SqliteStorage, flushed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim that may not be on the disk is no claim; asking again flushes again."""
    from mooring.adapters import _sqlite_flush  # noqa: PLC0415 - what it does is replaced

    def broken(file: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(_sqlite_flush, "flush_data", broken)
        with pytest.raises(StorageUnavailable, match="may not be on the disk"):
            store.execute(claim())

    assert Verdict.RUN is store.execute(claim()).verdict
    assert 1 == len(flushed)


def test_one_flush_serves_all_who_wait(
    store: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever commits while the disk is busy is served by the next flush, all of them by one."""
    from mooring.adapters import _sqlite_flush  # noqa: PLC0415 - what it does is replaced

    store.execute(Put("old", "a"))
    flushed, begun, may = [], threading.Event(), threading.Event()

    def slow(file: int) -> None:
        flushed.append(file)
        begun.set()
        assert may.wait(20)

    monkeypatch.setattr(_sqlite_flush, "flush_data", slow)
    first = threading.Thread(target=store.execute, args=[Last(0, "k0")])
    first.start()
    assert begun.wait(20)
    others = [threading.Thread(target=store.execute, args=[Last(n, f"k{n}")]) for n in range(1, 9)]
    for thread in others:
        thread.start()
    while values(store, *[f"k{n}" for n in range(1, 9)]) != [*range(1, 9)]:
        time.sleep(0.001)
    tickets = inside(store).flush.ticket.__self__  # type: ignore[attr-defined]  # of a bound method
    while "count(11)" != repr(tickets):  # until all of them wait
        time.sleep(0.001)
    may.set()
    for thread in (first, *others):
        thread.join(20)

    assert 2 == len(flushed)


def test_a_journal_that_is_gone_is_in_the_file(path: Path, store: SqliteStorage) -> None:
    """Whoever closes last moves the journal into the file, and takes it away."""
    store.execute(Put("old", "a"))
    store.close()

    inside(store).flush(inside(store).flush.ticket())

    assert not path.with_name("state.db-wal").exists()


# --- pruning ---------------------------------------------------------------------


def rows(path: Path) -> int:
    """How many states the file holds."""
    other = Other(path)
    try:
        return other.ask("SELECT count(*) FROM state")  # type: ignore[no-any-return]  # a count
    finally:
        other.connection.close()


def test_housekeeping_forgets_what_cannot_matter(path: Path) -> None:
    """It is done in batches, up to a limit, and leaves what still matters."""
    clock = VirtualClock()
    with SqliteStorage(path, clock=clock) as store:
        for number in range(500):
            store.execute(Put("dust", f"dust-{number}", quiet=SECOND))
        store.execute(Put("kept", "kept", quiet=DAY))
        early = store.housekeep()
        clock.advance(2 * HOUR / SECOND)

        forgotten = [store.housekeep(limit=10), store.housekeep(limit=250), store.housekeep()]

        assert (0, [10, 250, 240], 1) == (early, forgotten, rows(path))
        assert ["kept"] == values(store, "kept")
        with pytest.raises(ConfigurationError, match="count"):
            store.housekeep(limit=0)


def test_a_state_that_is_used_is_not_forgotten(path: Path) -> None:
    """When a state matters longer, the hour in which it ends moves along."""
    clock = VirtualClock()
    with SqliteStorage(path, clock=clock) as store:
        store.execute(Put(0, "a", quiet=HOUR // 2))
        for number in range(1, 20):
            clock.advance(HOUR // 3 / SECOND)
            store.execute(Put(number, "a", quiet=HOUR // 2))
            store.housekeep()
            assert [number] == values(store, "a")

        clock.advance(2 * HOUR / SECOND)
        assert 1 == store.housekeep()


def test_a_state_that_is_used_costs_the_index_nothing(path: Path, store: SqliteStorage) -> None:
    """While the hour is the same, only the state itself is written."""
    noted: list[str] = []
    store.execute(Put(0, "a"))
    link = inside(store).idle[-1]
    link.connection.set_trace_callback(noted.append)

    store.execute(Put(1, "a"))
    store.execute(Put(2, "b"))

    assert [False, True] == ["until = " in text for text in noted if text.startswith("INSERT")]


def test_a_file_does_not_grow_without_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes prunes and moves the journal now and then, without being asked."""
    monkeypatch.setattr(engine, "TURN", 50)
    clock = VirtualClock()
    with SqliteStorage(path, clock=clock) as store:
        inside(store).writes = 0
        held = []
        for number in range(1_000):
            store.execute(Put("dust", f"dust-{number}", quiet=SECOND))
            clock.advance(120)
            held.append(rows(path) if not number % 100 else 0)

        assert max(held) < 150
        assert path.with_name("state.db-wal").stat().st_size < 1_000_000


def test_a_turn_that_fails_harms_nobody(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pruning is nobody's command."""
    with SqliteStorage(path, timeout=0.01) as store:
        store.execute(Put("old", "a"))
        with Other(path):
            inside(store).tend()

        assert ["old"] == values(store, "a")


def test_large_answers_fill_the_journal_sooner(store: SqliteStorage) -> None:
    """What counts is how much was written."""
    store.execute(Put("old", "a"))
    inside(store).writes = 0

    store.execute(Last(b"x" * 20_000, "a"))

    assert 10 == inside(store).writes


# --- opening, closing and forking ------------------------------------------------


def test_nothing_is_done_before_the_first_use(path: Path) -> None:
    """Making a store touches no disk."""
    with SqliteStorage(path) as store:
        assert not path.exists()
        store.migrate()
        assert path.exists()


def test_a_closed_store_says_so(store: SqliteStorage) -> None:
    """It can be closed twice, and not used again."""
    store.execute(Put("old", "a"))
    store.close()
    store.close()

    with pytest.raises(StorageUnavailable, match="closed"):
        store.execute(Look("a"))


def test_closing_waits_for_nobody(store: SqliteStorage) -> None:
    """Who is in the middle of a command finishes it, and closes the connection."""

    class Closing(Put):
        def apply(self, states: States, now: int) -> tuple[States, States]:
            store.close()
            return super().apply(states, now)

    store.execute(Closing("done", "a"))

    with pytest.raises(StorageUnavailable, match="closed"):
        store.execute(Look("a"))


def test_few_connections_are_kept(store: SqliteStorage) -> None:
    """Those of a rush are closed when it is over."""
    together = threading.Barrier(12)

    class Meeting(Last):
        """Meets the others when it has a connection, and no lock yet."""

        def __init__(self) -> None:
            super().__init__("new", "a")
            self._met = False

        @property
        def durable(self) -> bool:  # type: ignore[override]  # asked for before the lock is
            if not self._met:
                self._met = True
                together.wait(20)
            return False

    store.execute(Put("old", "a"))
    threads = [threading.Thread(target=store.execute, args=[Meeting()]) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert 8 == len(inside(store).idle)


def test_shows_where_it_is_and_promises_to_last(path: Path) -> None:
    """A store tells its file, and that what it answered outlives a crash."""
    plain, awaited = SqliteStorage(path), AsyncSqliteStorage(path)

    assert (f"SqliteStorage({str(path)!r})", True) == (repr(plain), plain.durable)
    assert (f"AsyncSqliteStorage({str(path)!r})", True) == (repr(awaited), awaited.durable)


@pytest.mark.parametrize("path", ["", ":memory:", "a\0b", None, 7])
def test_a_path_is_a_path(path: Any) -> None:
    """What cannot be a file is refused when the store is made."""
    with pytest.raises(ConfigurationError, match="path of a file"):
        SqliteStorage(path)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), "1"])
def test_a_timeout_is_a_duration(timeout: Any, path: Path) -> None:
    """What is no duration is refused when the store is made."""
    with pytest.raises(ConfigurationError, match="duration"):
        SqliteStorage(path, timeout=timeout)


def test_a_forked_child_has_connections_of_its_own(store: SqliteStorage) -> None:
    """Parent and child go on, on the same states, also when the child ends first."""
    store.execute(Put("parent", "a"))

    def child() -> list[object]:
        found = values(store, "a")
        store.execute(Put("child", "a"))
        return found

    assert ["parent"] == in_a_child(child)
    assert ["child"] == values(store, "a")
    store.execute(Put("parent again", "a"))
    assert ["parent again"] == values(store, "a")


def test_a_fork_waits_for_who_is_in_the_middle(
    store: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No child is made while a thread holds the lock, which the child would think held for ever."""
    from mooring.adapters import _sqlite_pool  # noqa: PLC0415 - for a busy machine

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


def test_a_store_that_nobody_closes_leaves_nothing_open(path: Path) -> None:
    """Its connections are closed when it is not there any more, without a collector of garbage."""
    store = SqliteStorage(path)
    store.execute(Put("old", "a"))
    connection = inside(store).idle[0].connection

    gc.disable()
    try:
        del store
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")
    finally:
        gc.enable()


def test_a_store_in_a_circle_of_garbage_is_closed_in_time(path: Path) -> None:
    """Its connections are closed before Python could warn of them, whoever refers to whom."""
    circle: list[object] = []
    store = SqliteStorage(path)
    store.execute(Put("old", "a"))
    link = inside(store).idle[0]
    circle += [circle, store]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del store, circle
        gc.collect()

    assert not link.open


def test_a_fork_in_the_middle_of_a_command_is_made_all_the_same(
    store: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who forks where no fork can be waited for waits for a second, and the parent goes on."""
    from mooring.adapters import _sqlite_pool  # noqa: PLC0415 - for a shorter second

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
    from mooring.adapters import _sqlite_pool  # noqa: PLC0415 - for a shorter second

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
