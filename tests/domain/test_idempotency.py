"""Idempotency keys: one effect per key, rule by rule."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from moorage.domain.idempotency.claims import (
    TABLE,
    Claim,
    MarkSent,
    ReadUnknown,
    Renew,
    Resolve,
    Verdict,
    Withdraw,
    abandon_claim,
    release_claim,
    store_answer,
    unexpired,
)
from moorage.domain.state.commands import SMALL_STEP
from moorage.domain.values.durations import HOUR, SECOND
from tests.domain.key_caller import KEY, LEASE, SHORT, TTL, KeyCaller, claim

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.idempotency.claims import Settle


def state_name(key: KeyCaller) -> str:
    """Return the name of an idempotency key's state, as in the documented table of transitions."""
    entry = unexpired(key.store.cells.get(KEY), key.store.now)
    if entry is None:
        return "absent"
    name = ("claimed", "sent", "done", "free")[entry[2]]
    lapsed_names = {"claimed": "claimed, lapsed", "sent": "unknown"}
    return lapsed_names.get(name, name) if entry[0] >= entry[6] else name


def event(before: str, owner: int, target: str) -> str:
    """Return the name of a claim, as in the documented table of transitions."""
    if before in {"claimed", "sent"}:
        return "claim by its owner" if owner == 1 else "claim by another"
    if before == "unknown":
        is_honoured = target == "honours"
        return f"claim, the vendor {'remembers the key' if is_honoured else 'does not'}"
    return "claim"


def test_claim_makes_exactly_the_documented_transitions() -> None:
    """Each documented transition of an idempotency key happens, and no other."""
    seen_transitions: set[tuple[str, str, str, Verdict]] = set()
    prepare: list[Callable[[KeyCaller], object]] = [
        lambda key: key,
        lambda key: key.claim(),
        lambda key: key.claim_and_send(),
        lambda key: key.settle(store_answer(KEY, key.claim_and_send(), "answer", ttl=TTL)),
        lambda key: key.settle(release_claim(KEY, key.claim_and_send(), ttl=TTL)),
    ]
    for prepare_key, lateness in product(prepare, (0, LEASE)):
        for owner, target in ((1, "honours"), (2, "honours"), (2, "ignores")):
            key = KeyCaller()
            prepare_key(key)
            key.store.now += lateness
            state = state_name(key)
            assert (state == "unknown") is key.store.execute(ReadUnknown(KEY))
            verdict = key.store.execute(claim(owner, target)).verdict
            seen_transitions.add((state, event(state, owner, target), state_name(key), verdict))
    assert set(TABLE) == seen_transitions


@pytest.mark.parametrize("ending", ["none", "claimed", "sent", "unknown", "done", "free"])
def test_another_payload_is_a_conflict_in_every_state(ending: str) -> None:
    """An idempotency key used for one payload is refused for another, in every state."""
    key = KeyCaller()
    fencing_token = key.claim().fence
    if ending in {"sent", "unknown", "done"}:
        assert key.mark(fencing_token)
    if ending == "done":
        key.settle(store_answer(KEY, fencing_token, "answer", ttl=TTL))
    if ending == "free":
        key.settle(release_claim(KEY, fencing_token, ttl=TTL))
    if ending in {"unknown", "none"}:
        key.store.now += LEASE
    assert (Verdict.CONFLICT, 0, 0, None) == key.claim(payload=b"two")


def test_expired_unsent_claim_is_taken_over() -> None:
    """If a claim expires before its request is sent, another caller takes over the key."""
    key = KeyCaller()
    first = key.claim()
    assert (Verdict.BUSY, 0, LEASE, None) == key.claim()
    key.store.now += LEASE - 1
    assert 1 == key.claim().wait
    key.store.now += 1
    second = key.claim()
    assert (Verdict.RUN, first.fence + 1) == (second.verdict, second.fence)
    assert not key.mark(first.fence)
    assert not key.renew(first.fence)
    assert not key.settle(release_claim(KEY, first.fence, ttl=TTL)).held
    assert (True, False, None) == key.settle(store_answer(KEY, second.fence, "answer", ttl=TTL))
    assert (Verdict.REPLAY, 0, 0, "answer") == key.claim()
    assert (False, True, "answer") == key.settle(store_answer(KEY, first.fence, "late", ttl=TTL))


