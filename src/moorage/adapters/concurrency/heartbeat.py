"""A thread that does something again and again, for as long as there is something to do."""

from __future__ import annotations

import atexit
import sys
from contextlib import suppress
from functools import cache
from threading import Event, Lock, Thread, current_thread
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from moorage.adapters.concurrency.forking import in_child

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PATIENCE: Final = 1.0
"""Seconds for which the end of the process waits for work that is under way."""

_THREADS: Final = ("enable-threads", b"enable-threads", "threads", b"threads")
"""The options of uWSGI with which threads run; older releases name them in bytes."""

_beating: Final[WeakSet[Heartbeat]] = WeakSet()


class Heartbeat:
    """Does some work every so many seconds in a thread of its own, while it is wanted.

    The thread begins with the first `wake` and ends when a turn finds nothing wanted, so there is
    none in a process that has nothing to do. It keeps no process alive, and a child of a fork
    begins without one.

    Args:
        work: what to do each time; its exceptions are dropped.
        wanted: whether there is anything to do.
        every: seconds between two times.
        name: of the thread.
    """

    def __init__(
        self,
        work: Callable[[], object],
        wanted: Callable[[], bool],
        every: float,
        name: str = "moorage-renewal",
    ) -> None:
        self._work = work
        self._wanted = wanted
        self._every = every
        self._name = name
        self._start_afresh()
        in_child(self, Heartbeat._start_afresh)

    def _start_afresh(self) -> None:
        self._lock = Lock()
        self._stop = Event()
        self._thread: Thread | None = None

    def able(self) -> bool:
        """Whether work can be done here at all."""
        return True

    def wake(self) -> None:
        """Work from now on, unless that goes on already."""
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None:
                thread = Thread(target=self._beat, name=self._name, daemon=True)
                _at_exit()
                _beating.add(self)
                # Before it starts, for it may have ended by itself before the next line.
                self._thread = thread
                try:
                    thread.start()
                except RuntimeError:
                    # No thread can be started any more: the interpreter is about to end.
                    self._thread = None

    def stop(self) -> None:
        """End the thread, once the work that is under way is done."""
        self._stop.set()
        thread = self._thread
        if thread is not None and thread.is_alive():
            thread.join(_PATIENCE)

    def _beat(self) -> None:
        stop = self._stop
        while not stop.wait(self._every):
            if self._wanted():
                with suppress(Exception):
                    self._work()
                continue
            self._thread = None
            # Whoever came before that line has seen a thread, and counts on it.
            if not self._wanted():
                return
            with self._lock:
                if self._thread is not None:
                    return
                self._thread = current_thread()


def threads_may_run(modules: Mapping[str, Any] = sys.modules) -> bool:
    """Whether a thread that is started here runs: uWSGI stops them all unless it is told not to.

    Args:
        modules: the modules that are loaded; a server that embeds Python adds its own.
    """
    server = modules.get("uwsgi")
    options = getattr(server, "opt", {})
    return server is None or any(name in options for name in _THREADS)


@cache
def _at_exit() -> None:
    # A handler cannot be taken back, so there is one for all, and none before the first.
    atexit.register(stop_all)


def stop_all() -> None:
    """Stop every thread before the interpreter ends: what it does then could not be finished."""
    for heartbeat in list(_beating):
        heartbeat.stop()
