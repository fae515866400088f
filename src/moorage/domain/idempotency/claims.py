"""Rules for idempotency keys: a caller claims a key, acts, and stores the result.

Laws:

1. Another payload under the same key is a conflict, in every state.
2. A holder acts under a fencing number, which each later claim raises. A holder with an older
   number can neither send nor release; only its answer still settles the key, if no other answer
   has settled it.
3. A lease is short, and renewed while its holder lives. A late renewal still succeeds, as long as
   nobody else has taken the key.
4. `sent` is written before the first byte leaves. A claim that expires before it may be taken
   again; a claim that expires after it is *unknown*, a stage that is derived when the state is
   read, and never stored.
5. An unknown key is sent again only to the same vendor and account, with the same vendor key, and
   only if the vendor remembers the key for as long as the new holder may send. In every other case
   a person must resolve it. It can be resolved as never done only when nothing that was sent can
   still be under way.
6. A stored answer never changes.

A state is `(seen, keep_for, stage, fingerprint, fence, owner, until, ends, sent_at, target,
answer)`: the lease lasts until `until`; any request of its holder has ended by `ends`; an owner of
0 has given up the claim.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from moorage.domain.state.commands import (
    MISREAD,
    misread_state_error,
    reading_time,
    refusing_unreadable_states,
    with_times_moved_back,
)
from moorage.domain.values.frozen_values import frozen
from moorage.domain.values.named_tuples import new_tuple
from moorage.domain.values.patterns import late_pattern
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.domain.state.commands import State, States
    from moorage.domain.values.fingerprints import Fingerprint

CLAIMED: Final = 0
SENT: Final = 1
DONE: Final = 2
FREE: Final = 3

LEASE: Final = 1_500_000
"""Microseconds that a claim lasts without a renewal, if its holder can renew it."""

RENEWAL: Final = 500_000
"""Microseconds between two renewals of a claim, so that one of them may fail."""

_ONE_LIFE: Final = 1_000_000
"""The maximum distance between fencing numbers of one key, as each starts from the store's time."""

_KEY: Final = late_pattern(r"[!-~](?:[ -~]{0,253}[!-~])?")

Entry: TypeAlias = "tuple[int, int, int, bytes | Fingerprint, int, int, int, int, int, str, Any]"


class Verdict(Enum):
    """The store's decision about a caller's claim; `RUN` permits the caller to send its request.

    `ABSENT` is the reply to a claim that may not make a new record.
    """

    RUN = "run"
    ASK_AGAIN = "ask_again"
    REPLAY = "replay"
    CONFLICT = "conflict"
    BUSY = "busy"
    UNKNOWN = "unknown"
    ABSENT = "absent"


class AllowedActions(Enum):
    """The actions that a call is allowed: send, send again, or only get the stored result."""

    FRESH = "fresh"
    """The call may send the request, whether or not it was sent before."""
    AGAIN = "again"
    """The call may only send a request that was sent before."""
    STORED = "stored"
    """The call may not send anything; it only gets the stored result."""


@frozen(kw_only=True)
class KeyUse:
    """The rules by which one call uses its idempotency key, such as whether it may repeat.

    Attributes:
        round: the number of times that the key's effect was settled as never done; each round has
            its own claim.
        reach: the actions that the caller is allowed.
        repeats: whether a request whose response was lost may be sent again: always (True), never
            (False), or according to the service's idempotency settings (None).
    """

    round: int = 0
    reach: AllowedActions = AllowedActions.FRESH
    repeats: bool | None = None


AS_USUAL: Final = KeyUse()


TABLE: Final = (
    ("absent", "claim", "claimed", Verdict.RUN),
    ("claimed", "claim by its owner", "claimed", Verdict.RUN),
    ("claimed", "claim by another", "claimed", Verdict.BUSY),
    ("claimed, lapsed", "claim", "claimed", Verdict.RUN),
    ("sent", "claim by its owner", "sent", Verdict.ASK_AGAIN),
    ("sent", "claim by another", "sent", Verdict.BUSY),
    ("unknown", "claim, the vendor remembers the key", "sent", Verdict.ASK_AGAIN),
    ("unknown", "claim, the vendor does not", "unknown", Verdict.UNKNOWN),
    ("done", "claim", "done", Verdict.REPLAY),
    ("free", "claim", "claimed", Verdict.RUN),
)
"""The states of a key and a claim's effects: state, event, next state, verdict."""


