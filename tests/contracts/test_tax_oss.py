"""The amounts of a VAT return in the Union scheme of the one-stop shop."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import attrs
import pytest

from moorage.contracts.payments import Money
from moorage.contracts.tax_oss import OssSale, Quarter, SupplyKind, oss_report
from moorage.errors import InvalidData

DAY = date(2026, 8, 14)
QUARTER = Quarter("2026-Q3")


def sale(
    country: str = "FR", net: str = "100.00", tax: str = "20.00", rate: str = "20", **fields: Any
) -> OssSale:
    """Return a sale in the quarter, with these fields."""
    values: dict[str, Any] = {"reference": "INV-1", "day": DAY, **fields}
    values |= {"net": Money(net, "EUR"), "tax": Money(tax, "EUR")}
    return OssSale(country=country, rate=Decimal(rate), **values)


def euros(text: str) -> Money:
    """Return an amount in euros."""
    return Money(text, "EUR")


def test_sales_are_summed_up_by_country_kind_and_rate() -> None:
    """All sales of one country, kind and rate are summed up in one line."""
    sales = [
        sale("SE", "80.00", "20.00", "25"),
        sale("FR"),
        sale("FR", "10.01", "2.00", "20.0"),
        sale("FR", "50.00", "2.75", "5.5"),
        sale("FR", "30.00", "6.00", kind="services"),
        sale("EL", "100.00", "24.00", "24"),
    ]
    report = oss_report(sales, QUARTER, home="DE")

    assert [
        ("FR", "goods", Decimal("5.5"), euros("50.00"), euros("2.75"), 1),
        ("FR", "goods", Decimal(20), euros("110.01"), euros("22.00"), 2),
        ("FR", "services", Decimal(20), euros("30.00"), euros("6.00"), 1),
        ("GR", "goods", Decimal(24), euros("100.00"), euros("24.00"), 1),
        ("SE", "goods", Decimal(25), euros("80.00"), euros("20.00"), 1),
    ] == [attrs.astuple(line, recurse=False) for line in report.lines]
    assert {
        "FR": euros("30.75"),
        "GR": euros("24.00"),
        "SE": euros("20.00"),
    } == report.due
    assert ((), QUARTER) == (report.corrections, report.quarter)


def test_only_sales_of_the_quarter_count() -> None:
    """Sales on a quarter's first and last day are included; sales outside it are left out."""
    days = [date(2026, 6, 30), date(2026, 7, 1), date(2026, 9, 30), date(2026, 10, 1)]
    report = oss_report([sale(day=day) for day in days], QUARTER, home="DE")

    assert [2] == [line.count for line in report.lines]
    assert () == oss_report([], QUARTER, home="DE").lines


def test_credit_note_of_the_same_quarter_is_subtracted() -> None:
    """A credit note for a sale of the same quarter is subtracted from the line."""
    (line,) = oss_report([sale(), sale(net="-40.00", tax="-8.00")], QUARTER, home="DE").lines

    assert (euros("60.00"), euros("12.00"), 2) == (line.net, line.tax, line.count)


def test_correction_of_an_earlier_quarter_stands_apart() -> None:
    """A credit note for an earlier quarter becomes a correction of that quarter, not a line."""
    earlier, first = Quarter("2026-Q2"), Quarter("2026-Q1")
    credit_notes = [
        sale(net="-40.00", tax="-8.00", corrects=earlier),
        sale(net="-5.00", tax="-1.00", corrects=earlier),
        sale("SE", "-8.00", "-2.00", "25", corrects=earlier),
        sale(net="-10.00", tax="-2.00", corrects=first),
    ]
    report = oss_report([sale(), *credit_notes], QUARTER, home="DE")

    assert [
        (first, "FR", euros("-2.00")),
        (earlier, "FR", euros("-9.00")),
        (earlier, "SE", euros("-2.00")),
    ] == [(item.quarter, item.country, item.tax) for item in report.corrections]
    assert [("FR", euros("100.00"))] == [(line.country, line.net) for line in report.lines]
    assert {"FR": euros("9.00"), "SE": euros("-2.00")} == report.due


