"""The time limits of an exchange, in the form that pyreqwest supports."""

from __future__ import annotations

from datetime import timedelta
from math import frexp, ldexp
from typing import TYPE_CHECKING, Final

from moorage.adapters.http.connections._wire import below_total

if TYPE_CHECKING:
    from moorage.domain.http.requests import Request, Timeouts

PIECE_SIZE: Final = 65_536
_CONNECT_SHARE: Final = 0.8
_MIN_SECONDS: Final = 0.001


class StepTimeouts:
    """The time limits of the steps of an exchange, in seconds.

    Without a connect timeout it is the largest power of two below 0.8 times the total. It passes
    before the total, so that the error shows whether a connection was made; and calls whose totals
    differ a little share a client of pyreqwest, with its connections.

    Attributes:
        allowed_time: the total in the form that pyreqwest accepts; zero if there is none.
    """

    __slots__ = ("allowed_time", "connect", "pool", "read", "timeouts", "total", "write")

    def __init__(self, timeouts: Timeouts) -> None:
        total = timeouts.total
        self.timeouts = timeouts
        self.total = total
        self.connect = below_total(timeouts.connect, total)
        self.read = below_total(timeouts.read, total)
        self.write = below_total(timeouts.write, total)
        self.pool = below_total(timeouts.pool, total)
        if self.connect is None and total is not None:
            self.connect = ldexp(0.5, frexp(total * _CONNECT_SHARE)[1])
        self.allowed_time = timedelta(seconds=total or 0)

    def remaining(self, seconds: float) -> timedelta:
        """Return the time left for pyreqwest, between a minimum and the total timeout."""
        if self.total is None or seconds + _MIN_SECONDS > self.total:
            return self.allowed_time
        return timedelta(seconds=max(seconds, _MIN_SECONDS))


def is_streamed(request: Request, timeouts: StepTimeouts) -> bool:
    """Return whether the body is sent in chunks: it is a stream, or has a write timeout."""
    body = request.body
    return not isinstance(body, bytes) or (
        len(body) > PIECE_SIZE and (timeouts.read is not None or timeouts.write is not None)
    )
