"""Token buckets: their grants are exact in every window, fair, and not wasted."""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.resilience.admission import Admission, Answer, Gates
from moorage.domain.resilience.bucket import TokenBucket
from moorage.domain.resilience.gate_commands import Confirm, GiveBack, Pause
from moorage.domain.resilience.rate_limit import RateLimitConfig
from moorage.domain.state.commands import SMALL_STEP
from moorage.domain.values.durations import DAY, FOREVER, SECOND
from tests.domain.bucket_walks import (
    Act,
    BucketWalk,
    advances,
    big_steps,
    check_windows,
    level_walks,
    loose_walks,
    moves,
    patient_arrivals,
    pauses,
    rates,
    run,
    short_spans,
    three_rates,
    walk_bucket,
    walks,
)
from tests.domain.state_store import NOON, StateStore, long_lists
from tests.support.examples import examples

if TYPE_CHECKING:
    from moorage.domain.state.commands import Ticket


@pytest.mark.untraced
@examples(400)
@given(three_rates, walks)
def test_bucket_never_grants_more_than_burst_and_rate_allow(
    configured: tuple[tuple[float, float, int], ...], walk: list[Act]
) -> None:
    """In any window of t seconds, a token bucket grants at most burst + rate · t tokens."""
    state = walk_bucket(configured, walk)
    for index, rule in enumerate(state.rules):
        departure_times = state.left[index]
        check_windows(rule, sorted((time, cost) for time, cost, _ in departure_times))
        for (time, _, _), (promised_time, _) in zip(departure_times, state.due[index], strict=True):
            assert promised_time == time or time in state.ends[index]


@pytest.mark.untraced
@examples(200)
@given(three_rates, long_lists([*[patient_arrivals] * 8, *[advances] * 4, pauses, big_steps]))
def test_equal_callers_leave_in_order_of_arrival(
    configured: tuple[tuple[float, float, int], ...], walk: list[Act]
) -> None:
    """Waiting callers with the same limits and costs are admitted in order of arrival."""
    state = walk_bucket(configured, walk)
    for departure_times in state.left.values():
        assert sorted(number for _, _, number in departure_times) == [
            number for _, _, number in departure_times
        ]


@pytest.mark.untraced
@examples(150)
@given(rates, long_lists([*moves, pauses, big_steps], 150))
def test_single_token_bucket_stays_within_its_limit_over_any_random_walk(
    configured: tuple[float, float, int], walk: list[Act]
) -> None:
    """Over any sequence of random calls, a single token bucket stays within its limit."""
    state = walk_bucket((configured,), walk)
    check_windows(state.rules[0], sorted((time, cost) for time, cost, _ in state.left[0]))


def test_level_after_a_run_is_never_negative() -> None:
    """A token that a bucket grants later does not pay for tokens that were spent earlier."""
    waiting_steps = [("admit", 1, cost, 400 * DAY, False) for cost in (2, 3, 1, 1, 1, 2)]
    first, last = ("refund", 0, 0, 0, False), ("admit", 1, 1, 400 * DAY, False)
    later_steps = [last, ("admit", 1, 4, 400 * DAY, False), first, first, last, last, first, last]
    pause, advance = ("pause", 7, 1, 0, False), ("advance", 952_388, 0, 0, False)

    state = walk_bucket(((10, 1.0, 4),), [pause, *waiting_steps, first, advance, *later_steps])

    check_windows(state.rules[0], sorted((time, cost) for time, cost, _ in state.left[0]))


@pytest.mark.untraced
@examples(200)
@given(three_rates, loose_walks, st.integers(0, 5 * SECOND))
def test_late_callers_add_no_more_than_their_delay(
    configured: tuple[tuple[float, float, int], ...], walk: list[Act], late: int
) -> None:
    """If callers start late, a rate limit's windows shift by at most their largest delay.

    Callers are late if they oversleep, if the clock steps, or if a pause of one of their limits
    does not delay their other limits.
    """
    state = walk_bucket(configured, walk, late=late)
    for index, rule in enumerate(state.rules):
        departure_times = sorted((time, cost) for time, cost, _ in state.left[index])
        due_times = state.due[index]
        check_windows(rule, sorted(due_times))
        delay = max(
            (
                time - due_time
                for (time, _, _), (due_time, _) in zip(state.left[index], due_times, strict=True)
            ),
            default=0,
        )
        check_windows(rule, departure_times, slack=delay)


