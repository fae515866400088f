"""The times of events: days, or moments in a named time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from moorage.errors import InvalidData

if TYPE_CHECKING:
    import attrs


def zone_name(moment: datetime) -> str | None:
    """The IANA name of a moment's time zone; None if it has an offset only."""
    if moment.tzinfo is UTC:
        return "UTC"
    return moment.tzinfo.key if isinstance(moment.tzinfo, ZoneInfo) else None


def zone_of(name: str | None) -> ZoneInfo | None:
    """The time zone with an IANA name; None if this machine does not know the name."""
    try:
        return None if name is None else ZoneInfo(name)
    except (OSError, ValueError, ZoneInfoNotFoundError):
        return None


def is_ambiguous(moment: datetime) -> bool:
    """True if this local time occurs twice, because clocks are put back."""
    return moment.utcoffset() != moment.replace(fold=1 - moment.fold).utcoffset() and time_exists(
        moment
    )


def time_exists(moment: datetime) -> bool:
    """True if this local time occurs; when clocks are put forward, some times are skipped."""
    round_trip = moment.astimezone(UTC).astimezone(moment.tzinfo)
    return round_trip.replace(tzinfo=None) == moment.replace(tzinfo=None)


def is_event_time(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse any value except a date, or a moment that exists in a named time zone."""
    check_event_time(value, attribute.name)


def is_maybe_event_time(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Accept None or a time of an event; refuse other values."""
    if value is not None:
        check_event_time(value, attribute.name)


def check_event_time(value: object, field: str) -> None:
    """Refuse any value except a date, or a moment that exists in a named time zone."""
    if not isinstance(value, date):
        raise InvalidData(
            f"The {field} must be a date or a datetime.",
            field=field,
            remedy="Give a date for an event of whole days, otherwise a datetime with a time zone.",
        )
    if not isinstance(value, datetime):
        return
    if value.tzinfo is None or zone_name(value) is None:
        raise InvalidData(
            f"The {field} must have a named time zone.",
            field=field,
            remedy='Give a datetime with tzinfo=ZoneInfo("Europe/Berlin") or another named zone:'
            " an offset alone does not follow summer time.",
        )
    if not _is_in_range(value) or not time_exists(value):
        raise InvalidData(
            f"The {field} does not exist in {zone_name(value)}, because clocks are put forward"
            " then.",
            field=field,
            remedy="Give an earlier or a later time.",
        )


def _is_in_range(value: datetime) -> bool:
    return date.min.year < value.year < date.max.year


def check_order(start: date | datetime, end: date | datetime) -> None:
    """Refuse an end that is not after the start, or a day combined with a moment."""
    if isinstance(start, datetime) != isinstance(end, datetime):
        raise InvalidData(
            "Start and end must both be dates or both be datetimes.",
            field="end",
            remedy="Give dates for an event of whole days, otherwise two datetimes.",
        )
    if instant(end) <= instant(start):
        raise InvalidData(
            "The end of the event must be after its start.",
            field="end",
            remedy="Give a later end; for an event of whole days, give the day after the last one.",
        )


def instant(value: date | datetime) -> datetime:
    """The moment in UTC; for a date, its midnight in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return datetime(value.year, value.month, value.day, tzinfo=UTC)
