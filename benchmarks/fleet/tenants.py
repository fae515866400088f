"""A model of tenants that share one Redis core, of which one tenant far exceeds its limit.

The other tenants send calls that are granted at once. Nearly all calls of the storm are refused. A
refused call that asks Redis costs the core nearly as much as a granted one; but a process that was
refused knows when the next token comes, and does not ask before. All questions are served in order
of arrival.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

import attrs

from benchmarks.fleet import brokers
from benchmarks.fleet.model import WORKERS_PER_HOST, Fleet

if TYPE_CHECKING:
    from benchmarks.fleet.model import Costs

TRAVEL_SECONDS: Final = 0.2e-3
"""The seconds that a question and its answer travel, which is assumed."""

MOST_SLOWDOWN: Final = 1.5
"""The factor by which a storm may lengthen the others' 99th percentile."""


@attrs.frozen(kw_only=True)
class TenantStorm:
    """Tenants that share one Redis core, and another tenant that overloads the core.

    Attributes:
        others: the calls a second of all other tenants.
        offered: the calls a second of the storm.
        processes: the processes that send the calls of the storm.
        rate: the calls a second that the limit of the storm's tenant allows.
        has_brokers: whether a broker on each host asks for the processes of the storm.
        seconds: the length of the run.
    """

    others: int = 5_000
    offered: int = 0
    processes: int = 32
    rate: int = 100
    has_brokers: bool = False
    seconds: float = 4.0


@attrs.frozen
class Effect:
    """The effect of one tenant's overload on all other tenants.

    Attributes:
        p99: the 99th percentile of the seconds from a question of others to its answer.
        busy: the share of time for which the core worked.
        questions: the questions a second of the storm that reached the core.
    """

    p99: float
    busy: float
    questions: float


def run(storm: TenantStorm, costs: Costs, seed: int) -> Effect:
    """Run the model once, and return the effect on the tenants.

    Runs with the same seed have the same effect.
    """
    if storm.has_brokers:
        return _run_with_brokers(storm, costs, seed)
    randomness = Random(seed)
    all_calls = storm.others + storm.offered
    now = free_at = work_time = 0.0
    answers: list[float] = []
    questions, next_token = 0, 0.0
    ask_again = [0.0] * storm.processes
    while True:
        now += randomness.expovariate(all_calls)
        if now >= storm.seconds:
            break
        is_other = randomness.random() * all_calls < storm.others
        process = randomness.randrange(storm.processes)
        if not is_other and now < ask_again[process]:
            continue
        start = max(now, free_at)
        is_granted = is_other or start >= next_token
        cost = costs.granted if is_granted else costs.refused
        free_at = start + cost
        work_time += cost
        if is_other:
            answers.append(free_at - now + TRAVEL_SECONDS)
            continue
        questions += 1
        if is_granted:
            next_token = start + 1 / storm.rate
        else:
            ask_again[process] = now + next_token - start
    return _effect_of(storm, answers, work_time, questions)


def _run_with_brokers(storm: TenantStorm, costs: Costs, seed: int) -> Effect:
    fleet = Fleet(
        has_brokers=True,
        offered=storm.offered,
        limit=storm.rate,
        burst=1,
        workers=max(storm.processes, WORKERS_PER_HOST),
        seconds=storm.seconds,
    )
    hosts = brokers.run_hosts(fleet, costs, seed, others=storm.others)
    answers = [seconds + TRAVEL_SECONDS for seconds in hosts.others]
    return _effect_of(storm, answers, hosts.worked, hosts.requests)


def _effect_of(
    storm: TenantStorm, answers: list[float], work_time: float, questions: int
) -> Effect:
    p99 = sorted(answers)[int(len(answers) * 0.99)]
    return Effect(p99, min(1.0, work_time / storm.seconds), questions / storm.seconds)


def table(costs: Costs, seed: int, storms: list[TenantStorm]) -> list[str]:
    """Return the Markdown rows of a table, one per overload."""
    without_storm = run(TenantStorm(), costs, seed)
    rows = [
        (
            "| refused tenant: calls a second | calls come from | limit a second"
            " | requests to Redis a second | busy core | other tenants' p99"
            " | p99 compared with no such calls |"
        ),
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for storm in (TenantStorm(), *storms):
        effect = run(storm, costs, seed)
        times = effect.p99 / without_storm.p99
        mark = "" if times <= MOST_SLOWDOWN else ", too long"
        rows.append(
            f"| {storm.offered:,} | {_callers(storm)} | {storm.rate:,} | {effect.questions:,.0f}"
            f" | {effect.busy:.0%} | {effect.p99 * 1e3:,.2f} ms | {times:.2f}{mark} |"
        )
    return rows


def _callers(storm: TenantStorm) -> str:
    """Return the number and kind of the callers that use the store in a storm, as text."""
    if storm.has_brokers:
        return f"{storm.processes // WORKERS_PER_HOST:,} brokers"
    return f"{storm.processes:,} processes"
