"""The time to renew a token: before it expires, and at different times in each process."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

import attrs

from moorage.domain.values.durations import plain_seconds, seconds

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.domain.auth.methods import OAuthCredentials

_EARLY_SHARE: Final = 0.25
_LEEWAY_SHARE: Final = 0.1
_RENEWAL_SPREAD: Final = 0.5


class Freshness(Enum):
    """The state of a token: fresh, due for renewal, or expired."""

    FRESH = "fresh"
    DUE = "due"
    PAST = "past"


class Span(NamedTuple):
    """The seconds until a token needs renewal, and the seconds until it expires."""

    fresh: float
    works: float

    def after(self, elapsed: float) -> Freshness:
        """Return whether the token is fresh, due for renewal or expired after these seconds."""
        if elapsed < self.fresh:
            return Freshness.FRESH
        return Freshness.DUE if elapsed < self.works else Freshness.PAST


def _check_margin(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    seconds(value, attribute.name, zero=True)


@attrs.frozen(kw_only=True)
class EarlyRenewal:
    """The settings for renewing a token before it expires.

    Attributes:
        early: the seconds before the token's end at which renewals begin; at most a quarter of its
            life.
        leeway: the seconds before the token's end in which it is no longer used, because clocks
            differ; at most a tenth of its life.
    """

    early: float = attrs.field(default=60.0, converter=plain_seconds, validator=_check_margin)
    leeway: float = attrs.field(default=10.0, converter=plain_seconds, validator=_check_margin)

    def span(self, credentials: OAuthCredentials, now: datetime, draw: float) -> Span:
        """Return the time for which credentials need no renewal, and their whole lifetime.

        `draw` in [0, 1) spreads the renewals of processes.
        """
        end_time, issued_at = credentials.expires_at, credentials.issued_at
        if end_time is None:
            return Span(float("inf"), float("inf"))
        remaining_seconds = (end_time - now).total_seconds()
        renewal_lead, leeway = self.early * (1 + draw * _RENEWAL_SPREAD), self.leeway
        if issued_at is not None:
            lifetime = max(0.0, (end_time - issued_at).total_seconds())
            renewal_lead = min(renewal_lead, lifetime * _EARLY_SHARE * (1 + draw * _RENEWAL_SPREAD))
            leeway = min(leeway, lifetime * _LEEWAY_SHARE)
        return Span(remaining_seconds - max(renewal_lead, leeway), remaining_seconds - leeway)
