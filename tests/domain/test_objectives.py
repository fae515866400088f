"""Service-level objectives: error budgets, months, and the report."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest

from moorage import ConfigurationError, InvalidData
from moorage.domain.monitoring.objective_report import COLUMNS, csv_of, html_of, rows_of
from moorage.domain.monitoring.objectives import Compliance, Objective, compliance
from moorage.domain.observation.figures import DAY, CallTally, Outcome, WindowFigures

MAY = datetime(2030, 5, 30, tzinfo=UTC)


def day(
    number: int = 0, *, good: int = 0, bad: int = 0, slow: int = 0, **series: Any
) -> WindowFigures:
    """Return the metrics of a day with good, bad and slow calls."""
    tally = CallTally()
    for outcome, calls, duration in (
        (Outcome.SUCCESS, good, 10**8),
        (Outcome.FAILED, bad, 10**8),
        (Outcome.SUCCESS, slow, 3 * 10**9),
    ):
        for _ in range(calls):
            tally.add(outcome, 1, duration)
    names = {"service": "stripe", "operation": "payments.charge", "tenant": "acme", **series}
    start = MAY + timedelta(days=number)
    return WindowFigures(start=start, seconds=DAY, figures=tally.freeze(), **names)


AVAILABLE = Objective(name="payments", service="stripe", availability=0.9)
FAST = Objective(name="fast", latency=0.8, within=0.75)


def test_error_budget_is_computed_exactly() -> None:
    """An error budget is computed exactly, and an objective whose budget is just used up is met."""
    (month,) = compliance([AVAILABLE], [day(good=9, bad=1)])
    result = month.availability

    assert result == Compliance(0.9, 10, 1, 10, 1)
    assert result is not None
    assert (True, 0.0, 1.0) == (result.is_met, result.budget_left, result.burn)
    assert month.is_met
    assert month.latency is None


def test_months_are_reported_separately() -> None:
    """Each month of an objective has its own budget, and the newest comes first."""
    days = [day(2, good=8, bad=2), day(0, good=20), day(1, good=9, bad=1), day(3, service="vat")]
    june, may = compliance([AVAILABLE], days)

    assert ["2030-06", "2030-05"] == [f"{month.month:%Y-%m}" for month in (june, may)]
    assert june.availability == Compliance(0.9, 10, 2, 10, 2)
    assert may.availability == Compliance(0.9, 30, 1, 10, 1)
    assert may.availability is not None
    assert pytest.approx(2 / 3) == may.availability.budget_left
    assert pytest.approx(29 / 30) == may.availability.share
    assert (False, True) == (june.is_met, may.is_met)
    assert june.availability is not None
    assert -1.0 == june.availability.budget_left


def test_slow_calls_use_the_budget_of_latency() -> None:
    """Calls slower than an objective's latency use up the allowed share of slow calls."""
    (month,) = compliance([FAST], [day(good=3, slow=1)])
    (latency_report,) = compliance([FAST], [day(good=2, slow=1)])

    assert month.latency == Compliance(0.75, 4, 1, 4, 1)
    assert (True, False) == (month.is_met, latency_report.is_met)
    assert month.availability is None


def test_an_objective_may_hold_for_each_tenant() -> None:
    """An objective grouped by a field, such as the tenant, has an error budget for each value."""
    objective = Objective(name="each", by=("tenant",), availability=0.9)
    days = [day(good=1, tenant="b"), day(bad=1, tenant="a"), day(1, good=1, tenant="a")]
    months = compliance([objective, AVAILABLE], days)

    assert [("a", 2, False), ("b", 1, True), (None, 3, False)] == [
        (month.tenant, month.figures.calls, month.is_met) for month in months
    ]
    assert [None, None, "stripe"] == [month.service for month in months]


def test_month_with_only_aborted_calls_neither_meets_nor_misses_objective() -> None:
    """A month with only aborted calls neither meets nor misses an objective."""
    objective = Objective(name="both", availability=0.99, latency=1.0)
    (month,) = compliance([objective], [day()])
    result = month.availability

    assert month.is_met is None
    assert result is not None
    assert [None] * 4 == [result.share, result.is_met, result.budget_left, result.burn]


@pytest.mark.parametrize(
    "options, message",
    [
        ({}, "has no target"),
        ({"availability": 1}, "1 is not a target|'1' is not a target"),
        ({"availability": 0.0}, "is not a target"),
        ({"availability": True}, "is not a target"),
        ({"availability": "99"}, "is not a target"),
        ({"latency": 1.0, "within": 1.0}, "is not a target"),
        ({"availability": 0.9, "by": "month"}, "cannot be grouped by month"),
    ],
)
def test_wrong_objectives_are_refused(options: Any, message: str) -> None:
    """The error for an invalid objective contains the reason."""
    with pytest.raises(InvalidData, match=message):
        Objective(name="wrong", **options)


def test_latency_is_given_in_seconds_or_as_a_timedelta() -> None:
    """An objective's latency is given in seconds or as a timedelta."""
    assert 0.8 == Objective(name="x", latency=timedelta(milliseconds=800)).latency
    with pytest.raises(ConfigurationError):
        Objective(name="x", latency=-1.0)


# --- the report -------------------------------------------------------------------------


def test_rows_have_target_and_actual_value() -> None:
    """In an objectives report, each target of a month is a row of text."""
    objective = Objective(name="both", tenant="acme", availability=0.9995, latency=0.8)
    rows = rows_of(compliance([objective], [day(good=1_998, bad=1, slow=1)]))
    empty = rows_of(compliance([FAST], [day()]))

    assert [
        ("2030-05", "both", "acme", "2000", "99.95 % available", "99.95 %", "yes", "0 %", "1.00"),
        ("2030-05", "both", "acme", "2000", "95 % within 0.8 s", "99.95 %", "yes", "99 %", "0.01"),
    ] == rows
    assert [("2030-05", "fast", "all", "0", "75 % within 0.8 s", "-", "-", "-", "-")] == empty


def test_csv_report_escapes_spreadsheet_formulas() -> None:
    """A CSV report escapes tenant names that a spreadsheet would compute as formulas."""
    objective = Objective(name="=1+1", by="tenant", availability=0.9)
    days = [day(good=1, tenant="@SUM(1)"), day(bad=1, tenant="a,b"), day(tenant="-2")]
    header, *rows = csv.reader(io.StringIO(csv_of(compliance([objective], days))))

    assert list(COLUMNS) == header
    assert ["-2", "'@SUM(1)", "a,b"] == [row[2] for row in rows]
    assert {"'=1+1"} == {row[1] for row in rows}
    assert ["-", "100 %", "-900 %"] == [row[7] for row in rows]


class Page(HTMLParser):
    """A parser that collects a page's tags, links and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str | None] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a tag and its links."""
        self.tags.append(tag)
        self.references += [value for name, value in attrs if name in {"href", "src"}]

    def handle_data(self, data: str) -> None:
        """Record a text of the page."""
        self.texts.append(data)


def test_a_page_is_escaped_and_needs_nothing_else() -> None:
    """The objectives report's HTML page escapes names, and needs no other file."""
    objective = Objective(name="<script>alert(1)</script>", by="tenant", availability=0.9)
    days = [day(good=1, tenant='"><img src=x>'), day(bad=1, tenant="b&c")]
    page = Page(html_of(compliance([objective], days), made_at=MAY))

    assert not {"script", "img", "link"} & set(page.tags)
    assert [] == page.references
    assert {objective.name, '"><img src=x>', "b&c", "100 %", "-900 %"} <= set(page.texts)
    assert "No calls were counted." in Page(html_of([], made_at=MAY)).texts
