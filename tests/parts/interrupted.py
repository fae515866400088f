"""A tool that interrupts code at each point at which Python may run a signal handler.

Python looks for signals where a function begins, where a loop goes round, and after a call that
it does not make by going on in another frame. A storm of real signals finds those points by
luck; here each is found by counting.
"""

import dis
import gc
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

import pytest

UNTIDY = pytest.mark.filterwarnings(
    # A coroutine that is interrupted before its first line is dropped,
    "ignore:coroutine .* was never awaited",
    # or the interruption arrives while a generator closes, where Python loses it.
    "ignore::pytest.PytestUnraisableExceptionWarning",
)

_INLINED = {"CALL", "CALL_KW"} | ({"CALL_FUNCTION_EX"} if sys.version_info >= (3, 12) else set())


class SignalInterruption(KeyboardInterrupt):
    """The exception that an interrupting signal handler raises."""


def interrupt_at(
    point: int, action: Callable[[], object], look: Callable[[], object] = lambda: None
) -> bool:
    """Run `action` and interrupt it at the n-th point; return whether that point was reached.

    `look` is called just before the interruption.
    """
    points = _PointCounter(point, look)
    previous_trace = sys.gettrace()
    # A garbage collection may run other objects' finalisers, which have interruption points of
    # their own.
    gc.disable()
    sys.settrace(points.trace)
    try:
        action()
    except (Exception, SignalInterruption):  # noqa: BLE001, S110 - however it ends
        pass
    finally:
        sys.settrace(previous_trace)
        gc.enable()
        points.forget()
    return points.struck


class _PointCounter:
    """A counter of the points that running code passes, which raises an error at one of them."""

    def __init__(self, at: int, look: Callable[[], object]) -> None:
        self._look = look
        self._left = at
        self.struck = False
        self._last: dict[FrameType, int] = {}
        self._calling_frames: set[FrameType] = set()

    def trace(self, frame: FrameType, event: str, _: object) -> Any:
        """Count one step of the running code, and raise an error if it is the chosen step."""
        if event == "call":
            frame.f_trace_opcodes = True
            if frame.f_back is not None and frame.f_code.co_name != "__init__":
                self._calling_frames.add(frame.f_back)
            if frame.f_code is not interrupt_at.__code__:
                self._point()
        elif event == "opcode":
            last_instruction = self._last.get(frame)
            self._last[frame] = frame.f_lasti
            has_called_python = frame in self._calling_frames
            self._calling_frames.discard(frame)
            if last_instruction is not None:
                name = _names(frame.f_code)[last_instruction]
                looped = "JUMP_BACKWARD" in name and frame.f_lasti < last_instruction
                if looped or (
                    name.startswith("CALL") and not (has_called_python and name in _INLINED)
                ):
                    self._point()
        else:
            # After a call that raises, Python does not check for signals.
            self._last.pop(frame, None)
        return self.trace

    def forget(self) -> None:
        """Release the recorded frames and their variables."""
        self._last.clear()
        self._calling_frames.clear()

    def _point(self) -> None:
        self._left -= 1
        if self._left == -1:
            self.struck = True
            self._look()
            raise SignalInterruption


_known: dict[CodeType, dict[int, str]] = {}


def _names(code: CodeType) -> dict[int, str]:
    if code not in _known:
        _known[code] = {step.offset: step.opname for step in dis.get_instructions(code)}
    return _known[code]
