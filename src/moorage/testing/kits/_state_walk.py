"""Random commands like those that services send, and the possible results of each."""

from __future__ import annotations

from itertools import product, repeat
from typing import TYPE_CHECKING, Any, cast

import attrs

from moorage.domain.idempotency.claims import (
    Claim,
    Renew,
    Resolve,
    abandon_claim,
    release_claim,
    store_answer,
)
from moorage.domain.resilience.admission import Admission, Answer
from moorage.domain.resilience.budget import RetryBudget
from moorage.domain.resilience.circuit import CircuitBreakerConfig, CircuitState, Outcome
from moorage.domain.resilience.gate_commands import (
    Confirm,
    GiveBack,
    Pause,
    ReadCircuit,
    Report,
    SetCircuit,
)
from moorage.domain.resilience.rate_limit import RateLimitConfig
from moorage.domain.service.plan import Plan
from moorage.domain.service.settings import Service
from moorage.domain.values.durations import SECOND
from moorage.testing.kits._state_commands import are_same_scalars, is_tuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    from moorage.domain.resilience.circuit import Permit
    from moorage.domain.state.commands import Command, State, Ticket

_SERVICE = Service(
    "conformance",
    limits=(RateLimitConfig.per_second(50, burst=4), RateLimitConfig.per_minute(3_000, burst=9)),
    circuit=CircuitBreakerConfig(failures=3, window=0.5, open_for=0.05, probes=2, successes=2),
    retry_budget=RetryBudget(ratio=0.3, floor=2, period=0.1),
)
_MODES = (CircuitState.CLOSED, CircuitState.FORCED_OPEN, CircuitState.DISABLED)
_NUMBERS = (int, float)
_TTL = 60 * SECOND
_LEASE = SECOND // 10
_TARGETS = ("vendor", "vendor", "other")


