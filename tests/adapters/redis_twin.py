"""Compares the Redis script with the pure Python model on the same states, commands and times.

`python -m tests.adapters.redis_twin 50000 7` compares 50,000 commands, starting at seed 7.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from random import Random
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import attrs
import redis

from moorage.adapters.state._redis_wire import SCRIPT, ScriptCalls, arguments, decode_reply
from moorage.domain.idempotency.claims import Claim, MarkSent, Renew, Resolve, Settle, Withdraw
from moorage.domain.resilience.admission import Admission, Answer, Gates
from moorage.domain.resilience.budget import BudgetRule, RetryBudget
from moorage.domain.resilience.circuit import (
    CLOSED,
    HALF_OPEN,
    OPEN,
    CircuitBreakerConfig,
    CircuitRule,
    CircuitState,
    Outcome,
)
from moorage.domain.resilience.gate_commands import Confirm, GiveBack, Pause, Report, SetCircuit
from moorage.domain.resilience.rate_limit import RateLimitConfig
from moorage.domain.state.codec import pack, unpack
from moorage.domain.state.commands import EXACT, SMALL_STEP
from moorage.domain.values.durations import DAY, FOREVER, HOUR, SECOND
from moorage.testing.kits._state_commands import are_equal_values, plain_value
from tests.support.servers import redis_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.state.commands import Command, State

NOON: Final = 1_772_366_400_000_000
_LATEST: Final = 100 * 365 * DAY
"""In 2069: a hundred years later, and a hundred years of waiting, are 2^53 no more."""
_TOKENS: Final = (1, 2, 3, 2**52)
_REPORTERS: Final = ("one", "two", "3-" + "x" * 40, "ünï", "\ud800", "y" * 300)
_TARGETS: Final = ("vendor", "other", "v" * 40, "é" * 200, "z" * 70_000)
_PAYLOADS: Final = (b"payload", b"another", b"", bytes(range(256)) * 2, b"p" * 70_000)
_STEPS: Final = (
    0, 0, 0, 0, 1, 7, 999, 10_000, 100_000, SECOND, 10 * SECOND, 61 * SECOND, HOUR, DAY,
    32 * DAY, 400 * DAY, FOREVER // 4, -1, -1_000, -SMALL_STEP, -SMALL_STEP - 1, -HOUR, -40 * DAY,
)  # fmt: skip
_LIMITS: Final = (
    RateLimitConfig.per_second(10),
    RateLimitConfig.per_second(5, burst=1),
    RateLimitConfig.per_minute(7, burst=3),
    RateLimitConfig(0.37, 11.3, 4),
    RateLimitConfig(Fraction(1, 7), 3.0, 2),
    RateLimitConfig(EXACT // 9, 1.0, 3),
    RateLimitConfig(1, 86_400.0, 30_000),
    RateLimitConfig(Fraction(999_983, 999_979), 1.0, 4_000),
    RateLimitConfig(3, 1e9, 2),
    RateLimitConfig.per_calendar_day(5),
    RateLimitConfig.per_calendar_day(1),
    RateLimitConfig.per_calendar_month(4),
    RateLimitConfig.per_calendar_month(EXACT - 1),
)


class Redis:
    """A client that runs the Redis script on given states at a given time."""

    def __init__(self, script: bytes = SCRIPT) -> None:
        self._client = redis.Redis.from_url(redis_url(), db=9)
        self._digest = str(self._client.script_load(script))
        self._prefix = f"twin-{uuid4().hex}:"
        self._script_calls = ScriptCalls(self._prefix)

    def run(
        self, command: Command[Any], states: dict[str, bytes], now: int
    ) -> tuple[Any, dict[str, bytes]]:
        """Return the script's result, and the states that it stores."""
        call = self._script_calls.of(command)
        assert call is not None, command
        names = dict(zip(call.keys, command.keys, strict=True))
        pipe = self._client.pipeline(transaction=False)
        pipe.delete(*names)
        for key, name in names.items():
            if name in states:
                pipe.set(key, states[name])
        keys, value = arguments([call], b"%d" % now)
        pipe.evalsha(self._digest, len(keys), *keys, *value)
        for key in names:
            pipe.get(key)
        replies = pipe.execute()
        results = zip(names.values(), replies[-len(names) :], strict=True)
        (reply,) = replies[-len(names) - 1]
        return decode_reply(call, reply), {
            name: packed_state for name, packed_state in results if packed_state
        }

    def close(self) -> None:
        """Delete all keys that the test has stored."""
        for key in self._client.scan_iter(f"{self._prefix}*"):
            self._client.delete(key)
        self._client.close()


