"""How long each step of one attempt may take."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs

from mooring.domain.durations import seconds


def _plain(value: float | timedelta | None) -> float | None:
    return value.total_seconds() if isinstance(value, timedelta) else value


def _usable(_: Timeouts, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None:
        seconds(value, attribute.name)


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

    connect: float | None = attrs.field(default=None, converter=_plain, validator=_usable)
    read: float | None = attrs.field(default=None, converter=_plain, validator=_usable)
    write: float | None = attrs.field(default=None, converter=_plain, validator=_usable)
    pool: float | None = attrs.field(default=None, converter=_plain, validator=_usable)
    total: float | None = attrs.field(default=None, converter=_plain, validator=_usable)

    def within(self, remaining: float) -> Timeouts:
        """Cap every step by the time that remains, which must be positive."""
        seconds(remaining, "remaining")
        capped = object.__new__(Timeouts)
        # Every bound has been checked, so they are not checked again on the hot path.
        put = object.__setattr__
        put(capped, "connect", _capped(self.connect, remaining))
        put(capped, "read", _capped(self.read, remaining))
        put(capped, "write", _capped(self.write, remaining))
        put(capped, "pool", _capped(self.pool, remaining))
        put(capped, "total", _capped(self.total, remaining))
        return capped


def _capped(bound: float | None, cap: float) -> float:
    return cap if bound is None or bound > cap else bound
