"""`moorage metrics`: show the success rate and durations of calls, summed over all processes."""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from moorage.cli.answer import CommandResult, Table
from moorage.cli.context import Context
from moorage.domain.observation.figures import COUNTS, DIMENSIONS, MINUTE, FiguresQuery
from moorage.errors import ConfigurationError
from moorage.wiring.store_urls import open_metrics

if TYPE_CHECKING:
    from collections.abc import Generator

    from moorage.domain.observation.figures import WindowFigures

_UNITS: Final = {"m": MINUTE, "h": 3_600, "d": 86_400}
_DURATION: Final = re.compile(r"([1-9][0-9]{0,5})([mhd])")
_PERCENTS: Final = (50, 90, 95, 99)

MetricsUrl = Annotated[str | None, Parameter("--store", env_var="MOORAGE_METRICS")]


def metrics(
    *,
    store: MetricsUrl = None,
    service: str | None = None,
    operation: str | None = None,
    tenant: str | None = None,
    since: str = "1d",
    window: str | None = None,
    by: Annotated[str, Parameter(negative="")] = "service,operation",
    context: Context,
) -> CommandResult:
    """Show calls, success and percentiles of durations by service, operation and tenant.

    Durations are in seconds, and include only calls with at least one attempt.

    Args:
        store: the URL of the metrics; by default the configured one.
        service: show only this service.
        operation: show only this operation.
        tenant: show only this tenant.
        since: show the last minutes, hours or days, such as 30m, 24h or 7d.
        window: show figures for each window of this length, such as 1h.
        by: the dimensions to group by: any of service, operation and tenant.
        context: the options that all commands share.
    """
    current_time = datetime.now(UTC)
    length = None if window is None else duration(window, "--window")
    dimensions = [name for name in by.split(",") if name]
    if unknown := next((name for name in dimensions if name not in DIMENSIONS), None):
        raise ConfigurationError(
            f"Metrics cannot be grouped by {unknown[:40]!r}.",
            path="--by",
            remedy=f"Use some of {', '.join(DIMENSIONS)}.",
        )
    query = FiguresQuery(
        service=service,
        operation=operation,
        tenant=tenant,
        since=current_time - timedelta(seconds=duration(since, "--since")),
        until=current_time + timedelta(seconds=MINUTE),
        window=length,
        by=dimensions,
    )
    with opened_metrics(context, store) as metrics_store:
        windows: tuple[WindowFigures, ...] = metrics_store.figures(query)
    rows = [_document(item) for item in windows]
    series = [name for name in DIMENSIONS if name in query.by]
    columns = ([] if length is None else ["start"]) + series
    table = Table(
        (*columns, "calls", "per_minute", "success", *(f"p{percent}" for percent in _PERCENTS)),
        [[_format_value(name, row) for name in columns] + _numbers(row) for row in rows],
    )
    return CommandResult({"windows": rows}, [table] if rows else ["nothing"])


@contextmanager
def opened_metrics(context: Context, url: str | None) -> Generator[Any]:
    """Open the metrics that an option or the configuration names.

    Raises:
        ConfigurationError: there are no metrics that other processes share.
    """
    url = url or context.configured().metrics
    if url is None or url == "memory:":
        raise ConfigurationError(
            "The command needs metrics that other processes share.",
            path="--store",
            remedy="Pass their URL, or configure it under [metrics].",
        )
    with open_metrics(url) as metrics_store:
        yield metrics_store


def duration(text: str, path: str) -> int:
    """Return the seconds of a duration such as 30m, 24h or 7d.

    Raises:
        ConfigurationError: the text is not a number of minutes, hours or days.
    """
    match = _DURATION.fullmatch(text)
    if match is None or int(match[1]) * _UNITS[match[2]] > 100_000 * _UNITS["d"]:
        raise ConfigurationError(
            f"{text[:40]!r} is not a duration.",
            path=path,
            remedy="Pass a number of minutes, hours or days, such as 30m, 24h or 7d.",
        )
    return int(match[1]) * _UNITS[match[2]]


def _document(item: WindowFigures) -> dict[str, Any]:
    figures, durations = item.figures, item.figures.durations
    return {
        "start": item.start.isoformat(timespec="seconds"),
        "seconds": item.seconds,
        **{name: getattr(item, name) for name in DIMENSIONS},
        "calls": figures.calls,
        **{name: getattr(figures, name) for name in COUNTS},
        "rate": round(item.rate, 6),
        "success_rate": _rounded_value(figures.success_rate),
        "availability": _rounded_value(figures.availability),
        **{f"p{percent}": _rounded_value(durations.percentile(percent)) for percent in _PERCENTS},
    }


def _rounded_value(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _format_value(name: str, row: dict[str, Any]) -> object:
    return row[name] if name == "start" else row[name] or "-"


def _numbers(row: dict[str, Any]) -> list[object]:
    rate = row["success_rate"]
    return [
        row["calls"],
        f"{row['rate'] * MINUTE:.3g}",
        "-" if rate is None else f"{rate:.2%}",
        *(
            "-" if row[f"p{percent}"] is None else f"{row[f'p{percent}']:.3f}"
            for percent in _PERCENTS
        ),
    ]
