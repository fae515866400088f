"""The circuit breaker: one machine, shared by everybody who calls a service.

Laws:

1. Half open, at most `probes` unexpired leases exist, those of earlier openings included.
2. What belongs to an earlier generation changes nothing but its own lease.
3. A success is silence: admission counts the call, only what went wrong is recorded. The failure
   rate is failures / max(calls, failures).
4. A cancelled call is neutral: its count is taken back, its lease ends, nothing is judged.

A state is `(seen, quiet, mode, gen, slot, total, base, record)`. Calls are counted by one number,
`total`; `base` is what it was when the current slot of the window began. `gen` starts at the
store's time, so that a state which was forgotten and made anew is never taken for the old. All that changes only
when something goes wrong is in `record`:
`(fails, slow, times, run_base, run, past, who, streak, since, until, leases, good)`.
"""

from __future__ import annotations

import struct
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import attrs

from mooring.domain.durations import DAY, FOREVER, SECOND, count, micros, seconds, share
from mooring.domain.state import State, steady
from mooring.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

CLOSED: Final = 0
OPEN: Final = 1
HALF_OPEN: Final = 2
FORCED_OPEN: Final = 3
DISABLED: Final = 4

Circuit: TypeAlias = "tuple[int, int, int, int, int, int, int, Record]"
Lease: TypeAlias = "tuple[int, int, int]"
Permit: TypeAlias = "tuple[int, int, int]"
"""`(gen, slot, token)` of one admitted call; `token` is 0 but for probes. Opaque to its holder."""

_SLOT = struct.Struct("<qIII")


class CircuitState(Enum):
    """What a circuit does with calls."""

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
)
"""Every change of mode that happens by itself; a person may force or reset any mode."""


class Outcome(Enum):
    """How an admitted call ended, as far as a circuit is concerned."""

    GOOD = "good"
    FAILED = "failed"
    SLOW = "slow"
    NEUTRAL = "neutral"


class Record(NamedTuple):
    """What changes only when something goes wrong, or while a circuit is not closed.

    Attributes:
        fails, slow: failures and slow answers in the current slot.
        times: when the last failures happened, at most `failures` of them.
        run_base, run: the failures in a row: `run` of them since `total` was `run_base`.
        past: earlier slots of the window, packed.
        who: the reporters of recent failures, with the slot of each one's last.
        streak: how many times the circuit opened without a calm time between.
        since, until: when the mode began, and when an open time ends.
        leases: the probes under way.
        good: probes that succeeded in this half-open time.
    """

    fails: int = 0
    slow: int = 0
    times: tuple[int, ...] = ()
    run_base: int = 0
    run: int = 0
    past: bytes = b""
    who: tuple[tuple[str, int], ...] = ()
    streak: int = 0
    since: int = 0
    until: int = 0
    leases: tuple[Lease, ...] = ()
    good: int = 0


QUIET_RECORD: Final = Record()


@attrs.frozen(kw_only=True)
class CircuitBreakerConfig:
    """When a circuit opens, and how it recovers. Any one rule opens it; None turns a rule off.

    Attributes:
        failures: this many failures within `window` open it.
        failure_rate: this share of the calls in the window failing opens it.
        minimum_calls: a rate is judged only from this many calls on.
        window: seconds that count.
        window_calls: if given, the rates are taken over the last so many calls instead.
        consecutive_failures: this many failures in a row open it, however far apart (up to a day
            between two): the rule for services that are called a few times an hour.
        slow_call: an answer that takes longer than these seconds is slow.
        slow_call_rate: this share of slow calls opens it.
        open_for: seconds to stay open, the first time.
        open_growth: each opening without a calm time between lasts this much longer,
        open_at_most: up to these seconds.
        probes: how many probes may be under way at once when half open.
        successes: how many probes must succeed before it closes.
        quorum: how many distinct reporters (processes) must have seen failures.
        shadow: count and report, but never hold a call back.
    """

    failures: int | None = 5
    failure_rate: float | None = None
    minimum_calls: int = 10
    window: float = attrs.field(default=60.0, converter=lambda value: seconds(value, "window"))
    window_calls: int | None = None
    consecutive_failures: int | None = 5
    slow_call: float | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(lambda value: seconds(value, "slow_call")),
    )
    slow_call_rate: float = 0.5
    open_for: float = attrs.field(default=60.0, converter=lambda value: seconds(value, "open_for"))
    open_growth: float = 2.0
    open_at_most: float = attrs.field(
        default=600.0, converter=lambda value: seconds(value, "open_at_most")
    )
    probes: int = 1
    successes: int = 1
    quorum: int = 1
    shadow: bool = False

    def __attrs_post_init__(self) -> None:
        for name in ("failures", "window_calls", "consecutive_failures"):
            value = getattr(self, name)
            if value is not None:
                count(value, name)
        for name in ("minimum_calls", "probes", "successes", "quorum"):
            count(getattr(self, name), name)
        if self.failure_rate is not None:
            share(self.failure_rate, "failure_rate")
        share(self.slow_call_rate, "slow_call_rate")
        if not isinstance(self.open_growth, (int, float)) or not 1 <= self.open_growth <= 100:
            raise ConfigurationError(
                f"{self.open_growth!r} is not a growth.",
                path="open_growth",
                remedy="Give a factor from 1 to 100.",
            )
        rules = (self.failures, self.failure_rate, self.consecutive_failures, self.slow_call)
        if all(rule is None for rule in rules):
            raise ConfigurationError(
                "No rule would ever open this circuit.",
                path="failures",
                remedy="Set failures, failure_rate, consecutive_failures or slow_call; "
                "or configure no circuit.",
            )


