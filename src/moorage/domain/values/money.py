"""Amounts of money, exact to the last minor unit.

An amount is a whole number of its currency's minor units, so no arithmetic here depends on a
decimal context, and nothing is rounded unless the caller says how.
"""

from __future__ import annotations

import decimal
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, final

from moorage.domain.values.frozen_values import frozen
from moorage.domain.values.patterns import late_pattern
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Never, NoReturn

_CURRENCIES_BY_EXPONENT = {
    0: """
        BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF
        ADP BEF BYB BYR ESP GRD ITL LUF MGF PTE ROL TPE TRL
    """,
    2: """
        AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD
        CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS
        GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD
        LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB
        PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP
        SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
        AFA ANG ATS AYM AZM BGL BGN CSD CUC CYP DEM EEK FIM FRF GHC GWP HRK IEP LTL LVL MRO MTL MZM
        NLG RUR SDD SIT SKK SLL SRG STD TMM USS VEB VEF YUM ZMK ZWD ZWL ZWN ZWR
    """,
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

EXPONENTS: Final = MappingProxyType(
    {
        currency: exponent
        for exponent, codes in _CURRENCIES_BY_EXPONENT.items()
        for currency in codes.split()
    }
)
"""The number of decimals of each currency of ISO 4217.

The last lines of the currencies without decimals and with two decimals are withdrawn currencies:
archives contain old bank statements, and invoices in recently withdrawn currencies are refunded.
"""

_PLAIN_NUMBER = late_pattern(r"[+-]?[0-9]+(?:\.[0-9]+)?")
_MAX_AMOUNT: Final = 10**24
_MOST_DIGITS: Final = 64
_ROUNDING_MODES = frozenset(
    {
        decimal.ROUND_CEILING,
        decimal.ROUND_DOWN,
        decimal.ROUND_FLOOR,
        decimal.ROUND_HALF_DOWN,
        decimal.ROUND_HALF_EVEN,
        decimal.ROUND_HALF_UP,
        decimal.ROUND_UP,
        decimal.ROUND_05UP,
    }
)


@final
@frozen(init=False, repr=False)
class Money:
    """An amount of money in a currency, positive or negative.

    Two are equal when amount and currency are; they can be added, subtracted and compared only in
    the same currency. A sum of several starts with an amount, because a sum of none has a currency
    too: `sum(amounts, Money(0, "EUR"))`.

    Attributes:
        minor: the amount in minor units, such as cents.
        currency: a code of ISO 4217.
    """

    minor: int
    currency: str

    def __init__(self, amount: Decimal | str | int, currency: str) -> None:
        """Create an exact amount with at most as many decimals as the currency has."""
        value = _exact_decimal(amount)
        minor_units = Fraction(value) * 10 ** _exponent(currency)
        if minor_units.denominator != 1:
            raise InvalidData(
                f"{value} has more decimals than the currency {currency} allows.",
                field="amount",
                remedy="Round the amount first, as your accounting rules require.",
            )
        self._set(minor_units.numerator, currency)

    @classmethod
    def from_minor(cls, minor: int, currency: str) -> Money:
        """Create an amount from minor units such as cents, the form that most vendors use."""
        _exponent(currency)
        if type(minor) is not int:
            raise InvalidData(
                f"Minor units must be an int, not {type(minor).__name__}.",
                field="minor",
                remedy="Pass an int.",
            )
        money = cls.__new__(cls)
        money._set(minor, currency)  # noqa: SLF001 - its own
        return money

    def _set(self, minor: int, currency: str) -> None:
        if abs(minor) >= _MAX_AMOUNT:
            raise InvalidData(
                "The amount is too large.",
                field="amount",
                remedy="Check that the amount is not in a smaller unit, such as cents instead"
                " of euros.",
            )
        object.__setattr__(self, "minor", minor)
        object.__setattr__(self, "currency", currency)

    @property
    def amount(self) -> Decimal:
        """The amount in the currency's major unit, with all of its decimals."""
        return Decimal(f"{self.minor}E-{EXPONENTS[self.currency]}")

    def times(self, factor: Decimal | int, *, rounding: str) -> Money:
        """Multiply the amount, and round it to minor units with a mode of the `decimal` module."""
        if rounding not in _ROUNDING_MODES:
            raise InvalidData(
                f"{rounding!r} is not a valid rounding mode.",
                field="rounding",
                remedy="Pass a mode of the decimal module, such as decimal.ROUND_HALF_EVEN.",
            )
        with decimal.localcontext(_EXACT_CONTEXT):
            product = (self.minor * _exact_decimal(factor, "factor")).to_integral_value(rounding)
        return Money.from_minor(int(product), self.currency)

    def allocate(self, ratios: Iterable[Decimal | int]) -> tuple[Money, ...]:
        """Split the amount in proportion to the ratios, without losing a minor unit.

        The units that remain after rounding down go, one each, to the parts with the largest
        remainders. Equal remainders are served in the order of the parts.
        """
        weights = [Fraction(_exact_decimal(ratio, "ratios")) for ratio in ratios]
        total = sum(weights)
        if total <= 0 or min(weights) < 0:
            raise InvalidData(
                "Ratios must be zero or more, and not all zero.",
                field="ratios",
                remedy="Pass one number for each part.",
            )
        sign = -1 if self.minor < 0 else 1
        exact_fractions = [abs(self.minor) * weight / total for weight in weights]
        parts = [int(share) for share in exact_fractions]
        most_cut = sorted(
            range(len(parts)), key=lambda index: parts[index] - exact_fractions[index]
        )
        for index in most_cut[: abs(self.minor) - sum(parts)]:
            parts[index] += 1
        return tuple(Money.from_minor(sign * part, self.currency) for part in parts)

    def __add__(self, other: Money) -> Money:
        return Money.from_minor(self.minor + self._comparable(other), self.currency)

    def __radd__(self, other: Never) -> NoReturn:
        raise InvalidData(
            f"{type(other).__name__} and {self.currency} cannot be combined.",
            field="currency",
            remedy=f"Start a sum with an amount: sum(amounts, Money(0, {self.currency!r})).",
        )

    def __sub__(self, other: Money) -> Money:
        return Money.from_minor(self.minor - self._comparable(other), self.currency)

    def __mul__(self, count: int) -> Money:
        if type(count) is not int:
            raise InvalidData(
                f"The product of Money and {type(count).__name__} may need rounding.",
                field="factor",
                remedy="Multiply by an int, or use times(factor, rounding=...).",
            )
        return Money.from_minor(self.minor * count, self.currency)

    __rmul__ = __mul__

    def __neg__(self) -> Money:
        return Money.from_minor(-self.minor, self.currency)

    def __abs__(self) -> Money:
        return Money.from_minor(abs(self.minor), self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.minor < self._comparable(other)

    def __le__(self, other: Money) -> bool:
        return self.minor <= self._comparable(other)

    def __gt__(self, other: Money) -> bool:
        return self.minor > self._comparable(other)

    def __ge__(self, other: Money) -> bool:
        return self.minor >= self._comparable(other)

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"

    def __repr__(self) -> str:
        return f"Money('{self.amount}', {self.currency!r})"

    def _comparable(self, other: object) -> int:
        if isinstance(other, Money) and other.currency == self.currency:
            return other.minor
        currency = other.currency if isinstance(other, Money) else type(other).__name__
        raise InvalidData(
            f"{self.currency} and {currency} cannot be combined or compared.",
            field="currency",
            remedy="Convert one of the amounts first.",
        )


_EXACT_CONTEXT = decimal.Context(
    prec=4 * _MOST_DIGITS, traps=[decimal.Inexact, decimal.InvalidOperation]
)


def _exact_decimal(value: object, field: str = "amount") -> Decimal:
    """Return a finite decimal number with a limited number of digits; refuse floats."""
    number: Decimal | None = None
    if isinstance(value, Decimal):
        number = value
    elif type(value) is int or (isinstance(value, str) and _PLAIN_NUMBER.fullmatch(value)):
        number = Decimal(value)
    if number is None or not number.is_finite():
        raise InvalidData(
            f"{repr(value)[:80]} is not an exact number.",
            field=field,
            remedy="Pass a Decimal, an int, or a str such as '149.90'. A float is not exact.",
        )
    _, digits, exponent = number.as_tuple()
    if len(digits) > _MOST_DIGITS or abs(int(exponent)) > _MOST_DIGITS:
        raise InvalidData(
            "The amount has too many digits.",
            field=field,
            remedy=f"Pass a number of at most {_MOST_DIGITS} digits.",
        )
    return number


def _exponent(currency: object) -> int:
    exponent = EXPONENTS.get(currency) if isinstance(currency, str) else None
    if exponent is None:
        raise InvalidData(
            f"{currency!r} is not a valid currency code.",
            field="currency",
            remedy="Pass an ISO 4217 code in capitals, such as 'EUR'.",
        )
    return exponent
