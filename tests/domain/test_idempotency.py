"""One effect per key, rule by rule."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from moorage.domain.durations import HOUR, SECOND
from moorage.domain.idempotency import (
    TABLE,
    Claim,
    MarkSent,
    Renew,
    Resolve,
    Verdict,
    Withdraw,
    abandon,
    complete,
    present,
    release,
)
from moorage.domain.state import SMALL_STEP
from tests.domain.key_caller import KEY, LEASE, SHORT, TTL, Keyed, claim

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.idempotency import Settle


def named(key: Keyed) -> str:
    """What the table calls the state of a key."""
    entry = present(key.world.cells.get(KEY), key.world.now)
    if entry is None:
        return "absent"
    name = ("claimed", "sent", "done", "free")[entry[2]]
    lapsed = {"claimed": "claimed, lapsed", "sent": "unknown"}
    return lapsed.get(name, name) if entry[0] >= entry[6] else name


def event(before: str, owner: int, target: str) -> str:
    """What the table calls a claim."""
    if before in {"claimed", "sent"}:
        return "claim by its owner" if owner == 1 else "claim by another"
    if before == "unknown":
        honoured = target == "honours"
        return f"claim, the vendor {'remembers the key' if honoured else 'does not'}"
    return "claim"


def test_a_claim_meets_exactly_what_the_table_says() -> None:
    """Every row of the table happens, and nothing else does."""
    seen: set[tuple[str, str, str, Verdict]] = set()
    prepare: list[Callable[[Keyed], object]] = [
        lambda key: key,
        lambda key: key.claim(),
        lambda key: key.sent(),
        lambda key: key.settle(complete(KEY, key.sent(), "answer", ttl=TTL)),
        lambda key: key.settle(release(KEY, key.sent(), ttl=TTL)),
    ]
    for before, late in product(prepare, (0, LEASE)):
        for owner, target in ((1, "honours"), (2, "honours"), (2, "ignores")):
            key = Keyed()
            before(key)
            key.world.now += late
            state = named(key)
            verdict = key.world.execute(claim(owner, target)).verdict
            seen.add((state, event(state, owner, target), named(key), verdict))
    assert set(TABLE) == seen


@pytest.mark.parametrize("ending", ["none", "claimed", "sent", "unknown", "done", "free"])
def test_another_payload_is_a_conflict_in_every_state(ending: str) -> None:
    """A key that was used for one payload is refused for another, whatever became of it."""
    key = Keyed()
    fence = key.claim().fence
    if ending in {"sent", "unknown", "done"}:
        assert key.mark(fence)
    if ending == "done":
        key.settle(complete(KEY, fence, "answer", ttl=TTL))
    if ending == "free":
        key.settle(release(KEY, fence, ttl=TTL))
    if ending in {"unknown", "none"}:
        key.world.now += LEASE
    assert (Verdict.CONFLICT, 0, 0, None) == key.claim(payload=b"two")


def test_a_crashed_holders_key_is_free_after_its_lease_if_nothing_was_sent() -> None:
    """A claim that lapses before it was sent is taken again, under a higher fence."""
    key = Keyed()
    first = key.claim()
    assert (Verdict.BUSY, 0, LEASE, None) == key.claim()
    key.world.now += LEASE - 1
    assert 1 == key.claim().wait
    key.world.now += 1
    second = key.claim()
    assert (Verdict.RUN, first.fence + 1) == (second.verdict, second.fence)
    assert not key.mark(first.fence)
    assert not key.renew(first.fence)
    assert not key.settle(release(KEY, first.fence, ttl=TTL)).held
    assert (True, False, None) == key.settle(complete(KEY, second.fence, "answer", ttl=TTL))
    assert (Verdict.REPLAY, 0, 0, "answer") == key.claim()
    assert (False, True, "answer") == key.settle(complete(KEY, first.fence, "late", ttl=TTL))


def test_a_claim_that_is_repeated_is_told_the_same() -> None:
    """Whoever lost the answer to its claim asks again and gets it, fence and all."""
    key = Keyed()
    first = key.claim()
    assert first == key.world.execute(claim(1))
    assert key.mark(first.fence)
    assert (Verdict.ASK_AGAIN, first.fence) == key.world.execute(claim(1))[:2]
    key.world.now += LEASE
    again = key.claim()
    assert (Verdict.ASK_AGAIN, first.fence + 1) == again[:2]
    assert again == key.world.execute(claim(2))


def test_what_changes_nothing_is_not_written() -> None:
    """A claim that is refused leaves the state alone, but notes the time now and then."""
    key = Keyed()
    fence = key.claim().fence
    state = key.world.cells[KEY]
    key.world.now += SMALL_STEP
    key.claim()
    key.claim(payload=b"two")
    key.world.execute(Resolve(KEY, done=True, ttl=TTL))
    key.world.execute(Withdraw(KEY, 9, ttl=TTL))
    key.settle(complete(KEY, fence + 1, "other", ttl=TTL))
    assert state is key.world.cells[KEY]
    key.world.now += 1
    key.claim()
    assert (key.world.now, state[1] - SMALL_STEP - 1) == key.world.cells[KEY][:2]
    assert state[2:] == key.world.cells[KEY][2:]


def test_a_lapsed_claim_can_no_longer_be_sent() -> None:
    """The sent mark is refused at the end of the lease, whoever else may have come."""
    key = Keyed()
    fence = key.claim().fence
    key.world.now += LEASE
    assert not key.mark(fence)
    assert not Keyed().mark(fence)


@pytest.mark.parametrize("target", ["ignores", "other"])
def test_an_unknown_key_is_asked_again_only_where_it_is_honoured(target: str) -> None:
    """Neither a vendor that knows no keys nor another one is asked what became of it."""
    key = Keyed()
    key.sent()
    key.world.now += LEASE
    assert Verdict.UNKNOWN is key.claim(target).verdict
    assert Verdict.ASK_AGAIN is key.claim().verdict


@pytest.mark.parametrize("over, verdict", [(0, Verdict.ASK_AGAIN), (1, Verdict.UNKNOWN)])
def test_it_is_asked_again_only_while_it_is_remembered(over: int, verdict: Verdict) -> None:
    """The whole lease of who asks again lies within the vendor's memory, from the first sending."""
    key = Keyed()
    key.claim()
    key.world.now += LEASE
    fence = key.claim().fence
    key.world.now += SECOND
    assert key.mark(fence)
    key.world.now += SECOND
    assert key.mark(fence)
    key.world.now += 2 * LEASE - SECOND + over
    assert verdict is key.claim(remembered=3 * LEASE).verdict


