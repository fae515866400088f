"""Runs several libraries under the same fault, and reports how each behaves.

`make correctness` runs all faults, and `make correctness FAULTS=lost_answer` one of them. With
`--page FILE` it writes the page of the documentation.

Every fault happens for real: vendors and stores are sockets, callers are threads, tasks and
processes. A cell is what was observed, and whether that is what the fault's first line wants. A
library takes part where it has the feature.
"""

from __future__ import annotations

import logging
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.faults.charges import double_submit, lost_answer
from benchmarks.faults.circuits import cancelled_calls, killed_probe, probe_stampede
from benchmarks.faults.clocks import clock_step, skewed_clock
from benchmarks.faults.pauses import jitter_at_the_cap, shared_429
from benchmarks.faults.stores import silent_store
from benchmarks.faults.trial import MissingServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.faults.trial import Observation

FAULTS: Final[tuple[Callable[[], dict[str, Any]], ...]] = (
    probe_stampede,
    killed_probe,
    cancelled_calls,
    jitter_at_the_cap,
    skewed_clock,
    clock_step,
    shared_429,
    lost_answer,
    silent_store,
    double_submit,
)
LIBRARIES: Final = (
    "pybreaker",
    "purgatory",
    "aiobreaker",
    "tenacity",
    "stamina",
    "urllib3",
    "limits",
)
INTRODUCTION: Final = """\
# What libraries do under faults

`make correctness` exposes moorage, and other libraries with the same feature, to the same faults,
and prints the results. The command under each fault runs only the tests of this fault; the fault
*Skewed clock* needs the program `redis-server`. Counts and seconds differ a little from run to run.
The tests use real sockets to vendors and stores, and real threads, tasks and processes. The tests
use each library as its documentation shows; some libraries have a setting that avoids the fault,
such as `wait_random_exponential` of tenacity.
"""


def observations(fault: Callable[[], dict[str, Any]]) -> Iterator[tuple[str, Observation]]:
    """Yield each library's name and its observed behaviour under a fault."""
    for library, trial in fault().items():
        yield library, trial()


def sentence(fault: Callable[[], dict[str, Any]]) -> str:
    """Return the desired outcome of a fault, as a sentence."""
    return (fault.__doc__ or "").strip()


def page() -> str:
    """Run all faults, and return the documentation page."""
    lines = [INTRODUCTION]
    for fault in FAULTS:
        lines += [f"## {fault.__name__.replace('_', ' ').capitalize()}\n", f"{sentence(fault)}\n"]
        lines += [f"Run this test: `make correctness FAULTS={fault.__name__}`\n"]
        lines += ["| library | passed | observed |", "| --- | --- | --- |"]
        for library, observation in observations(fault):
            answer = "yes" if observation.holds else "no"
            lines.append(f"| {library} | {answer} | {observation.text} |")
        lines.append("")
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return "\n".join([*lines, f"These results were observed with {versions}.\n"])


def main(arguments: list[str]) -> int:
    """Print the observations for the named faults or all; return the exit code."""
    if arguments[:1] == ["--page"]:
        Path(arguments[1]).write_text(page(), "utf-8")
        return 0
    faults = {fault.__name__: fault for fault in FAULTS}
    for name in arguments or faults:
        if name not in faults:
            print(f"There is no fault {name!r}. Use: {', '.join(faults)}.", file=sys.stderr)
            return 2
        print(f"{name}: {sentence(faults[name])}")
        try:
            for library, seen in observations(faults[name]):
                print(f"  {'yes' if seen.holds else 'NO ':3}  {library:33} {seen.text}")
        except MissingServer as error:
            print(f"  not run: {error}")
    return 0


if __name__ == "__main__":
    logging.disable()  # some peers log every try
    sys.exit(main(sys.argv[1:]))
