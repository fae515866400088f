"""Sends damaged webhooks to verifiers: `python -m tools.fuzz 100000 [family …]`.

A payment vendor such as `stripe-payments` is a family too: its webhooks go through an inbox, and
their events are converted.
"""

import sys
import time

from tests.vendors.attacked_webhooks import VENDORS, attack
from tests.webhooks.fuzzing import FAMILIES, fuzz

_ENDING = "-payments"


def main() -> None:
    """Try this many inputs for each family, or for the named families."""
    inputs = int(sys.argv[1])
    for family in sys.argv[2:] or [*FAMILIES, *(f"{name}{_ENDING}" for name in VENDORS)]:
        start_time, seed = time.perf_counter(), time.time_ns()
        vendor = family.removesuffix(_ENDING)
        accepted_count = (
            fuzz(family, inputs, seed) if vendor == family else attack(vendor, inputs, seed)
        )
        duration = time.perf_counter() - start_time
        text = (
            f"{inputs:>9,} inputs {accepted_count:>8,} undamaged where it counts {duration:7.1f} s"
        )
        print(f"{family:<14}{text}", flush=True)


if __name__ == "__main__":
    main()