class ClaimResult(NamedTuple):
    """The store's reply to a claim of an idempotency key: the decision and its reasons.

    Attributes:
        verdict: the decision.
        fence: the fencing number of the claim, if the caller has one now.
        wait: microseconds. For BUSY, the rest of the other holder's lease; for UNKNOWN, the time
            for which the lost request may still be under way; for RUN, the time for which a
            previous holder, whose lease is over, may still be at work.
        answer: the stored result.
    """

    verdict: Verdict
    fence: int = 0
    wait: int = 0
    answer: Any = None


class SettleResult(NamedTuple):
    """The store's reply when a claim ends: whether it was still held, and the key's state."""

    held: bool
    done: bool = False
    answer: Any = None


_HELD_RESULT: Final = SettleResult(held=True)


class Claim:
    """The command that claims an idempotency key for one caller, named by a random number.

    `lease` is the time that the claim lasts without a renewal, and `term` the longest time that its
    holder may be at work, by default the lease. `remembered` is the time for which the target
    honours a key that it has received; 0 if it does not accept keys.
    """

    __slots__ = ("fingerprint", "keys", "lease", "owner", "remembered", "target", "term", "ttl")
    once = False
    durable = True

    def __init__(
        self,
        key: str,
        *,
        fingerprint: bytes | Fingerprint,
        owner: int,
        lease: int,
        ttl: int,
        target: str,
        remembered: int,
        term: int | None = None,
    ) -> None:
        self.keys = (key,)
        self.fingerprint = fingerprint
        self.owner = owner
        self.lease = lease
        self.term = lease if term is None else term
        self.ttl = ttl
        self.target = target
        self.remembered = remembered

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, ClaimResult]:
        """Return the key's new state and the decision about the claim, according to `TABLE`."""
        entry = unexpired(states[0], now)
        if entry is None:
            return self._taken_states(now, now), new_tuple(ClaimResult, (Verdict.RUN, now, 0, None))
        states = with_times_moved_back(CLAIMS, states, now)
        (
            state_time,
            _,
            stage,
            fingerprint,
            fence,
            owner,
            lease_end,
            claim_end,
            sent_at,
            target,
            answer,
        ) = entry
        if fingerprint != self.fingerprint:
            return states, ClaimResult(Verdict.CONFLICT)
        if stage == DONE:
            return states, new_tuple(ClaimResult, (Verdict.REPLAY, 0, 0, answer))
        if stage != FREE and owner == self.owner and state_time < lease_end:
            claim_verdict = Verdict.RUN if stage == CLAIMED else Verdict.ASK_AGAIN
            return states, ClaimResult(claim_verdict, fence)
        if stage == FREE or (stage == CLAIMED and state_time >= lease_end):
            claimed_states, wait = (
                self._taken_states(state_time, fence + 1, claim_end),
                max(0, claim_end - state_time),
            )
            return claimed_states, ClaimResult(Verdict.RUN, fence + 1, wait)
        if state_time < lease_end:
            return states, ClaimResult(Verdict.BUSY, wait=lease_end - state_time)
        latest_end = state_time + self.term
        if target != self.target or latest_end > sent_at + self.remembered:
            return states, ClaimResult(Verdict.UNKNOWN, wait=max(0, claim_end - state_time))
        fence, lease_end, claim_end = fence + 1, state_time + self.lease, max(claim_end, latest_end)
        keep_for = claim_end - state_time + self.ttl
        new_entry = (
            *(state_time, keep_for, SENT, fingerprint, fence, self.owner),
            *(lease_end, claim_end, sent_at, target, None),
        )
        return (new_entry,), ClaimResult(Verdict.ASK_AGAIN, fence)

    def _taken_states(self, now: int, fence: int, earliest_end: int = 0) -> States:
        lease_end, claim_end = now + self.lease, max(earliest_end, now + self.term)
        keep_for = claim_end - now + self.ttl
        fingerprint, owner, target = self.fingerprint, self.owner, self.target
        return (
            (
                now,
                keep_for,
                CLAIMED,
                fingerprint,
                fence,
                owner,
                lease_end,
                claim_end,
                0,
                target,
                None,
            ),
        )


