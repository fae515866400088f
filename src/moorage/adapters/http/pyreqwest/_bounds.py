"""The bounds of an exchange as pyreqwest can keep them."""

from __future__ import annotations

from datetime import timedelta
from math import frexp, ldexp
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from moorage.domain.http.requests import Request, Timeouts

PIECE: Final = 65_536
_SHARE: Final = 0.8
_AT_ONCE: Final = 0.001  # seconds


class Bounds:
    """The timeouts of the steps of an exchange; None is the timeout of the whole.

    Where nobody said how long connecting may take, it is the power of two below the total timeout:
    so that the end of the time finds out whether a connection stood, which nothing that pyreqwest
    says afterwards would tell, and that calls whose deadlines differ a little share connections.
    """

    __slots__ = ("_all", "connect", "pool", "read", "timeouts", "total", "write")

    def __init__(self, timeouts: Timeouts) -> None:
        total = timeouts.total
        self.timeouts = timeouts
        self.total = total
        self.connect = _own(timeouts.connect, total)
        self.read = _own(timeouts.read, total)
        self.write = _own(timeouts.write, total)
        self.pool = _own(timeouts.pool, total)
        if self.connect is None and total is not None:
            self.connect = ldexp(0.5, frexp(total * _SHARE)[1])
        self._all = timedelta(seconds=total or 0)

    def left(self, seconds: float) -> timedelta:
        """Return what is left of the total as pyreqwest takes it; mostly, that is all of it."""
        if seconds + _AT_ONCE > self._all.total_seconds():
            return self._all
        return timedelta(seconds=max(seconds, _AT_ONCE))


def _own(bound: float | None, total: float | None) -> float | None:
    """Return the bound of a step, if it is another than that of all."""
    return None if bound is None or (total is not None and bound >= total) else bound


def streams(request: Request, bounds: Bounds) -> bool:
    """Tell whether a body goes out in pieces: one that comes so, or is to be bounded as it goes."""
    body = request.body
    return not isinstance(body, bytes) or (
        len(body) > PIECE and (bounds.read is not None or bounds.write is not None)
    )
