"""A measure of how slow this machine is, for tests that wait in real time."""

from __future__ import annotations

import os


def slowness() -> float:
    """Return how many times slower this machine is than an idle one, at least 1.

    A machine that runs tests in parallel, as is usual, still counts as idle.
    """
    waiting_for_each_core = os.getloadavg()[0] / (os.cpu_count() or 1)
    return max(1.0, waiting_for_each_core / 2)
