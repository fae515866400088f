"""Waiting for other processes in real time."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_TIMEOUT: Final = 120.0
_LONGEST: Final = 5.0


def _share_of_time() -> float:
    """Return the share of a core that a process gets on this busy machine, at least a fifth.

    If four processes wait for each core, each of them runs for a quarter of the time.
    """
    processes_per_core = os.getloadavg()[0] / (os.cpu_count() or 1)
    return 1.0 / min(max(1.0, processes_per_core), _LONGEST)


def wait_until(true: Callable[[], object], what: str) -> None:
    """Wait until a condition about another process holds.

    The limit is longer on a busy machine, so that it is reached only if something hangs.
    """
    waited, looked_at = 0.0, time.monotonic()
    while not true():
        now = time.monotonic()
        waited += (now - looked_at) * _share_of_time()
        looked_at = now
        assert waited < _TIMEOUT, f"{what} did not happen"
        time.sleep(0.01)
