"""The background event loop of synchronous connectors."""

from __future__ import annotations

import asyncio
import gc
import inspect
import signal
import subprocess
import sys
import textwrap
import threading
import weakref
from concurrent.futures import CancelledError, ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any, cast

import pytest

from moorage.adapters.concurrency import background
from moorage.adapters.http.pyreqwest._loop_runtimes import BackgroundRuntime
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable


async def _running_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_threads_that_request_a_background_loop_at_once_share_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If several threads request the background loop at once, all get the same loop."""
    both_have_begun = Barrier(2)
    loops: list[asyncio.AbstractEventLoop] = []

    class Loop(asyncio.SelectorEventLoop):
        """An event loop whose creation lasts until another thread creates one at the same time."""

        def __init__(self) -> None:
            super().__init__()
            loops.append(self)
            both_have_begun.wait(120)

    monkeypatch.setattr(background, "_loops", {})
    monkeypatch.setattr(asyncio, "new_event_loop", Loop)
    worker = background.Background()
    with ThreadPoolExecutor(2) as threads:
        used_loops = [*threads.map(lambda _: worker.run(_running_loop()), range(2))]

    assert 1 == len({*used_loops})
    assert 2 == len(loops)
    # The other loop ends by itself.
    used_loops[0].call_soon_threadsafe(used_loops[0].stop)
    for loop in loops:
        wait_until(loop.is_closed, "the end of a loop")


class Interruption(BaseException):
    """A BaseException that a signal handler raises to interrupt a thread."""


def test_interrupted_caller_cancels_its_coroutine() -> None:
    """If a caller is interrupted, its coroutine is cancelled, and the loop continues to run."""
    cancelled: list[bool] = []
    own_thread = threading.get_ident()

    def interrupt(*_: object) -> None:
        raise Interruption

    async def run_task() -> None:
        signal.pthread_kill(own_thread, signal.SIGUSR1)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    worker = background.Background()
    earlier = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(Interruption):
            worker.run(run_task())
    finally:
        signal.signal(signal.SIGUSR1, earlier)

    wait_until(lambda: bool(cancelled), "the cancellation of a coroutine")
    assert worker.run(_running_loop()).is_running()


def test_coroutine_whose_caller_is_interrupted_before_it_has_begun_is_closed() -> None:
    """If a caller is interrupted before its coroutine has begun, the coroutine is closed."""
    starts: list[bool] = []

    async def run_task() -> None:
        starts.append(True)

    coroutine = run_task()
    with asyncio.Runner() as runner:
        background._AwaitedWork(runner.get_loop(), coroutine).cancel()  # noqa: SLF001 - no caller can be interrupted at will

    assert inspect.CORO_CLOSED == inspect.getcoroutinestate(coroutine)
    assert not starts


def test_cancelled_coroutine_is_an_error_of_its_caller() -> None:
    """If other code cancels a coroutine, its caller gets an ordinary error, not CancelledError."""

    async def run_task() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    with pytest.raises(CancelledError):
        background.Background().run(run_task())


def test_exception_reaches_the_caller_and_is_freed() -> None:
    """The exception of a coroutine reaches its caller, and is not kept alive afterwards."""

    class FailedError(Exception):
        pass

    async def run_task() -> None:
        raise FailedError

    def failure() -> Callable[[], FailedError | None]:
        try:
            background.Background().run(run_task())
        except FailedError as error:
            return weakref.ref(error)
        raise AssertionError

    gc.disable()
    try:
        assert failure()() is None
    finally:
        gc.enable()


def test_streams_of_pyreqwest_use_the_shared_background_loop() -> None:
    """Threads that stream with pyreqwest use the background event loop that connectors share."""
    runtime = BackgroundRuntime(cast("Any", None))
    assert background.background_loop() is runtime.run(_running_loop())


@pytest.mark.parametrize("use", ["run", "start", "call"])
def test_background_loop_is_refused_while_python_shuts_down(use: str) -> None:
    """A finalizer that needs the stopped background thread gets an error instead of waiting."""
    program = f"""
        import asyncio, builtins
        from moorage.adapters.concurrency.background import Background

        background = Background()

        async def work():
            return "worked"

        class Finalizer:
            def __del__(self):
                try:
                    background.{use}({"print" if use == "call" else "work()"})
                except Exception as error:
                    print(type(error).__name__, error.may_have_been_processed)

        print(background.run(work()))
        builtins.finalizer = finalizer = Finalizer()
        finalizer.itself = finalizer  # so that it lives until Python collects everything
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert ["worked", "LocalFailure False"] == result.stdout.splitlines()
    assert not result.stderr
