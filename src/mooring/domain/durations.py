"""Durations and counts as people give them, checked and made plain.

Outside they are float seconds or a `timedelta`; stored state counts integer microseconds.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Final

from mooring.errors import ConfigurationError

SECOND: Final = 1_000_000
DAY: Final = 86_400 * SECOND
FOREVER: Final = 36_500 * DAY


def seconds(value: float | timedelta, field: str, *, zero: bool = False) -> float:
    """`value` as finite float seconds, above zero unless `zero` allows it."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigurationError(
            f"{value!r} is not a duration.", path=field, remedy="Give float seconds or a timedelta."
        )
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        least = "zero or more" if zero else "more than zero"
        raise ConfigurationError(
            f"{value!r} is not a usable duration.", path=field, remedy=f"Give {least} seconds."
        )
    return float(value)


def micros(value: float) -> int:
    """Checked seconds as integer microseconds, rounded up, so that no wait ends early."""
    return math.ceil(round(value * SECOND, 3))


def count(value: int, field: str, *, least: int = 1) -> int:
    """`value` as an integer of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(
            f"{value!r} is not a count.", path=field, remedy=f"Give an integer of {least} or more."
        )
    return value


def share(value: float, field: str) -> float:
    """`value` as a share above zero and up to one."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise ConfigurationError(
            f"{value!r} is not a share.", path=field, remedy="Give a number above 0 and up to 1."
        )
    return float(value)
