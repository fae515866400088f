"""Random walks of callers through rate-limit buckets, and the invariants of each walk."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, TypeAlias

import attrs
import pytest
from hypothesis import strategies as st

from moorage.domain.resilience.admission import Admission, Answer, Gates
from moorage.domain.resilience.bucket import RUNS, TokenBucket
from moorage.domain.resilience.gate_commands import Confirm, GiveBack, Pause
from moorage.domain.resilience.rate_limit import RateLimitConfig
from moorage.domain.state.commands import SMALL_STEP
from moorage.domain.values.durations import DAY, FOREVER, SECOND
from tests.domain.state_store import NOON, StateStore, long_lists

if TYPE_CHECKING:
    from moorage.domain.state.commands import Ticket


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
"""Rate limits as (rate, per, burst), from a million calls a second to one a day."""


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


patient_arrivals = st.tuples(
    st.just("admit"), st.just(7), st.just(1), st.just(FOREVER), st.booleans()
)


Act: TypeAlias = "tuple[str, int, int, int, bool]"


def walk_actions(name: str, number: st.SearchStrategy[int]) -> st.SearchStrategy[Act]:
    """Return a strategy that draws actions of one kind for a random walk."""
    return st.tuples(st.just(name), number, st.just(0), st.just(0), st.just(value=False))


refunds = walk_actions("refund", st.integers(0, 50))


advances = walk_actions("advance", spans)


pauses = st.tuples(st.just("pause"), st.just(7), short_spans, st.just(0), st.just(value=False))


partial = st.tuples(st.just("pause"), subsets, short_spans, st.just(0), st.just(value=False))


big_steps = walk_actions("step", st.integers(SMALL_STEP + 1, 400 * DAY))


clock_steps = walk_actions(
    "step_clock", st.one_of(st.integers(-DAY, SMALL_STEP), st.integers(-SMALL_STEP, 400 * DAY))
)


moves = [admissions] * 8 + [refunds] * 2 + [advances] * 4


level_walks = long_lists([*moves, pauses])


walks = long_lists([*moves, pauses, big_steps])


loose_walks = long_lists([*moves, partial, clock_steps])


three_rates = st.tuples(rates, rates, rates)


@attrs.define(eq=False)
class Caller:
    """A caller that has tokens from a bucket, until the caller ends or stops waiting."""

    number: int
    which: tuple[int, ...]
    cost: int
    due: int
    tickets: tuple[Ticket, ...]
    since: dict[int, int]
    """When the caller was due to leave, by each bucket's own time."""


