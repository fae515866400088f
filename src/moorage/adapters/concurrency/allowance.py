"""The time that the caller of a synchronous port can still wait."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

allowed_time: Final[ContextVar[float | None]] = ContextVar("allowed", default=None)
"""Seconds that the current caller of a synchronous port can wait; None without a limit."""


def allowance() -> float | None:
    """Return the seconds that a port's caller can still wait; None without a limit."""
    return allowed_time.get()