def test_repeated_claim_has_the_same_answer() -> None:
    """A caller that repeats its claim of a key gets the same reply and the same fencing token."""
    key = KeyCaller()
    first = key.claim()
    assert first == key.store.execute(claim(1))
    assert key.mark(first.fence)
    assert (Verdict.ASK_AGAIN, first.fence) == key.store.execute(claim(1))[:2]
    key.store.now += LEASE
    repeated_claim = key.claim()
    assert (Verdict.ASK_AGAIN, first.fence + 1) == repeated_claim[:2]
    assert repeated_claim == key.store.execute(claim(2))


def test_refused_claim_changes_only_the_recorded_time() -> None:
    """A refused claim of an idempotency key changes nothing, except the recorded time."""
    key = KeyCaller()
    fencing_token = key.claim().fence
    state = key.store.cells[KEY]
    key.store.now += SMALL_STEP
    key.claim()
    key.claim(payload=b"two")
    key.store.execute(Resolve(KEY, done=True, ttl=TTL))
    key.store.execute(Withdraw(KEY, 9, ttl=TTL))
    key.settle(store_answer(KEY, fencing_token + 1, "other", ttl=TTL))
    assert state is key.store.cells[KEY]
    key.store.now += 1
    key.claim()
    assert (key.store.now, state[1] - SMALL_STEP - 1) == key.store.cells[KEY][:2]
    assert state[2:] == key.store.cells[KEY][2:]


def test_expired_claim_cannot_be_marked_sent() -> None:
    """A claim whose lease has ended cannot be marked as sent."""
    key = KeyCaller()
    fencing_token = key.claim().fence
    key.store.now += LEASE
    assert not key.mark(fencing_token)
    assert not KeyCaller().mark(fencing_token)


@pytest.mark.parametrize("target", ["ignores", "other"])
def test_unknown_outcome_is_retried_only_at_vendors_that_honour_keys(target: str) -> None:
    """A key with an unknown outcome is retried only at the same vendor, if it honours keys."""
    key = KeyCaller()
    key.claim_and_send()
    key.store.now += LEASE
    assert Verdict.UNKNOWN is key.claim(target).verdict
    assert Verdict.ASK_AGAIN is key.claim().verdict


@pytest.mark.parametrize("over, verdict", [(0, Verdict.ASK_AGAIN), (1, Verdict.UNKNOWN)])
def test_retry_ends_within_the_vendors_memory(over: int, verdict: Verdict) -> None:
    """A retry is allowed only if the vendor will remember the key until the retry's lease ends."""
    key = KeyCaller()
    key.claim()
    key.store.now += LEASE
    fencing_token = key.claim().fence
    key.store.now += SECOND
    assert key.mark(fencing_token)
    key.store.now += SECOND
    assert key.mark(fencing_token)
    key.store.now += 2 * LEASE - SECOND + over
    assert verdict is key.claim(remembered=3 * LEASE).verdict


def test_abandoned_sent_key_is_unknown_at_once() -> None:
    """If a caller abandons a key after sending, the outcome is unknown at once.

    A late response is still accepted.
    """
    key = KeyCaller()
    fencing_token = key.claim_and_send("ignores")
    for _ in range(2):
        assert key.settle(abandon_claim(KEY, fencing_token, ttl=TTL)).held
    assert Verdict.UNKNOWN is key.claim("ignores").verdict
    assert not key.mark(fencing_token)
    assert key.settle(store_answer(KEY, fencing_token, "answer", ttl=TTL)).held
    assert "answer" == key.claim("ignores").answer


