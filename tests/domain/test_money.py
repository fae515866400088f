"""Amounts of money are never lost, rounded or mixed up silently."""

from __future__ import annotations

import decimal
import pickle
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.values.money import EXPONENTS, Money
from moorage.errors import InvalidData

currencies = st.sampled_from(sorted(EXPONENTS))
minors = st.integers(-(10**12), 10**12)
monies = st.builds(Money.from_minor, minors, currencies)
ratios = st.lists(
    st.integers(0, 10**6) | st.decimals(0, 1000, places=4), min_size=1, max_size=20
).filter(any)


@given(minors, currencies)
def test_same_amount_is_made_from_minor_units_decimal_or_text(minor: int, currency: str) -> None:
    """The same amount of money can be made from minor units, from a decimal or from text."""
    money = Money.from_minor(minor, currency)
    assert minor == money.minor
    assert money == Money(money.amount, currency) == Money(str(money.amount), currency)
    assert minor == money.amount.scaleb(EXPONENTS[currency])
    assert -EXPONENTS[currency] == money.amount.as_tuple().exponent
    assert f"{money.amount} {currency}" == str(money)
    assert money == eval(repr(money), {"Money": Money})  # noqa: S307 - our own repr
    assert money == pickle.loads(pickle.dumps(money))  # noqa: S301 - our own bytes
    assert hash(money) == hash(Money(money.amount, currency))


@pytest.mark.parametrize(
    "amount, currency, expected",
    [
        ("149.90", "EUR", 14_990),
        (5, "EUR", 500),
        (Decimal("149.9000"), "EUR", 14_990),
        (Decimal("1E2"), "EUR", 10_000),
        ("-0.01", "USD", -1),
        ("+1", "USD", 100),
        ("1234", "JPY", 1234),
        ("1.234", "KWD", 1234),
        ("1.2345", "CLF", 12_345),
        ("-0.00", "EUR", 0),
    ],
)
def test_each_currency_has_its_own_number_of_decimals(
    amount: Any, currency: str, expected: int
) -> None:
    """Each currency has its own number of decimals; additional zeros are accepted."""
    assert expected == Money(amount, currency).minor


@pytest.mark.parametrize(
    "amount",
    [
        1.5, True, None, "", "abc", "1,50", "1e3", " 1", "1_000", "٣", "NaN", "Infinity", b"1",
        Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("-Infinity"), "0.001",
        Decimal("1E-3"), Decimal("1E+30"), Decimal("1E+999999"), Decimal("1E-999999"), 10**24,
        "9" * 5_000, "1." + "0" * 5_000, "1." + "0" * 64,
    ],
)  # fmt: skip
def test_invalid_amounts_are_refused(amount: Any) -> None:
    """As an amount of money, floats, NaN, too many decimals and huge numbers are refused."""
    with pytest.raises(InvalidData) as excinfo:
        Money(amount, "EUR")
    assert "amount" == excinfo.value.field


def test_longest_and_largest_amounts_are_accepted() -> None:
    """An amount of money may have 64 digits, and be below 10^24 minor units."""
    largest_amount = 10**24 - 1
    assert Money(1, "EUR") == Money("1." + "0" * 63, "EUR")
    assert (largest_amount, -largest_amount) == tuple(
        Money.from_minor(minor, "EUR").minor for minor in (largest_amount, -largest_amount)
    )
    for minor in (largest_amount + 1, -largest_amount - 1):
        with pytest.raises(InvalidData, match="amount is too large"):
            Money.from_minor(minor, "EUR")


def test_invalid_amount_is_shown_shortened() -> None:
    """The error for an invalid amount of money shows its first eighty characters."""
    with pytest.raises(InvalidData, match=r"^1\.5 is not an exact number"):
        Money(1.5, "EUR")  # type: ignore[arg-type]  # what the test is about
    with pytest.raises(InvalidData) as excinfo:
        Money("x" * 200, "EUR")
    assert "'" + "x" * 79 + " is not an exact number." == excinfo.value.message


