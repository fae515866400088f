"""Processes with different settings for one rate limit share its bucket, as during a roll-out."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.resilience.admission import Admission, Answer, Gates
from moorage.domain.resilience.bucket import TokenBucket
from moorage.domain.resilience.gate_commands import Confirm, GiveBack, Pause
from moorage.domain.resilience.rate_limit import RateLimitConfig
from moorage.domain.values.durations import FOREVER, SECOND
from tests.domain.bucket_walks import RATES, spans
from tests.domain.state_store import NOON, StateStore, long_lists
from tests.support.examples import examples

if TYPE_CHECKING:
    from moorage.domain.state.commands import Ticket


def bucket(rate: float, per: float, burst: int) -> TokenBucket:
    """Return the token bucket of a rate limit."""
    rule = RateLimitConfig(rate, per, burst).rule
    assert isinstance(rule, TokenBucket)
    return rule


@attrs.define(eq=False)
class Caller:
    """A caller that has tokens from a rate limit, until it ends or stops waiting."""

    gates: Gates
    cost: int
    promised: int
    tickets: tuple[Ticket, ...]


class RollOut:
    """One stored rate limit, and callers from processes that configure it differently."""

    def __init__(self, rules: list[TokenBucket]) -> None:
        self.rules = rules
        self.gates = [Gates(limits=[rule], limit_keys=["limit"]) for rule in rules]
        self.store = StateStore()
        self.queue: list[Caller] = []
        self.left: list[tuple[int, int]] = []
        self.was_paused = False

    def admit(self, which: int, cost: int, within: int, *, ticketed: bool = False) -> bool:
        """Request tokens from the bucket of one process; return whether the bucket granted them."""
        gates = self.gates[which % len(self.gates)]
        cost = min(cost, gates.limits[0].burst)
        answer, wait, _, tickets = self.store.execute(
            Admission(gates, within=within, lease=0, costs=(cost,), ticketed=ticketed)
        )
        if answer is Answer.GO:
            caller = Caller(gates, cost, self.store.now + wait, tickets)
            if wait:
                self.queue.append(caller)
            else:
                self.left.append((self.store.now, cost))
        return answer is Answer.GO

    def refund(self, number: int) -> None:
        """Make a waiting caller stop waiting."""
        if self.queue:
            caller = self.queue.pop(number % len(self.queue))
            self.store.execute(GiveBack(caller.gates, caller.tickets))

    def pause(self, which: int, span: int) -> None:
        """Pause the rate limit through the bucket of one process."""
        self.was_paused = True
        self.store.execute(Pause(self.gates[which % len(self.gates)], span))

    def advance(self, span: int) -> None:
        """Advance the time; callers whose wait is over leave, or wait longer during a pause."""
        end_time = self.store.now + span
        while due_callers := [caller for caller in self.queue if caller.promised <= end_time]:
            caller = min(due_callers, key=lambda caller: caller.promised)
            self.store.now = max(self.store.now, caller.promised)
            _, wait = self.store.execute(Confirm(caller.gates, caller.tickets, None))
            if wait:
                assert self.was_paused, "nobody is granted later than was promised"
                caller.promised = self.store.now + wait
            else:
                self.queue.remove(caller)
                self.left.append((self.store.now, caller.cost))
        self.store.now = end_time

    def check_windows(self) -> None:
        """Check that no window has more than the larger burst plus the larger rate times t."""
        burst = max(rule.burst for rule in self.rules)
        pace = max(Fraction(rule.n, rule.price) for rule in self.rules)
        grants = sorted(self.left)
        sums = [0]
        for _, cost in grants:
            sums.append(sums[-1] + cost)
        for first, last in combinations_with_replacement(range(len(grants)), 2):
            span = grants[last][0] - grants[first][0]
            assert sums[last + 1] - sums[first] <= burst + span * pace


admissions = st.tuples(
    st.just("admit"),
    st.integers(0, 2),
    st.integers(1, 4),
    st.sampled_from([FOREVER, 90 * SECOND, 0]),
    st.booleans(),
)
refunds = st.tuples(st.just("refund"), st.integers(0, 50))
advances = st.tuples(st.just("advance"), spans)
pauses = st.tuples(st.just("pause"), st.integers(0, 2), st.integers(0, 3 * SECOND))


@pytest.mark.untraced
@examples(400)
@given(
    st.lists(st.sampled_from(RATES), min_size=2, max_size=3),
    long_lists([*[admissions] * 8, *[refunds] * 2, *[advances] * 4, pauses]),
)
def test_windows_and_promises_hold_for_all_rules_together(
    configured: list[tuple[float, float, int]], walk: list[tuple[object, ...]]
) -> None:
    """With two settings, no window exceeds the larger limit, and no wait exceeds its promise."""
    state = RollOut([bucket(*values) for values in configured])
    for action in walk:
        match action:
            case ("admit", int(bucket_number), int(cost), int(patience), bool(ticketed)):
                state.admit(bucket_number, cost, patience, ticketed=ticketed)
            case (str(name), *numbers):
                getattr(state, name)(*numbers)
            case _:
                pytest.fail("this act is unknown")
    state.advance(FOREVER)

    assert [] == state.queue
    state.check_windows()


@pytest.mark.parametrize("within", [0, SECOND])
def test_roll_out_of_a_smaller_limit_stays_below_the_larger(within: int) -> None:
    """If half of the processes allow 90 calls a second, and half 100, no second exceeds 103."""
    state = RollOut([bucket(100, 1, 100), bucket(90, 1, 90)])
    for millisecond in range(10_000):
        state.admit(millisecond // 3, 1, within)
        state.advance(SECOND // 1_000)
    seconds = [0] * 12
    for time, _ in state.left:
        seconds[(time - NOON) // SECOND] += 1

    assert all(85 <= count <= 103 for count in seconds[2:10])


def test_changed_limit_begins_with_the_tokens_that_were_left() -> None:
    """A process with a new rate and burst continues with the tokens that older processes left."""
    state = RollOut([bucket(10, 1, 10), bucket(1_000, 1, 1_000)])
    assert all(state.admit(0, 1, 0) for _ in range(7))
    granted = sum(state.admit(1, 1, 0) for _ in range(50))

    assert 3 == granted


def test_queue_of_the_old_rule_goes_first() -> None:
    """Callers with new settings queue behind those with old settings, also after a pause."""
    state = RollOut([bucket(1, 1, 1), bucket(2, 1, 2)])
    for _ in range(4):
        state.admit(0, 1, FOREVER)
    state.admit(1, 1, FOREVER)
    assert NOON + 3 * SECOND + SECOND // 2 == state.queue[-1].promised

    state.pause(1, 10 * SECOND)
    state.admit(1, 1, FOREVER)
    state.advance(FOREVER)

    leaving = [(time - NOON) / SECOND for time, _ in state.left]
    assert [0, 11, 12, 13, 13.5, 14] == leaving
    state.check_windows()


def test_pause_by_process_with_new_settings_also_delays_callers_queued_under_old_ones() -> None:
    """A pause by a process with new settings also delays callers queued under the old ones."""
    state = RollOut([bucket(1, 1, 1), bucket(2, 1, 2)])
    for _ in range(4):
        state.admit(0, 1, FOREVER)
    state.pause(1, 10 * SECOND)
    state.admit(1, 1, FOREVER)

    assert NOON + 13 * SECOND + SECOND // 2 == state.queue[-1].promised


@pytest.mark.parametrize(
    "old, new",
    [
        ((Fraction(13, 3), 1_501_199_875, 1), (1, 1e9, 3)),
        ((1, 3_153_600_000, 1), (7, 3.0, 5)),
        ((7, 3.0, 5), (1, 3_153_600_000, 1)),
        ((1, 1.0, 1), (1_000_000, 1.0, 1)),
    ],
)
def test_parts_of_tokens_are_converted_downwards(
    old: tuple[float, float, int], new: tuple[float, float, int]
) -> None:
    """Part of a token is never worth more in another bucket's units, and hardly less."""
    first, second = bucket(*old), bucket(*new)
    for level in (0, 1, first.price // 3, first.price // 2, first.price - 1):
        state = (NOON, first.refill, NOON, level, NOON, 0, 0, (), first.shape)
        converted = second.present(state, NOON)[3]
        exact = Fraction(level, first.price) * second.price

        assert exact * (1 - Fraction(1, 2**20)) - 64 <= converted <= exact
