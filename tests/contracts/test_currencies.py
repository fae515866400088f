"""Exchange rates: exact ratios, and conversions with a single rounding."""

from __future__ import annotations

import decimal
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import Hub, InvalidData, Money
from moorage.contracts.currencies import ExchangeRate, ExchangeRates, _round_fraction
from moorage.contracts.routes import Account
from moorage.contracts.value_codec import pack, unpack
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.currencies.ecb import EcbSandbox
from moorage.vendors.currencies.ecb import Ecb

DAY: Final = date(2022, 2, 25)
MODES: Final = (
    decimal.ROUND_CEILING,
    decimal.ROUND_DOWN,
    decimal.ROUND_FLOOR,
    decimal.ROUND_HALF_DOWN,
    decimal.ROUND_HALF_EVEN,
    decimal.ROUND_HALF_UP,
    decimal.ROUND_UP,
    decimal.ROUND_05UP,
)
HALF_UP: Final = decimal.ROUND_HALF_UP


def quotation(currency: str, price: str, price_currency: str, units: int = 1) -> ExchangeRate:
    """Return a quotation with these fields."""
    return ExchangeRate(
        units=units, currency=currency, price=Decimal(price), price_currency=price_currency
    )


def table(base: str, *quotations: ExchangeRate) -> ExchangeRates:
    """Return one day's exchange rates."""
    return ExchangeRates(base=base, day=DAY, quotations=quotations, source="1/2022")


EURO: Final = table(
    "EUR",
    quotation("EUR", "1.25", "USD"),
    quotation("EUR", "128.00", "JPY"),
    quotation("EUR", "4.6608", "PLN"),
)
KRONE: Final = table(
    "NOK", quotation("JPY", "7.7021", "NOK", 100), quotation("EUR", "10.975", "NOK")
)


def test_quotation_is_read_in_both_directions() -> None:
    """A quotation gives an exact ratio in both directions, for its number of units."""
    yen = quotation("JPY", "7.7021", "NOK", 100)

    assert Fraction(77021, 1_000_000) == yen.ratio("JPY", "NOK")
    assert Fraction(1_000_000, 77021) == yen.ratio("NOK", "JPY")
    assert "100 JPY = 7.7021 NOK" == str(yen)
    with pytest.raises(InvalidData, match="cannot convert EUR into NOK") as excinfo:
        yen.ratio("EUR", "NOK")
    assert "into" == excinfo.value.field


@pytest.mark.parametrize(
    "amount, into, result",
    [
        (Money("100.00", "EUR"), "USD", Money("125.00", "USD")),
        (Money("100.00", "USD"), "EUR", Money("80.00", "EUR")),
        (Money("100.00", "USD"), "JPY", Money("10240", "JPY")),
        (Money("10240", "JPY"), "USD", Money("100.00", "USD")),
        (Money("-0.03", "EUR"), "USD", Money("-0.04", "USD")),
        (Money("1.00", "PLN"), "EUR", Money("0.21", "EUR")),
        (Money("7.00", "EUR"), "EUR", Money("7.00", "EUR")),
        (Money("0.00", "EUR"), "PLN", Money("0.00", "PLN")),
    ],
)
def test_amounts_are_converted(amount: Money, into: str, result: Money) -> None:
    """An amount is converted from and to the base currency, and between two other currencies."""
    assert result == EURO.convert(amount, into, rounding=HALF_UP)


def test_price_for_100_units_differs_from_the_price_for_one() -> None:
    """A price quoted for 100 units differs from the same price for one unit."""
    assert Money("77.02", "NOK") == KRONE.convert(Money("1000", "JPY"), "NOK", rounding=HALF_UP)
    assert Money("14249", "JPY") == KRONE.convert(Money("100.00", "EUR"), "JPY", rounding=HALF_UP)