class RandomWalk:
    """A random series of commands under one configuration, with a clock that may jump."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.now = chance.choice((NOON, NOON + 13 * DAY, NOON - 40 * DAY, DAY * 11_016 - 5))
        limits = chance.choices(_LIMITS, k=chance.choice((0, 1, 1, 2, 3)))
        config = self._circuit() if chance.random() < 0.8 or not limits else None
        changed_config = config and attrs.evolve(
            config, window=self._circuit().window, window_calls=self._circuit().window_calls
        )
        budget = BudgetRule(self._budget()) if chance.random() < 0.5 else None
        # Counts of two quotas in one state must still be exact.
        changed_limits = [
            limit
            if limit.burst > EXACT // 2
            else chance.choice(
                [
                    other
                    for other in _LIMITS
                    if other.calendar is limit.calendar and other.burst < EXACT // 2
                ]
            )
            for limit in limits
        ]
        self.every_gates = [
            Gates(
                circuit=CircuitRule(some_config) if some_config else None,
                circuit_key="circuit" if some_config else "",
                limits=[limit.rule for limit in some_limits],
                limit_keys=[f"limit{number}" for number in range(len(limits))],
                budget=budget,
                budget_key="budget" if budget else "",
            )
            for some_limits, some_config in (
                (limits, config),
                (limits, config),
                (changed_limits, config),
                (limits, changed_config),
            )
        ]
        self.gates = self.every_gates[0]
        self.follow: list[Command[Any]] = []
        self.eager = chance.choice((0, 0, 0.3))
        self.steps = chance.choice((_STEPS, _STEPS, (0, 1, 999)))
        self.states: dict[str, State] = {}
        self.permits: list[Any] = [(0, 0, 1), (self.now, 1, 0)]
        self.queued: list[Any] = []
        self.fences = [self.now]
        self.ttl = chance.choice((1, SECOND, DAY, FOREVER))
        self.lease = chance.choice((1, SECOND // 10, SECOND, 40 * SECOND, FOREVER // 4))

    def _circuit(self) -> CircuitBreakerConfig:
        generator = self.chance
        return CircuitBreakerConfig(
            failures=generator.choice((None, 1, 2, 3, 30, 1_000)),
            failure_rate=generator.choice((None, 0.1, 0.07, 0.5, 1.0)),
            minimum_calls=generator.choice((1, 2, 10)),
            window=generator.choice((0.00001, 0.5, 1, 60.0, 7.77, 86_400 * 400)),
            window_calls=generator.choice((None, None, 1, 7, 10, 100)),
            consecutive_failures=generator.choice((None, 2, 5, 30)),
            slow_call=1.0,
            slow_call_rate=generator.choice((0.2, 0.333333, 1.0)),
            open_for=generator.choice((0.000001, 0.01, 1.0, 60.0, 86_400.0)),
            open_growth=generator.choice((1, 1.0, 1.0001, 1.37, 2, 2.0, 100)),
            open_at_most=generator.choice((0.001, 600.0, 36_500 * 86_400.0)),
            probes=generator.choice((1, 2, 3, 20)),
            successes=generator.choice((1, 2, 3)),
            quorum=generator.choice((1, 1, 2, 3)),
            shadow=generator.random() < 0.1,
        )

    def _budget(self) -> RetryBudget:
        generator = self.chance
        return RetryBudget(
            ratio=generator.choice((0.2, 0.29, 0.333333, 0.000001, 1.0)),
            floor=generator.choice((0, 1, 3, 10**9)),
            period=generator.choice((0.01, 0.1, 10.0, 7.3, 86_400.0)),
        )

    def step(self) -> Command[Any]:
        """Advance the clock, expire or change some states, and choose a random command."""
        generator = self.chance
        if self.follow and generator.random() < 0.8:
            self.now += generator.choice((0, 0, 1, 999))
            return self.follow.pop()
        for _ in range(generator.choice((0, 1, 1, 1, 2))):
            self.now += generator.choice(self.steps)
        if generator.random() < 0.1:
            self._move_to_boundary()
        if generator.random() < self.eager:
            self._probe()
        self._change_limits()
        self.now = min(max(self.now, NOON // 2), _LATEST)
        if generator.random() < 0.3:
            self.states = {
                key: state for key, state in self.states.items() if state[0] + state[1] > self.now
            }
        if generator.random() < 0.15:
            self._disturb()
        draws: list[Callable[[], Command[Any]]] = [self._claim, self._claim, self._settle]
        draws += [self._withdraw, self._resolve, self._renew, self._mark]
        if self.gates.rules:
            draws += [self._admission] * 10
        if self.gates.circuit:
            draws += [self._report] * 10 + [self._set_circuit]
        if self.gates.limits:
            draws += [self._confirm, self._pause]
            draws += [self._confirm, self._give_back, self._give_back] * bool(self.queued)
        return generator.choice(draws)()

    def remember_reply(self, command: Command[Any], answer: Any) -> None:
        """Record a command's result, and choose the next command."""
        if isinstance(command, Admission) and answer[0] is Answer.NEEDS_TOKEN:
            self.follow.append(command.evolve(token=self.chance.choice(_TOKENS)))
        if isinstance(command, Admission) and answer[2] and answer[2][2]:
            outcome = self.chance.choice((Outcome.GOOD, Outcome.GOOD, *Outcome))
            self.follow.append(Report(self.gates, answer[2], outcome, "one"))
        if isinstance(command, Claim) and answer.fence and self.chance.random() < 0.5:
            sent_admission = Admission(
                self.gates,
                within=FOREVER // 4,
                lease=self.lease,
                token=self.chance.choice(_TOKENS),
                claim=("claim", answer.fence, self.chance.choice(_TARGETS)),
            )
            self.follow.append(sent_admission)
        if isinstance(command, Admission) and answer[0] is Answer.GO:
            if answer[2]:
                self.permits = [*self.permits[-12:], answer[2]]
            if answer[3]:
                self.queued = [*self.queued[-5:], (answer[3], answer[2])]
        if isinstance(command, Claim) and answer.fence:
            self.fences = [*self.fences[-3:], answer.fence]

    def _change_limits(self) -> None:
        """Sometimes continue with the limits that another process would use."""
        if self.chance.random() < 0.2:
            self.gates = self.chance.choice(self.every_gates)

    def _probe(self) -> None:
        """Move the clock to a time close to when an open circuit allows a probe."""
        state = self.states.get("circuit")
        if state is not None and state[2] == OPEN:
            self.now = state[7][10] + self.chance.choice((-1, 0, 1, 1_000))

    def _move_to_boundary(self) -> None:
        """Move the clock to an expiry or a window's boundary, or a microsecond before or after."""
        edges = [DAY * (self.now // DAY + 1)]
        for key, state in self.states.items():
            edges.append(state[0] + state[1])
            if key == "circuit":
                record = state[7]
                edges += (state[4], record[10], *(end for _, end, _ in record[11]))
            elif key.startswith("limit"):
                edges.append(state[2])
            elif key == "budget" and self.gates.budget:
                edges.append((state[2] + 1) * self.gates.budget.period)
            elif key.endswith("claim"):
                edges += state[6:8]
        near_edges = [edge for edge in edges if abs(edge - self.now) < 400 * DAY]
        self.now = self.chance.choice(near_edges or edges) + self.chance.choice((-1, 0, 0, 1))

    def _disturb(self) -> None:
        """Put the circuit into a state that usually needs many commands."""
        generator = self.chance
        state = self.states.get("circuit")
        if state is None or self.gates.circuit is None:
            return
        seen_at, quiet_span, mode, gen, slot, total, base, record = state
        edge = generator.choice((1, 10, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 200))
        record = list(record)
        if generator.random() < 0.4:
            record[1] = record[2] = edge
        if generator.random() < 0.3:
            record[8] = edge
        if generator.random() < 0.3:
            record[9] = generator.choice((0, seen_at, -edge, -HOUR))
        if generator.random() < 0.4:
            total = max(base, generator.choice((min(base + edge, EXACT - 2**20), EXACT - 2**33)))
            record[3] = 0
        if generator.random() < 0.4:
            record[6] = pack_slots(
                (slot - item * self.gates.circuit.width, base, edge, edge, edge // 2)
                for item in range(generator.choice((1, 4, 9, 10)), 0, -1)
            )
        self.states["circuit"] = (
            seen_at,
            quiet_span,
            mode,
            gen,
            slot,
            total,
            base,
            tuple(record),
        )
        self._move_to_state_change(self.gates.circuit, edge)

    def _move_to_state_change(self, rule: CircuitRule, edge: int) -> None:
        """Move the clock so that one more failure or probe changes the circuit's state."""
        generator = self.chance
        seen_at, quiet_time, mode, gen, slot, total, base, stored_record = self.states["circuit"]
        record = list(stored_record)
        if generator.random() < 0.4:
            record[4], record[5] = (seen_at,), tuple((n, n + 1, 2) for n in range(1, 33, 4))
        if mode == CLOSED and generator.random() < 0.4:
            record[1], record[3], record[6] = edge, 0, b""
            calls = (edge + 1) * 1_000_000 // rule.failure_share + generator.choice((-1, 0, 1))
            total = min(base + min(calls, 2**32), EXACT - 2**20)
        if mode == OPEN and generator.random() < 0.5:
            probes_held = rule.config.probes + generator.choice((-1, 0))
            mode, gen = HALF_OPEN, gen + 1
            record[11] = tuple((9 + n, seen_at + HOUR + n, gen) for n in range(probes_held))
            self.follow.append(Confirm(self.gates, (), (gen - 1, 0, 5)))
        if mode == CLOSED:
            number = generator.choice((total, 100, 50))
            self.follow.append(Report(self.gates, (gen, number, 0), Outcome.FAILED, "one"))
        self.states["circuit"] = (seen_at, quiet_time, mode, gen, slot, total, base, tuple(record))

    def _admission(self) -> Command[Any]:
        generator = self.chance
        claim = None
        if generator.random() < 0.3:
            claim = ("claim", generator.choice(self.fences), generator.choice(_TARGETS))
        return Admission(
            self.gates,
            within=generator.choice((0, 0, SECOND // 50, SECOND, DAY, FOREVER // 4)),
            lease=self.lease,
            costs=tuple(
                generator.choice((1, 1, rule.burst, max(1, rule.burst // 2)))
                for rule in self.gates.limits
            ),
            retry=generator.random() < 0.4,
            token=generator.choice((0, 0, *_TOKENS)),
            claim=claim,
            ticketed=generator.random() < 0.3,
        )

    def _report(self) -> Command[Any]:
        generator = self.chance
        gen, number, token = generator.choice(self.permits)
        if generator.random() < 0.3 and "circuit" in self.states:
            gen = self.states["circuit"][3]
        if generator.random() < 0.2:
            number = max(0, number + generator.choice((-1, 1, 5)))
        outcome = generator.choice((*Outcome, Outcome.FAILED, Outcome.FAILED, Outcome.SLOW))
        return Report(self.gates, (gen, number, token), outcome, generator.choice(_REPORTERS))

    def _confirm(self) -> Command[Any]:
        tickets, permit = self.chance.choice(self.queued) if self.queued else ((), None)
        if self.gates.circuit and self.chance.random() < 0.3:
            permit = self.chance.choice(self.permits)
        if self.chance.random() < 0.1:
            tickets = tickets[:-1]
        return Confirm(self.gates, tickets, permit)

    def _give_back(self) -> Command[Any]:
        tickets, _ = self.queued.pop(self.chance.randrange(len(self.queued)))
        return GiveBack(self.gates, tickets)

    def _pause(self) -> Command[Any]:
        pause = self.chance.choice((0, 1, SECOND // 10, 30 * SECOND, DAY, 31 * DAY, FOREVER // 8))
        return Pause(self.gates, pause)

    def _set_circuit(self) -> Command[Any]:
        modes = (CircuitState.CLOSED, CircuitState.FORCED_OPEN, CircuitState.DISABLED)
        assert self.gates.circuit is not None
        return SetCircuit(self.gates.circuit, "circuit", self.chance.choice(modes))

    def _claim(self) -> Command[Any]:
        generator = self.chance
        return Claim(
            generator.choice(("claim", "claim", "claim", "another claim")),
            fingerprint=generator.choice(_PAYLOADS[: generator.choice((1, 1, 1, 5))]),
            owner=generator.choice(_TOKENS),
            lease=self.lease,
            ttl=self.ttl,
            target=generator.choice(_TARGETS[: generator.choice((1, 1, 5))]),
            remembered=generator.choice((0, SECOND // 5, DAY, FOREVER)),
            term=generator.choice((None, 2 * self.lease, self.lease // 2)),
        )

    def _settle(self) -> Command[Any]:
        generator = self.chance
        return Settle(
            "claim",
            generator.choice(self.fences),
            generator.choice((1, 2, 2, 3)),
            ttl=self.ttl,
            answer=("value", plain_value(generator), [1, {"a": 1.5}]),
        )

    def _renew(self) -> Command[Any]:
        generator = self.chance
        keys = generator.choice(
            (("claim",), ("claim", "another claim"), ("another claim", "claim"))
        )
        renewals = [(key, generator.choice(self.fences), self.ttl) for key in keys]
        return Renew(renewals, lease=self.lease)

    def _mark(self) -> Command[Any]:
        generator = self.chance
        return MarkSent("claim", generator.choice(self.fences), generator.choice(_TARGETS))

    def _withdraw(self) -> Command[Any]:
        return Withdraw("claim", self.chance.choice(_TOKENS), ttl=self.ttl)

    def _resolve(self) -> Command[Any]:
        return Resolve("claim", done=self.chance.random() < 0.5, ttl=self.ttl, answer=None)


class QueueWalk(RandomWalk):
    """A random series of callers that queue at one limit; the clock mostly moves forward."""

    def __init__(self, chance: Random) -> None:
        super().__init__(chance)
        limits = chance.choices([limit for limit in _LIMITS if not limit.calendar], k=2)
        budget = BudgetRule(RetryBudget()) if chance.random() < 0.5 else None
        self.every_gates = [
            Gates(
                circuit=CircuitRule(CircuitBreakerConfig()),
                circuit_key="circuit",
                limits=[limit.rule],
                limit_keys=["limit0"],
                budget=budget,
                budget_key="budget" if budget else "",
            )
            for limit in (limits[0], limits[0], limits[0], limits[0], limits[1])
        ]
        self.gates = self.every_gates[0]
        self.costs = chance.choice(((1,), (1, 1, 1, 2), (1, 3)))

    def step(self) -> Command[Any]:
        """Advance the clock a little, and choose a command of a caller at the limit."""
        generator = self.chance
        self.now += generator.choice((0, 0, 1, 999, 10_000, 100_000, SECOND, 3 * SECOND))
        if generator.random() < 0.02:
            self.now += generator.choice(_STEPS)
            self.now = min(max(self.now, NOON // 2), _LATEST)
            self._change_limits()
        draws: list[Callable[[], Command[Any]]] = [self._asking] * 12
        draws += [self._confirm] * 6 + [self._give_back] * bool(self.queued)
        draws += [self._pause] * (generator.random() < 0.05)
        return generator.choice(draws)()

    def _asking(self) -> Command[Any]:
        generator = self.chance
        return Admission(
            self.gates,
            within=generator.choice((0, SECOND // 2, 20 * SECOND, DAY)),
            lease=SECOND,
            costs=(min(generator.choice(self.costs), self.gates.limits[0].burst),),
        )


def pack_slots(slots: Any) -> bytes:
    """Return the time slots of a circuit's window in the packed form in which they are stored."""
    from moorage.domain.resilience.circuit import _packed_slots  # noqa: PLC0415 - the model's own

    return _packed_slots(slots)


def compare(
    server: Redis, seed: int, steps: int, walk_type: type[RandomWalk] = RandomWalk
) -> dict[str, int]:
    """Check that script and model agree on random commands; return the count of each command."""
    walk = walk_type(Random(seed))
    command_counts: dict[str, int] = {}
    for step in range(steps):
        command = walk.step()
        previous_states = {key: walk.states.get(key) for key in command.keys}
        stored_chunks = {
            key: pack(state) for key, state in previous_states.items() if state is not None
        }
        value = tuple(
            unpack(stored_chunks[key]) if key in stored_chunks else None for key in command.keys
        )
        next_states, answer = command.apply(value, walk.now)
        pairs = list(zip(command.keys, next_states, strict=True))
        existing_chunks = {key: pack(state) for key, state in pairs if state is not None}
        if not isinstance(command, (SetCircuit, Resolve)):
            result, remaining_chunks = server.run(command, stored_chunks, walk.now)
            location = f"seed {seed}, step {step}: {type(command).__name__}"
            assert are_equal_values(result, answer), (
                f"{location} answered {str(result)[:500]}, the model {str(answer)[:500]}"
            )
            assert remaining_chunks.keys() == existing_chunks.keys(), (
                f"{location} left {remaining_chunks.keys()}"
            )
            for key, state in pairs:
                if remaining_chunks.get(key) != existing_chunks.get(key):
                    result, model = str(unpack(remaining_chunks[key]))[:2_000], str(state)[:2_000]
                    raise AssertionError(
                        f"{location} left under {key}\n{result}, the model\n{model},"
                        f" of\n{str(previous_states[key])[:2_000]} at {walk.now}"
                    )
            name = f"{type(command).__name__} {_kind(answer)}"
            command_counts[name] = command_counts.get(name, 0) + 1
        walk.states |= {key: state for key, state in pairs if state is not None}
        walk.remember_reply(command, answer)
    return command_counts


def _kind(answer: Any) -> object:
    if isinstance(answer, tuple) and type(answer[-1]) is not bool:
        return f"{answer[0]!s} {'waits' if answer[1] else ''}"
    return answer


def main() -> None:
    """Compare the Redis script with the Python model for many commands, and print the result."""
    target, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    server, command_counts = Redis(), dict[str, int]()
    while sum(command_counts.values()) < target:
        for name, times in compare(server, seed, 60).items():
            command_counts[name] = command_counts.get(name, 0) + times
        seed += 1
    server.close()
    for name, times in sorted(command_counts.items()):
        print(f"{times:8} {name}")  # noqa: T201 - it is a script too


if __name__ == "__main__":
    main()
