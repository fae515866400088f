"""Exceptions that a signal handler raises, such as the time limits of task queues.

Celery and RQ end a task that takes too long with an ordinary exception, which a signal handler
raises wherever the program is at that moment. Such an exception is an interruption like
KeyboardInterrupt: it says nothing about a service, and nobody may retry or replace it. Only its
traceback shows it: it contains the frame of an installed signal handler.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from moorage.domain.secrets.frames import without_frames

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import CodeType, TracebackType

E = TypeVar("E", bound=BaseException)


def handler_traceback(error: BaseException) -> TracebackType | None:
    """Return an error's traceback from the signal handler on; None if no handler raised the error.

    The removed frames are those of the interrupted code, whose variables may be secret.
    """
    return _traceback_from(error, _handler_codes())


def is_interruption(error: BaseException) -> bool:
    """Return whether a signal handler raised this exception."""
    return handler_traceback(error) is not None


@contextmanager
def dropped_errors() -> Generator[None]:
    """Drop the errors of the `with` block, but not the exceptions that a signal handler raises."""
    try:
        yield
    except Exception as error:
        if is_interruption(error):
            raise


def interruption_behind(error: BaseException) -> BaseException | None:
    """Return the exception of a signal handler that an error replaced, or that the error is.

    Call it outside of the `except` block that caught the error: then an exception that the host was
    already handling is not found.
    """
    codes = _handler_codes()
    host = sys.exception()
    link: BaseException | None = error if codes else None
    seen_ids: set[int] = set()
    while link is not None and link is not host and id(link) not in seen_ids:
        if _traceback_from(link, codes) is not None:
            return link
        seen_ids.add(id(link))
        link = link.__cause__ or link.__context__
    return None


def without_interrupted_frames(error: E) -> E:
    """Remove the frames of the interrupted code from an interruption, and return it.

    Call it outside of the `except` block that caught the error.
    """
    trace = handler_traceback(error)
    return without_frames(error).with_traceback(trace)


def _traceback_from(error: BaseException, codes: frozenset[CodeType]) -> TracebackType | None:
    trace = error.__traceback__ if codes else None
    while trace is not None and trace.tb_frame.f_code not in codes:
        trace = trace.tb_next
    return trace


def _handler_codes() -> frozenset[CodeType]:
    """Return the code of each signal handler that is a Python function, method or object."""
    # The interpreter has always loaded this module. `signal` makes an enumeration of every value.
    signals: Any = sys.modules["_signal"]
    codes: set[CodeType] = set()
    for number in signals.valid_signals():
        handler: Any = signals.getsignal(number)
        if handler is None or type(handler) is int:  # the system's default
            continue
        while isinstance(handler, partial):
            handler = handler.func
        for function in (handler, handler.__call__):
            code: CodeType | None = getattr(function, "__code__", None)
            if code is not None:
                codes.add(code)
    return frozenset(codes)
