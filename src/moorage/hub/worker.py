"""A worker, which repeats all due work until a caller stops it.

Before it stops, it completes the step that is in progress.
"""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from threading import Event
from typing import TYPE_CHECKING, TypeVar

from moorage.adapters.concurrency.termination import stop_signals
from moorage.domain.values.durations import seconds
from moorage.errors import ConfigurationError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sized
    from datetime import timedelta
    from types import FrameType

__all__ = ["at_times", "stopping", "work"]

S = TypeVar("S", bound="Sized")


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
    wait = seconds(pause, "pause")
    pause_or_stop = stop.wait if idle is None else _without_signals(idle)
    store_is_away = False
    while not stop.is_set():
        is_busy = False
        try:
            for step in steps:
                if stop.is_set():
                    return
                outcome = step()
                if len(outcome):
                    is_busy = True
                    on_result(outcome)
        except StorageUnavailable as error:
            if on_outage is None:
                raise
            if not store_is_away:
                on_outage(error)
            store_is_away, is_busy = True, False
        else:
            store_is_away = False
        if not is_busy:
            (stop.wait if store_is_away else pause_or_stop)(wait)


def at_times(
    step: Callable[[], S],
    pause: float | timedelta,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Callable[[], S | tuple[()]]:
    """Return a function for `work` that runs `step` at once and again after each pause.

    Args:
        step: the function to call, such as `hub.settle_payments`.
        pause: seconds, or a timedelta, between two calls of it; in between, the step does nothing.
        clock: returns the time in seconds.
    """
    wait, next_start = seconds(pause, "pause"), clock()

    def taken_entry() -> S | tuple[()]:
        nonlocal next_start
        current_time = clock()
        if current_time < next_start:
            return ()
        next_start = current_time + wait
        return step()

    return taken_entry


def _without_signals(idle: Callable[[float], object]) -> Callable[[float], object]:
    """Return a wait function that ignores an unavailable store, which the next step reports."""

    def wait(seconds: float) -> None:
        with suppress(StorageUnavailable):
            idle(seconds)

    return wait


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
