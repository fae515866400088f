"""The recurrence of events: the RRULE of RFC 5545."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.validators import check_text
from moorage.domain.values.frozen_values import frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping

    import attrs

WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_FREQUENCIES: Final = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_MAX_LENGTH: Final = 500
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,3}")
_UNTIL_TEXT: Final = re.compile(r"([0-9]{8})(?:T([0-9]{6})Z)?")
_LISTS: Final[Mapping[str, str]] = {
    "BYDAY": r"(?:[+-]?[1-5])?(?:MO|TU|WE|TH|FR|SA|SU)",
    "BYMONTHDAY": r"-?(?:[12][0-9]|3[01]|[1-9])",
    "BYMONTH": r"(?:1[0-2]|[1-9])",
    "BYSETPOS": r"-?[1-5]",
}
_SINGLE: Final[Mapping[str, str]] = {
    "FREQ": "|".join(_FREQUENCIES),
    "INTERVAL": _NUMBER.pattern,
    "COUNT": _NUMBER.pattern,
    "UNTIL": _UNTIL_TEXT.pattern,
    "WKST": "|".join(WEEKDAYS),
}
_FORMS: Final = {
    **{name: re.compile(rf"(?:{form})") for name, form in _SINGLE.items()},
    **{name: re.compile(rf"{form}(?:,{form})*") for name, form in _LISTS.items()},
}


@frozen(kw_only=True)
class RecurrenceRule:
    """A rule by which an event is repeated, such as FREQ=WEEKLY;BYDAY=MO;COUNT=10.

    Attributes:
        frequency: DAILY, WEEKLY, MONTHLY or YEARLY.
        interval: number of days, weeks, months or years between two occurrences.
        count: number of occurrences; None if they are not counted.
        until: last day, or last moment, of an occurrence; None without such an end.
        by_day: weekdays such as MO, with a number before it for the first or last in a month.
        by_month_day: days of the month; negative ones count from its end.
        by_month: months.
        by_set_pos: position among the days of a month; negative ones count from its end.
        week_start: first day of the week.
    """

    frequency: str
    interval: int = 1
    count: int | None = None
    until: date | datetime | None = None
    by_day: tuple[str, ...] = ()
    by_month_day: tuple[int, ...] = ()
    by_month: tuple[int, ...] = ()
    by_set_pos: tuple[int, ...] = ()
    week_start: str = "MO"

    @classmethod
    def parse(cls, text: object, field: str = "recurrence") -> RecurrenceRule:
        """Parse the value of an RRULE, without the name RRULE before it.

        Raises:
            InvalidData: the text is not a recurrence rule, or has a part that moorage does not
                support.
        """
        check_text(text, field)
        parts = _parts(str(text), field)
        if "FREQ" not in parts:
            raise _rule_error(field, "has no FREQ")
        if "COUNT" in parts and "UNTIL" in parts:
            raise _rule_error(field, "has both COUNT and UNTIL")
        days = parts.get("BYDAY", "")
        if any(day[0] in "+-12345" for day in days.split(",") if day) and parts["FREQ"] not in {
            "MONTHLY",
            "YEARLY",
        }:
            raise _rule_error(
                field,
                "has a numbered weekday such as 2MO, which only monthly and yearly rules allow",
            )
        return cls(
            frequency=parts["FREQ"],
            interval=int(parts.get("INTERVAL", "1")),
            count=int(parts["COUNT"]) if "COUNT" in parts else None,
            until=_read_until(parts["UNTIL"], field) if "UNTIL" in parts else None,
            by_day=tuple(day.lstrip("+") for day in days.split(",") if day),
            by_month_day=_numbers(parts, "BYMONTHDAY"),
            by_month=_numbers(parts, "BYMONTH"),
            by_set_pos=_numbers(parts, "BYSETPOS"),
            week_start=parts.get("WKST", "MO"),
        )

    @property
    def text(self) -> str:
        """The rule as the value of an RRULE."""
        parts: dict[str, Any] = {
            "FREQ": self.frequency,
            "INTERVAL": self.interval if self.interval > 1 else None,
            "COUNT": self.count,
            "UNTIL": None if self.until is None else _write_until(self.until),
            "BYDAY": ",".join(self.by_day),
            "BYMONTHDAY": ",".join(map(str, self.by_month_day)),
            "BYMONTH": ",".join(map(str, self.by_month)),
            "BYSETPOS": ",".join(map(str, self.by_set_pos)),
            "WKST": self.week_start if self.week_start != "MO" else None,
        }
        return ";".join(f"{name}={value}" for name, value in parts.items() if value)

    def check_start(self, start: date | datetime) -> None:
        """Refuse an `until` before the start, or an `until` with a time if the start has none.

        Raises:
            InvalidData: the rule does not fit the start.
        """
        if self.until is None:
            return
        if isinstance(self.until, datetime) != isinstance(start, datetime):
            raise _rule_error(
                "recurrence",
                "has a date as UNTIL although the event starts at a time, or the reverse",
            )
        if self.until < start:
            raise _rule_error("recurrence", "has an UNTIL before the start of the event")


def is_maybe_rule(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Accept None or the value of an RRULE; refuse other values."""
    if value is not None:
        RecurrenceRule.parse(value, attribute.name)


def _parts(text: str, field: str) -> dict[str, str]:
    if len(text) > _MAX_LENGTH:
        raise _rule_error(field, f"has more than {_MAX_LENGTH} characters")
    parts: dict[str, str] = {}
    for part in text.upper().split(";"):
        name, _, value = part.partition("=")
        form = _FORMS.get(name)
        if form is None or name in parts or form.fullmatch(value) is None:
            raise _rule_error(
                field, f"has a part that is unknown, invalid or repeated: {part[:40]!r}"
            )
        parts[name] = value
    return parts


def _numbers(parts: Mapping[str, str], name: str) -> tuple[int, ...]:
    return tuple(int(number) for number in parts.get(name, "").split(",") if number)


def _read_until(text: str, field: str) -> date | datetime:
    try:
        if "T" in text:
            return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        raise _rule_error(field, f"has an UNTIL that is not a date: {text!r}") from None


def _write_until(until: date | datetime) -> str:
    if isinstance(until, datetime):
        return until.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    return until.strftime("%Y%m%d")


def _rule_error(field: str, problem: str) -> InvalidData:
    return InvalidData(
        f"The recurrence rule {problem}.",
        field=field,
        remedy="Give the value of an RRULE (RFC 5545), such as FREQ=WEEKLY;BYDAY=MO;COUNT=10. UNTIL"
        " must be a time such as 20261231T225959Z for events with times, and a date such as"
        " 20261231 for events of whole days.",
    )
