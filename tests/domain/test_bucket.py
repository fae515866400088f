"""The token bucket: exact over every window, fair, and never holding anybody for nothing."""

from __future__ import annotations

import sys
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, TypeAlias

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage.domain.admission import Admission, Answer, Confirm, Gates, GiveBack, Pause
from moorage.domain.bucket import PEAKS, TokenBucket
from moorage.domain.durations import DAY, FOREVER, HOUR, SECOND
from moorage.domain.rate_limit import RateLimitConfig
from moorage.domain.state import SMALL_STEP
from tests.domain.state_world import NOON, World, long_lists

if TYPE_CHECKING:
    from moorage.domain.bucket import Bucket
    from moorage.domain.state import State, Ticket

RATES = [
    (1_000_000, 1.0, 1),
    (1_000_000, 1.0, 1_000_000),
    (2_500_000, 1.0, 3),
    (10, 1.0, 4),
    (1, 1.0, 1),
    (1, 1.0, 7),
    (7, 3.0, 5),
    (3, 60.0, 2),
    (1, 86_400.0, 1),
    (5, 86_400.0, 9),
]
"""(rate, per, burst): from a million a second to one a day."""

short_spans = st.one_of(st.integers(0, 20), st.integers(0, 3 * SECOND))
spans = st.one_of(short_spans, short_spans, st.integers(0, 300 * SECOND), st.integers(0, 3 * DAY))
rates = st.sampled_from(RATES)
subsets = st.integers(1, 7)
admissions = st.tuples(
    st.just("admit"),
    subsets,
    st.integers(1, 4),
    st.sampled_from([FOREVER, 30 * DAY, 90 * SECOND, 0]),
    st.booleans(),
)
Act: TypeAlias = "tuple[str, int, int, int, bool]"


def acts(name: str, number: st.SearchStrategy[int]) -> st.SearchStrategy[Act]:
    """An act of a walk with one number."""
    return st.tuples(st.just(name), number, st.just(0), st.just(0), st.just(value=False))


refunds = acts("refund", st.integers(0, 50))
advances = acts("advance", spans)
pauses = st.tuples(st.just("pause"), st.just(7), short_spans, st.just(0), st.just(value=False))
partial = st.tuples(st.just("pause"), subsets, short_spans, st.just(0), st.just(value=False))
big_steps = acts("step", st.integers(SMALL_STEP + 1, 400 * DAY))
jolts = acts("jolt", st.one_of(st.integers(-DAY, SMALL_STEP), st.integers(-SMALL_STEP, 400 * DAY)))
moves = [admissions] * 8 + [refunds] * 2 + [advances] * 4
level_walks = long_lists([*moves, pauses])
walks = long_lists([*moves, pauses, big_steps])
loose_walks = long_lists([*moves, partial, jolts])
three = st.tuples(rates, rates, rates)


@attrs.define(eq=False)
class Caller:
    """Somebody who was granted a place, from arrival to leaving or giving up."""

    number: int
    which: tuple[int, ...]
    cost: int
    due: int
    tickets: tuple[Ticket, ...]
    since: dict[int, int]
    """By each bucket's own time, when it was to go."""


