"""A model of hosts whose lease brokers fetch tokens of one busy limit for their workers.

The brokers decide by the functions of `moorage broker`, and all take their tokens from one bucket
in one Redis. The fleet and the costs are those of `model`.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from heapq import heappop, heappush
from random import Random
from typing import TYPE_CHECKING

import attrs

from benchmarks.fleet.model import WORKERS_PER_HOST, Costs, Fleet, Outcome, outcome_of
from moorage.domain.resilience import token_leases as leases
from moorage.domain.resilience.token_leases import TokenLease

if TYPE_CHECKING:
    from collections.abc import Callable


@attrs.define
class _Broker:
    """The lease broker of a host.

    Attributes:
        lease: the state of its decisions.
        life: the number of its restarts; an answer to an earlier broker is lost.
        wake: the time of its next event; 0 if there is none.
    """

    lease: TokenLease = attrs.Factory(TokenLease)
    life: int = 0
    wake: int = 0


class Hosts:
    """The state of a run: brokers, the store's bucket, and future events.

    Times are microseconds.
    """

    def __init__(self, fleet: Fleet, costs: Costs, dice: Random) -> None:
        self.fleet, self.costs, self._dice = fleet, costs, dice
        self.brokers = [_Broker() for _ in range(fleet.workers // WORKERS_PER_HOST)]
        self.events: list[tuple[int, int, int, Callable[[int], None]]] = []
        self.uses: list[float] = []
        self.in_time: Counter[int] = Counter()
        self.questions: Counter[int] = Counter()
        self.requests = 0
        self.others: list[float] = []
        """The seconds from each question of other tenants to its answer, without the network."""
        self.full_at = self.free_at = self.worked = 0.0
        self._most = fleet.burst
        self._numbers = 0

    def at(self, time: float, host: int, event: Callable[[int], None]) -> None:
        """Schedule a function for a time; it is later called with that time."""
        self._numbers += 1
        heappush(self.events, (int(time), self._numbers, host, event))

    def ask(self, now: int, host: int) -> None:
        """Request a token from a host's broker for a worker."""
        broker = self.brokers[host]
        self.questions[host] += 1
        patience = int(self.fleet.patience * 1e6)
        self._do(
            now,
            host,
            leases.after_call(broker.lease, self.questions[host], patience, now, self._most),
        )

    def grant_other_tenant(self, now: float) -> None:
        """Grant a call of another tenant directly from the store."""
        start = max(now / 1e6, self.free_at)
        self.free_at = start + self.costs.granted
        self.worked += self.costs.granted
        self.others.append(self.free_at - now / 1e6)

    def kill(self, host: int, _: int) -> None:
        """Replace a host's broker by a new one; the old one's tokens are lost."""
        broker = self.brokers[host]
        broker.lease, broker.life, broker.wake = TokenLease(), broker.life + 1, 0

    def _do(self, now: int, host: int, step: leases.Step) -> None:
        broker = self.brokers[host]
        broker.lease = step.lease
        self.in_time[host] += len(step.granted)
        self.uses.extend([now / 1e6] * len(step.granted))
        if step.request:
            self._request(now, host, step.request, step.within)
        elif step.wake is not None and step.wake != broker.wake:
            broker.wake = step.wake
            self.at(step.wake, host, lambda time: self._wake_broker(time, host))

    def _wake_broker(self, now: int, host: int) -> None:
        broker = self.brokers[host]
        if broker.wake == now:
            broker.wake = 0
            self._do(now, host, leases.next_step(broker.lease, now, self._most))

    def _request(self, now: int, host: int, size: int, within: int) -> None:
        fleet, costs, life = self.fleet, self.costs, self.brokers[host].life
        self.requests += 1
        start = max(now / 1e6, self.free_at)
        wait = max(0.0, max(self.full_at, start) - start - (fleet.burst - size) / fleet.limit)
        is_granted = wait * 1e6 <= within
        cost = (costs.waits if wait else costs.granted) if is_granted else costs.refused
        self.free_at = start + cost
        self.worked += cost
        due = self.free_at + wait if is_granted else self.free_at

        def answer(time: int) -> None:
            broker = self.brokers[host]
            if broker.life != life:
                return
            if not is_granted:
                step = leases.after_refusal(
                    broker.lease, int(wait * 1e6), time, self._most, self._dice.random()
                )
            else:
                sent_at = int((due - cost) * 1e6)
                step = leases.after_grant(broker.lease, size, sent_at, time, self._most)
            self._do(time, host, step)

        if is_granted:
            self.full_at = max(self.full_at, start) + size / fleet.limit
        if is_granted and wait:
            self.at(self.free_at * 1e6, host, lambda time: self._delay(time, host, life, wait))
        self.at(due * 1e6, host, answer)

    def _delay(self, now: int, host: int, life: int, wait: float) -> None:
        broker = self.brokers[host]
        if broker.life == life:
            self._do(now, host, leases.after_delayed_grant(broker.lease, int(wait * 1e6), now))


def run(fleet: Fleet, costs: Costs, seed: int, *, kills: int = 0) -> Outcome:
    """Run the model once, and return its outcome; runs with the same seed have the same outcome.

    The outcome's excess counts a token when a broker hands it out.

    Args:
        fleet: the fleet; its `parts` and `tries` are ignored.
        costs: what calls cost.
        seed: the seed of all random draws.
        kills: the number of brokers that are killed and replaced at random times.
    """
    hosts = run_hosts(fleet, costs, seed, kills=kills)
    broker_work = max(count * costs.broker for count in hosts.questions.values())
    busiest = max(hosts.worked, broker_work) / fleet.seconds
    return outcome_of(fleet, hosts.uses, hosts.in_time, busiest=busiest)


def run_hosts(fleet: Fleet, costs: Costs, seed: int, *, kills: int = 0, others: int = 0) -> Hosts:
    """Run the model once, and return the hosts' last state.

    Args:
        fleet: the fleet.
        costs: what calls cost.
        seed: the seed of all random draws.
        kills: the number of brokers that are killed and replaced.
        others: the calls a second of tenants that ask the same store without brokers.
    """
    randomness = Random(seed)
    hosts = Hosts(fleet, costs, randomness)
    number = len(hosts.brokers)
    for _ in range(kills):
        killed = randomness.randrange(number)
        hosts.at(randomness.uniform(0, fleet.seconds) * 1e6, killed, partial(hosts.kill, killed))
    all_calls = fleet.offered + others
    end, next_question = fleet.seconds * 1e6, randomness.expovariate(all_calls) * 1e6
    while True:
        if hosts.events and hosts.events[0][0] <= next_question:
            now, _, _, event = heappop(hosts.events)
            if now >= end:
                return hosts
            event(now)
        elif next_question >= end:
            return hosts
        else:
            if others and randomness.random() * all_calls < others:
                hosts.grant_other_tenant(next_question)
            else:
                hosts.ask(int(next_question), randomness.randrange(number))
            next_question += randomness.expovariate(all_calls) * 1e6
