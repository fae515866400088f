"""Weights and lengths: exact decimals, rounded up when converted."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Final

from moorage.contracts.validators import OneOf
from moorage.errors import InvalidData


class WeightUnit(OneOf, field="weight_unit"):
    """A unit of weight."""

    GRAM = "g"
    KILOGRAM = "kg"
    OUNCE = "oz"
    POUND = "lb"


class LengthUnit(OneOf, field="length_unit"):
    """A unit of length."""

    MILLIMETRE = "mm"
    CENTIMETRE = "cm"
    METRE = "m"
    INCH = "in"
    FOOT = "ft"


_UNIT_SIZES: Final[dict[str, Fraction]] = {
    WeightUnit.GRAM: Fraction(1),
    WeightUnit.KILOGRAM: Fraction(1_000),
    WeightUnit.OUNCE: Fraction("28.349523125"),
    WeightUnit.POUND: Fraction("453.59237"),
    LengthUnit.MILLIMETRE: Fraction(1),
    LengthUnit.CENTIMETRE: Fraction(10),
    LengthUnit.METRE: Fraction(1_000),
    LengthUnit.INCH: Fraction("25.4"),
    LengthUnit.FOOT: Fraction("304.8"),
}
"""Grams or millimetres per unit."""
_LARGEST_NUMBER: Final = Decimal(10**9)
_PLACES: Final = 9


def measure(value: object, field: str) -> Decimal:
    """Return `value` as an exact number above zero."""
    if isinstance(value, (Decimal, str)) or type(value) is int:
        try:
            number = Decimal(value)
        except ArithmeticError:
            number = Decimal("NaN")
        if number.is_finite() and 0 < number < _LARGEST_NUMBER and number == round(number, _PLACES):
            return number
    raise InvalidData(
        f"{str(value)[:40]!r} is not a valid measure.",
        field=field,
        remedy="Give a Decimal, an int or a string such as '1.25' above zero, but no float, since"
        " floats are not exact.",
    )


def convert_measure(
    value: Decimal, unit: WeightUnit | LengthUnit, to: WeightUnit | LengthUnit, *, decimals: int
) -> Decimal:
    """Convert a measure to another unit, rounded up to `decimals` decimals.

    Raises:
        InvalidData: one unit is of weight and the other of length.
    """
    if type(unit) is not type(to):
        raise InvalidData(
            f"{unit} cannot be converted to {to}.",
            field="unit",
            remedy="Convert a weight to a weight, and a length to a length.",
        )
    exact_value = Fraction(value) * _UNIT_SIZES[unit] / _UNIT_SIZES[to] * 10**decimals
    return Decimal(f"{-(-exact_value.numerator // exact_value.denominator)}E-{decimals}")


def measure_text(value: Decimal) -> str:
    """A measure as text without trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
