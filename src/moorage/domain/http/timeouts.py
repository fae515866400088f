"""Time limits for the steps of one attempt."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.durations import seconds
from moorage.domain.values.frozen_values import field, fields_of, frozen

if TYPE_CHECKING:
    import attrs


def _seconds_value(value: float | timedelta | None) -> float | None:
    return value.total_seconds() if isinstance(value, timedelta) else value


def _check_timeout(_: Timeouts, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None:
        seconds(value, attribute.name)


_SECONDS_OF_A_DAY: Final = 86_400.0


@frozen(kw_only=True)
class Timeouts:
    """Time limits in seconds for each step of an attempt; None sets no limit for the step.

    Attributes:
        connect: the longest time to connect to the host, TLS included.
        read: the longest wait for the next piece of the response.
        write: the longest wait for sending the next piece of the body.
        pool: the longest wait for a connection from the pool.
        total: the longest time for the whole attempt.
    """

    connect: float | None = field(default=None, converter=_seconds_value, validator=_check_timeout)
    read: float | None = field(default=None, converter=_seconds_value, validator=_check_timeout)
    write: float | None = field(default=None, converter=_seconds_value, validator=_check_timeout)
    pool: float | None = field(default=None, converter=_seconds_value, validator=_check_timeout)
    total: float | None = field(default=None, converter=_seconds_value, validator=_check_timeout)

    def within(self, remaining: float) -> Timeouts:
        """Return these time limits, none of them longer than the remaining time."""
        if not 0 < remaining < _SECONDS_OF_A_DAY:
            seconds(remaining, "remaining")
        shorter_timeouts = object.__new__(Timeouts)
        # This is a hot path: valid values are not validated again.
        shortest_time = self.connect
        _set_connect(
            shorter_timeouts,
            remaining if shortest_time is None or shortest_time > remaining else shortest_time,
        )
        shortest_time = self.read
        _set_read(
            shorter_timeouts,
            remaining if shortest_time is None or shortest_time > remaining else shortest_time,
        )
        shortest_time = self.write
        _set_write(
            shorter_timeouts,
            remaining if shortest_time is None or shortest_time > remaining else shortest_time,
        )
        shortest_time = self.pool
        _set_pool(
            shorter_timeouts,
            remaining if shortest_time is None or shortest_time > remaining else shortest_time,
        )
        shortest_time = self.total
        _set_total(
            shorter_timeouts,
            remaining if shortest_time is None or shortest_time > remaining else shortest_time,
        )
        return shorter_timeouts


_set_connect, _set_read, _set_write, _set_pool, _set_total = (
    vars(Timeouts)[field.name].__set__ for field in fields_of(Timeouts)
)
