"""The ledger of a call's attempts, compared with a plain list of them."""

from __future__ import annotations

import itertools
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.resilience.ledger import BLANK, AttemptEffect, Ledger

BEGIN, LEAVE, DISPROVE, UNSENT, TAKE_OVER = ACTS = (
    "begin",
    "leave",
    "disprove",
    "unsent",
    "take over",
)
walks = st.lists(st.sampled_from(ACTS), max_size=40)


class AttemptList:
    """A simple list of all attempts, with all data about each attempt."""

    def __init__(self) -> None:
        self.attempts: list[dict[str, bool]] = [{}]
        self.taken_over = False

    def act(self, act: str) -> None:
        """Record one action in the list."""
        if act == TAKE_OVER:
            self.taken_over = True
            return
        if act == BEGIN or (act == LEAVE and self.attempts[-1]):
            self.attempts.append({})
        if act == LEAVE:
            self.attempts[-1][LEAVE] = True
        elif act in {DISPROVE, UNSENT} and self.attempts[-1]:
            self.attempts[-1][act] = True

    @property
    def facts(self) -> tuple[int, bool, bool]:
        """Return the number of sent attempts, and whether these may have had an effect."""
        departed_attempts = [attempt for attempt in self.attempts if LEAVE in attempt]
        possible_attempts = [attempt for attempt in departed_attempts if len(attempt) == 1]
        last_attempt = self.attempts[-1]
        return (
            len(departed_attempts),
            self.taken_over or bool(possible_attempts),
            not last_attempt or UNSENT in last_attempt,
        )


def ledger_after(ledger: Ledger, act: str) -> Ledger:
    """Return the call's ledger after one action."""
    match act:
        case "begin":
            return ledger.begin()
        case "leave":
            return ledger.leave()
        case "disprove":
            return ledger.record_no_effect()
        case "unsent":
            return ledger.record_no_effect(unsent=True)
        case _:
            return ledger.take_over()


def facts(ledger: Ledger) -> tuple[int, bool, bool]:
    """Return the ledger's count of sent attempts, and its statement of their possible effect."""
    return ledger.attempts, ledger.may_have_acted, ledger.is_unsent


def check_invariants(ledger: Ledger, act: str, then: Ledger) -> None:
    """Check that a call's ledger satisfies every invariant after an action."""
    if ledger.earlier:
        assert then.may_have_acted, "what an earlier attempt may have done stays"
    if ledger.may_have_acted and not then.may_have_acted:
        assert act in {DISPROVE, UNSENT}, "only a proof disproves"
    if act in {BEGIN, TAKE_OVER}:
        assert then.may_have_acted >= ledger.may_have_acted
    if act == LEAVE:
        assert (ledger.attempts + 1, True) == (then.attempts, then.may_have_acted)
    else:
        assert ledger.attempts == then.attempts
    if act in {DISPROVE, UNSENT}:
        assert then.current <= ledger.current, "a proof is never withdrawn"


def test_ledger_equals_a_list_of_attempts_after_five_actions() -> None:
    """After up to five actions, a call's ledger is equivalent to a list of attempts."""
    for walk in itertools.product(ACTS, repeat=5):
        attempt_ledger, naive = BLANK, AttemptList()
        for action in walk:
            previous_ledger, attempt_ledger = attempt_ledger, ledger_after(attempt_ledger, action)
            naive.act(action)
            check_invariants(previous_ledger, action, attempt_ledger)
            assert naive.facts == facts(attempt_ledger), walk


@given(walks)
def test_ledger_equals_a_list_of_attempts_after_any_actions(walk: list[str]) -> None:
    """After any actions, a call's ledger is equivalent to a list of attempts."""
    attempt_ledger, naive = BLANK, AttemptList()
    for action in walk:
        previous_ledger, attempt_ledger = attempt_ledger, ledger_after(attempt_ledger, action)
        naive.act(action)
        check_invariants(previous_ledger, action, attempt_ledger)
        assert naive.facts == facts(attempt_ledger)


RACES: Final = (
    ((), AttemptEffect.NOT_LEFT),
    ((LEAVE, UNSENT), AttemptEffect.UNSENT),
    ((LEAVE, DISPROVE), AttemptEffect.DISPROVED),
    ((LEAVE,), AttemptEffect.POSSIBLE),
    ((LEAVE, BEGIN), AttemptEffect.POSSIBLE),
)
"""The actions of one of several concurrent requests, and what is known of its effect."""


@pytest.mark.parametrize("before", [(), (LEAVE,), (LEAVE, DISPROVE), (TAKE_OVER,)])
def test_joined_ledger_has_no_effect_only_if_no_request_had_one(before: tuple[str, ...]) -> None:
    """Concurrent requests count as one attempt, without effect only if no request had one."""
    start = BLANK
    for action in (*before, BEGIN):
        start = ledger_after(start, action)

    for races in itertools.product(RACES, repeat=3):
        racers = []
        for acts, _ in races:
            racer_ledger = start
            for action in acts:
                racer_ledger = ledger_after(racer_ledger, action)
            racers.append(racer_ledger)
        joined_ledger = start.join(racers)

        departed_races = sum(bool(acts) for acts, _ in races)
        assert start.attempts + departed_races == joined_ledger.attempts
        assert (
            start.may_have_acted or any(racer.may_have_acted for racer in racers)
        ) == joined_ledger.may_have_acted
        if not start.may_have_acted:
            assert max(effect for _, effect in races) is joined_ledger.current
            assert joined_ledger == start.join(reversed(racers))


def test_joining_no_ledgers_changes_nothing() -> None:
    """Joining a ledger with no concurrent requests changes nothing."""
    assert BLANK.leave() == BLANK.leave().join([])
