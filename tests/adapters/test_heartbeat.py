"""The background renewal of claims, in a thread or by an event loop timer."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
import time
from contextvars import ContextVar
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.concurrency.forking import restart_in_child
from moorage.adapters.concurrency.heartbeat import Heartbeat, stop_all, threads_may_run
from moorage.adapters.concurrency.heartbeat_async import AsyncHeartbeat
from moorage.domain.idempotency.claims import LEASE
from moorage.services.core.renewal import Renewals
from tests.adapters.forked import run_in_forked_child

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 30.0
OFTEN = 0.001
TERM = 30_000_000
caller: ContextVar[str] = ContextVar("caller", default="nobody")


class CountedWork:
    """Work that needs to be done a number of times."""

    def __init__(self, times: int, *, error: Exception | None = None) -> None:
        self.left = times
        self.error = error
        self.callers: list[str] = []
        self.threads: set[threading.Thread] = set()
        self.done = threading.Event()

    def is_work_left(self) -> bool:
        """Return whether work is left to do."""
        return self.left > 0

    def __call__(self) -> None:
        """Do the work once."""
        self.left -= 1
        self.callers.append(caller.get())
        self.threads.add(threading.current_thread())
        if not self.left:
            self.done.set()
        if self.error is not None:
            raise self.error

    async def do_async(self) -> None:
        """Do the work once, asynchronously."""
        await asyncio.sleep(0)
        self()


def have_ended(threads: set[threading.Thread]) -> bool:
    """Return whether these threads have ended."""
    for thread in threads:
        thread.join(PATIENCE)
    return not any(thread.is_alive() for thread in threads)


def test_thread_that_has_ended_already_was_available() -> None:
    """A heartbeat whose thread does its work and ends at once is available."""
    assert all(Heartbeat(int, lambda: False, 0.0).is_available() for _ in range(300))


@pytest.mark.parametrize("error", [None, ValueError("broken")])
def test_thread_works_until_no_work_is_left(error: Exception | None) -> None:
    """The heartbeat's thread repeats the work despite errors, and ends when no work is left."""
    work = CountedWork(3, error=error)
    heartbeat = Heartbeat(work, work.is_work_left, OFTEN)
    assert heartbeat.is_available()
    for _ in range(3):
        heartbeat.wake()
    assert work.done.wait(PATIENCE)
    assert 1 == len(work.threads)
    assert have_ended(work.threads)
    assert 0 == work.left


def test_new_work_after_the_thread_ended_starts_another_thread() -> None:
    """New work after the heartbeat's thread has ended starts another thread."""
    work = CountedWork(1)
    heartbeat = Heartbeat(work, work.is_work_left, OFTEN)
    heartbeat.wake()
    assert work.done.wait(PATIENCE)
    assert have_ended(work.threads)
    work.done.clear()
    work.left = 1
    heartbeat.wake()
    assert work.done.wait(PATIENCE)
    assert have_ended(work.threads)


@pytest.mark.parametrize("other_thread", [False, True])
def test_work_that_comes_while_the_thread_ends_is_done(other_thread: bool) -> None:
    """Work that arrives while the heartbeat's thread is ending is still done."""
    work = CountedWork(0)
    looks: list[bool] = []

    def is_work_left() -> bool:
        if len(looks) == 1:
            work.left = 1
            if other_thread:
                heartbeat.wake()
        looks.append(work.left > 0)
        return looks[-1]

    heartbeat = Heartbeat(work, is_work_left, OFTEN)
    heartbeat.wake()
    assert work.done.wait(PATIENCE)
    assert have_ended(work.threads)


def test_hurried_thread_does_not_wait_for_its_interval() -> None:
    """`hurry` makes a heartbeat do its work at once, before its interval has passed.

    Several calls of `hurry` at the same time count as one.
    """
    work = CountedWork(1)
    heartbeat = Heartbeat(work, work.is_work_left, 3_600.0)
    heartbeat.wake()
    for _ in range(3):
        heartbeat.hurry()
    assert work.done.wait(PATIENCE)
    heartbeat.stop()
    assert have_ended(work.threads)


