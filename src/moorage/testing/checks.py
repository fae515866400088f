"""What the conformance kits are written with."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from functools import partial, wraps
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator

Answer = TypeVar("Answer")
Factory = TypeVar("Factory")

_patience: Final = ContextVar("patience", default=20.0)


def name_of(check: Callable[..., object]) -> str:
    """What a check is called in a test report; give it to `pytest.mark.parametrize` as `ids`."""
    return getattr(check, "__name__", repr(check))


def require(holds: object, sentence: str) -> None:
    """Fail the check, saying what the adapter did wrong, unless it did right."""
    if not holds:
        raise AssertionError(sentence)


class TooLate(AssertionError):
    """What had to happen did, but after its time."""


def timely(
    check: Callable[..., Coroutine[Any, Any, None]],
) -> Callable[..., Coroutine[Any, Any, None]]:
    """A check that comes too late only if it does so three times.

    A busy machine lets one wait now and then. An adapter that is late is so each time.
    """

    @wraps(check)
    async def patiently(*given: Any) -> None:
        for _ in range(2):
            with suppress(TooLate):
                return await check(*given)
        return await check(*given)

    return patiently


def patience() -> float:
    """After so many seconds whatever should have happened never will."""
    return _patience.get()


@contextmanager
def waiting_at_most(seconds: float) -> Generator[None]:
    """Give up on what does not happen sooner or later than usual, which is after 20 seconds."""
    token = _patience.set(seconds)
    try:
        yield
    finally:
        _patience.reset(token)


async def soon(awaited: Awaitable[Answer], sentence: str) -> Answer:
    """Wait for what must happen, and fail the check with this sentence if it does not."""
    try:
        return await asyncio.wait_for(awaited, patience())
    except TimeoutError:
        raise AssertionError(sentence) from None


async def in_thread(call: Callable[[], Answer]) -> Answer:
    """Make a call that may block, in a thread of its own, and wait for its answer."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Answer] = loop.create_future()

    def run() -> None:
        give: Callable[[], None]
        try:
            give = partial(_give, answer, call())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            give = partial(_fail, answer, error)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(give)

    Thread(target=copy_context().run, args=(run,), daemon=True).start()
    return await answer


def _give(answer: asyncio.Future[Answer], result: Answer) -> None:
    if not answer.done():
        answer.set_result(result)


def _fail(answer: asyncio.Future[Any], error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)


class Flag:
    """Something that comes true once, for threads and tasks alike."""

    def __init__(self) -> None:
        self._event = Event()
        self.set = self._event.set
        self.is_set = self._event.is_set
        self._long = patience() / 8

    async def wait(self) -> bool:
        """Wait until it is true, or for so long that it never will be, and tell which."""
        end = time.monotonic() + self._long
        while not self.is_set() and time.monotonic() < end:  # noqa: ASYNC110 - of any loop
            await asyncio.sleep(0.000_5)
        return self.is_set()


def blocking(
    check: Callable[[Callable[..., Any]], Coroutine[Any, Any, None]],
    lifted: Callable[..., Any],
) -> Callable[[Callable[..., Any]], None]:
    """A check of the asynchronous port, put to a plain adapter.

    `lifted` is called with the function that makes a plain adapter, and with what the check gives
    to such a function, and returns an adapter to be awaited.
    """

    @wraps(check)
    def plain(factory: Callable[..., Any]) -> None:
        asyncio.run(check(partial(lifted, factory)))

    return plain