class Renew:
    """The command that renews the leases of several claims of one process.

    `held` contains, for each claim, the key, the fencing number, and the lifetime of its answer.
    """

    __slots__ = ("held", "keys", "lease")
    once = False
    durable = False

    def __init__(self, held: Iterable[tuple[str, int, int]], *, lease: int) -> None:
        self.held = tuple(held)
        self.keys = tuple(key for key, _, _ in self.held)
        self.lease = lease

    @property
    def rules(self) -> tuple[Claims, ...]:
        """Return the rules by which the store decides which stored claims are still valid."""
        return CLAIMS * len(self.keys)

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, tuple[bool, ...]]:
        """Return whether each claim was renewed, so that its caller still holds it."""
        new_states: list[State | None] = []
        ownerships: list[bool] = []
        for state, (_, fence, ttl) in zip(states, self.held, strict=True):
            entry = unexpired(state, now)
            renewed_entry = None if entry is None else _renewed_entry(entry, fence, self.lease, ttl)
            ownerships.append(renewed_entry is not None)
            new_states.append(renewed_entry or with_times_moved_back(CLAIMS, (state,), now)[0])
        return tuple(new_states), tuple(ownerships)


def _renewed_entry(entry: Entry, fence: int, lease: int, ttl: int) -> Entry | None:
    (
        state_time,
        keep_for,
        stage,
        fingerprint,
        is_held,
        owner,
        lease_end,
        claim_end,
        sent_at,
        target,
        answer,
    ) = entry
    if is_held != fence or stage not in (CLAIMED, SENT) or not owner:
        return None
    keep_for, lease_end = max(keep_for, lease + ttl), max(lease_end, state_time + lease)
    return (
        *(state_time, keep_for, stage, fingerprint, fence, owner),
        *(lease_end, claim_end, sent_at, target, answer),
    )


class Settle:
    """The command that ends a claim, if the claim still has the fencing number `fence`.

    A result settles the key even under an older fencing number, because the effect has happened.
    """

    __slots__ = ("answer", "fence", "keys", "stage", "ttl")
    once = False
    durable = True

    def __init__(
        self, key: str, fence: int, stage: int, *, ttl: int, answer: object = None
    ) -> None:
        self.keys = (key,)
        self.fence = fence
        self.stage = stage
        self.ttl = ttl
        self.answer = answer

    def apply(self, states: States, now: int) -> tuple[States, SettleResult]:
        """Return a key's state after its claim has ended, and whether the claim was still held."""
        try:
            entry = unexpired(states[0], now)
            if entry is None:
                return states, SettleResult(held=False)
            stage, fence, answer = entry[2], entry[4], entry[10]
            is_late = self.stage == DONE != stage and 0 <= fence - self.fence < _ONE_LIFE
            if is_late or (fence == self.fence and stage in (CLAIMED, SENT)):
                ended_entry = _ended_entry(entry, self.fence, self.stage, self.ttl, self.answer)
                return (ended_entry,), _HELD_RESULT
            # A claim that was never sent was abandoned, which has freed its key.
            is_held = fence == self.fence and stage == (FREE if self.stage == SENT else self.stage)
            return with_times_moved_back(CLAIMS, states, now), SettleResult(
                is_held, stage == DONE, answer
            )
        except MISREAD as error:
            failure = misread_state_error(error, self.keys, (), states, now)
        raise failure


def store_answer(key: str, fence: int, answer: object, *, ttl: int) -> Settle:
    """Return the command that stores a claim's result and settles its idempotency key."""
    return Settle(key, fence, DONE, ttl=ttl, answer=answer)


def release_claim(key: str, fence: int, *, ttl: int) -> Settle:
    """Return the command that frees an idempotency key whose claim certainly had no effect.

    A holder whose verdict was `ASK_AGAIN` must not use it, because the previous holder may have
    acted.
    """
    return Settle(key, fence, FREE, ttl=ttl)


def abandon_claim(key: str, fence: int, *, ttl: int) -> Settle:
    """Return the command that ends a claim and marks the call's outcome as unknown.

    The key becomes unknown if its request was sent, and free otherwise.
    """
    return Settle(key, fence, SENT, ttl=ttl)


