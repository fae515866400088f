"""Idempotency keys under clock steps and expiry."""

from __future__ import annotations

from typing import Any

import pytest

from moorage.domain.idempotency.claims import MarkSent, Resolve, Verdict, Withdraw, store_answer
from moorage.domain.state.commands import SMALL_STEP
from moorage.domain.values.durations import DAY, HOUR, SECOND
from tests.domain.key_caller import KEY, LEASE, TTL, KeyCaller, claim


@pytest.mark.parametrize("back", [1, SMALL_STEP, SMALL_STEP + 1, HOUR, 40 * DAY])
def test_claim_lease_lasts_as_long_as_before_after_clock_step_back(back: int) -> None:
    """If the clock steps back, a claim's lease lasts for the same time, or up to 2 s longer."""
    key = KeyCaller()
    fencing_token = key.claim().fence
    key.store.now += 30 * SECOND
    key.claim()
    key.store.now -= back
    assert 5 * SECOND == key.claim().wait
    assert key.mark(fencing_token)
    key.store.now += 5 * SECOND - 1
    assert Verdict.BUSY is key.claim().verdict
    key.store.now += 1 + SMALL_STEP
    assert Verdict.ASK_AGAIN is key.claim().verdict


@pytest.mark.parametrize("back", [SMALL_STEP + 1, HOUR])
@pytest.mark.parametrize("over, verdict", [(0, Verdict.ASK_AGAIN), (1, Verdict.UNKNOWN)])
def test_clock_step_back_leaves_remaining_time_of_vendor_memory_of_keys_unchanged(
    back: int, over: int, verdict: Verdict
) -> None:
    """A clock step back does not change how long a vendor still remembers an idempotency key."""
    key = KeyCaller()
    key.claim_and_send()
    key.store.now -= back
    key.claim()
    key.store.now += 2 * LEASE + over
    assert verdict is key.claim(remembered=3 * LEASE).verdict


def test_key_expires_after_its_time_to_live() -> None:
    """After its time to live, a key has no answer any more, and can be used again."""
    key = KeyCaller()
    key.settle(store_answer(KEY, key.claim_and_send(), "answer", ttl=TTL))
    key.store.now += TTL - 1
    key.store.forget()
    assert Verdict.REPLAY is key.claim().verdict
    key.store.now += 1
    first_claim = key.claim()
    key.store.cells.clear()
    assert first_claim == key.claim()
    assert Verdict.RUN is first_claim.verdict


@pytest.mark.parametrize("back", [SMALL_STEP + 1, HOUR])
def test_clock_step_back_leaves_rest_of_answer_time_to_live_unchanged(back: int) -> None:
    """If the clock steps back, the remaining lifetime of a stored response does not change."""
    key = KeyCaller()
    key.settle(store_answer(KEY, key.claim_and_send(), "answer", ttl=TTL))
    key.store.now += HOUR
    key.claim()
    key.store.now -= back
    key.claim()
    key.store.now += TTL - HOUR - 1
    assert Verdict.REPLAY is key.claim().verdict
    key.store.now += 1
    assert Verdict.RUN is key.claim().verdict


def test_fencing_token_of_an_expired_state_is_refused() -> None:
    """A holder from before an idempotency key expired cannot change the next use of the key."""
    key = KeyCaller()
    old_claim = key.claim_and_send()
    key.store.now += LEASE + TTL
    assert (False, False, None) == key.settle(store_answer(KEY, old_claim, "late", ttl=TTL))
    assert key.claim().fence > old_claim
    assert (False, False, None) == key.settle(store_answer(KEY, old_claim, "late", ttl=TTL))


@pytest.mark.parametrize("away", [-HOUR, HOUR])
@pytest.mark.parametrize(
    "command",
    [
        claim(2, "honours", b"another"),
        store_answer(KEY, 1, "late", ttl=TTL),
        Withdraw(KEY, 7, ttl=TTL),
        Resolve(KEY, done=True, ttl=TTL),
        MarkSent(KEY, 1, "honours"),
    ],
    ids=lambda command: type(command).__name__,
)
def test_refused_commands_record_the_clock(
    command: Any,
    away: int,
) -> None:
    """An idempotency command that changes nothing still records a clock step."""
    key = KeyCaller()
    key.claim()
    previous_state = key.store.cells[KEY]
    key.store.now += away
    key.store.execute(command)
    later_state = key.store.cells[KEY]
    assert key.store.now == later_state[0]
    assert previous_state[2:6] == later_state[2:6]
