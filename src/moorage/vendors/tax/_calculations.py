"""Helpers of tax vendors: address parts, and checks of amounts."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk

if TYPE_CHECKING:
    from moorage.contracts.address import Address
    from moorage.contracts.tax_calculation import TaxReversal

_DECIMALS: Final = 2

CURRENCY: Final = "currency"
"""The name of the related id that states the currency of a recorded sale."""


def street_of(address: Address) -> str | None:
    """The lines of an address before the city, joined; None if all are empty."""
    return ", ".join(filter(None, (address.line1, address.line2, address.line3))) or None


def exact_number(amount: sdk.Money | Decimal) -> int | float:
    """Return an amount in major units, as a JSON number without rounding.

    Raises:
        InvalidData: the amount has more digits than such a number can have.
    """
    value = amount.amount if isinstance(amount, sdk.Money) else amount
    if value == value.to_integral_value():
        return int(value)
    number = float(value)
    if Decimal(repr(number)) != value:
        raise sdk.InvalidData(
            "The amount has more digits than can be sent exactly.",
            field="amount",
            remedy="Check that the amount is not in a smaller unit, such as cents instead of"
            " dollars.",
        )
    return number


def check_decimals(vendor: str, currency: str) -> None:
    """Refuse a currency whose amounts a vendor would round to other decimals than usual.

    Raises:
        InvalidData: the currency does not have two decimals.
    """
    if sdk.EXPONENTS[currency] != _DECIMALS:
        raise sdk.InvalidData(
            f"{vendor} calculates with two decimals, but {currency} has a different number of"
            " decimals.",
            field="lines",
            remedy="Calculate the tax of this sale with another vendor.",
        )


def currency_at(ref: sdk.Ref, reversal: TaxReversal) -> str:
    """The currency of a recorded sale; a reversal must have the same currency.

    Raises:
        InvalidData: the reference does not name a recorded sale, or a part is in another currency.
    """
    currency = ref.other(CURRENCY)
    if currency is None or currency not in sdk.EXPONENTS:
        raise sdk.InvalidData(
            "The reference does not name a recorded sale.",
            field="ref",
            remedy="Pass the `ref` of a record, or the text that str(ref) returned.",
        )
    if any(part.amount.currency != currency for part in reversal.parts):
        raise sdk.InvalidData(
            f"The sale was recorded in {currency}, but the reversal is in another currency.",
            field="lines",
            remedy="Pass the amounts in the currency of the sale.",
        )
    return currency


def unknown_line(id_: str) -> sdk.InvalidData:
    """The error for the reversal of a line that is not in the recorded sale."""
    return sdk.InvalidData(
        f"The recorded sale does not contain a line {id_[:80]!r}.",
        field="lines",
        remedy="Pass the line ids of the recorded sale.",
    )
