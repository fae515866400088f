"""One effect per key: who may act, who must wait, who gets the stored answer.

Laws:

1. Another payload under the same key is a conflict, in every state.
2. A holder acts under a fence; a later claim raises it, and an older fence changes nothing.
3. `sent` is written before the first byte leaves. A claim that lapses before it may be taken
   again; one that lapses after it is *unknown*, which is derived and never written.
4. An unknown key is asked again only of the same vendor and account, with the same vendor key,
   by a holder whose whole lease the vendor still remembers it for; in every other case it is a
   person's to resolve.
5. A stored answer never changes.

A state is `(seen, quiet, stage, fingerprint, fence, owner, until, sent_at, target, answer)`.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from moorage.domain.state import steady, unchanged
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.domain.state import State, States

CLAIMED: Final = 0
SENT: Final = 1
DONE: Final = 2
FREE: Final = 3

_KEY: Final = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?")

Entry: TypeAlias = "tuple[int, int, int, bytes, int, int, int, int, str, Any]"


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
    """The answer to a claim: `wait` is the rest of another holder's lease, in microseconds."""

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

    `remembered` is how long the target honours a key that it was sent; 0 if it knows none.
    """

    __slots__ = ("fingerprint", "keys", "lease", "owner", "remembered", "target", "ttl")
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
    ) -> None:
        self.keys = (key,)
        self.fingerprint = fingerprint
        self.owner = owner
        self.lease = lease
        self.ttl = ttl
        self.target = target
        self.remembered = remembered

    def apply(self, states: States, now: int) -> tuple[States, Claimed]:
        """Decide as `TABLE` says."""
        entry = present(states[0], now)
        if entry is None:
            return self._taken(now, now), Claimed(Verdict.RUN, now)
        states = unchanged(CLAIMS, states, now)
        seen, _, stage, fingerprint, fence, owner, until, sent_at, target, answer = entry
        if fingerprint != self.fingerprint:
            return states, Claimed(Verdict.CONFLICT)
        if stage == DONE:
            return states, Claimed(Verdict.REPLAY, answer=answer)
        if stage != FREE and owner == self.owner and seen < until:
            verdict = Verdict.RUN if stage == CLAIMED else Verdict.ASK_AGAIN
            return states, Claimed(verdict, fence)
        if stage == FREE or (stage == CLAIMED and seen >= until):
            return self._taken(seen, fence + 1), Claimed(Verdict.RUN, fence + 1)
        if seen < until:
            return states, Claimed(Verdict.BUSY, wait=until - seen)
        ends = seen + self.lease
        if target != self.target or ends > sent_at + self.remembered:
            return states, Claimed(Verdict.UNKNOWN)
        quiet, fence, owner = self.lease + self.ttl, fence + 1, self.owner
        again = (seen, quiet, SENT, fingerprint, fence, owner, ends, sent_at, target, None)
        return (again,), Claimed(Verdict.ASK_AGAIN, fence)

    def _taken(self, now: int, fence: int) -> States:
        quiet, ends = self.lease + self.ttl, now + self.lease
        fingerprint, owner, target = self.fingerprint, self.owner, self.target
        return ((now, quiet, CLAIMED, fingerprint, fence, owner, ends, 0, target, None),)


class Settle:
    """End a claim, or what became of it, if `fence` is still the claim's."""

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
        if entry[4] == self.fence and entry[2] in (CLAIMED, SENT):
            return (_ended(entry, self.stage, self.ttl, self.answer),), Settled(held=True)
        stage, fence, answer = entry[2], entry[4], entry[9]
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
        return (_ended(entry, SENT, self.ttl, None),), None


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
    """A person or a look-up settles an unknown key: with an answer, or as never done."""

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
        if entry[2] != SENT or entry[0] < entry[6]:
            return unchanged(CLAIMS, states, now), False
        seen, _, _, fingerprint, fence, owner, until, sent_at, target, _ = entry
        ttl, stage, fence, answer = self.ttl, DONE if self.done else FREE, fence + 1, self.answer
        settled = (seen, ttl, stage, fingerprint, fence, owner, until, sent_at, target, answer)
        return (settled,), True


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
        return states, None if entry is None or entry[2] != DONE else entry[9]


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
            return states, entry[9]
        seen, fence = (now, now) if entry is None else (entry[0], entry[4] + 1)
        written = (seen, self.ttl, DONE, self.fingerprint, fence, 0, seen, 0, "", self.value)
        return (written,), self.value


def _ended(entry: Entry, stage: int, ttl: int, answer: object) -> Entry:
    """A claim at its end; SENT is asked for by who abandons it, and what was never sent is free."""
    seen, _, before, fingerprint, fence, owner, _, sent_at, target, _ = entry
    stage = FREE if stage == SENT != before else stage
    return (seen, ttl, stage, fingerprint, fence, owner, seen, sent_at, target, answer)


def mark_sent(entry: Entry | None, fence: int, target: str) -> Entry | None:
    """The claim with the mark that it is sent to `target`, or None if it is no longer held.

    A holder that sends it to another target than before knows that nothing was done there.
    """
    if entry is None or entry[4] != fence or entry[2] not in (CLAIMED, SENT):
        return None
    seen, quiet, _, fingerprint, _, owner, until, sent_at, _, _ = entry
    if seen >= until:
        return None
    sent_at = sent_at or seen
    return (seen, quiet, SENT, fingerprint, fence, owner, until, sent_at, target, None)


def present(state: State | None, now: int) -> Entry | None:
    """The state as of now, moved back with a clock that stepped; None once it is forgotten."""
    if state is None:
        return None
    seen, quiet, stage, fingerprint, fence, owner, until, sent_at, target, answer = state
    time, back = steady(seen, now)
    quiet -= time - seen + back
    if quiet <= 0:
        return None
    until, sent_at = until - back, sent_at - back if sent_at else 0
    return (time, quiet, stage, fingerprint, fence, owner, until, sent_at, target, answer)


class Claims:
    """Claims move with a clock as limits and circuits do."""

    present = staticmethod(present)


CLAIMS: Final = (Claims(),)


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
