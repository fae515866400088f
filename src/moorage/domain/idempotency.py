"""One effect per key: who may act, who must wait, who gets the stored answer.

Laws:

1. Another payload under the same key is a conflict, in every state.
2. A holder acts under a fence, and a later claim raises it. An older fence sends nothing more and
   frees nothing; only an answer that it brings still settles the key, if no other has.
3. A lease is short, and renewed while its holder lives. A holder whose renewal is late may renew
   it still, as long as nobody else has taken the key.
4. `sent` is written before the first byte leaves. A claim that lapses before it may be taken
   again; one that lapses after it is *unknown*, which is derived and never written.
5. An unknown key is asked again only of the same vendor and account, with the same vendor key,
   by a holder that the vendor remembers it for as long as that one may send; in every other case it
   is a person's to resolve. As never done it can be resolved only when nothing that was sent can
   be under way any more.
6. A stored answer never changes.

A state is `(seen, quiet, stage, fingerprint, fence, owner, until, ends, sent_at, target, answer)`:
the lease lasts until `until`; what its holder may have sent has ended by `ends`; an owner of 0 has
given the claim up.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from moorage.domain.state import steady, unchanged
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.domain.state import State, States

CLAIMED: Final = 0
SENT: Final = 1
DONE: Final = 2
FREE: Final = 3

LEASE: Final = 1_500_000
"""Microseconds that a claim lasts without a renewal, where its holder renews it."""

RENEWAL: Final = 500_000
"""Microseconds between two renewals of a claim, so that one may fail and the next still counts."""

_ONE_LIFE: Final = 1_000_000
"""Fences of one key are closer than this until it is forgotten: each begins as the store's time."""

_KEY: Final = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?")

Entry: TypeAlias = "tuple[int, int, int, bytes, int, int, int, int, int, str, Any]"


class Verdict(Enum):
    """What a claim may do."""

    RUN = "run"
    ASK_AGAIN = "ask_again"
    REPLAY = "replay"
    CONFLICT = "conflict"
    BUSY = "busy"
    UNKNOWN = "unknown"


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
"""What a claim with the right payload meets: state, event, next state, verdict."""


class Claimed(NamedTuple):
    """The answer to a claim.

    Attributes:
        verdict: what the caller may do.
        fence: the number of its claim, if it has one now.
        wait: microseconds: of BUSY the rest of the other holder's lease; of UNKNOWN how long the
            lost request may still be under way; of RUN how long a holder before this one, whose
            lease is over, may still be at work.
        answer: the stored answer.
    """

    verdict: Verdict
    fence: int = 0
    wait: int = 0
    answer: Any = None


class Settled(NamedTuple):
    """Whether the claim was still the caller's; if not, whether another finished, and how."""

    held: bool
    done: bool = False
    answer: Any = None


