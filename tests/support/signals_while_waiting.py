"""A signal whose handler raises an error only while moorage code is waiting.

Raised in a tool that runs the tests, such as a coverage tool, the error would break it.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


class SignalInterruption(BaseException):
    """The exception that the signal handler raises, like KeyboardInterrupt."""


def interrupt_while_waiting(
    act: Callable[[], object], *, once: Callable[[], object] = lambda: True
) -> None:
    """Raise an error from a signal handler while moorage waits, and check that the caller gets it.

    Args:
        act: begins to wait.
        once: says whether the wait has begun that the signal must interrupt.
    """

    def strike(_: int, frame: FrameType | None) -> None:
        is_ours = frame and str(frame.f_globals.get("__name__")).startswith("moorage.")
        if is_ours and once():
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise SignalInterruption

    previous_handler = signal.signal(signal.SIGALRM, strike)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
        with pytest.raises(SignalInterruption):
            act()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous_handler)
