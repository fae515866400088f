"""A worker runs due work until it is stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from datetime import timedelta
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from moorage.errors import ConfigurationError, StorageUnavailable
from moorage.hub.worker import at_times, awork, stopping, work

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class WaitRecorder(Event):
    """An event that becomes set at its second wait, and records the length of each wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float | None] = []
        self.last = 2

    def wait(self, timeout: float | None = None) -> bool:
        """Record the wait, without waiting."""
        self.waits.append(timeout)
        if len(self.waits) == self.last:
            self.set()
        return self.is_set()


def emptying_step(*rounds: str) -> Callable[[], str]:
    """Return a step that returns these results one by one, and then finds nothing to do."""
    remaining_rounds = list(rounds)
    return lambda: remaining_rounds.pop(0) if remaining_rounds else ""


def test_worker_continues_until_the_queue_is_empty() -> None:
    """A worker waits only if no step found work, and reports the work done."""
    stop, reports = WaitRecorder(), list[str]()

    work(
        emptying_step("a", "b"),
        emptying_step("c"),
        stop=stop,
        pause=timedelta(seconds=2),
        on_result=reports.append,
    )

    assert ["a", "c", "b"] == reports
    assert [2.0, 2.0] == stop.waits


def test_scheduled_step_runs_after_each_interval() -> None:
    """A scheduled step of a worker runs at once, and then only after each interval."""
    times = iter([5.0, 5.0, 64.0, 65.0, 66.0])
    step = at_times(emptying_step("a", "b", "c"), timedelta(minutes=1), clock=lambda: next(times))
    assert ["a", (), "b", ()] == [step() for _ in range(4)]


def test_stop_ends_after_the_current_step() -> None:
    """A stopped worker finishes its current step, and begins no other."""
    stop, reports = Event(), list[str]()

    def stop_at_last_step() -> str:
        stop.set()
        return "last"

    work(stop_at_last_step, lambda: pytest.fail("begun"), stop=stop, on_result=reports.append)

    assert ["last"] == reports


def test_invalid_pause_is_refused() -> None:
    """An invalid pause is refused before anything is done."""
    with pytest.raises(ConfigurationError) as excinfo:
        work(lambda: pytest.fail("begun"), stop=Event(), pause=-1.0)
    assert "pause" == excinfo.value.path


def test_stopping_needs_the_main_thread() -> None:
    """Installing signal handlers outside the main thread fails, and the error says why."""
    results: list[Exception] = []

    def try_stopping() -> None:
        try:
            with stopping():
                pass
        except ConfigurationError as error:
            results.append(error)

    asking_thread = Thread(target=try_stopping)
    asking_thread.start()
    asking_thread.join()
    assert "Only the main thread" in str(results[0])


def test_worker_waits_for_an_unavailable_store() -> None:
    """While its store is unavailable a worker waits, logs that once, and then continues."""
    stop, reports, troubles = WaitRecorder(), list[str](), list[StorageUnavailable]()
    absent_error = StorageUnavailable("the store is away.")
    rounds: list[str | StorageUnavailable] = [absent_error, absent_error, "done"]

    def step() -> str:
        result = rounds.pop(0)
        if isinstance(result, StorageUnavailable):
            raise result
        stop.set()
        return result

    stop.last = 3
    work(step, stop=stop, pause=2.0, on_result=reports.append, on_outage=troubles.append)

    assert (["done"], [absent_error], [2.0, 2.0]) == (reports, troubles, stop.waits)


def test_store_outage_ends_the_worker() -> None:
    """Without an error callback, an unavailable store ends the worker with its error."""

    def step() -> str:
        raise StorageUnavailable("the store is away.")

    with pytest.raises(StorageUnavailable):
        work(step, stop=Event())


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_termination_signals_set_the_stop_event(signal_number: signal.Signals) -> None:
    """SIGTERM, SIGINT and SIGHUP set the stop event, and the previous handlers are restored."""
    previous_handler = signal.getsignal(signal_number)

    with stopping() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), signal_number)
        assert stop.is_set()

    assert previous_handler is signal.getsignal(signal_number)


def test_worker_under_nohup_continues_after_its_terminal_is_closed() -> None:
    """A worker under nohup continues when its terminal is closed."""
    previous_handler = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.is_set()
    finally:
        signal.signal(signal.SIGHUP, previous_handler)


