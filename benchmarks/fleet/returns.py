"""A model of workers that all lose their Redis server, and reconnect after its return.

Each worker probes it at the times that moorage chooses, and calls at any time. From the return on,
the worker's next probe connects and sends one request; the server serves them in order of arrival.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

import attrs

from moorage import StorageUnavailable
from moorage.domain.resilience.outage import extended_outage

if TYPE_CHECKING:
    from benchmarks.fleet.model import Costs
    from moorage.domain.resilience.outage import Outage

LONGEST_RETURN: Final = 1.0
"""The seconds after the return of a Redis within which every worker uses it again."""

_OUTAGE_ERROR: Final = StorageUnavailable("Redis is away.")
_FIRST_FAILURE_WITHIN: Final = 0.03
_WINDOW_SECONDS: Final = 0.1


@attrs.frozen
class Return:
    """The measured effects of a Redis server's return after an outage.

    Attributes:
        last: the seconds from the server's return until the last worker has an answer.
        most: the connections in the tenth of a second with most of them.
        busiest: the part of this tenth for which the core worked.
    """

    last: float
    most: int
    busiest: float


def run(workers: int, away: float, costs: Costs, seed: int) -> Return:
    """Run the model once, and return its result; runs with the same seed have the same result.

    Args:
        workers: the number of processes, which notice the outage within 30 ms.
        away: the length of the outage, in seconds.
        costs: what calls cost.
        seed: the seed of all random draws.
    """
    randomness = Random(seed)
    arrivals = sorted(_first_probe(away, randomness) for _ in range(workers))
    cost = costs.connected + costs.granted
    free_at, oldest, highest = 0.0, 0, 0
    for number, arrival in enumerate(arrivals):
        free_at = max(free_at, arrival) + cost
        while arrivals[oldest] < arrival - _WINDOW_SECONDS:
            oldest += 1
        highest = max(highest, number - oldest + 1)
    return Return(free_at, highest, min(1.0, highest * cost / _WINDOW_SECONDS))


def _first_probe(away: float, randomness: Random) -> float:
    """Return the seconds from a server's return to a worker's first probe."""
    outage: Outage | None = None
    now, end = randomness.random() * _FIRST_FAILURE_WITHIN, away
    while now < end:
        outage = extended_outage(outage, _OUTAGE_ERROR, int(now * 1e9), randomness.random())
        now = outage.until / 1e9
    return now - end
