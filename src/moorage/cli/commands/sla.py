"""`moorage sla`: show how calls complied with the configured objectives."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moorage.adapters.files.whole_files import WholeFile
from moorage.cli.answer import CommandResult, Table
from moorage.cli.commands.metrics import MetricsUrl, opened_metrics
from moorage.cli.context import Context
from moorage.cli.numbers import Count
from moorage.domain.monitoring.objective_report import COLUMNS, csv_of, html_of, rows_of
from moorage.domain.monitoring.objectives import compliance, first_month
from moorage.domain.observation.figures import DAY, FiguresQuery
from moorage.domain.values.durations import count
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from moorage.domain.monitoring.objectives import Compliance, ObjectiveMonth

_MODE = 0o644


def sla(
    *,
    store: MetricsUrl = None,
    months: Count = 3,
    csv: Path | None = None,
    html: Path | None = None,
    context: Context,
) -> CommandResult:
    """Show each month's compliance with the objectives, and the remaining error budget.

    Args:
        store: the URL of the metrics; by default the configured one.
        months: the number of months, including the current one.
        csv: write the report to this file as CSV.
        html: write the report to this file as a self-contained HTML page.
        context: the options that all commands share.
    """
    objectives = context.configured().objectives
    if not objectives:
        raise ConfigurationError(
            "The configuration has no objectives.",
            path="objectives",
            remedy="Add [[objectives]] with a name and an availability such as 0.999.",
        )
    current_time = datetime.now(UTC)
    query = FiguresQuery(
        since=first_month(current_time, count(months, "--months", most=1_000)), window=DAY
    )
    with opened_metrics(context, store) as metrics_store:
        results = compliance(objectives, metrics_store.figures(query))
    file_lines: list[str | Table] = []
    for path, text in ((csv, csv_of(results)), (html, html_of(results, made_at=current_time))):
        if path is not None:
            _write(path, text)
            file_lines.append(f"{path} written")
    table = Table(COLUMNS, rows_of(results))
    document = {"months": [_document(result) for result in results]}
    return CommandResult(document, [table if results else "nothing", *file_lines])


def _write(path: Path, text: str) -> None:
    try:
        with WholeFile(path) as file:
            file.allow(_MODE)
            file.write(text.encode())
            file.keep()
    except OSError as error:
        problem = error.strerror
    else:
        return
    raise ConfigurationError(
        f"The file {path} cannot be written ({problem}).",
        path=str(path),
        remedy="Name a file in a folder that exists and that this user may write to.",
    )


def _document(result: ObjectiveMonth) -> dict[str, Any]:
    return {
        "month": f"{result.month:%Y-%m}",
        "objective": result.objective.name,
        "service": result.service,
        "operation": result.operation,
        "tenant": result.tenant,
        "met": result.is_met,
        "availability": _objective_parts(result.availability),
        "latency": _objective_parts(result.latency),
    }


def _objective_parts(part: Compliance | None) -> dict[str, Any] | None:
    if part is None:
        return None
    return {
        "target": part.target,
        "calls": part.calls,
        "bad": part.bad,
        "share": part.share,
        "met": part.is_met,
        "budget_left": part.budget_left,
        "burn": part.burn,
    }