@pytest.mark.parametrize("currency", ["eur", "EURO", "", "XXX", None, 978, []])
def test_invalid_currencies_are_refused(currency: Any) -> None:
    """A currency must be an ISO 4217 code in capitals."""
    for make in (Money, Money.from_minor):
        with pytest.raises(InvalidData) as excinfo:
            make(1, currency)
        assert "currency" == excinfo.value.field


@pytest.mark.parametrize("minor", [1.0, "1", True, Decimal(1), None])
def test_minor_units_must_be_an_int(minor: Any) -> None:
    """An amount of money in minor units must be an int."""
    with pytest.raises(InvalidData) as excinfo:
        Money.from_minor(minor, "EUR")
    assert "minor" == excinfo.value.field
    assert f"must be an int, not {type(minor).__name__}." in excinfo.value.message


@given(minors, minors, st.integers(-1000, 1000), currencies)
def test_arithmetic_is_that_of_minor_units(one: int, other: int, count: int, currency: str) -> None:
    """Sums, differences, multiples and comparisons of money are exact in minor units."""
    remaining_amount, right = Money.from_minor(one, currency), Money.from_minor(other, currency)
    assert one + other == (remaining_amount + right).minor
    assert one - other == (remaining_amount - right).minor
    assert count * one == (remaining_amount * count).minor == (count * remaining_amount).minor
    assert (-one, abs(one)) == ((-remaining_amount).minor, abs(remaining_amount).minor)
    assert (one < other, one <= other, one > other, one >= other, one == other) == (
        remaining_amount < right,
        remaining_amount <= right,
        remaining_amount > right,
        remaining_amount >= right,
        remaining_amount == right,
    )


@pytest.mark.parametrize("other", [Money(1, "USD"), 1, Decimal(1), None])
@pytest.mark.parametrize("name", ["__add__", "__sub__", "__lt__", "__le__", "__gt__", "__ge__"])
def test_currencies_do_not_mix(name: str, other: Any) -> None:
    """Amounts of different currencies cannot be added or compared, and are unequal."""
    money = Money(1, "EUR")
    with pytest.raises(InvalidData) as excinfo:
        getattr(money, name)(other)
    assert "currency" == excinfo.value.field
    given_text = "USD" if isinstance(other, Money) else type(other).__name__
    assert f"EUR and {given_text} cannot be combined or compared." == excinfo.value.message
    assert money != other


def test_sum_starts_with_an_amount() -> None:
    """A sum starts with an amount; one that starts with the number 0 says so."""
    amounts: list[Any] = [Money("1.10", "EUR"), Money("2.20", "EUR")]
    assert Money("3.30", "EUR") == sum(amounts, Money(0, "EUR"))
    assert Money(0, "EUR") == sum([], Money(0, "EUR"))
    with pytest.raises(InvalidData, match="int and EUR cannot be combined") as excinfo:
        sum(amounts)
    assert "currency" == excinfo.value.field
    assert "Start a sum with an amount: sum(amounts, Money(0, 'EUR'))." == excinfo.value.remedy


@given(monies, st.decimals(-1000, 1000, places=6), st.integers(1, 6))
def test_decimal_context_of_the_host_does_not_affect_money(
    money: Money, factor: Decimal, precision: int
) -> None:
    """The host's decimal context has no effect on amounts of money."""
    expected = money.times(factor, rounding=decimal.ROUND_HALF_EVEN)
    with decimal.localcontext() as context:
        context.prec = precision
        context.traps[decimal.Inexact] = True
        assert expected == money.times(factor, rounding=decimal.ROUND_HALF_EVEN)
        assert money == Money(money.amount, money.currency)
        assert f"{money.amount} {money.currency}" == str(money)


