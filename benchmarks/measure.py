"""Timing several contenders in one run, so that the machine's moods fall on all alike.

Every round runs one block of each contender, in an order that is drawn anew, and the cost of the
bare call is taken off within the same round. What is reported is the median over the rounds with
the interval that 95 of 100 resamplings of the rounds fall in. A ratio is taken round by round. The
reference stands in every comparison twice: the second time is the control, and what it differs
from 1 by is what differences mean nothing below.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    import asyncio

Block = Callable[[int], float]
"""Runs so many calls and returns the seconds they took."""


@attrs.frozen
class Contender:
    """Something that is measured: a name, and a block of calls."""

    name: str
    block: Block


@attrs.frozen
class Figure:
    """A median, and the ends of its interval."""

    median: float
    low: float
    high: float


@attrs.frozen
class Row:
    """What one contender cost beyond the bare call, beside the reference, and more than it."""

    name: str
    cost: Figure
    ratio: Figure
    more: Figure


def plain(function: Callable[[], object]) -> Block:
    """A block of plain calls."""

    def block(calls: int) -> float:
        counted = range(calls)
        began = time.perf_counter()
        for _ in counted:
            function()
        return time.perf_counter() - began

    return block


def awaited(function: Callable[[], Awaitable[object]], loop: asyncio.AbstractEventLoop) -> Block:
    """A block of awaited calls, in one task of `loop`."""

    def block(calls: int) -> float:
        async def timed() -> float:
            counted = range(calls)
            began = time.perf_counter()
            for _ in counted:
                await function()
            return time.perf_counter() - began

        return loop.run_until_complete(timed())

    return block


def compare(
    bare: Block | None,
    contenders: Sequence[Contender],
    *,
    rounds: int,
    block_seconds: float = 0.01,
) -> list[Row]:
    """Measure contenders against the first of them, over the bare call if there is one."""
    reference = contenders[0]
    field = [*contenders, Contender(f"{reference.name} (control)", reference.block)]
    blocks = {contender.name: contender.block for contender in field}
    sizes = {name: _calls(block, block_seconds) for name, block in blocks.items()}
    bare_calls = 0 if bare is None else _calls(bare, block_seconds)
    dice = random.Random(1)
    costs: dict[str, list[float]] = {name: [] for name in blocks}
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            order = list(blocks)
            dice.shuffle(order)
            empty = 0.0 if bare is None else bare(bare_calls) / bare_calls
            for name in order:
                costs[name].append(blocks[name](sizes[name]) / sizes[name] - empty)
            gc.collect(0)
    finally:
        gc.enable()
    base = costs[reference.name]
    return [
        Row(
            name,
            _figure(cost, dice),
            _figure([own / other for own, other in zip(cost, base, strict=True)], dice),
            _figure([own - other for own, other in zip(cost, base, strict=True)], dice),
        )
        for name, cost in costs.items()
    ]


def _calls(block: Block, seconds: float) -> int:
    """How many calls make a block of about so many seconds; warms up at the same time."""
    calls = 1
    while (took := block(calls)) < seconds / 4:
        calls *= 2
    return max(1, int(calls * seconds / took))


def _figure(values: Sequence[float], dice: random.Random) -> Figure:
    medians = sorted(statistics.median(dice.choices(values, k=len(values))) for _ in range(200))
    return Figure(statistics.median(values), medians[5], medians[194])
