"""The page of service levels, with objectives and remaining error budgets by month."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from moorage.dashboard.layout import section, state_mark, table
from moorage.dashboard.markup import tag
from moorage.dashboard.pages.view import Page
from moorage.domain.monitoring.objective_report import COLUMNS, rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.dashboard.markup import Node
    from moorage.dashboard.pages.view import PageContext

_MARKS = {"yes": ("met", "good"), "no": ("missed", "bad"), "-": ("no calls", "warn")}
_NOTE = (
    "A target allows a share of calls to be bad: the error budget. A burn of 1 means that the last"
    " day with calls used up exactly its part of the budget; more than 1 uses it up too early."
)


def levels_page(view: PageContext) -> Page:
    """Return the page of objectives and remaining error budgets by month."""
    title = "Service levels"
    if not view.reader.hub.objectives:
        words = (
            "The configuration has no objectives. Add [[objectives]] to see service levels here."
        )
        return Page(title, [section("Objectives", tag("p", words))])
    metrics = view.reader.metrics
    if metrics is None:
        words = (
            "No metrics of calls are stored. Configure [metrics] with a store to see service"
            " levels here."
        )
        return Page(title, [section("Objectives", tag("p", words))])
    months = view.reader.months(metrics)
    sections: list[Node] = [
        section(f"{month:%B %Y}", _table(rows_of(group)))
        for month, group in groupby(months, key=lambda item: item.month)
    ]
    if not sections:
        words = "No call to which an objective applies was counted in the last months."
        sections.append(section("Objectives", tag("p", words)))
    return Page(title, [*sections, tag("p", _NOTE, class_="soft")])


def _table(rows: Sequence[Sequence[str]]) -> Node:
    """Return one month's report of service levels as a table."""
    cells: list[list[Node]] = []
    for row in rows:
        values = dict(zip(COLUMNS, row, strict=True))
        cells.append(
            [
                values["objective"],
                state_mark(*_MARKS[values["met"]]),
                values["budget left"],
                values["target"],
                values["actual"],
                values["calls for"],
                values["calls"],
                values["burn"],
            ]
        )
    columns = ("Objective", "State", "Budget left", "Target", "Actual", "Calls of", "Calls", "Burn")
    return table(columns, cells)
