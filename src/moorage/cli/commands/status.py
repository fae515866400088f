"""`moorage status`: show the status of every service, once or continuously."""

from __future__ import annotations

import sys
from typing import Any, Final

from moorage.cli.answer import CommandResult, Table
from moorage.cli.context import Context
from moorage.cli.exit_codes import FAILED, OK
from moorage.cli.numbers import Seconds
from moorage.cli.places import opened_hub
from moorage.cli.service_status import service_statuses
from moorage.errors import ConfigurationError

_HEALTHY_MODES: Final = frozenset({None, "closed", "disabled"})
_COLUMNS: Final = ("service", "circuit", "calls", "failures", "limits", "retries")


def status(
    *, watch: bool = False, every: Seconds = 2.0, tenant: str | None = None, context: Context
) -> CommandResult:
    """Show the circuits, limits and retries of every service.

    All processes share this state. For a quota or a budget of tokens per calendar day or month,
    the calls or tokens that are left are shown. The exit code is 1 if any circuit is open.

    Args:
        watch: update the status until q or Ctrl-C is pressed. With --json, print a line each time.
        every: seconds between two updates.
        tenant: the tenant of the circuits and limits.
        context: the options that all commands share.
    """
    context.state()
    with opened_hub(context) as hub:
        if watch:
            _watch_status(lambda: service_statuses(hub, tenant), every, context)
        rows = service_statuses(hub, tenant)
    all_healthy = all(row["circuit"] in _HEALTHY_MODES for row in rows)
    tables = [] if watch else [table(rows)]
    return CommandResult({"services": rows}, tables, OK if all_healthy or watch else FAILED)


def table(rows: list[dict[str, Any]]) -> Table:
    """Return the status rows as a table for people."""
    return Table(_COLUMNS, map(_row, rows))


def _row(row: dict[str, Any]) -> tuple[object, ...]:
    name = row["service"] if row["region"] is None else f"{row['service']} ({row['region']})"
    retry_after = row["retry_after"]
    circuit = (
        row["circuit"] if retry_after is None else f"{row['circuit']}, again in {retry_after:.0f} s"
    )
    limit_waits = row["limits"]
    longest_wait = max(limit_waits, default=0.0)
    limits = [f"wait {longest_wait:.1f} s" if longest_wait else "free"] if limit_waits else []
    limits += [f"{quota['left']} left of {quota['quota']}" for quota in row["quotas"]]
    retries = "allowed" if row["retries"] else "used up"
    return name, circuit or "none", row["calls"], row["failures"], "; ".join(limits), retries


def _watch_status(read_rows: Any, every: float, context: Context) -> None:
    if not context.as_json and not (sys.stdout.isatty() and sys.stdin.isatty()):
        raise ConfigurationError(
            "--watch needs a terminal.",
            path="--watch",
            remedy="Omit --watch, or add --json to print a line each time.",
        )
    from moorage.cli.watching import print_lines, show_page  # noqa: PLC0415 - only for terminals

    if context.as_json:
        print_lines(lambda: context.print_json_line({"services": read_rows()}), every)
    else:
        show_page(lambda: table(read_rows()), every, color=context.color)
