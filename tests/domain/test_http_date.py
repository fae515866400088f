"""Parsing of the three forms of an HTTP date."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.http.dates import parse_http_date, write_http_date

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def times_between(first: datetime, last: datetime) -> st.SearchStrategy[datetime]:
    """Return a strategy that draws times in whole seconds."""
    seconds = int((last - first).total_seconds())
    return st.integers(0, seconds).map(lambda after: first + timedelta(seconds=after))


moments = times_between(datetime(1000, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC))


@given(moments)
def test_date_round_trip(moment: datetime) -> None:
    """HTTP dates in the preferred and in the asctime form are read back."""
    assert format_datetime(moment, usegmt=True) == write_http_date(moment)
    assert moment == parse_http_date(format_datetime(moment, usegmt=True), NOW)
    assert moment == parse_http_date(moment.strftime("%a %b %e %H:%M:%S ") + f"{moment:%Y}", NOW)


@given(times_between(datetime(1977, 1, 1, tzinfo=UTC), datetime(2075, 12, 31, tzinfo=UTC)))
def test_two_digits_name_the_nearest_year(moment: datetime) -> None:
    """A two-digit year in an HTTP date is the one within fifty years of now."""
    assert moment == parse_http_date(moment.strftime("%A, %d-%b-%y %H:%M:%S GMT"), NOW)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)),
        ("Sun Nov  6 08:49:37 1994", datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)),
        (" sun, 6 nov 1994 08:49:37 utc ", datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)),
        ("Sat, 31 Dec 2016 23:59:60 GMT", datetime(2017, 1, 1, tzinfo=UTC)),
    ],
)
def test_rfc_9110_example_date_is_read_in_all_three_forms_and_in_another_case(
    text: str, expected: datetime
) -> None:
    """RFC 9110's example date is read in all three forms and in another case."""
    assert expected == parse_http_date(text, NOW)


@pytest.mark.parametrize(
    "text",
    [
        "", "0", "now", "Sun, 06 Nov 1994 08:49:37", "Sun, 31 Feb 2026 08:49:37 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 06 Nov 1994 08:49:37 +0100",
        "Fri, 31 Dec 9999 23:59:60 GMT", "Sun, 06 Nov 0000 08:49:37 GMT",
        "Thursday, 29-Feb-76 08:49:37 GMT-", "Sun, ٠٦ Nov 1994 08:49:37 GMT",
    ],
)  # fmt: skip
def test_invalid_http_date_is_read_as_none(text: str) -> None:
    """A string that is not an HTTP date, or an impossible day, is read as None."""
    assert parse_http_date(text, NOW) is None


@given(st.text(), st.integers(0, 8000))
def test_parsing_never_raises(text: str, years: int) -> None:
    """No text makes the parsing of an HTTP date raise an error."""
    now = NOW.replace(year=1) + timedelta(days=365 * years)
    parse_http_date(text, now)
    for day in ("29-Feb-00", "01-Jan-99", "31-Dec-50"):
        parse_http_date(f"Sunday, {day} 00:00:00 GMT", now)


@pytest.mark.parametrize(
    "now, written, year",
    [
        (datetime(2026, 3, 1, 12, tzinfo=UTC), "Saturday, 29-Feb-76 12:00:00 GMT", 2076),
        (datetime(2026, 3, 1, 12, tzinfo=UTC), "Sunday, 29-Feb-76 12:00:01 GMT", 1976),
        (datetime(2090, 3, 1, 12, tzinfo=UTC), "Thursday, 01-Mar-40 12:00:00 GMT", 2040),
        (datetime(2090, 3, 1, 12, tzinfo=UTC), "Thursday, 01-Mar-40 11:59:59 GMT", 2140),
    ],
)
def test_fifty_years_are_the_bound(now: datetime, written: str, year: int) -> None:
    """A two-digit year lies at most fifty years before or after now, to the second."""
    moment = parse_http_date(written, now)
    assert moment is not None
    assert year == moment.year