class Walk:
    """Up to three buckets, whoever queues at them, and what an observer of each saw.

    `real` is time as it passes for callers; the store's clock may be stepped against it. The
    observer of a bucket counts only the time that the bucket believes has passed.
    """

    def __init__(self, configured: tuple[tuple[float, float, int], ...]) -> None:
        self.rules: list[TokenBucket] = []
        for rate, per, burst in configured:
            rule = RateLimitConfig(rate, per, burst).rule
            assert isinstance(rule, TokenBucket)
            self.rules.append(rule)
        self.world = World()
        self.real = 0
        self.ahead = NOON
        self.seen: dict[int, int] = {}
        self.lost = dict.fromkeys(range(len(self.rules)), 0)
        self.frozen = dict.fromkeys(range(len(self.rules)), 0)
        self.queue: list[Caller] = []
        self.left: dict[int, list[tuple[int, int, int]]] = {which: [] for which in self.lost}
        self.due: dict[int, list[tuple[int, int]]] = {which: [] for which in self.lost}
        self.callers = 0
        self.late = 0

    def gates(self, which: tuple[int, ...]) -> Gates:
        """The limits of some buckets."""
        return Gates(
            limits=[self.rules[index] for index in which],
            limit_keys=[str(index) for index in which],
        )

    def some(self, bits: int) -> tuple[int, ...]:
        """A subset of the buckets; the whole of it for what none would be in."""
        every = tuple(self.lost)
        return tuple(index for index in every if bits >> index & 1) or every

    def ask(self, which: tuple[int, ...]) -> None:
        """Before a command about some buckets: judge time for each as it must judge it.

        A bucket only knows of time that was written down.
        """
        self.world.now = self.real + self.ahead
        for index in which:
            seen = self.world.cells.get(str(index), (self.world.now,))[0]
            if seen - self.world.now > SMALL_STEP:
                self.lost[index] += seen - self.world.now
                seen = self.world.now
            self.seen[index] = max(seen, self.world.now)

    def time(self, index: int) -> int:
        """A bucket's own time, which never goes back."""
        return self.seen[index] + self.lost[index]

    def admit(self, bits: int, cost: int, within: int, *, ticketed: bool) -> None:
        """Somebody arrives."""
        which = self.some(bits)
        cost = min(cost, *(self.rules[index].burst for index in which))
        self.ask(which)
        answer, wait, _, tickets = self.world.execute(
            Admission(
                self.gates(which),
                within=within,
                lease=0,
                costs=(cost,) * len(which),
                ticketed=ticketed,
            )
        )
        self.check_levels()
        if answer is Answer.LIMITED:
            assert within < wait
            return
        assert Answer.GO is answer
        assert bool(tickets) is (ticketed or wait > 0)
        turn = wait and wait - max(self.seen[index] - self.world.now for index in which)
        since = {index: self.time(index) + turn for index in which}
        self.callers += 1
        caller = Caller(self.callers, which, cost, self.real + wait, tickets, since)
        if wait:
            self.queue.append(caller)
        else:
            self.leave(caller)

    def refund(self, number: int) -> None:
        """Somebody who waits gives up."""
        if self.queue:
            caller = self.queue.pop(number % len(self.queue))
            self.ask(caller.which)
            self.world.execute(GiveBack(self.gates(caller.which), caller.tickets))
            self.check_levels()

    def pause(self, bits: int, span: int) -> None:
        """The vendor asks for a pause."""
        which = self.some(bits)
        self.ask(which)
        for index in which:
            time = self.time(index)
            longer = time + span - max(time, self.frozen[index])
            if longer > 0:
                self.frozen[index] = time + span
                for caller in self.queue:
                    if caller.since.get(index, time) > time:
                        caller.since[index] += longer
        self.world.execute(Pause(self.gates(which), span))
        self.check_levels()

    def step(self, back: int) -> None:
        """The store's clock steps back; every bucket hears of the time before and after."""
        self.pause(7, 0)
        self.jolt(back)
        self.pause(7, 0)

    def jolt(self, back: int) -> None:
        """The store's clock steps either way, and every bucket finds out when it is asked."""
        self.ahead -= back

    def advance(self, span: int) -> None:
        """Time passes; whoever's turn comes asks again and leaves, or sleeps again."""
        until = self.real + span
        while due := [caller for caller in self.queue if caller.due + self.late <= until]:
            caller = min(due, key=lambda caller: (caller.due, caller.number))
            self.real = max(self.real, caller.due + self.late)
            self.ask(caller.which)
            answer, wait = self.world.execute(
                Confirm(self.gates(caller.which), caller.tickets, None)
            )
            assert Answer.GO is answer
            if wait:
                caller.due = self.real + wait
            else:
                self.queue.remove(caller)
                self.leave(caller)
        self.real = until

    def leave(self, caller: Caller) -> None:
        """A call goes out: what the observers see."""
        for index in caller.which:
            self.left[index].append((self.time(index), caller.cost, caller.number))
            self.due[index].append((caller.since[index], caller.cost))
            assert self.frozen[index] <= self.time(index)

    def finish(self) -> None:
        """Wait until nobody waits any more."""
        for _ in range(1_000):
            if not self.queue:
                return
            self.advance(max(0, min(caller.due for caller in self.queue) - self.real) + self.late)
        pytest.fail("somebody waits for ever")

    def check_levels(self) -> None:
        """There is never debt, and never more than fits."""
        for index, rule in enumerate(self.rules):
            state = self.world.cells.get(str(index))
            if state is not None:
                assert 0 <= state[3] <= rule.room
                assert len(state[7]) <= PEAKS


