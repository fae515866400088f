"""The latest moment at which a process ends that a signal has told to end.

An event loop ends in time only if nothing blocks it, and an interpreter only if no thread is left.
So a thread ends the process, also if the event loop is blocked. Threads of executors can delay it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from threading import Thread, main_thread
from time import sleep
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import Self

MARGIN: Final = 0.95
"""Seconds after `drain` in which the rest of the process must end."""

_MESSAGE: Final = (
    b"moorage: The process did not end in time after a signal, so it was cut off. Records under way"
    b" are delivered again. Find out where the sink or a thread of the program hangs.\n"
)


class ExitDeadline:
    """Ends the process some time after a signal, if a command has not ended by then.

    A command that has returned is left alone, unless the interpreter waits for threads to end.

    Attributes:
        code: the exit code.
    """

    def __init__(self, code: int) -> None:
        self.code = code
        self._has_returned = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._has_returned = True

    def start(self, drain: float) -> None:
        """Start the time, because of a signal.

        Args:
            drain: the seconds in which batches under way may end.
        """
        Thread(target=self._wait, args=(drain + MARGIN,), daemon=True).start()

    def _wait(self, seconds: float) -> None:
        sleep(seconds)
        if self.is_due():
            end_process(self.code)

    def is_due(self) -> bool:
        """Return whether the process must be ended now."""
        return not (self._has_returned and main_thread().is_alive())


def end_process(code: int) -> None:  # pragma: no cover - it ends the process
    """End the process at once, with a message."""
    # Another thread may hold the lock of sys.stderr.
    with suppress(OSError):
        os.write(2, _MESSAGE)
    os._exit(code)