def test_whoever_abandons_a_sent_key_leaves_it_unknown_at_once() -> None:
    """Nobody waits for the lease of a holder that said it goes; its late answer is still right."""
    key = Keyed()
    fence = key.sent("ignores")
    for _ in range(2):
        assert key.settle(abandon(KEY, fence, ttl=TTL)).held
    assert Verdict.UNKNOWN is key.claim("ignores").verdict
    assert not key.mark(fence)
    assert key.settle(complete(KEY, fence, "answer", ttl=TTL)).held
    assert "answer" == key.claim("ignores").answer


def test_whoever_abandons_an_unsent_key_frees_it() -> None:
    """A claim that was never sent may be taken again at once, however often that is said."""
    key = Keyed()
    fence = key.claim().fence
    for _ in range(2):
        assert key.settle(abandon(KEY, fence, ttl=TTL)).held
    assert Verdict.RUN is key.claim().verdict
    assert not key.settle(release(KEY, fence, ttl=TTL)).held


def test_a_stored_answer_never_changes() -> None:
    """What was answered once is answered for ever: to holders, repeats, people and newcomers."""
    key = Keyed()
    fence = key.sent()
    for _ in range(2):
        assert key.settle(complete(KEY, fence, "answer", ttl=TTL)).held
    for command in (
        complete(KEY, fence + 1, "other", ttl=TTL),
        release(KEY, fence, ttl=TTL),
        abandon(KEY, fence, ttl=TTL),
    ):
        assert (False, True, "answer") == key.settle(command)
    assert not key.world.execute(Resolve(KEY, done=True, ttl=TTL, answer="other"))
    assert (Verdict.REPLAY, 0, 0, "answer") == key.claim("ignores")


@pytest.mark.parametrize(
    "done, verdict, answer", [(True, Verdict.REPLAY, "found"), (False, Verdict.RUN, None)]
)
def test_a_person_settles_an_unknown_key(done: bool, verdict: Verdict, answer: object) -> None:
    """An unknown key is resolved with an answer or as never done; its holder sends no more."""
    key = Keyed()
    resolve = Resolve(KEY, done=done, ttl=TTL, answer="found")
    assert not key.world.execute(resolve)
    fence = key.sent("ignores")
    assert not key.world.execute(resolve)
    key.world.now += LEASE
    assert key.world.execute(resolve)
    assert not key.world.execute(resolve)
    assert not key.renew(fence)
    assert not key.mark(fence)
    claimed = key.claim("ignores")
    assert (verdict, answer) == (claimed.verdict, claimed.answer)
    assert (0 if done else fence + 2) == claimed.fence