def check_windows(rule: TokenBucket, grants: list[tuple[int, int]], slack: int = 0) -> None:
    """Over every window of grants: granted ≤ burst + rate · t, to the last token."""
    sums = [0]
    for _, cost in grants:
        sums.append(sums[-1] + cost)
    for first, last in combinations_with_replacement(range(len(grants)), 2):
        granted = sums[last + 1] - sums[first]
        span = grants[last][0] - grants[first][0] + slack
        assert granted * rule.price <= rule.room + span * rule.n


def run(state: Walk, walk: list[Act]) -> None:
    """Take every step of a walk."""
    for name, number, cost, within, ticketed in walk:
        match name:
            case "admit":
                state.admit(number, cost, within, ticketed=ticketed)
            case "pause":
                state.pause(number, cost)
            case _:
                getattr(state, name)(number)


def walked(
    configured: tuple[tuple[float, float, int], ...], walk: list[Act], *, late: int = 0
) -> Walk:
    """A walk to its end."""
    state = Walk(configured)
    state.late = late
    run(state, walk)
    state.finish()
    return state


@settings(max_examples=400)
@given(three, walks)
def test_every_window_is_exact_and_order_is_kept(
    configured: tuple[tuple[float, float, int], ...], walk: list[Act]
) -> None:
    """Over every window granted ≤ burst + rate · t, all go in order, and none inside a pause."""
    state = walked(configured, walk)
    for index, rule in enumerate(state.rules):
        left = state.left[index]
        check_windows(rule, [(time, cost) for time, cost, _ in left])
        assert sorted(number for _, _, number in left) == [number for _, _, number in left]
        assert sorted(time for time, _, _ in left) == [time for time, _, _ in left]


@settings(max_examples=150)
@given(rates, long_lists([*moves, pauses, big_steps], 150))
def test_one_bucket_is_exact_over_long_walks(
    configured: tuple[float, float, int], walk: list[Act]
) -> None:
    """One bucket alone keeps its law however long it is walked on."""
    state = walked((configured,), walk)
    check_windows(state.rules[0], [(time, cost) for time, cost, _ in state.left[0]])


@settings(max_examples=200)
@given(three, loose_walks, st.integers(0, 5 * SECOND))
def test_late_callers_add_no_more_than_their_delay(
    configured: tuple[tuple[float, float, int], ...], walk: list[Act], late: int
) -> None:
    """Grants are exact whatever happens; the vendor sees burst + rate · (t + the largest delay).

    Callers are late because they oversleep, because a clock steps under them, or because a pause
    of one of their limits does not hold the others up.
    """
    state = walked(configured, walk, late=late)
    for index, rule in enumerate(state.rules):
        left = sorted((time, cost) for time, cost, _ in state.left[index])
        due = state.due[index]
        check_windows(rule, sorted(due))
        delay = max(
            (time - when for (time, _, _), (when, _) in zip(state.left[index], due, strict=True)),
            default=0,
        )
        check_windows(rule, left, slack=delay)


