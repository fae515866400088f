"""The decision whether and when to retry a call."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.resilience.retry import (
    Backoff,
    Jitter,
    RetryAfterDelay,
    RetryPolicy,
    StopRetrying,
    decide,
    delay,
    error_types,
    is_unsent,
    wait_of,
)
from moorage.errors import (
    AttemptTimeout,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    InvalidRequest,
    VendorFailed,
)

UNSENT = ConnectionFailed("refused", may_have_been_processed=False)
DRAWS = st.floats(0, 1, exclude_max=True)
DELAYS = st.floats(0, 1e4)


def decision_of(
    policy: RetryPolicy, error: Exception, **changes: Any
) -> RetryAfterDelay | StopRetrying:
    """Return the decision after a repeatable first attempt with plenty of time left."""
    details: dict[str, Any] = {
        "attempt": 1,
        "repeatable": True,
        "retry_after": None,
        "remaining": 1e6,
        "previous": 0.0,
        "draw": 0.5,
    }
    return decide(policy, error, **details | changes)


def delays(policy: RetryPolicy, count: int, draw: float = 0.5) -> list[float]:
    """Return the first delays of a retry policy."""
    results: list[float] = []
    for attempt in range(1, count + 1):
        previous_delay = results[-1] if results else 0.0
        results.append(delay(policy, attempt, previous=previous_delay, draw=draw))
    return results


# --- the policy ---


def test_retry_policies_with_names_have_documented_values() -> None:
    """The retry policies with names have the documented values."""
    presets = [
        RetryPolicy.default(),
        RetryPolicy.aggressive(),
        RetryPolicy.conservative(),
        RetryPolicy.none(),
    ]

    assert [(3, 1.0, 30.0), (5, 0.5, 60.0), (2, 2.0, 30.0), (1, 1.0, 30.0)] == [
        (policy.max_attempts, policy.base_delay, policy.max_delay) for policy in presets
    ]
    assert {(2.0, Backoff.EXPONENTIAL, Jitter.FULL, 60.0)} == {
        (policy.multiplier, policy.backoff, policy.jitter, policy.max_retry_after)
        for policy in presets
    }


def test_durations_may_be_timedeltas() -> None:
    """A retry policy's delays are seconds or a `timedelta`."""
    second = timedelta(seconds=1)
    policy = RetryPolicy(3, second, max_delay=3 * second, max_retry_after=9 * second)

    assert (1.0, 3.0, 9.0) == (policy.base_delay, policy.max_delay, policy.max_retry_after)


def test_names_of_backoffs_and_jitters() -> None:
    """A retry policy's backoff and jitter may be given by name."""
    policy = RetryPolicy(backoff="fibonacci", jitter="none")

    assert (Backoff.FIBONACCI, Jitter.NONE) == (policy.backoff, policy.jitter)


class NoError:
    """An exception that nothing raises."""


async def decide_async(_: Exception) -> bool:
    """Do nothing; the function is never awaited."""
    return True


def test_growth_may_be_a_million() -> None:
    """The growth factor of a retry delay may be at most a million."""
    assert 1e6 == RetryPolicy(multiplier=1e6).multiplier


@pytest.mark.parametrize(
    "field, value",
    [
        ("max_attempts", 0),
        ("max_attempts", -1),
        ("max_attempts", 1.5),
        ("max_attempts", True),
        ("base_delay", -1),
        ("base_delay", math.nan),
        ("base_delay", "1"),
        ("max_delay", math.inf),
        ("max_retry_after", -1),
        ("multiplier", 0.5),
        ("multiplier", math.nan),
        ("multiplier", 1e6 + 1),
        ("multiplier", True),
        ("multiplier", "2"),
        ("backoff", "cubic"),
        ("jitter", "some"),
        ("retry_on", 7),
        ("retry_on", NoError),
        ("retry_on", KeyboardInterrupt),
        ("retry_on", (OSError, NoError)),
        ("retry_on", (OSError, 7)),
        ("retry_on", decide_async),
    ],
)
def test_invalid_policies_are_refused(field: str, value: Any) -> None:
    """An invalid retry setting is refused; the error has its field and a remedy."""
    with pytest.raises(ConfigurationError) as excinfo:
        RetryPolicy(**{field: value})

    assert field == excinfo.value.path
    assert excinfo.value.remedy.startswith(("Use", "Pass", "Set"))


