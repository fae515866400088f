"""The token bucket, exact over every window and fair in order of arrival.

Laws:

1. Over every window of grant times, granted ≤ burst + rate · t, to the last token.
2. Grants are made in order of arrival; nobody is granted inside a pause; everybody is granted.
3. A grant that is given up returns what later grants have not already been timed by, and all of
   it, its place in the queue included, where nobody queued behind.

`n` units refill per microsecond and a token costs `price` units, so that every rate is a ratio of
integers. A state is `(seen, quiet, at, level, base, frozen, shift, peaks)`: `level` is what was
left just after the last grant, which happens at `at`; queued grants lie in the future, so there is
never debt. Grants that may be given back are numbered from `base` on, which starts at the store's
time; those up to `base` are spent for good, because one that keeps no ticket was made at once after
them, or because a pause drained what was left. `peaks` keeps, for at most three numbers, the level
just before that grant or any after it: what a refund would lift past the room was never there to
give back. The last number in `peaks` is the latest grant's. `frozen` is the end of a pause, `shift`
the sum of all pauses that queued grants have moved by.

A caller that is late for its own grant when a pause begins goes at the end of the pause: by its
grant time it could have gone long before, so the vendor sees no more than law 1 allows over t and
the largest delay between a grant and its arrival.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final, TypeAlias

from moorage.domain.state import steady

if TYPE_CHECKING:
    from moorage.domain.state import State, Ticket

PEAKS: Final = 3

Bucket: TypeAlias = "tuple[int, int, int, int, int, int, int, tuple[tuple[int, int], ...]]"


class TokenBucket:
    """`n` tokens per `price` microseconds, at most `burst` at once."""

    __slots__ = ("burst", "n", "price", "refill", "room")

    def __init__(self, n: int, price: int, burst: int) -> None:
        self.n = n
        self.price = price
        self.burst = burst
        self.room = burst * price
        self.refill = -(-self.room // n)

    @property
    def shape(self) -> str:
        """What makes two buckets' states comparable."""
        return f"{self.n}-{self.price}-{self.burst}"

    def part(self, share: Fraction, least: int) -> TokenBucket:
        """A share of this limit: of its rate, and of its burst, which is `least` at the least."""
        pace = Fraction(self.n, self.price) * share
        return TokenBucket(pace.numerator, pace.denominator, max(least, int(self.burst * share)))

    def calm(self, state: State | None, now: int, cost: int) -> Bucket | None:
        """Grant at once if nobody queues and the tokens are there; None in every other case."""
        if state is None:
            return (now, self.refill, now, self.room - cost * self.price, now, 0, 0, ())
        seen, _, at, level, base, frozen, shift, peaks = state
        if now < at or now < frozen or now < seen:
            return None
        level += (now - at) * self.n
        if level > self.room:  # noqa: PLR1730 - min() would take a third of the time of this function
            level = self.room
        level -= cost * self.price
        if level < 0:
            return None
        if peaks:
            base = peaks[-1][0]
        return (now, self.refill, now, level, base, frozen, shift, ())

    def present(self, state: State | None, now: int) -> Bucket:
        """The state with `seen` at the time to go by, moved back with a clock that stepped."""
        if state is None:
            return (now, 0, now, self.room, now, 0, 0, ())
        seen, quiet, at, level, base, frozen, shift, peaks = state
        time, back = steady(seen, now)
        quiet = max(0, quiet - (time - seen + back))
        return (time, quiet, at - back, level, base, frozen - back, shift - back, peaks)

    def earliest(self, bucket: Bucket, cost: int, at: int) -> int:
        """The first time from `at` on at which `cost` tokens are there."""
        at = max(at, bucket[2], bucket[5])
        short = cost * self.price - self._level(bucket, at)
        return at if short <= 0 else at + -(-short // self.n)

    def grant(self, bucket: Bucket, cost: int, at: int, *, kept: bool) -> tuple[Bucket, Ticket]:
        """Take `cost` tokens at `at`, which `earliest` has allowed; a ticket is `kept` or not."""
        seen, _, last, left, base, frozen, shift, peaks = bucket
        before = self._level(bucket, at)
        number = peaks[-1][0] if peaks else base
        if not kept:
            base, peaks = number, ()
        else:
            number += 1
            peaks = (*(peak for peak in peaks if peak[1] > before), (number, before))
            if len(peaks) > PEAKS:
                peaks = ((peaks[1][0], peaks[0][1]), *peaks[2:])
        quiet = max(at, frozen) - seen + self.refill
        granted = (seen, quiet, at, before - cost * self.price, base, frozen, shift, peaks)
        return granted, (number, at, cost, shift, last, left)

    def refund(self, bucket: Bucket, ticket: Ticket) -> Bucket:
        """Give a grant back, as far as no later grant counted on it."""
        seen, quiet, at, level, base, frozen, shift, peaks = bucket
        number, _, cost, shifted, last, left = ticket
        tokens = cost * self.price
        if not self._numbered(bucket, number):
            return bucket
        if number == peaks[-1][0]:
            # Nobody queued behind, so it is as if the grant had never been made.
            last += shift - shifted
            level = max(left, level + tokens - (at - last) * self.n)
            peaks, top = peaks[:-1], peaks[-1][1]
            if number - 1 > base and (not peaks or peaks[-1][0] < number - 1):
                # Lower peaks were dropped for this one: it stands in for them.
                peaks = (*peaks, (number - 1, top))
            return (seen, quiet, last, level, base, frozen, shift, peaks)
        highest = max(level, *(peak for later, peak in peaks if later > number))
        back = max(0, min(tokens, self.room - highest))
        lifted = tuple((later, peak + back) for later, peak in peaks)
        return (seen, quiet, at, level + back, base, frozen, shift, lifted)

    def drain(self, bucket: Bucket, pause: int) -> Bucket:
        """Grant nothing for `pause` microseconds: queued grants move, spare tokens are gone."""
        seen, _, at, level, base, frozen, shift, peaks = bucket
        until = seen + pause
        longer = until - max(seen, frozen)
        if longer <= 0:
            return bucket
        if peaks and at > seen:
            at += longer
        else:
            base, peaks = peaks[-1][0] if peaks else base, ()
            at, level = until, 0
        quiet = max(at, until) - seen + self.refill
        return (seen, quiet, at, level, base, until, shift + longer, peaks)

    def confirm(self, bucket: Bucket, ticket: Ticket) -> int:
        """How long the holder of a ticket must still wait; 0 is go."""
        seen, _, _, _, _, frozen, shift, _ = bucket
        due = ticket[1] + shift - ticket[3] if self._numbered(bucket, ticket[0]) else seen
        return max(0, due - seen, frozen - seen)

    def _level(self, bucket: Bucket, at: int) -> int:
        return min(self.room, bucket[3] + (at - bucket[2]) * self.n)

    def _numbered(self, bucket: Bucket, number: int) -> bool:
        """Whether a grant is not spent for good."""
        peaks = bucket[7]
        return bool(peaks) and bucket[4] < number <= peaks[-1][0]