@settings(max_examples=300)
@given(three, level_walks, st.integers(1, 7), st.integers(1, 400 * DAY))
def test_a_backward_step_holds_nobody(
    configured: tuple[tuple[float, float, int], ...], walk: list[Act], bits: int, back: int
) -> None:
    """After a backward step a caller waits as long as before it; up to two seconds, by as much."""
    state = Walk(configured)
    run(state, walk)
    state.step(0)
    which = state.some(bits)
    question = Admission(state.gates(which), within=0, lease=0)
    cells = tuple(map(state.world.cells.get, question.keys))
    _, (_, before, _, _) = question.decide(cells, state.world.now)
    _, (_, after, _, _) = question.decide(cells, state.world.now - back)
    stands_still = back if back <= SMALL_STEP else 0
    assert before + (before and stands_still) == after
    for caller in state.queue:
        confirm = Confirm(state.gates(caller.which), caller.tickets, None)
        cells = tuple(map(state.world.cells.get, confirm.keys))
        _, (_, before) = confirm.apply(cells, state.world.now)
        _, (_, after) = confirm.apply(cells, state.world.now - back)
        assert before + (before and stands_still) == after


@settings(max_examples=300)
@given(three, walks, st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=6))
def test_a_queue_that_gives_up_from_its_end_was_never_there(
    configured: tuple[tuple[float, float, int], ...],
    walk: list[Act],
    costs: list[tuple[int, bool]],
) -> None:
    """Whoever gives up with nobody behind gives all back: tokens, and the place in the queue."""
    state = Walk(configured)
    run(state, walk)
    state.step(0)
    which = tuple(state.lost)
    gates = state.gates(which)
    burst = min(rule.burst for rule in state.rules)

    def waits() -> list[int]:
        return [
            state.world.execute(Admission(gates, within=-1, lease=0, costs=(cost,) * 3))[1]
            for cost in range(1, min(burst, 5) + 1)
        ]

    before = waits()
    taken: list[tuple[Ticket, ...]] = []
    for cost, _ in costs:
        question = Admission(
            gates, within=FOREVER, lease=0, costs=(min(cost, burst),) * 3, ticketed=True
        )
        taken.append(state.world.execute(question)[3])
    for tickets in reversed(taken):
        state.world.execute(GiveBack(gates, tickets))
    assert before == waits()


def test_a_cancelled_bulk_job_does_not_hold_up_the_queue() -> None:
    """Who queued far ahead with many tokens and gave up leaves no gap behind."""
    rule = RateLimitConfig.per_second(1, burst=100).rule
    world = World()
    gates = Gates(limits=[rule], limit_keys=["k"])

    def ask(cost: int) -> tuple[int, tuple[Ticket, ...]]:
        _, wait, _, tickets = world.execute(
            Admission(gates, within=FOREVER, lease=0, costs=(cost,))
        )
        return wait, tickets

    ask(100)
    bulk, tickets = ask(100)
    assert 100 * SECOND == bulk
    world.execute(GiveBack(gates, tickets))
    assert SECOND == ask(1)[0]


def test_what_a_later_grant_was_timed_by_is_not_given_back() -> None:
    """At a burst of one, nothing comes back from the middle of a queue."""
    world = World()
    gates = Gates(limits=[RateLimitConfig.per_second(1).rule], limit_keys=["k"])
    question = Admission(gates, within=FOREVER, lease=0)
    world.execute(question)
    _, _, _, first = world.execute(question)
    world.execute(question)
    world.execute(GiveBack(gates, first))
    assert 3 * SECOND == world.execute(question)[1]


