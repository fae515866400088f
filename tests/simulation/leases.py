"""A simulated fleet of brokers that lease one limit's tokens, and of processes that use them.

The brokers decide by the functions of `moorage broker`, and the store by the commands of the limit
themselves. The ways of requests and answers, the calls and the faults are drawn from one seed:
brokers are killed, answers of the store are lost, callers give up, a vendor asks for a pause, and
processes whose broker does not help ask the store directly.
"""

from __future__ import annotations

from functools import partial
from heapq import heappop, heappush
from random import Random
from typing import TYPE_CHECKING, Any

import attrs

from moorage import RateLimitConfig
from moorage.domain.resilience import token_leases as leases
from moorage.domain.resilience.admission import Admission, Answer, Gates
from moorage.domain.resilience.gate_commands import Confirm, Pause
from moorage.domain.resilience.token_leases import LEASE, TokenLease
from moorage.domain.values.durations import SECOND
from tests.simulation.simulator import START, Store

if TYPE_CHECKING:
    from collections.abc import Callable

_LENGTH = SECOND
_LONGEST_TRAVEL = 3_000
"""The longest way in microseconds of a request, and of an answer."""


@attrs.define
class _Broker:
    """The broker of a machine; `life` is a number that changes at each restart."""

    lease: TokenLease = attrs.Factory(TokenLease)
    life: int = 0
    waiting: set[int] = attrs.field(factory=set)


@attrs.frozen
class _Request:
    """A request that a broker sends to the store.

    Attributes:
        host: the broker.
        life: the broker's life; another life never learns the answer.
        number: the number of tokens.
        sent: the time at which the request, or the confirmation of its tokens, was sent.
    """

    host: _Broker
    life: int
    number: int
    sent: int

    def is_lost(self) -> bool:
        """Return whether the broker that sent the request has been replaced since."""
        return self.host.life != self.life