def test_abandoned_unsent_key_is_free() -> None:
    """If a caller abandons a key before sending, the key is free at once."""
    key = KeyCaller()
    fencing_token = key.claim().fence
    for _ in range(2):
        assert key.settle(abandon_claim(KEY, fencing_token, ttl=TTL)).held
    assert Verdict.RUN is key.claim().verdict
    assert not key.settle(release_claim(KEY, fencing_token, ttl=TTL)).held


def test_a_stored_answer_never_changes() -> None:
    """The stored response of an idempotency key never changes.

    All callers get the same response.
    """
    key = KeyCaller()
    fencing_token = key.claim_and_send()
    for _ in range(2):
        assert key.settle(store_answer(KEY, fencing_token, "answer", ttl=TTL)).held
    for command in (
        store_answer(KEY, fencing_token + 1, "other", ttl=TTL),
        release_claim(KEY, fencing_token, ttl=TTL),
        abandon_claim(KEY, fencing_token, ttl=TTL),
    ):
        assert (False, True, "answer") == key.settle(command)
    assert not key.store.execute(Resolve(KEY, done=True, ttl=TTL, answer="other"))
    assert (Verdict.REPLAY, 0, 0, "answer") == key.claim("ignores")


@pytest.mark.parametrize(
    "done, verdict, answer", [(True, Verdict.REPLAY, "found"), (False, Verdict.RUN, None)]
)
def test_a_person_settles_an_unknown_key(done: bool, verdict: Verdict, answer: object) -> None:
    """A person can resolve an unknown idempotency key with an answer or as never done."""
    key = KeyCaller()
    resolve = Resolve(KEY, done=done, ttl=TTL, answer="found")
    assert not key.store.execute(resolve)
    fencing_token = key.claim_and_send("ignores")
    assert not key.store.execute(resolve)
    key.store.now += LEASE
    assert key.store.execute(resolve)
    assert not key.store.execute(resolve)
    assert not key.renew(fencing_token)
    assert not key.mark(fencing_token)
    claim_answer = key.claim("ignores")
    assert (verdict, answer) == (claim_answer.verdict, claim_answer.answer)
    assert (0 if done else fencing_token + 2) == claim_answer.fence


def test_caller_can_withdraw_only_its_own_claim() -> None:
    """A caller that lost the reply to its claim can withdraw this claim, and no other claim."""
    key = KeyCaller()
    key.store.execute(Withdraw(KEY, 1, ttl=TTL))
    key.claim()
    key.store.execute(Withdraw(KEY, 2, ttl=TTL))
    assert Verdict.BUSY is key.claim().verdict
    key.store.execute(Withdraw(KEY, 1, ttl=TTL))
    fencing_token = key.claim("ignores").fence
    assert key.mark(fencing_token)
    key.store.execute(Withdraw(KEY, 3, ttl=TTL))
    assert Verdict.UNKNOWN is key.claim("ignores").verdict
    key.settle(store_answer(KEY, fencing_token, "answer", ttl=TTL))
    key.store.execute(Withdraw(KEY, 3, ttl=TTL))
    assert "answer" == key.claim().answer


def test_mark_sent_marks_only_the_claim_of_its_owner() -> None:
    """MarkSent marks a claim as sent, as an admission does, and only for the claim's owner."""
    key, other_key = KeyCaller(), KeyCaller()
    fencing_token, other_token = key.claim().fence, other_key.claim().fence
    assert key.store.execute(MarkSent(KEY, fencing_token, "honours"))
    assert other_key.mark(other_token)
    assert other_key.store.cells == key.store.cells

    previous_state = key.store.cells[KEY]
    assert not key.store.execute(MarkSent(KEY, fencing_token + 1, "honours"))
    assert previous_state is key.store.cells[KEY]
    key.store.now -= HOUR
    assert not key.store.execute(MarkSent(KEY, fencing_token + 1, "honours"))
    assert key.store.now == key.store.cells[KEY][0]
    assert not KeyCaller().store.execute(MarkSent(KEY, fencing_token, "honours"))


