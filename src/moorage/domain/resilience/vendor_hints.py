"""The headers in which a vendor states when to retry and how many calls remain.

The headers are untrusted text: a hint that cannot be parsed is None, never an error, and no wait is
longer than a hundred years. Times are compared with the vendor's own `Date` if it sends one, so
that a wrong clock of this machine has no influence. A number of 10^8 or more is a Unix timestamp;
as a duration it would be three years.

`capped` limits the pause that a hint can impose on all callers.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, overload

from moorage.domain.http.dates import parse_http_date
from moorage.domain.values.durations import FOREVER, SECOND
from moorage.domain.values.frozen_values import frozen
from moorage.domain.values.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.domain.http.headers import Headers

LONGEST_PAUSE: Final = 3600.0
"""The default for the longest pause in seconds that a response can impose."""

_MAX_SECONDS = FOREVER / SECOND
_LARGEST_NUMBER = 2**53
_NUMBER = late_pattern(r"-?[0-9]+(?:\.[0-9]*)?")
_DURATION = late_pattern(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|us|µs|ns|[dhms]))+")
_STEP = late_pattern(r"([0-9.]+)([a-zµ]+)")
_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}

_FIRST_EPOCH = 1e8
_EPOCH_UNITS = ((1e11, 1), (1e14, 1e3), (1e17, 1e6), (1e20, 1e9))
"""Upper bounds of times since 1970, each with the number of its units in a second."""

_SECONDS_FIELDS = ("retry-after", "x-retry-after", "x-rate-limit-retry-after-seconds")
_MILLISECONDS_FIELDS = ("retry-after-ms", "x-ms-retry-after-ms")


@frozen
class RateHint:
    """A vendor's statement about the calls that its rate limit still allows.

    Attributes:
        limit: calls per window.
        remaining: number of calls still allowed in this window.
        reset_after: seconds until the window ends.
    """

    limit: int | None = None
    remaining: int | None = None
    reset_after: float | None = None


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` value demands; 0.0 if its time has passed.

    Besides whole seconds and the three forms of an HTTP date it may be a decimal fraction, which
    Shopify sends although RFC 9110 does not allow it, or a Unix timestamp.
    """
    if value is None:
        return None
    text = value.strip()
    if _NUMBER.fullmatch(text):
        wait = _seconds(float(text), now)
        return _MAX_SECONDS if wait is None else wait
    moment = parse_http_date(text, now)
    return None if moment is None else _bound_seconds((moment - now).total_seconds())


def retry_after(headers: Headers, now: datetime) -> float | None:
    """Return the longest wait in seconds that any header of a response demands."""
    now = _vendors_now(headers, now)
    waiting_numbers = [parse_retry_after(headers.get(name), now) for name in _SECONDS_FIELDS]
    for name in _MILLISECONDS_FIELDS:
        text = headers.get(name, "").strip()
        waiting_numbers.append(_milliseconds(float(text), now) if _NUMBER.fullmatch(text) else None)
    return max((wait for wait in waiting_numbers if wait is not None), default=None)


@overload
def cap_wait(wait: float, longest: float = ...) -> float: ...
@overload
def cap_wait(wait: float | None, longest: float = ...) -> float | None: ...
def cap_wait(wait: float | None, longest: float = LONGEST_PAUSE) -> float | None:
    """Return the pause that a vendor requested, but at most `longest` seconds."""
    return None if wait is None else min(wait, longest)


def rate_hint(headers: Headers, now: datetime) -> RateHint | None:
    """Return the rate limit with the fewest calls left, among those in a response's headers.

    Supported are the IETF's `RateLimit` and `RateLimit-Policy` in both notations of its drafts, and
    every family of headers named `…RateLimit-…` with a `Limit`, `Remaining` and `Reset`, with or
    without `X-`, a vendor's prefix, or a unit (`x-ratelimit-remaining-requests`,
    `anthropic-ratelimit-tokens-reset`).

    A `Reset` is a duration such as `6m0s`, an ISO or HTTP date, or a number. A number below 10^8
    counts seconds from now; above, it is a Unix timestamp, in seconds below 10^11, then in milli-,
    micro- and nanoseconds for each three digits more. `Reset-After` counts from now.
    """
    if not headers.has_name_with("limit"):
        return None
    now = _vendors_now(headers, now)
    hints = [*_ietf_hints(headers), *_families(headers, now)]
    return min(hints, key=_closeness, default=None)


