"""Writes the page of benchmark figures from the measurements of `make bench`.

`python -m tools.figures` writes `docs/explanation/speed.md` from `build/benchmarks.json`, or from
the reports named; of a table that several reports have, the last one counts. A table whose control
is outside 0.95-1.05 is named on the page, and none of its figures is printed.

`python -m tools.figures --update REPORT` replaces on the page the tables that a report has steady,
and says when and with which Python they were measured. All else on the page stays as it is.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.measure import is_steady
from tools.command_line import tool_parser

PAGE: Final = Path("docs/explanation/speed.md")
MEASURED: Final = Path("build/benchmarks.json")

OPENING: Final = """\
# What it costs

`make bench` measures moorage beside its peers and prints these tables. To measure one table, or the
tables whose names match a pattern, use `make bench BENCH_ARGS="full_stack 'http_clients*'"`.

- Every round runs one block of calls of each row, in a new random order. So a busy machine slows
  all rows alike.
- A figure is the median over the rounds. The brackets contain its 95 % interval, from resampling
  the rounds. A ratio is computed for each round.
- The first row of a table is the reference row, and is measured twice. The second measurement is
  the control: its ratio to the first should be 1. A table gets up to three times as many rounds
  until the whole interval of the control is between 0.95 and 1.05 ×. If the interval stays wider,
  the table is not printed.
- Calls that do no input or output are measured in processor time of the process. Requests over a
  network are measured twice: in elapsed time, and in processor time of the calling process alone.
- Deliveries from PostgreSQL are measured in processor time of the worker and of private servers of
  databases and brokers. The blocks of a round run in a random order, and then again in reverse.
  Celery's Redis writes nothing to disk, except in tables that say "durably". Celery and
  procrastinate add a task after the host's commit, so a crash in between loses the task.

Read the ratios. The microseconds were measured on this machine, while other programs were running:
{machine}. A table that names no day was measured on {date}. Peers: {peers}.
"""

MEMORY: Final = """\
## Memory

Bytes for an idle key, including the key itself:

| | bytes |
|---|---|
{sizes}
"""

LEFT_OUT_INTRODUCTION: Final = """\
## Tables without figures

These tables were not steady when this page was written, or were not measured. Measure these
tables on a quiet machine with the command beside them.

| table | control | command |
|---|---|---|
{rows}
"""


def page(reports: Sequence[dict[str, Any]]) -> str:
    """Return the page for the measurement reports of one or more runs."""
    comparisons = {
        name: comparison for report in reports for name, comparison in report["comparisons"].items()
    }
    names = list(dict.fromkeys(name for report in reports for name in report["tables"]))
    latest_report = reports[-1]
    machine = latest_report["machine"]
    parts = [
        OPENING.format(
            machine=machine["summary"], date=latest_report["date"], peers=machine["peers"]
        )
    ]
    left_out = []
    for name in names:
        comparison = comparisons.get(name)
        if comparison is not None and _is_steady(comparison):
            parts.append(_table(name, comparison))
        else:
            left_out.append(_unpublished_row(name, comparison))
    sizes = next((item for item in map(_sizes, reversed(reports)) if item), None)
    if sizes:
        rows = "\n".join(f"| {name} | {size:.0f} |" for name, size in sizes.items())
        parts.append(MEMORY.format(sizes=rows))
    if left_out:
        parts.append(LEFT_OUT_INTRODUCTION.format(rows="\n".join(left_out)))
    return "\n".join(parts)


def update_page(text: str, report: dict[str, Any]) -> str:
    """Return the page after replacing its tables by those of a newer report that are steady."""
    opening, *sections = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    tables = {_name_of(section): section for section in sections if _name_of(section)}
    other_sections = [section for section in sections if not _name_of(section)]
    for name, comparison in report["comparisons"].items():
        if _is_steady(comparison):
            measured = f"{report['date']} ({report['machine']['summary']})"
            section = _table(name, comparison, measured)
            tables[name] = f"{section}\n"
            row = re.compile(rf"^\| `{name}` \|.*\n", re.MULTILINE)
            other_sections = [row.sub("", section) for section in other_sections]
    order = {name: place for place, name in enumerate(report["tables"])}
    names = sorted(tables, key=lambda name: order.get(name, len(order)))
    return "".join([opening, *(tables[name] for name in names), *other_sections])


def _name_of(section: str) -> str:
    """Return the name of a section's table; "" if it has none."""
    match = re.search(r"^`make bench BENCH_ARGS=(\w+)` measured", section, re.MULTILINE)
    return match[1] if match else ""