@settings(max_examples=150)
@given(rates, walks, st.integers(0, 3 * DAY), level_walks)
def test_a_forgotten_bucket_decides_like_the_kept_one(
    configured: tuple[float, float, int], walk: list[Act], idle: int, rest: list[Act]
) -> None:
    """Once `quiet` is over, a fresh state gives every answer that the kept one gives."""
    state = Walk((configured,))
    run(state, walk)
    state.step(0)
    gates = state.gates((0,))
    kept, fresh = state.world, World()
    fresh.cells = dict(kept.cells)
    kept.now = fresh.now = sum(fresh.cells["0"][:2]) + idle
    fresh.forget()
    assert {} == fresh.cells
    tickets = [(caller.tickets, caller.tickets) for caller in state.queue]
    for name, number, cost, within, ticketed in rest:
        if name == "admit":
            costs = (min(cost, state.rules[0].burst),)
            question = Admission(gates, within=within, lease=0, costs=costs, ticketed=ticketed)
            one, other = kept.execute(question), fresh.execute(question)
            assert one[:2] == other[:2]
            tickets += [(one[3], other[3])] if one[3] else []
        elif name == "pause":
            for world in (kept, fresh):
                world.execute(Pause(gates, cost))
        elif name == "advance":
            kept.now = fresh.now = kept.now + number
        elif tickets:
            mine, theirs = tickets.pop(number % len(tickets))
            expected = kept.execute(Confirm(gates, mine, None))
            assert expected == fresh.execute(Confirm(gates, theirs, None))
            kept.execute(GiveBack(gates, mine))
            fresh.execute(GiveBack(gates, theirs))


def test_a_tickets_life_ends_with_its_state() -> None:
    """A ticket from before a state was forgotten gives nothing back to the new one."""
    world = World()
    gates = Gates(limits=[RateLimitConfig.per_second(1).rule], limit_keys=["k"])
    question = Admission(gates, within=FOREVER, lease=0)
    world.execute(question)
    _, _, _, old = world.execute(question)
    world.now += 10 * SECOND
    world.forget()
    assert {} == world.cells
    world.execute(GiveBack(gates, old))
    world.execute(question)
    world.execute(question)
    world.execute(GiveBack(gates, old))
    assert 2 * SECOND == world.execute(question)[1]


def test_a_late_ticket_waits_for_no_clock_of_another_life() -> None:
    """A ticket taken after a big backward step does not wait for that step in a fresh state."""
    world = World()
    gates = Gates(limits=[RateLimitConfig.per_second(1).rule], limit_keys=["k"])
    question = Admission(gates, within=FOREVER, lease=0)
    world.execute(question)
    world.now -= 3_600 * SECOND
    _, wait, _, tickets = world.execute(question)
    assert SECOND == wait
    world.now += 10 * SECOND
    world.forget()
    world.execute(question)
    assert (Answer.GO, 0) == world.execute(Confirm(gates, tickets, None))


@pytest.mark.parametrize(
    "config, span",
    [
        (RateLimitConfig.per_second(1_000_000, burst=1), 1),
        (RateLimitConfig.per_day(1), DAY),
        (RateLimitConfig(rate=3, per=7.0, burst=1), 2_333_334),
    ],
)
def test_the_next_token_comes_on_time(config: RateLimitConfig, span: int) -> None:
    """A million a second and one a day are granted to the microsecond, rounded up."""
    world = World()
    question = Admission(
        Gates(limits=[config.rule], limit_keys=["k"]), within=0, lease=0, costs=(1,)
    )
    assert (Answer.GO, 0) == world.execute(question)[:2]
    world.now += span - 1
    assert (Answer.LIMITED, 1) == world.execute(question)[:2]
    world.now += 1
    assert (Answer.GO, 0) == world.execute(question)[:2]


def test_a_million_a_second_gives_a_million_a_second() -> None:
    """Nothing is lost to rounding: whoever asks at every microsecond is always granted."""
    world = World()
    gates = Gates(limits=[RateLimitConfig.per_second(1_000_000, burst=1).rule], limit_keys=["k"])
    question = Admission(gates, within=0, lease=0)
    granted = 0
    for _ in range(10_000):
        granted += world.execute(question)[0] is Answer.GO
        world.now += 1
    assert 10_000 == granted