@attrs.frozen(kw_only=True)
class CircuitBreakerState:
    """What a circuit knows at one moment, for people and for metrics.

    `calls`, `failures` and `slow_calls` are those in the window; `retry_after` is how many seconds
    until the circuit lets a probe through, if it is open.
    """

    state: CircuitState
    calls: int
    failures: int
    slow_calls: int
    consecutive_failures: int
    openings: int
    probes_under_way: int
    retry_after: float | None


def mode_to_force(state: CircuitState) -> int:
    """The mode that a person may set: closed (a reset), forced open, or disabled."""
    if state not in {CircuitState.CLOSED, CircuitState.FORCED_OPEN, CircuitState.DISABLED}:
        raise ConfigurationError(
            f"{state!r} is not a state that can be set by hand.",
            path="state",
            remedy="Give CircuitState.CLOSED, FORCED_OPEN or DISABLED.",
        )
    return _STATES.index(state)


class CircuitRule:
    """A configured circuit, compiled: pure functions over its state."""

    __slots__ = ("calm_time", "config", "longest", "open_for", "quiet", "slots", "width", "within")

    SLOTS: Final = 10

    def __init__(self, config: CircuitBreakerConfig) -> None:
        self.config = config
        self.within = micros(config.window)
        self.slots = self.SLOTS
        if config.window_calls is None:
            self.width = -(-self.within // self.slots)
        else:
            self.slots = min(self.slots, config.window_calls)
            self.width = -(-config.window_calls // self.slots)
        self.open_for = micros(config.open_for)
        self.longest = max(self.open_for, micros(config.open_at_most))
        self.calm_time = self.within
        self.quiet = self.within + max(self.width, SECOND)
        if config.window_calls is not None:
            self.quiet = DAY

    @property
    def shape(self) -> str:
        """What makes two circuits' states comparable."""
        unit = "us" if self.config.window_calls is None else "calls"
        return f"{self.width}{unit}"

    def calm(self, state: State | None, now: int) -> Circuit | None:
        """Count a call through a closed circuit; None in every case that needs thought."""
        if state is None:
            return None
        seen, quiet, mode, gen, slot, total, base, record = state
        if (
            mode
            or now < seen
            or (now // self.width if self.config.window_calls is None else total // self.width)
            != slot
        ):
            return None
        return (now, quiet, 0, gen, slot, total + 1, base, record)

    def present(self, state: State | None, now: int) -> Circuit:
        """The state as of now: moved back with a clock that stepped, its window rolled on."""
        if state is None:
            slot = now // self.width if self.config.window_calls is None else 0
            return (now, self.quiet, CLOSED, now, slot, 0, 0, QUIET_RECORD)
        seen, quiet, mode, gen, slot, total, base, record = state
        time, back = steady(seen, now)
        if back:
            slot, record = self._moved(slot, record, back)
        current = time // self.width if self.config.window_calls is None else total // self.width
        if current != slot:
            record = self._rolled(slot, total - base, record, current)
            slot, base = current, total
        return (time, quiet, mode, gen, slot, total, base, record)

    def admit(
        self, circuit: Circuit, token: int, lease: int
    ) -> tuple[Circuit, Permit | None, int, bool]:
        """Decide about one call: the state, its permit, how long to wait without one, a need.

        The need is for a token: a call that may become a probe is asked to come again with one.
        """
        seen, quiet, mode, gen, slot, total, base, record = circuit
        if mode == DISABLED:
            return circuit, (gen, slot, 0), 0, False
        if mode == CLOSED:
            return (
                (seen, quiet, mode, gen, slot, total + 1, base, record),
                (gen, slot, 0),
                0,
                False,
            )
        if mode == FORCED_OPEN:
            return circuit, None, FOREVER, False
        if mode == OPEN:
            if seen < record.until:
                return circuit, None, record.until - seen, False
            gen += 1
            mode = HALF_OPEN
            record = record._replace(good=0, since=seen)
        leases = tuple(lease for lease in record.leases if lease[1] > seen)
        held = any(lease[0] == token and lease[2] == gen for lease in leases)
        if not held:
            if len(leases) >= self.config.probes:
                return circuit, None, min(lease[1] for lease in leases) - seen, False
            if not token:
                return circuit, None, 0, True
            leases = (*leases, (token, seen + lease, gen))
        record = record._replace(leases=leases)
        return (
            (seen, self.longest + DAY, mode, gen, slot, total, base, record),
            (gen, slot, token),
            0,
            False,
        )

    def record(
        self, circuit: Circuit, permit: Permit, outcome: Outcome, reporter: str
    ) -> tuple[Circuit, CircuitState | None]:
        """How a call ended: the state, and the mode it changed to, if it changed."""
        seen, quiet, mode, gen, slot, total, base, record = circuit
        held = False
        if permit[2]:
            leases = tuple(lease for lease in record.leases if lease[0] != permit[2])
            held = any(
                lease[0] == permit[2] and lease[1] > seen and lease[2] == gen
                for lease in record.leases
            )
            record = record._replace(leases=leases)
        circuit = (seen, quiet, mode, gen, slot, total, base, record)
        if permit[0] != gen:
            return circuit, None
        if mode == HALF_OPEN:
            return self._probed(circuit, outcome) if held else (circuit, None)
        if mode != CLOSED:
            return circuit, None
        if outcome is Outcome.NEUTRAL:
            return self._uncounted(circuit, permit[1]), None
        if outcome is Outcome.GOOD:
            return circuit, None
        return self._counted(circuit, outcome, reporter)

    def force(self, circuit: Circuit, mode: int) -> Circuit:
        """Open, disable or reset by hand; a new generation begins."""
        seen, _, _, gen, slot, total, _, record = circuit
        record = QUIET_RECORD._replace(leases=record.leases, since=seen, run_base=total)
        quiet = self.quiet if mode == CLOSED else FOREVER
        return (seen, quiet, mode, gen + 1, slot, total, total, record)

    def away(self, circuit: Circuit) -> int:
        """How long a caller without a permit of this generation must stay away; 0 is not at all."""
        seen, _, mode, _, _, _, _, record = circuit
        if mode == OPEN:
            return max(1, record.until - seen)
        if mode == HALF_OPEN:
            return max(1, min((end for _, end, _ in record.leases), default=seen) - seen)
        return FOREVER if mode == FORCED_OPEN else 0

    def read(self, circuit: Circuit) -> CircuitBreakerState:
        """The state in words."""
        seen, _, mode, _, slot, total, base, record = circuit
        calls, fails, slow = self._window(slot, total - base, record)
        leases = sum(lease[1] > seen for lease in record.leases)
        return CircuitBreakerState(
            state=_STATES[mode],
            calls=max(calls, fails),
            failures=max(fails, self._recent(record, seen)),
            slow_calls=slow,
            consecutive_failures=record.run if record.run == total - record.run_base else 0,
            openings=record.streak,
            probes_under_way=leases if mode == HALF_OPEN else 0,
            retry_after=max(0, record.until - seen) / SECOND if mode == OPEN else None,
        )

    def _counted(
        self, circuit: Circuit, outcome: Outcome, reporter: str
    ) -> tuple[Circuit, CircuitState | None]:
        """A failure or a slow answer of a closed circuit, and whether it opens."""
        seen, _, _, gen, slot, total, base, record = circuit
        config = self.config
        failed = outcome is Outcome.FAILED
        if record.streak and seen - record.since >= self.calm_time:
            record = record._replace(streak=0)
        first = slot - self.slots
        who = tuple(entry for entry in record.who if entry[1] >= first)
        if failed:
            others = tuple(entry for entry in who if entry[0] != reporter)
            who = (*others, (reporter, slot))[-config.quorum :]
            run = record.run + 1
            run_base = record.run_base
            if run != total - run_base:
                # A call in between succeeded, or is still under way: the row begins anew here.
                run, run_base = 1, total - 1
            times = (*record.times, seen)[-(config.failures or 1) :]
            record = record._replace(
                fails=record.fails + 1, times=times, run=run, run_base=run_base, who=who
            )
        else:
            record = record._replace(slow=record.slow + 1, who=who)
        circuit = (seen, max(self.quiet, DAY), CLOSED, gen, slot, total, base, record)
        if self._tripped(circuit, failed=failed):
            return self._opened(circuit), CircuitState.OPEN
        return circuit, None

    def _tripped(self, circuit: Circuit, *, failed: bool) -> bool:
        seen, _, _, _, slot, total, base, record = circuit
        config = self.config
        calls, fails, slow = self._window(slot, total - base, record)
        calls = max(calls, fails, slow)
        if not failed:
            return calls >= config.minimum_calls and slow >= config.slow_call_rate * calls
        if len(record.who) < config.quorum:
            return False
        if config.failures is not None and self._recent(record, seen) >= config.failures:
            return True
        if config.consecutive_failures is not None and record.run >= config.consecutive_failures:
            return True
        if config.failure_rate is None or calls < config.minimum_calls:
            return False
        return fails >= config.failure_rate * calls

    def _probed(self, circuit: Circuit, outcome: Outcome) -> tuple[Circuit, CircuitState | None]:
        seen, quiet, mode, gen, slot, total, base, record = circuit
        if outcome is Outcome.NEUTRAL:
            return circuit, None
        if outcome is not Outcome.GOOD:
            return self._opened(circuit), CircuitState.OPEN
        good = record.good + 1
        if good < self.config.successes:
            record = record._replace(good=good)
            return (seen, quiet, mode, gen, slot, total, base, record), None
        record = QUIET_RECORD._replace(
            leases=record.leases, streak=record.streak, since=seen, run_base=total
        )
        quiet = max(
            self.quiet, self.calm_time, max((e - seen for _, e, _ in record.leases), default=0)
        )
        return (seen, quiet, CLOSED, gen + 1, slot, total, total, record), CircuitState.CLOSED

    def _opened(self, circuit: Circuit) -> Circuit:
        seen, _, _, gen, slot, total, _, record = circuit
        growth = self.config.open_growth ** min(record.streak, 20)
        open_for = min(self.longest, int(self.open_for * growth))
        record = QUIET_RECORD._replace(
            leases=record.leases,
            streak=record.streak + 1,
            since=seen,
            until=seen + open_for,
            run_base=total,
        )
        quiet = self.longest + DAY
        return (seen, quiet, OPEN, gen + 1, slot, total, total, record)

    def _uncounted(self, circuit: Circuit, slot_of_call: int) -> Circuit:
        """Take a cancelled call's count back, in the slot that it was counted in."""
        seen, quiet, mode, gen, slot, total, base, record = circuit
        if slot_of_call == slot:
            if total > base:
                total -= 1
        else:
            past = b"".join(
                _SLOT.pack(number, calls - (number == slot_of_call and calls > 0), fails, slow)
                for number, calls, fails, slow in _slots(record.past)
            )
            record = record._replace(past=past, run_base=record.run_base + 1)
        return (seen, quiet, mode, gen, slot, total, base, record)

    def _rolled(self, slot: int, calls: int, record: Record, current: int) -> Record:
        """Move the counts of a slot that is over into the past, and forget what is too old."""
        first = current - self.slots
        kept = [entry for entry in _slots(record.past) if first <= entry[0] < slot]
        if first <= slot and (calls or record.fails or record.slow):
            kept.append((slot, calls, record.fails, record.slow))
        past = b"".join(_SLOT.pack(*entry) for entry in kept)
        if past == record.past and not record.fails and not record.slow:
            return record
        return record._replace(fails=0, slow=0, past=past)

    def _moved(self, slot: int, record: Record, back: int) -> tuple[int, Record]:
        """All times moved back by `back`, so that what remained of each stays."""
        slots = back // self.width if self.config.window_calls is None else 0
        return slot - slots, record._replace(
            times=tuple(time - back for time in record.times),
            past=b"".join(
                _SLOT.pack(number - slots, calls, fails, slow)
                for number, calls, fails, slow in _slots(record.past)
            ),
            who=tuple((reporter, number - slots) for reporter, number in record.who),
            since=record.since - back,
            until=record.until - back,
            leases=tuple((token, end - back, gen) for token, end, gen in record.leases),
        )

    def _window(self, slot: int, calls: int, record: Record) -> tuple[int, int, int]:
        """Calls, failures and slow answers in the window."""
        first = slot - self.slots
        fails, slow = record.fails, record.slow
        for number, in_slot, failed, late in _slots(record.past):
            if number >= first:
                calls, fails, slow = calls + in_slot, fails + failed, slow + late
        return calls, fails, slow

    def _recent(self, record: Record, now: int) -> int:
        return sum(time > now - self.within for time in record.times)


def _slots(past: bytes) -> Iterator[tuple[Any, ...]]:
    return _SLOT.iter_unpack(past)
