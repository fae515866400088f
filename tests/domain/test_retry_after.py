"""Parsing of `Retry-After` and rate-limit headers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.http.headers import Headers
from moorage.domain.resilience.vendor_hints import (
    RateHint,
    cap_wait,
    parse_retry_after,
    rate_hint,
    retry_after,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(seconds=90)
EPOCH = int(LATER.timestamp())
CENTURY = 100 * 365 * 86_400.0
latin = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]))


@given(st.integers(-(10**30), 10**8 - 1))
def test_retry_after_in_seconds_is_waited_for_completely(seconds: int) -> None:
    """A `Retry-After` in seconds is waited for completely; a negative number means zero."""
    assert max(seconds, 0) == parse_retry_after(str(seconds), NOW)


@given(st.integers(10**8, 10**30))
def test_each_number_becomes_a_bounded_wait(number: int) -> None:
    """Any number in `Retry-After` becomes a wait between zero and a hundred years."""
    wait = parse_retry_after(str(number), NOW)

    assert wait is not None
    assert 0 <= wait <= CENTURY


@pytest.mark.parametrize("name", ["Retry-After", "X-Retry-After"])
@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9])
def test_unix_time_in_retry_after_is_read_as_a_time(name: str, unit: int) -> None:
    """A Unix time in `Retry-After`, in s, ms, µs or ns, is read as a time, not as a duration."""
    assert 90.0 == retry_after(Headers({name: str(EPOCH * unit)}), NOW)


@pytest.mark.parametrize("name", ["Retry-After-Ms", "X-Ms-Retry-After-Ms"])
@pytest.mark.parametrize(
    "value, expected", [(str(EPOCH * 10**3), 90.0), ("90000", 90.0), (str(10**10), 10.0**7)]
)
def test_wait_header_in_milliseconds_may_be_a_duration_or_a_unix_time(
    name: str, value: str, expected: float
) -> None:
    """A wait header in milliseconds may also be a duration or a Unix time."""
    assert expected == retry_after(Headers({name: value}), NOW)


@pytest.mark.parametrize(
    "wait, expected", [(None, None), (0.0, 0.0), (3599.5, 3599.5), (7200.0, 3600.0)]
)
def test_pause_is_an_hour_at_most(wait: float | None, expected: float | None) -> None:
    """A vendor's pause is capped at an hour, unless a service allows more."""
    assert expected == cap_wait(wait)
    assert wait == cap_wait(wait, CENTURY)


@given(st.integers(-(10**9), 10**9))
def test_future_date_becomes_a_wait(seconds: int) -> None:
    """A future date in `Retry-After` is a wait; a past date means no wait."""
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert max(seconds, 0) == parse_retry_after(date, NOW)


@pytest.mark.parametrize(
    "value, expected",
    [
        ("2.0", 2.0),
        (" 120 ", 120.0),
        ("1.", 1.0),
        ("9" * 400, CENTURY),
        ("9" * 5_000, CENTURY),
        ("Sunday, 01-Mar-26 12:01:30 GMT", 90.0),
        ("Sun Mar  1 12:01:30 2026", 90.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", CENTURY),
        (None, None),
        ("", None),
        ("soon", None),
        ("1e3", None),
        ("nan", None),
        ("infinity", None),
        ("1,5", None),
        ("٣", None),
        ("1_000", None),
        ("0x10", None),
    ],
)
def test_retry_after_may_be_seconds_a_date_or_a_decimal(
    value: str | None, expected: float | None
) -> None:
    """`Retry-After` may be seconds, a date or a decimal; anything else is None."""
    assert expected == parse_retry_after(value, NOW)


@given(st.text())
def test_any_retry_after_text_gives_a_number_or_none(text: str) -> None:
    """Any text of `Retry-After` becomes a usable number or None."""
    wait = parse_retry_after(text, NOW)
    assert wait is None or 0 <= wait <= CENTURY


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({}, None),
        ({"Retry-After": "3"}, 3.0),
        ({"X-Retry-After": "3"}, 3.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"x-ms-retry-after-ms": "20"}, 0.02),
        ({"retry-after-ms": "1500", "Retry-After": "2"}, 2.0),
        ({"retry-after-ms": "soon"}, None),
        ({"retry-after-ms": "-5"}, 0.0),
        ({"Retry-After": format_datetime(LATER, usegmt=True)}, 90.0),
    ],
)
def test_longest_wait_of_all_headers_applies(
    fields: dict[str, str], expected: float | None
) -> None:
    """Wait headers of particular vendors are read too, and the longest wait applies."""
    assert expected == retry_after(Headers(fields), NOW)


