"""Makes mutants of moorage's decisions and flows, and checks that tests notice them.

mutmut makes the mutants, and `mutant_trials` tries them; this script gives the verdict. A mutant
that its tests do not notice must be explained in `tests/mutants-explained.toml`, by the lines it
changes (mutmut's own numbers move with every edit). The run fails for a survivor without an
explanation, for a function that no test calls, for an explanation without a survivor, and when
time ran out before every mutant was tried.

The wording of sentences is free: a mutant that only garbles a string of several words is left
out. Strings of one word are headers, keys and names, and count.

All of them take hours. `tests/mutants-noticed.txt` has the functions of which every mutant has been
noticed or is explained, each with a digest of its source; with `--go-on` these are not tried again
while they are the same, so that runs of an hour each come to the end, and a change of the code asks
for its own functions only. That is right as long as tests have only been added; a run without it
believes nothing.
"""

import argparse
import shutil
import sys
import tomllib
from collections import Counter
from pathlib import Path

from tools.mutant_trials import (
    KILLED,
    MUTANTS_FOLDER,
    SURVIVED,
    TIMEOUT,
    UNTESTED,
    UNTRIED,
    Change,
    Function,
    fates_of,
)

EXPLAINED = Path("tests/mutants-explained.toml")
NOTICED = Path("tests/mutants-noticed.txt")


def explained() -> set[Change]:
    """Read the mutants that no test notices and that have an explanation."""
    entries = tomllib.loads(EXPLAINED.read_text("utf-8")).get("survivor", [])
    unexplained_entries = [entry for entry in entries if not entry.get("because")]
    if unexplained_entries:
        sys.exit(f"{EXPLAINED}: no reason is given for {unexplained_entries[0]}")
    return {Change(entry["function"], entry["was"], entry["becomes"]) for entry in entries}


def noticed_before() -> set[Function]:
    """Read the functions in which tests noticed every mutant in earlier runs."""
    lines = NOTICED.read_text("utf-8").splitlines() if NOTICED.exists() else []
    pairs = (line.split() for line in lines)
    return {Function(name, digest) for digest, name in pairs}


def noticed_now(
    fates: dict[Change, str], existing: set[Change], before: set[Function]
) -> set[Function]:
    """Return the functions in which tests noticed every mutant, in this or earlier runs."""
    fate_of = {change: fate for change, fate in fates.items() if change not in existing}
    unfinished_functions = {
        change.whole for change, fate in fate_of.items() if fate in {SURVIVED, UNTESTED}
    }
    untried_functions = {change.whole for change, fate in fate_of.items() if fate == UNTRIED}
    return {change.whole for change in fates} - unfinished_functions - (untried_functions - before)


def as_table(fates: dict[Change, str], existing: set[Change]) -> str:
    """Return a table for the documentation with the counts of mutants in each module."""
    lines = ["| module | mutants | killed | explained | unexplained |", "|---|---:|---:|---:|---:|"]
    modules: dict[str, Counter[str]] = {}
    for change, fate in fates.items():
        module = change.name.rpartition(".")[0].removeprefix("moorage.")
        shown_fate = "explained" if fate == SURVIVED and change in existing else fate
        modules.setdefault(module, Counter())[shown_fate] += 1
    for module, counts in sorted(modules.items()):
        killed = counts[KILLED] + counts[TIMEOUT]
        unexplained = counts.total() - killed - counts["explained"]
        lines.append(
            f"| `{module}` | {counts.total()} | {killed} | {counts['explained']} | {unexplained} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Test the mutants, and print the results."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("only", nargs="*", help="patterns, such as 'moorage.domain.*'")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--go-on", action="store_true")
    options = parser.parse_args()
    if not hasattr(sys, "monitoring"):
        sys.exit("To see which lines tests reach takes Python 3.12: make mutants PYTHON=python3.13")

    explained_changes = explained()
    previous_functions = noticed_before()
    if MUTANTS_FOLDER.exists():
        shutil.rmtree(MUTANTS_FOLDER)
    fates = fates_of(
        options.only,
        explained_changes,
        previous_functions if options.go_on else set(),
        workers=options.workers,
        seconds=options.minutes * 60,
    )
    if not options.only:
        lines = sorted(
            f"{function.digest} {function.name}\n"
            for function in noticed_now(fates, explained_changes, previous_functions)
        )
        NOTICED.write_text("".join(lines), "utf-8")

    survivors = {change for change, fate in fates.items() if fate == SURVIVED}
    unexplained = [change for change in fates if change in survivors - explained_changes]
    untested_functions = Counter(
        change.function for change, fate in fates.items() if fate == UNTESTED
    )
    untried_count = sum(fate == UNTRIED for fate in fates.values())
    stale_explanations = (
        [] if options.only or untried_count else sorted(explained_changes - survivors, key=str)
    )

    for survivor in unexplained:
        print(f"\n{survivor.as_toml()}")
    for function, count in untested_functions.items():
        print(f"\nno selected test calls {function} ({count} mutants)")
    for survivor in stale_explanations:
        print(f"\nexplained, but noticed by a test or gone: {survivor}")
    print(f"\n{as_table(fates, explained_changes)}")
    counts = ", ".join(f"{count} {fate}" for fate, count in Counter(fates.values()).items())
    print(
        f"\n{len(fates)} mutants: {counts or 'none'}\n"
        f"{len(unexplained)} unexplained, {len(untested_functions)} functions without a test, "
        f"{len(stale_explanations)} stale explanations, {untried_count} not tried"
    )
    return int(
        bool(unexplained or untested_functions or stale_explanations or untried_count or not fates)
    )


if __name__ == "__main__":
    sys.exit(main())