def test_direction_of_quotation_does_not_matter() -> None:
    """Two vendors that quote one rate in opposite directions give the same amounts."""
    direct_table = table("EUR", quotation("EUR", "4", "PLN"), quotation("EUR", "1.25", "USD"))
    reversed_table = table(
        "EUR", quotation("PLN", "0.25", "EUR"), quotation("USD", "80", "EUR", 100)
    )
    for minor in (-1001, -1, 0, 1, 99, 12_345_678_901):
        for currency in ("EUR", "PLN", "USD"):
            for target in ("EUR", "PLN", "USD"):
                for mode in MODES:
                    amount = Money.from_minor(minor, currency)
                    assert direct_table.convert(
                        amount, target, rounding=mode
                    ) == reversed_table.convert(amount, target, rounding=mode)


def test_amount_is_rounded_once() -> None:
    """A conversion between two currencies is not rounded in the base currency."""
    rates = table("EUR", quotation("EUR", "3", "USD"), quotation("EUR", "300", "JPY"))

    assert Money("1", "JPY") == rates.convert(Money("0.01", "USD"), "JPY", rounding=HALF_UP)
    assert Money("0.00", "EUR") == rates.convert(Money("0.01", "USD"), "EUR", rounding=HALF_UP)


@given(
    whole=st.integers(-50, 50),
    numerator=st.integers(0, 999),
    denominator=st.integers(1, 1000),
    mode=st.sampled_from(MODES),
)
def test_fractions_are_rounded_as_decimals_are(
    whole: int, numerator: int, denominator: int, mode: str
) -> None:
    """In each rounding mode, a fraction is rounded like a decimal number with enough digits."""
    value = whole + Fraction(numerator % denominator, denominator)
    with decimal.localcontext(decimal.Context(prec=60)):
        expected = Decimal(value.numerator) / Decimal(value.denominator)

    assert int(expected.to_integral_value(mode)) == _round_fraction(value, mode)


def test_rate_is_rounded_for_documents() -> None:
    """A rate is shown with the requested number of decimals."""
    assert Decimal("0.214555") == EURO.decimal("PLN", "EUR", decimals=6, rounding=HALF_UP)
    assert Decimal(5) == EURO.decimal("EUR", "PLN", decimals=0, rounding=HALF_UP)
    assert "1.2500" == str(EURO.decimal("EUR", "USD", decimals=4, rounding=HALF_UP))


@pytest.mark.parametrize("decimals", [-1, 25, True, 2.0, None])
def test_number_of_decimals_is_checked(decimals: Any) -> None:
    """An impossible number of decimals is refused."""
    with pytest.raises(InvalidData) as excinfo:
        EURO.decimal("EUR", "USD", decimals=decimals, rounding=HALF_UP)

    assert "decimals" == excinfo.value.field


@pytest.mark.parametrize(
    "money, into, rounding, field",
    [
        (Money("1.00", "CHF"), "EUR", HALF_UP, "currency"),
        (Money("1.00", "EUR"), "CHF", HALF_UP, "into"),
        (Money("1.00", "EUR"), "eur", HALF_UP, "into"),
        (Money("1.00", "EUR"), None, HALF_UP, "into"),
        (Decimal("1.00"), "USD", HALF_UP, "money"),
        (Money("1.00", "EUR"), "USD", "half", "rounding"),
        (Money("1.00", "EUR"), "USD", None, "rounding"),
    ],
)
def test_impossible_conversion_is_refused(money: Any, into: Any, rounding: Any, field: str) -> None:
    """A conversion without a rate, or with an unknown rounding mode, is refused."""
    with pytest.raises(InvalidData) as excinfo:
        EURO.convert(money, into, rounding=rounding)

    assert field == excinfo.value.field


def test_currency_without_known_decimals_has_a_ratio_only() -> None:
    """Special drawing rights have an exact rate, but no amount can be converted into them."""
    rates = table("PLN", quotation("XDR", "5.811", "PLN"))

    assert Fraction(5811, 1000) == rates.ratio("XDR", "PLN")
    with pytest.raises(InvalidData, match="how many decimals amounts in XDR") as excinfo:
        rates.convert(Money("1.00", "PLN"), "XDR", rounding=HALF_UP)
    assert "into" == excinfo.value.field