@given(st.integers(-(10**6), 10**6))
def test_retry_after_date_is_compared_with_date_header(skew: int) -> None:
    """A date in `Retry-After` is compared with the time in the response's `Date` header, if any."""
    skewed_time = NOW + timedelta(seconds=skew)
    later_date = format_datetime(LATER, usegmt=True)
    for date in (format_datetime(NOW, usegmt=True), f"{NOW:%A, %d-%b-%y %H:%M:%S} GMT"):
        assert 90.0 == retry_after(Headers({"Date": date, "Retry-After": later_date}), skewed_time)
        hint = rate_hint(Headers({"Date": date, "X-RateLimit-Reset": str(EPOCH)}), skewed_time)
        assert RateHint(reset_after=90.0) == hint


@pytest.mark.parametrize(
    "reset, expected",
    [
        ("90", 90.0),
        ("0", 0.0),
        ("-5", 0.0),
        ("1.5", 1.5),
        (str(EPOCH), 90.0),
        (f"{EPOCH}.5", 90.5),
        (str(EPOCH * 1_000), 90.0),
        (str(EPOCH * 1_000_000), 90.0),
        (str(EPOCH * 1_000_000_000), 90.0),
        (str(EPOCH - 1_000), 0.0),
        (str(10**8 - 1), 10.0**8 - 1),
        (str(10**8), 0.0),
        (str(10**11), 0.0),
        (str(10**14), 0.0),
        ("Sunday, 01-Mar-26 12:01:30 GMT", 90.0),
        ("9" * 30, None),
        ("9" * 400, None),
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("1h2m3.5s", 3_723.5),
        ("20ms", 0.02),
        ("1d", 86_400.0),
        ("7µs", 7e-6),
        ("9" * 30 + "d", CENTURY),
        ("2026-03-01T12:01:30Z", 90.0),
        ("2026-03-01T12:01:30", 90.0),
        ("2026-03-01T13:01:30+01:00", 90.0),
        ("0001-01-01T00:00:00+23:59", 0.0),
        ("9999-12-31T23:59:59-23:59", CENTURY),
        ("Sun, 01 Mar 2026 12:01:30 GMT", 90.0),
        ("1m soon", None),
        ("soon", None),
        ("", None),
    ],
)
def test_reset_header_may_be_a_duration_a_timestamp_or_a_date(
    reset: str, expected: float | None
) -> None:
    """A rate-limit reset header may be a duration, a Unix time in any unit, or a date."""
    hint = rate_hint(Headers({"X-RateLimit-Remaining": "1", "X-RateLimit-Reset": reset}), NOW)
    assert hint is not None
    assert expected is hint.reset_after or expected == pytest.approx(hint.reset_after, abs=1e-6)


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({}, None),
        ({"Content-Type": "text/plain", "X-RateLimit-Bucket": "a"}, None),
        ({"X-RateLimit-Limit": "soon"}, None),
        (
            {"RateLimit": '"default";r=50;t=30', "RateLimit-Policy": '"default";q=100;w=60'},
            RateHint(100, 50, 30.0),
        ),
        (
            {
                "RateLimit": '"burst";r=9;t=1, "daily";r=3;t=7200',
                "RateLimit-Policy": '"burst";q=10;w=1, "daily";q=1000;w=86400',
            },
            RateHint(1000, 3, 7200.0),
        ),
        ({"RateLimit": '"default"; r=0'}, RateHint(None, 0, None)),
        ({"RateLimit": "limit=100, remaining=50, reset=5"}, RateHint(100, 50, 5.0)),
        ({"RateLimit-Policy": "100;w=60"}, None),
        (
            {"RateLimit": '"a";r=5', "RateLimit-Policy": '"a";q=20, "aX";q=10'},
            RateHint(20, 5, None),
        ),
        ({"RateLimit": '"a";r=5', "RateLimit-Policy": "a;q=20"}, RateHint(20, 5, None)),
        ({"RateLimit": '"a";r=5=6'}, RateHint(None, 5, None)),
        ({"RateLimit": "limit=5=6"}, RateHint(5, None, None)),
        ({"X-RateLimit-Limit-RateLimit-Remaining": "5"}, RateHint(5, None, None)),
        ({"A-RateLimit-Remaining": "7", "B-RateLimit-Remaining": "3"}, RateHint(None, 3, None)),
        ({"A-RateLimit-Limit": "2", "B-RateLimit-Remaining": "3"}, RateHint(None, 3, None)),
        (
            {
                "A-RateLimit-Remaining": "0",
                "B-RateLimit-Remaining": "0",
                "B-RateLimit-Reset": "0.5",
            },
            RateHint(None, 0, 0.5),
        ),
        (
            {
                "RateLimit-Limit": "100, 100;w=60",
                "RateLimit-Remaining": "50",
                "RateLimit-Reset": "5",
            },
            RateHint(100, 50, 5.0),
        ),
        (
            {
                "X-Rate-Limit-Limit": "100",
                "X-Rate-Limit-Remaining": "50",
                "X-Rate-Limit-Reset": str(EPOCH),
            },
            RateHint(100, 50, 90.0),
        ),
        (
            {
                "x-ratelimit-limit-requests": "60",
                "x-ratelimit-remaining-requests": "59",
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-limit-tokens": "150000",
                "x-ratelimit-remaining-tokens": "7",
                "x-ratelimit-reset-tokens": "6m0s",
            },
            RateHint(150_000, 7, 360.0),
        ),
        (
            {
                "anthropic-ratelimit-requests-limit": "50",
                "anthropic-ratelimit-requests-remaining": "49",
                "anthropic-ratelimit-requests-reset": "2026-03-01T12:01:30Z",
            },
            RateHint(50, 49, 90.0),
        ),
        (
            {
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": str(EPOCH + 1),
                "X-RateLimit-Reset-After": "90.25",
            },
            RateHint(None, 0, 90.25),
        ),
        (
            {"A-RateLimit-Remaining": "0", "B-RateLimit-Remaining": "0", "B-RateLimit-Reset": "5"},
            RateHint(None, 0, 5.0),
        ),
        ({"X-RateLimit-Remaining": "-3"}, RateHint(None, 0, None)),
        ({"X-RateLimit-Remaining": "9" * 400}, RateHint(None, 2**53, None)),
    ],
)
def test_ietf_and_vendors_rate_limit_headers_are_read(
    fields: dict[str, str], expected: RateHint | None
) -> None:
    """The IETF's and vendors' rate-limit headers are read; of several limits the tightest wins."""
    assert expected == rate_hint(Headers(fields), NOW)


names = st.lists(
    st.sampled_from(["x", "rate", "limit", "ratelimit", "remaining", "reset", "after", "policy"]),
    min_size=1,
).map("-".join)


@pytest.mark.untraced
@given(st.dictionaries(names, latin | st.from_regex(r"[\w\-.;,=:\" +]*", fullmatch=True).filter(
    lambda text: text.isascii() and text.isprintable()
)))  # fmt: skip
def test_any_rate_limit_headers_give_a_hint_or_none(fields: dict[str, str]) -> None:
    """Any rate-limit headers become a usable hint or None."""
    hint = rate_hint(Headers(fields), NOW)
    if hint is not None:
        assert hint.reset_after is None or 0 <= hint.reset_after <= CENTURY
        assert hint.remaining is None or 0 <= hint.remaining


def test_repeated_rate_limit_fields_are_read_like_one_field_with_list() -> None:
    """Repeated rate-limit headers are read like one header with a comma-separated list."""
    headers = Headers([("RateLimit", '"b";r=3;t=9'), ("ratelimit", '"a";r=5')])
    assert RateHint(None, 3, 9.0) == rate_hint(headers, NOW)
