"""How long each step of one attempt may take."""

from __future__ import annotations

from datetime import timedelta
from math import inf
from typing import TYPE_CHECKING

import attrs

from mooring.errors import InvalidData

if TYPE_CHECKING:
    from typing import Any


def _seconds(value: float | timedelta | None) -> float | None:
    return value.total_seconds() if isinstance(value, timedelta) else value


def _positive(_: Timeouts, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is None or (type(value) in {int, float} and 0 < value < inf):  # type: ignore[operator]  # a number by now
        return
    raise InvalidData(
        f"A {attribute.name} timeout of {value!r} is not a positive, finite duration.",
        field=attribute.name,
        remedy="Give a number of seconds above zero, a timedelta, or None.",
    )


@attrs.frozen(kw_only=True)
class Timeouts:
    """Seconds for each step of one attempt; None sets no bound of its own.

    Attributes:
        connect: to reach the host, TLS included.
        read: between two pieces of the answer.
        write: between two pieces of the body.
        pool: to be given a connection.
        total: for the whole attempt.
    """

    connect: float | None = attrs.field(default=None, converter=_seconds, validator=_positive)
    read: float | None = attrs.field(default=None, converter=_seconds, validator=_positive)
    write: float | None = attrs.field(default=None, converter=_seconds, validator=_positive)
    pool: float | None = attrs.field(default=None, converter=_seconds, validator=_positive)
    total: float | None = attrs.field(default=None, converter=_seconds, validator=_positive)

    def within(self, remaining: float) -> Timeouts:
        """Cap every step by the time that remains, which must be positive."""
        return Timeouts(
            connect=_capped(self.connect, remaining),
            read=_capped(self.read, remaining),
            write=_capped(self.write, remaining),
            pool=_capped(self.pool, remaining),
            total=_capped(self.total, remaining),
        )


def _capped(bound: float | None, cap: float) -> float:
    return cap if bound is None or bound > cap else bound
