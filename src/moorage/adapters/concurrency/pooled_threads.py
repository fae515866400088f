"""Runs blocking functions in the threads of an executor; a refused function never runs.

`ThreadPoolExecutor.submit` queues a function before it starts a thread. If the system refuses the
thread, `submit` raises an error, and yet the next thread of the executor runs the function. So a
caller that tries again after the error would have the effect twice. Here the function is withdrawn
first, and only then the caller gets the error.
"""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING, TypeVar

from moorage.adapters.concurrency.thread_start import no_thread_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor, Future
    from typing import ParamSpec

    P = ParamSpec("P")

T = TypeVar("T")


async def to_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking function in a thread of the event loop's executor, as `asyncio.to_thread`.

    Raises:
        LocalFailure: the system has no more threads; the function does not run.
    """
    from asyncio import get_running_loop, wrap_future  # noqa: PLC0415 - synchronous programs do not need asyncio

    loop = get_running_loop()
    context = copy_context()
    running_future = _submit(
        lambda job: loop.run_in_executor(None, job),
        lambda: context.run(function, *args, **kwargs),
    )
    return await wrap_future(running_future)


def submit(executor: Executor, function: Callable[[], T]) -> Future[T]:
    """Return a future; the function runs in a thread of the executor.

    Raises:
        LocalFailure: the system has no more threads; the function does not run.
    """
    return _submit(executor.submit, function)


def _submit(
    run_later: Callable[[Callable[[], None]], object], function: Callable[[], T]
) -> Future[T]:
    from concurrent.futures import Future  # noqa: PLC0415 - slow to load

    outcome: Future[T] = Future()

    def job() -> None:
        if not outcome.set_running_or_notify_cancel():
            return
        try:
            value = function()
        except BaseException as error:  # noqa: BLE001 - it is raised where the future is awaited
            outcome.set_exception(error)
        else:
            outcome.set_result(value)

    try:
        run_later(job)
    except RuntimeError:
        # Another thread of the executor may have begun the function already.
        if outcome.cancel():
            raise no_thread_error() from None
    return outcome
