"""The time at which an OAuth token is renewed."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import OAuthCredentials
from moorage.domain.oauth.freshness import EarlyRenewal, Freshness, Span
from moorage.errors import ConfigurationError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def token(life: float | None, *, issued: bool = True, ago: float = 0.0) -> OAuthCredentials:
    """Return an OAuth token with this lifetime, issued this long ago."""
    start_time = NOON - timedelta(seconds=ago)
    return OAuthCredentials(
        access_token="a",
        issued_at=start_time if issued else None,
        expires_at=None if life is None else start_time + timedelta(seconds=life),
    )


@pytest.mark.parametrize(
    "life, ago, draw, fresh, works",
    [
        (3600, 0, 0.0, 3540.0, 3590.0),
        (3600, 600, 0.0, 2940.0, 2990.0),
        (3600, 0, 0.5, 3525.0, 3590.0),
        (30, 0, 0.0, 22.5, 27.0),
        (30, 0, 0.8, 19.5, 27.0),
        (3600, 3600, 0.0, -60.0, -10.0),
        (100, 0, 0.0, 75.0, 90.0),
        (1, 0, 0.0, 0.75, 0.9),
        (0.5, 0, 0.0, 0.375, 0.45),
        (0, 0, 0.0, 0.0, 0.0),
    ],
)
def test_token_is_due_for_renewal_before_its_expiry(
    life: float, ago: float, draw: float, fresh: float, works: float
) -> None:
    """A token is due for renewal one minute before its expiry, or a quarter of a short lifetime."""
    assert pytest.approx((fresh, works)) == EarlyRenewal().span(token(life, ago=ago), NOON, draw)


def test_token_without_issue_time_uses_the_full_minute() -> None:
    """A token without an issue time is due for renewal a full minute before its expiry."""
    assert pytest.approx((-30.0, 20.0)) == EarlyRenewal().span(token(30, issued=False), NOON, 0.0)


def test_token_without_expiry_stays_fresh() -> None:
    """A token without an expiry is fresh until a server refuses it."""
    span = EarlyRenewal().span(token(None), NOON, 0.5)

    assert Span(math.inf, math.inf) == span
    assert Freshness.FRESH is span.after(1e12)


def test_leeway_holds_without_early_renewal() -> None:
    """A token counts as expired slightly early, even if early renewal is off."""
    assert pytest.approx((3590.0, 3590.0)) == EarlyRenewal(early=0).span(token(3600), NOON, 0.9)


def test_token_that_expires_before_its_issue_is_past() -> None:
    """A stored token that expired before it was issued is renewed."""
    nonsense = OAuthCredentials(
        access_token="a", issued_at=NOON, expires_at=NOON - timedelta(hours=1)
    )
    assert Freshness.PAST is EarlyRenewal().span(nonsense, NOON, 0.0).after(0.0)


@pytest.mark.parametrize(
    "elapsed, expected",
    [
        (0.0, Freshness.FRESH),
        (9.9, Freshness.FRESH),
        (10.0, Freshness.DUE),
        (19.9, Freshness.DUE),
        (20.0, Freshness.PAST),
    ],
)
def test_token_becomes_due_for_renewal_and_then_expires(
    elapsed: float, expected: Freshness
) -> None:
    """A token is fresh, then due for renewal, then expired.

    At a boundary, the later state applies.
    """
    assert expected is Span(10.0, 20.0).after(elapsed)


@given(st.integers(2, 10**6), st.floats(0, 1e6), st.floats(0, 1e4), st.floats(0, 0.999))
def test_half_of_a_life_is_always_fresh(
    life: int, early: float, leeway: float, draw: float
) -> None:
    """With any renewal settings, a token is fresh for at least half of its lifetime."""
    span = EarlyRenewal(early=early, leeway=leeway).span(token(life), NOON, draw)

    assert life * 0.6 <= span.fresh <= span.works <= life


@pytest.mark.parametrize("name", ["early", "leeway"])
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "soon"], ids=repr)
def test_setting_that_is_not_a_duration_is_refused(name: str, value: object) -> None:
    """A renewal setting that is not a duration is refused; the error contains its name."""
    with pytest.raises(ConfigurationError) as excinfo:
        EarlyRenewal(**{name: value})  # type: ignore[arg-type]  # which is what is refused
    assert name == excinfo.value.path


def test_settings_may_be_timedeltas() -> None:
    """A renewal setting may be a timedelta instead of seconds."""
    assert EarlyRenewal(early=60, leeway=10) == EarlyRenewal(
        early=timedelta(minutes=1),
        leeway=timedelta(seconds=10),
    )
