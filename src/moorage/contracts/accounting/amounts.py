"""Validators of the amounts in books, which are exact decimals."""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from moorage.errors import InvalidData

if TYPE_CHECKING:
    import attrs


_DECIMALS: Final = 4
_AMOUNT_BOUND: Final = Decimal(10**9)
EXACT: Final = decimal.Context(prec=64, traps=[decimal.Inexact, decimal.InvalidOperation])
ZERO: Final = Decimal(0)


def _check_number(value: object, field: str, *, least: Decimal | None) -> None:
    if (
        not isinstance(value, Decimal)
        or not value.is_finite()
        or abs(value) >= _AMOUNT_BOUND
        or int(value.normalize(EXACT).as_tuple().exponent) < -_DECIMALS
    ):
        raise InvalidData(
            f"The {field} is not an exact number.",
            field=field,
            remedy=f"Give a Decimal below 1,000,000,000 with at most {_DECIMALS} decimals,"
            " such as Decimal('149.90').",
        )
    if least is not None and value < least:
        raise InvalidData(
            f"The {field} is less than {least}.",
            field=field,
            remedy=f"Give {least} or more.",
        )


def is_number(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse any value except an exact number with at most four decimals."""
    _check_number(value, attribute.name, least=None)


def is_positive_or_zero(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse any value except an exact number, zero or more, with at most four decimals."""
    _check_number(value, attribute.name, least=ZERO)
