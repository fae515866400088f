"""Jobs that run when SIGTERM arrives, before the process ends.

Without a handler, SIGTERM ends a process immediately, and nothing registered with `atexit` runs. So
a handler is installed where the process has none of its own: in the main thread, and only while the
signal has its default effect. A host that installs a handler later replaces it.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from threading import Thread, current_thread, main_thread
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

PATIENCE: Final = 5.0
"""Seconds for which the end of the process waits for the work."""

_work: Final[dict[Callable[[], object], None]] = {}


def stop_signals() -> tuple[signal.Signals, ...]:
    """Return the signals on which a worker stops gracefully.

    They are SIGTERM and SIGINT, and SIGHUP, which a terminal sends when it is closed, unless the
    process ignores or handles it, for example under `nohup`, or to reload its configuration.
    """
    hangup: signal.Signals | None = getattr(signal, "SIGHUP", None)  # Windows has none
    if hangup is None or signal.getsignal(hangup) != signal.SIG_DFL:
        return signal.SIGTERM, signal.SIGINT
    return signal.SIGTERM, signal.SIGINT, hangup


def before_termination(work: Callable[[], object]) -> bool:
    """Register a function to run before SIGTERM ends the process; return False if impossible.

    It is not possible outside the main thread, or if the host handles or ignores the signal.
    """
    _work[work] = None
    if current_thread() is not main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return False
    signal.signal(signal.SIGTERM, _end)
    return True


def finish_all() -> None:
    """Run all registered jobs in another thread, and wait a limited time for them.

    The main thread may have been interrupted while it holds a lock that the work needs.
    """
    thread = Thread(target=_finish, name="moorage-termination", daemon=True)
    with suppress(RuntimeError):  # no thread can be started
        thread.start()
        thread.join(PATIENCE)


def _finish() -> None:
    for run_waiting_steps in list(_work):
        with suppress(Exception):
            run_waiting_steps()


def _end(number: int, _: FrameType | Any, /) -> None:  # pragma: no cover - it ends the process
    finish_all()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
