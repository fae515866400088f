"""A worker, which repeats all due work until a caller stops it.

Before it stops, it completes the step that is in progress.
"""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager, suppress
from functools import partial
from queue import Empty, SimpleQueue
from threading import Event
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.adapters.concurrency.termination import stop_signals
from moorage.domain.values.durations import seconds
from moorage.errors import ConfigurationError, StorageUnavailable
from moorage.runtime.flows import as_async, run_now, settle_async, settle_sync

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterable, Sized
    from datetime import timedelta
    from types import FrameType

    from moorage.services.entries.processing import StopSignal

__all__ = ["at_times", "awork", "stopping", "work"]

R = TypeVar("R")
S = TypeVar("S", bound="Sized")

_LONGEST_SLEEP: Final = 0.1
"""Seconds after which a worker that waits in an event loop checks again if it must stop."""


def work(
    *steps: Callable[[], S],
    stop: Event,
    pause: float | timedelta = 1.0,
    on_result: Callable[[S], object] = lambda _: None,
    on_outage: Callable[[StorageUnavailable], object] | None = None,
    idle: Callable[[float], object] | None = None,
) -> None:
    """Run all steps one after another until `stop` is set; pause if no step found work.

    Args:
        steps: functions that each do some of the due work, such as
            `lambda: outbox.deliver(hub, limit=1)`, and return the results; an empty result means
            that nothing was due. The worker stops only between two steps, so keep them short.
        stop: an event that is set to stop the worker.
        pause: seconds, or a timedelta, to wait when no step found any work.
        on_result: receives the result of each step that did any work.
        on_outage: receives the error of an unavailable store, once for each outage; the worker
            waits until the store is back. Without this function, the error ends the worker.
        idle: function that waits in place of the pause, for at most the seconds of its argument,
            such as the `wait` of a store in PostgreSQL, which returns as soon as an entry is added.
            The worker notices `stop` only after this function has returned.
    """
    run_now(
        _repeat_steps(
            steps,
            settle_sync,
            stop,
            seconds(pause, "pause"),
            on_result,
            on_outage,
            as_async(stop.wait),
            idle,
        )
    )


async def awork(
    *steps: Callable[[], Awaitable[S] | tuple[()]],
    stop: StopSignal,
    pause: float | timedelta = 1.0,
    on_result: Callable[[S], object] = lambda _: None,
    on_outage: Callable[[StorageUnavailable], object] | None = None,
    idle: Callable[[float], Awaitable[object]] | None = None,
) -> None:
    """Run all steps one after another until `stop` is set, in an event loop; see `work`.

    Set `stop` to end the worker after its step. If the task of the worker is cancelled, the step
    is cancelled too.

    Args:
        steps: functions that return coroutines, such as `lambda: outbox.deliver(hub, limit=1)` with
            an `AsyncOutbox`.
        stop: the event of `stopping`, an `asyncio.Event` or any other object with `is_set()`, which
            a waiting worker calls ten times a second.
        pause: seconds, or a timedelta, to wait when no step found any work.
        on_result: a function or an async function that receives the result of each step that did
            any work.
        on_outage: receives the error of an unavailable store, once for each outage.
        idle: an async function that waits in place of the pause, such as the `wait` of an
            asynchronous store in PostgreSQL.
    """
    await _repeat_steps(
        steps,
        settle_async,
        stop,
        seconds(pause, "pause"),
        on_result,
        on_outage,
        partial(_sleep_or_stop, stop),
        idle,
    )


async def _repeat_steps(  # noqa: PLR0917 - the parts of a worker
    steps: Iterable[Callable[[], Any]],
    settle: Callable[[Any], Awaitable[Any]],
    stop: StopSignal,
    pause: float,
    on_result: Callable[[Any], object],
    on_outage: Callable[[StorageUnavailable], object] | None,
    sleep: Callable[[float], Awaitable[object]],
    idle: Callable[[float], object] | None,
) -> None:
    store_is_away = False
    while not stop.is_set():
        try:
            is_busy = await _run_steps(steps, settle, stop, on_result)
        except StorageUnavailable as error:
            if on_outage is None:
                raise
            if not store_is_away:
                await settle(on_outage(error))
            store_is_away, is_busy = True, False
        else:
            store_is_away = False
        if is_busy or stop.is_set():
            continue
        if idle is None or store_is_away:
            await sleep(pause)
        else:
            with suppress(StorageUnavailable):  # the next step reports it
                await settle(idle(pause))


