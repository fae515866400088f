"""Waits for pyreqwest in an event loop: the host's, or one for blocking callers."""

from __future__ import annotations

import asyncio
import contextlib
from functools import cache
from os import getpid
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from moorage.adapters.http.connections._loops import Loops
from moorage.adapters.http.connections._threads import Threads, run
from moorage.adapters.http.connections._wire import TimeIsUp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from moorage.adapters.http.connections._wire import Network
    from moorage.adapters.http.pyreqwest._clients import Clients

_Answer = TypeVar("_Answer")


class Suspending:
    """Waiting by suspending the task, for exchanges of which nothing is streamed."""

    network: Network = Loops()

    def __init__(self, clients: Clients) -> None:
        self.clients = clients

    def ask(self, work: Coroutine[Any, Any, _Answer]) -> Awaitable[_Answer]:
        return work

    def enter(self, sending: Any) -> Awaitable[Any]:
        return sending.__aenter__()  # type: ignore[no-any-return]  # it is one

    def read(self, reader: Any, seconds: float | None) -> Awaitable[Any]:  # noqa: ARG002 - the same
        return reader.read_chunk()  # type: ignore[no-any-return]  # it is one

    def leave(self, sending: Any) -> None:
        # It never waits, though it is awaited.
        with contextlib.suppress(StopIteration):
            sending.__aexit__(None, None, None).send(None)


class Streaming(Suspending):
    """Waiting by suspending the task, for one exchange that somebody may leave."""

    def __init__(self, clients: Clients) -> None:
        super().__init__(clients)
        self._alarm: asyncio.Timeout | None = None
        self._reading: asyncio.Task[Any] | None = None
        self._hung_up = False
        self._step = ""

    async def enter(self, sending: Any) -> Any:
        alarm = asyncio.timeout(None)
        try:
            async with alarm:
                self._alarm = alarm
                return await sending.__aenter__()
        except TimeoutError:
            if alarm.expired():
                raise TimeIsUp(self._step) from None
            raise
        finally:
            self._alarm = None

    def bound(self, seconds: float | None, step: str) -> None:
        if self._alarm is not None:  # pragma: no branch - an early answer ends entering only
            self._step = step
            now = asyncio.get_running_loop().time()
            self._alarm.reschedule(None if seconds is None else now + seconds)

    async def read(self, reader: Any, seconds: float | None) -> Any:
        task = self._reading = asyncio.current_task()
        alarm = asyncio.timeout(seconds)
        try:
            async with alarm:
                return await reader.read_chunk()
        except TimeoutError:
            if alarm.expired():
                raise TimeIsUp("read") from None
            raise
        except asyncio.CancelledError:
            if task is not None and self._hung_up and not task.uncancel():
                raise TimeIsUp("read") from None
            raise
        finally:
            self._reading = None

    def hang_up(self) -> bool:
        if self._reading is None:
            return False
        self._hung_up = True
        self._reading.cancel()
        return True


class Lent(Streaming):
    """Waiting in a loop of another thread, for a caller who lends its own to whatever blocks.

    So a source is read in the thread that sends, as ever, and holds up nobody else.
    """

    network: Network = Threads()

    def __init__(self, clients: Clients) -> None:
        super().__init__(clients)
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def run(self, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        """Block until this is done in the loop."""
        doing = asyncio.run_coroutine_threadsafe(work, _loop_of(getpid()))
        doing.add_done_callback(lambda _: self._jobs.put(None))
        try:
            while (job := self._jobs.get()) is not None:
                job()
        except BaseException:
            doing.cancel()
            raise
        return doing.result()

    def call(self, function: Callable[[], None]) -> None:
        """Have this called in the loop, after what was asked of it before."""
        _loop_of(getpid()).call_soon_threadsafe(function)

    async def ask(self, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[_Answer] = loop.create_future()

        def job() -> None:
            try:
                settled = _Settled(answer, run(work), None)
            except Exception as error:  # noqa: BLE001 - who asked decides
                settled = _Settled(answer, None, error)
            loop.call_soon_threadsafe(settled)

        self._jobs.put(job)
        return await answer


class _Settled:
    """The result of requested work, to be delivered in the loop."""

    def __init__(self, answer: asyncio.Future[Any], value: object, error: Exception | None) -> None:
        self._answer = answer
        self._value = value
        self._error = error

    def __call__(self) -> None:
        if self._answer.done():
            return  # pragma: no cover - whoever asked has left just now
        if self._error is None:
            self._answer.set_result(self._value)
        else:
            self._answer.set_exception(self._error)


@cache
def _loop_of(_: int) -> asyncio.AbstractEventLoop:
    """The loop of those who block in a process. It goes on as long as pyreqwest's own thread."""
    loop = asyncio.new_event_loop()
    Thread(target=loop.run_forever, name="moorage waits for pyreqwest", daemon=True).start()
    return loop
