"""Parsing of times in files from tax authorities."""

from __future__ import annotations

from datetime import datetime


def zoned_moment(text: str | None) -> datetime | None:
    """Return a time with its time zone; None if the text states no time zone."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment
