"""Helpers for writing conformance kits."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from functools import partial, wraps
from itertools import count
from threading import Barrier, Event, Thread
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias, TypeVar

import attrs

from moorage.errors import ConnectorError

if TYPE_CHECKING:
    from collections.abc import (
        Awaitable,
        Callable,
        Collection,
        Coroutine,
        Generator,
        Iterator,
        Sequence,
    )
    from types import FrameType, TracebackType

    TraceFunction: TypeAlias = "Callable[[FrameType, str, Any], TraceFunction | None]"

Answer = TypeVar("Answer")
Factory = TypeVar("Factory")

_patience: Final = ContextVar("patience", default=20.0)

OTHER_SECRET: Final = "whsec_YW5vdGhlci1zZWNyZXQtYWxzby1sb25nLWVub3VnaA=="  # noqa: S105 - of no use elsewhere
"""A webhook secret of another user, valid as a text and for Standard Webhooks."""


def name_of(check: Callable[..., object]) -> str:
    """Return a check's name for test reports; pass it as `ids` to `pytest.mark.parametrize`."""
    return getattr(check, "__name__", repr(check))


def require(holds: object, sentence: str) -> None:
    """Fail the check with this sentence if the condition is false."""
    if not holds:
        raise AssertionError(sentence)


class EventTooLate(AssertionError):
    """Raised if an expected event happens after its deadline."""


_NAP: Final = 0.02
_JITTER: Final = 0.005
_STEADY: Final = 0.05
_LATE_TRIES: Final = 3
_BUSY_TRIES: Final = 12

_LONG_WAIT: Final = 0.01
"""Seconds after which a call that has not ended waits for another one."""

_SECONDS_OF_TURNS: Final = 2.0
"""Seconds for which threads take turns as often as possible.

On a busy machine each turn may take milliseconds, so a fixed number of turns would take minutes.
"""


def withheld_seconds(wall: float, used: float) -> float:
    """Return by how many seconds a short sleep was prolonged because the machine was busy.

    The nap's own length, the CPU time that the process used meanwhile, and a timer's usual
    lateness are subtracted.
    """
    delay = wall - _NAP - used
    return delay if delay > _JITTER else 0.0


class StallMeter:
    """Measures how long a busy machine kept this process from running during a check.

    A thread sleeps briefly again and again, and sums up its delays. Subtract this from a measured
    wall time before comparing it with a bound.

    Attributes:
        lost: seconds withheld so far.
    """

    def __init__(self) -> None:
        self.lost = 0.0
        self._over = Event()
        self._thread = Thread(target=self._measure, name="moorage control", daemon=True)

    def __enter__(self) -> Self:
        """Start to measure the time in which the machine did not run this process."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the measurement."""
        self._over.set()
        self._thread.join()

    def _measure(self) -> None:
        is_over = False
        while not is_over:
            start_time, used_time = time.monotonic(), time.process_time()
            is_over = self._over.wait(_NAP)
            self.lost += withheld_seconds(
                time.monotonic() - start_time, time.process_time() - used_time
            )


def retrying_check(
    check: Callable[..., Coroutine[Any, Any, None]], control: Callable[[], StallMeter] = StallMeter
) -> Callable[..., Coroutine[Any, Any, None]]:
    """Return a check that is retried if a busy machine made it fail.

    A failure while the machine withheld time from this process proves nothing: the check is tried
    again, up to twelve times. On a steady machine a check may be too late twice. An adapter that
    is too slow fails each time, and any other failure is raised immediately.
    """

    @wraps(check)
    async def check_with_patience(*arguments: Any) -> None:
        late_count = 0
        for _ in range(_BUSY_TRIES - 1):
            with control() as measurement:
                try:
                    return await check(*arguments)
                except (AssertionError, ConnectorError) as error:
                    failure = error
            if measurement.lost > _STEADY:
                continue
            late_count += 1
            if not isinstance(failure, EventTooLate) or late_count == _LATE_TRIES:
                raise failure
        return await check(*arguments)

    return check_with_patience


def patience() -> float:
    """Return the seconds after which a check stops waiting for an expected event."""
    return _patience.get()


@contextmanager
def waiting_at_most(seconds: float) -> Generator[None]:
    """Fail the check if the `with` block takes more than `seconds`, by default 20."""
    token = _patience.set(seconds)
    try:
        yield
    finally:
        _patience.reset(token)