def test_a_claim_that_nobody_heard_of_is_withdrawn() -> None:
    """Whoever never heard the answer to its claim gives up that claim, and no other."""
    key = Keyed()
    key.world.execute(Withdraw(KEY, 1, ttl=TTL))
    key.claim()
    key.world.execute(Withdraw(KEY, 2, ttl=TTL))
    assert Verdict.BUSY is key.claim().verdict
    key.world.execute(Withdraw(KEY, 1, ttl=TTL))
    fence = key.claim("ignores").fence
    assert key.mark(fence)
    key.world.execute(Withdraw(KEY, 3, ttl=TTL))
    assert Verdict.UNKNOWN is key.claim("ignores").verdict
    key.settle(complete(KEY, fence, "answer", ttl=TTL))
    key.world.execute(Withdraw(KEY, 3, ttl=TTL))
    assert "answer" == key.claim().answer


def test_a_claim_in_another_store_is_marked_by_itself() -> None:
    """The mark is the one that an admission makes, and only the holder may make it."""
    key, other = Keyed(), Keyed()
    fence, same = key.claim().fence, other.claim().fence
    assert key.world.execute(MarkSent(KEY, fence, "honours"))
    assert other.mark(same)
    assert other.world.cells == key.world.cells

    before = key.world.cells[KEY]
    assert not key.world.execute(MarkSent(KEY, fence + 1, "honours"))
    assert before is key.world.cells[KEY]
    key.world.now -= HOUR
    assert not key.world.execute(MarkSent(KEY, fence + 1, "honours"))
    assert key.world.now == key.world.cells[KEY][0]
    assert not Keyed().world.execute(MarkSent(KEY, fence, "honours"))


def test_a_key_is_asked_again_of_whom_it_was_sent_to_last() -> None:
    """The mark says to whom a key is sent; whoever claims for another is told nothing more."""
    key = Keyed()
    fence = key.claim("forgets").fence
    assert key.mark(fence, "forgets")
    assert key.mark(fence, "honours")
    key.world.now += LEASE

    assert Verdict.UNKNOWN is key.claim("forgets", remembered=HOUR).verdict
    assert Verdict.ASK_AGAIN is key.claim("honours").verdict


# --- renewal ----------------------------------------------------------------------------------


def test_a_claim_lasts_as_long_as_it_is_renewed() -> None:
    """Each renewal keeps others away for one more lease, counted from the renewal."""
    key = Keyed()
    fence = key.claim(lease=SHORT, term=LEASE).fence
    for _ in range(20):
        key.world.now += SHORT - 1
        assert key.renew(fence, SHORT)
        assert (Verdict.BUSY, 0, SHORT, None) == key.claim()
    key.world.now += SHORT
    assert Verdict.RUN is key.claim().verdict


def test_a_renewal_never_shortens_a_lease() -> None:
    """A claim that lasts longer than the renewal would make it lasts as long as before."""
    key = Keyed()
    fence = key.claim().fence
    assert key.renew(fence, SHORT)
    assert LEASE == key.claim().wait


@pytest.mark.parametrize("sent", [False, True])
def test_a_late_renewal_counts_while_nobody_else_has_taken_the_key(sent: bool) -> None:
    """A holder that was paused has its claim again, also after others were told it is unknown."""
    key = Keyed()
    fence = key.claim("ignores", lease=SHORT, term=LEASE).fence
    assert not sent or key.mark(fence, "ignores")
    key.world.now += SHORT
    assert not sent or Verdict.UNKNOWN is key.claim("ignores").verdict
    assert key.renew(fence, SHORT)
    assert (Verdict.BUSY, SHORT) == (key.claim("ignores").verdict, key.claim("ignores").wait)
    assert key.mark(fence, "ignores")


def test_a_claim_that_was_taken_over_is_not_renewed() -> None:
    """The renewal of a holder whose key somebody else asks again changes nothing."""
    key = Keyed()
    fence = key.sent(lease=SHORT, term=LEASE)
    key.world.now += SHORT
    assert Verdict.ASK_AGAIN is key.claim(lease=SHORT, term=LEASE).verdict
    before = key.world.cells[KEY]
    assert not key.renew(fence, SHORT)
    assert before is key.world.cells[KEY]


