"""A thread that repeats a job as long as there is work."""

from __future__ import annotations

import atexit
import sys
from contextlib import suppress
from functools import cache
from threading import Lock, Thread, current_thread
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.concurrency.forking import in_child
from moorage.domain.values.weak_table import WeakTable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_EXIT_TIMEOUT: Final = 1.0
"""Seconds for which the exit of the process waits for running work."""

_THREADS: Final = ("enable-threads", b"enable-threads", "threads", b"threads")
"""The options of uWSGI that allow threads; older releases name them in bytes."""

_running_heartbeats: Final[WeakTable[Heartbeat, None]] = WeakTable()


class Heartbeat:
    """Repeats a job at an interval in its own thread, while `has_work` returns True.

    The thread starts with the first `wake` and ends when there is nothing to do, so an idle process
    has no such thread. The thread does not keep the process alive, and a forked child starts
    without it.

    Args:
        work: the function to repeat; its exceptions are dropped.
        has_work: returns whether there is anything to do.
        every: seconds between two repetitions.
        name: the name of the thread.
    """

    def __init__(
        self,
        work: Callable[[], object],
        has_work: Callable[[], bool],
        every: float,
        name: str = "moorage-renewal",
    ) -> None:
        self._work = work
        self._has_work = has_work
        self._every = every
        self._name = name
        self._restart_after_fork()
        in_child(self, Heartbeat._restart_after_fork)

    def _restart_after_fork(self) -> None:
        self._lock = Lock()
        # The lock is held during the interval; releasing it ends the interval, even in a signal
        # handler.
        self._interval = Lock()
        self._interval.acquire()
        self._stopped = False
        self._thread: Thread | None = None

    def is_available(self) -> bool:
        """Return whether the thread can run, after starting it if it does not run yet.

        Otherwise a caller would learn too late that this process can start no more threads.
        """
        return self._start() and not self._stopped

    def wake(self) -> None:
        """Start the thread, unless it is running."""
        self._start()

    def _start(self) -> bool:
        """Start the thread if it does not run yet; return False if that is not possible."""
        if self._thread is not None:
            return True
        with self._lock:
            if self._thread is None:
                try:
                    thread = Thread(target=self._loop, name=self._name, daemon=True)
                except RuntimeError:
                    return False  # a subinterpreter may not have daemon threads
                _at_exit()
                _running_heartbeats[self] = None
                # Set before the start, because the thread may end before the next line runs.
                self._thread = thread
                try:
                    thread.start()
                except RuntimeError:
                    # No thread can be started, because the interpreter is ending, or because the
                    # process has as many threads as it may have.
                    self._thread = None
                    return False
        # The thread may have done all of its work and ended already.
        return True

    def hurry(self) -> None:
        """End the current waiting time now; if the job is running, skip the next waiting time."""
        with suppress(RuntimeError):  # the interval has already ended
            self._interval.release()

    def stop(self) -> None:
        """Stop the thread once its current job is done."""
        self._stopped = True
        self.hurry()
        thread = self._thread
        if thread is not None and thread.is_alive():
            thread.join(_EXIT_TIMEOUT)

    def _loop(self) -> None:
        while not self._stopped:
            self._interval.acquire(timeout=self._every)
            if self._stopped:
                return
            if self._has_work():
                with suppress(Exception):
                    self._work()
                continue
            self._thread = None
            # A caller of `wake` before the last line saw a running thread, and relies on it.
            if not self._has_work():
                return
            with self._lock:
                if self._thread is not None:
                    return
                self._thread = current_thread()


def threads_may_run(modules: Mapping[str, Any] = sys.modules) -> bool:
    """Return whether background threads can run here; by default uWSGI stops them.

    Args:
        modules: the loaded modules; a server that embeds Python adds its own.
    """
    server = modules.get("uwsgi")
    options = getattr(server, "opt", {})
    return server is None or any(name in options for name in _THREADS)


@cache
def _at_exit() -> None:
    # A fork handler cannot be removed, so one handler serves all owners; the first owner registers
    # it.
    atexit.register(stop_all)


def stop_all() -> None:
    """Stop all job threads before the interpreter exits, while their jobs can still finish."""
    for heartbeat in _running_heartbeats:
        heartbeat.stop()
