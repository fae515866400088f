"""The exact states of a token bucket after grants, refunds and pauses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moorage.domain.resilience.bucket import RUNS, TokenBucket
from moorage.domain.values.durations import HOUR, SECOND
from tests.domain.state_store import NOON

if TYPE_CHECKING:
    from moorage.domain.resilience.bucket import Bucket
    from moorage.domain.state.commands import State, Ticket


@pytest.fixture
def rule() -> TokenBucket:
    """Return a bucket of three tokens that gains one a second."""
    return TokenBucket(1, SECOND, 3)


def filled_queue(rule: TokenBucket, costs: tuple[int, ...]) -> tuple[Bucket, list[Ticket]]:
    """Return a bucket emptied at noon, and the tickets of callers that have queued since then."""
    state = rule.present(rule.fast_grant(None, NOON, 3), NOON)
    tickets: list[Ticket] = []
    for cost in costs:
        state, ticket = rule.grant(state, cost, rule.earliest(state, cost, NOON), refundable=True)
        tickets.append(ticket)
    return state, tickets


def readable_state(state: State | None) -> list[object]:
    """Return a bucket's state in seconds from noon and in tokens."""
    assert state is not None
    _, _, time, level, _, frozen, shift, runs, _ = state
    times = [(time - NOON) / SECOND, level / SECOND]
    pauses = [(frozen - NOON) / SECOND, shift / SECOND] if frozen else []
    return [
        *times,
        *pauses,
        *([(run[0] - NOON) / SECOND, (run[2] - NOON) / SECOND] for run in runs),
    ]


def test_immediate_grants_store_time_and_level(rule: TokenBucket) -> None:
    """While a bucket still has tokens, its state consists of its level and the time."""
    one = rule.fast_grant(None, NOON, 1)
    assert one is not None
    assert rule.fast_grant(one, NOON - 1, 1) is None
    assert rule.fast_grant(one, NOON, 3) is None
    assert [1.0, 2.0] == readable_state(rule.fast_grant(one, NOON + SECOND, 1))
    assert [9.0, 2.0] == readable_state(rule.fast_grant(one, NOON + 9 * SECOND, 1))
    assert NOON + SECOND == rule.earliest(one, 3, NOON)
    assert NOON + 5 == rule.earliest(one, 2, NOON + 5)