@pytest.mark.untraced
@examples(300)
@given(three_rates, level_walks, st.integers(1, 7), st.integers(1, 400 * DAY))
def test_clock_step_back_adds_no_wait(
    configured: tuple[tuple[float, float, int], ...], walk: list[Act], bits: int, back: int
) -> None:
    """After the clock steps back, a bucket's callers wait at most a small step longer."""
    state = BucketWalk(configured)
    run(state, walk)
    state.step(0)
    bucket_numbers = state.some_buckets(bits)
    question = Admission(state.gates(bucket_numbers), within=0, lease=0)
    cells = tuple(map(state.store.cells.get, question.keys))
    _, (_, wait_before, _, _) = question.decide(cells, state.store.now)
    _, (_, wait_after, _, _) = question.decide(cells, state.store.now - back)
    ignored_step = back if back <= SMALL_STEP else 0
    assert wait_before + (wait_before and ignored_step) == wait_after
    for caller in state.queue:
        confirm = Confirm(state.gates(caller.which), caller.tickets, None)
        cells = tuple(map(state.store.cells.get, confirm.keys))
        _, (_, wait_before) = confirm.apply(cells, state.store.now)
        _, (_, wait_after) = confirm.apply(cells, state.store.now - back)
        assert wait_before + (wait_before and ignored_step) == wait_after


@pytest.mark.untraced
@examples(300)
@given(
    three_rates,
    st.integers(0, 3),
    short_spans,
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 9)), min_size=1, max_size=9),
)
def test_abandoned_queue_leaves_no_trace(
    configured: tuple[tuple[float, float, int], ...],
    gone: int,
    idle: int,
    costs: list[tuple[int, int]],
) -> None:
    """After all queued callers of a bucket gave up, no caller waits longer than before."""
    state = BucketWalk(configured)
    for _ in range(gone):
        state.admit(7, 1, 0, ticketed=False)
    state.advance(idle)
    state.step(0)
    bucket_numbers = tuple(state.lost)
    gates = state.gates(bucket_numbers)
    burst = min(rule.burst for rule in state.rules)

    def waits_by_cost() -> list[int]:
        return [
            state.store.execute(
                Admission(gates, within=-1, lease=0, costs=(cost,) * 3, ticketed=True)
            )[1]
            for cost in range(1, min(burst, 5) + 1)
        ]

    waits_before = waits_by_cost()
    order = iter([leaves for _, leaves in costs])
    taken_tickets: list[tuple[Ticket, ...]] = []
    for cost, _ in costs:
        question = Admission(
            gates, within=FOREVER, lease=0, costs=(min(cost, burst),) * 3, ticketed=True
        )
        taken_tickets.append(state.store.execute(question)[3])
    taken_tickets.sort(key=lambda _: next(order))
    for tickets in taken_tickets:
        state.store.execute(GiveBack(gates, tickets))
    assert waits_before == waits_by_cost()


def test_a_cancelled_bulk_job_does_not_hold_up_the_queue() -> None:
    """A caller that stops waiting for many tokens leaves no gap in the bucket's queue."""
    rule = RateLimitConfig.per_second(1, burst=100).rule
    store = StateStore()
    gates = Gates(limits=[rule], limit_keys=["k"])

    def request_tokens(cost: int) -> tuple[int, tuple[Ticket, ...]]:
        _, wait, _, tickets = store.execute(
            Admission(gates, within=FOREVER, lease=0, costs=(cost,))
        )
        return wait, tickets

    request_tokens(100)
    bulk, tickets = request_tokens(100)
    assert 100 * SECOND == bulk
    store.execute(GiveBack(gates, tickets))
    assert SECOND == request_tokens(1)[0]


@pytest.mark.parametrize("order", ["first", "last", "mixed"])
@pytest.mark.parametrize("burst", [1, 12])
def test_long_abandoned_queue_leaves_no_wait(order: str, burst: int) -> None:
    """After all callers of a long queue gave up, the next caller finds an empty queue."""
    store = StateStore()
    gates = Gates(limits=[RateLimitConfig.per_second(20, burst=burst).rule], limit_keys=["k"])
    question = Admission(gates, within=FOREVER, lease=0)
    taken_tickets = [store.execute(question)[3] for _ in range(burst + 60)][burst:]
    if order == "mixed":
        random.Random(1).shuffle(taken_tickets)
    for tickets in taken_tickets if order != "last" else reversed(taken_tickets):
        store.execute(GiveBack(gates, tickets))
    assert SECOND // 20 == store.execute(question)[1]


def test_freed_slot_serves_the_next_arrival() -> None:
    """With a burst of one, the next arrival gets the slot of a caller that gave up."""
    store = StateStore()
    gates = Gates(limits=[RateLimitConfig.per_second(1).rule], limit_keys=["k"])
    question = Admission(gates, within=FOREVER, lease=0)
    store.execute(question)
    _, _, _, first = store.execute(question)
    _, _, _, second = store.execute(question)
    store.execute(GiveBack(gates, first))
    assert [SECOND, 3 * SECOND] == [store.execute(question)[1] for _ in range(2)]
    assert (Answer.GO, 2 * SECOND) == store.execute(Confirm(gates, second, None))


