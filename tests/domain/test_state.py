"""How the times in a state meet a store's clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.durations import DAY, HOUR, SECOND
from moorage.domain.state import SMALL_STEP, State, steady, unchanged
from tests.domain.state_world import NOON

times = st.one_of(
    st.integers(NOON - 400 * DAY, NOON + 400 * DAY),
    st.integers(NOON - SMALL_STEP - 2, NOON + SMALL_STEP + 2),
    st.sampled_from([NOON, NOON + SMALL_STEP, NOON + SMALL_STEP + 1]),
)


class Clock:
    """A rule whose state is one time ahead."""

    def present(self, state: State | None, now: int) -> State | None:
        """Move with the clock."""
        assert state is not None
        time, back = steady(state[0], now)
        return (time, state[1], state[2] - back)


@given(times, times)
def test_time_never_goes_back_by_a_little(seen: int, now: int) -> None:
    """The time to go by is the clock's, or stands still; it moves states only after big steps."""
    time, back = steady(seen, now)
    if now >= seen:
        assert (now, 0) == (time, back)
    elif seen - now <= SMALL_STEP:
        assert (seen, 0) == (time, back)
    else:
        assert (now, seen - now) == (time, back)


@given(st.lists(st.none() | times, min_size=1, max_size=4), times)
def test_unchanged_is_unchanged_but_for_the_time(seen: list[int | None], now: int) -> None:
    """States that nobody changes are the very same ones, but hear of the time now and then."""
    states = tuple(None if time is None else (time, DAY, time + SECOND) for time in seen)
    after = unchanged([Clock()] * len(states), states, now)
    for old, new in zip(states, after, strict=True):
        if old is None or abs(old[0] - now) <= SMALL_STEP:
            assert old is new
        else:
            back = max(0, old[0] - now)
            assert (now, DAY, old[2] - back) == new


def test_two_seconds_are_still_a_little() -> None:
    """Up to two seconds either way a state stays as it is, whatever becomes of the others."""
    rules = [Clock()] * 3
    for old in (NOON - SMALL_STEP, NOON + SMALL_STEP):
        states = ((old, DAY, 0), (NOON - HOUR, DAY, 0), (NOON + HOUR, DAY, HOUR))
        after = unchanged(rules, states, NOON)
        assert states[0] is after[0]
        assert ((NOON, DAY, 0), (NOON, DAY, 0)) == after[1:]
