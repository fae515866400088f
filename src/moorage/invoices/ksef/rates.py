"""The VAT rates of FA(3), and the fields in which the sums at each rate are stated."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import attrs


@attrs.frozen
class VatRate:
    """A VAT rate of FA(3).

    Attributes:
        word: text that stands for the rate in a line (P_12).
        category: VAT category of the European norm.
        rate: rate in percent.
        net: field for the sum of the amounts without VAT.
        tax: field for the sum of the VAT; None if the rate has no VAT.
    """

    word: str
    category: str
    rate: Decimal
    net: str
    tax: str | None = None


def _vat_rate(word: str, group: int) -> VatRate:
    return VatRate(word, "S", Decimal(word), f"net_{group}", f"tax_{group}")


_ZERO: Final = Decimal(0)
REVERSED_AT_HOME: Final = "oo"
REVERSED_ABROAD: Final = "np II"
EXEMPT: Final = "zw"
RATES: Final = (
    _vat_rate("23", 1),
    _vat_rate("22", 1),
    _vat_rate("8", 2),
    _vat_rate("7", 2),
    _vat_rate("5", 3),
    _vat_rate("4", 4),
    _vat_rate("3", 4),
    VatRate("0 KR", "Z", _ZERO, "net_zero"),
    VatRate("0 WDT", "K", _ZERO, "net_eu"),
    VatRate("0 EX", "G", _ZERO, "net_export"),
    VatRate(EXEMPT, "E", _ZERO, "net_exempt"),
    VatRate("np I", "O", _ZERO, "net_abroad"),
    VatRate(REVERSED_ABROAD, "AE", _ZERO, "net_eu_services"),
    VatRate(REVERSED_AT_HOME, "AE", _ZERO, "net_reversed"),
)
"""The rates that FA(3) has."""

BY_WORD: Final = {rate.word: rate for rate in RATES}


def rate_of(category: str | None, rate: Decimal | None, *, at_home: bool) -> VatRate | None:
    """Return the FA(3) rate for a VAT category; None if FA(3) has no such rate.

    Args:
        category: VAT category.
        rate: rate in percent.
        at_home: True if the buyer is Polish, which decides between the two kinds of reverse charge.
    """
    excluded_rates = REVERSED_ABROAD if at_home else REVERSED_AT_HOME
    return next(
        (
            item
            for item in RATES
            if (item.category, item.rate) == (category, rate or _ZERO)
            and item.word != excluded_rates
        ),
        None,
    )