def test_a_pause_moves_who_queues_and_empties_who_does_not() -> None:
    """In a pause nobody is granted; spare tokens are gone, and queued grants keep their order."""
    world = World()
    gates = Gates(limits=[RateLimitConfig.per_second(1, burst=5).rule], limit_keys=["k"])
    question = Admission(gates, within=FOREVER, lease=0)
    world.execute(question)
    world.execute(Pause(gates, 10 * SECOND))
    _, wait, _, first = world.execute(question)
    assert 11 * SECOND == wait
    world.now += 9 * SECOND
    world.execute(Pause(gates, 10 * SECOND))
    world.execute(Pause(gates, SECOND))
    assert (Answer.GO, 11 * SECOND) == world.execute(Confirm(gates, first, None))


def test_a_pause_of_ages_stays_a_number() -> None:
    """However long a vendor says it wants to be left alone, the state stays exact."""
    world = World()
    gates = Gates(limits=[RateLimitConfig.per_second(1).rule], limit_keys=["k"])
    world.execute(Pause(gates, 10**30))
    answer, wait, _, _ = world.execute(Admission(gates, within=0, lease=0))
    assert (Answer.LIMITED, FOREVER + SECOND) == (answer, wait)


def test_an_idle_bucket_is_small() -> None:
    """A bucket that nobody queues at takes at most 200 bytes beside its key."""
    rule = RateLimitConfig.per_second(50, burst=100).rule
    state = None
    for number in range(5):
        state = rule.calm(state, NOON + number * 300, 1)
    assert state is not None
    shared = {id(0), id(()), id(rule.refill)}  # type: ignore[attr-defined]  # it is a bucket
    own = {id(item): item for item in state if id(item) not in shared}
    assert sys.getsizeof(state) + sum(map(sys.getsizeof, own.values())) <= 200


# --- to the last number -------------------------------------------------------------------------


@pytest.fixture
def rule() -> TokenBucket:
    """Three tokens at once, and two for each 5_000_001 microseconds."""
    return TokenBucket(2, 5_000_001, 3)


def a_queue(rule: TokenBucket) -> tuple[list[Bucket], list[Ticket]]:
    """The states of a bucket that was emptied and has six waiting, one after another."""
    state = rule.present(rule.calm(rule.calm(None, NOON, 1), NOON, 2), NOON + 1)
    states: list[Bucket] = []
    tickets: list[Ticket] = []
    for cost, at in (
        (1, 2_500_001),
        (2, 7_500_002),
        (1, 10_000_002),
        (1, 12_600_000),
        (1, 15_000_004),
        (2, 20_000_004),
    ):
        state, ticket = rule.grant(state, cost, NOON + at, kept=True)
        states.append(state)
        tickets.append(ticket)
    return states, tickets


def told(state: State | None) -> str:
    """A state in a line: times from noon on, and no time for no pause."""
    assert state is not None
    seen, quiet, at, level, base, frozen, shift, peaks = state
    times = [seen - NOON, quiet, at - NOON, level, base - NOON, frozen and frozen - NOON, shift]
    return " ".join([*map(str, times), *(f"{number - NOON}:{peak}" for number, peak in peaks)])


def test_a_state_at_once(rule: TokenBucket) -> None:
    """While tokens last a state keeps what is left, and since when."""
    one = rule.calm(None, NOON, 1)
    assert one is not None
    none = rule.calm(one, NOON, 2)
    assert none is not None
    assert rule.calm(none, NOON, 1) is None
    assert rule.calm(one, NOON - 1, 1) is None
    assert "3 7500002 3 5000007 0 0 0" == told(rule.calm(one, NOON + 3, 1))
    assert "9000000 7500002 9000000 10000002 0 0 0" == told(rule.calm(one, NOON + 9 * SECOND, 1))
    assert "0 0 0 15000003 0 0 0" == told(rule.present(None, NOON))
    assert "60000000 0 0 10000002 0 0 0" == told(rule.present(one, NOON + 60 * SECOND))
    assert "0 7500002 0 10000002 0 0 0" == told(rule.present(one, NOON - SECOND))
    assert NOON + 2_500_001 == rule.earliest(none, 1, NOON)
    assert NOON == rule.earliest(one, 2, NOON)
    assert NOON + 5 == rule.earliest(one, 2, NOON + 5)
    assert NOON + 2_500_001 == rule.earliest(one, 3, NOON)
    ahead, ticket = rule.grant(rule.present(one, NOON + 3), 1, NOON + 5, kept=True)
    assert "3 7500004 5 5000011 0 0 0 1:10000012" == told(ahead)
    assert rule.calm(ahead, NOON + 4, 1) is None
    assert NOON + 5 == rule.earliest(ahead, 1, NOON + 4)
    held = rule.refund(rule.drain(ahead, 10), ticket)
    assert "3 7500014 10 10000002 0 13 10" == told(held)
    assert rule.calm(held, NOON + 11, 1) is None
    assert NOON + 13 == rule.earliest(held, 1, NOON + 11)
    assert "13 7500002 13 5000007 0 13 10" == told(rule.calm(held, NOON + 13, 1))


