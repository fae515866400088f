"""One effect per key, beside vendors that honour keys for a while or not at all."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mooring.domain.admission import Admission, Answer, Gates
from mooring.domain.durations import DAY, HOUR, SECOND
from mooring.domain.idempotency import (
    TABLE,
    Claim,
    MarkSent,
    Resolve,
    Settle,
    Verdict,
    Withdraw,
    abandon,
    checked_key,
    complete,
    present,
    release,
)
from mooring.domain.state import SMALL_STEP
from mooring.errors import InvalidData
from tests.domain.state_world import World, helpful

if TYPE_CHECKING:
    from collections.abc import Callable

    from mooring.domain.idempotency import Claimed, Settled

KEY = "k"
LEASE = 35 * SECOND
TTL = 2 * DAY
MEMORY = {"honours": 3 * HOUR, "forgetful": 40 * SECOND, "ignores": 0}
"""For how long each vendor honours a key that it was sent."""


@attrs.define(eq=False)
class Holder:
    """Somebody who was told to run, or to ask again."""

    owner: int
    fence: int
    verdict: Verdict
    target: str
    until: int
    """When it stops by its own clock, having been paused or not."""
    marked: bool = False
    sent: bool = False
    answer: str | None = None


class Machine(RuleBasedStateMachine):
    """Callers that crash, vendors that forget, clocks that step, people who look things up.

    `real` is time as it passes for callers and vendors. Every vendor remembers keys a little longer
    than it says: by what the store's clock has lost.
    """

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.real = self.lost = 0
        self.owners = 0
        self.holders: list[Holder] = []
        self.unheard: list[int] = []
        self.memory: dict[str, tuple[int, str]] = {}
        self.begin()

    def begin(self) -> None:
        """The key is new, or was forgotten after its time to live."""
        self.stage, self.owner, self.until, self.sent_at = "absent", 0, 0, 0
        self.payload = b""
        self.target = ""
        self.effects: list[str] = []
        self.answers: set[str] = set()
        self.holders.clear()
        self.memory.clear()
        self.aside = 0
        self.final: Holder | None = None

    @initialize(vendor=st.sampled_from(list(MEMORY)))
    def prefer(self, vendor: str) -> None:
        """Most claims go to one vendor."""
        self.usual = vendor

    # --- time -------------------------------------------------------------------------------

    def judge(self) -> int:
        """The time by the store, as it must judge it, counted on over every step."""
        now = self.world.now
        seen, quiet = self.world.cells.get(KEY, (now, DAY))[:2]
        if seen - now > SMALL_STEP:
            self.aside += seen - now
            seen = now
        elif now - seen >= quiet:
            self.begin()
        return int(max(now, seen)) + self.aside

    @rule(span=st.one_of(st.integers(0, 40 * SECOND), st.just(LEASE), st.integers(0, HOUR)))
    def wait(self, span: int) -> None:
        """Time passes."""
        self.real += span
        self.world.now += span

    @rule(span=st.integers(0, 2 * DAY), seldom=st.integers(0, 5))
    def sleep(self, span: int, seldom: int) -> None:
        """Much time passes."""
        self.wait(0 if seldom else span)

    @rule(
        back=st.one_of(st.integers(1, SMALL_STEP), st.integers(SMALL_STEP + 1, 2 * DAY)),
        seldom=st.integers(0, 2),
    )
    def step(self, back: int, seldom: int) -> None:
        """The store's clock steps back."""
        if not seldom:
            self.world.now -= back
            self.lost += back

    # --- the key ----------------------------------------------------------------------------

    def named(self, time: int) -> str:
        """What the table calls the state of the key."""
        if self.stage == "claimed" and time >= self.until:
            return "claimed, lapsed"
        return "unknown" if self.stage == "sent" and time >= self.until else self.stage

    @rule(
        payload=st.sampled_from([b"one", b"one", b"one", b"two"]),
        usual=st.sampled_from([True, True, True, False]),
        vendor=st.sampled_from(list(MEMORY)),
        again=st.booleans(),
    )
    def claim(self, payload: bytes, usual: bool, vendor: str, again: bool) -> None:  # noqa: FBT001 - as drawn
        """Somebody claims the key, and asks again if the answer was lost."""
        self.owners += 1
        command = claim(self.owners, self.usual if usual else vendor, payload)
        for _ in range(2 if again else 1):
            time = self.judge()
            self.claimed(command, self.world.execute(command), time)

    def claimed(self, command: Claim, claimed: Claimed, time: int) -> None:
        """Compare an answer with what it must be."""
        before = self.named(time)
        if self.stage != "absent" and command.fingerprint != self.payload:
            assert Verdict.CONFLICT is claimed.verdict
            return
        event = "claim"
        if before in {"claimed", "sent"}:
            event += " by its owner" if self.owner == command.owner else " by another"
        elif before == "unknown":
            remembers = time + LEASE <= self.sent_at + command.remembered
            remembers = remembers and self.target == command.target
            event += ", the vendor remembers the key" if remembers else ", the vendor does not"
        taken = claimed.verdict in {Verdict.RUN, Verdict.ASK_AGAIN} and "owner" not in event
        if taken:
            self.owner, self.until = command.owner, time + LEASE
            until = self.real + LEASE
            self.holders.append(
                Holder(command.owner, claimed.fence, claimed.verdict, command.target, until)
            )
        if taken and claimed.verdict is Verdict.RUN:
            self.stage, self.payload, self.target = "claimed", command.fingerprint, command.target
            self.sent_at = 0
        assert (before, event, self.named(time), claimed.verdict) in TABLE
        if claimed.verdict is Verdict.REPLAY:
            self.answers.add(claimed.answer)
        assert (self.until - time if claimed.verdict is Verdict.BUSY else 0) == claimed.wait

    @rule()
    def claim_unheard(self) -> None:
        """Somebody claims the key and never hears the answer."""
        holders = len(self.holders)
        self.claim(payload=b"one", usual=True, vendor="", again=False)
        del self.holders[holders:]
        self.unheard.append(self.owners)

    @precondition(lambda self: self.unheard)
    @rule(number=st.integers(0, 3))
    def withdraw(self, number: int) -> None:
        """Whoever never heard of its claim gives it up, however late."""
        owner = self.unheard.pop(-1 - number % len(self.unheard))
        time = self.judge()
        self.world.execute(Withdraw(KEY, owner, ttl=TTL))
        if self.owner == owner and self.stage == "claimed":
            self.stage = "free"
        elif self.owner == owner and self.stage == "sent":
            self.until = time

    def pick(self, number: int) -> Holder:
        """One of the holders, the latest most often."""
        return self.holders[-1 - number % len(self.holders)]

    def holds(self, holder: Holder) -> bool:
        """Whether a holder's fence is the key's."""
        return self.stage in {"claimed", "sent"} and self.owner == holder.owner

    @precondition(lambda self: self.holders)
    @rule(number=st.integers(0, 3))
    def mark(self, number: int) -> None:
        """A holder is about to send."""
        holder = self.pick(number)
        time = self.judge()
        if not self.holders:
            return
        question = Admission(Gates(), within=0, lease=0, claim=(KEY, holder.fence, holder.target))
        answer, _, _, _ = self.world.execute(question)
        allowed = self.holds(holder) and time < self.until
        assert (Answer.GO if allowed else Answer.FENCED) is answer
        if allowed:
            holder.marked = True
            self.sent_at = self.sent_at or time
            self.stage = "sent"

    @precondition(lambda self: any(holder.marked for holder in self.holders))
    @rule(number=st.integers(0, 3), heard=st.booleans())
    def send(self, number: int, heard: bool) -> None:  # noqa: FBT001 - as drawn
        """A holder whose lease has not ended sends; the answer may be lost."""
        holder = self.pick(number)
        keeps = MEMORY[holder.target]
        if not holder.marked or self.real > holder.until or (holder.sent and not keeps):
            return
        holder.sent = True
        since, answer = self.memory.get(holder.target, (0, ""))
        if not answer or not keeps or self.real > since + keeps + self.lost:
            answer = f"effect {len(self.effects)} at {holder.target}"
            self.effects.append(answer)
            self.memory[holder.target] = (self.real, answer)
        if heard:
            holder.answer = answer

    @rule(heard=st.booleans(), crash=st.booleans(), later=st.sampled_from([0, LEASE - 1, LEASE]))
    def attempt(self, heard: bool, crash: bool, later: int) -> None:  # noqa: FBT001 - as drawn
        """A caller does all it can in a row, or crashes after sending."""
        holders = len(self.holders)
        self.claim(payload=b"one", usual=True, vendor="", again=False)
        if len(self.holders) > holders:
            self.mark(number=0)
            self.send(number=0, heard=heard)
            if crash:
                self.crash(number=0)
        self.wait(later)

    @precondition(lambda self: any(holder.answer for holder in self.holders))
    @rule(number=st.integers(0, 3), times=st.integers(1, 2))
    def complete(self, number: int, times: int) -> None:
        """A holder that heard the answer says so, twice if it is not sure to have been heard."""
        holder = self.pick(number)
        if holder.answer is None:
            return
        for _ in range(times):
            self.judge()
            if holder not in self.holders:
                return
            settled = self.world.execute(complete(KEY, holder.fence, holder.answer, ttl=TTL))
            if self.holds(holder):
                self.stage = "done"
                self.final = holder
            self.settled(holder, settled)
            if settled.held:
                self.answers.add(holder.answer)
        self.holders.remove(holder)

    def settled(self, holder: Holder, settled: Settled) -> None:
        """Compare what a holder is told with what it must be."""
        done = self.stage == "done"
        assert (done and self.final is holder) is settled.held
        if not settled.held:
            assert done is settled.done
            if done:
                self.answers.add(settled.answer)

    @precondition(lambda self: self.holders)
    @rule(number=st.integers(0, 3), times=st.integers(1, 2))
    def give_up(self, number: int, times: int) -> None:
        """A holder goes: it has certainly done nothing, or it does not know."""
        holder = self.pick(number)
        certain = holder.verdict is Verdict.RUN and not holder.sent
        command = (release if certain else abandon)(KEY, holder.fence, ttl=TTL)
        held = None
        for _ in range(times):
            time = self.judge()
            if holder not in self.holders:
                return
            settled = self.world.execute(command)
            if self.holds(holder):
                if certain or self.stage == "claimed":
                    self.stage = "free"
                else:
                    self.until = time
            assert held in (None, settled.held)
            held = settled.held
        self.holders.remove(holder)

    @precondition(lambda self: self.holders)
    @rule(number=st.integers(0, 3))
    def crash(self, number: int) -> None:
        """A holder is no more."""
        self.holders.remove(self.pick(number))

    @rule()
    def resolve(self) -> None:
        """A person looks the operation up at the vendor and settles the key as it is."""
        time = self.judge()
        done = bool(self.effects)
        answer = self.effects[0] if done else None
        command = Resolve(KEY, done=done, ttl=TTL, answer=answer)
        assert (self.named(time) == "unknown") is self.world.execute(command)
        if self.named(time) == "unknown":
            self.stage, self.owner = ("done" if done else "free"), 0
            self.final = None
            if answer:
                self.answers.add(answer)

    @rule()
    def forget(self) -> None:
        """The store drops what is past its time to live."""
        self.world.forget()
        if not self.world.cells:
            self.begin()

    # --- laws -------------------------------------------------------------------------------

    @invariant()
    def at_most_one_effect(self) -> None:
        """Whatever happens, the vendors together have acted at most once."""
        assert len(self.effects) <= 1

    @invariant()
    def never_two_answers(self) -> None:
        """Everybody who is given an answer is given the same."""
        assert self.answers <= set(self.effects)


