"""Times in the files of authorities."""

from __future__ import annotations

from datetime import datetime


def zoned_moment(text: str | None) -> datetime | None:
    """A time with its time zone; None without a zone, since it could be of any."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment
