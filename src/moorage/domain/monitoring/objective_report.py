"""The report on service-level objectives as rows, as CSV, and as an HTML page."""

from __future__ import annotations

import csv
import io
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from moorage.domain.monitoring.objectives import Compliance, ObjectiveMonth

COLUMNS: Final = (
    *("month", "objective", "calls for", "calls", "target", "actual", "met", "budget left"),
    "burn",
)
"""The columns of the report on service-level objectives."""

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;"
    "color:#1c1c1c;background:#fff}table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;padding:.4rem .6rem;border-bottom:1px solid #ccc}"
    ".missed{font-weight:bold;color:#a40000}.scroll{overflow-x:auto}"
    "@media(prefers-color-scheme:dark){body{color:#eee;background:#1a1a1a}"
    "th,td{border-color:#555}.missed{color:#ff8a80}}"
)


def rows_of(months: Iterable[ObjectiveMonth]) -> list[tuple[str, ...]]:
    """Return a row of strings for each objective and month."""
    rows: list[tuple[str, ...]] = []
    for month in months:
        objective = month.objective
        if month.availability is not None:
            target = f"{_percent(objective.availability)} available"
            rows.append(_row(month, target, month.availability))
        if month.latency is not None:
            target = f"{_percent(objective.within)} within {objective.latency:g} s"
            rows.append(_row(month, target, month.latency))
    return rows


def csv_of(months: Iterable[ObjectiveMonth]) -> str:
    """Return the report as CSV; no cell can act as a formula in a spreadsheet."""
    output = io.StringIO()
    writer = csv.writer(output)
    writer.writerow(COLUMNS)
    writer.writerows([_without_formula(cell) for cell in row] for row in rows_of(months))
    return output.getvalue()


def html_of(months: Iterable[ObjectiveMonth], *, made_at: datetime) -> str:
    """Return the report as an HTML page that needs no other file."""
    rows = rows_of(months)
    body = "".join(_html_row(row) for row in rows)
    if not rows:
        body = f'<tr><td colspan="{len(COLUMNS)}">No calls were counted.</td></tr>'
    head = "".join(f'<th scope="col">{escape(name.capitalize())}</th>' for name in COLUMNS)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>Service levels</title><style>{_STYLE}</style></head><body>"
        "<h1>Service levels</h1>"
        f"<p>As of {made_at.isoformat(sep=' ', timespec='minutes')}. Months are in UTC.</p>"
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        "</div></body></html>\n"
    )


def _html_row(row: Sequence[str]) -> str:
    class_attribute = ' class="missed"' if row[COLUMNS.index("met")] == "no" else ""
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in row)
    return f"<tr{class_attribute}>{cells}</tr>"


def _row(month: ObjectiveMonth, target: str, result: Compliance) -> tuple[str, ...]:
    names = (month.service, month.operation, month.tenant)
    return (
        f"{month.month:%Y-%m}",
        month.objective.name,
        " ".join(name or "-" for name in names if name is not None) or "all",
        str(result.calls),
        target,
        _percent(result.share),
        {True: "yes", False: "no", None: "-"}[result.is_met],
        _percent(result.budget_left),
        "-" if result.burn is None else f"{result.burn:.2f}",
    )


def _percent(share: float | None) -> str:
    if share is None:
        return "-"
    # As many digits as are needed to compare the share with a target such as 99.95 %.
    text = f"{share * 100:.3f}".rstrip("0").rstrip(".")
    return f"{text} %"


def _without_formula(cell: str) -> str:
    is_number = cell.removesuffix(" %").removeprefix("-").replace(".", "", 1).isdigit()
    return f"'{cell}" if cell.startswith(_FORMULA) and not is_number and cell != "-" else cell