def claim(owner: int, target: str = "honours", payload: bytes = b"one", **changes: Any) -> Claim:
    """A claim as the machine's callers make it."""
    details: dict[str, Any] = {"lease": LEASE, "ttl": TTL, "remembered": MEMORY.get(target, HOUR)}
    return Claim(KEY, fingerprint=payload, owner=owner, target=target, **(details | changes))


TestIdempotency = Machine.TestCase
TestIdempotency.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


class Keyed:
    """One key, and short ways to say what happens to it."""

    def __init__(self) -> None:
        self.world = World()
        self.owner = 0

    def claim(self, target: str = "honours", payload: bytes = b"one", **changes: Any) -> Claimed:
        """Claim it."""
        self.owner += 1
        return self.world.execute(claim(self.owner, target, payload, **changes))

    def mark(self, fence: int, target: str = "honours") -> bool:
        """Mark it as sent, if that may be."""
        question = Admission(Gates(), within=0, lease=0, claim=(KEY, fence, target))
        return self.world.execute(question)[0] is Answer.GO

    def sent(self, target: str = "honours", **changes: Any) -> int:
        """Claim it and mark it as sent."""
        claimed = self.claim(target, **changes)
        assert Verdict.RUN is claimed.verdict
        assert self.mark(claimed.fence, target)
        return claimed.fence

    def settle(self, command: Settle) -> Settled:
        """Settle it."""
        return self.world.execute(command)


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
    assert (False, False, None) == key.settle(complete(KEY, first.fence, "late", ttl=TTL))
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
def test_a_person_settles_an_unknown_key(done: bool, verdict: Verdict, answer: object) -> None:  # noqa: FBT001
    """An unknown key is resolved with an answer or as never done, and its holder is fenced off."""
    key = Keyed()
    resolve = Resolve(KEY, done=done, ttl=TTL, answer="found")
    assert not key.world.execute(resolve)
    fence = key.sent("ignores")
    assert not key.world.execute(resolve)
    key.world.now += LEASE
    assert key.world.execute(resolve)
    assert not key.world.execute(resolve)
    settled = key.settle(complete(KEY, fence, "late", ttl=TTL))
    assert (False, done, answer) == settled
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


