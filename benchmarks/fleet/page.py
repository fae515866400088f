"""The tables about a fleet, for the page about sizing."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import Final

import attrs

from benchmarks.fleet import brokers, model, returns, tenants
from benchmarks.fleet.model import LIMIT, OFFERED, WORKERS, Costs, Fleet, seconds_to_start
from benchmarks.fleet.tenants import TenantStorm

PAGE: Final = Path("docs/how-to/sizing.md")
BEGIN: Final = "<!-- written by make fleet -->"
END: Final = "<!-- until here -->"
MOST_OF_A_CORE: Final = 0.8
OUTAGE_SECONDS: Final = 10.0

FLEETS: Final = [
    *(
        Fleet(parts=parts, tries=tries, patience=patience)
        for patience in (0.0, 0.5)
        for parts, tries in ((1, 1), (8, 1), (8, 2), (16, 1))
    ),
    Fleet(has_brokers=True),
    Fleet(has_brokers=True, patience=0.5),
    Fleet(has_brokers=True, offered=95_000),
]

STORMS: Final = [
    *(
        TenantStorm(offered=offered, processes=32, rate=rate)
        for offered in (10_000, 30_000)
        for rate in (10, 100, 1_000)
    ),
    *(
        TenantStorm(offered=30_000, processes=WORKERS, rate=rate, has_brokers=has_brokers)
        for has_brokers in (False, True)
        for rate in (1, 10, 100)
    ),
]


def table(costs: Costs, seed: int, fleets: list[Fleet]) -> list[str]:
    """Return the Markdown rows of a table, one per fleet."""
    rows = [
        (
            "| requests go to | calls offered a second | longest wait | served in time"
            " | busiest core | excess | hosts, p95 |"
        ),
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for fleet in fleets:
        outcome = (brokers.run if fleet.has_brokers else model.run)(fleet, costs, seed)
        mark = "" if outcome.busiest <= MOST_OF_A_CORE else ", too busy"
        rows.append(
            f"| {_store_name(fleet)} | {fleet.offered:,} | {fleet.patience:g} s"
            f" | {outcome.goodput:.1%} | {outcome.busiest:.0%}{mark}"
            f" | {outcome.excess / fleet.limit:.2%} | {outcome.unfairness:.1%} |"
        )
    return rows


def _store_name(fleet: Fleet) -> str:
    """Return the table's text for a fleet's store: a broker, or the number of parts."""
    if fleet.has_brokers:
        return "a broker"
    parts = "1 part" if fleet.parts == 1 else f"{fleet.parts} parts"
    return parts if fleet.tries == 1 else f"{parts}, {fleet.tries} tries"


def parts_needed(calls: int, cost: float) -> int:
    """Return how many parts a limit needs at this call rate to keep each core below 80 %."""
    return max(1, ceil(calls * cost / MOST_OF_A_CORE))


def report(costs: Costs, seed: int, fleets: list[Fleet], storms: list[TenantStorm]) -> str:
    """Return the tables for the page about sizing, in Markdown.

    Args:
        costs: what calls cost.
        seed: the seed of the models.
        fleets: the fleets.
        storms: the calls of a tenant that sends far too many.
    """
    in_microseconds = {name: f"{value * 1e6:.1f}" for name, value in attrs.asdict(costs).items()}
    starts = [f"{seconds_to_start(WORKERS, cores, costs):.2f} s" for cores in (1, 8)]
    return "\n".join(
        [
            "| call | µs of a core |",
            "| --- | --- |",
            f"| granted at once | {in_microseconds['granted']} |",
            f"| granted after a wait, with both commands to Redis | {in_microseconds['waits']} |",
            f"| refused | {in_microseconds['refused']} |",
            f"| a new connection | {in_microseconds['connected']} |",
            f"| a request to a broker, on the broker's core | {in_microseconds['broker']} |",
            "",
            "| calls a second | parts, if all are granted at once | parts, if all wait |",
            "| --- | --- | --- |",
            *(
                f"| {calls:,} | {parts_needed(calls, costs.granted)}"
                f" | {parts_needed(calls, costs.waits)} |"
                for calls in (5_000, 20_000, 50_000, 100_000, 200_000)
            ),
            "",
            (
                f"In this table, {WORKERS:,} workers attempt up to {OFFERED:,} calls a second on a"
                f" limit of {LIMIT:,}:"
            ),
            "",
            *table(costs, seed, fleets),
            "",
            (
                f"If {WORKERS:,} workers start together, all have made their first call after"
                f" {starts[0]} with one core, and after {starts[1]} with eight."
            ),
            "",
            (
                f"If Redis was unavailable for {OUTAGE_SECONDS:.0f} seconds, the last of"
                f" {WORKERS:,} workers uses it again"
                f" {returns.run(WORKERS, OUTAGE_SECONDS, costs, seed).last:.2f} s after its"
                " return, and the last of 200 workers after"
                f" {returns.run(200, OUTAGE_SECONDS, costs, seed).last:.2f} s."
            ),
            "",
            (
                f"This table shows tenants with {TenantStorm().others:,} calls a second on one"
                " core, while another tenant sends calls that its limit refuses:"
            ),
            "",
            *tenants.table(costs, seed, storms),
        ]
    )


def page_with_tables(page: str, tables: str) -> str:
    """Return the page with these tables between the page's two markers."""
    page_start, _, after_begin = page.partition(BEGIN)
    return f"{page_start}{BEGIN}\n\n{tables}\n\n{END}{after_begin.partition(END)[2]}"
