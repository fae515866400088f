"""The circuit breaker, a state machine that all callers of a service share.

Laws:

1. While half open, at most `probes` unexpired leases exist, those of earlier openings included.
2. A report that belongs to an earlier generation changes only its own lease.
3. A success is not recorded: admission counts the call, and only failures and slow responses are
   recorded. The failure rate is failures / max(calls, failures).
4. A cancelled call is neutral: its count is taken back, its lease ends, and nothing else changes.

A state is `(seen, keep_for, mode, generation, slot, total, base, record)`. Calls are numbered by
`total` in order of admission. The window is made of slots: `slot` is where the current one ends, in
time or in calls, and the calls after number `base` are in it. `generation` starts at the store's
time, so that a state that was dropped and created again is never taken for the old one. The fields
that change only after failures are in `record`.

While a configuration is being changed, processes with the old and with the new rule share one
state. Each converts the slots of the other: the mode, the time of an opening, probes, failures in a
row and the times of failures stay as they are. Between windows in time, and from a window in time
to one in calls, counts stay too; a window in calls does not say when its calls were, so that a
window in time begins without their counts.

Failures are in a row if all calls between their numbers have failed too, in whatever order the
calls ended. So a call that succeeds, or is still under way, separates them for good.
"""

from __future__ import annotations

import struct
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from moorage.domain.state.commands import SMALL_STEP, reading_time
from moorage.domain.values.durations import (
    DAY,
    FOREVER,
    HOUR,
    SECOND,
    count,
    if_given,
    is_count,
    is_seconds,
    is_share,
    is_true_or_false,
    micros,
    plain_seconds,
)
from moorage.domain.values.frozen_values import field, frozen, optional
from moorage.domain.values.text import brief_repr
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import attrs

    from moorage.domain.state.commands import State

CLOSED: Final = 0
OPEN: Final = 1
HALF_OPEN: Final = 2
FORCED_OPEN: Final = 3
DISABLED: Final = 4

Circuit: TypeAlias = "tuple[int, int, int, int, int, int, int, Record]"
Lease: TypeAlias = "tuple[int, int, int]"
Permit: TypeAlias = "tuple[int, int, int]"
"""`(generation, number, token)` of one admitted call; `token` is 0 but for probes, and `number` for
them. A caller that did not receive its permit gives it back as (0, 0, token)."""

_SLOT: Final = struct.Struct("<qqIII")
_LARGEST_COUNT: Final = 2**32 - 1
_MILLION: Final = 10**6
_ROWS: Final = 8
_MOST_KEPT: Final = 1_000
_MOST_GROWTH: Final = 100
MOST_STEPS: Final = 150


class CircuitState(Enum):
    """The mode of a circuit breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    DISABLED = "disabled"


_STATES: Final = tuple(CircuitState)

TRANSITIONS: Final = (
    (CircuitState.CLOSED, "enough calls failed or were slow", CircuitState.OPEN),
    (CircuitState.OPEN, "the open time is over and a call comes", CircuitState.HALF_OPEN),
    (CircuitState.HALF_OPEN, "enough probes succeeded", CircuitState.CLOSED),
    (CircuitState.HALF_OPEN, "a probe failed or was slow", CircuitState.OPEN),
    (CircuitState.OPEN, "nobody calls for longer than a day", CircuitState.CLOSED),
    (CircuitState.HALF_OPEN, "nobody calls for longer than a day", CircuitState.CLOSED),
)
"""All automatic changes of a circuit's mode; a person may force or reset any mode."""


class Outcome(Enum):
    """The result of an admitted call, in the categories of the circuit breaker."""

    GOOD = "good"
    FAILED = "failed"
    SLOW = "slow"
    NEUTRAL = "neutral"


