"""Simulates the schedules of consecutive seeds on all cores, or prints the history of one.

`python -m tests.simulation 100000` runs that many; `python -m tests.simulation --seed 17` prints
the history of one run. With `--spread`, the store consists of shards, and limits are in parts.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.simulation.scenario import LawBroken, check, simulate

CHUNK = 500


def chunk(first: int, *, is_spread: bool) -> tuple[int, list[str]]:
    """Simulate the schedules of some seeds; return the steps' number and each broken law."""
    steps, violations = 0, []
    for seed in range(first, first + CHUNK):
        try:
            schedule = simulate(seed, is_spread=is_spread)
            steps += schedule.simulation.steps
            check(schedule)
        except LawBroken as error:
            violations.append(str(error).splitlines()[0])
    return steps, violations


def main() -> int:
    """Run the simulation's command line."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("schedules", nargs="?", type=int, default=10_000)
    arguments.add_argument("--first", type=int, default=0)
    arguments.add_argument("--seed", type=int)
    arguments.add_argument("--spread", action="store_true")
    options = arguments.parse_args()
    if options.seed is not None:
        print("\n".join(simulate(options.seed, is_spread=options.spread).simulation.history))
        return 0
    start_time = time.monotonic()
    firsts = range(options.first, options.first + options.schedules, CHUNK)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(partial(chunk, is_spread=options.spread), firsts))
    violations = [line for _, lines in results for line in lines]
    for line in violations:
        print(line)
    print(
        f"{len(results) * CHUNK} schedules, {sum(steps for steps, _ in results)} steps, "
        f"{len(violations)} broken, {time.monotonic() - start_time:.0f} s"
    )
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
