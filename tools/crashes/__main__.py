"""Runs the crash matrix: `python -m tools.crashes`; see `--help` for choosing cells.

Every cell is one line of JSON in `build/crashes.jsonl`. `--page` then writes the page of the
matrix from these lines.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.crashes import page, peers
from tools.crashes.cases import CASES
from tools.crashes.cell import FAULTS, POINTS, CellError, prepare, run
from tools.crashes.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator


def _cells(chosen: argparse.Namespace) -> Iterator[tuple[str, str, str]]:
    names = [case.name for case in CASES]
    for name in chosen.case or ([] if chosen.queue else names):
        for fault in chosen.fault or FAULTS:
            for point in chosen.point or POINTS:
                yield name, fault, point
    for name in chosen.queue or []:
        for fault in chosen.fault or peers.FAULTS:
            for point in chosen.point or peers.POINTS:
                yield name, fault, point


def _run(cluster: Cluster, name: str, fault: str, point: str, python: str) -> dict[str, Any]:
    """Run one cell of the crash matrix, and return its result."""
    try:
        if name in peers.QUEUES:
            verdict = peers.run(cluster, python, name, point, fault)
            return {"verdict": verdict, "right": verdict == "once"}
        case = next(case for case in CASES if case.name == name)
        outcome = run(cluster, case, point, fault)
    except CellError as error:
        return {"verdict": "not run", "right": False, "words": str(error)}
    return {
        "verdict": outcome.verdict(case),
        "right": outcome.is_right(case),
        "effects": dict(outcome.effects),
        "states": outcome.states,
        "unsettled": outcome.unsettled,
        "words": outcome.words,
    }


def main() -> int:
    """Run the cells and write the results, or write the page; return 1 after a failed cell."""
    parser = argparse.ArgumentParser(prog="python -m tools.crashes")
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES])
    parser.add_argument("--queue", action="append", choices=peers.QUEUES)
    parser.add_argument("--python", default=sys.executable, help="has the packages of the queues")
    parser.add_argument("--point", action="append", choices=POINTS)
    parser.add_argument("--fault", action="append", choices=FAULTS)
    parser.add_argument("--output", type=Path, default=Path("build/crashes.jsonl"))
    parser.add_argument("--page", type=Path, nargs="+", help="write the page from these files")
    chosen_options = parser.parse_args()
    if chosen_options.page:
        lines = [line for path in chosen_options.page for line in path.read_text().splitlines()]
        page.PAGE.write_text(page.page_of_rows([json.loads(line) for line in lines]))
        return 0
    chosen_options.output.parent.mkdir(parents=True, exist_ok=True)
    is_failed = False
    with Cluster() as cluster, chosen_options.output.open("a") as output:
        prepare(cluster)
        for name, fault, point in _cells(chosen_options):
            start_time = time.monotonic()
            row: dict[str, Any] = {"case": name, "fault": fault, "point": point}
            row |= _run(cluster, name, fault, point, chosen_options.python)
            row["seconds"] = round(time.monotonic() - start_time, 1)
            is_failed = is_failed or (name not in peers.QUEUES and not row["right"])
            print(json.dumps(row), file=output, flush=True)
            print(*row.values(), flush=True)
    return 1 if is_failed else 0


if __name__ == "__main__":
    sys.exit(main())
