"""One effect per key: who may act, who must wait, who gets the stored answer.

Laws:

1. Another payload under the same key is a conflict, in every state.
2. A holder acts under a fence; a later claim raises it, and an older fence changes nothing.
3. `sent` is written before the first byte leaves. A claim that lapses before it may be taken
   again; one that lapses after it is *unknown*, which is derived and never written.
4. An unknown key is asked again only of the same vendor and account, with the same vendor key,
   while the vendor remembers it; in every other case it is a person's to resolve.
5. A stored answer never changes.

A state is `(seen, quiet, stage, fingerprint, fence, owner, until, sent_at, target, answer)`.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final, NamedTuple, TypeAlias

from mooring.domain.state import State, States, steady
from mooring.errors import InvalidData

CLAIMED: Final = 0
SENT: Final = 1
DONE: Final = 2
FREE: Final = 3

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
            return self._taken(now, now, self.target), Claimed(Verdict.RUN, now)
        seen, _, stage, fingerprint, fence, owner, until, sent_at, target, answer = entry
        if fingerprint != self.fingerprint:
            return states, Claimed(Verdict.CONFLICT)
        if stage == DONE:
            return states, Claimed(Verdict.REPLAY, answer=answer)
        if stage != FREE and owner == self.owner and seen < until:
            verdict = Verdict.RUN if stage == CLAIMED else Verdict.ASK_AGAIN
            return states, Claimed(verdict, fence)
        if stage == FREE or (stage == CLAIMED and seen >= until):
            return self._taken(seen, fence + 1, self.target), Claimed(Verdict.RUN, fence + 1)
        if seen < until:
            return states, Claimed(Verdict.BUSY, wait=until - seen)
        if target != self.target or seen >= sent_at + self.remembered:
            return states, Claimed(Verdict.UNKNOWN)
        ends = seen + self.lease
        again = (
            seen,
            self.lease + self.ttl,
            SENT,
            fingerprint,
            fence + 1,
            self.owner,
            ends,
            sent_at,
            target,
            None,
        )
        return (again,), Claimed(Verdict.ASK_AGAIN, fence + 1)

    def _taken(self, now: int, fence: int, target: str) -> States:
        ends = now + self.lease
        return (
            (
                now,
                self.lease + self.ttl,
                CLAIMED,
                self.fingerprint,
                fence,
                self.owner,
                ends,
                0,
                target,
                None,
            ),
        )


class Settle:
    """End a claim, or what became of it, if `fence` is still the claim's."""

    __slots__ = ("answer", "fence", "keys", "stage", "ttl")
    once = False

    def __init__(self, key: str, fence: int, stage: int, *, ttl: int, answer: Any = None) -> None:
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
        if entry[4] != self.fence or entry[2] in (DONE, FREE):
            done = entry[2] == DONE
            held = entry[4] == self.fence and entry[2] == self.stage
            return states, Settled(held, done, entry[9])
        seen, _, stage, fingerprint, fence, owner, until, sent_at, target, _ = entry
        if self.stage == SENT and stage == SENT:
            # The outcome is unknown: the lease ends now, so that the next claim finds it so.
            settled = (seen, self.ttl, SENT, fingerprint, fence, owner, seen, sent_at, target, None)
        elif self.stage == SENT:
            settled = (seen, self.ttl, FREE, fingerprint, fence, owner, seen, 0, target, None)
        else:
            settled = (
                seen,
                self.ttl,
                self.stage,
                fingerprint,
                fence,
                owner,
                until,
                sent_at,
                target,
                self.answer,
            )
        return (settled,), Settled(held=True)


def complete(key: str, fence: int, answer: Any, *, ttl: int) -> Settle:
    """The effect happened, and this is its answer."""
    return Settle(key, fence, DONE, ttl=ttl, answer=answer)


def release(key: str, fence: int, *, ttl: int) -> Settle:
    """Certainly nothing happened: the key may be taken again."""
    return Settle(key, fence, FREE, ttl=ttl)


def abandon(key: str, fence: int, *, ttl: int) -> Settle:
    """The holder goes without knowing: a key that was sent is unknown, else it is free."""
    return Settle(key, fence, SENT, ttl=ttl)


class Resolve:
    """A person or a look-up settles an unknown key: with an answer, or as never done."""

    __slots__ = ("answer", "done", "keys", "ttl")
    once = False

    def __init__(self, key: str, *, done: bool, ttl: int, answer: Any = None) -> None:
        self.keys = (key,)
        self.done = done
        self.ttl = ttl
        self.answer = answer

    def apply(self, states: States, now: int) -> tuple[States, bool]:
        """Whether there was an unknown key to settle."""
        entry = present(states[0], now)
        if entry is None or entry[2] != SENT or entry[0] < entry[6]:
            return states, False
        seen, _, _, fingerprint, fence, owner, until, sent_at, target, _ = entry
        stage = DONE if self.done else FREE
        settled = (
            seen,
            self.ttl,
            stage,
            fingerprint,
            fence + 1,
            owner,
            until,
            sent_at,
            target,
            self.answer,
        )
        return (settled,), True


def mark_sent(entry: Entry | None, fence: int) -> Entry | None:
    """The claim with the sent mark, or None if it is no longer held."""
    if entry is None or entry[4] != fence or entry[2] not in (CLAIMED, SENT):
        return None
    seen, quiet, _, fingerprint, _, owner, until, sent_at, target, _ = entry
    if seen >= until:
        return None
    return (
        seen,
        quiet,
        SENT,
        fingerprint,
        fence,
        owner,
        until,
        sent_at or seen,
        target,
        None,
    )


def present(state: State | None, now: int) -> Entry | None:
    """The state as of now, moved back with a clock that stepped; None once it is forgotten."""
    if state is None:
        return None
    seen, quiet, stage, fingerprint, fence, owner, until, sent_at, target, answer = state
    time, back = steady(seen, now)
    quiet -= time - seen + back
    if quiet <= 0:
        return None
    return (
        time,
        quiet,
        stage,
        fingerprint,
        fence,
        owner,
        until - back,
        sent_at - back if sent_at else 0,
        target,
        answer,
    )


def checked_key(value: object) -> str:
    """`value` as an idempotency key; no key at all is never taken for no protection."""
    usable = isinstance(value, str) and 0 < len(value) <= 255 and value.isprintable()
    if not usable or not value.isascii() or value.strip() != value:  # type: ignore[attr-defined]
        raise InvalidData(
            "An idempotency key must be 1 to 255 printable ASCII characters, with no space at "
            "either end.",
            field="idempotency_key",
            remedy="Give a key that names this operation, such as the invoice's number and a "
            "counter.",
        )
    return str(value)
