"""Exact arithmetic of invoices: amounts are rounded half up to two decimals."""

from __future__ import annotations

import re
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_WIDE: Final = Context(prec=100)
PLAIN: Final = re.compile(r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})")
"""A number as `xs:decimal` writes it, of a bounded length."""


def rounded(value: Fraction | Decimal) -> Decimal:
    """Round to two decimals; half a cent goes away from zero."""
    halves = abs(Fraction(value)) * 100 + Fraction(1, 2)
    cents = halves.numerator // halves.denominator
    # Unlike scaleb() and a minus sign, a text does not depend on the caller's decimal context.
    return Decimal(f"{'-' if value < 0 and cents else ''}{cents}E-2")


def eighths(value: Fraction) -> Decimal:
    """Round to eight decimals, the most that national formats have."""
    return Decimal(f"{rounded(value * 10**6):f}E-6")


def total(amounts: Iterable[Decimal | None]) -> Decimal:
    """The rounded sum of the amounts; missing ones count as zero."""
    return rounded(exact_sum(amounts))


def exact_sum(amounts: Iterable[Decimal | None]) -> Fraction:
    """The exact sum of the amounts; missing ones count as zero."""
    return sum((Fraction(amount) for amount in amounts if amount is not None), Fraction(0))


def exact_total(*amounts: Decimal | None) -> Decimal:
    """The sum of the amounts with all their decimals; missing ones count as zero."""
    with localcontext(_WIDE):
        return sum((amount for amount in amounts if amount is not None), Decimal(0))


def percentage(base: Decimal, percent: Decimal) -> Decimal:
    """A rounded percentage of an amount."""
    return rounded(Fraction(base) * Fraction(percent) / 100)


def decimals(value: Decimal) -> int:
    """The number of decimals that the value needs."""
    _, digits, exponent = value.as_tuple()
    places = max(0, -int(exponent))
    for digit in reversed(digits):
        if digit or not places:
            break
        places -= 1
    return places if any(digits) else 0


def number_text(value: Decimal, places: int = 0) -> str:
    """The value with at least this number of decimals, and without further zeros.

    Equal values have the same text.
    """
    text = f"{value:f}"
    whole, _, fraction = text.partition(".")
    fraction = fraction[: max(places, decimals(value))].ljust(places, "0")
    if not value:
        whole = whole.lstrip("-")
    return f"{whole}.{fraction}" if fraction else whole