class RandomCommands:
    """Draws random commands, as if several independent callers used a store.

    Args:
        chance: the source of random numbers.
        home: a name that no other check uses.
    """

    def __init__(self, chance: Random, home: str) -> None:
        plan = Plan(_SERVICE, home, None)
        self._chance = chance
        self._gates = plan.gates
        self._claim_keys = [plan.claim_key(name) for name in ("a", "b")]
        self._permits: list[Any] = []
        self._queued: list[tuple[tuple[Ticket, ...], Permit | None]] = []
        self._claims: list[tuple[str, int]] = []

    def draw(self) -> Command[Any]:
        """Draw a command, which often uses values from earlier results."""
        draws: tuple[Callable[[], Command[Any]], ...] = (
            *[self._admission] * 8,
            *[self._claim] * 4,
            *([self._report] * 4 if self._permits else ()),
            *([self._confirm, self._give_back] * 2 if self._queued else ()),
            *([self._settle] * 4 if self._claims else ()),
            *([self._renew] * 2 if self._claims else ()),
            self._pause,
            self._resolve,
            self._set_circuit,
            self._read_circuit,
        )
        return self._chance.choice(draws)()

    def draw_claim(self) -> Command[Any]:
        """Draw a command that concerns a single claim."""
        draws: tuple[Callable[[], Command[Any]], ...] = (
            *[self._claim] * 4,
            *([self._settle] * 4 if self._claims else ()),
            *([self._renew_one] * 2 if self._claims else ()),
            self._resolve,
        )
        return self._chance.choice(draws)()

    def remember_reply(self, command: Command[Any], answer: Any) -> None:
        """Remember the values in a reply, so that later commands can use them."""
        if isinstance(command, Admission) and answer[0] is Answer.GO:
            _, wait, permit, tickets = answer
            self._permits.append(permit)
            if wait:
                self._queued.append((tickets, permit))
        if isinstance(command, Claim) and answer.fence:
            self._claims.append((command.keys[0], answer.fence))

    def _admission(self) -> Command[Any]:
        random = self._chance
        return Admission(
            self._gates,
            within=random.choice((0, SECOND // 50, SECOND)),
            lease=_LEASE,
            costs=(random.randint(1, 3), 1),
            retry=random.random() < 0.3,
            token=random.choice((0, random.randrange(1, 2**52))),
            claim=self._sent_claim() if self._claims and random.random() < 0.4 else None,
            ticketed=random.random() < 0.2,
        )

    def _sent_claim(self) -> tuple[str, int, str]:
        return (*self._chance.choice(self._claims), self._chance.choice(_TARGETS))

    def _report(self) -> Command[Any]:
        outcome = self._chance.choice((*Outcome, Outcome.FAILED, Outcome.FAILED))
        permit = self._chance.choice(self._permits)
        return Report(self._gates, permit, outcome, self._chance.choice(("one", "two")))

    def _confirm(self) -> Command[Any]:
        return Confirm(self._gates, *self._chance.choice(self._queued))

    def _give_back(self) -> Command[Any]:
        tickets, _ = self._queued.pop(self._chance.randrange(len(self._queued)))
        return GiveBack(self._gates, tickets)

    def _pause(self) -> Command[Any]:
        return Pause(self._gates, self._chance.choice((1, SECOND // 100, SECOND // 10)))

    def _claim(self) -> Command[Any]:
        random = self._chance
        return Claim(
            random.choice(self._claim_keys),
            fingerprint=random.choice((b"payload", b"payload", b"payload", b"another")),
            owner=random.randrange(1, 4),
            lease=_LEASE,
            ttl=_TTL,
            target=random.choice(_TARGETS),
            remembered=random.choice((0, SECOND // 5)),
            term=random.choice((_LEASE, 2 * _LEASE)),
        )

    def _renew(self) -> Command[Any]:
        claims = dict(self._chance.sample(self._claims, self._chance.randint(1, len(self._claims))))
        return Renew([(key, fence, _TTL) for key, fence in claims.items()], lease=_LEASE)

    def _renew_one(self) -> Command[Any]:
        key, fence = self._chance.choice(self._claims)
        return Renew([(key, fence, _TTL)], lease=_LEASE)

    def _settle(self) -> Command[Any]:
        key, fence = self._chance.choice(self._claims)
        settle = self._chance.choice((release_claim, abandon_claim, self._complete))
        return cast("Command[Any]", settle(key, fence, ttl=_TTL))

    def _complete(self, key: str, fence: int, *, ttl: int) -> Command[Any]:
        return store_answer(key, fence, ("value", ("paid", 3, b"\0\xff", None, True)), ttl=ttl)

    def _resolve(self) -> Command[Any]:
        is_finished = self._chance.random() < 0.5
        return Resolve(
            self._chance.choice(self._claim_keys), done=is_finished, ttl=_TTL, answer=None
        )

    def _set_circuit(self) -> Command[Any]:
        rule = self._gates.circuit
        return SetCircuit(cast("Any", rule), self._gates.circuit_key, self._chance.choice(_MODES))

    def _read_circuit(self) -> Command[Any]:
        rule = self._gates.circuit
        return ReadCircuit(cast("Any", rule), self._gates.circuit_key)


def _possible_states(state: State | None, now: int) -> tuple[State | None, ...]:
    """Return the values that a store may return for a state that may have expired."""
    return (state, None) if _has_lapsed(state, now) else (state,)


def _may_be_read(state: State | None, stored: State | None, now: int) -> bool:
    """True if a store that contains this state may return this value for it."""
    return stored == state or (stored is None and _has_lapsed(state, now))


def _has_lapsed(state: State | None, now: int) -> bool:
    return state is not None and now >= state[0] + state[1]


def _moments(earliest_time: int, latest_time: int) -> Iterator[int]:
    """Yield both ends of a time span, and then times between them.

    On a slow machine, a lease may end or a limit allow the next call within the span.
    """
    yield earliest_time
    yield latest_time
    yield from range(earliest_time, latest_time, max(1, (latest_time - earliest_time) // 500))


def require_decision(
    where: str,
    command: Command[Any],
    before: tuple[State | None, ...],
    outcome: tuple[object, tuple[State | None, ...]],
    between: tuple[int, int],
) -> None:
    """Check that a command's reply was right at some time between its start and its end."""
    answer, later_states = outcome
    earliest_time, latest_time = between
    # A write shows its time; an operation without a write may have happened at any moment in
    # between.
    written_at = {
        state[0]
        for state, old_state in zip(later_states, before, strict=True)
        if state and state != old_state
    }
    tolerance = 0 if written_at else latest_time - earliest_time
    for now in [max(written_at)] if written_at else _moments(earliest_time, latest_time):
        for states_found in product(*(_possible_states(state, now) for state in before)):
            states, expected = command.apply(states_found, now)
            fits = all(map(_may_be_read, states, later_states, repeat(latest_time)))
            if (
                fits
                and earliest_time <= now <= latest_time
                and are_nearly_equal(expected, answer, tolerance)
            ):
                return
    raise AssertionError(f"In {where}, the store answered {answer!r}; the model differs.")


def are_nearly_equal(first: object, second: object, tolerance: int) -> bool:
    """True if two results are equal, apart from durations that differ by at most `tolerance`."""
    if attrs.has(type(first)) and type(first) is type(second):
        return are_nearly_equal(
            attrs.astuple(cast("Any", first)), attrs.astuple(cast("Any", second)), tolerance
        )
    if is_tuple(first) and is_tuple(second):
        return len(first) == len(second) and all(
            are_nearly_equal(*pair, tolerance) for pair in zip(first, second, strict=True)
        )
    if type(first) in _NUMBERS and type(first) is type(second):
        return abs(cast("float", first) - cast("float", second)) <= tolerance
    return are_same_scalars(first, second)