@pytest.mark.parametrize(
    "factor, rounding, expected",
    [
        (Decimal("0.19"), decimal.ROUND_HALF_UP, "19.00"),
        (Decimal("0.00005"), decimal.ROUND_HALF_UP, "0.01"),
        (Decimal("0.00005"), decimal.ROUND_HALF_EVEN, "0.00"),
        (Decimal("-0.00005"), decimal.ROUND_FLOOR, "-0.01"),
        (Decimal("1E-60"), decimal.ROUND_UP, "0.01"),
        (3, decimal.ROUND_DOWN, "300.00"),
    ],
)
def test_multiplied_money_is_rounded_as_requested(
    factor: Any, rounding: str, expected: str
) -> None:
    """`times` rounds an amount of money to minor units as the caller chooses."""
    assert Money(expected, "EUR") == Money(100, "EUR").times(factor, rounding=rounding)


@pytest.mark.parametrize(
    "factor, rounding, field",
    [
        (1.5, decimal.ROUND_UP, "factor"),
        (Decimal("NaN"), decimal.ROUND_UP, "factor"),
        (Decimal("1E+64"), decimal.ROUND_UP, "amount"),
        (Decimal("1E+65"), decimal.ROUND_UP, "factor"),
        (2, "up", "rounding"),
    ],
)
def test_inexact_factor_is_refused(factor: Any, rounding: str, field: str) -> None:
    """For money, a float factor, an unknown rounding or a result above the limit is refused."""
    with pytest.raises(InvalidData) as excinfo:
        Money(1, "EUR").times(factor, rounding=rounding)
    assert field == excinfo.value.field


@pytest.mark.parametrize("factor", [Decimal("1.5"), 1.5, True, Money(1, "EUR")])
def test_the_operator_multiplies_by_int_only(factor: Any) -> None:
    """Money's `*` operator accepts integers only, because other factors may need rounding."""
    with pytest.raises(InvalidData) as excinfo:
        _ = Money(1, "EUR") * factor
    assert "factor" == excinfo.value.field
    assert (
        f"The product of Money and {type(factor).__name__} may need rounding."
        == excinfo.value.message
    )


@given(monies, ratios)
def test_allocated_amounts_add_up_to_the_total(money: Money, weights: list[Any]) -> None:
    """Allocated amounts add up to the total, each within one minor unit of its exact share."""
    parts = money.allocate(weights)
    assert money.minor == sum(part.minor for part in parts)
    assert len(weights) == len(parts)
    total = sum(weights)
    for part, weight in zip(parts, weights, strict=True):
        with decimal.localcontext(prec=60):
            assert abs(part.minor * total - money.minor * weight) < total
        assert weight or not part.minor


def test_remaining_cents_go_to_the_largest_remainders() -> None:
    """When money is allocated, remaining cents go to the largest remainders, the first on ties."""
    assert (Money("33.34", "EUR"), Money("33.33", "EUR"), Money("33.33", "EUR")) == Money(
        100, "EUR"
    ).allocate([1, 1, 1])
    assert (Money("0.03", "EUR"), Money("0.02", "EUR")) == Money("0.05", "EUR").allocate([6, 4])
    assert (Money("-0.01", "EUR"), Money("-0.02", "EUR")) == Money("-0.03", "EUR").allocate([3, 5])


@pytest.mark.parametrize("weights", [[], [0], [1, -1], [2, -1], [0.5], [Decimal("NaN")], ["x"]])
def test_invalid_ratios_are_refused(weights: Any) -> None:
    """Ratios for allocating money must be exact, not negative, and not all zero."""
    with pytest.raises(InvalidData) as excinfo:
        Money(1, "EUR").allocate(weights)
    assert "ratios" == excinfo.value.field


def test_money_is_immutable() -> None:
    """Setting an attribute of an amount of money raises an error."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Money(1, "EUR").minor = 2  # type: ignore[misc]  # what the test is about


def test_currencies_have_number_of_decimals_of_iso_4217() -> None:
    """Currencies have the number of decimals of ISO 4217."""
    assert {0, 2, 3, 4} == set(EXPONENTS.values())
    assert (0, 2, 3, 4) == tuple(EXPONENTS[code] for code in ("JPY", "EUR", "BHD", "CLF"))
    assert all(len(code) == 3 and code.isupper() for code in EXPONENTS)