@pytest.mark.parametrize(
    "rule, retried, final",
    [
        (None, VendorFailed("x"), InvalidRequest("x")),
        (None, OSError(), TypeError()),
        (None, ConnectorError("x", retryable=True), VendorFailed("x", retryable=False)),
        (OSError, FileNotFoundError(), VendorFailed("x")),
        ((OSError, InvalidRequest), InvalidRequest("x"), ValueError()),
        ((), None, VendorFailed("x")),
        (lambda error: "again" in str(error), ValueError("again"), ValueError("never")),
    ],
)
def test_retry_on_selects_errors(rule: Any, retried: Exception | None, final: Exception) -> None:
    """By default an error decides whether it is retried; `retry_on` overrides that."""
    policy = RetryPolicy(retry_on=rule)

    assert retried is None or policy.retries(retried)
    assert not policy.retries(final)
    assert StopRetrying("final") == decision_of(policy, final)


@pytest.mark.parametrize(
    "bug", [AssertionError, AttributeError, ImportError, NameError, NotImplementedError, TypeError]
)
def test_programming_errors_are_not_retried(bug: type[Exception]) -> None:
    """A programming error is not retried."""
    assert not RetryPolicy().retries(bug())


# --- the decision ---


def test_max_attempts_is_all_attempts() -> None:
    """With `max_attempts=3` there is a retry after the second attempt and none after the third."""
    policy = RetryPolicy(3)

    assert [True, True, False, False] == [
        isinstance(decision_of(policy, VendorFailed("x"), attempt=number), RetryAfterDelay)
        for number in (1, 2, 3, 4)
    ]
    assert StopRetrying("attempts") == decision_of(policy, VendorFailed("x"), attempt=3)


@pytest.mark.parametrize(
    "error, unsent",
    [
        (UNSENT, True),
        (ConnectionFailed("cut off"), False),
        (AttemptTimeout("late"), False),
        (AttemptTimeout("unsent", may_have_been_processed=False), True),
        (VendorFailed("x"), False),
        (OSError(), False),
    ],
)
def test_only_connection_errors_prove_that_nothing_was_sent(error: Exception, unsent: bool) -> None:
    """For retries, only a connection error can prove that nothing was sent."""
    assert unsent == is_unsent(error)


def test_only_repeatable_requests_are_retried() -> None:
    """A request that is not repeatable is not retried."""
    assert StopRetrying("unsafe") == decision_of(RetryPolicy(), UNSENT, repeatable=False)
    assert isinstance(decision_of(RetryPolicy(), UNSENT), RetryAfterDelay)


def test_retry_after_is_never_undercut() -> None:
    """The pause before a retry is the longer one of the vendor's pause and the policy's delay."""
    policy = RetryPolicy(base_delay=4, jitter=Jitter.NONE)

    assert [
        RetryAfterDelay(4.0),
        RetryAfterDelay(4.0),
        RetryAfterDelay(7.0),
        RetryAfterDelay(60.0),
    ] == [
        decision_of(policy, VendorFailed("x"), retry_after=seconds)
        for seconds in (0.0, 3.0, 7.0, 60.0)
    ]


@pytest.mark.parametrize("reason", ["final", "unsafe", "attempts", "too_long"])
def test_decision_not_to_retry_contains_the_whole_pause(reason: Any) -> None:
    """A decision not to retry contains the whole pause requested by the vendor."""
    reason_changes: dict[str, dict[str, Any]] = {
        "unsafe": {"repeatable": False},
        "attempts": {"attempt": 3},
    }
    changes = reason_changes.get(reason, {})
    error = InvalidRequest("x") if reason == "final" else VendorFailed("x")

    assert StopRetrying(reason, 3600.0) == decision_of(
        RetryPolicy(), error, retry_after=3600.0, **changes
    )


