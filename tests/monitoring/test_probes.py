"""The schedule of probes, and which of their errors count as failures."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import (
    AuthenticationFailed,
    CircuitBreakerOpen,
    ConfigurationError,
    ConnectionFailed,
    Probe,
    RateLimitExceeded,
    Request,
    VendorFailed,
    VendorRejected,
)
from moorage.domain.monitoring.probes import (
    ProbeState,
    due_probes,
    failure_of,
    initial_state,
    reading_of,
    state_after,
)
from moorage.domain.monitoring.readings import ProbeReading

DRAWS = st.floats(0, 1)
PROBE = Probe(service="vat", request="/health")


@given(DRAWS, st.lists(DRAWS, max_size=20), st.floats(0, 1), st.floats(1, 1e4))
def test_probe_follows_previous_one_after_interval(
    begin: float, draws: list[float], jitter: float, every: float
) -> None:
    """A probe follows the previous one after the interval, plus or minus the jitter."""
    probe = Probe(service="vat", request="/health", every=every, jitter=jitter)
    state, now = initial_state(probe, 5.0, begin), 5.0

    assert 5.0 <= state.due <= 5.0 + every * jitter
    for draw in draws:
        now = max(now, state.due)
        assert (probe,) == due_probes([probe], {"vat": state}, now)
        state = state_after(probe, state, None, now, draw)
        assert every * (1 - jitter) - 1e-6 <= state.due - now <= every * (1 + jitter) + 1e-6


def test_probe_is_not_due_early() -> None:
    """A probe is not due before its time."""
    state = ProbeState(10.0)

    assert () == due_probes([PROBE], {"vat": state}, 9.9)
    assert (PROBE,) == due_probes([PROBE], {"vat": state}, 10.0)


def test_failures_are_counted_in_a_row() -> None:
    """Consecutive failures are counted until a success; calls refused locally change nothing."""
    state = initial_state(PROBE, 0.0, 0.0)
    assert None is reading_of(PROBE, state)
    state = state_after(PROBE, state, VendorFailed("It failed."), 0.0, 0.5)
    state = state_after(PROBE, state, ConnectionFailed("It is away."), 60.0, 0.5)
    assert ProbeReading(error="It is away.", failures=2) == reading_of(PROBE, state)

    skipped_state = state_after(PROBE, state, RateLimitExceeded("Used up."), 120.0, 0.5)
    assert (180.0, reading_of(PROBE, state)) == (
        skipped_state.due,
        reading_of(PROBE, skipped_state),
    )
    assert ProbeReading() == reading_of(PROBE, state_after(PROBE, skipped_state, None, 180.0, 0.5))


@pytest.mark.parametrize(
    "error, expected",
    [
        (AuthenticationFailed("The key is wrong."), "The key is wrong."),
        (VendorRejected("There is no such page."), "There is no such page."),
        (VendorFailed("It failed."), "It failed."),
        (OSError("password=swordfish"), "OSError."),
        (
            CircuitBreakerOpen("It is open.", retry_at=datetime(2026, 1, 1, tzinfo=UTC)),
            None,
        ),
        (RateLimitExceeded("Later.", by_vendor=True), None),
        (ConfigurationError("Wrong.", path="x", remedy="Mend it."), None),
    ],
)
def test_refused_credentials_and_unreachable_services_count_as_failures(
    error: Exception, expected: str | None
) -> None:
    """Refused credentials and unreachable services are failures; calls refused locally are not."""
    assert expected == failure_of(error)


@pytest.mark.parametrize(
    "fields",
    [
        {"request": 5},
        {"request": "/health", "function": print},
        {"jitter": 1.5},
        {"jitter": True},
        {"every": 0},
        {"timeout": -1.0},
        {"threshold": 0},
    ],
)
def test_probe_with_contradictory_settings_is_refused(fields: dict[str, Any]) -> None:
    """A probe with contradictory settings is refused."""
    with pytest.raises(ConfigurationError):
        Probe(service="vat", **fields)


def test_probe_given_as_a_path_sends_a_get_request() -> None:
    """A probe that is given as a path sends a GET request to this path."""
    assert Request.get("/health") == PROBE.request
    assert Request.head("/x") == Probe(service="vat", request=Request.head("/x")).request
