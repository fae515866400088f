"""The times of entries in logs, which have more decimals than a `datetime` can have."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from moorage.domain.values.patterns import late_pattern

SECOND: Final = 1_000_000_000
"""The nanoseconds of a second."""

_FRACTION: Final = late_pattern(r"[.](\d{1,9})")


def nanoseconds_of(time: str) -> int:
    """Return the time of a log entry, which may have a UTC offset, in nanoseconds since 1970.

    Raises:
        ValueError: the text is not a time with an offset.
    """
    moment = datetime.fromisoformat(time)
    if moment.tzinfo is None:
        raise ValueError("The time of a log entry has no UTC offset.")
    fraction = _FRACTION.search(time)
    nanoseconds = int(f"{fraction[1]:0<9}") if fraction else 0
    return int(moment.replace(microsecond=0).timestamp()) * SECOND + nanoseconds