def test_retry_that_would_begin_after_the_deadline_is_not_started() -> None:
    """A retry whose delay would end at the deadline or later is not started."""
    policy = RetryPolicy(base_delay=2, jitter=Jitter.NONE)

    assert StopRetrying("deadline", 2.0) == decision_of(policy, VendorFailed("x"), remaining=2.0)
    assert StopRetrying("deadline", 9.0) == decision_of(
        policy, VendorFailed("x"), remaining=8.0, retry_after=9.0
    )
    assert RetryAfterDelay(2.0) == decision_of(policy, VendorFailed("x"), remaining=2.1)
    assert StopRetrying("deadline", 0.0) == decision_of(
        RetryPolicy(3, 0), VendorFailed("x"), remaining=0.0
    )


def test_at_once_pauses_only_for_retry_after() -> None:
    """With `at_once`, a retry waits only for the pause that the vendor has requested."""
    error = VendorFailed("x")

    assert RetryAfterDelay(0.0) == decision_of(RetryPolicy(), error, remaining=0.1, at_once=True)
    waiting_options: dict[str, Any] = {"at_once": True, "retry_after": 3.0}
    assert RetryAfterDelay(3.0) == decision_of(
        RetryPolicy(), error, remaining=9.0, **waiting_options
    )
    assert StopRetrying("deadline", 3.0) == decision_of(
        RetryPolicy(), error, remaining=1.0, **waiting_options
    )


# --- the delays ---


@pytest.mark.parametrize(
    "backoff, expected",
    [
        (Backoff.FIXED, [2, 2, 2, 2, 2, 2]),
        (Backoff.LINEAR, [2, 4, 6, 8, 10, 12]),
        (Backoff.EXPONENTIAL, [2, 6, 18, 20, 20, 20]),
        (Backoff.FIBONACCI, [2, 2, 4, 6, 10, 16]),
    ],
)
def test_backoff_without_jitter_grows_up_to_the_cap(
    backoff: Backoff, expected: list[float]
) -> None:
    """Without jitter, each backoff grows by its rule, up to the cap."""
    policy = RetryPolicy(9, 2, 3, 20, backoff=backoff, jitter=Jitter.NONE)

    assert expected == delays(policy, 6)


@given(
    backoff=st.sampled_from([b for b in Backoff if b is not Backoff.DECORRELATED]),
    base=DELAYS,
    cap=DELAYS,
    factor=st.floats(1, 1e6),
    attempt=st.integers(1, 10**9),
)
def test_delays_without_jitter_never_become_shorter(
    backoff: Backoff, base: float, cap: float, factor: float, attempt: int
) -> None:
    """Without jitter, retry delays never become shorter, and never exceed the maximum."""
    policy = RetryPolicy(9, base, factor, cap, backoff=backoff, jitter=Jitter.NONE)
    first = delay(policy, attempt, previous=0, draw=0)
    second = delay(policy, attempt + 1, previous=0, draw=0)

    assert 0 <= first <= second <= cap


@given(
    policy=st.builds(
        RetryPolicy,
        base_delay=DELAYS,
        max_delay=DELAYS,
        backoff=st.sampled_from(Backoff),
        jitter=st.sampled_from(Jitter),
    ),
    attempt=st.integers(1, 200),
    previous=DELAYS,
    draw=DRAWS,
)
def test_no_delay_is_above_its_cap(
    policy: RetryPolicy, attempt: int, previous: float, draw: float
) -> None:
    """For any draw, a retry delay is between zero and the cap."""
    chosen_delay = delay(policy, attempt, previous=previous, draw=draw)

    assert 0 <= chosen_delay <= policy.max_delay * (1 + 1e-12)


@pytest.mark.parametrize(
    "jitter, lowest, highest",
    [(Jitter.NONE, 8, 8), (Jitter.FULL, 0, 8), (Jitter.EQUAL, 4, 8), (Jitter.QUARTER, 6, 10)],
)
def test_each_jitter_spreads_retry_delay_evenly_over_its_own_range(
    jitter: Jitter, lowest: float, highest: float
) -> None:
    """Each jitter spreads a retry delay evenly over its own range."""
    policy = RetryPolicy(9, 8, jitter=jitter, backoff=Backoff.FIXED)
    delays_by_draw = [delay(policy, 1, previous=0, draw=draw) for draw in (0, 0.25, 0.5, 0.75, 1)]

    assert [lowest + (highest - lowest) * part / 4 for part in range(5)] == delays_by_draw


