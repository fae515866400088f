"""Conversion of recurrence rules to Microsoft Graph's patterns and ranges, and the reverse.

Graph has fewer rules than RFC 5545. A rule that Graph cannot express is refused; a pattern of Graph
that RFC 5545 cannot express is read as None.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.calendars import WEEKDAYS, RecurrenceRule, zone_name
from moorage.vendors.calendars._common import day_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo


_DAYS: Final[Mapping[str, str]] = dict(
    zip(
        WEEKDAYS,
        ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
        strict=True,
    )
)
_WEEKDAYS: Final = {word: day for day, word in _DAYS.items()}
_INDEXES: Final = {1: "first", 2: "second", 3: "third", 4: "fourth", -1: "last"}
_POSITIONS: Final = {word: position for position, word in _INDEXES.items()}
_FREQUENCIES: Final = {
    "daily": "DAILY",
    "weekly": "WEEKLY",
    "absoluteMonthly": "MONTHLY",
    "relativeMonthly": "MONTHLY",
    "absoluteYearly": "YEARLY",
    "relativeYearly": "YEARLY",
}


def recurrence_body(rule: RecurrenceRule, start: date | datetime) -> dict[str, Any]:
    """The pattern and range of a rule.

    Args:
        rule: rule of the event.
        start: start of the first occurrence, which supplies parts that the rule does not state.

    Raises:
        InvalidData: Graph has no such rule.
    """
    return {"pattern": _pattern(rule, start), "range": _range(rule, start)}


def _pattern(rule: RecurrenceRule, start: date | datetime) -> dict[str, Any]:
    pattern: dict[str, Any] = {"interval": rule.interval}
    if rule.frequency == "DAILY":
        _refuse_parts(rule, "by_day", "by_month_day", "by_month", "by_set_pos")
        return pattern | {"type": "daily"}
    if rule.frequency == "WEEKLY":
        _refuse_parts(rule, "by_month_day", "by_month", "by_set_pos")
        days = rule.by_day or (WEEKDAYS[start.weekday()],)
        return pattern | {
            "type": "weekly",
            "daysOfWeek": [_DAYS[day] for day in days],
            "firstDayOfWeek": _DAYS[rule.week_start],
        }
    period = "Monthly" if rule.frequency == "MONTHLY" else "Yearly"
    if period == "Yearly":
        pattern["month"] = _month(rule, start)
    else:
        _refuse_parts(rule, "by_month")
    if rule.by_day:
        _refuse_parts(rule, "by_month_day")
        return pattern | {"type": f"relative{period}", **_relative_days(rule)}
    day = _day_of_month(rule, start, pattern.get("month"))
    return pattern | {"type": f"absolute{period}", "dayOfMonth": day}


def _month(rule: RecurrenceRule, start: date | datetime) -> int:
    """The month of a yearly rule. Without BYMONTH, its days would be in every month."""
    if not rule.by_month and (rule.by_day or rule.by_month_day):
        raise _unknown_rule_error("FREQ=YEARLY and BYDAY or BYMONTHDAY, but without BYMONTH")
    return _single_value(rule.by_month or (start.month,), "BYMONTH")


def _day_of_month(rule: RecurrenceRule, start: date | datetime, month: int | None) -> int:
    """The day of the month in Graph's pattern; in a shorter month, Graph uses the last day."""
    shortest, longest = _month_lengths(month)
    for day in range(shortest + 1, longest):
        if {"by_month_day": rule.by_month_day, "by_set_pos": rule.by_set_pos} == _rule_days(
            day, month
        ):
            return day
    _refuse_parts(rule, "by_set_pos")
    day = _single_value(rule.by_month_day or (start.day,), "BYMONTHDAY")
    if day == -1:
        return longest
    if day < 0:
        raise _unknown_rule_error("a BYMONTHDAY that counts from the end of the month, except -1")
    if day > shortest:
        raise _unknown_rule_error(
            f"day {day} of a month that may be shorter, because Graph would use its last day;"
            " BYMONTHDAY=-1 is the last day of each month"
        )
    return day


def _rule_days(day: int, month: int | None) -> dict[str, Any]:
    """The parts of a rule for Graph's day of the month; a shorter month uses its last day."""
    shortest, longest = _month_lengths(month)
    if day <= shortest:
        return {"by_month_day": (day,)}
    if day >= longest:
        return {"by_month_day": (-1,)}
    return {"by_month_day": tuple(range(shortest, day + 1)), "by_set_pos": (-1,)}


def _month_lengths(month: int | None) -> tuple[int, int]:
    """The smallest and the largest number of days of a month, or of any month for None."""
    if month is None:
        return 28, 31
    return monthrange(2025, month)[1], monthrange(2024, month)[1]