def test_a_state_with_a_queue(rule: TokenBucket) -> None:
    """A queued grant is numbered, with the level before it or before any later one."""
    queue, tickets = a_queue(rule)
    assert "1 10000002 2500001 1 0 0 0 1:5000002" == told(queue[0])
    assert "1 15000003 7500002 1 0 0 0 2:10000003" == told(queue[1])
    assert "1 17500003 10000002 0 0 0 0 2:10000003 3:5000001" == told(queue[2])
    assert "1 20100001 12600000 199995 0 0 0 2:10000003 4:5199996" == told(queue[3])
    assert "1 22500005 15000004 2 0 0 0 2:10000003 4:5199996 5:5000003" == told(queue[4])
    assert "1 27500005 20000004 0 0 0 0 2:10000003 6:10000002" == told(queue[5])
    assert (NOON + 1, NOON + 2_500_001, 1, 0, NOON, 0) == tickets[0]
    assert (NOON + 6, NOON + 20_000_004, 2, 0, NOON + 15_000_004, 2) == tickets[5]
    assert rule.calm(queue[5], NOON + 12 * SECOND, 1) is None
    assert "17600000 7500002 17600000 199993 5 0 0" == told(
        rule.calm(queue[4], NOON + 17_600_000, 1)
    )
    assert "1000000 26500006 20000004 0 0 0 0 2:10000003 6:10000002" == told(
        rule.present(queue[5], NOON + SECOND)
    )
    assert NOON + 22_500_005 == rule.earliest(queue[5], 1, NOON)
    assert 20_000_003 == rule.confirm(queue[5], tickets[5])
    assert 0 == rule.confirm(rule.present(queue[5], NOON + 30 * SECOND), tickets[5])
    twice, _ = rule.grant(queue[0], 2, NOON + 9 * SECOND, kept=True)
    assert "1 21500002 14000001 7999998 0 0 0 3:12999999" == told(
        rule.grant(twice, 1, NOON + 14_000_001, kept=True)[0]
    )
    assert "1 25000005 17500004 1 0 0 0 4:10000003 5:5000003 6:5000002" == told(
        rule.grant(queue[4], 1, NOON + 17_500_004, kept=True)[0]
    )