class WriteRecordOfHolder:
    """The command that writes a permanent record if the claim still belongs to the caller.

    An existing record under the key stays.
    """

    __slots__ = ("answer", "fence", "fingerprint", "keys", "ttl")
    once = False
    durable = True

    def __init__(
        self, claim: str, fence: int, key: str, answer: object, *, fingerprint: bytes, ttl: int
    ) -> None:
        self.keys = (claim, key)
        self.fence = fence
        self.answer = answer
        self.fingerprint = fingerprint
        self.ttl = ttl

    @property
    def rules(self) -> tuple[Claims, ...]:
        """Return the rules by which the store decides which claims and records are still valid."""
        return CLAIMS * len(self.keys)

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, bool]:
        """Return True if the claim belongs to the caller, and the stored record is the caller's."""
        claim, entry = (unexpired(state, now) for state in states)
        if claim is None or claim[4] != self.fence or claim[2] not in (CLAIMED, SENT):
            return with_times_moved_back(CLAIMS * 2, states, now), False
        if entry is not None and entry[2] == DONE:
            return with_times_moved_back(CLAIMS * 2, states, now), bool(entry[10] == self.answer)
        record = (now, self.ttl, DONE, self.fingerprint, now, 0, now, now, 0, "", self.answer)
        return (states[0], record), True


class Withdraw:
    """The command that ends a claim if its caller did not receive the store's reply."""

    __slots__ = ("keys", "owner", "ttl")
    once = False
    durable = True

    def __init__(self, key: str, owner: int, *, ttl: int) -> None:
        self.keys = (key,)
        self.owner = owner
        self.ttl = ttl

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, None]:
        """Return the state without the claim of this owner; claims of other owners are kept."""
        entry = unexpired(states[0], now)
        if entry is None:
            return states, None
        if entry[5] != self.owner or entry[2] not in (CLAIMED, SENT):
            return with_times_moved_back(CLAIMS, states, now), None
        return (_ended_entry(entry, entry[4], SENT, self.ttl, None),), None


class MarkSent:
    """The command that marks a claim as sent, if claims have a separate store."""

    __slots__ = ("fence", "keys", "target")
    once = False
    durable = True

    def __init__(self, key: str, fence: int, target: str) -> None:
        self.keys = (key,)
        self.fence = fence
        self.target = target

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, bool]:
        """Return True if the claim still belongs to the caller, who may then send the request."""
        sent_claim = mark_sent(unexpired(states[0], now), self.fence, self.target)
        return (
            (with_times_moved_back(CLAIMS, states, now), False)
            if sent_claim is None
            else ((sent_claim,), True)
        )


class Resolve:
    """The command that marks a key of unknown outcome as done or not done, after a look-up.

    It settles the key as never done only if no request under the key can still be in progress.
    """

    __slots__ = ("answer", "done", "keys", "ttl")
    once = True
    durable = True

    def __init__(self, key: str, *, done: bool, ttl: int, answer: object = None) -> None:
        self.keys = (key,)
        self.done = done
        self.ttl = ttl
        self.answer = answer if done else None

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, bool]:
        """Return True if the idempotency key had an unknown outcome and is settled now."""
        entry = unexpired(states[0], now)
        if entry is None:
            return states, False
        unknown_until = entry[6] if self.done else max(entry[6], entry[7])
        if entry[2] != SENT or entry[0] < unknown_until:
            return with_times_moved_back(CLAIMS, states, now), False
        stage = DONE if self.done else FREE
        return (_ended_entry(entry, entry[4] + 1, stage, self.ttl, self.answer),), True


class ReadUnknown:
    """The command that reads whether the outcome of an idempotency key is unknown."""

    __slots__ = ("keys",)
    once = False
    durable = True

    def __init__(self, key: str) -> None:
        self.keys = (key,)

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, bool]:
        """Return True if a request was sent under the key, and its caller has lost the claim."""
        entry = unexpired(states[0], now)
        return states, entry is not None and entry[2] == SENT and entry[0] >= entry[6]


class ReadRecord:
    """The command that reads an idempotency key's permanent record without claiming the key."""

    __slots__ = ("keys",)
    once = False
    durable = True

    def __init__(self, key: str) -> None:
        self.keys = (key,)

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, Any]:
        """Return the idempotency key's permanent record; None if there is none."""
        entry = unexpired(states[0], now)
        return states, None if entry is None or entry[2] != DONE else entry[10]


