"""Amounts in minor units, such as cents, with the exceptions of some vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.money import EXPONENTS, Money
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen(kw_only=True)
class MinorUnits:
    """A vendor's conversion of amounts to minor units, where it differs from ISO 4217.

    An amount that the vendor cannot represent exactly is refused, never rounded.

    Attributes:
        vendor: name of the vendor, for errors.
        exponents: number of decimals of the minor unit, by currency.
        steps: number that the minor units must be a multiple of, by currency.
    """

    vendor: str
    exponents: Mapping[str, int] = field(factory=dict[str, int])
    steps: Mapping[str, int] = field(factory=dict[str, int])

    def to_minor(self, money: Money) -> int:
        """Convert an amount to the vendor's minor units.

        Raises:
            InvalidData: the vendor cannot represent the amount.
        """
        vendor_digits, iso_digits = self._exponents(money.currency)
        minor_units, remainder = divmod(
            money.minor * _power_of_ten(vendor_digits - iso_digits),
            _power_of_ten(iso_digits - vendor_digits),
        )
        if remainder or minor_units % self.steps.get(money.currency, 1):
            raise InvalidData(
                f"{self.vendor} accepts fewer decimals of {money.currency} than the amount"
                f" {money.amount} has.",
                field="amount",
                remedy="Round the amount before the call, in the same way as your accounting does.",
            )
        return minor_units

    def from_minor(self, minor: int, currency: str) -> Money:
        """Convert the vendor's minor units to an amount.

        Raises:
            InvalidData: the currency has no such amount.
        """
        currency = currency.upper()
        if currency not in EXPONENTS:
            return Money.from_minor(minor, currency)
        vendor_digits, iso_digits = self._exponents(currency)
        exact_units, remainder = divmod(
            minor * _power_of_ten(iso_digits - vendor_digits),
            _power_of_ten(vendor_digits - iso_digits),
        )
        if remainder:
            raise InvalidData(
                f"{self.vendor} reported an amount in {currency} with more decimals than the"
                " currency has.",
                field="amount",
                remedy="Look up the amount in the vendor's dashboard.",
            )
        return Money.from_minor(exact_units, currency)

    def read(self, minor: Any, currency: Any) -> Money | None:
        """Convert unchecked minor units to an amount; None if they are not an amount."""
        if type(minor) is not int or not isinstance(currency, str):
            return None
        try:
            return self.from_minor(minor, currency)
        except InvalidData:
            return None

    def _exponents(self, currency: str) -> tuple[int, int]:
        iso = EXPONENTS[currency]
        return self.exponents.get(currency, iso), iso


def _power_of_ten(power: int) -> int:
    return int(10 ** max(0, power))
