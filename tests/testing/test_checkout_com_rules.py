"""The rules by which Checkout.com's sandbox refuses requests."""

from typing import Any

import pytest

from moorage.testing.sandboxes.base import Refusal
from moorage.testing.sandboxes.payments._checkout_com_rules import (
    check_amount,
    check_payment,
    outcome_of,
)

TOKEN = {"type": "token", "token": "tok_10000_____________________"}
PAYMENT: dict[str, Any] = {"source": TOKEN, "amount": 100, "currency": "EUR"}


@pytest.mark.parametrize(
    "body, code",
    [
        ([], "request_body_malformed"),
        (PAYMENT | {"colour": "red"}, "colour_unknown"),
        (PAYMENT | {"amount": "100"}, "amount_invalid"),
        (PAYMENT | {"reference": "R" * 51}, "reference_length_invalid"),
        (PAYMENT | {"metadata": {"order": {}}}, "metadata_invalid"),
        ({"amount": 100, "currency": "EUR"}, "payment_source_required"),
        ({"source": TOKEN, "currency": "EUR"}, "amount_required"),
        (PAYMENT | {"currency": "XYZ"}, "currency_invalid"),
        (PAYMENT | {"payment_type": "Once"}, "payment_type_invalid"),
        (PAYMENT | {"amount": 0}, "amount_invalid"),
    ],
)
def test_wrong_payments_are_refused(body: Any, code: str) -> None:
    """A payment with a wrong, unknown or missing field is refused with Checkout.com's code."""
    with pytest.raises(Refusal) as excinfo:
        check_payment(body)
    assert [code] == excinfo.value.response.json()["error_codes"]


@pytest.mark.parametrize("minor, currency", [(1_001, "KWD"), (150, "CLP"), (10**9, "EUR")])
def test_amounts_that_cannot_be_charged_are_refused(minor: int, currency: str) -> None:
    """Dinar amounts must end in 0, Chilean pesos in 00, and nine digits are the maximum."""
    with pytest.raises(Refusal):
        check_amount(minor, currency)
    assert 1_000 == check_amount(1_000, currency)


@pytest.mark.parametrize(
    "source, code",
    [
        ({"type": "id", "id": "card-1"}, "source_id_invalid"),
        ({"type": "card", "number": "4242"}, "source_type_invalid"),
        ({"type": "token", "token": "tok_1"}, "token_invalid"),
        ({"type": "token", "token": "tok_20099_____________________"}, "token_invalid"),
    ],
)
def test_unknown_payment_methods_are_refused(source: Any, code: str) -> None:
    """An unknown payment method is refused."""
    with pytest.raises(Refusal) as excinfo:
        outcome_of(source, confirmed=False)
    assert [code] == excinfo.value.response.json()["error_codes"]