class Record(NamedTuple):
    """The part of a circuit breaker's state that changes only after failures.

    Attributes:
        grid: the width of the slots, in microseconds, or, negated, in calls.
        fails, slow, cancelled: failures, slow responses and cancelled calls in the current slot.
        times: the times of the last failures in the window, at most `failures` of them.
        rows: failures in a row: first number, last number, number of failures (the other calls were
            cancelled).
        past: earlier slots of the window, packed: end, base, calls, failures, slow responses.
        who: the reporters of the last failures, with the time of each reporter's last failure.
        streak: the number of openings so far, counted from 0 once it stays closed for a window.
        since: the time at which it last closed after an opening.
        until: the time at which it half-opens.
        leases: the probes under way.
        good: the number of probes that have succeeded since it half-opened.
    """

    grid: int
    fails: int = 0
    slow: int = 0
    cancelled: int = 0
    times: tuple[int, ...] = ()
    rows: tuple[tuple[int, int, int], ...] = ()
    past: bytes = b""
    who: tuple[tuple[str, int], ...] = ()
    streak: int = 0
    since: int = 0
    until: int = 0
    leases: tuple[Lease, ...] = ()
    good: int = 0


_UNTIL_INDEX: Final = Record._fields.index("until")


def _record_after(fields: Any) -> Record:
    return fields if type(fields) is Record else Record._make(fields)


def _is_kept(_: object, attribute: attrs.Attribute[Any], value: int) -> None:
    # Each of these values is an item of the stored state.
    count(value, attribute.name, most=_MOST_KEPT)