def _relative_days(rule: RecurrenceRule) -> dict[str, Any]:
    """The weekdays of a rule with their position, from BYSETPOS or the weekdays' own numbers."""
    positions = {int(day[:-2]) for day in rule.by_day if day[:-2]}
    if rule.by_set_pos:
        if positions:
            raise _unknown_rule_error("numbered weekdays together with BYSETPOS")
        positions = {_single_value(rule.by_set_pos, "BYSETPOS")}
    elif len(rule.by_day) > 1:
        raise _unknown_rule_error("several weekdays of a month without BYSETPOS")
    if len(positions) != 1 or not positions <= _INDEXES.keys():
        raise _unknown_rule_error(
            "this occurrence of a weekday in a month, such as the fifth Friday"
        )
    return {
        "index": _INDEXES[positions.pop()],
        "daysOfWeek": [_DAYS[day[-2:]] for day in rule.by_day],
    }


def _range(rule: RecurrenceRule, start: date | datetime) -> dict[str, Any]:
    is_timed = isinstance(start, datetime)
    first_day = start.date() if isinstance(start, datetime) else start
    zone = zone_name(start) if isinstance(start, datetime) else "UTC"
    base = {"startDate": first_day.isoformat(), "recurrenceTimeZone": zone}
    if rule.count is not None:
        return base | {"type": "numbered", "numberOfOccurrences": rule.count}
    if rule.until is None:
        return base | {"type": "noEnd"}
    last_day = rule.until
    if isinstance(start, datetime) and is_timed and isinstance(rule.until, datetime):
        last_day = _last_day(rule.until, start)
    return base | {"type": "endDate", "endDate": last_day.isoformat()[:10]}


def _last_day(until: datetime, start: datetime) -> date:
    """The last day on which the start's clock time is not later than `until`."""
    local_until = until.astimezone(start.tzinfo)
    occurrence = datetime.combine(local_until.date(), start.time(), start.tzinfo)
    is_included = occurrence.astimezone(UTC) <= until
    return local_until.date() if is_included else local_until.date() - timedelta(days=1)


def rule_of(answer: sdk.Answer, zone: tzinfo | None) -> str | None:
    """The rule for a pattern and a range; None if no rule expresses them.

    Args:
        answer: the recurrence of an event.
        zone: time zone of the event; None for an all-day event.
    """
    pattern, bounds = answer.object("pattern"), answer.object("range")
    kind = pattern.text("type") or ""
    parts = _parts_of(kind, pattern)
    end = _end_of(bounds, zone)
    if parts is None or end is None:
        return None
    interval = pattern.integer("interval") or 1
    try:
        rule = RecurrenceRule(frequency=_FREQUENCIES[kind], interval=interval, **parts, **end)
        return RecurrenceRule.parse(rule.text).text
    except sdk.InvalidData:
        return None


def _parts_of(kind: str, pattern: sdk.Answer) -> Mapping[str, Any] | None:
    days = [_WEEKDAYS.get(word) for word in pattern.texts("daysOfWeek")]
    names = tuple(day for day in days if day is not None)
    if len(names) < len(days) or kind not in _FREQUENCIES:
        return None
    month = pattern.integer("month")
    if kind.endswith("Yearly") and not month:
        return None  # without BYMONTH, the days of a rule would be in every month
    parts: dict[str, Any] = {"by_month": (month,)} if kind.endswith("Yearly") else {}
    if kind == "weekly":
        first_day = _WEEKDAYS.get(pattern.text("firstDayOfWeek") or "sunday", "MO")
        return {"by_day": names, "week_start": first_day}
    if kind.startswith("absolute"):
        day = pattern.integer("dayOfMonth")
        if day is None or not 1 <= day <= 31 or month not in {None, *range(1, 13)}:
            return None
        return parts | _rule_days(day, month if "by_month" in parts else None)
    if kind.startswith("relative"):
        position = _POSITIONS.get(pattern.text("index") or "first")
        if position is None or not names:
            return None
        if len(names) == 1:
            return parts | {"by_day": (f"{position}{names[0]}",)}
        return parts | {"by_day": names, "by_set_pos": (position,)}
    return parts


def _end_of(bounds: sdk.Answer, zone: tzinfo | None) -> Mapping[str, Any] | None:
    kind = bounds.text("type")
    if kind == "noEnd":
        return {}
    if kind == "numbered":
        count = bounds.integer("numberOfOccurrences")
        return None if count is None else {"count": count}
    last_day = day_of(bounds.text("endDate"))
    if kind != "endDate" or last_day is None:
        return None
    if zone is None:
        return {"until": last_day}
    last_moment = datetime.combine(last_day, time(23, 59, 59), zone)
    return {"until": last_moment.astimezone(UTC)}


def _single_value(values: tuple[int, ...], name: str) -> int:
    if len(values) == 1:
        return values[0]
    raise _unknown_rule_error(f"several values of {name}")


def _refuse_parts(rule: RecurrenceRule, *names: str) -> None:
    for name in names:
        if getattr(rule, name):
            raise _unknown_rule_error(f"{name.replace('_', '').upper()} with FREQ={rule.frequency}")


def _unknown_rule_error(what: str) -> sdk.InvalidData:
    return sdk.InvalidData(
        f"Microsoft Graph does not support recurrences with {what}.",
        field="recurrence",
        remedy="Pass a rule that Microsoft's calendars support, or create single events.",
    )