def test_bucket_queue_is_stored_as_single_run_of_grants_if_no_caller_gave_up(
    rule: TokenBucket,
) -> None:
    """The queue of a bucket is stored as one run of grants as long as no caller gives up."""
    queue, tickets = filled_queue(rule, (1, 2, 1, 3))
    assert [0.0, 0.0, [1.0, 7.0]] == readable_state(queue)
    assert [1, 3, 4, 7] == [(ticket[1] - NOON) // SECOND for ticket in tickets]
    assert 10 * SECOND == queue[1]
    assert NOON + 8 * SECOND == rule.earliest(queue, 1, NOON)
    assert rule.fast_grant(queue, NOON + 20 * SECOND, 1) is None
    later_state, _ = rule.grant(
        rule.present(queue, NOON + 20 * SECOND), 1, NOON + 20 * SECOND, refundable=False
    )
    assert [20.0, 2.0] == readable_state(later_state)


def test_leaving_opens_a_gap_that_an_arrival_closes(rule: TokenBucket) -> None:
    """A caller that stops waiting leaves a gap in the queue, which the next arrival closes."""
    whole_queue, tickets = filled_queue(rule, (1, 1, 1, 1))
    cut_queue = rule.refund(whole_queue, tickets[1])
    assert [0.0, 0.0, [1.0, 1.0], [2.0, 4.0]] == readable_state(cut_queue)
    # Behind the queue there is one more token, because the token of the gap was not used.
    assert [2, 5] == [(rule.earliest(cut_queue, cost, NOON) - NOON) // SECOND for cost in (1, 2)]
    assert whole_queue == rule.grant(cut_queue, 1, NOON + 2 * SECOND, refundable=True)[0]
    assert [0.0, 0.0, [2.0, 4.0]] == readable_state(rule.refund(cut_queue, tickets[0]))
    assert [0.0, 0.0, [1.0, 1.0], [2.0, 3.0]] == readable_state(rule.refund(cut_queue, tickets[3]))
    for ticket in (tickets[3], tickets[0], tickets[2]):
        cut_queue = rule.refund(cut_queue, ticket)
    assert [0.0, 0.0] == readable_state(cut_queue)
    assert cut_queue == rule.refund(cut_queue, tickets[2])


def test_passed_gap_becomes_spare_tokens(rule: TokenBucket) -> None:
    """After the time of a gap in the queue, its tokens serve later callers, or else are spare."""
    queue, tickets = filled_queue(rule, (1,) * 8)
    queue = rule.refund(rule.refund(queue, tickets[1]), tickets[2])
    now = NOON + 4 * SECOND + 1
    present_state = rule.present(queue, now)
    assert now == rule.earliest(present_state, 2, now)
    assert now < rule.earliest(present_state, 3, now)
    single_state, _ = rule.grant(present_state, 1, now, refundable=False)
    assert (now, NOON + 9 * SECOND) == (
        rule.earliest(single_state, 1, now),
        rule.earliest(rule.grant(single_state, 1, now, refundable=False)[0], 1, now),
    )
    held_state, ticket = rule.grant(single_state, 1, now, refundable=True)
    assert NOON + 9 * SECOND == rule.earliest(held_state, 1, now)
    back = rule.refund(held_state, ticket)
    assert now == rule.earliest(back, 1, now)
    past_state = rule.present(held_state, NOON + 20 * SECOND)
    later_state, _ = rule.grant(past_state, 1, NOON + 20 * SECOND, refundable=False)
    assert later_state == rule.refund(later_state, ticket)


def test_late_refund_does_not_return_overflowed_tokens(rule: TokenBucket) -> None:
    """Returning tokens late never fills a bucket above its capacity."""
    queue, tickets = filled_queue(rule, (1,) * 9)
    for ticket in tickets[:3]:
        queue = rule.refund(queue, ticket)
    now = NOON + 6 * SECOND
    present_state = rule.present(queue, now)
    assert now == rule.earliest(present_state, 2, now)
    spent_state, _ = rule.grant(present_state, 2, now, refundable=False)
    late_state = rule.refund(spent_state, tickets[3])
    assert now < rule.earliest(late_state, 1, now)
    future = rule.refund(late_state, tickets[7])
    assert NOON + 8 * SECOND == rule.earliest(future, 1, now)


def test_pause_moves_gaps_with_the_queue(rule: TokenBucket) -> None:
    """A pause moves a bucket's queue with its gaps, and removes spare tokens."""
    idle_state = rule.fast_grant(None, NOON, 1)
    assert idle_state is not None
    assert idle_state is rule.drain(idle_state, 0)
    assert [7.0, 0.0, 7.0, 7.0] == readable_state(rule.drain(idle_state, 7 * SECOND))
    queue, tickets = filled_queue(rule, (1,) * 8)
    cut_queue = rule.refund(queue, tickets[1])
    moved_state = rule.drain(cut_queue, 10 * SECOND)
    assert [10.0, 0.0, 10.0, 10.0, [1.0, 1.0], [2.0, 8.0]] == readable_state(moved_state)
    assert moved_state is rule.drain(moved_state, 10 * SECOND)
    assert NOON + 12 * SECOND == rule.earliest(moved_state, 1, NOON)
    assert 18 * SECOND == rule.confirm(moved_state, tickets[7])
    whole_state = rule.grant(moved_state, 1, NOON + 12 * SECOND, refundable=True)[0]
    assert [10.0, 0.0, 10.0, 10.0, [1.0, 8.0]] == readable_state(whole_state)
    assert [10.0, 0.0, 10.0, 10.0, [1.0, 1.0], [2.0, 7.0]] == readable_state(
        rule.refund(moved_state, tickets[7])
    )
    passed_state = rule.drain(rule.present(cut_queue, NOON + 4 * SECOND), 10 * SECOND)
    assert [12.0, 0.0, 14.0, 10.0, [2.0, 8.0]] == readable_state(passed_state)
    ahead = rule.drain(rule.present(rule.refund(queue, tickets[0]), NOON), SECOND)
    assert NOON + 2 * SECOND == rule.earliest(ahead, 1, NOON)
    steps = rule.present(moved_state, NOON - HOUR)
    assert NOON - HOUR + 12 * SECOND == rule.earliest(steps, 1, NOON - HOUR)


def test_more_gaps_than_the_limit_are_merged(rule: TokenBucket) -> None:
    """A bucket's state has at most 300 runs of granted tokens.

    If there are more, two runs are merged.
    """
    size = 2 * RUNS + 20
    queue, tickets = filled_queue(rule, (1,) * size)
    for ticket in tickets[1::2]:
        queue = rule.refund(queue, ticket)
    assert RUNS == len(queue[7])
    counted_runs = [run for run in queue[7] if run[7]]
    assert counted_runs
    last = counted_runs[-1]
    now = last[2] - SECOND
    present_state = rule.present(queue, now)
    assert now + SECOND >= rule.earliest(present_state, 1, now)
    for ticket in tickets[::2]:
        queue = rule.refund(queue, ticket)
    assert [0.0, 0.0] == readable_state(queue)


def test_gap_farthest_ahead_is_closed_if_bucket_has_no_room_for_idle_tokens() -> None:
    """If a bucket has no room for idle tokens, the gap farthest ahead is closed."""
    rule = TokenBucket(1, SECOND, 1)
    state = rule.present(rule.fast_grant(None, NOON, 1), NOON)
    tickets: list[Ticket] = []
    for number in range(2 * RUNS + 10):
        state, ticket = rule.grant(state, 1, NOON + (number + 1) * SECOND, refundable=True)
        tickets.append(ticket)
    for ticket in tickets[1::2]:
        state = rule.refund(state, ticket)
    assert RUNS == len(state[7])
    leaving_times = [rule.earliest(state, 1, NOON)]
    while leaving_times[-1] <= tickets[-1][1]:
        state, _ = rule.grant(state, 1, leaving_times[-1], refundable=True)
        leaving_times.append(rule.earliest(state, 1, NOON))
    assert [ticket[1] for ticket in tickets[1 : 2 * RUNS - 2 : 2]] == leaving_times[: RUNS - 1]
    assert RUNS <= len(leaving_times) <= RUNS + 5