def _closeness(hint: RateHint) -> tuple[int, float]:
    remaining = _LARGEST_NUMBER if hint.remaining is None else hint.remaining
    return remaining, -(hint.reset_after or 0.0)


def _ietf_hints(headers: Headers) -> Iterator[RateHint]:
    limits = {name: _count(policy.get("q")) for name, policy in _items(headers, "ratelimit-policy")}
    plain_members: dict[str, str] = {}
    for name, parameters in _items(headers, "ratelimit"):
        if "r" in parameters:
            remaining, reset_delay = _count(parameters["r"]), _delta(parameters.get("t"))
            yield from _hint(limits.get(name), remaining, reset_delay)
        key, _, value = name.partition("=")
        plain_members[key] = value
    yield from _hint(
        _count(plain_members.get("limit")),
        _count(plain_members.get("remaining")),
        _delta(plain_members.get("reset")),
    )


def _items(headers: Headers, name: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the items of a header that contains a list, each with its parameters.

    Commas inside quotes are not expected.
    """
    for item in ",".join(headers.get_all(name)).split(","):
        head, *parameters = item.split(";")
        pairs = (parameter.partition("=") for parameter in parameters)
        yield head.strip().strip('"'), {key.strip(): value.strip() for key, _, value in pairs}


def _families(headers: Headers, now: datetime) -> Iterator[RateHint]:
    families: dict[tuple[str, ...], dict[str, str]] = {}
    for name, value in headers.pairs:
        prefix, separator, name_rest = (
            name.lower().replace("rate-limit", "ratelimit").partition("ratelimit-")
        )
        words = name_rest.split("-")
        kind = next((word for word in words if word in {"limit", "remaining", "reset"}), None)
        if separator and kind:
            words.remove(kind)
            if kind == "reset" and "after" in words:
                words.remove("after")
                kind = "after"
            families.setdefault((prefix, *words), {}).setdefault(kind, value)
    for family in families.values():
        reset_delay = _delta(family.get("after"))
        reset = _reset_seconds(family.get("reset"), now) if reset_delay is None else reset_delay
        yield from _hint(_count(family.get("limit")), _count(family.get("remaining")), reset)


def _hint(
    limit: int | None, remaining: int | None, reset_after: float | None
) -> Iterator[RateHint]:
    if not limit == remaining == reset_after is None:
        yield RateHint(limit, remaining, reset_after)


def _count(value: str | None) -> int | None:
    """Return the number at the beginning of a value such as `100` or `100;w=60`."""
    match = _NUMBER.match(value.strip()) if value else None
    return int(min(max(float(match[0]), 0), _LARGEST_NUMBER)) if match else None


def _delta(value: str | None) -> float | None:
    text = value.strip() if value else ""
    return _bound_seconds(float(text)) if _NUMBER.fullmatch(text) else _duration(text)


def _reset_seconds(value: str | None, now: datetime) -> float | None:
    text = value.strip() if value else ""
    if not _NUMBER.fullmatch(text):
        moment = _iso(text) or parse_http_date(text, now)
        return _bound_seconds((moment - now).total_seconds()) if moment else _duration(text)
    return _seconds(float(text), now)


def _seconds(number: float, now: datetime) -> float | None:
    """Return a number of seconds as the duration to wait.

    A number that would be three years or more is a Unix timestamp; an invalid one gives None.
    """
    if number < _FIRST_EPOCH:
        return _bound_seconds(number)
    unit = next((unit for upper_bound, unit in _EPOCH_UNITS if number < upper_bound), None)
    return _bound_seconds(number / unit - now.timestamp()) if unit else None


def _milliseconds(number: float, now: datetime) -> float | None:
    """Return a number of milliseconds as a duration in seconds.

    A number that would be three years or more is a Unix timestamp.
    """
    return _bound_seconds(number / 1e3) if number < _FIRST_EPOCH * 1e3 else _seconds(number, now)


def _duration(text: str) -> float | None:
    if not _DURATION.fullmatch(text):
        return None
    return _bound_seconds(sum(float(number) * _UNITS[unit] for number, unit in _STEP.findall(text)))


def _iso(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _vendors_now(headers: Headers, now: datetime) -> datetime:
    date = headers.get("date")
    return (parse_http_date(date, now) if date else None) or now


def _bound_seconds(seconds: float) -> float:
    return min(max(seconds, 0.0), _MAX_SECONDS)
