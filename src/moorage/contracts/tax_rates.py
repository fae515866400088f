"""Standard VAT rates of the member states of the European Union, by date.

The rates since 2016 are those on which two collections agree, both read on 27 November 2026: the
file vat-rates.json of github.com/ibericode/vat-rates at 5abb1e1 (12 August 2025), and the data of
4 October 2026 at duty27.com/data/eu-standard-vat-rates.json. The current ones are also those of the
European Commission's database of taxes (TEDB) on 29 September 2026.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from moorage.contracts.validators import check_day, check_text
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping

RATES_AS_OF: Final = date(2026, 10, 4)
"""The day on which the rates were last compared with their sources."""
_FIRST_DAY: Final = date(2016, 1, 1)


def _rates(text: str) -> tuple[tuple[date, Decimal], ...]:
    """A country's VAT rates, newest first, parsed from a string such as `20 2024-01-01:22`."""
    first_rate, *changes = text.split()
    rates = [(_FIRST_DAY, Decimal(first_rate))]
    for change in changes:
        day, _, rate = change.partition(":")
        rates.append((date.fromisoformat(day), Decimal(rate)))
    return tuple(reversed(rates))


STANDARD_RATES: Final[Mapping[str, tuple[tuple[date, Decimal], ...]]] = {
    country: _rates(text)
    for country, text in {
        "AT": "20",
        "BE": "21",
        "BG": "20",
        "CY": "19",
        "CZ": "21",
        "DE": "19 2020-07-01:16 2021-01-01:19",
        "DK": "25",
        "EE": "20 2024-01-01:22 2025-07-01:24",
        "ES": "21",
        "FI": "24 2024-09-01:25.5",
        "FR": "20",
        "GR": "23 2016-06-01:24",
        "HR": "25",
        "HU": "27",
        "IE": "23 2020-09-01:21 2021-03-01:23",
        "IT": "22",
        "LT": "21",
        "LU": "17 2023-01-01:16 2024-01-01:17",
        "LV": "21",
        "MT": "18",
        "NL": "21",
        "PL": "23",
        "PT": "23",
        "RO": "20 2017-01-01:19 2025-08-01:21",
        "SE": "25",
        "SI": "22",
        "SK": "20 2025-01-01:23",
    }.items()
}
"""For each member state, the first day of each rate and the rate in percent, the latest first."""


def member_state(country: str, field: str = "country") -> str:
    """The ISO 3166 code of a member state; EL, the prefix for Greece, becomes GR.

    Args:
        country: the two letters.
        field: name of the field for the error.

    Raises:
        InvalidData: the code is not of a member state of the European Union.
    """
    check_text(country, field)
    code = "GR" if country == "EL" else country
    if code not in STANDARD_RATES:
        raise InvalidData(
            f"The {field} is not the code of a member state of the European Union.",
            field=field,
            remedy=f"Give one of: {', '.join(STANDARD_RATES)}.",
        )
    return code


def standard_rate(country: str, day: date) -> Decimal:
    """The standard VAT rate of a member state on a day, in percent.

    The table does not contain regions with other rates, such as Madeira or the Canary Islands, or
    reduced rates of single goods. Only a later release knows changes after `RATES_AS_OF`.

    Args:
        country: ISO 3166 code of the member state, or EL for Greece.
        day: day of the tax point, from 2016 on.

    Raises:
        InvalidData: the country is not a member state, or the day is not a date or is before
            2016.
    """
    rates = STANDARD_RATES[member_state(country)]
    check_day(day, "day")
    for start, rate in rates:
        if day >= start:
            return rate
    raise InvalidData(
        "moorage does not know the VAT rates before 2016.",
        field="day",
        remedy="Give a day from January 1, 2016 on, or look up the rate elsewhere.",
    )