def test_a_state_after_a_refund(rule: TokenBucket) -> None:
    """What is given back lifts levels up to the room, and what is spent stays spent."""
    queue, tickets = a_queue(rule)
    assert "1 10000002 0 0 0 0 0" == told(rule.refund(queue[0], tickets[0]))
    assert "1 15000003 2500001 1 0 0 0 1:10000003" == told(rule.refund(queue[1], tickets[1]))
    assert "1 20100001 12600000 10000002 0 0 0 2:19800010 4:15000003" == told(
        rule.refund(queue[3], tickets[1])
    )
    assert "1 22500005 12600000 199995 0 0 0 2:10000003 4:5199996" == told(
        rule.refund(queue[4], tickets[4])
    )
    assert "1 22500005 15000004 5000003 0 0 0 2:15000004 4:10199997 5:10000004" == told(
        rule.refund(queue[4], tickets[3])
    )
    assert "1 27500005 15000004 2 0 0 0 2:10000003 5:10000002" == told(
        rule.refund(queue[5], tickets[5])
    )
    assert "1 27500005 20000004 5000001 0 0 0 2:15000004 6:15000003" == told(
        rule.refund(queue[5], tickets[3])
    )
    shorter = rule.refund(rule.refund(queue[5], tickets[5]), tickets[4])
    assert "1 27500005 12600000 199995 0 0 0 2:10000003 4:10000002" == told(shorter)
    assert "1 27500005 7500002 1 0 0 0 2:10000003" == told(
        rule.refund(rule.refund(shorter, tickets[3]), tickets[2])
    )
    plain, ticket = rule.grant(queue[5], 1, NOON + 22_500_005, kept=False)
    assert "1 30000006 22500005 1 6 0 0" == told(plain)
    assert (NOON + 6, NOON + 22_500_005, 1, 0, NOON + 20_000_004, 0) == ticket
    assert "1 30000006 22500005 1 6 0 0" == told(rule.refund(plain, tickets[5]))
    assert 0 == rule.confirm(plain, tickets[5])
    after, _ = rule.grant(plain, 1, NOON + 25_000_006, kept=True)
    assert after is rule.refund(after, tickets[5])
    assert 0 == rule.confirm(after, tickets[5])
    assert "1 27500005 15000004 5000003 0 0 0 2:15000004 5:15000003" == told(
        rule.refund(rule.refund(queue[5], tickets[3]), tickets[5])
    )


def test_a_state_after_a_pause(rule: TokenBucket) -> None:
    """A pause moves the queue as far as it is news, or else empties the bucket."""
    queue, tickets = a_queue(rule)
    one = rule.calm(None, NOON, 1)
    assert one is not None
    assert one is rule.drain(one, 0)
    assert "0 7500003 1 0 0 1 1" == told(rule.drain(one, 1))
    assert "5 7500009 12 0 0 12 7" == told(rule.drain(rule.present(one, NOON + 5), 7))
    moved = rule.drain(rule.present(queue[5], NOON + SECOND), 10 * SECOND)
    assert "1000000 36500006 30000004 0 0 11000000 10000000 2:10000003 6:10000002" == told(moved)
    assert moved is rule.drain(moved, 10 * SECOND)
    assert "1000000 36500007 30000005 0 0 11000001 10000001 2:10000003 6:10000002" == told(
        rule.drain(moved, 10 * SECOND + 1)
    )
    assert "1000000 36500006 25000004 2 0 11000000 10000000 2:10000003 5:10000002" == told(
        rule.refund(moved, tickets[5])
    )
    assert 29_000_004 == rule.confirm(moved, tickets[5])
    assert (
        "-3600000000 36500006 -3570999996 0 0 -3590000000 -3591000000 2:10000003 6:10000002"
        == told(rule.present(moved, NOON - HOUR))
    )
    more, ticket = rule.grant(moved, 1, NOON + 33 * SECOND, kept=True)
    assert "1000000 49500002 40000004 0 0 21000000 20000000 2:10000003 6:10000002" == told(
        rule.refund(rule.drain(more, 20 * SECOND), ticket)
    )
    assert "15000004 7500009 15000011 0 5 15000011 7" == told(
        rule.drain(rule.present(queue[4], NOON + 15_000_004), 7)
    )
    assert "16000000 7500009 16000007 0 5 16000007 7" == told(
        rule.drain(rule.present(queue[4], NOON + 16 * SECOND), 7)
    )
    plain, _ = rule.grant(queue[4], 1, NOON + 22_500_005, kept=False)
    assert "1 7500009 8 0 5 8 7" == told(rule.drain(plain, 7))
    left = rule.refund(rule.drain(queue[0], 9 * SECOND), tickets[0])
    assert "1 19000002 9000000 0 0 9000001 9000000" == told(left)
    assert rule.calm(left, NOON + 9 * SECOND, 1) is None
    assert NOON + 11_500_001 == rule.earliest(left, 1, NOON)
    assert 9_000_000 == rule.confirm(left, tickets[0])