class Claim:
    """Claim a key for `owner`, a number that this caller made for this claim alone.

    `lease` is how long the claim lasts without a renewal, and `term` how long its holder may be at
    work, as long as the lease by default. `remembered` is how long the target honours a key that it
    was sent; 0 if it knows none.
    """

    __slots__ = ("fingerprint", "keys", "lease", "owner", "remembered", "target", "term", "ttl")
    once = False
    durable = True

    def __init__(
        self,
        key: str,
        *,
        fingerprint: bytes,
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

    def apply(self, states: States, now: int) -> tuple[States, Claimed]:
        """Decide as `TABLE` says."""
        entry = present(states[0], now)
        if entry is None:
            return self._taken(now, now), Claimed(Verdict.RUN, now)
        states = unchanged(CLAIMS, states, now)
        seen, _, stage, fingerprint, fence, owner, until, ends, sent_at, target, answer = entry
        if fingerprint != self.fingerprint:
            return states, Claimed(Verdict.CONFLICT)
        if stage == DONE:
            return states, Claimed(Verdict.REPLAY, answer=answer)
        if stage != FREE and owner == self.owner and seen < until:
            verdict = Verdict.RUN if stage == CLAIMED else Verdict.ASK_AGAIN
            return states, Claimed(verdict, fence)
        if stage == FREE or (stage == CLAIMED and seen >= until):
            taken, wait = self._taken(seen, fence + 1, ends), max(0, ends - seen)
            return taken, Claimed(Verdict.RUN, fence + 1, wait)
        if seen < until:
            return states, Claimed(Verdict.BUSY, wait=until - seen)
        latest = seen + self.term
        if target != self.target or latest > sent_at + self.remembered:
            return states, Claimed(Verdict.UNKNOWN, wait=max(0, ends - seen))
        fence, until, ends = fence + 1, seen + self.lease, max(ends, latest)
        quiet = ends - seen + self.ttl
        again = (
            *(seen, quiet, SENT, fingerprint, fence, self.owner),
            *(until, ends, sent_at, target, None),
        )
        return (again,), Claimed(Verdict.ASK_AGAIN, fence)

    def _taken(self, now: int, fence: int, earlier: int = 0) -> States:
        until, ends = now + self.lease, max(earlier, now + self.term)
        quiet = ends - now + self.ttl
        fingerprint, owner, target = self.fingerprint, self.owner, self.target
        return ((now, quiet, CLAIMED, fingerprint, fence, owner, until, ends, 0, target, None),)


class Renew:
    """Renew the leases of claims that one process holds.

    `held` has for each the key, the fence, and for how long its answer is to be kept.
    """

    __slots__ = ("held", "keys", "lease")
    once = False
    durable = False

    def __init__(self, held: Iterable[tuple[str, int, int]], *, lease: int) -> None:
        self.held = tuple(held)
        self.keys = tuple(key for key, _, _ in self.held)
        self.lease = lease

    def apply(self, states: States, now: int) -> tuple[States, tuple[bool, ...]]:
        """Whether each claim is still its holder's; one that has lapsed and was not taken is."""
        after: list[State | None] = []
        mine: list[bool] = []
        for state, (_, fence, ttl) in zip(states, self.held, strict=True):
            entry = present(state, now)
            renewed = None if entry is None else _renewed(entry, fence, self.lease, ttl)
            mine.append(renewed is not None)
            after.append(renewed or unchanged(CLAIMS, (state,), now)[0])
        return tuple(after), tuple(mine)


def _renewed(entry: Entry, fence: int, lease: int, ttl: int) -> Entry | None:
    seen, quiet, stage, fingerprint, held, owner, until, ends, sent_at, target, answer = entry
    if held != fence or stage not in (CLAIMED, SENT) or not owner:
        return None
    quiet, until = max(quiet, lease + ttl), max(until, seen + lease)
    return (
        *(seen, quiet, stage, fingerprint, fence, owner),
        *(until, ends, sent_at, target, answer),
    )


class Settle:
    """End a claim, or what became of it, if `fence` is still the claim's.

    An answer settles the key under an older fence too, since the effect did happen.
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

    def apply(self, states: States, now: int) -> tuple[States, Settled]:
        """Settle a claim that is still this caller's; an older fence changes nothing."""
        entry = present(states[0], now)
        if entry is None:
            return states, Settled(held=False)
        stage, fence, answer = entry[2], entry[4], entry[10]
        late = self.stage == DONE != stage and 0 <= fence - self.fence < _ONE_LIFE
        if late or (fence == self.fence and stage in (CLAIMED, SENT)):
            ended = _ended(entry, self.fence, self.stage, self.ttl, self.answer)
            return (ended,), Settled(held=True)
        # Whoever abandoned what was never sent had freed it.
        held = fence == self.fence and stage == (FREE if self.stage == SENT else self.stage)
        return unchanged(CLAIMS, states, now), Settled(held, stage == DONE, answer)


def complete(key: str, fence: int, answer: object, *, ttl: int) -> Settle:
    """The effect happened, and this is its answer."""
    return Settle(key, fence, DONE, ttl=ttl, answer=answer)


def release(key: str, fence: int, *, ttl: int) -> Settle:
    """Certainly nothing happened: the key may be taken again.

    Not for a holder that was told to ask again: the one before it may have acted.
    """
    return Settle(key, fence, FREE, ttl=ttl)


def abandon(key: str, fence: int, *, ttl: int) -> Settle:
    """The holder goes without knowing: a key that was sent is unknown, else it is free."""
    return Settle(key, fence, SENT, ttl=ttl)


class Record:
    """Write something down for ever, if a claim is still this caller's: all at once.

    What was written under the key before stays.
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

    def apply(self, states: States, now: int) -> tuple[States, bool]:
        """Whether the claim was the caller's, and this is written there."""
        claim, entry = (present(state, now) for state in states)
        if claim is None or claim[4] != self.fence or claim[2] not in (CLAIMED, SENT):
            return unchanged(CLAIMS * 2, states, now), False
        if entry is not None and entry[2] == DONE:
            return unchanged(CLAIMS * 2, states, now), bool(entry[10] == self.answer)
        written = (now, self.ttl, DONE, self.fingerprint, now, 0, now, now, 0, "", self.answer)
        return (states[0], written), True


class Withdraw:
    """Give up a claim whose answer never arrived, if it was made at all."""

    __slots__ = ("keys", "owner", "ttl")
    once = False
    durable = True

    def __init__(self, key: str, owner: int, *, ttl: int) -> None:
        self.keys = (key,)
        self.owner = owner
        self.ttl = ttl

    def apply(self, states: States, now: int) -> tuple[States, None]:
        """Abandon what `owner` holds; what anybody else holds stays as it is."""
        entry = present(states[0], now)
        if entry is None:
            return states, None
        if entry[5] != self.owner or entry[2] not in (CLAIMED, SENT):
            return unchanged(CLAIMS, states, now), None
        return (_ended(entry, entry[4], SENT, self.ttl, None),), None


class MarkSent:
    """Mark a claim as sent, where it lives in another store than what guards the attempt."""

    __slots__ = ("fence", "keys", "target")
    once = False
    durable = True

    def __init__(self, key: str, fence: int, target: str) -> None:
        self.keys = (key,)
        self.fence = fence
        self.target = target

    def apply(self, states: States, now: int) -> tuple[States, bool]:
        """Whether the claim is still its holder's, and so may be sent."""
        sent = mark_sent(present(states[0], now), self.fence, self.target)
        return (unchanged(CLAIMS, states, now), False) if sent is None else ((sent,), True)


class Resolve:
    """A person or a look-up settles an unknown key: with an answer, or as never done.

    As never done only when nothing that was sent under the key can be under way any more.
    """

    __slots__ = ("answer", "done", "keys", "ttl")
    once = True
    durable = True

    def __init__(self, key: str, *, done: bool, ttl: int, answer: object = None) -> None:
        self.keys = (key,)
        self.done = done
        self.ttl = ttl
        self.answer = answer if done else None

    def apply(self, states: States, now: int) -> tuple[States, bool]:
        """Whether there was an unknown key to settle."""
        entry = present(states[0], now)
        if entry is None:
            return states, False
        over = entry[6] if self.done else max(entry[6], entry[7])
        if entry[2] != SENT or entry[0] < over:
            return unchanged(CLAIMS, states, now), False
        stage = DONE if self.done else FREE
        return (_ended(entry, entry[4] + 1, stage, self.ttl, self.answer),), True


class Written:
    """Read what is written down under a key for ever; nothing is claimed, and nobody waits."""

    __slots__ = ("keys",)
    once = False
    durable = True

    def __init__(self, key: str) -> None:
        self.keys = (key,)

    def apply(self, states: States, now: int) -> tuple[States, Any]:
        """Return it, or None if there is nothing."""
        entry = present(states[0], now)
        return states, None if entry is None or entry[2] != DONE else entry[10]


class WriteOnce:
    """Write a value down under a key, unless one is there: the first writer's stays.

    It is one step, so nobody holds the key in between, and whoever is killed keeps nobody waiting.
    """

    __slots__ = ("fingerprint", "keys", "ttl", "value")
    once = False
    durable = True

    def __init__(self, key: str, value: object, *, fingerprint: bytes, ttl: int) -> None:
        self.keys = (key,)
        self.value = value
        self.fingerprint = fingerprint
        self.ttl = ttl

    def apply(self, states: States, now: int) -> tuple[States, Any]:
        """Return what is written there now."""
        entry = present(states[0], now)
        if entry is not None and entry[2] == DONE:
            return states, entry[10]
        seen, fence = (now, now) if entry is None else (entry[0], entry[4] + 1)
        written = (seen, self.ttl, DONE, self.fingerprint, fence, 0, seen, seen, 0, "", self.value)
        return (written,), self.value


def _ended(entry: Entry, fence: int, stage: int, ttl: int, answer: object) -> Entry:
    """A claim at its end; SENT is asked for by who abandons it, and what was never sent is free."""
    seen, _, before, fingerprint, _, _, _, _, sent_at, target, _ = entry
    stage = FREE if stage == SENT != before else stage
    return (seen, ttl, stage, fingerprint, fence, 0, seen, seen, sent_at, target, answer)


def mark_sent(entry: Entry | None, fence: int, target: str) -> Entry | None:
    """The claim with the mark that it is sent to `target`, or None if it is no longer held.

    A holder that sends it to another target than before knows that nothing was done there.
    """
    if entry is None or entry[4] != fence or entry[2] not in (CLAIMED, SENT):
        return None
    seen, quiet, _, fingerprint, _, owner, until, ends, sent_at, _, _ = entry
    if seen >= until:
        return None
    sent_at = sent_at or seen
    return (seen, quiet, SENT, fingerprint, fence, owner, until, ends, sent_at, target, None)


def present(state: State | None, now: int) -> Entry | None:
    """The state as of now, moved back with a clock that stepped; None once it is forgotten."""
    if state is None:
        return None
    seen, quiet, stage, fingerprint, fence, owner, until, ends, sent_at, target, answer = state
    time, back = steady(seen, now)
    quiet -= time - seen + back
    if quiet <= 0:
        return None
    until, ends, sent_at = until - back, ends - back, sent_at - back if sent_at else 0
    return (time, quiet, stage, fingerprint, fence, owner, until, ends, sent_at, target, answer)


class Claims:
    """Claims move with a clock as limits and circuits do."""

    present = staticmethod(present)


CLAIMS: Final[tuple[Claims, ...]] = (Claims(),)


def checked_key(value: object) -> str:
    """`value` as an idempotency key; no key at all is never taken for no protection."""
    if isinstance(value, str) and _KEY.fullmatch(value):
        return value
    raise InvalidData(
        "An idempotency key must be 1 to 255 printable ASCII characters, with no space at "
        "either end.",
        field="idempotency_key",
        remedy="Give a key that names this operation, such as the invoice's number and a counter.",
    )
