"""Standard VAT rates of the EU member states, by date."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from moorage.contracts.tax_rates import RATES_AS_OF, STANDARD_RATES, member_state, standard_rate
from moorage.contracts.vat_forms import VAT_FORMS
from moorage.errors import InvalidData

# The rates of September 29, 2026, in the package eu-vat-rates-data, which reads them from the
# European Commission's database of taxes (TEDB).
TEDB = """
    AT:20 BE:21 BG:20 CY:19 CZ:21 DE:19 DK:25 EE:24 ES:21 FI:25.5 FR:20 GR:24 HR:25 HU:27 IE:23
    IT:22 LT:21 LU:17 LV:21 MT:18 NL:21 PL:23 PT:23 RO:21 SE:25 SI:22 SK:23
"""


def test_rates_of_all_27_member_states_are_those_of_european_commission_database() -> None:
    """The rates of all 27 member states are those of the European Commission's database."""
    expected = {word.partition(":")[0]: Decimal(word.partition(":")[2]) for word in TEDB.split()}

    assert 27 == len(STANDARD_RATES)
    assert expected == {country: standard_rate(country, RATES_AS_OF) for country in STANDARD_RATES}


@pytest.mark.parametrize(
    "country, day, rate",
    [
        ("DE", date(2020, 6, 30), "19"),
        ("DE", date(2020, 7, 1), "16"),
        ("DE", date(2020, 12, 31), "16"),
        ("DE", date(2021, 1, 1), "19"),
        ("EE", date(2023, 12, 31), "20"),
        ("EE", date(2024, 1, 1), "22"),
        ("EE", date(2025, 7, 1), "24"),
        ("EL", date(2016, 5, 31), "23"),
        ("GR", date(2016, 6, 1), "24"),
        ("FI", date(2024, 8, 31), "24"),
        ("FI", date(2024, 9, 1), "25.5"),
        ("IE", date(2020, 9, 1), "21"),
        ("IE", date(2021, 3, 1), "23"),
        ("LU", date(2023, 6, 1), "16"),
        ("LU", date(2024, 1, 1), "17"),
        ("RO", date(2016, 12, 31), "20"),
        ("RO", date(2017, 1, 1), "19"),
        ("RO", date(2025, 8, 1), "21"),
        ("SK", date(2024, 12, 31), "20"),
        ("SK", date(2025, 1, 1), "23"),
        ("FR", date(2016, 1, 1), "20"),
        ("FR", date(2099, 1, 1), "20"),
    ],
)
def test_rate_of_a_day_is_the_latest_that_began_before(country: str, day: date, rate: str) -> None:
    """The VAT rate of a day is the latest rate that began on or before that day."""
    assert Decimal(rate) == standard_rate(country, day)


def test_rates_are_in_order() -> None:
    """Each country's rates begin in 2016, the latest first, and no rate repeats its predecessor."""
    for rates in STANDARD_RATES.values():
        days = [day for day, _ in rates]
        assert date(2016, 1, 1) == days[-1]
        assert sorted(set(days), reverse=True) == days
        assert all(late[1] != early[1] for late, early in pairwise(rates))


def test_each_member_state_has_a_form_of_vat_numbers() -> None:
    """The countries with a VAT rate are those that VIES checks, except Northern Ireland."""
    prefixes = {"EL" if country == "GR" else country for country in STANDARD_RATES}

    assert set(VAT_FORMS) - {"GB", "NO", "XI"} == prefixes


@pytest.mark.parametrize(
    "country, day, field",
    [
        ("GB", date(2026, 1, 1), "country"),
        ("fr", date(2026, 1, 1), "country"),
        ("", date(2026, 1, 1), "country"),
        (7, date(2026, 1, 1), "country"),
        ("FR", date(2015, 12, 31), "day"),
        ("FR", "2026-01-01", "day"),
        ("FR", datetime(2026, 1, 1, tzinfo=UTC), "day"),
    ],
)
def test_unknown_rate_is_refused(country: Any, day: Any, field: str) -> None:
    """A country outside of the European Union, and a day before 2016, are refused."""
    with pytest.raises(InvalidData) as excinfo:
        standard_rate(country, day)
    assert field == excinfo.value.field


def test_prefix_el_of_vat_numbers_is_read_as_greece() -> None:
    """The prefix EL of VAT numbers is read as Greece."""
    assert ("GR", "FR") == (member_state("EL"), member_state("FR"))