class BucketWalk:
    """Up to three token buckets with their queues, and the calls that each has admitted.

    `real` is the time that passes for callers; the store's clock may step away from this time. The
    invariants are checked in a bucket's own time, which leaves out such steps.
    """

    def __init__(self, configured: tuple[tuple[float, float, int], ...]) -> None:
        self.rules: list[TokenBucket] = []
        for rate, period, burst in configured:
            rule = RateLimitConfig(rate, period, burst).rule
            assert isinstance(rule, TokenBucket)
            self.rules.append(rule)
        self.store = StateStore()
        self.real = 0
        self.ahead = NOON
        self.seen: dict[int, int] = {}
        self.lost = dict.fromkeys(range(len(self.rules)), 0)
        self.frozen = dict.fromkeys(range(len(self.rules)), 0)
        self.queue: list[Caller] = []
        self.left: dict[int, list[tuple[int, int, int]]] = {
            bucket_numbers: [] for bucket_numbers in self.lost
        }
        self.due: dict[int, list[tuple[int, int]]] = {
            bucket_numbers: [] for bucket_numbers in self.lost
        }
        self.ends: dict[int, set[int]] = {bucket_numbers: set() for bucket_numbers in self.lost}
        self.callers = 0
        self.late = 0

    def gates(self, which: tuple[int, ...]) -> Gates:
        """Return the rate limits of these buckets."""
        return Gates(
            limits=[self.rules[index] for index in which],
            limit_keys=[str(index) for index in which],
        )

    def some_buckets(self, bits: int) -> tuple[int, ...]:
        """Return the buckets that these bits select; without any set bit, return all buckets."""
        every_index = tuple(self.lost)
        return tuple(index for index in every_index if bits >> index & 1) or every_index

    def ask(self, which: tuple[int, ...]) -> None:
        """Set the store's clock, and record that these buckets are used at this time.

        A bucket can use only the times that were stored in its state.
        """
        self.store.now = self.real + self.ahead
        for index in which:
            seen_at = self.store.cells.get(str(index), (self.store.now,))[0]
            if seen_at - self.store.now > SMALL_STEP:
                self.lost[index] += seen_at - self.store.now
                seen_at = self.store.now
            self.seen[index] = max(seen_at, self.store.now)

    def time(self, index: int) -> int:
        """Return the time that a bucket uses for its decisions.

        Unlike the clock, this time never goes back.
        """
        return self.seen[index] + self.lost[index]

    def admit(self, bits: int, cost: int, within: int, *, ticketed: bool) -> None:
        """Add a caller to the queue of some buckets."""
        bucket_numbers = self.some_buckets(bits)
        cost = min(cost, *(self.rules[index].burst for index in bucket_numbers))
        self.ask(bucket_numbers)
        answer, wait, _, tickets = self.store.execute(
            Admission(
                self.gates(bucket_numbers),
                within=within,
                lease=0,
                costs=(cost,) * len(bucket_numbers),
                ticketed=ticketed,
            )
        )
        self.check_levels()
        if answer is Answer.LIMITED:
            assert within < wait
            return
        assert Answer.GO is answer
        assert bool(tickets) is (ticketed or wait > 0)
        remaining_wait = wait and wait - max(
            self.seen[index] - self.store.now for index in bucket_numbers
        )
        starts = {index: self.time(index) + remaining_wait for index in bucket_numbers}
        self.callers += 1
        caller = Caller(self.callers, bucket_numbers, cost, self.real + wait, tickets, starts)
        if wait:
            self.queue.append(caller)
        else:
            self.leave(caller)

    def refund(self, number: int) -> None:
        """Make a waiting caller stop waiting, and return its tokens."""
        if self.queue:
            caller = self.queue.pop(number % len(self.queue))
            self.ask(caller.which)
            self.store.execute(GiveBack(self.gates(caller.which), caller.tickets))
            self.check_levels()

    def pause(self, bits: int, span: int) -> None:
        """Pause some buckets, as a vendor's `Retry-After` does."""
        bucket_numbers = self.some_buckets(bits)
        self.ask(bucket_numbers)
        for index in bucket_numbers:
            time = self.time(index)
            longer_wait = time + span - max(time, self.frozen[index])
            if longer_wait > 0:
                self.frozen[index] = time + span
                self.ends[index].add(time + span)
                for caller in self.queue:
                    if caller.since.get(index, time) > time:
                        caller.since[index] += longer_wait
        self.store.execute(Pause(self.gates(bucket_numbers), span))
        self.check_levels()

    def step(self, back: int) -> None:
        """Set the store's clock back; each bucket reads the time before and after."""
        self.pause(7, 0)
        self.step_clock(back)
        self.pause(7, 0)

    def step_clock(self, back: int) -> None:
        """Move the store's clock forward or back."""
        self.ahead -= back

    def advance(self, span: int) -> None:
        """Advance the time; each caller whose tokens are due leaves the queue or waits longer."""
        end_time = self.real + span
        while due_callers := [
            caller for caller in self.queue if caller.due + self.late <= end_time
        ]:
            caller = min(due_callers, key=lambda caller: (caller.due, caller.number))
            self.real = max(self.real, caller.due + self.late)
            self.ask(caller.which)
            answer, wait = self.store.execute(
                Confirm(self.gates(caller.which), caller.tickets, None)
            )
            assert Answer.GO is answer
            if wait:
                caller.due = self.real + wait
            else:
                self.queue.remove(caller)
                self.leave(caller)
        self.real = end_time

    def leave(self, caller: Caller) -> None:
        """Record that an admitted call leaves."""
        for index in caller.which:
            self.left[index].append((self.time(index), caller.cost, caller.number))
            self.due[index].append((caller.since[index], caller.cost))
            assert self.frozen[index] <= self.time(index)

    def finish(self) -> None:
        """Advance the time until no caller waits any more."""
        for _ in range(1_000):
            if not self.queue:
                return
            self.advance(max(0, min(caller.due for caller in self.queue) - self.real) + self.late)
        pytest.fail("somebody waits for ever")

    def check_levels(self) -> None:
        """Check that no bucket has fewer than zero tokens, or more than its size."""
        for index, rule in enumerate(self.rules):
            state = self.store.cells.get(str(index))
            if state is not None:
                assert 0 <= state[3] <= rule.room
                assert len(state[7]) <= RUNS


def check_windows(rule: TokenBucket, grants: list[tuple[int, int]], slack: int = 0) -> None:
    """Check that in each window of grants: granted ≤ burst + rate · t, to the last token."""
    sums = [0]
    for _, cost in grants:
        sums.append(sums[-1] + cost)
    for first, last in combinations_with_replacement(range(len(grants)), 2):
        granted_cost = sums[last + 1] - sums[first]
        span = grants[last][0] - grants[first][0] + slack
        assert granted_cost * rule.price <= rule.room + span * rule.n


def run(state: BucketWalk, walk: list[Act]) -> None:
    """Run every action of a random walk."""
    for name, number, cost, patience, ticketed in walk:
        match name:
            case "admit":
                state.admit(number, cost, patience, ticketed=ticketed)
            case "pause":
                state.pause(number, cost)
            case _:
                getattr(state, name)(number)


def walk_bucket(
    configured: tuple[tuple[float, float, int], ...], walk: list[Act], *, late: int = 0
) -> BucketWalk:
    """Perform a whole random walk, and return the final state."""
    state = BucketWalk(configured)
    state.late = late
    run(state, walk)
    state.finish()
    return state
