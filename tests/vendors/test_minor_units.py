"""Vendors count amounts in minor units, in a few currencies not in those of ISO 4217."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moorage.domain.values.money import Money
from moorage.errors import InvalidData
from moorage.vendors.payments import (
    _adyen_answers,
    _checkout_com_answers,
    _paypal_answers,
    _paystack_answers,
    _razorpay_answers,
    _stripe_answers,
)
from moorage.vendors.tax import stripe_tax

if TYPE_CHECKING:
    from moorage.contracts.payments.minor import MinorUnits

ADYEN = _adyen_answers.UNITS
CHECKOUT_COM = _checkout_com_answers.UNITS
PAYPAL = _paypal_answers.UNITS
PAYSTACK = _paystack_answers.UNITS
RAZORPAY = _razorpay_answers.UNITS
STRIPE = _stripe_answers.MINOR
STRIPE_TAX = stripe_tax.MINOR


@pytest.mark.parametrize(
    "units, minor_by_amount",
    [
        (ADYEN, {"5 CLP": 500, "5.00 CVE": 5, "5.00 IDR": 5, "5 ISK": 500, "5.123 BHD": 5_123}),
        (CHECKOUT_COM, {"5 CLP": 500, "5 ISK": 5, "5.120 TND": 5_120}),
        (PAYPAL, {"5.00 HUF": 5, "5.00 TWD": 5, "5.120 BHD": 512, "5 JPY": 5}),
        (PAYSTACK, {"5 XOF": 500, "5.00 NGN": 500}),
        (RAZORPAY, {"5.120 KWD": 5_120, "5 JPY": 5}),
        *(
            (units, {"5 ISK": 500, "5 UGX": 500, "5.00 MGA": 5, "5.120 KWD": 5_120, "5 JPY": 5})
            for units in (STRIPE, STRIPE_TAX)
        ),
    ],
    ids=["adyen", "checkout_com", "paypal", "paystack", "razorpay", "stripe", "stripe_tax"],
)
def test_amounts_are_counted_in_the_minor_units_of_a_vendor(
    units: MinorUnits, minor_by_amount: dict[str, int]
) -> None:
    """A vendor's minor units of a currency are those in its list of currencies."""
    amounts = [Money(*text.split()) for text in minor_by_amount]

    assert [*minor_by_amount.values()] == [units.to_minor(amount) for amount in amounts]
    assert amounts == [
        units.from_minor(minor, amount.currency)
        for minor, amount in zip(minor_by_amount.values(), amounts, strict=True)
    ]


@pytest.mark.parametrize(
    "units, currencies",
    [
        (CHECKOUT_COM, "BHD IQD JOD KWD LYD OMR TND"),
        (RAZORPAY, "BHD IQD JOD KWD LYD OMR TND"),
        (STRIPE, "BHD JOD KWD OMR TND"),
        (STRIPE_TAX, "BHD JOD KWD OMR TND"),
    ],
    ids=["checkout_com", "razorpay", "stripe", "stripe_tax"],
)
def test_third_decimal_must_be_zero(units: MinorUnits, currencies: str) -> None:
    """Some vendors count thousandths of a dinar, but only in steps of ten."""
    for currency in currencies.split():
        assert 5_120 == units.to_minor(Money("5.120", currency))
        with pytest.raises(InvalidData):
            units.to_minor(Money("5.125", currency))


@pytest.mark.parametrize("units", [STRIPE, STRIPE_TAX], ids=["stripe", "stripe_tax"])
@pytest.mark.parametrize("currency", ["ISK", "UGX"])
def test_amount_in_hundredths_of_a_currency_without_decimals_is_whole(
    units: MinorUnits, currency: str
) -> None:
    """Stripe reads hundredths of the króna and the shilling, of which the last two digits are 0."""
    with pytest.raises(InvalidData):
        units.from_minor(12_345, currency)