def test_foreign_signal_handlers_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signal handlers not installed by Python are kept, because Python cannot restore them."""
    previous_handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as around:
        around.setattr(signal, "getsignal", {signal.SIGTERM: None}.get)
        with (
            pytest.raises(ConfigurationError, match="not installed by Python") as excinfo,
            stopping(),
        ):
            raise AssertionError
    assert "stopping" == excinfo.value.path
    assert previous_handlers == (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))


def test_stop_object_behaves_like_an_event() -> None:
    """The object that signals set can be waited for, set and cleared like an event."""
    with stopping() as stop:
        assert not stop.wait(0.0)
        stop.set()
        assert stop.wait()
        assert stop.is_set()
        stop.clear()
        assert not stop.is_set()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers that send signals")
def test_signal_at_any_moment_of_a_wait_stops_the_worker() -> None:
    """A signal at any moment of a wait stops the worker."""
    program = (
        "import random, signal\n"
        "from moorage.hub.worker import stopping\n"
        "with stopping() as stop:\n"
        "    told = signal.getsignal(signal.SIGTERM)\n"
        "    signal.signal(signal.SIGALRM, told)\n"
        "    for _ in range(5_000):\n"
        "        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 3e-4))\n"
        "        stop.wait(2e-4)\n"
        "        signal.setitimer(signal.ITIMER_REAL, 0)\n"
        "        stop.clear()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_idle_function_waits_for_pause_without_work() -> None:
    """Without work, a worker waits by calling its idle function, which may raise an error."""
    stop, pauses = WaitRecorder(), list[float]()

    def idle(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            stop.set()
            raise StorageUnavailable("the store is away.")

    work(emptying_step("a"), stop=stop, pause=3.0, idle=idle)
    assert pauses == [3.0, 3.0]
    assert stop.waits == []


def test_async_step_of_a_synchronous_worker_is_refused() -> None:
    """A synchronous worker refuses a step that returns a coroutine, and the error says so."""

    async def step() -> str:
        return "a"

    with pytest.raises(ConfigurationError, match="asynchronous"):
        work(step, stop=Event())  # type: ignore[type-var]  # the mistake that is tested


def async_emptying_step(*rounds: str) -> Callable[[], Awaitable[str]]:
    """Return an async step that returns these results one by one, and then finds nothing to do."""
    step = emptying_step(*rounds)

    async def async_step() -> str:
        await asyncio.sleep(0)
        return step()

    return async_step


def test_async_worker_continues_until_the_queue_is_empty() -> None:
    """An asynchronous worker waits only if no step found work, and reports the work done."""

    async def main() -> None:
        stop, reports, pauses = asyncio.Event(), list[str](), list[float]()

        async def idle(seconds: float) -> bool:
            pauses.append(seconds)
            stop.set()
            return False

        async def report(result: str) -> None:
            reports.append(result)

        await awork(
            async_emptying_step("a", "b"),
            at_times(async_emptying_step("c", "d"), timedelta(minutes=1)),
            stop=stop,
            pause=timedelta(seconds=2),
            on_result=report,
            idle=idle,
        )

        assert (["a", "c", "b"], [2.0]) == (reports, pauses)

    asyncio.run(main())


def test_async_worker_ends_during_its_pause() -> None:
    """A waiting asynchronous worker ends soon after its event is set, also by another thread."""

    async def main() -> None:
        stop = Event()
        worker = asyncio.create_task(awork(async_emptying_step(), stop=stop, pause=3600.0))
        await asyncio.to_thread(stop.set)

        await asyncio.wait_for(worker, 30)

    asyncio.run(main())


def test_async_worker_waits_for_an_unavailable_store() -> None:
    """While its store is unavailable an asynchronous worker reports that once, and continues."""

    async def main() -> None:
        stop, troubles = asyncio.Event(), list[StorageUnavailable]()
        absent_error = StorageUnavailable("the store is away.")
        rounds: list[str | StorageUnavailable] = [absent_error, absent_error, "done"]

        async def step() -> str:
            result = rounds.pop(0)
            if isinstance(result, StorageUnavailable):
                raise result
            stop.set()
            return result

        with pytest.raises(StorageUnavailable):
            await awork(async_failing_step(absent_error), stop=stop)
        await awork(step, stop=stop, pause=0.001, on_outage=troubles.append)

        assert ([], [absent_error]) == (rounds, troubles)

    asyncio.run(main())


def async_failing_step(error: Exception) -> Callable[[], Awaitable[str]]:
    """Return an async step that raises an error."""

    async def step() -> str:
        raise error

    return step


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers that send signals")
def test_signal_stops_an_async_worker() -> None:
    """SIGTERM ends an asynchronous worker that waits in the main thread."""
    program = (
        "import asyncio, os, signal\n"
        "from moorage.hub.worker import awork, stopping\n"
        "async def step():\n"
        "    signal.setitimer(signal.ITIMER_REAL, 0.01)\n"
        "    return ()\n"
        "async def main():\n"
        "    with stopping() as stop:\n"
        "        signal.signal(signal.SIGALRM, signal.getsignal(signal.SIGTERM))\n"
        "        await awork(step, stop=stop, pause=3600)\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