def test_retry_goes_to_the_last_target() -> None:
    """A key may be retried only at the target to which its request was last sent."""
    key = KeyCaller()
    fencing_token = key.claim("forgets").fence
    assert key.mark(fencing_token, "forgets")
    assert key.mark(fencing_token, "honours")
    key.store.now += LEASE

    assert Verdict.UNKNOWN is key.claim("forgets", remembered=HOUR).verdict
    assert Verdict.ASK_AGAIN is key.claim("honours").verdict


# --- renewal ----------------------------------------------------------------------------------


def test_renewal_extends_the_lease() -> None:
    """Each renewal extends a claim to one lease from the time of the renewal."""
    key = KeyCaller()
    fencing_token = key.claim(lease=SHORT, term=LEASE).fence
    for _ in range(20):
        key.store.now += SHORT - 1
        assert key.renew(fencing_token, SHORT)
        assert (Verdict.BUSY, 0, SHORT, None) == key.claim()
    key.store.now += SHORT
    assert Verdict.RUN is key.claim().verdict


def test_a_renewal_never_shortens_a_lease() -> None:
    """A renewal never shortens a claim's lease."""
    key = KeyCaller()
    fencing_token = key.claim().fence
    assert key.renew(fencing_token, SHORT)
    assert LEASE == key.claim().wait


@pytest.mark.parametrize("sent", [False, True])
def test_late_renewal_of_an_untaken_key(sent: bool) -> None:
    """A caller that renews its claim late keeps the claim if no other caller has taken the key."""
    key = KeyCaller()
    fencing_token = key.claim("ignores", lease=SHORT, term=LEASE).fence
    assert not sent or key.mark(fencing_token, "ignores")
    key.store.now += SHORT
    assert not sent or Verdict.UNKNOWN is key.claim("ignores").verdict
    assert key.renew(fencing_token, SHORT)
    assert (Verdict.BUSY, SHORT) == (key.claim("ignores").verdict, key.claim("ignores").wait)
    assert key.mark(fencing_token, "ignores")


def test_a_claim_that_was_taken_over_is_not_renewed() -> None:
    """If a claim was taken over, a renewal by its former owner has no effect."""
    key = KeyCaller()
    fencing_token = key.claim_and_send(lease=SHORT, term=LEASE)
    key.store.now += SHORT
    assert Verdict.ASK_AGAIN is key.claim(lease=SHORT, term=LEASE).verdict
    previous_state = key.store.cells[KEY]
    assert not key.renew(fencing_token, SHORT)
    assert previous_state is key.store.cells[KEY]


@pytest.mark.parametrize("ending", [store_answer, release_claim, abandon_claim])
def test_a_claim_that_has_ended_is_not_renewed(ending: Callable[..., Settle]) -> None:
    """A completed, released or abandoned claim cannot be renewed."""
    key = KeyCaller()
    fencing_token = key.claim_and_send()
    arguments = (KEY, fencing_token, "answer") if ending is store_answer else (KEY, fencing_token)
    assert key.settle(ending(*arguments, ttl=TTL)).held
    assert not key.renew(fencing_token)
    assert not KeyCaller().renew(fencing_token)


def test_several_claims_are_renewed_at_once() -> None:
    """One command can renew several claims, and returns whether each claim is still owned."""
    key = KeyCaller()
    first, other_token = (
        key.store.execute(
            Claim(
                name,
                fingerprint=b"one",
                owner=1,
                lease=SHORT,
                ttl=TTL,
                target="ignores",
                remembered=0,
            )
        ).fence
        for name in ("first", "other")
    )
    key.store.now += SHORT
    renewals = [("absent", 1, TTL), ("first", first, TTL), ("other", other_token + 1, TTL)]
    assert (False, True, False) == key.store.execute(Renew(renewals, lease=SHORT))
    assert {"first", "other"} == key.store.cells.keys()


