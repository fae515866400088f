"""Sends damaged webhooks to verifiers: `python -m tools.fuzz 100000 [family …]`."""

import sys
import time

from tests.webhooks.fuzzing import FAMILIES, fuzz


def main() -> None:
    """Try the given number of inputs for each family, or for the named families."""
    inputs = int(sys.argv[1])
    for family in sys.argv[2:] or FAMILIES:
        start_time = time.perf_counter()
        accepted_count = fuzz(family, inputs, seed=time.time_ns())
        duration = time.perf_counter() - start_time
        text = (
            f"{inputs:>9,} inputs {accepted_count:>8,} undamaged where it counts {duration:7.1f} s"
        )
        print(f"{family:<14}{text}", flush=True)


if __name__ == "__main__":
    main()