def test_a_thread_that_is_stopped_does_no_more() -> None:
    """Stopping a heartbeat waits only for the work in progress, and no further work starts."""
    work = CountedWork(10**9)
    heartbeat = Heartbeat(work, work.is_work_left, OFTEN)
    heartbeat.stop()
    heartbeat = Heartbeat(work, work.is_work_left, OFTEN)
    heartbeat.wake()
    while not work.threads:
        threading.Event().wait(OFTEN)
    heartbeat.stop()
    assert have_ended(work.threads)


def test_two_concurrent_callers_start_one_heartbeat_thread() -> None:
    """If two callers find no running heartbeat thread, only one of them starts a thread."""
    work = CountedWork(1)
    heartbeat = Heartbeat(work, work.is_work_left, OFTEN)
    custom_type = heartbeat._lock  # noqa: SLF001 - two threads would rarely meet here

    class RacingLock:
        """A lock that runs another caller before it is acquired."""

        def __enter__(self) -> None:
            heartbeat._lock = custom_type  # noqa: SLF001 - two threads would rarely meet here
            heartbeat.wake()
            custom_type.acquire()

        def __exit__(self, *_: object) -> None:
            custom_type.release()

    heartbeat._lock = RacingLock()  # type: ignore[assignment]  # noqa: SLF001 - two threads would rarely meet here
    heartbeat.wake()

    assert work.done.wait(PATIENCE)
    assert 1 == len(work.threads)
    assert have_ended(work.threads)


def test_the_end_of_a_process_stops_every_thread() -> None:
    """`stop_all` stops the thread of every heartbeat, even if work is left."""
    work = CountedWork(10**9)
    heartbeats = [Heartbeat(work, work.is_work_left, OFTEN) for _ in range(2)]
    for heartbeat in heartbeats:
        heartbeat.wake()
    while len(work.threads) < len(heartbeats):
        threading.Event().wait(OFTEN)

    stop_all()

    assert have_ended(work.threads)


def test_heartbeat_of_the_parent_continues_after_a_fork() -> None:
    """After a fork, the parent's heartbeat continues.

    The child starts its own heartbeat when needed.
    """
    work = CountedWork(10**9)
    heartbeat = Heartbeat(work, work.is_work_left, OFTEN)
    heartbeat.wake()

    def run_in_child() -> tuple[int, int]:
        threads_before = threading.active_count()
        work.left = 1
        heartbeat.wake()
        assert work.done.wait(PATIENCE)
        return threads_before, work.left

    assert (1, 0) == run_in_forked_child(run_in_child)
    heartbeat.stop()
    restart_in_child()


def test_calls_succeed_if_no_heartbeat_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """During interpreter shutdown the heartbeat starts no thread, and calls still succeed."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    work = CountedWork(1)
    Heartbeat(work, work.is_work_left, OFTEN).wake()
    assert 1 == work.left


def test_lease_lasts_the_whole_call_if_no_thread_can_renew_it() -> None:
    """If no renewing thread can start, or it was stopped, a lease lasts as long as the call."""

    def use_child_without_threads() -> tuple[int, int, int]:
        heartbeats: list[Heartbeat] = []

        def make_heartbeat(work: Callable[[], object], has_work: Callable[[], bool]) -> Heartbeat:
            heartbeats.append(Heartbeat(work, has_work, PATIENCE))
            return heartbeats[0]

        renewals = Renewals(run_nothing, time.monotonic_ns, by_tag=False, heartbeat=make_heartbeat)
        threading.stack_size(2**50)  # no thread gets so much memory
        lease_without_thread = renewals.lease(TERM)
        threading.stack_size(0)
        lease_with_thread = renewals.lease(TERM)
        heartbeats[0].stop()
        return lease_without_thread, lease_with_thread, renewals.lease(TERM)

    assert (TERM, LEASE, TERM) == run_in_forked_child(use_child_without_threads)


async def run_nothing(command: Any, timeout: float | None) -> None:
    """Run no command, because no lease is held."""
    del command, timeout


def test_calls_succeed_in_an_interpreter_without_daemon_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a subinterpreter, which may not have daemon threads, calls still succeed."""

    def refuse(self: threading.Thread, **_: object) -> None:
        raise RuntimeError("daemon threads are disabled in this (sub)interpreter")

    monkeypatch.setattr(threading.Thread, "__init__", refuse)
    work = CountedWork(1)
    Heartbeat(work, work.is_work_left, OFTEN).wake()
    assert 1 == work.left