def test_a_claim_that_is_renewed_is_not_forgotten() -> None:
    """A claim is stored as long as its owner renews it, even longer than a response would be."""
    key = KeyCaller()
    fencing_token = key.claim(lease=SHORT, term=LEASE).fence
    for _ in range(3):
        key.store.now += LEASE + TTL - 1
        assert key.renew(fencing_token)
    assert Verdict.BUSY is key.claim().verdict


# --- late answers -----------------------------------------------------------------------------


def test_first_holder_answer_becomes_key_answer() -> None:
    """The first owner's response becomes the key's stored response, even after a takeover."""
    key = KeyCaller()
    first = key.claim_and_send()
    key.store.now += LEASE
    second = key.claim().fence
    for _ in range(2):
        assert key.settle(store_answer(KEY, first, "answer", ttl=TTL)).held
    assert not key.mark(second)
    assert not key.renew(second)
    assert (False, True, "answer") == key.settle(store_answer(KEY, second, "other", ttl=TTL))
    assert (Verdict.REPLAY, 0, 0, "answer") == key.claim()


def test_late_answer_of_a_key_resolved_as_never_done_is_stored() -> None:
    """A late answer of a key resolved as never done is stored, and the new holder cannot send."""
    key = KeyCaller()
    fencing_token = key.claim_and_send("ignores")
    key.store.now += LEASE
    assert key.store.execute(Resolve(KEY, done=False, ttl=TTL))
    later_fence = key.claim("ignores").fence
    assert key.settle(store_answer(KEY, fencing_token, "answer", ttl=TTL)).held
    assert not key.mark(later_fence, "ignores")
    assert "answer" == key.claim("ignores").answer


def test_answer_for_an_expired_key_is_ignored() -> None:
    """A response from before an idempotency key expired does not settle the key's new use."""
    key = KeyCaller()
    fencing_token = key.claim_and_send()
    key.store.now += LEASE + TTL
    later_fence = key.claim(payload=b"two").fence
    assert (False, False, None) == key.settle(store_answer(KEY, fencing_token, "answer", ttl=TTL))
    assert key.settle(store_answer(KEY, later_fence, "other", ttl=TTL)).held


def test_key_cannot_be_resolved_as_never_done_while_its_sent_request_may_still_arrive() -> None:
    """A key cannot be resolved as not done while its request may still arrive at the vendor."""
    key = KeyCaller()
    key.claim_and_send("ignores", lease=SHORT, term=LEASE)
    never, done_claim = (
        Resolve(KEY, done=is_finished, ttl=TTL, answer="found") for is_finished in (False, True)
    )
    key.store.now += SHORT
    assert (Verdict.UNKNOWN, 0, LEASE - SHORT, None) == key.claim("ignores")
    key.store.now += LEASE - SHORT - 1
    assert not key.store.execute(never)
    key.store.now += 1
    assert (Verdict.UNKNOWN, 0, 0, None) == key.claim("ignores")
    assert key.store.execute(never)

    other_key = KeyCaller()
    other_key.claim_and_send("ignores", lease=SHORT, term=LEASE)
    other_key.store.now += SHORT
    assert other_key.store.execute(done_claim)


def test_key_is_retried_only_while_the_vendor_remembers_it() -> None:
    """A key is retried only if the vendor will remember it until the retry must have ended."""
    key = KeyCaller()
    key.claim_and_send(lease=SHORT, term=LEASE)
    key.store.now += SHORT
    term_options: dict[str, Any] = {"lease": SHORT, "term": LEASE}
    assert Verdict.UNKNOWN is key.claim(remembered=SHORT + LEASE - 1, **term_options).verdict
    assert Verdict.ASK_AGAIN is key.claim(remembered=SHORT + LEASE, **term_options).verdict
