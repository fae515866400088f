"""Amounts as vendors write them: whole numbers of minor units, with their exceptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from moorage.domain.money import EXPONENTS, Money
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping


@attrs.frozen(kw_only=True)
class MinorUnits:
    """How a vendor writes amounts in minor units, where it differs from ISO 4217.

    An amount that the vendor cannot write exactly is refused, never rounded.

    Attributes:
        vendor: whose it is, for errors to name.
        exponents: how many decimals its minor units stand for, by currency.
        steps: of what its minor units must be a multiple, by currency.
    """

    vendor: str
    exponents: Mapping[str, int] = attrs.field(factory=dict[str, int])
    steps: Mapping[str, int] = attrs.field(factory=dict[str, int])

    def to_minor(self, money: Money) -> int:
        """The whole number that stands for an amount at this vendor.

        Raises:
            InvalidData: there is none.
        """
        here, iso = self._exponents(money.currency)
        minor, rest = divmod(money.minor * _ten(here - iso), _ten(iso - here))
        if rest or minor % self.steps.get(money.currency, 1):
            raise InvalidData(
                f"{self.vendor} takes fewer decimals of {money.currency} than {money.amount} has.",
                field="amount",
                remedy="Round it first, in the way your books do.",
            )
        return minor

    def from_minor(self, minor: int, currency: str) -> Money:
        """The amount that a whole number stands for at this vendor.

        Raises:
            InvalidData: it is no amount of the currency.
        """
        currency = currency.upper()
        if currency not in EXPONENTS:
            return Money.from_minor(minor, currency)
        here, iso = self._exponents(currency)
        exact, rest = divmod(minor * _ten(iso - here), _ten(here - iso))
        if rest:
            raise InvalidData(
                f"{self.vendor} says an amount of {currency} that the currency does not have.",
                field="amount",
                remedy="Look the amount up at the vendor.",
            )
        return Money.from_minor(exact, currency)

    def read(self, minor: Any, currency: Any) -> Money | None:
        """As `from_minor`, of whatever a vendor said; None if that is no amount."""
        if type(minor) is not int or not isinstance(currency, str):
            return None
        try:
            return self.from_minor(minor, currency)
        except InvalidData:
            return None

    def _exponents(self, currency: str) -> tuple[int, int]:
        iso = EXPONENTS[currency]
        return self.exponents.get(currency, iso), iso


def _ten(power: int) -> int:
    return int(10 ** max(0, power))
