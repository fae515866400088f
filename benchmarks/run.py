"""Measures moorage and comparable libraries; prints tables, and writes JSON to build/.

Name tables, or patterns such as `http_clients*`, to measure these alone. A table whose control is
outside 0.95-1.05 is not printed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import broker_costs
import client_costs
import commands
import connector_costs
import file_costs
import http_costs
import in_process
import mqtt_costs
import outbox_costs
import pipeline_costs
import production
import protocol_costs
import redis_costs
import signing
import sql_costs
import sqlite_costs
import step_costs
import web_service_costs
import webhooks
from measure import is_steady

if TYPE_CHECKING:
    from measure import Comparison, Figure, Row

PEERS = (
    "redress",
    "purgatory",
    "limits",
    "stamina",
    "tenacity",
    "pybreaker",
    "aiobreaker",
    "throttled-py",
    "pyrate-limiter",
    "pyreqwest",
    "aiohttp",
    "httpx2",
    "urllib3",
    "botocore",
    "stripe",
    "standardwebhooks",
    "svix",
    "procrastinate",
    "celery",
    "aiodocker",
    "faststream",
)

TABLES = {
    make.__name__: make
    for module in (
        in_process,
        production,
        http_costs,
        client_costs,
        signing,
        sqlite_costs,
        redis_costs,
        sql_costs,
        connector_costs,
        protocol_costs,
        web_service_costs,
        file_costs,
        outbox_costs,
        pipeline_costs,
        broker_costs,
        mqtt_costs,
        step_costs,
        webhooks,
        commands,
    )
    for make in module.ALL
}


def main() -> int:
    """Run the named comparisons, or all."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("names", nargs="*", help="tables or patterns of their names")
    arguments.add_argument("--rounds", type=int, default=60)
    arguments.add_argument("--json", type=Path, default=Path("build/benchmarks.json"))
    options = arguments.parse_args()
    for name in options.names:
        if not any(fnmatch(table, name) for table in TABLES):
            arguments.error(f"no table is named {name}; there are: {', '.join(TABLES)}")

    start = time.time()
    report: dict[str, Any] = {
        "machine": machine(),
        "date": time.strftime("%Y-%m-%d", time.gmtime(start)),
        "tables": list(TABLES),
        "comparisons": {},
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    for name, make in TABLES.items():
        if options.names and not any(fnmatch(name, pattern) for pattern in options.names):
            continue
        comparison = make(options.rounds)
        print(comparison_text(name, comparison), flush=True)
        report["comparisons"][name] = attrs.asdict(comparison)
        _write(report, options.json, start)
    if not options.names:
        report["bytes_per_idle_key"] = sizes = in_process.memory()
        print("bytes per idle key, key included:")
        for name, size in sizes.items():
            print(f"  {name:<34}{size:8.0f}")
    _write(report, options.json, start)
    print(f"\n{machine()['summary']}; {report['seconds']} s; {options.json}")
    return 0


def _write(report: dict[str, Any], path: Path, start: float) -> None:
    """Write the unfinished report, so that the tables of an interrupted run are not lost."""
    report["seconds"] = round(time.time() - start, 1)
    path.write_text(json.dumps(report, indent=2) + "\n")


def comparison_text(name: str, comparison: Comparison) -> str:
    """Return a comparison as text.

    If its figures were not steady, return only a sentence that says so.
    """
    rows, target = comparison.table.rows, comparison.target
    control = rows[-1].ratio
    head = f"{name}: {comparison.title} ({comparison.table.clock})"
    if not is_steady(control.low, control.high):
        return (
            f"{head}\n  not steady: the reference took {control.low:.2f}-{control.high:.2f} × of"
            " itself; measure again on a quieter machine\n"
        )
    if target:
        form = "+{:g} µs" if target.more else "{:g} ×"
        head += f", at most {form.format(target.must)}, aim {form.format(target.aim)}"
    return "\n".join([head, *(_line(row, more=comparison.more) for row in rows), ""])


def _line(row: Row, *, more: bool) -> str:
    comparison_text = (
        f"{row.more.median * 1e6:>+9.2f} µs [{row.more.low * 1e6:+.2f}, {row.more.high * 1e6:+.2f}]"
        if more
        else f"{_format_figure(row.ratio, 1):>8} × [{row.ratio.low:.2f}, {row.ratio.high:.2f}]"
    )
    return (
        f"  {row.name:<42}{_format_figure(row.cost, 1e6):>9} µs "
        f"[{row.cost.low * 1e6:.2f}, {row.cost.high * 1e6:.2f}]{comparison_text}"
    )


def _format_figure(figure: Figure, unit: float) -> str:
    return f"{figure.median * unit:.2f}"


def machine() -> dict[str, str]:
    """Return a description of the machine, and the compared libraries' versions."""
    peers = ", ".join(f"{name} {version(name)}" for name in PEERS)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return {
        "summary": f"{python}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "peers": peers,
    }


if __name__ == "__main__":
    sys.exit(main())
