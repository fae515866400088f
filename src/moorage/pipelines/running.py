"""The run of pipelines in a process of their own, until a signal ends it."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from moorage.domain.pipelines.settings import PipelineReport
    from moorage.pipelines.pipeline import Pipeline
    from moorage.pipelines.supervision import SupervisedPipeline

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def run_pipelines(make: Callable[[], Sequence[Pipeline]]) -> list[PipelineReport]:
    """Run pipelines in an event loop until they end, or until SIGTERM or SIGINT.

    Args:
        make: makes the pipelines; it is called in the event loop.

    Returns:
        The reports of the pipelines, in their order.

    Raises:
        Exception: the failure that stopped a pipeline. The others are stopped in order first.
    """

    async def run() -> list[PipelineReport]:
        return await arun_pipelines(make())

    return asyncio.run(run())


async def arun_pipelines(
    pipelines: Sequence[Pipeline | SupervisedPipeline],
) -> list[PipelineReport]:
    """Run pipelines in this event loop until they end, or until SIGTERM or SIGINT.

    Args:
        pipelines: the pipelines.

    Returns:
        Their reports, in their order.

    Raises:
        Exception: the failure that stopped a pipeline. The others are stopped in order first.
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
    function: Callable[[], None], signals: Sequence[signal.Signals] = _SIGNALS
) -> Generator[None]:
    """Call a function on signals in a block; restore the earlier handlers after it.

    Args:
        function: the function, which is called in the event loop.
        signals: the signals; by default SIGTERM and SIGINT.
    """
    loop = asyncio.get_running_loop()
    earlier_handlers: dict[signal.Signals, Any] = {}
    for number in signals:
        earlier_handler = signal.getsignal(number)
        # Only the main thread may handle signals.
        with suppress(ValueError, RuntimeError, NotImplementedError):
            loop.add_signal_handler(number, function)
            earlier_handlers[number] = earlier_handler
    try:
        yield
    finally:
        for number, earlier_handler in earlier_handlers.items():
            loop.remove_signal_handler(number)
            # A handler of a program that embeds Python is None, and cannot be set again.
            with suppress(TypeError):
                signal.signal(number, earlier_handler)
