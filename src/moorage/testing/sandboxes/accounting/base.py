"""The base of sandboxes for accounting vendors, which count their records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, Final

from moorage.testing.sandboxes.base import Sandbox, state_field

if TYPE_CHECKING:
    from collections.abc import Mapping

CENT: Final = Decimal("0.01")


class AccountingSandbox(Sandbox, ABC):
    """A local sandbox that imitates an accounting vendor.

    Attributes:
        rounding: amount that is added to the tax of each invoice, to imitate another way of
            rounding.
    """

    rounding: Decimal = state_field(lambda: Decimal(0))

    @abstractmethod
    def counts(self) -> Mapping[str, int]:
        """Return the number of records: contacts, invoices, payments, journals and files.

        Invoices are counted if they are neither void nor deleted.
        """


def exact_decimal(value: object) -> Decimal:
    """Return a number of a JSON body as exactly the written decimal."""
    return Decimal(str(value))


def cents(value: Decimal) -> Decimal:
    """Return an amount rounded half up to cents."""
    return value.quantize(CENT, ROUND_HALF_UP)


def number(value: Decimal) -> float:
    """Return an amount as vendors write it in JSON."""
    return float(value)


def without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


__all__ = ["CENT", "AccountingSandbox", "cents", "exact_decimal", "number", "without_none"]
