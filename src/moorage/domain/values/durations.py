"""Durations, counts and True-or-False settings from users, checked and converted.

Users write float seconds or a `timedelta`; stored state counts integer microseconds. No duration is
longer than a hundred years, so that every time in a state stays an exact number.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.domain.values.text import brief_repr
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    import attrs

    Validator: TypeAlias = Callable[[object, attrs.Attribute[Any], Any], None]

SECOND: Final = 1_000_000
HOUR: Final = 3_600 * SECOND
DAY: Final = 24 * HOUR
FOREVER: Final = 36_500 * DAY
_HUNDRED_YEARS: Final = FOREVER // SECOND


def seconds(value: float | timedelta, field: str, *, zero: bool = False) -> float:
    """Return a value as finite float seconds, above zero unless `zero` allows zero."""
    kind = type(value)
    if (kind is float or kind is int) and 0 < value <= _HUNDRED_YEARS:  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]  # a timedelta is neither
        return float(value)  # type: ignore[arg-type]  # a timeout of each call is checked
    value = plain_seconds(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigurationError(
            f"{brief_repr(value)} is not a duration.",
            path=field,
            remedy="Pass float seconds or a timedelta.",
        )
    if not 0 <= value <= _HUNDRED_YEARS or (value == 0 and not zero):
        lower_bound = "zero or more" if zero else "more than zero"
        raise ConfigurationError(
            f"{brief_repr(value)} is out of range for a duration.",
            path=field,
            remedy=f"Set {lower_bound} seconds, and at most a hundred years.",
        )
    return float(value)


def maybe_seconds(value: float | timedelta | None, field: str) -> float | None:
    """Return a value as seconds, like `seconds`; None stays None."""
    return None if value is None else seconds(value, field)


def bounded_seconds(patience: float, timeout: float | None) -> float:
    """Return the caller's `timeout` in seconds; without one, `patience`.

    So a slow store gets as much time as the caller has.
    """
    return patience if timeout is None else max(0.0, timeout)


def micros(value: float) -> int:
    """Return checked seconds as integer microseconds, rounded up so that no wait ends early."""
    # The float's rounding error is subtracted, which could otherwise add a microsecond.
    return math.ceil(value * SECOND * (1 - 2**-53))


def count(value: int, field: str, *, least: int = 1, most: int = 10**9) -> int:
    """Return an integer from `least` to `most`; raise an error for any other value."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigurationError(
            f"{brief_repr(value)} is not an integer in the allowed range.",
            path=field,
            remedy=f"Set an integer from {least} to {most}.",
        )
    return value


def share(value: float, field: str) -> float:
    """Return a fraction above zero and up to one; raise an error for any other value."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise ConfigurationError(
            f"{brief_repr(value)} is not a share.",
            path=field,
            remedy="Set a number above 0 and up to 1.",
        )
    return float(value)


def plain_seconds(value: float | timedelta) -> float:
    """Return a `timedelta` as seconds, and any other value unchanged.

    This is the converter of a field.
    """
    return value.total_seconds() if isinstance(value, timedelta) else value


def is_seconds(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    """Check that a field's value is a number of seconds above zero."""
    seconds(value, attribute.name)


def is_wait(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    """Check that a field's value is a number of seconds, zero or more."""
    seconds(value, attribute.name, zero=True)


def is_count(_: object, attribute: attrs.Attribute[Any], value: int) -> None:
    """Check that a field's value is an integer in the allowed range."""
    count(value, attribute.name)


def is_share(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    """Check that a field's value is a fraction above zero and up to one."""
    share(value, attribute.name)


def is_true_or_false(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Check that a field's value is True or False."""
    if not isinstance(value, bool):
        raise ConfigurationError(
            f"{attribute.name} is not True or False.",
            path=attribute.name,
            remedy="Pass True or False. Convert the text of an environment variable first.",
        )


def if_given(check: Validator) -> Validator:
    """Return a validator that accepts None and checks other values with `check`."""

    def validator(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is not None:
            check(instance, attribute, value)

    return validator
