"""Waits for pyreqwest in an event loop, or in a thread with a background event loop."""

from __future__ import annotations

import asyncio
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from moorage.adapters.concurrency.background import background_loop
from moorage.adapters.http.connections._threads import run
from moorage.adapters.http.connections._wire import DeadlinePassed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from moorage.adapters.http.pyreqwest._clients import Clients

_Result = TypeVar("_Result")


class StreamingRuntime:
    """Waits for a streamed exchange by suspending the task.

    `enter` sends the request and returns the head of the response; `read` returns the next piece of
    its body, or None at its end. Both raise `DeadlinePassed` with the name of the step
    whose timeout has passed: `read` has its own, `enter` the last one set by `bound`.
    """

    def __init__(self, clients: Clients) -> None:
        self.clients = clients
        self._timeout: asyncio.Timeout | None = None
        self._reading: asyncio.Task[Any] | None = None
        self._hung_up = False
        self._step = ""

    def perform(self, work: Coroutine[Any, Any, _Result]) -> Awaitable[_Result]:
        """Await work that may block: waiting for a slot, or reading the body's source."""
        return work

    async def enter(self, outgoing: Any) -> Any:
        timeout = asyncio.timeout(None)
        try:
            async with timeout:
                self._timeout = timeout
                return await outgoing.__aenter__()
        except TimeoutError:
            if timeout.expired():
                raise DeadlinePassed(self._step) from None
            raise
        finally:
            self._timeout = None

    def bound(self, seconds: float | None, step: str) -> None:
        if self._timeout is not None:  # pragma: no branch - an early response only ends `enter`
            self._step = step
            now = asyncio.get_running_loop().time()
            self._timeout.reschedule(None if seconds is None else now + seconds)

    async def read(self, reader: Any, seconds: float | None) -> Any:
        task = self._reading = asyncio.current_task()
        timeout = asyncio.timeout(seconds)
        try:
            async with timeout:
                return await reader.read_chunk()
        except TimeoutError:
            if timeout.expired():
                raise DeadlinePassed("read") from None
            raise
        except asyncio.CancelledError:
            if task is not None and self._hung_up and not task.uncancel():
                raise DeadlinePassed("read") from None
            raise
        finally:
            self._reading = None

    def hang_up(self) -> bool:
        """Wake the caller that waits in `read`; return False if no caller waits."""
        if self._reading is None:
            return False
        self._hung_up = True
        self._reading.cancel()
        return True


class BackgroundRuntime(StreamingRuntime):
    """Runs a request in the event loop of another thread, while the caller's thread waits.

    The caller's thread performs the work that may block. So a source is read in the thread that
    sends, as with every synchronous client, and does not delay other exchanges.
    """

    def __init__(self, clients: Clients) -> None:
        super().__init__(clients)
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run a coroutine in the background loop, and block until it ends."""
        future = asyncio.run_coroutine_threadsafe(work, background_loop())
        future.add_done_callback(lambda _: self._jobs.put(None))
        try:
            while (job := self._jobs.get()) is not None:
                job()
        except BaseException:
            future.cancel()
            raise
        return future.result()

    def call(self, function: Callable[[], None]) -> None:
        """Schedule a function in the background loop, after everything scheduled before."""
        background_loop().call_soon_threadsafe(function)

    async def perform(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Result] = loop.create_future()

        def job() -> None:
            try:
                delivery = _Delivery(future, run(work), None)
            except Exception as error:  # noqa: BLE001 - the awaiting coroutine handles it
                delivery = _Delivery(future, None, error)
            loop.call_soon_threadsafe(delivery)

        self._jobs.put(job)
        return await future


class _Delivery:
    """The result of a background job, for delivery in the event loop."""

    def __init__(self, future: asyncio.Future[Any], value: object, error: Exception | None) -> None:
        self._future = future
        self._value = value
        self._error = error

    def __call__(self) -> None:
        if self._future.done():
            return  # pragma: no cover - the awaiting task was cancelled just now
        if self._error is None:
            self._future.set_result(self._value)
        else:
            self._future.set_exception(self._error)
