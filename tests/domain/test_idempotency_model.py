"""Random use of an idempotency key at vendors that honour keys, compared with a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from moorage.domain.idempotency.claims import (
    TABLE,
    Claim,
    Renew,
    Resolve,
    Verdict,
    Withdraw,
    abandon_claim,
    release_claim,
    store_answer,
)
from moorage.domain.resilience.admission import Admission, Answer, Gates
from moorage.domain.state.commands import SMALL_STEP
from moorage.domain.values.durations import DAY, HOUR, SECOND
from moorage.domain.values.fingerprints import digest_of
from tests.domain.key_caller import KEY, LEASE, MEMORY, SHORT, TTL, claim
from tests.domain.state_store import StateStore
from tests.support.examples import examples

if TYPE_CHECKING:
    from moorage.domain.idempotency.claims import ClaimResult, SettleResult

# Excluded from coverage runs, because other tests cover these lines.
pytestmark = pytest.mark.untraced


@attrs.define(eq=False)
class Holder:
    """A caller whose claim was granted or must be retried."""

    owner: int
    fence: int
    verdict: Verdict
    target: str
    until: int
    """The holder's deadline by its own clock, after which it sends nothing."""
    safe: int
    """The time until which the holder's lease certainly lasts, by its own clock."""
    marked: bool = False
    sent: bool = False
    answer: str | None = None


