"""The token bucket, exact over every window and fair in order of arrival.

Laws:

1. Over every window of grant times, granted ≤ burst + rate · t, to the last token.
2. Grants are made in order of arrival; nobody is granted inside a pause; everybody is granted.
3. A grant that is given up returns what later grants have not already been timed by.

`n` units refill per microsecond and a token costs `price` units, so that every rate is a ratio of
integers. A state is `(seen, quiet, at, level, serial, base, frozen, shift, peaks)`: `level` is
what was left just after the last grant, which happens at `at`; queued grants lie in the future,
so there is never debt. `serial` counts grants; tickets before `base` are spent for good, because
an immediate grant was made after them. `peaks` keeps, for at most three queued grants, the level
just before each: what a refund would lift past the room was never there to give back. `frozen`
is the end of a pause, `shift` the sum of all pauses that queued grants have moved by.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from mooring.domain.state import State, Ticket, steady

PEAKS: Final = 3

Bucket: TypeAlias = "tuple[int, int, int, int, int, int, int, int, tuple[tuple[int, int], ...]]"


class TokenBucket:
    """`n` tokens per `price` microseconds, at most `burst` at once."""

    __slots__ = ("burst", "n", "price", "refill", "room")

    def __init__(self, n: int, price: int, burst: int) -> None:
        self.n = n
        self.price = price
        self.burst = burst
        self.room = burst * price
        self.refill = -(-self.room // n)

    def calm(self, state: State | None, now: int, cost: int) -> Bucket | None:
        """Grant at once if nobody queues and the tokens are there; None in every other case."""
        if state is None:
            return (now, self.refill, now, self.room - cost * self.price, 1, 1, 0, 0, ())
        seen, _, at, level, serial, _, frozen, shift, _ = state
        if now < at or now < frozen or now < seen:
            return None
        level += (now - at) * self.n
        if level > self.room:
            level = self.room
        level -= cost * self.price
        if level < 0:
            return None
        serial += 1
        return (now, self.refill, now, level, serial, serial, frozen, shift, ())

    def present(self, state: State | None, now: int) -> Bucket:
        """The state with `seen` at the time to go by, moved back with a clock that stepped."""
        if state is None:
            return (now, 0, now, self.room, 0, 0, 0, 0, ())
        seen, quiet, at, level, serial, base, frozen, shift, peaks = state
        time, back = steady(seen, now)
        if back:
            at, frozen, shift = at - back, frozen - back, shift - back
        return (
            time,
            max(0, quiet - (time - seen + back)),
            at,
            level,
            serial,
            base,
            frozen,
            shift,
            peaks,
        )

    def earliest(self, bucket: Bucket, cost: int, at: int) -> int:
        """The first time from `at` on at which `cost` tokens are there."""
        at = max(at, bucket[0], bucket[2], bucket[6])
        short = cost * self.price - self._level(bucket, at)
        return at if short <= 0 else at + -(-short // self.n)

    def grant(self, bucket: Bucket, cost: int, at: int) -> tuple[Bucket, Ticket]:
        """Take `cost` tokens at `at`, which `earliest` has allowed."""
        seen, _, _, _, serial, base, frozen, shift, peaks = bucket
        before = self._level(bucket, at)
        level = before - cost * self.price
        serial += 1
        if at <= seen:
            base, peaks = serial, ()
        else:
            peaks = (*(peak for peak in peaks if peak[1] > before), (serial, before))
            if len(peaks) > PEAKS:
                peaks = ((peaks[1][0], peaks[0][1]), *peaks[2:])
        quiet = max(at, frozen) - seen + self.refill
        granted = (seen, quiet, at, level, serial, base, frozen, shift, peaks)
        return granted, (serial, at, cost, shift)

    def refund(self, bucket: Bucket, ticket: Ticket) -> Bucket:
        """Give a queued grant back, as far as no later grant counted on it."""
        seen, quiet, at, level, serial, base, frozen, shift, peaks = bucket
        if ticket[0] < base:
            return bucket
        highest = max(level, max((peak[1] for peak in peaks if peak[0] > ticket[0]), default=0))
        back = max(0, min(ticket[2] * self.price, self.room - highest))
        lifted = tuple((number, peak + back) for number, peak in peaks)
        return (seen, quiet, at, level + back, serial, base, frozen, shift, lifted)

    def drain(self, bucket: Bucket, pause: int) -> Bucket:
        """Grant nothing for `pause` microseconds: queued grants move, spare tokens are gone."""
        seen, _, at, level, serial, base, frozen, shift, peaks = bucket
        until = seen + pause
        longer = until - max(seen, frozen)
        if longer <= 0:
            return bucket
        if at > seen:
            at += longer
        else:
            at, level = seen + longer, 0
        quiet = max(at, until) - seen + self.refill
        return (seen, quiet, at, level, serial, base, until, shift + longer, peaks)

    def confirm(self, bucket: Bucket, ticket: Ticket) -> int:
        """How long the holder of a ticket must still wait; 0 is go."""
        moved = bucket[7] - ticket[3]
        return max(0, ticket[1] + moved - bucket[0], bucket[6] - bucket[0])

    def _level(self, bucket: Bucket, at: int) -> int:
        return min(self.room, bucket[3] + (at - bucket[2]) * self.n)
