"""Calendar quotas, compared with a simple model that uses real dates."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moorage.domain.resilience.admission import Admission, Answer, Gates
from moorage.domain.resilience.gate_commands import Confirm, GiveBack, Pause
from moorage.domain.resilience.quota import LATER, CalendarQuota, civil_month, first_day
from moorage.domain.resilience.rate_limit import RateLimitConfig
from moorage.domain.values.durations import DAY, FOREVER, HOUR, SECOND
from tests.domain.state_store import NOON, StateStore, long_lists
from tests.support.examples import examples

if TYPE_CHECKING:
    from moorage.domain.state.commands import Ticket

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Act: TypeAlias = "tuple[str, int, int]"

spans = st.one_of(st.integers(0, HOUR), st.integers(0, 3 * DAY), st.integers(0, 70 * DAY))
admissions: st.SearchStrategy[Act] = st.tuples(
    st.just("admit"), st.integers(1, 6), st.sampled_from([FOREVER, 2 * DAY, 0])
)
refunds: st.SearchStrategy[Act] = st.tuples(st.just("refund"), st.integers(0, 50), st.just(0))
advances: st.SearchStrategy[Act] = st.tuples(st.just("advance"), spans, st.just(0))
pauses: st.SearchStrategy[Act] = st.tuples(st.just("pause"), spans, st.just(0))
moments = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)).map(  # noqa: DTZ001 - made aware next
    lambda moment: (moment.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
)
quotas = st.builds(CalendarQuota, st.integers(1, 12), monthly=st.booleans())


class SimpleQuota:
    """A simple quota that counts grants per calendar day or month."""

    def __init__(self, rule: CalendarQuota) -> None:
        self.rule = rule
        self.used: dict[date, int] = {}
        self.frozen = 0

    def period(self, time: int) -> date:
        """Return the first day of the period that contains `time`."""
        day = (EPOCH + timedelta(microseconds=time)).date()
        return day.replace(day=1) if self.rule.monthly else day

    def next_period(self, time: int) -> int:
        """Return the beginning of the next day or month."""
        first = self.period(time)
        later_date = first + timedelta(days=1)
        while self.rule.monthly and later_date.day != 1:
            later_date += timedelta(days=1)
        return (later_date - EPOCH.date()) // timedelta(microseconds=1)

    def earliest(self, now: int, cost: int) -> int:
        """Return the first day or month in which `cost` can be granted."""
        time = max(now, self.frozen)
        while self.used.get(self.period(time), 0) + cost > self.rule.burst:
            time = self.next_period(time)
        return time

    def grant(self, time: int, cost: int) -> None:
        """Count a granted call in the model."""
        period = self.period(time)
        self.used[period] = self.used.get(period, 0) + cost

    def refund(self, now: int, time: int, cost: int) -> None:
        """Return a granted call to its day or month."""
        period = self.period(time)
        if period > self.period(now):
            period = self.period(max(time, self.frozen))
        # A grant that a pause has moved is returned to the period where it is counted now.
        self.used[period] = max(0, self.used.get(period, 0) - cost)

    def pause(self, now: int, span: int) -> None:
        """Refuse all calls for a while."""
        self.frozen = max(self.frozen, now + span)
        end = self.period(self.frozen)
        for period in [usage for usage in self.used if self.period(now) < usage < end]:
            self.used[end] = self.used.get(end, 0) + self.used.pop(period)


def test_each_day_is_in_its_year_and_month() -> None:
    """Each day from 1970 to 2200 is in its year and month, whose first days are right."""
    for day in range(84_370):
        actual_date = date(1970, 1, 1) + timedelta(days=day)
        assert (actual_date.year, actual_date.month) == civil_month(day)
        assert day - actual_date.day + 1 == first_day(actual_date.year, actual_date.month)


@pytest.mark.untraced
@examples(200)
@given(quotas, moments, long_lists([*[admissions] * 6, refunds, advances, advances, pauses]))
@example(
    CalendarQuota(1, monthly=False),
    DAY - SECOND,
    [
        ("admit", 1, FOREVER),
        ("admit", 1, FOREVER),
        ("pause", DAY + SECOND, 0),
        ("advance", SECOND, 0),
        ("refund", 1, 0),
    ],
)
def test_quota_answers_like_the_simple_model(
    rule: CalendarQuota, start: int, walk: list[Act]
) -> None:
    """For any admissions, refunds and pauses, a quota answers like the simple model."""
    store, naive = StateStore(start), SimpleQuota(rule)
    gates = Gates(limits=[rule], limit_keys=["k"])
    queue: list[tuple[int, int, tuple[Ticket, ...]]] = []
    granted_counts: dict[date, int] = {}
    for name, number, patience in walk:
        if name == "admit":
            cost = min(number, rule.burst)
            time = naive.earliest(store.now, cost)
            question = Admission(gates, within=patience, lease=0, costs=(cost,), ticketed=True)
            answer, wait, _, tickets = store.execute(question)
            assert time - store.now == wait
            assert (Answer.GO if wait <= patience else Answer.LIMITED) is answer
            if answer is Answer.GO:
                naive.grant(time, cost)
                queue.append((time, cost, tickets))
                period = naive.period(time)
                granted_counts[period] = granted_counts.get(period, 0) + cost
        elif name == "refund" and queue:
            time, cost, tickets = queue.pop(number % len(queue))
            naive.refund(store.now, time, cost)
            store.execute(GiveBack(gates, tickets))
            granted_counts[naive.period(time)] -= cost
        elif name == "pause":
            naive.pause(store.now, number)
            store.execute(Pause(gates, number))
        elif name == "advance":
            store.now += number
    assert all(used_units <= rule.burst for used_units in granted_counts.values())
    for time, _, tickets in queue:
        confirm = Confirm(gates, tickets, None)
        assert max(0, time - store.now, naive.frozen - store.now) == store.execute(confirm)[1]


@pytest.mark.untraced
@examples(200)
@given(quotas, moments, long_lists([*[admissions] * 6, advances, pauses]), spans)
def test_fresh_calendar_quota_decides_exactly_like_stored_one_after_its_time_to_live(
    rule: CalendarQuota, start: int, walk: list[Act], idle: int
) -> None:
    """A stored quota whose time to live has passed decides exactly like a new one."""
    stored_world, fresh_world = StateStore(start), StateStore()
    gates = Gates(limits=[rule], limit_keys=["k"])
    for round_number in range(2):
        for name, number, patience in walk:
            for store in (stored_world, fresh_world)[: round_number + 1]:
                if name == "pause":
                    store.execute(Pause(gates, number))
                elif name == "advance":
                    store.now += number
            if name == "admit":
                question = Admission(
                    gates, within=patience, lease=0, costs=(min(number, rule.burst),)
                )
                answer = stored_world.execute(question)[:2]
                assert round_number == 0 or answer == fresh_world.execute(question)[:2]
        if round_number == 0:
            stored_world.execute(Pause(gates, 0))
            fresh_world.cells = dict(stored_world.cells)
            stored_world.now = fresh_world.now = sum(fresh_world.cells["k"][:2]) + idle
            fresh_world.forget()
            assert {} == fresh_world.cells


@pytest.mark.parametrize("back", [HOUR, 40 * DAY])
def test_used_quota_counts_only_in_period_of_new_time_after_clock_step_back(back: int) -> None:
    """After a clock step back, a used quota counts only in the period of the new time."""
    rule = RateLimitConfig.per_calendar_day(2).rule
    store = StateStore()
    gates = Gates(limits=[rule], limit_keys=["k"])
    question = Admission(gates, within=0, lease=0, costs=(2,))
    assert Answer.GO is store.execute(question)[0]
    store.now -= back
    assert (Answer.LIMITED, -store.now % DAY) == store.execute(question)[:2]
    store.now += -store.now % DAY - 1
    assert (Answer.LIMITED, 1) == store.execute(question)[:2]
    store.now += 1
    assert Answer.GO is store.execute(question)[0]


def test_clock_step_back_does_not_lengthen_the_wait_for_a_quota() -> None:
    """After a clock step back, a caller waiting for the quota's next day waits no longer."""
    rule = RateLimitConfig.per_calendar_day(1).rule
    store = StateStore()
    gates = Gates(limits=[rule], limit_keys=["k"])
    question = Admission(gates, within=FOREVER, lease=0)
    store.execute(question)
    _, wait, _, tickets = store.execute(question)
    assert DAY // 2 == wait
    store.now -= HOUR
    assert (Answer.GO, wait) == store.execute(Confirm(gates, tickets, None))
    store.now += wait
    assert (Answer.GO, 0) == store.execute(Confirm(gates, tickets, None))
    store.now += SECOND
    assert (Answer.GO, 0) == store.execute(Confirm(gates, tickets, None))


