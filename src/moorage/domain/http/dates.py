"""Dates in the formats that HTTP headers use."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from moorage.domain.values.patterns import late_pattern

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_ZONE = r"(?:GMT|UTC|Z|[+-]0000)"
_FORMS = tuple(
    late_pattern(form, re.ASCII | re.IGNORECASE)
    for form in (
        rf"[a-z]{{3}}, (?P<day>\d\d?) (?P<month>[a-z]{{3}}) (?P<year>\d{{4}}) {_TIME} {_ZONE}",
        rf"[a-z]{{6,9}}, (?P<day>\d\d)-(?P<month>[a-z]{{3}})-(?P<year>\d\d) {_TIME} {_ZONE}",
        rf"[a-z]{{3}} (?P<month>[a-z]{{3}}) (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})",
    )
)
_HALF_A_CENTURY = timedelta(days=18_262)
_LEAP_SECOND = 60


def parse_http_date(text: str, now: datetime) -> datetime | None:
    """Parse a date in one of RFC 9110's three formats; None for any other string.

    The day of the week is not checked. A two-digit year that seems to lie more than 50 years ahead
    of `now` is taken for the past year with the same digits.
    """
    for form in _FORMS:
        if match := form.fullmatch(text.strip()):
            return _moment(match.groupdict(), now)
    return None


def write_http_date(moment: datetime) -> str:
    """Return a date in the format that RFC 9110 prefers, independent of the locale."""
    moment = moment.astimezone(UTC)
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1].title()
    return f"{day}, {moment:%d} {month} {moment.year:04} {moment:%H:%M:%S} GMT"


def _moment(part: dict[str, str], now: datetime) -> datetime | None:
    second = int(part["second"])
    is_leap_second = second == _LEAP_SECOND
    year = part["year"]
    full_year = int(year) if len(year) > len("94") else now.year - now.year % 100 + int(year)
    try:
        moment = datetime(
            full_year,
            _MONTHS.index(part["month"].lower()) + 1,
            int(part["day"]),
            int(part["hour"]),
            int(part["minute"]),
            second - is_leap_second,
            tzinfo=UTC,
        ) + timedelta(seconds=is_leap_second)
        if full_year != int(year):
            moment = _nearest_century(moment, now)
    except (ValueError, OverflowError):
        return None
    return moment


def _nearest_century(moment: datetime, now: datetime) -> datetime:
    if moment - now > _HALF_A_CENTURY:
        return moment.replace(year=moment.year - 100)
    if now - moment > _HALF_A_CENTURY:
        return moment.replace(year=moment.year + 100)
    return moment