def test_caller_that_waits_for_its_own_limit_takes_just_one_token_of_shared_limit() -> None:
    """A caller that waits for its own rate limit takes only one token of a shared limit."""
    store = StateStore()
    rule = RateLimitConfig.per_second(100, burst=10).rule
    slow_rule = RateLimitConfig.per_minute(1).rule
    both_gates = Admission(
        Gates(limits=[rule, slow_rule], limit_keys=["shared", "slow"]), within=FOREVER, lease=0
    )
    one = Admission(Gates(limits=[rule], limit_keys=["shared"]), within=FOREVER, lease=0)
    assert [0, 60 * SECOND] == [store.execute(both_gates)[1] for _ in range(2)]
    assert [0] * 9 == [store.execute(one)[1] for _ in range(9)]
    store.now += 30 * SECOND
    assert [0] * 10 == [store.execute(one)[1] for _ in range(10)]


@pytest.mark.untraced
@examples(150)
@given(rates, walks, st.integers(0, 3 * DAY), level_walks)
def test_fresh_bucket_decides_exactly_like_stored_one_after_its_time_to_live(
    configured: tuple[float, float, int], walk: list[Act], idle: int, rest: list[Act]
) -> None:
    """A stored bucket whose time to live has passed decides exactly like a new bucket.

    After callers have given up, each of the two buckets may withhold a token that the other bucket
    grants, because their runs of grants are split at different levels.
    """
    state = BucketWalk((configured,))
    run(state, walk)
    state.step(0)
    gates = state.gates((0,))
    stored_world, fresh_world = state.store, StateStore()
    fresh_world.cells = dict(stored_world.cells)
    stored_world.now = fresh_world.now = sum(fresh_world.cells["0"][:2]) + idle
    fresh_world.forget()
    assert {} == fresh_world.cells
    gave_back = False
    tickets = [(caller.tickets, caller.tickets) for caller in state.queue]
    for name, number, cost, patience, ticketed in rest:
        if name == "admit":
            costs = (min(cost, state.rules[0].burst),)
            question = Admission(gates, within=patience, lease=0, costs=costs, ticketed=ticketed)
            one, fresh_answer = stored_world.execute(question), fresh_world.execute(question)
            if one[:2] != fresh_answer[:2]:
                assert gave_back
                return
            tickets += [(one[3], fresh_answer[3])] if one[3] else []
        elif name == "pause":
            for store in (stored_world, fresh_world):
                store.execute(Pause(gates, cost))
        elif name == "advance":
            stored_world.now = fresh_world.now = stored_world.now + number
        elif tickets:
            own_tickets, theirs = tickets.pop(number % len(tickets))
            expected = stored_world.execute(Confirm(gates, own_tickets, None))
            assert expected == fresh_world.execute(Confirm(gates, theirs, None))
            gave_back = True
            stored_world.execute(GiveBack(gates, own_tickets))
            fresh_world.execute(GiveBack(gates, theirs))


def test_ticket_expires_with_its_bucket() -> None:
    """A ticket from an expired token bucket returns no tokens to the bucket that replaced it."""
    store = StateStore()
    gates = Gates(limits=[RateLimitConfig.per_second(1).rule], limit_keys=["k"])
    question = Admission(gates, within=FOREVER, lease=0)
    store.execute(question)
    _, _, _, old_wait = store.execute(question)
    store.now += 10 * SECOND
    store.forget()
    assert {} == store.cells
    store.execute(GiveBack(gates, old_wait))
    store.execute(question)
    store.execute(question)
    store.execute(GiveBack(gates, old_wait))
    assert 2 * SECOND == store.execute(question)[1]


def test_ticket_of_an_expired_bucket_does_not_wait() -> None:
    """A ticket from before a large clock step back is admitted at once if its bucket expired."""
    store = StateStore()
    gates = Gates(limits=[RateLimitConfig.per_second(1).rule], limit_keys=["k"])
    question = Admission(gates, within=FOREVER, lease=0)
    store.execute(question)
    store.now -= 3_600 * SECOND
    _, wait, _, tickets = store.execute(question)
    assert SECOND == wait
    store.now += 10 * SECOND
    store.forget()
    store.execute(question)
    assert (Answer.GO, 0) == store.execute(Confirm(gates, tickets, None))