async def wait_soon(awaited: Awaitable[Answer], sentence: str, *, times: float = 1.0) -> Answer:
    """Wait for an event; fail the check with this sentence if it does not happen.

    Args:
        awaited: the event.
        sentence: the error message if the condition does not become true; the error adds the
            time that the check waited.
        times: a multiple of the usual time to wait, for work that takes long on a busy machine.
    """
    limit = patience() * times
    try:
        return await asyncio.wait_for(awaited, limit)
    except TimeoutError:
        raise AssertionError(f"{sentence} The check waited for {limit:g} s.") from None


async def in_thread(call: Callable[[], Answer]) -> Answer:
    """Make a blocking call in a separate thread, and wait for its result."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Answer] = loop.create_future()

    def run() -> None:
        deliver: Callable[[], None]
        try:
            deliver = partial(_set_answer, answer, call())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            deliver = partial(_fail, answer, error)
        with suppress(RuntimeError):  # the loop is closed, so no task waits any more
            loop.call_soon_threadsafe(deliver)

    Thread(target=copy_context().run, args=(run,), daemon=True).start()
    return await answer


def _set_answer(answer: asyncio.Future[Answer], result: Answer) -> None:
    if not answer.done():
        answer.set_result(result)


def _fail(answer: asyncio.Future[Any], error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)


def run_concurrently(calls: Sequence[Callable[[], Answer]], sentence: str) -> list[Answer]:
    """Run functions at the same time, each in a thread that often yields to the others.

    The first error of a function is raised. If a function does not return, the check fails.

    Args:
        calls: the functions.
        sentence: the error message if a function does not return.

    Returns:
        the results, in the order of the functions.
    """
    results: dict[int, Answer] = {}
    errors: list[BaseException] = []
    start = Barrier(len(calls))
    end_of_turns = time.monotonic() + _SECONDS_OF_TURNS

    def run(number: int) -> None:
        start.wait()
        try:
            results[number] = calls[number]()
        except BaseException as error:  # noqa: BLE001 - raised where the threads are waited for
            errors.append(error)

    threads = [
        Thread(target=copy_context().run, args=(run, number), daemon=True)
        for number in range(len(calls))
    ]
    switch_interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, end_of_turns - time.monotonic()))
    finally:
        sys.setswitchinterval(switch_interval)
    end_time = time.monotonic() + patience()
    for thread in threads:
        thread.join(max(0.0, end_time - time.monotonic()))
    if errors:
        raise errors[0]
    require(not any(thread.is_alive() for thread in threads), sentence)
    return [results[number] for number in range(len(calls))]


def interrupted_results(
    calls: Callable[[int], tuple[Callable[[], Answer], Callable[[], Answer]]], sentence: str
) -> Iterator[tuple[int, Answer, Answer]]:
    """Interrupt a function before each of its lines, and run another function in the meantime.

    Each function runs in its own thread. The first one is interrupted before its first line of
    Python code, then before its second one, and so on until it ends, for at most two seconds. It
    continues when the other function has ended, or does not end soon because it waits for the
    first. Nothing is interrupted while a debugger or coverage traces lines.

    Args:
        calls: takes a number, and returns two new functions: the one to interrupt, and the other.
        sentence: the error message if a function does not return.

    Yields:
        the number, and the results of both functions.
    """
    end_time = time.monotonic() + _SECONDS_OF_TURNS
    for number in count():
        interruption = _Interruption(number)
        first, second = calls(number)
        first_result, second_result = run_concurrently(
            [partial(interruption.run, first), partial(interruption.run_then, second)], sentence
        )
        yield number, first_result, second_result
        if not interruption.happened or time.monotonic() > end_time:
            return


class _Interruption:
    """Interrupts one function after a number of lines, and runs another function meanwhile.

    Attributes:
        happened: whether the function had so many lines.
    """

    def __init__(self, lines: int) -> None:
        self.happened = False
        self._lines_left = lines
        self._begun, self._over = Event(), Event()

    def run(self, first: Callable[[], Answer]) -> Answer:
        """Run the function to interrupt."""
        if sys.gettrace() is None:  # pragma: no branch - coverage traces its own runs
            sys.settrace(self._trace)
        try:
            return first()
        finally:
            sys.settrace(None)
            self._begun.set()

    def run_then(self, second: Callable[[], Answer]) -> Answer:
        """Run the other function during the interruption."""
        self._begun.wait()
        try:
            return second()
        finally:
            self._over.set()

    def _trace(
        self,
        frame: FrameType,  # noqa: ARG002 - as Python calls it
        event: str,
        argument: Any,  # noqa: ARG002 - as Python calls it
    ) -> TraceFunction | None:  # pragma: no cover - no tracer sees another one
        self._lines_left -= event == "line"
        if self._lines_left >= 0:
            return self._trace
        sys.settrace(None)
        self.happened = True
        self._begun.set()
        self._over.wait(_LONG_WAIT)
        return None


class Flag:
    """An event that can be set once, and for which threads and tasks can wait."""

    def __init__(self) -> None:
        self._event = Event()
        self.set = self._event.set
        self.is_set = self._event.is_set
        self._long = patience() / 8

    async def wait(self) -> bool:
        """Wait for the event or a timeout; return whether it is set."""
        end = time.monotonic() + self._long
        while not self.is_set() and time.monotonic() < end:  # noqa: ASYNC110 - of any loop
            await asyncio.sleep(0.000_5)
        return self.is_set()


async def require_pages(
    find: Callable[[Any], Awaitable[Any]], query: Any, expected: Sequence[str], limit: int
) -> None:
    """Check that the pages of a query contain each expected entry exactly once.

    Args:
        find: returns a page of a query; its `items` have ids, and `next` leads to the next page.
        query: the query, whose `limit` and `after` are set here.
        expected: the ids of the entries, in order.
        limit: the number of entries of a page.
    """
    ids, next_cursor = list[str](), None
    for _ in range(len(expected) // limit + 1):
        page = await find(attrs.evolve(query, limit=limit, after=next_cursor))
        require(len(page.items) <= limit, f"A page of {limit} has {len(page.items)}.")
        ids += [entry.id for entry in page.items]
        next_cursor = page.next
        if next_cursor is None:
            break
    require(next_cursor is None, f"{query!r} leads on after its last entry.")
    require(ids == expected, f"{query!r} found {ids}, where {expected} match.")


class AsyncView:
    """Gives a synchronous adapter the interface of its asynchronous port.

    The adapter's methods become coroutine functions.

    Args:
        adapter: the adapter.
        threads: True to run each call in a separate thread, so that one call may wait for another.
        unchanged: names of attributes, and of methods that are synchronous in both ports.
    """

    def __init__(
        self, adapter: Any, *, threads: bool = False, unchanged: Collection[str] = ()
    ) -> None:
        self.adapter = adapter
        self._threads = threads
        self._unchanged = unchanged

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the adapter; a method becomes a coroutine function."""
        member = getattr(self.adapter, name)
        if name in self._unchanged:
            return member

        async def call(*arguments: Any, **named: Any) -> Any:
            bound = partial(member, *arguments, **named)
            return await in_thread(bound) if self._threads else bound()

        return call

    def __repr__(self) -> str:
        """Return the repr of the adapter, so that checks can see what it shows."""
        return repr(self.adapter)

    def __str__(self) -> str:
        """Return the adapter as a string, so that checks can see what it shows."""
        return str(self.adapter)


def in_this_thread(factory: Callable[..., Any], *arguments: Any) -> Any:
    """Make a synchronous adapter, and return an async view whose calls block this thread."""
    return AsyncView(factory(*arguments))


def in_threads(factory: Callable[..., Any], *arguments: Any) -> Any:
    """Make a synchronous adapter, and return an async view that runs its calls in threads."""
    return AsyncView(factory(*arguments), threads=True)


def sync_check(
    check: Callable[[Callable[..., Any]], Coroutine[Any, Any, None]],
    view: Callable[..., Any] = in_this_thread,
) -> Callable[[Callable[..., Any]], None]:
    """Convert a check of an asynchronous port to a check of synchronous adapters.

    Args:
        check: the check; it takes a function that makes an adapter.
        view: makes an asynchronous view; takes the function that makes a synchronous adapter, and
            the arguments that the check gives to such a function.
    """

    @wraps(check)
    def synchronous(factory: Callable[..., Any]) -> None:
        asyncio.run(check(partial(view, factory)))

    return synchronous