@pytest.mark.parametrize(
    "change, field",
    [
        ({"units": 0}, "units"),
        ({"units": True}, "units"),
        ({"units": 1.0}, "units"),
        ({"currency": "eur"}, "currency"),
        ({"currency": "I44"}, "currency"),
        ({"currency": None}, "currency"),
        ({"price": 1.25}, "price"),
        ({"price": Decimal(0)}, "price"),
        ({"price": Decimal(-1)}, "price"),
        ({"price": Decimal("NaN")}, "price"),
        ({"price": Decimal("Infinity")}, "price"),
        ({"price_currency": ""}, "price_currency"),
        ({"price_currency": "EUR"}, "price_currency"),
    ],
)
def test_quotation_is_checked(change: dict[str, Any], field: str) -> None:
    """A quotation without an exact price or without two different currencies is refused."""
    with pytest.raises(InvalidData) as excinfo:
        attrs.evolve(quotation("EUR", "1.25", "USD"), **change)

    assert field == excinfo.value.field


@pytest.mark.parametrize(
    "change, field",
    [
        ({"base": "Euro"}, "base"),
        ({"day": datetime(2022, 2, 25)}, "day"),  # noqa: DTZ001 - a wrong value
        ({"day": "2022-02-25"}, "day"),
        ({"source": None}, "source"),
        ({"quotations": None}, "quotations"),
        ({"quotations": [Decimal(1)]}, "quotations[0]"),
        ({"quotations": [quotation("JPY", "7.7", "NOK")]}, "quotations"),
        ({"quotations": [*EURO.quotations, quotation("USD", "0.8", "EUR")]}, "quotations"),
    ],
)
def test_rates_are_checked(change: dict[str, Any], field: str) -> None:
    """Quotations with another base currency, or two for one currency, are refused."""
    with pytest.raises(InvalidData) as excinfo:
        attrs.evolve(EURO, **change)

    assert field == excinfo.value.field


def test_rates_cannot_be_changed() -> None:
    """The table of rates is read-only."""
    rates: Any = EURO.rates

    assert {"USD", "JPY", "PLN"} == rates.keys()
    with pytest.raises(TypeError):
        rates["USD"] = quotation("EUR", "1", "USD")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        EURO.day = DAY  # type: ignore[misc]  # frozen


def test_rates_can_be_stored() -> None:
    """Exchange rates can be packed and read back with their exact prices."""
    stored_rates = unpack(pack(attrs.evolve(EURO, raw={"no": "1/2022"})))

    assert EURO == stored_rates
    assert "4.6608" == str(stored_rates.rates["PLN"].price)
    assert {"no": "1/2022"} == stored_rates.raw


@pytest.mark.parametrize("day", [datetime(2022, 2, 25), "2022-02-25", 1, True])  # noqa: DTZ001 - a wrong value
def test_day_that_is_not_a_date_is_refused(day: Any) -> None:
    """A day that is not a date is refused before an account is chosen."""
    sandbox = EcbSandbox()
    hub = Hub([Account("bank", Ecb())], http=SandboxHttpClient(sandbox))
    with hub, pytest.raises(InvalidData) as excinfo:
        hub.currencies().rates(day)

    assert "day" == excinfo.value.field
    assert [] == sandbox.requests


def test_large_rate_can_be_rounded_to_every_allowed_number_of_decimals() -> None:
    """Every allowed number of decimals works, even for a currency quoted in many units."""
    rates = table("EUR", quotation("EUR", "17000.5", "IDR"))

    assert Decimal("17000.5") == rates.decimal("EUR", "IDR", decimals=24, rounding=HALF_UP)


@pytest.mark.parametrize("price", ["1E+999999999", "1E-999999999", "1E+51"])
def test_prices_of_an_unusual_size_are_refused(price: str) -> None:
    """A price with a huge exponent is refused before its exact ratio is computed."""
    with pytest.raises(InvalidData) as excinfo:
        quotation("EUR", price, "USD")

    assert "price" == excinfo.value.field
