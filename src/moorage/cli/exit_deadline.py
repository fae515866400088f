"""A deadline by which a process ends after a signal.

A blocked event loop does not end, and the interpreter waits for all threads. So a separate thread
ends the process if necessary.
"""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from threading import Thread, main_thread
from time import sleep
from typing import TYPE_CHECKING, Final

from moorage.cli.exit_codes import CUT_OFF

if TYPE_CHECKING:
    from types import FrameType
    from typing import Self

MARGIN: Final = 0.95
"""Seconds after `drain` in which the rest of the process must end."""

_MESSAGE: Final = (
    b"moorage: The process did not end in time after a signal, so it was ended. Find out where the"
    b" sink or a thread of the program hangs.\n"
)
_CUT_MESSAGE: Final = (
    b"moorage: Some records were not processed to the end; they will be delivered again.\n"
)


class ExitDeadline:
    """Ends the process some time after a signal if the command has not ended by then.

    After the command has returned, the process is ended only if the interpreter waits for threads.

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
        """Start the time limit after a signal has arrived.

        Args:
            drain: the seconds in which batches in progress may end.
        """
        Thread(target=self._wait, args=(drain + MARGIN,), daemon=True).start()

    def _wait(self, seconds: float) -> None:
        sleep(seconds)
        if self.is_due():
            end_process(self.code)

    def is_due(self) -> bool:
        """Return whether the process must be ended now."""
        return not self._has_returned or _is_interpreter_ending()


def _is_interpreter_ending() -> bool:
    """Return whether the main thread has finished and waits for other threads."""
    main = main_thread()
    frame = _current_frame_of(main)
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
    # Python waits for executor threads while the main thread still counts as alive.
    return not main.is_alive() or (
        frame is not None and _function_of(frame) == ("threading", "_shutdown")
    )


def _current_frame_of(thread: Thread) -> FrameType | None:
    # In some versions of Python 3.11 and 3.12, a garbage collection in this call blocks the whole
    # process for ever, because the call holds a lock that the collection needs.
    was_collecting = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames().get(thread.ident or 0)  # noqa: SLF001 - documented by Python
    finally:
        if was_collecting:
            gc.enable()


def _function_of(frame: FrameType) -> tuple[object, str]:
    """Return the module and the name of the function that a frame runs."""
    return frame.f_globals.get("__name__"), frame.f_code.co_name


def end_process(code: int) -> None:  # pragma: no cover - it ends the process
    """End the process immediately, with a message."""
    # Another thread may hold the lock of sys.stderr.
    with suppress(OSError):
        os.write(2, _MESSAGE + (_CUT_MESSAGE if code == CUT_OFF else b""))
    os._exit(code)