def _sizes(report: dict[str, Any]) -> dict[str, float]:
    sizes: dict[str, float] = report.get("bytes_per_idle_key", {})
    return sizes


def _control(comparison: dict[str, Any]) -> dict[str, float]:
    ratio: dict[str, float] = comparison["table"]["rows"][-1]["ratio"]
    return ratio


def _is_steady(comparison: dict[str, Any]) -> bool:
    control = _control(comparison)
    return is_steady(control["low"], control["high"])


def _unpublished_row(name: str, comparison: dict[str, Any] | None) -> str:
    control = "not measured"
    if comparison is not None:
        control = _figure(_control(comparison), 1, "{:.2f}", " ×")
    return f"| `{name}` | {control} | `make bench BENCH_ARGS={name}` |"


def _table(name: str, comparison: dict[str, Any], measured: str = "") -> str:
    title, target, is_difference = comparison["title"], comparison["target"], comparison["more"]
    measured_table = comparison["table"]
    lines = [f"## {title[0].upper()}{title[1:]} ({measured_table['clock']})", ""]
    if target:
        limit, aim = target["must"], target["aim"]
        lines += [
            f"The limit for moorage is {limit:g} µs more than the first row, "
            f"and the target is {aim:g} µs more."
            if target["more"]
            else f"The limit for moorage is {limit:g} × the time of the first row, "
            f"and the target is {aim:g} ×."
        ]
    day = f" on {measured}" if measured else ""
    rounds = measured_table["rounds"]
    lines += [
        f"`make bench BENCH_ARGS={name}` measured this table in {rounds} rounds{day}.",
        "",
        f"| | µs | {'more than the first' if is_difference else 'beside the first'} |",
        "|---|---|---|",
    ]
    for row in measured_table["rows"]:
        comparison_cell = (
            _figure(row["more"], 1e6, "{:+.1f}", " µs")
            if is_difference
            else _figure(row["ratio"], 1, "{:.2f}", " ×")
        )
        label = f"**{row['name']}**" if "moorage" in row["name"] else row["name"]
        lines.append(f"| {label} | {_figure(row['cost'], 1e6, '{:.2f}', '')} | {comparison_cell} |")
    if is_difference:
        control = _figure(_control(comparison), 1, "{:.2f}", " ×")
        second = f"the second time took {control} of the first"
        lines += ["", f"As a control, the reference row was measured twice: {second}."]
    return "\n".join([*lines, ""])


def _figure(figure: dict[str, float], unit: float, form: str, sign: str) -> str:
    median_text, low_text, high_text = (
        form.format(figure[part] * unit) for part in ("median", "low", "high")
    )
    return f"{median_text}{sign} [{low_text}, {high_text}]"


def main(paths: Sequence[Path], *, is_update: bool) -> None:
    """Write the page from these reports, or only replace the tables that the reports have."""
    reports = [json.loads(path.read_text("utf-8")) for path in paths]
    if is_update:
        text = PAGE.read_text("utf-8")
        for report in reports:
            text = update_page(text, report)
    else:
        text = page(reports)
    PAGE.write_text(text, "utf-8")
    print(PAGE)


if __name__ == "__main__":
    PARSER = tool_parser("figures", __doc__)
    PARSER.add_argument("--update", action="store_true", help="replace the reports' tables only")
    PARSER.add_argument("reports", nargs="*", type=Path, metavar="REPORT", default=[MEASURED])
    OPTIONS = PARSER.parse_args()
    main(OPTIONS.reports, is_update=OPTIONS.update)
