"""Measure moorage beside its peers and print tables; the same as JSON goes to build/."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import commands
import in_process
import over_clients
import over_http
import over_redis
import over_sql
import over_sqlite
import signing
import webhooks
from in_process import Comparison

if TYPE_CHECKING:
    from measure import Figure, Row

PEERS = (
    "redress",
    "purgatory",
    "limits",
    "stamina",
    "pybreaker",
    "aiobreaker",
    "throttled-py",
    "pyrate-limiter",
    "pyreqwest",
    "aiohttp",
    "httpx2",
    "urllib3",
    "botocore",
)


def main() -> int:
    """Run the comparisons named, or all."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("names", nargs="*", help="which comparisons, by part of their name")
    arguments.add_argument("--rounds", type=int, default=60)
    arguments.add_argument("--json", type=Path, default=Path("build/benchmarks.json"))
    options = arguments.parse_args()

    began = time.time()
    comparisons = []
    for make in (
        *in_process.ALL,
        *over_http.ALL,
        *over_clients.ALL,
        *signing.ALL,
        *over_sqlite.ALL,
        *over_redis.ALL,
        *over_sql.ALL,
        *webhooks.ALL,
    ):
        if options.names and not any(name in make.__name__ for name in options.names):
            continue
        comparison = make(options.rounds)
        comparisons.append(comparison)
        print(table(comparison), flush=True)
    report: dict[str, object] = {
        "machine": machine(),
        "seconds": round(time.time() - began, 1),
        "comparisons": [attrs.asdict(comparison) for comparison in comparisons],
    }
    if not options.names:
        report["bytes_per_idle_key"] = sizes = in_process.memory()
        report["sqlite"] = latencies = over_sqlite.latencies()
        for name, told in latencies.items():
            figures = ", ".join(f"{figure} {value:,.0f}" for figure, value in told.items())
            print(f"SQLite, {name}, µs: {figures}")
        report["commands_ms"] = started = commands.start_up()
        print(commands.shown(started))
        report["import_ms"] = imported = import_time()
        print("bytes per idle key, key included:")
        for name, size in sizes.items():
            print(f"  {name:<34}{size:8.0f}")
        print(
            f"\nimport moorage: {imported['moorage']:.1f} ms, with every export "
            f"{imported['everything']:.1f} ms, over a bare interpreter"
        )
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report, indent=2) + "\n")
    print(f"\n{machine()['summary']}; {report['seconds']} s; {options.json}")
    return 0


def table(comparison: Comparison) -> str:
    """A comparison as text."""
    target = comparison.target
    form = "+{:g} µs" if target.more else "{:g} ×"
    must, aim = form.format(target.must), form.format(target.aim)
    lines = [f"{comparison.title} (must be ≤ {must}, aim {aim})"]
    lines += [_line(row, more=target.more) for row in comparison.rows]
    return "\n".join([*lines, ""])


def _line(row: Row, *, more: bool) -> str:
    beside = (
        f"{row.more.median * 1e6:>+9.2f} µs [{row.more.low * 1e6:+.2f}, {row.more.high * 1e6:+.2f}]"
        if more
        else f"{_shown(row.ratio, 1):>8} × [{row.ratio.low:.2f}, {row.ratio.high:.2f}]"
    )
    return (
        f"  {row.name:<42}{_shown(row.cost, 1e6):>9} µs "
        f"[{row.cost.low * 1e6:.2f}, {row.cost.high * 1e6:.2f}]{beside}"
    )


def _shown(figure: Figure, unit: float) -> str:
    return f"{figure.median * unit:.2f}"


def machine() -> dict[str, str]:
    """What these figures were measured on."""
    peers = ", ".join(f"{name} {version(name)}" for name in PEERS)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return {
        "summary": f"{python}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "peers": peers,
    }


def import_time() -> dict[str, float]:
    """Milliseconds that importing takes, in a fresh interpreter, over importing nothing."""
    bare = _started("pass")
    return {
        "moorage": _started("import moorage") - bare,
        "everything": _started("from moorage import *") - bare,
    }


def _started(code: str) -> float:
    best = float("inf")
    for _ in range(9):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        best = min(best, time.perf_counter() - began)
    return best * 1000


if __name__ == "__main__":
    sys.exit(main())
