"""Exchange rates: a day's official quotations, and exact conversions of amounts."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

from moorage.contracts.validators import are_all, as_tuple, is_a, is_count, is_day
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.money import EXPONENTS, Money
from moorage.domain.values.patterns import late_pattern
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    import attrs

    from moorage.contracts.wire import Wire

KIND: Final = "currencies"

_CODE: Final = late_pattern("[A-Z]{3}")
_MOST_PLACES: Final = 24
_LARGEST_EXPONENT: Final = 50
_ONE: Final = Fraction(1)


class CurrenciesCapability(StrEnum):
    """An optional feature of a vendor of exchange rates."""

    HISTORY = "history"
    """The vendor has the rates of earlier days, and not only the latest rates."""


def _is_code(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or _CODE.fullmatch(value) is None:
        raise InvalidData(
            f"The {attribute.name} must be a currency code of three capital letters.",
            field=attribute.name,
            remedy="Give a code of ISO 4217 in capitals, such as 'EUR'.",
        )


def _is_price(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if (
        not isinstance(value, Decimal)
        or not value.is_finite()
        or value <= 0
        # The exact ratio of such a number would need gigabytes of memory.
        or abs(value.adjusted()) > _LARGEST_EXPONENT
    ):
        raise InvalidData(
            f"The {attribute.name} of a currency must be a Decimal above zero that is neither"
            " extremely large nor extremely small.",
            field=attribute.name,
            remedy="Give a Decimal, such as Decimal('1.0847').",
        )


@frozen(kw_only=True)
class ExchangeRate:
    """A quotation as its vendor publishes it: `units` of `currency` cost `price`.

    The price is in `price_currency`. So "1 EUR costs 1.0847 USD" is a quotation of EUR, and "100
    JPY cost 6.5123 NOK" is a quotation of JPY. No number is inverted or divided, because the result
    would have to be rounded.

    Attributes:
        units: number of units that cost the price, such as 1 or 100.
        currency: ISO 4217 code of the currency that is priced.
        price: price of the units, an exact number above zero.
        price_currency: ISO 4217 code of the currency of the price.
    """

    units: int = field(default=1, validator=is_count)
    currency: str = field(validator=_is_code)
    price: Decimal = field(validator=_is_price)
    price_currency: str = field(validator=_is_code)

    def __attrs_post_init__(self) -> None:
        """Refuse a quotation whose two currencies are the same."""
        if self.currency == self.price_currency:
            raise InvalidData(
                f"The rate's two currencies are both {self.currency}.",
                field="price_currency",
                remedy="Give two different currencies.",
            )

    def ratio(self, currency: str, into: str) -> Fraction:
        """The exact number of units of `into` that one unit of `currency` is worth.

        Raises:
            InvalidData: the quotation is not of these two currencies.
        """
        price_of_one = Fraction(self.price) / self.units
        if (currency, into) == (self.currency, self.price_currency):
            return price_of_one
        if (currency, into) == (self.price_currency, self.currency):
            return 1 / price_of_one
        raise InvalidData(
            f"The rate of {self.currency} in {self.price_currency} cannot convert {currency} into"
            f" {into}.",
            field="into",
            remedy=f"Convert between {self.currency} and {self.price_currency}, or use the table"
            " of all rates of the day.",
        )

    def __str__(self) -> str:
        return f"{self.units} {self.currency} = {self.price} {self.price_currency}"


@frozen(kw_only=True)
class ExchangeRates:
    """The official rates of one day: a quotation for each foreign currency.

    Conversions are exact until their one rounding at the end. Conversions do not depend on the
    direction in which the vendor quotes, and they go through `base` if neither currency is the
    base.

    Attributes:
        base: ISO 4217 code of the vendor's currency, which is a side of every quotation.
        day: day of the rates. It is earlier than the requested day if that day has no rates,
            such as a weekend.
        quotations: the vendor's quotations, at most one for each foreign currency.
        source: the vendor's own number of the table, or name of the series, for your records.
        raw: the vendor's entries for that day.
    """

    base: str = field(validator=_is_code)
    day: date = field(validator=is_day)
    quotations: tuple[ExchangeRate, ...] = field(
        converter=as_tuple, validator=are_all(ExchangeRate), repr=False
    )
    source: str = field(validator=is_a(str))
    raw: Any = field(default=None, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        """Refuse a quotation without the base currency, and two quotations of one currency."""
        seen_currencies: set[str] = set()
        for quotation in self.quotations:
            foreign_currency = self._foreign_currency(quotation)
            if foreign_currency is None or foreign_currency in seen_currencies:
                raise InvalidData(
                    f"The quotation {quotation} does not include {self.base}, or repeats a"
                    " currency.",
                    field="quotations",
                    remedy=f"Give one quotation with {self.base} for each other currency.",
                )
            seen_currencies.add(foreign_currency)

    @property
    def rates(self) -> Mapping[str, ExchangeRate]:
        """The quotations by the ISO 4217 code of the foreign currency; read-only."""
        return MappingProxyType(
            {self._foreign_currency(quotation) or "": quotation for quotation in self.quotations}
        )

    def ratio(self, currency: str, into: str) -> Fraction:
        """The exact number of units of `into` that one unit of `currency` is worth.

        Raises:
            InvalidData: the vendor has no rate of one of the currencies on that day.
        """
        return self._in_base(currency, "currency") / self._in_base(into, "into")

    def decimal(self, currency: str, into: str, *, decimals: int, rounding: str) -> Decimal:
        """The value of one unit of `currency` in `into`, rounded for display on a document.

        Do not multiply by it: `convert` computes with the exact ratio.

        Args:
            currency: ISO 4217 code of the currency that is priced.
            into: ISO 4217 code of the currency of the price.
            decimals: number of decimals, from 0 to 24.
            rounding: mode of the `decimal` module, such as `decimal.ROUND_HALF_UP`.
        """
        if type(decimals) is not int or not 0 <= decimals <= _MOST_PLACES:
            raise InvalidData(
                f"The number of decimals must be a whole number from 0 to {_MOST_PLACES}.",
                field="decimals",
                remedy="Give a whole number, such as 6.",
            )
        rounded_ratio = _round_fraction(self.ratio(currency, into) * 10**decimals, rounding)
        return Decimal(f"{rounded_ratio}E-{decimals}")

    def convert(self, money: Money, into: str, *, rounding: str) -> Money:
        """Convert an amount by the exact ratio, and round it once to minor units.

        Args:
            money: amount in the base or in a currency that has a rate.
            into: ISO 4217 code of the currency of the result.
            rounding: mode of the `decimal` module, such as `decimal.ROUND_HALF_UP`.

        Raises:
            InvalidData: the vendor has no rate of one of the currencies on that day, or amounts of
                the currency have no known number of decimals.
        """
        if not isinstance(money, Money):
            raise InvalidData(
                f"An amount to convert must be a Money, not {type(money).__name__}.",
                field="money",
                remedy="Give a Money, such as Money('149.90', 'EUR').",
            )
        ratio = self.ratio(money.currency, into)
        if into not in EXPONENTS:
            raise InvalidData(
                f"moorage does not know how many decimals amounts in {into} have.",
                field="into",
                remedy="Multiply the amount by the rate yourself, and round the result.",
            )
        exact_minor = (
            ratio * money.minor * Fraction(10) ** (EXPONENTS[into] - EXPONENTS[money.currency])
        )
        return Money.from_minor(_round_fraction(exact_minor, rounding), into)

    def _foreign_currency(self, quotation: ExchangeRate) -> str | None:
        if quotation.currency == self.base:
            return quotation.price_currency
        return quotation.currency if quotation.price_currency == self.base else None

    def _in_base(self, currency: str, field: str) -> Fraction:
        if currency == self.base:
            return _ONE
        quotation = self.rates.get(currency)
        if quotation is None:
            raise InvalidData(
                f"The rates of {self.day} ({self.source}) do not include {currency!r}.",
                field=field,
                remedy=f"Give {self.base} or another currency of these rates; other vendors have"
                " rates of other currencies.",
            )
        return quotation.ratio(currency, self.base)


def _round_fraction(value: Fraction, rounding: str) -> int:
    """Round a fraction to a whole number by a mode of the `decimal` module.

    A fraction may have no finite decimal form. A decimal with the same whole part, and a fraction
    on the same side of one half, is rounded in the same way in every mode.
    """
    whole_part, remainder = divmod(abs(value.numerator), value.denominator)
    doubled_remainder = 2 * remainder
    if remainder == 0:
        fraction = "0"
    elif doubled_remainder == value.denominator:
        fraction = "5"
    else:
        fraction = "25" if doubled_remainder < value.denominator else "75"
    # Only the last digit of the whole part matters, so it is kept as small as amounts of money are.
    last_digit = whole_part % 10
    equivalent_number = Decimal(f"{'-' if value < 0 else ''}{last_digit}.{fraction}")
    rounded_units = Money.from_minor(1, "EUR").times(equivalent_number, rounding=rounding).minor
    return rounded_units + (last_digit - whole_part if value < 0 else whole_part - last_digit)


class CurrenciesVendor(Protocol):
    """The operation of a vendor of exchange rates."""

    async def rates(self, wire: Wire, day: date | None, /) -> ExchangeRates:
        """The rates of the given day, or of the latest earlier day that has rates.

        The vendor looks back at most ten days. The vendor refuses a day that has not begun at its
        place, and a day before its first rates, and it never returns the rates of a later day.
        """
        ...