def test_call_with_idempotency_key_in_daemon_thread_does_not_keep_process_from_ending() -> None:
    """A call with an idempotency key in a daemon thread does not keep the process from ending."""
    program = """
        import threading, time
        from moorage import ConnectorManager, Service
        from moorage.adapters.state.sqlite import SqliteStorage
        import sys
        manager = ConnectorManager([Service("s")], state=SqliteStorage(sys.argv[1]))
        inside = threading.Event()
        def hang():
            inside.set()
            time.sleep(3600)
        def call():
            manager.run("s", hang, idempotency_key="k")
        threading.Thread(target=call, daemon=True).start()
        inside.wait()
        time.sleep(0.8)
        print(sorted(thread.name for thread in threading.enumerate())[-1])
    """
    with_store = [sys.executable, "-c", textwrap.dedent(program)]
    import tempfile  # noqa: PLC0415 - here only

    with tempfile.TemporaryDirectory() as folder:
        ended_process = subprocess.run(
            [*with_store, f"{folder}/state.db"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
    assert ("moorage-renewal", "") == (ended_process.stdout.strip(), ended_process.stderr)


@pytest.mark.parametrize("error", [None, ValueError("broken")])
def test_timer_works_until_no_work_is_left(error: Exception | None) -> None:
    """The asynchronous heartbeat sets a timer in each event loop until no work is left."""
    work = CountedWork(3, error=error)

    async def main() -> None:
        caller.set("somebody")
        heartbeat = AsyncHeartbeat(work.do_async, work.is_work_left, OFTEN)
        assert heartbeat.is_available()
        for _ in range(2):
            heartbeat.wake()
            heartbeat.wake()
            while work.left:  # noqa: ASYNC110 - it is plain work
                await asyncio.sleep(OFTEN)
            # Long enough for the timer to find no waiting caller.
            loop = asyncio.get_running_loop()
            while loop in heartbeat._loops:  # noqa: ASYNC110, SLF001 - a look inside
                await asyncio.sleep(OFTEN)
            work.left = 1

    asyncio.run(main())
    assert ["nobody"] * 4 == work.callers


def test_work_is_cancelled_if_its_event_loop_ends() -> None:
    """If an event loop ends during the work, the work is cancelled.

    The next event loop starts a new timer.
    """
    start_event = threading.Event()

    async def hang_until_cancelled() -> None:
        start_event.set()
        await asyncio.sleep(3600)

    heartbeat = AsyncHeartbeat(hang_until_cancelled, lambda: True, OFTEN)

    async def main() -> None:
        heartbeat.wake()
        while not start_event.is_set():  # noqa: ASYNC110 - it outlives this loop
            await asyncio.sleep(OFTEN)

    for _ in range(2):
        asyncio.run(main())
        assert start_event.is_set()
        start_event.clear()


def test_asynchronous_heartbeat_sets_no_timer_outside_asyncio_event_loop() -> None:
    """Outside an asyncio event loop, the asynchronous heartbeat sets no timer."""
    work = CountedWork(1)
    heartbeat: Any = AsyncHeartbeat(work.do_async, work.is_work_left, OFTEN)
    assert not heartbeat.is_available()
    heartbeat.wake()
    assert 1 == work.left


@pytest.mark.parametrize(
    "modules, expected",
    [
        ({}, True),
        ({"uwsgi": SimpleNamespace(opt={})}, False),
        ({"uwsgi": SimpleNamespace(opt={"enable-threads": True})}, True),
        ({"uwsgi": SimpleNamespace(opt={b"threads": b"2"})}, True),
        ({"uwsgi": SimpleNamespace()}, False),
    ],
)
def test_heartbeat_uses_no_thread_under_uwsgi_without_enable_threads(
    modules: dict[str, Any], expected: bool
) -> None:
    """The heartbeat uses threads everywhere except under uWSGI without `enable-threads`."""
    assert expected == threads_may_run(modules)