@pytest.mark.parametrize("ending", [complete, release, abandon])
def test_a_claim_that_has_ended_is_not_renewed(ending: Callable[..., Settle]) -> None:
    """Whoever has let a key go, in whatever way, does not get it back by a renewal under way."""
    key = Keyed()
    fence = key.sent()
    arguments = (KEY, fence, "answer") if ending is complete else (KEY, fence)
    assert key.settle(ending(*arguments, ttl=TTL)).held
    assert not key.renew(fence)
    assert not Keyed().renew(fence)


def test_several_claims_are_renewed_at_once() -> None:
    """One command renews what is still held, and says of each whether it is."""
    key = Keyed()
    first, other = (
        key.world.execute(
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
    key.world.now += SHORT
    held = [("absent", 1, TTL), ("first", first, TTL), ("other", other + 1, TTL)]
    assert (False, True, False) == key.world.execute(Renew(held, lease=SHORT))
    assert {"first", "other"} == key.world.cells.keys()


def test_a_claim_that_is_renewed_is_not_forgotten() -> None:
    """A holder at work for longer than its answer would be kept is still known as its holder."""
    key = Keyed()
    fence = key.claim(lease=SHORT, term=LEASE).fence
    for _ in range(3):
        key.world.now += LEASE + TTL - 1
        assert key.renew(fence)
    assert Verdict.BUSY is key.claim().verdict


# --- what is late -----------------------------------------------------------------------------


def test_an_answer_settles_the_key_also_after_it_was_taken_over() -> None:
    """The effect did happen, so the first answer is the key's, and everybody gets that one."""
    key = Keyed()
    first = key.sent()
    key.world.now += LEASE
    second = key.claim().fence
    for _ in range(2):
        assert key.settle(complete(KEY, first, "answer", ttl=TTL)).held
    assert not key.mark(second)
    assert not key.renew(second)
    assert (False, True, "answer") == key.settle(complete(KEY, second, "other", ttl=TTL))
    assert (Verdict.REPLAY, 0, 0, "answer") == key.claim()


def test_an_answer_that_comes_after_a_key_was_settled_as_never_done_is_kept() -> None:
    """Then nobody else brings the effect about any more, not even who has the key by now."""
    key = Keyed()
    fence = key.sent("ignores")
    key.world.now += LEASE
    assert key.world.execute(Resolve(KEY, done=False, ttl=TTL))
    later = key.claim("ignores").fence
    assert key.settle(complete(KEY, fence, "answer", ttl=TTL)).held
    assert not key.mark(later, "ignores")
    assert "answer" == key.claim("ignores").answer


def test_an_answer_from_before_a_key_was_forgotten_says_nothing_of_a_new_one() -> None:
    """What a key is used for after it was forgotten is another effect, with another answer."""
    key = Keyed()
    fence = key.sent()
    key.world.now += LEASE + TTL
    later = key.claim(payload=b"two").fence
    assert (False, False, None) == key.settle(complete(KEY, fence, "answer", ttl=TTL))
    assert key.settle(complete(KEY, later, "other", ttl=TTL)).held


def test_a_key_is_not_settled_as_never_done_while_its_request_may_be_under_way() -> None:
    """Its holder is gone, and what it has sent may arrive as late as its deadline allows."""
    key = Keyed()
    key.sent("ignores", lease=SHORT, term=LEASE)
    never, done = (Resolve(KEY, done=done, ttl=TTL, answer="found") for done in (False, True))
    key.world.now += SHORT
    assert (Verdict.UNKNOWN, 0, LEASE - SHORT, None) == key.claim("ignores")
    key.world.now += LEASE - SHORT - 1
    assert not key.world.execute(never)
    key.world.now += 1
    assert (Verdict.UNKNOWN, 0, 0, None) == key.claim("ignores")
    assert key.world.execute(never)

    other = Keyed()
    other.sent("ignores", lease=SHORT, term=LEASE)
    other.world.now += SHORT
    assert other.world.execute(done)


def test_who_asks_again_may_send_only_while_the_vendor_remembers() -> None:
    """Its whole term lies within the vendor's memory, however short its lease is."""
    key = Keyed()
    key.sent(lease=SHORT, term=LEASE)
    key.world.now += SHORT
    short: dict[str, Any] = {"lease": SHORT, "term": LEASE}
    assert Verdict.UNKNOWN is key.claim(remembered=SHORT + LEASE - 1, **short).verdict
    assert Verdict.ASK_AGAIN is key.claim(remembered=SHORT + LEASE, **short).verdict
