"""The adaptive limit on concurrent calls, as a pure rule."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import (
    AdaptiveLimit,
    AttemptTimeout,
    BulkheadConfig,
    ConfigurationError,
    ConnectionFailed,
    LocalFailure,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)
from moorage.domain.resilience.adaptive_limit import Reduction, is_overload, limit_at, shrink

SECOND = 10**9
RULE = AdaptiveLimit(min_concurrent=2, shrink_to=0.5, recovery=10)


def test_limit_shrinks_and_grows_evenly() -> None:
    """A sign of overload halves the limit; after the recovery it is at its maximum again."""
    reduction = shrink(RULE, 22, None, running=22, start_time=0, now=SECOND)

    assert Reduction(11.0, SECOND) == reduction
    grown = [limit_at(RULE, 22, reduction, at * SECOND) for at in (1, 2, 3, 6, 7, 100)]
    assert [11, 13, 15, 21, 22, 22] == grown


def test_attempts_of_one_overload_shrink_the_limit_once() -> None:
    """Attempts that began before the limit shrank do not shrink it again; later attempts do."""
    first = shrink(RULE, 20, None, running=20, start_time=0, now=5 * SECOND)

    assert first is not None
    assert shrink(RULE, 20, first, running=20, start_time=5 * SECOND - 1, now=9 * SECOND) is None
    again = shrink(RULE, 20, first, running=10, start_time=5 * SECOND, now=5 * SECOND)
    assert Reduction(5.0, 5 * SECOND) == again


def test_running_calls_count_if_they_are_fewer_than_allowed() -> None:
    """If few calls overload the service, the limit shrinks from their number."""
    assert Reduction(4.0, 0) == shrink(RULE, 500, None, running=8, start_time=0, now=0)
    assert Reduction(2.0, 0) == shrink(RULE, 500, None, running=1, start_time=0, now=0)


@pytest.mark.parametrize(
    "error, expected",
    [
        (None, False),
        (AttemptTimeout("slow"), True),
        (ConnectionFailed("reset"), True),
        (LocalFailure("no more sockets"), False),
        (RateLimitExceeded("429", by_vendor=True), True),
        (RateLimitExceeded("own limit"), False),
        (VendorFailed("busy", status=503), True),
        (VendorFailed("defect", status=500), False),
        (VendorFailed("not JSON"), False),
        (VendorRejected("unknown", status=404), False),
        (TimeoutError(), True),
        (ConnectionResetError(), True),
        (LookupError(), False),
        (KeyboardInterrupt(), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_timeouts_and_failed_connections_are_signs_of_overload(
    error: BaseException | None, expected: bool
) -> None:
    """Timeouts, failed connections and refusals for overload are signs of overload."""
    assert expected is is_overload(RULE, error, start_time=0, now=100 * SECOND)


def test_slow_attempts_are_signs_of_overload_on_request() -> None:
    """An attempt that takes longer than `slow_call` is a sign of overload, even if it succeeds."""
    rule = AdaptiveLimit(slow_call=2)
    assert not is_overload(rule, None, start_time=0, now=2 * SECOND)
    assert is_overload(rule, None, start_time=0, now=2 * SECOND + 1)


@given(
    st.integers(1, 1000),
    st.integers(1, 1000),
    st.floats(0.01, 0.99),
    st.lists(st.tuples(st.integers(0, 10**11), st.integers(0, 10**10), st.integers(1, 2000))),
)
def test_limit_stays_within_its_bounds(
    first: int, second: int, shrink_to: float, overloads: list[tuple[int, int, int]]
) -> None:
    """After any signs of overload, the limit is within its bounds, and never jumps upwards."""
    smallest, largest = sorted((first, second))
    rule = AdaptiveLimit(min_concurrent=smallest, shrink_to=shrink_to, recovery=30)
    reduction, now = None, 0
    for pause, duration, running in overloads:
        now += pause
        before = limit_at(rule, largest, reduction, now)
        shrunk = shrink(
            rule, largest, reduction, running=running, start_time=now - duration, now=now
        )
        reduction = shrunk or reduction
        after = limit_at(rule, largest, reduction, now)
        assert smallest <= after <= before <= largest
        # If a clock steps back, the limit does not fall below the value that it was reduced to.
        assert limit_at(rule, largest, reduction, now - 10**12) >= smallest


@pytest.mark.parametrize(
    "field, value",
    [
        ("min_concurrent", 0),
        ("shrink_to", 0.0),
        ("shrink_to", 1.0),
        ("shrink_to", 2),
        ("recovery", 0),
        ("recovery", float("nan")),
        ("slow_call", 0),
    ],
)
def test_invalid_settings_are_refused(field: str, value: Any) -> None:
    """Settings that make no sense are refused, with the name of their field."""
    with pytest.raises(ConfigurationError) as excinfo:
        AdaptiveLimit(**{field: value})
    assert field == excinfo.value.path


def test_smallest_limit_is_at_most_the_largest() -> None:
    """A bulkhead refuses a smallest limit above its largest one, and values of other types."""
    with pytest.raises(ConfigurationError, match="more than max_concurrent") as excinfo:
        BulkheadConfig(3, adaptive=AdaptiveLimit(min_concurrent=4))
    assert "adaptive.min_concurrent" == excinfo.value.path
    with pytest.raises(ConfigurationError) as excinfo:
        BulkheadConfig(3, adaptive=True)  # type: ignore[arg-type]  # refused
    assert "adaptive" == excinfo.value.path


def throttled_share(adaptive: AdaptiveLimit | None) -> tuple[float, int]:
    """Return the share of throttled attempts and the number of served ones in five minutes.

    Sixty callers call without a pause. The vendor serves ten calls at a time in 100 ms each, and
    throttles further calls after 10 ms.
    """
    largest, capacity, callers = 50, 10, 60
    reduction, now, running, serving = None, 0, 0, 0
    served = throttled = 0
    ends: list[tuple[int, int, int]] = []
    while now < 300 * SECOND:
        limit = largest if adaptive is None else limit_at(adaptive, largest, reduction, now)
        while running < min(limit, callers):
            running += 1
            is_served = serving < capacity
            serving += is_served
            duration = SECOND // 10 if is_served else SECOND // 100
            heappush(ends, (now + duration, int(is_served), now))
        now, was_served, began = heappop(ends)
        if was_served:
            serving, served = serving - 1, served + 1
        else:
            throttled += 1
            if adaptive is not None:
                reduction = (
                    shrink(adaptive, largest, reduction, running=running, start_time=began, now=now)
                    or reduction
                )
        running -= 1
    return throttled / (served + throttled), served


def test_vendor_is_used_and_hardly_throttles() -> None:
    """With an adaptive limit, a vendor serves nearly as much as it can, and throttles little."""
    fixed_share, fixed_served = throttled_share(None)
    adaptive_share, adaptive_served = throttled_share(AdaptiveLimit(min_concurrent=2))

    assert 0.9 < fixed_share
    assert 0.02 > adaptive_share
    assert 0.8 * fixed_served < adaptive_served
