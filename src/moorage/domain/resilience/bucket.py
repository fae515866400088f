"""The token bucket: a rate limit that serves callers in the order of their arrival.

Laws:

1. Over every window of grant times, granted ≤ burst + rate · t, to the last token.
2. Nobody is granted later than was promised on arrival, nobody inside a pause, and everybody in the
   end. Waiting callers keep their order.
3. A grant that is given up gives back its tokens and its time: the next caller may have both, as
   far as that delays no waiting caller.

`n` units refill per microsecond and a token costs `price` units, so that every rate is a ratio of
integers. A state is `(seen, keep_for, at, level, life, frozen_until, shift, runs, shape)`: `level`
is the number of tokens at the time `at`, before all queued grants. `life` is the store's time at
which the state began; a ticket of another life gives nothing back. `frozen_until` is the end of a
pause, `shift` the sum of all pauses that queued grants have moved by. `shape` is the `(n, price,
burst)` of the rule that wrote the state.

While a limit is being changed, processes with the old and with the new rule share one state. Each
converts the state of the other: tokens stay tokens, rounded down, at most as many as its own burst.
Queued grants keep their times and give nothing back, and newcomers go behind them. So over every
window, granted ≤ the larger burst + the larger rate · t.

A run is a series of queued grants between which no other grant is placed. It is `(begin, before,
end, after, highest, lowest, spent, live, idle)`: the level is `before` at the time `begin`, just
before its first grant, and `after` at the time `end`, just after its last; `highest` is the highest
level before any but its first grant, `lowest` the lowest after any; the others are explained below.
Times in runs are less `shift`, so that a pause moves them all. If no caller gave up, the whole
queue is one run; a caller that leaves from its middle cuts it in two, with a gap between. A new
grant is placed in the first gap that has enough tokens for it and still leaves enough for every
later run; behind the last run is a gap without end. A gap whose time passes unused leaves its
tokens
to the runs behind
it: a run that begins with more than `before` has so much to spare throughout, as far as it never
overflows (`highest`). The tokens that a new grant takes of that immediately count as taken at
`begin`, although they filled the bucket until now: their number is `spent`. The levels of a run
stay as they were when its grants were
made, so a ticket can be found by them.

A run continues the run before it if the levels of both lie on one line; then `after` of the one,
refilled, is never below `before` of the other. Where they are equal there is no gap, and the two
runs are merged. `highest` and `spent` may belong to different times, and then promise less than
there is; but what is left after a run is never below zero. There are at most 300 runs. Beyond that
number, two runs are merged into one that is never split again: it counts the tokens that its grants
are still `live` with, to vanish with the last of them, and those that lie `idle` in it, which are
there for others at its end. The two runs are chosen from the later half so that the fewest tokens
are hidden: a run that hides many would delay new grants until it ends.

A caller that is late for its own grant when a pause begins goes at the end of the pause: by its
grant time it could have gone long before, so the vendor sees no more than law 1 allows over t and
the largest delay between a grant and its arrival.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final, TypeAlias

from moorage.domain.state.commands import EXACT, reading_time

if TYPE_CHECKING:
    from moorage.domain.state.commands import State, Ticket

RUNS: Final = 300

Run: TypeAlias = "tuple[int, int, int, int, int, int, int, int, int]"
Runs: TypeAlias = "tuple[Run, ...]"
Shape: TypeAlias = "tuple[int, int, int]"
Bucket: TypeAlias = "tuple[int, int, int, int, int, int, int, Runs, Shape]"

_Point: TypeAlias = "tuple[int, int]"
"""A time and the number of tokens at that time; of two at one time, the higher came first."""
Place: TypeAlias = "tuple[int, int, int, int, int, bool, bool]"


class TokenBucket:
    """A rate limit of `n` tokens per `price` microseconds, with at most `burst` in one burst."""

    __slots__ = ("burst", "n", "price", "refill", "room", "shape")

    def __init__(self, n: int, price: int, burst: int) -> None:
        self.n = n
        self.price = price
        self.burst = burst
        self.room = burst * price
        self.refill = -(-self.room // n)
        self.shape: Shape = (n, price, burst)

    def part(self, share: Fraction, least: int) -> TokenBucket:
        """Return a limit with a share of the rate, and with a burst of at least `least`."""
        tokens_per_microsecond = Fraction(self.n, self.price) * share
        return TokenBucket(
            tokens_per_microsecond.numerator,
            tokens_per_microsecond.denominator,
            max(least, int(self.burst * share)),
        )

    def fast_grant(self, state: State | None, now: int, cost: int) -> Bucket | None:
        """Return the state after an immediate grant; None if the full rule has to decide."""
        if state is None:
            level = self.room - cost * self.price
            return (now, self.refill, now, level, now, 0, 0, (), self.shape)
        state_time, _, at, level, lifetime, frozen_until, time_shift, runs, shape = state
        if runs or now < at or now < frozen_until or now < state_time:
            return None
        if shape is not self.shape and shape != self.shape:
            return None
        level += (now - at) * self.n
        if level > self.room:  # noqa: PLR1730 - min() would take a third of the time of this function
            level = self.room
        level -= cost * self.price
        if level < 0:
            return None
        return (now, self.refill, now, level, lifetime, frozen_until, time_shift, (), self.shape)

    def present(self, state: State | None, now: int) -> Bucket:
        """Return the bucket's state at the present time.

        If the clock stepped back, all times in the state are moved back with it.
        """
        if state is None:
            return (now, 0, now, self.room, now, 0, 0, (), self.shape)
        state_time, keep_for, at, level, lifetime, frozen_until, time_shift, runs, shape = state
        if shape != self.shape:
            at, level, runs = self._converted(at, level, time_shift, runs, shape)
        time, clock_shift = reading_time(state_time, now)
        keep_for = max(0, keep_for - (time - state_time + clock_shift))
        at, frozen_until, time_shift = (
            at - clock_shift,
            frozen_until - clock_shift,
            time_shift - clock_shift,
        )
        return (time, keep_for, at, level, lifetime, frozen_until, time_shift, runs, self.shape)

    def earliest(self, bucket: Bucket, cost: int, at: int) -> int:
        """Return the earliest time, not before `at`, at which `cost` tokens can be granted.

        A later time may be impossible again, because a gap in the queue ends.
        """
        return self._place_in_queue(bucket, cost, at)[0]

    def grant(
        self, bucket: Bucket, cost: int, at: int, *, refundable: bool
    ) -> tuple[Bucket, Ticket]:
        """Return the state after a grant of `cost` tokens at the time `at`, and the grant's ticket.

        `at` is a time that `earliest` returned. Only a `refundable` grant stays in the queue,
        so that its tokens can be given back.
        """
        state_time, _, first_time, level, lifetime, frozen_until, time_shift, runs, shape = bucket
        _, place, level_time, available, spare_tokens, is_full, is_immediate = self._place_in_queue(
            bucket, cost, at
        )
        tokens = cost * self.price
        if is_immediate or not refundable:
            runs, first_time, level = runs[place:], level_time, available - tokens
            if level_time < at:
                runs = (_run_without_spare(runs[0], tokens), *runs[1:])
            ticket: Ticket = (lifetime, at, cost, time_shift, level_time)
        else:
            time, level_before = at - time_shift, available - spare_tokens
            level_after = level_before - tokens
            joins_run = place > 0 and not is_full and not runs[place - 1][7]
            if joins_run:
                run_begin, start, end, remaining_level, highest, lowest, spent_tokens, *_ = runs[
                    place - 1
                ]
                highest, lowest = max(highest, level_before), min(lowest, level_after)
                run = (run_begin, start, time, level_after, highest, lowest, spent_tokens, 0, 0)
                ticket = (
                    lifetime,
                    at,
                    cost,
                    time_shift,
                    level_before,
                    end + time_shift,
                    remaining_level,
                )
            else:
                run = (time, level_before, time, level_after, level_after, level_after, 0, 0, 0)
                ticket = (lifetime, at, cost, time_shift, level_before, at, level_before)
            earlier_runs, later_runs = runs[: place - joins_run], runs[place:]
            if later_runs and not later_runs[0][7]:
                joined_numbers = self._joined_run(run, later_runs[0])
                if not joined_numbers[7]:
                    run, later_runs = joined_numbers, later_runs[1:]
            queue = (*earlier_runs, run, *later_runs)
            first_time, level, runs = self._without_past(
                first_time, level, queue, time_shift, state_time
            )
        keep_for = self._keep_for(
            state_time, runs[-1][2] + time_shift if runs else first_time, frozen_until
        )
        return (
            state_time,
            keep_for,
            first_time,
            level,
            lifetime,
            frozen_until,
            time_shift,
            runs,
            shape,
        ), ticket

    def refund(self, bucket: Bucket, ticket: Ticket) -> Bucket:
        """Return the state after the tokens and the place in the queue were given back."""
        state_time, keep_for, at, level, lifetime, frozen_until, time_shift, runs, shape = bucket
        number, time, cost, shift_count, *queue_point = ticket
        tokens = cost * self.price
        if number != lifetime:
            return bucket
        if len(queue_point) == 1:
            if at - time_shift == queue_point[0] - shift_count:
                level = min(self.room, level + tokens)
                if queue_point[0] < time and runs:
                    runs = (_run_without_spare(runs[0], -tokens), *runs[1:])
            return (
                state_time,
                keep_for,
                at,
                level,
                lifetime,
                frozen_until,
                time_shift,
                runs,
                shape,
            )
        level_before, last_time, grant_level = queue_point
        point, previous = (
            (time - shift_count, level_before - tokens),
            (last_time - shift_count, grant_level),
        )
        is_due = point[0] + time_shift <= max(state_time, frozen_until)
        for index, run in enumerate(runs):
            run_begin, start, end, final = run[:4]
            if _is_before((run_begin, start), point) and not _is_before((end, final), point):
                parts = self._without_grant(run, point, previous, cost, due=is_due)
                runs = (*runs[:index], *parts, *runs[index + 1 :])
                if len(runs) > RUNS:
                    at, level, runs = self._without_past(at, level, runs, time_shift, state_time)
                break
        return (state_time, keep_for, at, level, lifetime, frozen_until, time_shift, runs, shape)

    def drain(self, bucket: Bucket, pause: int) -> Bucket:
        """Return the state at the beginning of a pause of `pause` microseconds.

        Queued grants are delayed, and spare tokens are lost.
        """
        state_time, _, at, level, lifetime, old_frozen_until, time_shift, runs, shape = bucket
        end_time = state_time + pause
        level_time = max(state_time, old_frozen_until)
        pause_extension = end_time - level_time
        if pause_extension <= 0:
            return bucket
        runs = runs[self._ended_run_count(runs, level_time - time_shift + 1) :]
        # Behind a queue that another rule has granted, `at` is in the future.
        level_time = max(at, level_time)
        at, level = level_time + pause_extension, 0
        if runs:
            needed_tokens, run_begin = self._needed_levels(runs)[0], runs[0][0] + time_shift
            if run_begin <= level_time:
                at, level = run_begin + pause_extension, needed_tokens
            else:
                level = max(0, needed_tokens - (run_begin - level_time) * self.n)
        time_shift += pause_extension
        keep_for = self._keep_for(state_time, runs[-1][2] + time_shift if runs else at, end_time)
        return (state_time, keep_for, at, level, lifetime, end_time, time_shift, runs, shape)

    def paused(self, bucket: Bucket) -> int:
        """Return the microseconds until the limit's current pause ends; 0 without a pause."""
        return max(0, bucket[5] - bucket[0])

    def resume(self, bucket: Bucket) -> Bucket:
        """Return the state after the limit's pause was ended.

        Queued grants move forward, and no token is added.
        """
        state_time, _, at, level, lifetime, _, time_shift, runs, shape = bucket
        pause_left = self.paused(bucket)
        if not pause_left:
            return bucket
        at, time_shift = at - pause_left, time_shift - pause_left
        keep_for = self._keep_for(state_time, runs[-1][2] + time_shift if runs else at, state_time)
        return (state_time, keep_for, at, level, lifetime, state_time, time_shift, runs, shape)

    def confirm(self, bucket: Bucket, ticket: Ticket) -> int:
        """Return the microseconds that a ticket's holder must still wait; 0 if it may proceed."""
        state_time, _, _, _, lifetime, frozen_until, time_shift, _, _ = bucket
        due_time = ticket[1] + time_shift - ticket[3] if ticket[0] == lifetime else state_time
        return max(0, due_time - state_time, frozen_until - state_time)

    def _converted(
        self, at: int, level: int, shift: int, runs: Runs, shape: Shape
    ) -> tuple[int, int, Runs]:
        """Convert a state that another limit's rule wrote: return its time, tokens and grants."""
        rule = TokenBucket(*shape)
        at, level = rule._state_after_runs(at, level, runs, shift)
        tokens, remainder = divmod(level, shape[1])
        if tokens >= self.burst:
            return at, self.room, ()
        return at, tokens * self.price + _part_of_token(remainder, shape[1], self.price), ()

    def _place_in_queue(self, bucket: Bucket, cost: int, at: int) -> Place:
        """Return the first time in the queue, from `at` on, at which `cost` tokens can be granted.

        It is `(time, place, since, available, spare, full, at_once)`: the place is before the run
        at index `place`; the level is `available` at the time `since`, and exceeds the levels of
        the run before it by `spare`. The bucket may have been `full` since then. An immediate grant
        (`at_once`) may count as `spent` in the first run: it reduces the tokens that later runs
        have to spare.
        """
        state_time, _, level_time, level, _, frozen_until, time_shift, runs, _ = bucket
        n, tokens, at, spare_tokens = self.n, cost * self.price, max(at, frozen_until), 0
        needed_numbers = self._needed_levels(runs) if runs else []
        for place, (
            run_begin,
            level_before,
            end,
            level_after,
            highest,
            _,
            spent_tokens,
            _,
            idle_tokens,
        ) in enumerate(runs):
            run_begin += time_shift  # noqa: PLW2901 - by the store's time from here on
            time, available, full_time = self._time_of_enough(level_time, level, tokens, at)
            if time <= run_begin:
                tokens_left = available - tokens + (run_begin - time) * n
                continues = tokens_left - spare_tokens >= level_before
                if (continues or time == state_time) and min(
                    self.room, tokens_left
                ) >= needed_numbers[place]:
                    return time, place, time, available, spare_tokens, full_time, not continues
            level = min(self.room, level + (run_begin - level_time) * n)
            most_tokens = self.room - highest - spent_tokens
            spare_tokens = min(level - level_before, most_tokens)
            end += time_shift  # noqa: PLW2901 - by the store's time from here on
            if (
                run_begin <= at == state_time < end
                and level_before + spare_tokens - tokens >= needed_numbers[place]
            ):
                return at, place, run_begin, level_before + spare_tokens, spare_tokens, False, True
            level_time, level = (
                end,
                max(0, level_after + min(spare_tokens + idle_tokens, most_tokens)),
            )
            spare_tokens = level - level_after
        time, available, full_time = self._time_of_enough(level_time, level, tokens, at)
        return time, len(runs), time, available, spare_tokens, full_time, False

    def _time_of_enough(
        self, since: int, level: int, tokens: int, at: int
    ) -> tuple[int, int, bool]:
        """Return the time at which enough tokens exist, their number, and whether any were lost."""
        at = max(at, since)
        available = level + (at - since) * self.n
        if available < tokens:
            wait = -((available - tokens) // self.n)
            at, available = at + wait, available + wait * self.n
        return at, min(self.room, available), available > self.room

    def _needed_levels(self, runs: Runs) -> list[int]:
        """Return, for each run of grants, the tokens that must be left at its start."""
        needs: list[int] = []
        needed_tokens = later_need = 0
        for run_begin, level_before, end, level_after, _, lowest, _, _, idle_tokens in reversed(
            runs
        ):
            spare_tokens = -lowest
            if needs:
                spare_tokens = max(
                    spare_tokens,
                    needed_tokens - (later_need - end) * self.n - level_after - idle_tokens,
                )
            needed_tokens, later_need = level_before + spare_tokens, run_begin
            needs.append(needed_tokens)
        return needs[::-1]

    def _without_past(
        self, since: int, level: int, runs: Runs, shift: int, seen: int
    ) -> tuple[int, int, Runs]:
        """Return the tokens, their time, and the runs of grants that have not ended yet."""
        past_runs = self._ended_run_count(runs, seen - shift)
        since, level = self._state_after_runs(since, level, runs[:past_runs], shift)
        return since, level, self._merged_runs(runs[past_runs:])

    def _state_after_runs(self, since: int, level: int, runs: Runs, shift: int) -> tuple[int, int]:
        """Return the time and the remaining tokens after the last of these runs of grants."""
        for (
            run_begin,
            level_before,
            end,
            level_after,
            highest,
            _,
            spent_tokens,
            _,
            idle_tokens,
        ) in runs:
            spare_tokens = (
                min(self.room, level + (run_begin + shift - since) * self.n) - level_before
            )
            spare_tokens = min(spare_tokens + idle_tokens, self.room - highest - spent_tokens)
            since, level = end + shift, max(0, level_after + spare_tokens)
        return since, level

    def _ended_run_count(self, runs: Runs, now: int) -> int:
        """Return the number of runs of grants that ended before `now`."""
        # A loop, not a generator: an interruption while a generator closes would be lost.
        for count, run in enumerate(runs):
            if run[2] >= now:
                return count
        return len(runs)

    def _keep_for(self, seen: int, last: int, frozen: int) -> int:
        """Return the microseconds for which to store a state after its last grant at `last`."""
        return max(last, frozen) - seen + self.refill

    def _without_grant(
        self, run: Run, point: _Point, previous: _Point, cost: int, *, due: bool
    ) -> Runs:
        """Return the up to two runs of grants that remain when one grant is removed from a run."""
        run_begin, start, end, final, highest, lowest, spent_tokens, live_tokens, idle_tokens = run
        is_earlier = not _is_before((run_begin, start), previous)
        is_last = (end, final) == point
        remaining_live = live_tokens and live_tokens - cost
        if (live_tokens and not remaining_live) or (is_earlier and is_last):
            return ()
        if live_tokens and not is_earlier and not is_last:
            idle_tokens = min(self.room, idle_tokens + cost * self.price)
            return (
                (
                    run_begin,
                    start,
                    end,
                    final,
                    highest,
                    lowest,
                    spent_tokens,
                    remaining_live,
                    idle_tokens,
                ),
            )
        earlier_run = (
            run_begin,
            start,
            *previous,
            highest,
            lowest,
            spent_tokens,
            remaining_live,
            idle_tokens,
        )
        # Tokens spent until now were spent before the ones after a grant in the future.
        spent_tokens = spent_tokens if due else 0
        later_run = (*point, end, final, highest, lowest, spent_tokens, remaining_live, idle_tokens)
        return (
            (later_run,) if is_earlier else (earlier_run,) if is_last else (earlier_run, later_run)
        )

    def _joined_run(self, first_run: Run, second_run: Run) -> Run:
        """Return two runs of grants and the time between them as one run."""
        (
            run_begin,
            level_before,
            end,
            level_after,
            highest,
            lowest,
            spent_tokens,
            live_tokens,
            idle_tokens,
        ) = first_run
        start, level, other_end, left, peak, valley, more, alive, unused = second_run
        gap = level_after + (start - end) * self.n - level
        if live_tokens or alive or gap:
            live_tokens = self._live_token_count(first_run) + self._live_token_count(second_run)
            idle_tokens = min(self.room, idle_tokens + unused + gap)
        highest, lowest = max(highest, level, peak), min(lowest, valley)
        return (
            run_begin,
            level_before,
            other_end,
            left,
            highest,
            lowest,
            spent_tokens + more,
            live_tokens,
            idle_tokens,
        )

    def _live_token_count(self, run: Run) -> int:
        """Return the number of tokens that the grants of a run have taken."""
        run_begin, level_before, end, level_after, _, _, _, live_tokens, _ = run
        return (
            live_tokens or (level_before - level_after + (end - run_begin) * self.n) // self.price
        )

    def _merged_runs(self, runs: Runs) -> Runs:
        """Return the runs of grants, merged so that there are at most 300.

        Above that number, the two runs that hide the fewest tokens are merged.
        """
        if len(runs) <= RUNS:
            return runs
        place, fewest_tokens = len(runs) - 2, self.room + 1
        for index in range(place, RUNS // 2, -1):
            joined_run = self._joined_run(runs[index], runs[index + 1])
            if joined_run[8] < fewest_tokens and joined_run[8] <= self.room - joined_run[4]:
                place, fewest_tokens = index, joined_run[8]
        joined_run = self._joined_run(runs[place], runs[place + 1])
        return (*runs[:place], joined_run, *runs[place + 2 :])


def _part_of_token(units: int, price: int, new_price: int) -> int:
    """Convert a part of a token from one price's units to another's, rounded down.

    No intermediate number exceeds the range in which floating-point numbers are exact.
    """
    if units * new_price < EXACT:
        return units * new_price // price
    new_units = 0
    while units and new_price:
        units, new_price = units * 2, new_price // 2
        if units >= price:
            units, new_units = units - price, new_units + new_price
    return new_units


def _is_before(first: _Point, second: _Point) -> bool:
    return first[0] < second[0] or (first[0] == second[0] and first[1] > second[1])


def _run_without_spare(run: Run, tokens: int) -> Run:
    """Return a run of grants after `tokens` of its spare tokens were taken.

    The tokens are missing from the beginning of the run on. Until now they took up room in the
    bucket.
    """
    (
        run_begin,
        level_before,
        end,
        level_after,
        highest,
        lowest,
        spent_tokens,
        live_tokens,
        idle_tokens,
    ) = run
    return (
        run_begin,
        level_before,
        end,
        level_after,
        max(level_before, highest),
        lowest,
        spent_tokens + tokens,
        live_tokens,
        idle_tokens,
    )