class LeaseSimulation:
    """One simulated run of the fleet, with its calls, messages and faults.

    Args:
        seed: the seed of everything that happens.

    Attributes:
        rate, burst: the limit.
        uses: the times at which calls were admitted.
        pauses: the begin and the end of each pause.
        answered: by call, the number of its answers.
        left: the calls that gave up.
        faults: the kinds of fault that happened.
    """

    def __init__(self, seed: int) -> None:
        self.dice = generator = Random(seed)
        self.rate = generator.choice([200, 1_000, 2_000])
        self.burst = generator.choice([1, 20, 200])
        self.uses: list[int] = []
        self.pauses: list[tuple[int, int]] = []
        self.answered: dict[int, int] = {}
        self.left: set[int] = set()
        self.faults: set[str] = set()
        limit = RateLimitConfig.per_second(self.rate, burst=self.burst)
        self._gates = Gates(limits=[limit.rule], limit_keys=["{hot}:limit:x"])
        self._store = Store()
        self._brokers = [_Broker() for _ in range(generator.randint(1, 4))]
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = 0
        self.now = START
        self._schedule()

    def _schedule(self) -> None:
        """Draw the random calls and faults of this run."""
        generator = self.dice
        calls = int(self.rate * generator.uniform(0.3, 2.0))
        for call in range(calls):
            host = generator.choice(self._brokers)
            patience = generator.choice([0, 0, 20_000, 300_000])
            time = START + generator.randrange(_LENGTH)
            self._at(time, partial(self._ask, host, call, patience))
            if not generator.randrange(10):
                self._at(time + generator.randrange(30_000), partial(self._leave, host, call))
        for _ in range(generator.randrange(6)):
            killed = generator.choice(self._brokers)
            self._at(START + generator.randrange(_LENGTH), partial(self._kill, killed))
        if not generator.randrange(3):
            self._at(START + generator.randrange(_LENGTH // 2), self._pause)

    def _at(self, time: int, event: Callable[[], None]) -> None:
        self._numbers += 1
        heappush(self._events, (time, self._numbers, event))

    def _travel_time(self) -> int:
        """Draw the random time that a message takes."""
        return self.dice.randrange(1, _LONGEST_TRAVEL + 1)

    def run(self) -> None:
        """Run until no event is left in the schedule."""
        while self._events:
            self.now, _, event = heappop(self._events)
            event()

    def _command(self, command: Any) -> Any:
        return self._store.apply(self.now, "", command)

    def _ask(self, host: _Broker, call: int, patience: int) -> None:
        self.answered[call] = 0
        host.waiting.add(call)
        self._do(host, leases.after_call(host.lease, call, patience, self.now, self.burst))

    def _leave(self, host: _Broker, call: int) -> None:
        if call in host.waiting:
            self.faults.add("left")
            self.left.add(call)
            host.waiting.discard(call)
            self._do(
                host, leases.after_leaving(host.lease, frozenset({call}), self.now, self.burst)
            )

    def _kill(self, host: _Broker) -> None:
        """Replace a broker by a new one; the calls that waited for it ask the store instead."""
        self.faults.add("killed")
        host.lease, host.life = TokenLease(), host.life + 1
        calls, host.waiting = host.waiting, set()
        for call in calls:
            self._ask_store(call)

    def _pause(self) -> None:
        self.faults.add("paused")
        self._command(Pause(self._gates, 100_000))
        self.pauses.append((self.now, self.now + 100_000))

    def _ask_store(self, call: int) -> None:
        """Ask the store for one token on behalf of a call, without waiting."""
        answer, *_ = self._command(Admission(self._gates, within=0, lease=0))
        self.answered[call] += 1
        if answer is Answer.GO:
            self.uses.append(self.now)

    def _do(self, host: _Broker, step: leases.Step) -> None:
        host.lease = step.lease
        for call in step.granted:
            self.uses.append(self.now)
            self._answer(host, call)
        for call, _ in step.refused:
            self._answer(host, call)
        if step.request:
            request = _Request(host, host.life, step.request, self.now)
            self._at(self.now + self._travel_time(), partial(self._request, request, step.within))
        elif step.wake is not None:
            self._at(step.wake, partial(self._wake, host, host.life))

    def _answer(self, host: _Broker, call: int) -> None:
        host.waiting.discard(call)
        self.answered[call] += 1

    def _wake(self, host: _Broker, life: int) -> None:
        if host.life == life:
            self._do(host, leases.next_step(host.lease, self.now, self.burst))

    def _request(self, request: _Request, within: int) -> None:
        """Decide in the store about a broker's request that has arrived."""
        admission = Admission(self._gates, within=within, lease=0, costs=(request.number,))
        answer, wait, _, tickets = self._command(admission)
        if answer is Answer.GO:
            self._reply(request, partial(self._granted, request, wait, tickets))
        else:
            self._reply(request, partial(self._refused, request, wait))

    def _reply(self, request: _Request, act: Callable[[], None]) -> None:
        """Send the store's reply to a broker, or lose the reply."""
        if not self.dice.randrange(50):
            self.faults.add("lost")
            self._at(self.now + 50_000, partial(self._failed, request))
        else:
            self._at(self.now + self._travel_time(), act)

    def _failed(self, request: _Request) -> None:
        """If a broker's request failed, ask the store for each call that waits for it."""
        host = request.host
        if not request.is_lost():
            host.lease, calls = leases.after_failure(host.lease)
            for call in calls:
                host.waiting.discard(call)
                self._ask_store(call)

    def _refused(self, request: _Request, wait: int) -> None:
        host = request.host
        if not request.is_lost():
            self._do(
                host,
                leases.after_refusal(host.lease, wait, self.now, self.burst, self.dice.random()),
            )

    def _granted(self, request: _Request, wait: int, tickets: Any) -> None:
        """Make a broker use its tokens, or wait until they become valid."""
        host = request.host
        if request.is_lost():
            return
        if wait:
            self._do(host, leases.after_delayed_grant(host.lease, wait, self.now))
            self._at(self.now + wait, partial(self._confirm, request, tickets))
        else:
            number, sent_at = request.number, request.sent
            self._do(host, leases.after_grant(host.lease, number, sent_at, self.now, self.burst))

    def _confirm(self, request: _Request, tickets: Any) -> None:
        """Ask the store whether tokens may be used after the wait for them."""
        if not request.is_lost():
            confirmation = attrs.evolve(request, sent=self.now)
            self._at(
                self.now + self._travel_time(), partial(self._confirmed, confirmation, tickets)
            )

    def _confirmed(self, request: _Request, tickets: Any) -> None:
        _, wait = self._command(Confirm(self._gates, tickets, None))
        self._reply(request, partial(self._granted, request, wait, tickets))


def broken_law(simulation: LeaseSimulation) -> str | None:
    """Return the broken law of a run as a sentence; None if it broke none."""
    latest = LEASE + _LONGEST_TRAVEL
    level = highest = 0.0
    last = START
    for time in sorted(simulation.uses):
        level = max(0.0, level - (time - last) * simulation.rate / SECOND) + 1
        highest, last = max(highest, level), time
    allowed = simulation.burst + simulation.rate * latest / SECOND
    if highest > allowed + 1e-6:
        return f"A window has {highest:.2f} calls beyond the rate, and {allowed:.2f} are allowed."
    for begin, end in simulation.pauses:
        # Calls that began to wait before the pause may be served by tokens that were already
        # granted.
        if any(begin + latest < time < end for time in simulation.uses):
            return "A call was admitted during a pause."
    for call, answers in simulation.answered.items():
        expected = 0 if call in simulation.left else 1
        if answers != expected:
            return f"Call {call} has {answers} answers."
    return None
