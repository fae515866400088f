"""Exact arithmetic with invoice amounts, which are rounded half up to two decimals."""

from __future__ import annotations

import re
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_WIDE_CONTEXT: Final = Context(prec=100)
PLAIN: Final = re.compile(r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})")
"""A number as `xs:decimal` writes it, of a bounded length."""


def round_amount(value: Fraction | Decimal) -> Decimal:
    """Round a number to two decimals; half a cent is rounded away from zero."""
    halves = abs(Fraction(value)) * 100 + Fraction(1, 2)
    cents = halves.numerator // halves.denominator
    # Unlike scaleb() and negation, Decimal(text) ignores the caller's decimal context.
    return Decimal(f"{'-' if value < 0 and cents else ''}{cents}E-2")


def round_to_eight_decimals(value: Fraction) -> Decimal:
    """Round a number to eight decimals, the maximum in national formats."""
    return Decimal(f"{round_amount(value * 10**6):f}E-6")


def total(amounts: Iterable[Decimal | None]) -> Decimal:
    """Return the rounded sum of the amounts; None counts as zero."""
    return round_amount(exact_sum(amounts))


def exact_sum(amounts: Iterable[Decimal | None]) -> Fraction:
    """Return the exact sum of the amounts as a fraction; None counts as zero."""
    return sum((Fraction(amount) for amount in amounts if amount is not None), Fraction(0))


def exact_total(*amounts: Decimal | None) -> Decimal:
    """Return the sum of the amounts without rounding; None counts as zero."""
    with localcontext(_WIDE_CONTEXT):
        return sum((amount for amount in amounts if amount is not None), Decimal(0))


def percentage(base: Decimal, percent: Decimal) -> Decimal:
    """Return a percentage of an amount, rounded to two decimals."""
    return round_amount(Fraction(base) * Fraction(percent) / 100)


def decimals(value: Decimal) -> int:
    """Return the number of decimals of a value, not counting trailing zeros."""
    _, digits, exponent = value.as_tuple()
    places = max(0, -int(exponent))
    for digit in reversed(digits):
        if digit or not places:
            break
        places -= 1
    return places if any(digits) else 0


def number_text(value: Decimal, places: int = 0) -> str:
    """Return a number as text with at least `places` decimals, and no further zeros.

    Equal values have the same text.
    """
    text = f"{value:f}"
    whole_part, _, fraction = text.partition(".")
    fraction = fraction[: max(places, decimals(value))].ljust(places, "0")
    if not value:
        whole_part = whole_part.lstrip("-")
    return f"{whole_part}.{fraction}" if fraction else whole_part
