"""The system's clocks, and a sleeper that blocks its thread."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_SECOND: Final = 1_000_000_000
_FOREVER: Final = 1e11  # seconds; three thousand years
_MAX_SLEEP: Final = 86_400.0  # `time.sleep` refuses longer times


def boot_clock(number: int | None) -> Callable[[], int]:
    """Return a function that reads the system clock of this number, or else the monotonic clock.

    It is implemented in C only, because every call reads it several times.
    """
    if number is None:
        return time.monotonic_ns
    counter = partial(time.clock_gettime_ns, number)
    try:
        counter()
    except OSError:  # the kernel, or a sandbox around it, does not know this clock
        return time.monotonic_ns
    return counter


class SystemClock:
    """The system's clocks; durations include the machine's standby if the system can measure it.

    `wall` is the time of `utc` in nanoseconds since the Unix epoch; reading it is faster.
    """

    def __init__(self) -> None:
        self.wall = time.time_ns
        self.nanoseconds = boot_clock(getattr(time, "CLOCK_BOOTTIME", None))
        self.utc = partial(datetime.now, UTC)


class ThreadSleeper:
    """Waits by blocking the calling thread."""

    __slots__ = ()

    def sleep(self, seconds: float, /) -> None:
        """Wait at least this long; an exception from a signal handler ends the wait."""
        end = time.monotonic_ns() + ceil(min(seconds, _FOREVER) * _SECOND)
        while (remaining_nanoseconds := end - time.monotonic_ns()) > 0:
            time.sleep(min(remaining_nanoseconds / _SECOND, _MAX_SLEEP))
