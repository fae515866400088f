"""A model of tenants that share a core of Redis, one of which sends far more than its limit.

The other tenants send calls that are granted at once. The calls of the storm are refused, which
costs the core nearly as much. All calls are served in order of arrival.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from benchmarks.fleet.model import Costs

WAY: Final = 0.2e-3
"""The seconds that a question and its answer travel, which is assumed."""

WITHIN: Final = 1.5
"""The factor by which a storm may lengthen the others' 99th percentile."""


@attrs.frozen(kw_only=True)
class Storm:
    """Tenants on one core, and the storm of another one.

    Attributes:
        others: the calls a second of all other tenants.
        offered: the calls a second of the storm.
        seconds: the length of the run.
    """

    others: int = 5_000
    offered: int = 0
    seconds: float = 4.0


@attrs.frozen
class Effect:
    """The effect of a storm on the other tenants.

    Attributes:
        p99: the 99th percentile of the seconds from a question of others to its answer.
        busy: the share of time for which the core worked.
    """

    p99: float
    busy: float


def run(storm: Storm, costs: Costs, seed: int) -> Effect:
    """Run the model once, and return the effect; equal seeds have equal effects."""
    dice = Random(seed)
    all_calls = storm.others + storm.offered
    now = free_at = worked = 0.0
    answers: list[float] = []
    while True:
        now += dice.expovariate(all_calls)
        if now >= storm.seconds:
            break
        is_other = dice.random() * all_calls < storm.others
        cost = costs.granted if is_other else costs.refused
        free_at = max(now, free_at) + cost
        worked += cost
        if is_other:
            answers.append(free_at - now + WAY)
    answers.sort()
    return Effect(answers[int(len(answers) * 0.99)], min(1.0, worked / storm.seconds))


def table(costs: Costs, seed: int, storms: list[int]) -> list[str]:
    """Return the rows of a table in Markdown, one for each storm."""
    without_storm = run(Storm(), costs, seed)
    rows = [
        "| calls a second of the storm | busy core | others' p99 | times that without a storm |",
        "| --- | --- | --- | --- |",
    ]
    for offered in (0, *storms):
        effect = run(Storm(offered=offered), costs, seed)
        times = effect.p99 / without_storm.p99
        mark = "" if times <= WITHIN else ", too long"
        rows.append(
            f"| {offered:,} | {effect.busy:.0%} | {effect.p99 * 1e3:,.2f} ms | {times:.2f}{mark} |"
        )
    return rows