@pytest.mark.parametrize("back", [1, SMALL_STEP, SMALL_STEP + 1, HOUR, 40 * DAY])
def test_a_backward_step_neither_ends_nor_extends_a_lease(back: int) -> None:
    """After a step back a holder holds for as long as before, or up to two seconds longer."""
    key = Keyed()
    fence = key.claim().fence
    key.world.now += 30 * SECOND
    key.claim()
    key.world.now -= back
    assert 5 * SECOND == key.claim().wait
    assert key.mark(fence)
    key.world.now += 5 * SECOND - 1
    assert Verdict.BUSY is key.claim().verdict
    key.world.now += 1 + SMALL_STEP
    assert Verdict.ASK_AGAIN is key.claim().verdict


@pytest.mark.parametrize("back", [SMALL_STEP + 1, HOUR])
@pytest.mark.parametrize("over, verdict", [(0, Verdict.ASK_AGAIN), (1, Verdict.UNKNOWN)])
def test_a_step_back_leaves_the_vendors_memory_as_it_is(
    back: int, over: int, verdict: Verdict
) -> None:
    """What is left of a vendor's memory is left after a step, no more and no less."""
    key = Keyed()
    key.sent()
    key.world.now -= back
    key.claim()
    key.world.now += 2 * LEASE + over
    assert verdict is key.claim(remembered=3 * LEASE).verdict


