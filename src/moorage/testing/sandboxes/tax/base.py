"""The tax rates of all sandboxes, so that they all calculate the same results.

The rates are invented: New Jersey 7 %; California 6 % and 0.25 % for the county; Texas 6.25 %, 2 %
for the city and 1 % for the district; Finland, France, Germany and Japan each a standard rate that
was once in force. Other places have no tax.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class SandboxRate(NamedTuple):
    """A jurisdiction's tax rate in percent."""

    level: str
    name: str
    percent: Decimal


class SandboxTax(NamedTuple):
    """A jurisdiction's tax on one line."""

    rate: SandboxRate
    tax: int
    taxable: int


_RATES: Final[dict[tuple[str, str], tuple[SandboxRate, ...]]] = {
    ("US", "NJ"): (SandboxRate("state", "New Jersey", Decimal(7)),),
    ("US", "CA"): (
        SandboxRate("state", "California", Decimal(6)),
        SandboxRate("county", "Los Angeles", Decimal("0.25")),
    ),
    ("US", "TX"): (
        SandboxRate("state", "Texas", Decimal("6.25")),
        SandboxRate("city", "Austin", Decimal(2)),
        SandboxRate("district", "Austin Transit", Decimal(1)),
    ),
    ("DE", ""): (SandboxRate("country", "Germany", Decimal(19)),),
    ("FI", ""): (SandboxRate("country", "Finland", Decimal("25.5")),),
    ("FR", ""): (SandboxRate("country", "France", Decimal(20)),),
    ("JP", ""): (SandboxRate("country", "Japan", Decimal(10)),),
    ("KW", ""): (SandboxRate("country", "Kuwait", Decimal(5)),),
}


def rates_at(country: str, state: str) -> tuple[SandboxRate, ...]:
    """Return a place's tax rates."""
    return _RATES.get((country, state if country == "US" else ""), ())


def taxes_of(
    minor: int, rates: Iterable[SandboxRate], *, inclusive: bool = False, step: int = 1
) -> list[SandboxTax]:
    """Return each jurisdiction's tax on an amount, rounded half up to minor units.

    Args:
        minor: the amount in minor units.
        rates: the rates of the place.
        inclusive: True if the amount contains the tax.
        step: each tax is rounded to a multiple of this number.
    """
    rates = tuple(rates)
    total = sum((rate.percent for rate in rates), Decimal(0))
    base = Decimal(minor) / (1 + total / 100) if inclusive else Decimal(minor)
    taxes = [_rounded_units(base * rate.percent / 100, step) for rate in rates]
    taxable = minor - sum(taxes) if inclusive else minor
    return [SandboxTax(rate, tax, taxable) for rate, tax in zip(rates, taxes, strict=True)]


def _rounded_units(value: Decimal, step: int) -> int:
    return int((value / step).quantize(Decimal(1), ROUND_HALF_UP)) * step
