"""Waiting for other processes in real time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_TIMEOUT: Final = 120.0


def wait_until(true: Callable[[], object], what: str) -> None:
    """Wait until a condition about another process holds."""
    end_time = time.monotonic() + _TIMEOUT
    while not true():
        assert time.monotonic() < end_time, f"{what} did not happen"
        time.sleep(0.01)