def _is_growth(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 1 <= value <= _MOST_GROWTH:
        raise ConfigurationError(
            f"{brief_repr(value)} is not a growth factor.",
            path=attribute.name,
            remedy=f"Set a factor from 1 to {_MOST_GROWTH}.",
        )


@frozen(kw_only=True)
class CircuitBreakerConfig:
    """The rules by which a circuit opens and closes; None disables a rule.

    Attributes:
        failures: the number of failures within `window` that opens the circuit.
        failure_rate: the share of failed calls in the window that opens the circuit.
        minimum_calls: the minimum number of calls in the window for `failure_rate` and
            `slow_call_rate`; with fewer calls, the circuit ignores both rates.
        window: the length of the window in seconds. For the rates, the window may be up to a tenth
            longer, because calls are counted in ten slots.
        window_calls: the number of latest calls over which the rates are computed, instead of over
            `window`; up to a tenth more calls may count. After a day without calls, the count
            starts again at zero.
        consecutive_failures: the number of failures in a row that opens the circuit, with up to a
            day between two failures. This rule suits services that are called a few times an hour.
        slow_call: the number of seconds after which a response counts as slow.
        slow_call_rate: the share of slow calls in the window that opens the circuit.
        open_for: the number of seconds for which the circuit stays open the first time.
        open_growth: the factor by which the open time grows each time the circuit opens again.
            After the circuit has been closed for a whole window, the open time is `open_for` again.
        open_at_most: the maximum number of seconds for which the circuit stays open.
        probes: the largest number of concurrent probes while the circuit is half open.
        successes: the number of probes that must succeed before the circuit closes.
        quorum: the number of processes that must have seen failures before the circuit opens:
            during the window for rules about the window, and within a day for
            `consecutive_failures`.
        shadow: whether the circuit only counts and reports, and refuses no call.
    """

    failures: int | None = field(default=5, validator=if_given(_is_kept))
    failure_rate: float | None = field(default=None, validator=if_given(is_share))
    minimum_calls: int = field(default=10, validator=is_count)
    window: float = field(default=60.0, converter=plain_seconds, validator=is_seconds)
    window_calls: int | None = field(default=None, validator=if_given(is_count))
    consecutive_failures: int | None = field(default=5, validator=if_given(is_count))
    slow_call: float | None = field(
        default=None,
        converter=optional(plain_seconds),
        validator=if_given(is_seconds),
    )
    slow_call_rate: float = field(default=0.5, validator=is_share)
    open_for: float = field(default=60.0, converter=plain_seconds, validator=is_seconds)
    open_growth: float = field(default=2.0, validator=_is_growth)
    open_at_most: float = field(default=600.0, converter=plain_seconds, validator=is_seconds)
    probes: int = field(default=1, validator=_is_kept)
    successes: int = field(default=1, validator=is_count)
    quorum: int = field(default=1, validator=_is_kept)
    shadow: bool = field(default=False, validator=is_true_or_false)

    def __attrs_post_init__(self) -> None:
        rules = (self.failures, self.failure_rate, self.consecutive_failures, self.slow_call)
        if all(rule is None for rule in rules):
            raise ConfigurationError(
                "The circuit has no rule that could open it.",
                path="failures",
                remedy="Set failures, failure_rate, consecutive_failures or slow_call, or"
                " configure no circuit.",
            )


@frozen(kw_only=True)
class CircuitBreakerState:
    """A snapshot of a circuit breaker, for people and metrics.

    `calls`, `failures` and `slow_calls` are counts in the window; `retry_after` is the number of
    seconds until an open circuit lets a probe through.
    """

    state: CircuitState
    calls: int
    failures: int
    slow_calls: int
    consecutive_failures: int
    openings: int
    probes_under_way: int
    retry_after: float | None


_SEVERITY: Final = (
    CircuitState.FORCED_OPEN,
    CircuitState.OPEN,
    CircuitState.HALF_OPEN,
    CircuitState.CLOSED,
    CircuitState.DISABLED,
)


def joint_state(circuits: Sequence[CircuitBreakerState]) -> CircuitBreakerState:
    """Return one joint state for circuits that share the calls of a service.

    It has the most severe mode of all the circuits, and the earliest time at which a circuit in
    this mode admits a probe. Counts are sums, except for consecutive failures and openings, which
    are the largest of any circuit.
    """
    state = min((circuit.state for circuit in circuits), key=_SEVERITY.index)
    waits = [
        circuit.retry_after
        for circuit in circuits
        if circuit.state is state and circuit.retry_after is not None
    ]
    return CircuitBreakerState(
        state=state,
        calls=sum(circuit.calls for circuit in circuits),
        failures=sum(circuit.failures for circuit in circuits),
        slow_calls=sum(circuit.slow_calls for circuit in circuits),
        consecutive_failures=max(circuit.consecutive_failures for circuit in circuits),
        openings=max(circuit.openings for circuit in circuits),
        probes_under_way=sum(circuit.probes_under_way for circuit in circuits),
        retry_after=min(waits, default=None),
    )


def mode_to_force(state: CircuitState) -> int:
    """Return the mode that an operator sets: closed (a reset), forced open, or disabled."""
    if state not in (CircuitState.CLOSED, CircuitState.FORCED_OPEN, CircuitState.DISABLED):
        raise ConfigurationError(
            f"{state!r} is not a state that a person can set.",
            path="state",
            remedy="Pass CircuitState.CLOSED, FORCED_OPEN or DISABLED.",
        )
    return _STATES.index(state)


class CircuitRule:
    """The compiled form of a circuit's configuration: pure functions over its state."""

    __slots__ = (
        "config",
        "empty_record",
        "failure_share",
        "grid",
        "keep_for",
        "longest",
        "open_for",
        "slow_share",
        "span",
        "timed",
        "width",
        "within",
    )

    SLOTS: Final = 10

    def __init__(self, config: CircuitBreakerConfig) -> None:
        self.config = config
        self.within = micros(config.window)
        self.timed = config.window_calls is None
        self.span = self.within if config.window_calls is None else config.window_calls
        self.width = -(-self.span // self.SLOTS)
        self.grid = self.width if self.timed else -self.width
        self.empty_record = Record(self.grid)
        self.open_for = micros(config.open_for)
        self.longest = max(self.open_for, micros(config.open_at_most))
        # The result of a call counts even if it arrives an hour after the call began.
        self.keep_for = self.within + self.width + HOUR if self.timed else self.within + DAY
        # The share is in millionths, because as a float 0.07 * 100 is more than 7.
        self.failure_share = max(1, round((config.failure_rate or 0) * _MILLION))
        self.slow_share = max(1, round(config.slow_call_rate * _MILLION))

    def fast_admit(self, state: State | None, now: int, _cost: int = 0, /) -> Circuit | None:
        """Return the state after a call through a closed circuit; None if `admit` must decide.

        The last argument makes it callable like the `fast_grant` of a limit.
        """
        if state is None:
            return None
        state_time, keep_for, mode, generation, slot, total, base, record = state
        if self.timed:
            if mode or not state_time <= now < slot:
                return None
        elif mode or total >= slot or not state_time <= now < state_time + keep_for:
            return None
        if record[0] != self.grid:
            return None
        return (now, keep_for, 0, generation, slot, total + 1, base, record)

    def refusal_time(self, state: State | None, now: int) -> int:
        """Return the microseconds for which the circuit refuses calls; 0 if `admit` must decide."""
        if state is None or self.config.shadow or not 0 <= now - state[0] <= SMALL_STEP:
            return 0
        if state[2] == OPEN:
            end_time: int = state[7][_UNTIL_INDEX]
            return end_time - now if end_time > now else 0
        return FOREVER if state[2] == FORCED_OPEN else 0

    def present(self, state: State | None, now: int) -> Circuit:
        """Return the circuit's state at the present time, with its window advanced.

        If the clock stepped back, all times in the state are moved back with it.
        """
        if state is None or now - state[0] >= state[1]:
            slot = self._end(now if self.timed else 0)
            return (now, self.keep_for, CLOSED, now, slot, 0, 0, self.empty_record)
        state_time, keep_for, mode, generation, slot, total, base, fields = state
        record = _record_after(fields)
        time, clock_step = reading_time(state_time, now)
        if clock_step:
            slot, record = self._moved_back(slot, record, clock_step)
        if record.grid != self.grid:
            keep_for = max(keep_for, self.keep_for)
            slot, base, record = self._converted(time, slot, total, base, record)
        at = time if self.timed else total
        if at >= slot:
            record = self._with_slot_in_past((slot, base, total - base), record, at)
            slot, base = self._end(at), total
        return (time, keep_for, mode, generation, slot, total, base, record)

    def admit(
        self, circuit: Circuit, token: int, lease: int
    ) -> tuple[Circuit, Permit | None, int, bool]:
        """Return the admission of a call: its permit, or the time that it must wait.

        A call that may become a probe must ask again with its own token.
        """
        state_time, keep_for, mode, generation, slot, total, base, record = circuit
        if mode == CLOSED:
            total += 1
        if mode in (CLOSED, DISABLED):
            circuit = (state_time, keep_for, mode, generation, slot, total, base, record)
            return circuit, (generation, total, 0), 0, False
        closed_for = (
            self.outdated_wait(circuit) if mode == FORCED_OPEN or state_time < record.until else 0
        )
        if closed_for:
            return circuit, None, closed_for, False
        if mode == OPEN:
            generation += 1
        leases = tuple(
            held_numbers for held_numbers in record.leases if held_numbers[1] > state_time
        )
        if not any(lease[0] == token and lease[2] == generation for lease in leases):
            if len(leases) >= self.config.probes:
                return circuit, None, min(end for _, end, _ in leases) - state_time, False
            if not token:
                return circuit, None, 0, True
            leases = (*leases, (token, state_time + lease, generation))
        record = record._replace(leases=leases)
        keep_for = _lifetime(self.longest + DAY, state_time, record)
        circuit = (state_time, keep_for, HALF_OPEN, generation, slot, total, base, record)
        return circuit, (generation, 0, token), 0, False

    def confirm(self, circuit: Circuit, permit: Permit, wait: int) -> tuple[Circuit, int]:
        """Return the microseconds that a call must wait again after its first wait has ended.

        The wait is 0 if the call may be sent now. The lease of a probe that must wait again is
        extended by `wait`.
        """
        state_time, keep_for, mode, generation, slot, total, base, record = circuit
        if permit[0] != generation:
            return circuit, self.outdated_wait(circuit)
        token = permit[2]
        if not token:
            return circuit, 0
        if not any(lease[0] == token and lease[1] > state_time for lease in record.leases):
            return circuit, self.outdated_wait(circuit)
        leases = tuple(
            (lease, end + wait if lease == token else end, lease_generation)
            for lease, end, lease_generation in record.leases
        )
        record = record._replace(leases=leases)
        keep_for = _lifetime(keep_for, state_time, record)
        return (state_time, keep_for, mode, generation, slot, total, base, record), 0

    def record(
        self, circuit: Circuit, permit: Permit, outcome: Outcome, reporter: str
    ) -> tuple[Circuit, CircuitState | None]:
        """Return the circuit after the end of a call, and its new mode if the mode changed."""
        state_time, keep_for, mode, generation, slot, total, base, record = circuit
        token = permit[2]
        is_held = False
        if token:
            is_held = any(
                lease[0] == token and lease[1] > state_time and lease[2] == generation
                for lease in record.leases
            )
            leases = tuple(lease for lease in record.leases if lease[0] != token)
            record = record._replace(leases=leases)
        circuit = (state_time, keep_for, mode, generation, slot, total, base, record)
        if permit[0] == generation and mode == HALF_OPEN and is_held:
            return self._with_probe(circuit, outcome)
        if permit[0] == generation and mode == CLOSED:
            if outcome is Outcome.NEUTRAL:
                return self._without_cancelled_call(circuit, permit[1]), None
            if outcome is not Outcome.GOOD:
                return self._with_failure(circuit, permit[1], outcome, reporter)
        return circuit, None

    def set_mode(self, circuit: Circuit, mode: int) -> Circuit:
        """Return the circuit after an operator forced it open, disabled it or reset it."""
        state_time, _, _, generation, slot, total, _, record = circuit
        record = self.empty_record._replace(leases=record.leases)
        keep_for = _lifetime(self.keep_for if mode == CLOSED else FOREVER, state_time, record)
        return (state_time, keep_for, mode, generation + 1, slot, total, total, record)

    def open_duration(self, streak: int) -> int:
        """Return the microseconds for which the circuit opens after `streak` openings in a row."""
        growth = self.config.open_growth ** min(streak, MOST_STEPS)
        return int(min(self.longest, self.open_for * growth))

    def is_open(self, circuit: Circuit) -> bool:
        """Return whether the circuit refuses all calls until a time or until a manual change."""
        return circuit[2] == FORCED_OPEN or (circuit[2] == OPEN and circuit[0] < circuit[7].until)

    def outdated_wait(self, circuit: Circuit) -> int:
        """Return the microseconds that a call with an outdated permit must wait; 0 if none."""
        state_time, _, mode, _, _, _, _, record = circuit
        if mode == OPEN:
            return max(1, record.until - state_time)
        if mode == HALF_OPEN:
            end_numbers = [end for _, end, _ in record.leases if end > state_time]
            return min(end_numbers) - state_time if len(end_numbers) >= self.config.probes else 1
        return FOREVER if mode == FORCED_OPEN else 0

    def read(self, circuit: Circuit) -> CircuitBreakerState:
        """Return a snapshot of the circuit for people, with mode names and times in seconds."""
        state_time, _, mode, _, _, total, _, record = circuit
        calls, failures, slow_calls = self._window(circuit)
        rows = _recent_failures(record, state_time)
        return CircuitBreakerState(
            state=_STATES[mode],
            calls=max(calls, failures),
            failures=failures,
            slow_calls=slow_calls,
            consecutive_failures=rows[-1][2] if rows and rows[-1][1] == total else 0,
            openings=record.streak,
            probes_under_way=sum(end > state_time for _, end, _ in record.leases),
            retry_after=max(0, record.until - state_time) / SECOND if mode == OPEN else None,
        )

    def _with_failure(
        self, circuit: Circuit, number: int, outcome: Outcome, reporter: str
    ) -> tuple[Circuit, CircuitState | None]:
        """Return a closed circuit after a failure or slow response, and its new mode if any."""
        state_time, keep_for, _, generation, slot, total, base, record = circuit
        config = self.config
        if state_time - record.since >= self.within:
            record = record._replace(streak=0)
        is_failed = outcome is Outcome.FAILED
        if is_failed:
            rows = _recent_failures(record, state_time)
            if config.consecutive_failures is not None:
                rows = _rows_after_failure(rows, number, failed=1)
            times = (
                *(time for time in record.times if time > state_time - self.within),
                state_time,
            )
            reporters = (
                *(
                    entry
                    for entry in record.who
                    if entry[1] > state_time - DAY and entry[0] != reporter
                ),
                (reporter, state_time),
            )
            record = record._replace(
                fails=record.fails + 1,
                times=times[-(config.failures or 1) :],
                rows=rows,
                who=reporters[-config.quorum :],
            )
        else:
            record = record._replace(slow=record.slow + 1)
        circuit = (state_time, max(keep_for, DAY), CLOSED, generation, slot, total, base, record)
        if (
            self._has_too_many_failures(circuit)
            if is_failed
            else self._has_too_many_slow_calls(circuit)
        ):
            return self._opened_circuit(circuit), CircuitState.OPEN
        return circuit, None

    def _has_too_many_failures(self, circuit: Circuit) -> bool:
        """Return whether the counted failures suffice to open the circuit."""
        state_time, _, _, _, _, _, _, record = circuit
        config = self.config
        is_recent = len(record.who) >= config.quorum
        recent_reporter_count = (
            sum(time > state_time - self.within for _, time in record.who) >= config.quorum
        )
        if (
            config.failures is not None
            and recent_reporter_count
            and len(record.times) >= config.failures
        ):
            return True
        if config.consecutive_failures is not None and is_recent:
            longest_row = max(failed_count for _, _, failed_count in record.rows)
            if longest_row >= config.consecutive_failures:
                return True
        if config.failure_rate is None or not (recent_reporter_count if self.timed else is_recent):
            return False
        calls, failures, slow_calls = self._window(circuit)
        calls = max(calls, failures, slow_calls)
        return calls >= config.minimum_calls and failures * _MILLION >= self.failure_share * calls

    def _has_too_many_slow_calls(self, circuit: Circuit) -> bool:
        """Return whether the counted slow responses suffice to open the circuit."""
        calls, failures, slow_calls = self._window(circuit)
        calls = max(calls, failures, slow_calls)
        return (
            calls >= self.config.minimum_calls and slow_calls * _MILLION >= self.slow_share * calls
        )

    def _with_probe(
        self, circuit: Circuit, outcome: Outcome
    ) -> tuple[Circuit, CircuitState | None]:
        """Return the circuit after a probe call has ended, and its new mode if it changed."""
        state_time, keep_for, mode, generation, slot, total, base, record = circuit
        if outcome is Outcome.NEUTRAL:
            return circuit, None
        if outcome is not Outcome.GOOD:
            return self._opened_circuit(circuit), CircuitState.OPEN
        success_count = record.good + 1
        if success_count < self.config.successes:
            record = record._replace(good=success_count)
            return (state_time, keep_for, mode, generation, slot, total, base, record), None
        record = self.empty_record._replace(
            leases=record.leases, streak=record.streak, since=state_time
        )
        keep_for = _lifetime(self.keep_for, state_time, record)
        return (
            state_time,
            keep_for,
            CLOSED,
            generation + 1,
            slot,
            total,
            total,
            record,
        ), CircuitState.CLOSED

    def _opened_circuit(self, circuit: Circuit) -> Circuit:
        state_time, _, _, generation, slot, total, _, record = circuit
        record = self.empty_record._replace(
            leases=record.leases,
            streak=record.streak + 1,
            until=state_time + self.open_duration(record.streak),
        )
        keep_for = _lifetime(self.longest + DAY, state_time, record)
        return (state_time, keep_for, OPEN, generation + 1, slot, total, total, record)

    def _without_cancelled_call(self, circuit: Circuit, number: int) -> Circuit:
        """Return the circuit without counting a call that was cancelled."""
        state_time, keep_for, mode, generation, slot, total, base, record = circuit
        if number > base:
            record = record._replace(cancelled=min(record.cancelled + 1, total - base))
        elif record.past:
            past_slots = list(_slots(record.past))
            for index in reversed(range(len(past_slots))):
                end, first_number, calls, failures, slow_calls = past_slots[index]
                if number > first_number:
                    past_slots[index] = (end, first_number, max(0, calls - 1), failures, slow_calls)
                    break
            record = record._replace(past=_packed_slots(past_slots))
        if record.rows:
            record = record._replace(rows=_rows_after_failure(record.rows, number, failed=0))
        return (state_time, keep_for, mode, generation, slot, total, base, record)

    def _end(self, at: int) -> int:
        """Return the end of the time slot that contains `at`."""
        return at - at % self.width + self.width

    def _converted(
        self, time: int, slot: int, total: int, base: int, record: Record
    ) -> tuple[int, int, Record]:
        """Convert a state that another rule wrote: return its slot, first call and record."""
        at = time if self.timed else total
        past_slots = list(_slots(record.past))
        if record.grid > 0 and not self.timed:
            # A slot ends where the next one begins.
            slot_ends = [*(first_number for _, first_number, *_ in past_slots[1:]), base]
            past_slots = [
                (end, *past_slot[1:]) for end, past_slot in zip(slot_ends, past_slots, strict=False)
            ]
            slot = self._end(at)
        elif record.grid < 0 and self.timed:
            slot, base, past_slots = self._end(at), total, []
            record = record._replace(fails=0, slow=0, cancelled=0)
        past_bytes = _packed_slots(
            past_slot for past_slot in past_slots if past_slot[0] > at - self.span
        )
        record = record._replace(grid=self.grid, past=past_bytes)
        return min(slot, self._end(at)), base, record

    def _with_slot_in_past(self, slot: tuple[int, int, int], record: Record, at: int) -> Record:
        """Return the counts after the current time slot ended, without slots that are too old."""
        end, base, calls = slot
        calls = min(calls - record.cancelled, _LARGEST_COUNT)
        slots = [entry for entry in _slots(record.past) if entry[0] > at - self.span]
        if end > at - self.span and (calls or record.fails or record.slow):
            slots.append((end, base, calls, record.fails, record.slow))
        past_bytes = _packed_slots(slots)
        if past_bytes == record.past and not (record.fails or record.slow or record.cancelled):
            return record
        return record._replace(fails=0, slow=0, cancelled=0, past=past_bytes)

    def _moved_back(self, slot: int, record: Record, shift: int) -> tuple[int, Record]:
        """Return a time slot and a record with all their times reduced by `shift` microseconds."""
        in_slots = shift if record.grid > 0 else 0
        return slot - in_slots, record._replace(
            times=tuple(time - shift for time in record.times),
            past=_packed_slots((end - in_slots, *counts) for end, *counts in _slots(record.past)),
            who=tuple((reporter, time - shift) for reporter, time in record.who),
            since=record.since - shift,
            until=record.until - shift,
            leases=tuple(
                (token, end - shift, generation) for token, end, generation in record.leases
            ),
        )

    def _window(self, circuit: Circuit) -> tuple[int, int, int]:
        """Return the numbers of calls, failures and slow responses that the circuit counts now."""
        state_time, _, _, _, _, total, base, record = circuit
        window_start = (state_time if self.timed else total) - self.span
        calls, failures, slow_calls = total - base - record.cancelled, record.fails, record.slow
        for end, _, in_slot, slot_failures, slot_slow in _slots(record.past):
            if end > window_start:
                calls, failures, slow_calls = (
                    calls + in_slot,
                    failures + slot_failures,
                    slow_calls + slot_slow,
                )
        return calls, failures, slow_calls


def _slots(past_bytes: bytes) -> Iterator[tuple[Any, ...]]:
    return _SLOT.iter_unpack(past_bytes)


def _packed_slots(slots: Iterable[tuple[Any, ...]]) -> bytes:
    return b"".join(_SLOT.pack(*slot) for slot in slots)


def _lifetime(keep_for: int, seen: int, record: Record) -> int:
    """Return the microseconds for which to store a state: at least until its last lease ends."""
    return max((keep_for, *(end - seen for _, end, _ in record.leases)))


def _recent_failures(record: Record, seen: int) -> tuple[tuple[int, int, int], ...]:
    """Return the streaks of consecutive failures; none if the last failure is over a day old."""
    return record.rows if record.times and seen - record.times[-1] < DAY else ()


def _rows_after_failure(
    rows: tuple[tuple[int, int, int], ...], number: int, *, failed: int
) -> tuple[tuple[int, int, int], ...]:
    """Return the streaks of consecutive failures after one more failure is added."""
    first_number = last_number = number
    other_numbers: list[tuple[int, int, int]] = []
    for row in rows:
        if row[1] == first_number - 1:
            first_number, failed = row[0], failed + row[2]
        elif row[0] == last_number + 1:
            last_number, failed = row[1], failed + row[2]
        else:
            other_numbers.append(row)
    return tuple(sorted((*other_numbers, (first_number, last_number, failed)))[-_ROWS:])
