"""When a token is renewed."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import OAuthCredentials
from moorage.domain.oauth.freshness import Ahead, Freshness, Span
from moorage.errors import ConfigurationError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def token(life: float | None, *, issued: bool = True, ago: float = 0.0) -> OAuthCredentials:
    """A token of so many seconds, issued so long ago."""
    begun = NOON - timedelta(seconds=ago)
    return OAuthCredentials(
        access_token="a",
        issued_at=begun if issued else None,
        expires_at=None if life is None else begun + timedelta(seconds=life),
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
def test_a_token_is_renewed_before_its_end(
    life: float, ago: float, draw: float, fresh: float, works: float
) -> None:
    """It is due a minute ahead, or a quarter of a short life; and not trusted at the very end."""
    assert pytest.approx((fresh, works)) == Ahead().span(token(life, ago=ago), NOON, draw)


def test_a_token_of_unknown_birth_is_renewed_by_the_clock() -> None:
    """Where nobody knows how long it was to live, the full minute counts."""
    assert pytest.approx((-30.0, 20.0)) == Ahead().span(token(30, issued=False), NOON, 0.0)


def test_a_token_without_an_end_is_fresh() -> None:
    """What has no known end is used until somebody refuses it."""
    span = Ahead().span(token(None), NOON, 0.5)

    assert Span(math.inf, math.inf) == span
    assert Freshness.FRESH is span.after(1e12)


def test_no_token_is_fresh_after_it_stopped_working() -> None:
    """The leeway is kept even where nothing is renewed early."""
    assert pytest.approx((3590.0, 3590.0)) == Ahead(early=0).span(token(3600), NOON, 0.9)


def test_a_token_that_ends_before_it_began_works_for_nobody() -> None:
    """A store may hold nonsense; then it is renewed."""
    nonsense = OAuthCredentials(
        access_token="a", issued_at=NOON, expires_at=NOON - timedelta(hours=1)
    )
    assert Freshness.PAST is Ahead().span(nonsense, NOON, 0.0).after(0.0)


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
def test_time_goes_by(elapsed: float, expected: Freshness) -> None:
    """Fresh, then due, then past; the bounds belong to what follows."""
    assert expected is Span(10.0, 20.0).after(elapsed)


@given(st.integers(2, 10**6), st.floats(0, 1e6), st.floats(0, 1e4), st.floats(0, 0.999))
def test_nothing_is_due_all_the_time(life: int, early: float, leeway: float, draw: float) -> None:
    """However short a life and long the settings: half of it is fresh, and it works longer."""
    span = Ahead(early=early, leeway=leeway).span(token(life), NOON, draw)

    assert life * 0.6 <= span.fresh <= span.works <= life


@pytest.mark.parametrize("name", ["early", "leeway"])
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "soon"], ids=repr)
def test_settings_are_durations(name: str, value: object) -> None:
    """What is no duration is refused by its name."""
    with pytest.raises(ConfigurationError) as caught:
        Ahead(**{name: value})  # type: ignore[arg-type]  # which is what is refused
    assert name == caught.value.path


def test_settings_may_be_timedeltas() -> None:
    """A timedelta is as good as seconds."""
    assert Ahead(early=60, leeway=10) == Ahead(
        early=timedelta(minutes=1),
        leeway=timedelta(seconds=10),
    )
