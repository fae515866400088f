"""Measures several candidates in one run, so that other load slows all of them equally.

Every round runs one block of each contender in a new random order. The cost of the bare call is
subtracted within the same round. A figure is the median over the rounds, with the interval that 95
of 100 resamplings of the rounds fall in. A ratio is taken round by round.

The reference takes part twice. Its second part is the control: its ratio to the first would be 1 on
a quiet machine. A table counts as steady if the whole interval of that ratio is between 0.95 and
1.05. One that is not steady gets further rounds, up to three times as many, and is not printed if
it is still not steady then.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import chain
from resource import RUSAGE_CHILDREN, getrusage
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    import asyncio

Read = Callable[[], float]
"""Reads a clock, in seconds."""

Block = Callable[[int, Read], float]
"""Runs so many calls and returns the seconds that they took by a clock."""

CONTROL: Final = " (control)"
ATTEMPTS: Final = 3
STEADY: Final = (0.95, 1.05)
_REPEATS: Final = 3


@attrs.frozen
class Clock:
    """A clock and its unit."""

    name: str
    read: Read


def _worked_by_children() -> float:
    usage = getrusage(RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


PROCESSOR: Final = Clock("processor time", time.process_time)
"""For calls that do no input or output: other processes do not count."""

ELAPSED: Final = Clock("elapsed time", time.perf_counter)
"""For calls that wait for a disk, a network or another thread."""

CHILDREN: Final = Clock("processor time of the process", _worked_by_children)
"""For blocks that start processes and wait for their end."""


@attrs.frozen
class Contender:
    """A candidate: its name, and a block of its calls."""

    name: str
    block: Block


@attrs.frozen
class Figure:
    """The median of measured values, and its confidence interval."""

    median: float
    low: float
    high: float


@attrs.frozen
class Row:
    """A candidate's seconds per call, and their ratio to and difference from the reference's."""

    name: str
    cost: Figure
    ratio: Figure
    more: Figure


@attrs.frozen
class Table:
    """The rows of one measurement: first the reference, last the reference again as a control."""

    rows: list[Row]
    clock: str
    rounds: int


@attrs.frozen
class Target:
    """The highest allowed cost and the intended cost, both as ratios to the reference.

    With `more`, both are microseconds on top of the reference instead.
    """

    must: float
    aim: float
    more: bool = False


@attrs.frozen
class Comparison:
    """A table with its title, and its target if any.

    With `more`, the difference to the reference is shown instead of the ratio.
    """

    title: str
    table: Table
    target: Target | None = None
    more: bool = attrs.field(
        default=attrs.Factory(lambda self: bool(self.target and self.target.more), takes_self=True)
    )


def is_steady(low: float, high: float) -> bool:
    """Return whether the control's interval is narrow enough for publishing the table."""
    return STEADY[0] <= low and high <= STEADY[1]


def sync_block(function: Callable[[], object]) -> Block:
    """Return a function that measures a number of synchronous calls."""

    def block(calls: int, read: Read) -> float:
        numbers = range(calls)
        start = read()
        for _ in numbers:
            function()
        return read() - start

    return block


def async_block(
    function: Callable[[], Awaitable[object]], loop: asyncio.AbstractEventLoop
) -> Block:
    """Return a function that measures consecutive asynchronous calls in a task of `loop`."""

    def block(calls: int, read: Read) -> float:
        async def timed_run() -> float:
            numbers = range(calls)
            start = read()
            for _ in numbers:
                await function()
            return read() - start

        return loop.run_until_complete(timed_run())

    return block


def compare(
    bare: Block | None,
    contenders: Sequence[Contender],
    *,
    rounds: int,
    clock: Clock = PROCESSOR,
    block_seconds: float = 0.01,
    mirrored: bool = False,
    least: int = 1,
) -> Table:
    """Compare candidates with the first one; the cost of a bare call can be subtracted from all.

    With `mirrored`, the blocks of a round run again in the reverse order. A load or a table that
    grows during the round then adds as much to each contender. A block has `least` calls at least,
    for those whose beginning takes long.
    """
    reference = contenders[0]
    blocks = {contender.name: contender.block for contender in contenders}
    sizes = {
        name: calls_per_block(block, clock.read, block_seconds, least)
        for name, block in blocks.items()
    }
    control = reference.name + CONTROL
    blocks[control], sizes[control] = reference.block, sizes[reference.name]
    bare_calls = 0 if bare is None else calls_per_block(bare, clock.read, block_seconds)
    randomness = random.Random(1)
    costs: dict[str, list[float]] = {name: [] for name in blocks}

    def measure_round() -> None:
        order = list(blocks)
        randomness.shuffle(order)
        bare_cost = 0.0 if bare is None else bare(bare_calls, clock.read) / bare_calls
        passes = (order, order[::-1]) if mirrored else (order,)
        durations = dict.fromkeys(order, 0.0)
        for name in chain.from_iterable(passes):
            durations[name] += blocks[name](sizes[name], clock.read)
        for name, duration in durations.items():
            costs[name].append(duration / (sizes[name] * len(passes)) - bare_cost)
        gc.collect(0)

    gc.collect()
    gc.disable()
    try:
        for _ in range(ATTEMPTS):
            for _ in range(rounds):
                measure_round()
            rows = table_rows(costs)
            if is_steady(rows[-1].ratio.low, rows[-1].ratio.high):
                break
    finally:
        gc.enable()
    return Table(rows, clock.name, len(costs[control]))


def table_rows(costs: Mapping[str, Sequence[float]]) -> list[Row]:
    """Return the rows for the costs of all rounds; the first candidate is the reference."""
    randomness = random.Random(2)
    base = next(iter(costs.values()))
    return [
        Row(
            name,
            summary(cost, randomness),
            summary(
                [item / base_cost for item, base_cost in zip(cost, base, strict=True)], randomness
            ),
            summary(
                [item - base_cost for item, base_cost in zip(cost, base, strict=True)], randomness
            ),
        )
        for name, cost in costs.items()
    ]


def calls_per_block(block: Block, read: Read, seconds: float, least: int = 1) -> int:
    """Return the number of calls that take about this many seconds in total.

    The fastest of several blocks counts: the first one may open a connection, and any may be
    interrupted by another process. A number found in such a block would be far too small, and
    blocks of few calls cost more per call.
    """
    calls = least
    while (duration := min(block(calls, read) for _ in range(_REPEATS))) < seconds / 4:
        calls *= 2
    return max(least, int(calls * seconds / duration))


def summary(values: Sequence[float], randomness: random.Random) -> Figure:
    """Return the median of values, with the interval of 95 of 100 resampled medians."""
    medians = sorted(
        statistics.median(randomness.choices(values, k=len(values))) for _ in range(200)
    )
    return Figure(statistics.median(values), medians[5], medians[194])
