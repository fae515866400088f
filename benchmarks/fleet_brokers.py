"""A model of hosts on which a broker takes the tokens of one hot limit for all workers.

    python -m benchmarks.fleet_brokers

moorage has no such broker; the model says what one would gain. All hosts take their tokens from one
bucket in one Redis, several at a time. The fleet and the costs are those of `fleet`.
"""

from __future__ import annotations

from collections import Counter, deque
from heapq import heappop, heappush
from random import Random
from typing import Final

import attrs

from benchmarks.fleet import OFFERED, WORKERS_PER_HOST, Costs, Fleet, Outcome, outcome_of

BROKER_SECONDS: Final = 40e-6
"""Seconds of a broker's core for one question of a worker: an assumption."""
MOST_AT_ONCE: Final = 64
"""The most tokens that a broker takes at once."""


@attrs.frozen(kw_only=True)
class Plan:
    """The way in which brokers take tokens.

    Attributes:
        every: the least number of seconds between two requests of a broker to the store.
        ahead: whether a broker also takes tokens in advance: as many as were wanted since its last
            request, unless the limit made that request wait. Tokens that are not used within
            `every` seconds are lost.
    """

    every: float = 0.01
    ahead: bool = False


@attrs.define
class _Broker:
    """A host's broker.

    Attributes:
        questions: the times of the questions that wait for tokens, in order.
        wanted: the number of questions since the last request to the store.
        tokens: the tokens that it has.
        until: the end of their use.
        is_asking: whether a request to the store has no answer yet.
        next_request: the time of the next request, if questions wait then.
        is_scheduled: whether an event for the next request is scheduled.
    """

    questions: deque[float] = attrs.Factory(deque)
    wanted: int = 0
    tokens: int = 0
    until: float = 0.0
    is_asking: bool = False
    next_request: float = 0.0
    is_scheduled: bool = False


class _Hosts:
    """The state of a run: brokers, the store with its bucket, and the events to come."""

    def __init__(self, fleet: Fleet, costs: Costs, plan: Plan) -> None:
        self.fleet, self.costs, self.plan = fleet, costs, plan
        # A caller gives up after its patience, but not while its broker collects questions.
        self.patience = fleet.patience + 2 * plan.every
        self.brokers = [_Broker() for _ in range(fleet.workers // WORKERS_PER_HOST)]
        self.events: list[tuple[float, int, int, bool]] = []
        self.grants: list[float] = []
        self.in_time: Counter[int] = Counter()
        self.questions: Counter[int] = Counter()
        self.full_at = self.free_at = self.worked = 0.0

    def ask(self, now: float, host: int) -> None:
        """Ask the broker of a host for one of its workers."""
        broker = self.brokers[host]
        broker.questions.append(now)
        broker.wanted += 1
        self.questions[host] += 1
        self.proceed(now, host)

    def answer(self, now: float, host: int, tokens: int, *, waited: bool) -> None:
        """Give a broker the tokens of its request; without tokens, its next request is due."""
        broker = self.brokers[host]
        if tokens:
            broker.tokens, broker.until, broker.is_asking = tokens, now + self.plan.every, False
            broker.wanted *= not waited
        self.proceed(now, host)

    def proceed(self, now: float, host: int) -> None:
        """Hand out what a broker has, and take more for the questions that are left."""
        broker = self.brokers[host]
        while broker.questions and now - broker.questions[0] > self.patience:
            broker.questions.popleft()
        while broker.questions and broker.tokens and now <= broker.until:
            broker.questions.popleft()
            broker.tokens -= 1
            self.grants.append(now)
            self.in_time[host] += 1
        if broker.is_asking or not broker.questions:
            return
        if now >= broker.next_request:
            self._request(now, host, broker)
        elif not broker.is_scheduled:
            broker.is_scheduled = True
            heappush(self.events, (broker.next_request, host, 0, False))

    def _request(self, now: float, host: int, broker: _Broker) -> None:
        fleet, costs = self.fleet, self.costs
        extra = broker.wanted if self.plan.ahead else 0
        size = min(len(broker.questions) + extra, MOST_AT_ONCE)
        start = max(now, self.free_at)
        wait = max(0.0, max(self.full_at, start) - start - (fleet.burst - size) / fleet.limit)
        is_granted = wait <= self.patience
        cost = (costs.waits if wait else costs.granted) if is_granted else costs.refused
        self.free_at = start + cost
        self.worked += cost
        broker.next_request, broker.wanted, broker.is_scheduled = now + self.plan.every, 0, False
        if is_granted:
            broker.is_asking = True
            self.full_at = max(self.full_at, start) + size / fleet.limit
            heappush(self.events, (self.free_at + wait, host, size, wait > 0))


def run(fleet: Fleet, costs: Costs, plan: Plan, seed: int) -> Outcome:
    """Run the model once, and return the outcome; equal seeds have equal outcomes."""
    dice, hosts = Random(seed), _Hosts(fleet, costs, plan)
    next_question = dice.expovariate(fleet.offered)
    while True:
        if hosts.events and hosts.events[0][0] <= next_question:
            now, host, tokens, waited = heappop(hosts.events)
            if now >= fleet.seconds:
                break
            hosts.answer(now, host, tokens, waited=waited)
        elif next_question >= fleet.seconds:
            break
        else:
            hosts.ask(next_question, dice.randrange(len(hosts.brokers)))
            next_question += dice.expovariate(fleet.offered)
    busiest = max(hosts.worked, *(count * BROKER_SECONDS for count in hosts.questions.values()))
    return outcome_of(fleet, hosts.grants, hosts.in_time, busiest=busiest / fleet.seconds)


def main() -> None:
    """Print the outcomes as a table in Markdown."""
    print("| in advance | longest wait | offered | in time | busiest core | excess | hosts, p95 |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for ahead, patience, offered in (
        (True, 0.0, OFFERED),
        (True, 0.5, OFFERED),
        (False, 0.0, OFFERED),
        (False, 0.5, OFFERED),
        (True, 0.0, 95_000),
        (False, 0.0, 95_000),
    ):
        fleet = Fleet(patience=patience, offered=offered)
        outcome = run(fleet, Costs(), Plan(ahead=ahead), 27)
        print(
            f"| {'yes' if ahead else 'no'} | {patience:g} s | {offered:,} | {outcome.goodput:.1%}"
            f" | {outcome.busiest:.0%} | {outcome.excess:g} | {outcome.unfair:.1%} |"
        )


if __name__ == "__main__":
    main()