class KeyMachine(RuleBasedStateMachine):
    """Random claims, crashes, clock steps and operator actions on one idempotency key.

    `real` is the time that passes for callers and vendors. Each vendor remembers keys for longer
    than it declares, namely by the total of the backward steps of the store's clock.
    """

    def __init__(self) -> None:
        super().__init__()
        self.store = StateStore()
        self.real = self.lost = 0
        self.owners = 0
        self.holders: list[Holder] = []
        self.unheard: list[int] = []
        self.memory: dict[str, tuple[int, str]] = {}
        self.begin()

    def begin(self) -> None:
        """Begin with an idempotency key that is new or expired."""
        self.stage, self.owner, self.until, self.ends, self.sent_at = "absent", 0, 0, 0, 0
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
        """Choose the vendor that most claims go to."""
        self.usual = vendor

    # --- time -------------------------------------------------------------------------------

    def judge(self) -> int:
        """Return the time that the store should use, regardless of its clock."""
        now = self.store.now
        seen_at, quiet_span = self.store.cells.get(KEY, (now, DAY))[:2]
        if seen_at - now > SMALL_STEP:
            self.aside += seen_at - now
            seen_at = now
        elif now - seen_at >= quiet_span:
            self.begin()
        return int(max(now, seen_at)) + self.aside

    @rule(
        span=st.one_of(
            *(st.integers(0, 40 * SECOND), st.just(LEASE), st.just(SHORT), st.integers(0, HOUR))
        )
    )
    def wait(self, span: int) -> None:
        """Advance the time by a few seconds."""
        self.real += span
        self.store.now += span

    @rule(span=st.integers(0, 2 * DAY), seldom=st.integers(0, 5))
    def sleep(self, span: int, seldom: int) -> None:
        """Advance the time by a long span."""
        self.wait(0 if seldom else span)

    @rule(
        back=st.one_of(st.integers(1, SMALL_STEP), st.integers(SMALL_STEP + 1, 2 * DAY)),
        seldom=st.integers(0, 2),
    )
    def step(self, back: int, seldom: int) -> None:
        """Set the store's clock back."""
        if not seldom:
            self.store.now -= back
            self.lost += back

    # --- the key ----------------------------------------------------------------------------

    def state_name(self, time: int) -> str:
        """Return the name of the key's state, as in the documented table of transitions."""
        if self.stage == "claimed" and time >= self.until:
            return "claimed, lapsed"
        return "unknown" if self.stage == "sent" and time >= self.until else self.stage

    @rule(
        payload=st.sampled_from([b"one", b"one", b"one", b"two"]),
        usual=st.sampled_from([True, True, True, False]),
        vendor=st.sampled_from(list(MEMORY)),
        again=st.booleans(),
    )
    def claim(self, payload: bytes, usual: bool, vendor: str, again: bool) -> None:
        """Claim the idempotency key, and repeat the claim if its reply was lost."""
        self.owners += 1
        target = self.usual if usual else vendor
        command = claim(self.owners, target, payload, lease=SHORT, term=LEASE)
        for _ in range(2 if again else 1):
            time = self.judge()
            self.compare_claim(command, self.store.execute(command), time)

    def compare_claim(self, command: Claim, claimed: ClaimResult, time: int) -> None:
        """Compare the store's reply to a claim with the model's."""
        previous_name, earlier = self.state_name(time), self.ends
        if self.stage != "absent" and command.fingerprint != self.payload:
            assert Verdict.CONFLICT is claimed.verdict
            return
        event = "claim"
        if previous_name in {"claimed", "sent"}:
            event += " by its owner" if self.owner == command.owner else " by another"
        elif previous_name == "unknown":
            remembers = time + LEASE <= self.sent_at + command.remembered
            remembers = remembers and self.target == command.target
            event += ", the vendor remembers the key" if remembers else ", the vendor does not"
        is_taken = claimed.verdict in {Verdict.RUN, Verdict.ASK_AGAIN} and "owner" not in event
        if is_taken:
            self.owner, self.until = command.owner, time + SHORT
            self.ends = max(self.ends, time + LEASE)
            self.holders.append(
                Holder(
                    command.owner,
                    claimed.fence,
                    claimed.verdict,
                    command.target,
                    until=self.real + LEASE,
                    safe=self.real + SHORT,
                )
            )
        if is_taken and claimed.verdict is Verdict.RUN:
            self.stage, self.payload, self.target = (
                "claimed",
                digest_of(command.fingerprint),
                command.target,
            )
            self.sent_at = 0
        assert (previous_name, event, self.state_name(time), claimed.verdict) in TABLE
        if claimed.verdict is Verdict.REPLAY:
            self.answers.add(claimed.answer)
        waiting_counts = {
            Verdict.BUSY: self.until - time,
            Verdict.UNKNOWN: max(0, self.ends - time),
        }
        if is_taken and claimed.verdict is Verdict.RUN:
            waiting_counts[Verdict.RUN] = max(0, earlier - time)
        assert waiting_counts.get(claimed.verdict, 0) == claimed.wait

    @rule()
    def claim_without_reply(self) -> None:
        """Claim the idempotency key, and never receive the answer."""
        holders = len(self.holders)
        self.claim(payload=b"one", usual=True, vendor="", again=False)
        del self.holders[holders:]
        self.unheard.append(self.owners)

    @precondition(lambda self: self.unheard)
    @rule(number=st.integers(0, 3))
    def withdraw(self, number: int) -> None:
        """Withdraw a claim whose reply was lost."""
        owner = self.unheard.pop(-1 - number % len(self.unheard))
        time = self.judge()
        self.store.execute(Withdraw(KEY, owner, ttl=TTL))
        if self.owner == owner and self.stage == "claimed":
            self.stage, self.ends = "free", time
        elif self.owner == owner and self.stage == "sent":
            self.until = self.ends = time

    def pick(self, number: int) -> Holder:
        """Return one of the holders, most often the latest one."""
        return self.holders[-1 - number % len(self.holders)]

    def is_holding(self, holder: Holder) -> bool:
        """Return whether a holder's fencing token is current."""
        return self.stage in {"claimed", "sent"} and self.owner == holder.owner

    @precondition(lambda self: self.holders)
    @rule(number=st.integers(0, 3))
    def mark(self, number: int) -> None:
        """Mark a holder's claim as sent."""
        holder = self.pick(number)
        time = self.judge()
        if not self.holders:
            return
        question = Admission(Gates(), within=0, lease=0, claim=(KEY, holder.fence, holder.target))
        answer, _, _, _ = self.store.execute(question)
        is_allowed = self.is_holding(holder) and time < self.until
        assert (Answer.GO if is_allowed else Answer.FENCED) is answer
        if is_allowed:
            holder.marked = True
            self.sent_at = self.sent_at or time
            self.stage = "sent"

    @precondition(lambda self: self.holders)
    @rule(number=st.integers(0, 3))
    def renew(self, number: int) -> None:
        """Renew a caller's lease, possibly after it has ended."""
        holder = self.pick(number)
        time = self.judge()
        if self.holders:
            self.renew_claim(holder, time)

    def renew_claim(self, holder: Holder, time: int) -> bool:
        """Renew a claim, and return whether its caller still owns it."""
        (renewal,) = self.store.execute(Renew([(KEY, holder.fence, TTL)], lease=SHORT))
        assert self.is_holding(holder) is renewal
        if renewal:
            self.until = max(self.until, time + SHORT)
            holder.safe = self.real + SHORT
        return renewal

    @precondition(lambda self: any(claim_holder.marked for claim_holder in self.holders))
    @rule(number=st.integers(0, 3), event=st.booleans())
    def send(self, number: int, event: bool) -> None:
        """Send the request of a claim's owner; its response may be lost."""
        holder = self.pick(number)
        keeps = MEMORY[holder.target]
        if self.real >= holder.safe:
            time = self.judge()
            if not self.holders or not self.renew_claim(holder, time):
                return
        if not holder.marked or self.real > holder.until or (holder.sent and not keeps):
            return
        holder.sent = True
        stored_at, answer = self.memory.get(holder.target, (0, ""))
        if not answer or not keeps or self.real > stored_at + keeps + self.lost:
            answer = f"effect {len(self.effects)} at {holder.target}"
            self.effects.append(answer)
            self.memory[holder.target] = (self.real, answer)
        if event:
            holder.answer = answer

    @rule(event=st.booleans(), crash=st.booleans(), later=st.sampled_from([0, LEASE - 1, LEASE]))
    def attempt(self, event: bool, crash: bool, later: int) -> None:
        """Claim the idempotency key, send and perhaps crash, with no other event in between."""
        holders = len(self.holders)
        self.claim(payload=b"one", usual=True, vendor="", again=False)
        if len(self.holders) > holders:
            self.mark(number=0)
            self.send(number=0, event=event)
            if crash:
                self.crash(number=0)
        self.wait(later)

    @precondition(lambda self: any(holder.answer for holder in self.holders))
    @rule(number=st.integers(0, 3), times=st.integers(1, 2))
    def complete(self, number: int, times: int) -> None:
        """Store a holder's answer, perhaps twice."""
        holder = self.pick(number)
        if holder.answer is None:
            return
        for _ in range(times):
            self.judge()
            if holder not in self.holders:
                return
            settlement = self.store.execute(store_answer(KEY, holder.fence, holder.answer, ttl=TTL))
            if self.stage != "done":
                self.stage = "done"
                self.final = holder
            self.compare_settlement(holder, settlement)
            if settlement.held:
                self.answers.add(holder.answer)
        self.holders.remove(holder)

    def compare_settlement(self, holder: Holder, settled: SettleResult) -> None:
        """Compare the store's result of settling a claim with the model's."""
        is_finished = self.stage == "done"
        assert (is_finished and self.final is holder) is settled.held
        if not settled.held:
            assert is_finished is settled.done
            if is_finished:
                self.answers.add(settled.answer)

    @precondition(lambda self: self.holders)
    @rule(number=st.integers(0, 3), times=st.integers(1, 2))
    def give_up(self, number: int, times: int) -> None:
        """Abandon a claim: if nothing was sent, its key is free.

        Otherwise the outcome is unknown.
        """
        holder = self.pick(number)
        certain = holder.verdict is Verdict.RUN and not holder.sent
        command = (release_claim if certain else abandon_claim)(KEY, holder.fence, ttl=TTL)
        is_held = None
        for _ in range(times):
            time = self.judge()
            if holder not in self.holders:
                return
            settlement = self.store.execute(command)
            if self.is_holding(holder):
                self.ends = time
                if certain or self.stage == "claimed":
                    self.stage = "free"
                else:
                    self.until = time
            assert is_held in (None, settlement.held)
            is_held = settlement.held
        self.holders.remove(holder)

    @precondition(lambda self: self.holders)
    @rule(number=st.integers(0, 3))
    def crash(self, number: int) -> None:
        """Remove a caller, as if its process crashed."""
        self.holders.remove(self.pick(number))

    @rule()
    def resolve(self) -> None:
        """Look up the operation at the vendor, as an operator would, and settle the key."""
        time = self.judge()
        done_count = bool(self.effects)
        answer = self.effects[0] if done_count else None
        command = Resolve(KEY, done=done_count, ttl=TTL, answer=answer)
        is_settled = self.state_name(time) == "unknown" and (done_count or time >= self.ends)
        assert is_settled is self.store.execute(command)
        if is_settled:
            self.stage, self.owner, self.ends = ("done" if done_count else "free"), 0, time
            self.final = None
            if answer:
                self.answers.add(answer)

    @rule()
    def forget(self) -> None:
        """Drop states that have expired."""
        self.store.forget()
        if not self.store.cells:
            self.begin()

    # --- laws -------------------------------------------------------------------------------

    @invariant()
    def at_most_one_effect(self) -> None:
        """All vendors together have acted at most once."""
        assert len(self.effects) <= 1

    @invariant()
    def never_two_answers(self) -> None:
        """All callers with the same idempotency key get the same response."""
        assert self.answers <= set(self.effects)


TestIdempotency = KeyMachine.TestCase
TestIdempotency.settings = settings(examples(150), stateful_step_count=60)