class WrittenRecord(NamedTuple):
    """The record that a key has after an attempt to write it.

    Attributes:
        value: the stored value; `CONFLICT` if it was written for another payload.
        is_own: True if this writer's value was stored, False if an earlier one was there.
    """

    value: Any
    is_own: bool


class WriteRecordOnce:
    """The command that writes a permanent record if there is none yet.

    The first writer's record stays, and its payload: another payload is a conflict.

    The command is a single step, and no writer holds the key, so a killed writer blocks no other.
    `writer` is a random number by which a command that a store repeats recognises its own record;
    without it, a repeated command takes its own record for an earlier one.
    """

    __slots__ = ("fingerprint", "keys", "ttl", "value", "writer")
    once = False
    durable = True

    def __init__(
        self, key: str, value: object, *, fingerprint: bytes, ttl: int, writer: int = 0
    ) -> None:
        self.keys = (key,)
        self.value = value
        self.fingerprint = fingerprint
        self.ttl = ttl
        self.writer = writer

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, WrittenRecord]:
        """Return the record that is stored now: the command's own, or an earlier one."""
        entry = unexpired(states[0], now)
        if entry is not None and entry[2] == DONE:
            is_same = entry[3] == self.fingerprint
            is_own = entry[5] == self.writer != 0
            return states, WrittenRecord(entry[10] if is_same else Verdict.CONFLICT, is_own)
        state_time, fence = (now, now) if entry is None else (entry[0], entry[4] + 1)
        record = (
            state_time,
            self.ttl,
            DONE,
            self.fingerprint,
            fence,
            self.writer,
            state_time,
            state_time,
            0,
            "",
            self.value,
        )
        return (record,), WrittenRecord(self.value, is_own=True)


def _ended_entry(entry: Entry, fence: int, stage: int, ttl: int, answer: object) -> Entry:
    """Return the state of an idempotency key after its claim has ended."""
    state_time, _, old_stage, fingerprint, _, _, _, _, sent_at, target, _ = entry
    stage = FREE if stage == SENT != old_stage else stage
    return (
        state_time,
        ttl,
        stage,
        fingerprint,
        fence,
        0,
        state_time,
        state_time,
        sent_at,
        target,
        answer,
    )


def mark_sent(entry: Entry | None, fence: int, target: str) -> Entry | None:
    """Return the claim, marked as sent to `target`; None if the caller has lost it.

    A holder may send to another target than before only if nothing was done at the first target.
    """
    if entry is None or entry[4] != fence or entry[2] not in (CLAIMED, SENT):
        return None
    state_time, keep_for, _, fingerprint, _, owner, lease_end, claim_end, sent_at, _, _ = entry
    if state_time >= lease_end:
        return None
    sent_at = sent_at or state_time
    return (
        state_time,
        keep_for,
        SENT,
        fingerprint,
        fence,
        owner,
        lease_end,
        claim_end,
        sent_at,
        target,
        None,
    )


def unexpired(state: State | None, now: int) -> Entry | None:
    """Return the present state of an idempotency key; None if it has expired.

    If the clock stepped back, all times in the state are moved back with it.
    """
    if state is None:
        return None
    (
        state_time,
        keep_for,
        stage,
        fingerprint,
        fence,
        owner,
        lease_end,
        claim_end,
        sent_at,
        target,
        answer,
    ) = state
    time, time_shift = reading_time(state_time, now)
    keep_for -= time - state_time + time_shift
    if keep_for <= 0:
        return None
    lease_end, claim_end, sent_at = (
        lease_end - time_shift,
        claim_end - time_shift,
        sent_at - time_shift if sent_at else 0,
    )
    return (
        time,
        keep_for,
        stage,
        fingerprint,
        fence,
        owner,
        lease_end,
        claim_end,
        sent_at,
        target,
        answer,
    )


class Claims:
    """The rule by which the store decides whether a stored claim is still valid."""

    present = staticmethod(unexpired)


CLAIMS: Final[tuple[Claims, ...]] = (Claims(),)


def checked_key(value: object) -> str:
    """Return a valid idempotency key; raise an error for anything else, including None."""
    if isinstance(value, str) and _KEY.fullmatch(value):
        return value
    raise InvalidData(
        "An idempotency key must be 1 to 255 printable ASCII characters, without a space at"
        " either end.",
        field="idempotency_key",
        remedy="Pass a key that identifies this operation, such as the invoice's number and a"
        " counter.",
    )