def test_a_key_is_forgotten_after_its_time_to_live_and_not_before() -> None:
    """An answer is replayed for its time to live; then the key is as new, kept or dropped."""
    key = Keyed()
    key.settle(complete(KEY, key.sent(), "answer", ttl=TTL))
    key.world.now += TTL - 1
    key.world.forget()
    assert Verdict.REPLAY is key.claim().verdict
    key.world.now += 1
    kept = key.claim()
    key.world.cells.clear()
    assert kept == key.claim()
    assert Verdict.RUN is kept.verdict


@pytest.mark.parametrize("back", [SMALL_STEP + 1, HOUR])
def test_a_step_back_leaves_the_time_to_live_as_it_is(back: int) -> None:
    """What is left of an answer's time is left after a step, no more and no less."""
    key = Keyed()
    key.settle(complete(KEY, key.sent(), "answer", ttl=TTL))
    key.world.now += HOUR
    key.claim()
    key.world.now -= back
    key.claim()
    key.world.now += TTL - HOUR - 1
    assert Verdict.REPLAY is key.claim().verdict
    key.world.now += 1
    assert Verdict.RUN is key.claim().verdict


def test_a_fence_of_a_forgotten_life_opens_nothing() -> None:
    """A holder from before its key was forgotten cannot touch the key's next life."""
    key = Keyed()
    old = key.sent()
    key.world.now += LEASE + TTL
    assert (False, False, None) == key.settle(complete(KEY, old, "late", ttl=TTL))
    assert key.claim().fence > old
    assert (False, False, None) == key.settle(complete(KEY, old, "late", ttl=TTL))


@pytest.mark.parametrize("key", ["a", "INV-2041/1", "x" * 255, "with space", "~!"])
def test_usable_keys(key: str) -> None:
    """Any printable ASCII without a space at either end, up to 255 characters, is a key."""
    assert key == checked_key(key)


@pytest.mark.parametrize(
    "key", [None, "", " ", " a", "a ", "x" * 256, "a\n", "a\0b", "é", "\x7f", 7, b"a", True]
)
def test_no_key_is_never_taken_for_no_protection(key: object) -> None:
    """A key that is missing, empty, too long or not plain is a typed error."""
    with pytest.raises(InvalidData) as caught:
        checked_key(key)
    assert "idempotency_key" == caught.value.field
    assert helpful(caught.value)


@given(st.text(max_size=300))
def test_a_key_fits_into_a_header(text: str) -> None:
    """What is taken as a key can be sent as a header as it is."""
    fits = 0 < len(text) <= 255 and text.isascii() and text.isprintable() and text == text.strip()
    try:
        taken = checked_key(text)
    except InvalidData:
        assert not fits
    else:
        assert fits
        assert text == taken


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


@pytest.mark.parametrize("away", [-HOUR, HOUR])
@pytest.mark.parametrize(
    "command",
    [
        claim(2, "honours", b"another"),
        complete(KEY, 1, "late", ttl=TTL),
        Withdraw(KEY, 7, ttl=TTL),
        Resolve(KEY, done=True, ttl=TTL),
        MarkSent(KEY, 1, "honours"),
    ],
    ids=lambda command: type(command).__name__,
)
def test_what_changes_nothing_hears_of_the_time(
    command: Any,
    away: int,
) -> None:
    """A state that is left as it is goes by the clock all the same, ahead and back."""
    key = Keyed()
    key.claim()
    before = key.world.cells[KEY]
    key.world.now += away
    key.world.execute(command)
    after = key.world.cells[KEY]
    assert key.world.now == after[0]
    assert before[2:6] == after[2:6]