async def _run_steps(
    steps: Iterable[Callable[[], Any]],
    settle: Callable[[Any], Awaitable[Any]],
    stop: StopSignal,
    on_result: Callable[[Any], object],
) -> bool:
    """Run the steps until `stop` is set; return whether one of them did any work."""
    is_busy = False
    for step in steps:
        if stop.is_set():
            break
        outcome = await settle(step())
        if len(outcome):
            is_busy = True
            await settle(on_result(outcome))
    return is_busy


async def _sleep_or_stop(stop: StopSignal, pause: float) -> None:
    """Wait until `stop` is set or the seconds have passed."""
    from asyncio import sleep  # noqa: PLC0415 - a synchronous worker does not need it

    end_time = time.monotonic() + pause
    seconds_left = pause
    while seconds_left > 0 and not stop.is_set():
        await sleep(min(seconds_left, _LONGEST_SLEEP))
        seconds_left = end_time - time.monotonic()


def at_times(
    step: Callable[[], R],
    pause: float | timedelta,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Callable[[], R | tuple[()]]:
    """Return a function for `work` or `awork` that runs `step` at once and again after each pause.

    Args:
        step: the function to call, such as `hub.settle_payments`.
        pause: seconds, or a timedelta, between two calls of it; in between, the step does nothing.
        clock: returns the time in seconds.
    """
    wait, next_start = seconds(pause, "pause"), clock()

    def run_if_due() -> R | tuple[()]:
        nonlocal next_start
        current_time = clock()
        if current_time < next_start:
            return ()
        next_start = current_time + wait
        return step()

    return run_if_due


class _StopEvent(Event):
    """An event that a signal handler can set without a deadlock."""

    def __init__(self) -> None:
        super().__init__()
        self._words: SimpleQueue[None] = SimpleQueue()

    def is_set(self) -> bool:
        """Return whether the event is set."""
        return not self._words.empty()

    def set(self) -> None:
        """Set the event."""
        self._words.put(None)

    def clear(self) -> None:
        """Reset the event."""
        with suppress(Empty):
            while True:
                self._words.get_nowait()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the event is set or the seconds have passed; return whether it is set."""
        try:
            self._words.get(timeout=timeout)
        except Empty:
            return False
        self._words.put(None)
        return True


@contextmanager
def stopping() -> Generator[Event]:
    """Yield an event that is set when this process receives SIGTERM, Ctrl-C or SIGHUP.

    A terminal sends SIGHUP when it is closed; the signal is left alone if this process ignores or
    handles it. Only the main thread may use this function. At the end of the block the earlier
    signal handlers are restored.

    Raises:
        ConfigurationError: this is not the main thread; or the handlers of these signals were not
            installed by Python (for example under uWSGI), so that they cannot be restored.
    """
    stop = _StopEvent()
    numbers = stop_signals()

    def on_signal(_: int, __: FrameType | None) -> None:
        stop.set()

    if None in map(signal.getsignal, numbers):
        raise ConfigurationError(
            "This process's signal handlers were not installed by Python (for example under uWSGI),"
            " so moorage cannot restore them.",
            path="stopping",
            remedy="Give `work` a threading.Event of your own, and set it when the host ends.",
        )
    try:
        previous_handlers = {number: signal.signal(number, on_signal) for number in numbers}
    except ValueError:
        raise ConfigurationError(
            "Only the main thread receives signals to stop.",
            path="stopping",
            remedy="Use `stopping` in the main thread, and pass the event to the thread that"
            " calls `work`.",
        ) from None
    try:
        yield stop
    finally:
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)
