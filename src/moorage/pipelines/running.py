"""Runs pipelines in a separate process, until a signal stops them."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.adapters.concurrency.daemon_executor import DaemonExecutor
from moorage.adapters.concurrency.termination import stop_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Sequence
    from types import FrameType

    from moorage.domain.pipelines.settings import PipelineReport
    from moorage.pipelines.pipeline import Pipeline
    from moorage.pipelines.supervision import SupervisedPipeline

T = TypeVar("T")

_END_SECONDS: Final = 0.05
"""Seconds in which tasks that are left after a run may end."""


def run_pipelines(make: Callable[[], Sequence[Pipeline]]) -> list[PipelineReport]:
    """Run pipelines in a new event loop until they end, or until SIGTERM, SIGINT or SIGHUP.

    After a signal it returns within the longest `drain` of the pipelines plus one second, even if a
    sink hangs, unless something blocks the event loop. Hanging threads of `asyncio.to_thread` do
    not delay the end of the process.

    Args:
        make: function that makes the pipelines; it is called in the event loop.

    Returns:
        The reports of the pipelines, in the order of the pipelines.

    Raises:
        Exception: the failure that stopped a pipeline. The other pipelines are stopped gracefully
            first.
    """

    async def run() -> list[PipelineReport]:
        return await arun_pipelines(make())

    return run_in_limited_loop(run())


def run_in_limited_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a new event loop, and abandon its other tasks and threads.

    In contrast, `asyncio.run` waits without a limit for tasks that ignore their cancellation, and
    for threads; and the interpreter waits again for the threads of the loop's default executor.
    """
    runner = asyncio.Runner()
    # The same number of threads as in the default executor of asyncio.
    executor = DaemonExecutor(min(32, (os.cpu_count() or 1) + 4), "moorage-loop")
    runner.get_loop().set_default_executor(executor)
    try:
        return runner.run(main)
    finally:
        runner.run(_end_tasks())
        # Closing the runner would wait for threads; closing its loop does not.
        runner.get_loop().close()
        asyncio.set_event_loop(None)


async def _end_tasks() -> None:
    """Cancel all other tasks of the event loop, and wait a limited time for their end."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    generators = asyncio.create_task(asyncio.get_running_loop().shutdown_asyncgens())
    await asyncio.wait([*tasks, generators], timeout=_END_SECONDS)


async def arun_pipelines(
    pipelines: Sequence[Pipeline | SupervisedPipeline],
) -> list[PipelineReport]:
    """Run pipelines in this event loop until they end, or until SIGTERM, SIGINT or SIGHUP.

    Args:
        pipelines: the pipelines.

    Returns:
        The reports of the pipelines, in the order of the pipelines.

    Raises:
        Exception: the failure that stopped a pipeline. The other pipelines are stopped gracefully
            first.
    """

    def stop() -> None:
        for pipeline in pipelines:
            pipeline.stop()

    with signals_call(stop):
        tasks = [asyncio.create_task(pipeline.run()) for pipeline in pipelines]
        if tasks:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            stop()
            await asyncio.wait(tasks)
    return [task.result() for task in tasks]


@contextmanager
def signals_call(
    function: Callable[[], None],
    signals: Sequence[signal.Signals] | None = None,
    *,
    at_once: Callable[[], None] | None = None,
) -> Generator[None]:
    """Call a function if a signal arrives during a `with` block; restore the old handlers after it.

    Args:
        function: the function, which is called in the event loop.
        signals: the signals; by default those that stop a worker.
        at_once: a function that is called even while the event loop is blocked.
    """

    def handler(_: int, __: FrameType | None, /) -> None:
        if at_once is not None:
            at_once()

    loop = asyncio.get_running_loop()
    earlier_handlers: dict[signal.Signals, Any] = {}
    for number in stop_signals() if signals is None else signals:
        earlier_handler = signal.getsignal(number)
        # Only the main thread may handle signals.
        with suppress(ValueError, RuntimeError, NotImplementedError):
            loop.add_signal_handler(number, function)
            earlier_handlers[number] = earlier_handler
            if at_once is not None:
                # The event loop is notified through its file descriptor, whatever the signal
                # handler is.
                signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier_handler in earlier_handlers.items():
            loop.remove_signal_handler(number)
            # The handler is None if a program that embeds Python set it, and cannot be set again.
            with suppress(TypeError):
                signal.signal(number, earlier_handler)