@pytest.mark.parametrize(
    "text, first, last",
    [
        ("2021-Q3", date(2021, 7, 1), date(2021, 9, 30)),
        ("2024-Q1", date(2024, 1, 1), date(2024, 3, 31)),
        ("2026-Q2", date(2026, 4, 1), date(2026, 6, 30)),
        ("2026-Q4", date(2026, 10, 1), date(2026, 12, 31)),
    ],
)
def test_quarter_has_first_and_last_day(text: str, first: date, last: date) -> None:
    """A quarter is found again from its first day and from its last day."""
    quarter = Quarter(text)

    assert (first, last, text) == (quarter.first, quarter.last, str(quarter))
    assert quarter == Quarter.of(first) == Quarter.of(last)


@pytest.mark.parametrize("day", ["2026-01-01", None, datetime(2026, 1, 1, tzinfo=UTC)])
def test_quarter_of_another_value_is_refused(day: Any) -> None:
    """Only a date has a quarter; a datetime is refused, because its day depends on a time zone."""
    with pytest.raises(InvalidData) as excinfo:
        Quarter.of(day)
    assert "day" == excinfo.value.field


@pytest.mark.parametrize(
    "text", ["2026-Q5", "2026Q1", "2026-Q1\n", "2021-Q2", "1999-Q1", 20263, None]
)
def test_wrong_quarter_is_refused(text: Any) -> None:
    """A text that is not a quarter, and a quarter before the scheme began, are refused."""
    with pytest.raises(InvalidData) as excinfo:
        Quarter(text)
    assert "text" == excinfo.value.field


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"country": "GB"}, "country"),
        ({"reference": ""}, "reference"),
        ({"day": "2026-08-14"}, "day"),
        ({"net": 100}, "net"),
        ({"tax": Money("20.00", "SEK")}, "tax"),
        ({"tax": Money("-20.00", "EUR")}, "tax"),
        ({"kind": "ideas"}, "kind"),
        ({"corrects": "2026-Q2"}, "corrects"),
        ({"corrects": QUARTER}, "corrects"),
        ({"corrects": Quarter("2026-Q4")}, "corrects"),
    ],
)
def test_wrong_sale_is_refused(fields: dict[str, Any], field: str) -> None:
    """A sale with a wrong field is refused; the error contains the field's name."""
    with pytest.raises(InvalidData) as excinfo:
        attrs.evolve(sale(), **fields)
    assert field == excinfo.value.field


@pytest.mark.parametrize("rate", [20, Decimal(-1), Decimal(101), Decimal("NaN"), "20"])
def test_wrong_rate_is_refused(rate: Any) -> None:
    """A rate that is not a percentage is refused."""
    with pytest.raises(InvalidData) as excinfo:
        attrs.evolve(sale(), rate=rate)
    assert "rate" == excinfo.value.field


@pytest.mark.parametrize(
    "sales, field, problem",
    [
        ([sale("DE", "100.00", "19.00", "19")], "sales", "INV-1 has VAT of DE"),
        ([sale(net="1.00", tax="0.20")], "sales", "INV-1 is in EUR, but the return is in SEK"),
        (["INV-1"], "sales", "sales"),
        ("INV-1", "sales", "must be a list"),
    ],
)
def test_wrong_report_is_refused(sales: Any, field: str, problem: str) -> None:
    """A domestic sale, another currency and a value that is not a sale are refused."""
    currency = "SEK" if "SEK" in problem else "EUR"
    with pytest.raises(InvalidData, match=problem) as excinfo:
        oss_report(sales, QUARTER, home="DE", currency=currency)
    assert field == excinfo.value.field


def test_report_checks_its_arguments() -> None:
    """A quarter as a str, and a home country outside of the European Union, are refused."""
    quarter: Any = "2026-Q3"
    with pytest.raises(InvalidData, match="quarter"):
        oss_report([], quarter, home="DE")
    with pytest.raises(InvalidData) as excinfo:
        oss_report([], QUARTER, home="CH")
    assert "home" == excinfo.value.field


def test_sale_with_vat_rate_of_zero_is_line_of_its_own() -> None:
    """A sale with a VAT rate of zero is a line of its own, with no tax due."""
    report = oss_report([sale("IE", "10.00", "0.00", "0")], QUARTER, home="DE")

    assert [(SupplyKind.GOODS, euros("10.00"))] == [(line.kind, line.net) for line in report.lines]
    assert {"IE": euros("0.00")} == report.due