def test_grant_can_be_returned_after_a_clock_step() -> None:
    """A quota's grant can be returned after a clock step, back or ahead."""
    rule = RateLimitConfig.per_calendar_day(1).rule
    store = StateStore()
    gates = Gates(limits=[rule], limit_keys=["k"])
    question = Admission(gates, within=0, lease=0, ticketed=True)
    for _ in range(2):
        tickets = store.execute(question)[3]
        store.now -= 3 * DAY
        store.execute(GiveBack(gates, tickets))
        tickets = store.execute(question)[3]
        store.execute(GiveBack(gates, tickets))
        assert Answer.GO is store.execute(question)[0]
        assert Answer.LIMITED is store.execute(question)[0]
        store.now += DAY


def test_after_a_step_back_over_midnight_the_new_day_is_whole() -> None:
    """If the clock steps back over midnight, the new day's quota is whole again."""
    rule = RateLimitConfig.per_calendar_day(5).rule
    store = StateStore(NOON + DAY // 2 + HOUR)
    question = Admission(Gates(limits=[rule], limit_keys=["k"]), within=0, lease=0, costs=(5,))
    assert Answer.GO is store.execute(question)[0]
    store.now -= 2 * HOUR
    assert (Answer.LIMITED, HOUR) == store.execute(question)[:2]
    store.now += HOUR
    assert Answer.GO is store.execute(question)[0]
    assert Answer.LIMITED is store.execute(question)[0]


def test_ended_pause_returns_no_quota() -> None:
    """Ending a quota's pause does not return used quota."""
    rule = CalendarQuota(3, monthly=False)
    state, _ = rule.grant(rule.present(None, NOON), 2, NOON, refundable=True)
    paused_state = rule.drain(rule.present(state, NOON), 5 * HOUR)
    resumed_state = rule.resume(paused_state)

    assert (5 * HOUR, 0) == (rule.paused(paused_state), rule.paused(resumed_state))
    assert NOON == rule.earliest(resumed_state, 1, NOON)
    assert NOON < rule.earliest(resumed_state, 2, NOON)
    assert resumed_state == rule.resume(resumed_state)


def test_pause_over_a_period_end_keeps_queue_order() -> None:
    """If a pause skips a day, callers that queued for that day go first on the next day's quota."""
    rule = RateLimitConfig.per_calendar_day(2).rule
    store = StateStore()
    gates = Gates(limits=[rule], limit_keys=["k"])
    question = Admission(gates, within=FOREVER, lease=0)
    store.execute(question)
    store.execute(question)
    _, wait, _, tickets = store.execute(question)
    store.execute(Pause(gates, 2 * DAY))
    assert (Answer.GO, 2 * DAY) == store.execute(Confirm(gates, tickets, None))
    assert [2 * DAY, 2 * DAY + DAY // 2] == [store.execute(question)[1] for _ in range(2)]
    assert DAY // 2 == wait


def test_fast_path_serves_the_current_period() -> None:
    """A quota's fast path serves only calls in the period of the last grant."""
    rule = CalendarQuota(3, monthly=False)
    state, _ = rule.grant(rule.present(None, NOON), 1, NOON, refundable=False)
    assert rule.fast_grant(None, NOON, 1) is None
    times = [NOON - 1, NOON, NOON + DAY // 2 - 1, NOON + DAY // 2]
    assert [False, True, True, False] == [
        rule.fast_grant(state, time, 2) is not None for time in times
    ]
    assert rule.fast_grant(state, NOON, 3) is None
    paused_state = rule.drain(state, SECOND)
    times = [NOON, NOON + SECOND - 1, NOON + SECOND, NOON + DAY // 2]
    assert [False, False, True, False] == [
        rule.fast_grant(paused_state, time, 2) is not None for time in times
    ]
    queued_state, _ = rule.grant(rule.present(state, NOON), 3, NOON + DAY // 2, refundable=True)
    times = [NOON + DAY // 2 - 1, NOON + 3 * DAY // 2 - 1, NOON + 3 * DAY // 2]
    assert [None, None, None] == [rule.fast_grant(queued_state, time, 1) for time in times]
    single_state = rule.refund(queued_state, (0, NOON + DAY // 2, 3, 0))
    assert [True, False, False] == [
        rule.fast_grant(single_state, time, 1) is not None for time in times
    ]
    queued_state = rule.present(queued_state, NOON + DAY // 2)
    assert [None, None, None] == [rule.fast_grant(queued_state, time, 1) for time in times]
    queued_state = rule.refund(queued_state, (0, NOON + DAY // 2, 1, 0))
    assert [False, True, False] == [
        rule.fast_grant(queued_state, time, 1) is not None for time in times
    ]


def test_monthly_quota_waits_for_first_day_of_next_month() -> None:
    """A monthly quota waits for the first day of the next month, also in leap years."""
    rule = RateLimitConfig.per_calendar_month(1).rule
    question = Admission(Gates(limits=[rule], limit_keys=["k"]), within=0, lease=0)
    for year, month, days in ((2028, 2, 29), (2100, 2, 28), (2026, 12, 31)):
        begin = datetime(year, month, 1, tzinfo=UTC) - EPOCH
        store = StateStore(begin // timedelta(microseconds=1))
        assert Answer.GO is store.execute(question)[0]
        store.now += SECOND
        assert (Answer.LIMITED, days * DAY - SECOND) == store.execute(question)[:2]


def test_caller_that_queues_for_quota_after_clock_step_waits_by_new_time() -> None:
    """A caller that queues for a quota after a clock step waits by the new time."""
    rule = CalendarQuota(1, monthly=False)
    used_state, _ = rule.grant(rule.present(None, NOON), 1, NOON, refundable=False)
    now = NOON - 3 * DAY
    stepped_state = rule.present(used_state, now)
    time = rule.earliest(stepped_state, 1, now)
    queued_state, ticket = rule.grant(stepped_state, 1, time, refundable=True)

    assert DAY // 2 == time - now == rule.confirm(queued_state, ticket)
    assert 0 == rule.confirm(rule.present(queued_state, time + HOUR), ticket)


def test_stored_state_is_exact_after_each_step() -> None:
    """A calendar quota's stored state is exactly right after grants, pauses and clock steps."""
    rule, midnight = CalendarQuota(3, monthly=False), NOON + 12 * HOUR
    fresh_state = rule.present(None, NOON)
    assert (NOON, 0, NOON, 0, 0, 0, ()) == fresh_state
    used_state, _ = rule.grant(fresh_state, 1, NOON, refundable=False)
    assert (NOON, 12 * HOUR, NOON, 1, 0, 0, ()) == used_state
    assert (NOON + HOUR, 11 * HOUR, NOON, 1, 0, 0, ()) == rule.present(used_state, NOON + HOUR)
    assert (NOON + DAY, 0, NOON + DAY, 0, 0, 0, ()) == rule.present(used_state, NOON + DAY)
    paused_state = rule.drain(used_state, HOUR)
    assert (NOON, 12 * HOUR, NOON, 1, NOON + HOUR, 0, ()) == paused_state
    assert (NOON - HOUR, 13 * HOUR, NOON - HOUR, 1, NOON, -HOUR, ()) == rule.present(
        paused_state, NOON - HOUR
    )
    assert (NOON, midnight) == (
        rule.earliest(used_state, 2, NOON),
        rule.earliest(used_state, 3, NOON),
    )
    assert NOON + HOUR == rule.earliest(paused_state, 2, NOON)
    assert NOON + 5 == rule.earliest(used_state, 2, NOON + 5)
    queued_state, _ = rule.grant(used_state, 3, midnight, refundable=True)
    assert (NOON, 36 * HOUR, NOON, 1, 0, 0, ((midnight, 3),)) == queued_state
    assert (midnight, 24 * HOUR, midnight, 3, 0, 0, ()) == rule.present(queued_state, midnight)
    assert (NOON, midnight + DAY) == (
        rule.earliest(queued_state, 2, NOON),
        rule.earliest(queued_state, 3, NOON),
    )
    assert used_state == rule.refund(queued_state, (0, midnight, 3, 0))


def test_rest_of_each_day_quota_is_available_after_queued_callers_gave_up() -> None:
    """After queued callers gave up, the rest of each day's quota is available."""
    rule = RateLimitConfig.per_calendar_day(5).rule
    store = StateStore()
    gates = Gates(limits=[rule], limit_keys=["k"])

    def request_tokens(cost: int) -> tuple[int, tuple[Ticket, ...]]:
        _, wait, _, tickets = store.execute(
            Admission(gates, within=FOREVER, lease=0, costs=(cost,))
        )
        return wait, tickets

    request_tokens(4)
    queued_answers = [request_tokens(cost) for cost in (3, 4, 5, 5)]
    assert [DAY // 2 + days * DAY for days in (0, 1, 2, 3)] == [wait for wait, _ in queued_answers]
    for _, tickets in queued_answers[:3]:
        store.execute(GiveBack(gates, tickets))
    assert [0, DAY // 2, 3 * DAY // 2] == [request_tokens(cost)[0] for cost in (1, 5, 5)]


def test_queue_of_a_hundred_days_treats_earlier_days_as_full() -> None:
    """If a quota's queue has a hundred days, every other day before the last is treated as full."""
    rule = CalendarQuota(1, monthly=False)
    midnight = NOON + 12 * HOUR
    state, _ = rule.grant(rule.present(None, NOON), 1, NOON, refundable=False)
    far_time = midnight + 200 * DAY
    state, _ = rule.grant(state, 1, far_time, refundable=True)
    assert LATER == len(state[6])
    assert midnight == rule.earliest(state, 1, NOON)
    for _ in range(LATER - 1):
        state, _ = rule.grant(state, 1, rule.earliest(state, 1, NOON), refundable=True)
    assert far_time + DAY == rule.earliest(state, 1, NOON)
    state, ticket = rule.grant(state, 1, far_time + DAY, refundable=True)
    assert (LATER, far_time + 2 * DAY) == (len(state[6]), rule.earliest(state, 1, NOON))
    midway_state = rule.present(state, midnight + 150 * DAY)
    assert (1, far_time + 2 * DAY) == (
        midway_state[3],
        rule.earliest(midway_state, 1, midway_state[0]),
    )
    assert far_time + DAY == rule.earliest(rule.refund(midway_state, ticket), 1, midway_state[0])


def test_monthly_quota_covers_its_month_from_first_midnight_to_last() -> None:
    """A monthly quota covers its month from the first midnight to the last."""
    rule, first = CalendarQuota(1, monthly=True), NOON - 12 * HOUR
    assert (first, first + 31 * DAY) == rule.period(NOON) == rule.period(first)
    assert (first - 28 * DAY, first) == rule.period(first - 1)


def test_calendar_functions_return_plain_integers() -> None:
    """The quota's calendar functions return plain integers, which a store keeps exactly."""
    for day in (0, 20_000, -1):
        assert {int} == {type(number) for number in (*civil_month(day), first_day(2026, 3))}
