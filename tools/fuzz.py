"""Sends damaged webhooks to verifiers: `python -m tools.fuzz 100000 [family …]`.

A payment vendor such as `stripe-payments` is a family too: its webhooks go through an inbox, and
their events are converted.
"""

import time
from collections.abc import Sequence

from tests.vendors.attacked_webhooks import VENDORS, attack
from tests.webhooks.fuzzing import FAMILIES, fuzz
from tools.command_line import tool_parser

_ENDING = "-payments"


def main(inputs: int, families: Sequence[str]) -> None:
    """Send this many damaged webhooks to each of these families of presets, or to all families."""
    for family in families or [*FAMILIES, *(f"{name}{_ENDING}" for name in VENDORS)]:
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
    PARSER = tool_parser("fuzz", __doc__)
    PARSER.add_argument("inputs", type=int, help="the number of inputs for each family")
    PARSER.add_argument("families", nargs="*", metavar="family", help="all by default")
    OPTIONS = PARSER.parse_args()
    main(OPTIONS.inputs, OPTIONS.families)
