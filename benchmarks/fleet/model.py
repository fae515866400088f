"""A seeded model of a fleet with one busy limit in Redis, from the costs of single calls.

Every worker sends its calls at random times to the limit, whatever happened to earlier ones. A core
of a Redis serves its calls in order of arrival. Each call costs it the processor time that
`store_costs` measures for calls of its kind. A call is served in time if the store grants it before
the call's deadline. The shares of hosts are compared as in production: a host has 32 workers.
"""

from __future__ import annotations

from collections import Counter
from heapq import heappop, heappush
from random import Random
from typing import Final

import attrs

LIMIT: Final = 100_000
OFFERED: Final = 120_000
WORKERS: Final = 3_200
WORKERS_PER_HOST: Final = 32
BURST: Final = 10_000
DEADLINE: Final = 1.0


@attrs.frozen(kw_only=True)
class Costs:
    """The processor seconds that each kind of call costs, on Redis's core unless stated.

    Attributes:
        granted: a call that is granted at once.
        waits: a call that is granted after a wait, with the question at the end of its wait.
        refused: a call that is refused.
        connected: a new connection with its first request.
        broker: a question of a worker, for the core of its host's broker.
    """

    granted: float = 17.6e-6
    waits: float = 32e-6
    refused: float = 17e-6
    connected: float = 60e-6
    broker: float = 100e-6


@attrs.frozen(kw_only=True)
class Fleet:
    """A fleet and its rate limit.

    Attributes:
        has_brokers: whether a broker on each host asks for its workers; `parts` is ignored then.
        parts: the number of the limit's parts, each on a core of its own.
        tries: the number of parts that a call asks, if the earlier ones refused it.
        patience: the longest wait of a call for its grant, in seconds.
        offered, limit, burst: calls and tokens a second, and tokens at once.
        workers: the number of processes.
        seconds: the length of the run.
    """

    has_brokers: bool = False
    parts: int = 1
    tries: int = 1
    patience: float = 0.0
    offered: int = OFFERED
    limit: int = LIMIT
    burst: int = BURST
    workers: int = WORKERS
    seconds: float = 12.0


@attrs.frozen
class Outcome:
    """The outcome of a run.

    Attributes:
        goodput: the share of the calls that the limit and the callers allow which was served in
            time.
        busiest: the share of time for which the busiest core worked.
        excess: tokens that the worst span of t seconds has above burst + limit · t.
        unfairness: the 95th percentile of the hosts' distances from their mean share.
    """

    goodput: float
    busiest: float
    excess: float
    unfairness: float


def run(fleet: Fleet, costs: Costs, seed: int) -> Outcome:
    """Run the model once, and return its outcome; runs with the same seed have the same outcome."""
    randomness = Random(seed)
    tokens_per_second, depth = fleet.limit / fleet.parts, fleet.burst // fleet.parts
    full_at = [0.0] * fleet.parts
    free_at = [0.0] * fleet.parts
    work_time = [0.0] * fleet.parts
    grants: list[float] = []
    in_time: Counter[int] = Counter()
    events: list[tuple[float, int, int, float]] = []
    next_arrival = randomness.expovariate(fleet.offered)
    while True:
        if events and events[0][0] <= next_arrival:
            now, worker, tried_parts, start_time = heappop(events)
        else:
            now = start_time = next_arrival
            worker, tried_parts = randomness.randrange(fleet.workers), 0
            next_arrival += randomness.expovariate(fleet.offered)
        if now >= fleet.seconds:
            break
        part = randomness.randrange(fleet.parts)
        start = max(now, free_at[part])
        # The bucket is full again at `full_at`; a grant moves this time by one token.
        wait = max(0.0, max(full_at[part], start) - start - (depth - 1) / tokens_per_second)
        is_granted = wait <= fleet.patience
        cost = (costs.waits if wait else costs.granted) if is_granted else costs.refused
        free_at[part] = end = start + cost
        work_time[part] += max(0.0, min(end, fleet.seconds) - min(start, fleet.seconds))
        if is_granted:
            full_at[part] = max(full_at[part], start) + 1 / tokens_per_second
            grants.append(start + wait)
            due = end + wait
            if due - start_time <= DEADLINE and due <= fleet.seconds:
                in_time[worker // WORKERS_PER_HOST] += 1
        elif tried_parts + 1 < fleet.tries:
            heappush(events, (end, worker, tried_parts + 1, start_time))
    return outcome_of(fleet, grants, in_time, busiest=max(work_time) / fleet.seconds)


def outcome_of(
    fleet: Fleet, grants: list[float], in_time: Counter[int], *, busiest: float
) -> Outcome:
    """Compute a run's outcome from the times of its grants and each host's timely calls."""
    possible_calls = min(fleet.offered * fleet.seconds, fleet.burst + fleet.limit * fleet.seconds)
    return Outcome(
        goodput=sum(in_time.values()) / possible_calls,
        busiest=busiest,
        excess=_excess(grants, fleet),
        unfairness=_unfairness(
            [in_time[host] for host in range(fleet.workers // WORKERS_PER_HOST)]
        ),
    )


def seconds_to_start(workers: int, cores: int, costs: Costs) -> float:
    """Return the seconds until all workers, started together, have made their first call.

    Each connects, asks one question about the store, and calls.
    """
    workers_per_core = -(-workers // cores)
    return workers_per_core * (costs.connected + 2 * costs.granted)


def _excess(grants: list[float], fleet: Fleet) -> float:
    """Return the most tokens that any time span t was granted above burst + limit · t.

    0 if none was.
    """
    level = highest = last = 0.0
    for time in sorted(grants):
        level = max(0.0, level - (time - last) * fleet.limit) + 1
        highest, last = max(highest, level), time
    # A part of a token comes from adding floats.
    return max(0.0, round(highest - fleet.burst, 3))


def _unfairness(served: list[int]) -> float:
    mean = sum(served) / len(served)
    if not mean:
        return 0.0
    distances = sorted(abs(count / mean - 1) for count in served)
    return distances[int(len(distances) * 0.95)]
