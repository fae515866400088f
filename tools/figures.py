"""Write the page of figures from what `make bench` has measured.

`python -m tools.figures` writes `docs/explanation/speed.md` from `build/benchmarks.json`: what one
run measured on one machine. The text around the figures is here.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

PAGE: Final = Path("docs/explanation/speed.md")
MEASURED: Final = Path("build/benchmarks.json")

OPENING: Final = """\
# What it costs

`make bench` measures moorage beside its peers, in one run and in an environment of its own,
and prints these tables. In every round each contender runs one block of calls, in an order
that is drawn anew, so that the machine's moods fall on all alike. What is given is the median
over the rounds, and in brackets the interval that 95 of 100 resamplings of the rounds fall in.
A ratio is taken round by round. The first row stands in each table twice: how far the second,
the control, is from the first is what differences mean nothing below.

Read the ratios. The microseconds are those of this machine:
{machine}. Peers: {peers}.
"""

MEMORY: Final = """\
## Memory and start

Bytes for an idle key, the key itself included:

| | bytes |
|---|---|
{sizes}

`import moorage` takes {imported:.0f} ms more than starting the interpreter, and with every
export {everything:.0f} ms.
"""

SQLITE: Final = """\
## A SQLite file, call by call

The full stack around nothing (limit, circuit, retries, budget), in processes that share one
file, and a key's claim and settlement; microseconds.

| | p50 | p99 | p99.9 | calls per second |
|---|---|---|---|---|
{rows}
"""


def page(report: dict[str, Any]) -> str:
    """The page, from the report of a run."""
    machine = report["machine"]
    parts = [OPENING.format(machine=machine["summary"], peers=machine["peers"])]
    parts += [_table(comparison) for comparison in report["comparisons"]]
    if "sqlite" in report:
        rows = "\n".join(
            f"| {name} | " + " | ".join(f"{figure:,.0f}" for figure in told.values()) + " |"
            for name, told in report["sqlite"].items()
        )
        parts.append(SQLITE.format(rows=rows))
    if "bytes_per_idle_key" in report:
        sizes = "\n".join(
            f"| {name} | {size:.0f} |" for name, size in report["bytes_per_idle_key"].items()
        )
        imported = report["import_ms"]
        parts.append(
            MEMORY.format(
                sizes=sizes, imported=imported["moorage"], everything=imported["everything"]
            )
        )
    return "\n".join(parts)


def _table(comparison: dict[str, Any]) -> str:
    title, target = comparison["title"], comparison["target"]
    more = target["more"]
    form = "+{:g} µs" if more else "{:g} ×"
    lines = [
        f"## {title[0].upper()}{title[1:]}",
        "",
        f"To be at most {form.format(target['must'])}; the aim is {form.format(target['aim'])}.",
        "",
        f"| | µs | {'more than the first' if more else 'beside the first'} |",
        "|---|---|---|",
    ]
    for row in comparison["rows"]:
        beside = (
            _figure(row["more"], 1e6, "{:+.1f}", " µs")
            if more
            else _figure(row["ratio"], 1, "{:.2f}", " ×")
        )
        name = f"**{row['name']}**" if "moorage" in row["name"] else row["name"]
        lines.append(f"| {name} | {_figure(row['cost'], 1e6, '{:.2f}', '')} | {beside} |")
    return "\n".join([*lines, ""])


def _figure(figure: dict[str, float], unit: float, form: str, sign: str) -> str:
    median, low, high = (form.format(figure[part] * unit) for part in ("median", "low", "high"))
    return f"{median}{sign} [{low}, {high}]"


def main() -> int:
    """Write the page."""
    measured = Path(sys.argv[1]) if len(sys.argv) > 1 else MEASURED
    PAGE.write_text(page(json.loads(measured.read_text("utf-8"))), "utf-8")
    print(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