@pytest.mark.parametrize("jitter", [Jitter.FULL, Jitter.EQUAL, Jitter.QUARTER])
@pytest.mark.parametrize("backoff", Backoff)
def test_jitter_still_spreads_at_the_cap(backoff: Backoff, jitter: Jitter) -> None:
    """Jitter also applies at the cap: of a thousand delays, more than nine hundred differ."""
    policy = RetryPolicy(99, 1, max_delay=5, backoff=backoff, jitter=jitter)
    drawn_delays = {delay(policy, 50, previous=5, draw=number / 1000) for number in range(1000)}

    assert len(drawn_delays) > 900
    assert max(drawn_delays) <= 5


def test_decorrelated_delay_is_drawn_between_base_and_three_times_previous_delay() -> None:
    """A decorrelated delay is drawn between the base and three times the previous delay."""
    policy = RetryPolicy(9, 2, max_delay=30, backoff=Backoff.DECORRELATED, jitter=Jitter.NONE)

    assert [2, 2, 2, 2] == delays(policy, 4, draw=0)
    assert [6, 18, 30, 30] == delays(policy, 4, draw=1)
    low = RetryPolicy(9, 7, max_delay=3, backoff=Backoff.DECORRELATED)
    assert [3, 3] == delays(low, 2, draw=1)


def test_delay_beyond_the_float_range_is_the_cap() -> None:
    """If a retry delay is too large for a float, the cap is used."""
    policy = RetryPolicy(9, 1, 1000, 30, jitter=Jitter.NONE)

    assert 30 == delay(policy, 10**6, previous=0, draw=0)


def test_retry_decision_depends_on_previous_delay_with_decorrelated_backoff() -> None:
    """With decorrelated backoff, a retry decision depends on the previous delay."""
    policy = RetryPolicy(9, 2, max_delay=30, backoff=Backoff.DECORRELATED)

    assert [RetryAfterDelay(4.0), RetryAfterDelay(8.5)] == [
        decision_of(policy, VendorFailed("x"), previous=previous_delay)
        for previous_delay in (0.0, 5.0)
    ]


# --- the wait of an error ---


@pytest.mark.parametrize(
    "retry_at, wait",
    [
        (None, None),
        (datetime(2030, 1, 1, 0, 0, 7, tzinfo=UTC), 7.0),
        (datetime(2029, 1, 1, tzinfo=UTC), 0.0),
        (datetime.max.replace(tzinfo=UTC), 36_500 * 86_400.0),
    ],
)
def test_wait_that_an_error_requests_is_bounded(
    retry_at: datetime | None, wait: float | None
) -> None:
    """The wait that an error requests is never negative, and at most a hundred years."""
    now = datetime(2030, 1, 1, tzinfo=UTC)

    assert wait == wait_of(VendorFailed("down", retry_at=retry_at), now)
    assert wait_of(ValueError("down"), now) is None


# --- types of errors ---


@pytest.mark.parametrize(
    "given_, kinds",
    [(OSError, (OSError,)), ([OSError, ValueError], (OSError, ValueError)), ((), ())],
)
def test_retry_on_may_be_one_error_type_or_any_iterable_of_them(given_: Any, kinds: Any) -> None:
    """`retry_on` may be one error type or any iterable of them."""
    assert kinds == error_types(given_, "ignore")


@pytest.mark.parametrize("given_", [7, None, OSError(), NoError, KeyboardInterrupt, [OSError, 7]])
def test_other_values_than_error_types_are_refused(given_: Any) -> None:
    """`retry_on` accepts only exception types; the error contains the field's name."""
    with pytest.raises(ConfigurationError) as excinfo:
        error_types(given_, "ignore")

    assert "ignore" == excinfo.value.path


def test_error_lists_the_known_names() -> None:
    """An unknown backoff or jitter is refused, and the error lists the known names."""
    with pytest.raises(ConfigurationError) as excinfo:
        RetryPolicy(jitter="some")
    assert "Use one of none, full, equal, quarter." == excinfo.value.remedy