@pytest.mark.parametrize(
    "config, span",
    [
        (RateLimitConfig.per_second(1_000_000, burst=1), 1),
        (RateLimitConfig.per_day(1), DAY),
        (RateLimitConfig(rate=3, per=7.0, burst=1), 2_333_334),
    ],
)
def test_next_token_comes_on_time_to_the_microsecond(config: RateLimitConfig, span: int) -> None:
    """A token bucket's next token comes on time to the microsecond, at any rate."""
    store = StateStore()
    question = Admission(
        Gates(limits=[config.rule], limit_keys=["k"]), within=0, lease=0, costs=(1,)
    )
    assert (Answer.GO, 0) == store.execute(question)[:2]
    store.now += span - 1
    assert (Answer.LIMITED, 1) == store.execute(question)[:2]
    store.now += 1
    assert (Answer.GO, 0) == store.execute(question)[:2]


def test_token_bucket_grants_one_call_in_every_microsecond_at_million_calls_second() -> None:
    """At a million calls a second, a token bucket grants one call in every microsecond."""
    store = StateStore()
    gates = Gates(limits=[RateLimitConfig.per_second(1_000_000, burst=1).rule], limit_keys=["k"])
    question = Admission(gates, within=0, lease=0)
    granted_calls = 0
    for _ in range(10_000):
        granted_calls += store.execute(question)[0] is Answer.GO
        store.now += 1
    assert 10_000 == granted_calls


def test_pause_delays_the_queue_and_drops_spare_tokens() -> None:
    """A paused token bucket grants nothing, drops spare tokens, and keeps its queue's order."""
    store = StateStore()
    gates = Gates(limits=[RateLimitConfig.per_second(1, burst=5).rule], limit_keys=["k"])
    question = Admission(gates, within=FOREVER, lease=0)
    store.execute(question)
    store.execute(Pause(gates, 10 * SECOND))
    _, wait, _, first = store.execute(question)
    assert 11 * SECOND == wait
    store.now += 9 * SECOND
    store.execute(Pause(gates, 10 * SECOND))
    store.execute(Pause(gates, SECOND))
    assert (Answer.GO, 11 * SECOND) == store.execute(Confirm(gates, first, None))


@given(
    st.integers(0, 5),
    st.integers(1, 100 * SECOND),
    st.integers(0, 200 * SECOND),
    st.integers(0, 3 * SECOND),
)
def test_pause_that_is_ended_by_hand_was_a_shorter_pause(
    queued: int, pause: int, after: int, before: int
) -> None:
    """Ending the pause of a bucket early leaves the same state as a shorter pause."""
    rule = RateLimitConfig(2, 1.0, burst=3).rule

    def state_before(now: int) -> Any:
        state = None
        for _ in range(queued):
            present_state = rule.present(state, now)
            earliest_time = rule.earliest(present_state, 1, now)
            state, _ = rule.grant(present_state, 1, earliest_time, refundable=True)
        return rule.present(state, now + before)

    longer_pause = rule.present(rule.drain(state_before(NOON), pause), NOON + before + after)
    resumed_state = rule.resume(longer_pause)
    shorter_pause = (
        rule.drain(state_before(NOON), min(pause, after)) if after else state_before(NOON)
    )
    later_moment = NOON + before + max(after, pause)

    assert max(0, pause - after) == rule.paused(longer_pause)
    assert 0 == rule.paused(resumed_state)
    if after:
        for cost in (1, 2, 3):
            expected = rule.present(shorter_pause, later_moment)
            assert rule.earliest(expected, cost, later_moment) == rule.earliest(
                rule.present(resumed_state, later_moment), cost, later_moment
            )


def test_huge_pause_is_clamped() -> None:
    """After a pause of any length, a token bucket has an exact state of limited size."""
    store = StateStore()
    gates = Gates(limits=[RateLimitConfig.per_second(1).rule], limit_keys=["k"])
    store.execute(Pause(gates, 10**30))
    answer, wait, _, _ = store.execute(Admission(gates, within=0, lease=0))
    assert (Answer.LIMITED, FOREVER + SECOND) == (answer, wait)


def test_idle_bucket_takes_at_most_210_bytes() -> None:
    """A token bucket without a queue takes at most 210 bytes, without its key."""
    rule = RateLimitConfig.per_second(50, burst=100).rule
    state = None
    for number in range(5):
        state = rule.fast_grant(state, NOON + number * 300, 1)
    assert state is not None
    assert isinstance(rule, TokenBucket)
    shared_ids = {id(0), id(()), id(rule.refill), id(rule.shape)}
    custom = {id(item): item for item in state if id(item) not in shared_ids}
    assert sys.getsizeof(state) + sum(map(sys.getsizeof, custom.values())) <= 210
