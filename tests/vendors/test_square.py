"""Square: payments and their states."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from moorage.contracts.payments import (
    Customer,
    DeclineReason,
    MeansOfPayment,
    Money,
    PaymentState,
    Unsettled,
)
from moorage.errors import ConnectionFailed, InvalidData, PaymentDeclined, RateLimitExceeded
from moorage.testing.sandboxes.base import Lost
from moorage.vendors.payments._square_requests import amount_body, payment_body
from moorage.vendors.payments.square import API_VERSION, Square
from tests.vendors.square_account import CUSTOMER, SandboxHub, order
from tests.vendors.subjects.square import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(name="shop")
def _shop() -> Iterator[SandboxHub]:
    """Return a hub that accepts payments by Square."""
    shop = SandboxHub()
    with shop.hub:
        yield shop


# --- what is sent ----------------------------------------------------------


def test_every_field_of_a_charge_is_sent() -> None:
    """Each field of a charge is sent to Square; extra options may override fields."""
    charge = order(
        "ccof:1",
        customer=Customer(id="C1", email="a@b.example", phone="+14155550100"),
        description="Chairs",
        statement_descriptor="ACME",
        metadata={"order": "7", "shop": "Pier"},
        off_session=True,
        extra={"square": {"customer_details": {"seller_keyed_in": False}}, "adyen": {"x": 1}},
    )

    assert {
        "source_id": "ccof:1",
        "amount_money": {"amount": 14990, "currency": "EUR"},
        "autocomplete": False,
        "reference_id": "INV-2041",
        "location_id": "L1",
        "note": "Chairs\norder: 7\nshop: Pier",
        "statement_description_identifier": "ACME",
        "customer_id": "C1",
        "buyer_email_address": "a@b.example",
        "buyer_phone_number": "+14155550100",
        "customer_details": {"customer_initiated": False, "seller_keyed_in": False},
    } == payment_body(Square(location_id="L1"), charge, autocomplete=False)


def test_minimal_charge_sends_only_fields_that_square_requires() -> None:
    """A minimal charge sends only the fields that Square requires."""
    assert {
        "source_id": "cnon:1",
        "amount_money": {"amount": 14990, "currency": "EUR"},
        "autocomplete": True,
        "reference_id": "INV-2041",
    } == payment_body(Square(), order("cnon:1"), autocomplete=True)


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"reference": "x" * 41}, "reference"),
        ({"statement_descriptor": "x" * 21}, "statement_descriptor"),
        ({"description": "x" * 501}, "description"),
        ({"metadata": {"order": "x" * 500}}, "description"),
    ],
)
def test_too_long_fields_are_refused(fields: dict[str, Any], field: str) -> None:
    """A field longer than Square's limit is refused and not cut off."""
    with pytest.raises(InvalidData) as excinfo:
        payment_body(Square(), order(**fields), autocomplete=True)

    assert field == excinfo.value.field


@pytest.mark.parametrize("customer", [None, Customer(email="a@b.example")], ids=["none", "no id"])
def test_card_on_file_needs_a_customer(customer: Customer | None) -> None:
    """A charge of a stored card at Square needs the id of the card's customer."""
    with pytest.raises(InvalidData) as excinfo:
        payment_body(Square(), order("ccof:1", customer=customer), autocomplete=True)

    assert "customer.id" == excinfo.value.field


@pytest.mark.parametrize(
    "money, minor", [(Money("500", "JPY"), 500), (Money("1.5", "USD"), 150)], ids=str
)
def test_amounts_are_written_in_the_smallest_unit(money: Money, minor: int) -> None:
    """Amounts for Square are whole numbers of the currency's smallest unit."""
    assert {"amount": minor, "currency": money.currency} == amount_body(money)


def test_request_has_api_version_token_and_idempotency_key(shop: SandboxHub) -> None:
    """Each request to Square has the API version, the token and the idempotency key."""
    shop.payments.charge(order(), idempotency_key="INV-2041/1")
    headers = shop.sandbox.requests[0].headers

    assert API_VERSION == headers.get("square-version") == Square.api_version
    assert f"Bearer {shop.sandbox.access_token}" == headers.get("authorization")
    assert headers.get("idempotency-key") is None
    assert "INV-2041/1" == shop.sent_body()["idempotency_key"]


def test_long_key_is_sent_as_a_digest(shop: SandboxHub) -> None:
    """A key of more than 45 characters is sent to Square as its digest."""
    for key in ("k" * 45, "k" * 46, "k" * 47):
        shop.payments.charge(order(), idempotency_key=key)
    first, second, third = (
        json.loads(request.body)["idempotency_key"] for request in shop.sandbox.requests
    )

    assert "k" * 45 == first
    assert 45 == len(second) == len(third)
    assert 3 == len({first, second, third})


def test_no_option_replaces_a_key(shop: SandboxHub) -> None:
    """Extra options cannot replace the idempotency key in a request to Square."""
    shop.payments.charge(
        order(extra={"square": {"idempotency_key": "mine"}}), idempotency_key="INV-2041/1"
    )

    assert "INV-2041/1" == shop.sent_body()["idempotency_key"]


def test_error_of_square_rate_limit_says_how_long_to_wait(shop: SandboxHub) -> None:
    """The error for Square's rate limit states how long to wait."""
    answer = refusal(429, "RATE_LIMIT_ERROR", "RATE_LIMITED")
    shop.sandbox.fail(answer.evolve(headers={**dict(answer.headers), "Retry-After": "7"}))

    with pytest.raises(RateLimitExceeded) as excinfo:
        shop.pay()

    assert "RATE_LIMITED" == excinfo.value.vendor_code
    assert excinfo.value.retry_at is not None


def test_tenants_share_no_keys(shop: SandboxHub) -> None:
    """Two tenants' payments with the same key are separate at a shared Square account."""
    payments = [
        shop.hub.payments(tenant).charge(order(), idempotency_key="k-1")
        for tenant in (None, "one", "two", "one")
    ]

    assert payments[1] == payments[3]
    assert 3 == len({str(payment.ref) for payment in payments})


def test_repr_shows_no_secret() -> None:
    """The repr of Square's vendor hides the access token."""
    assert "EAAA-1" not in repr(Square(credentials="EAAA-1"))
    assert Square().services()[""].needs_credentials


# --- what happens ----------------------------------------------------------


def test_payment_has_its_method_reference_and_times(shop: SandboxHub) -> None:
    """A Square payment has its method, reference and times."""
    paid_payment = shop.pay("ccof:customer-card-id-ok", customer=CUSTOMER)

    assert (
        MeansOfPayment(
            type="card",
            brand="visa",
            last4="5858",
            expires=(2034, 12),
            stored="ccof:customer-card-id-ok",
        )
        == paid_payment.means
    )
    assert ("INV-2041", datetime.fromtimestamp(shop.time, UTC)) == (
        paid_payment.reference,
        paid_payment.as_of,
    )
    assert "ccof" not in repr(paid_payment)


@pytest.mark.parametrize(
    "source, reason",
    [
        ("cnon:card-nonce-rejected-cvv", DeclineReason.INCORRECT_CVC),
        ("cnon:card-nonce-rejected-expiration", DeclineReason.INVALID_EXPIRY),
        ("cnon:card-nonce-rejected-postalcode", DeclineReason.INCORRECT_ADDRESS),
        ("ccof:customer-card-id-requires-verification", DeclineReason.AUTHENTICATION_REQUIRED),
        ("cnon:sandbox-BAD_MOOD", DeclineReason.OTHER),
    ],
)
def test_decline_names_its_payment(shop: SandboxHub, source: str, reason: DeclineReason) -> None:
    """A Square decline has the payment's reference; looking it up returns the decline's reason."""
    with pytest.raises(PaymentDeclined) as excinfo:
        shop.pay(source, customer=CUSTOMER)

    assert reason == excinfo.value.reason
    declined_payment = shop.payments.get(excinfo.value.payment or "")
    assert PaymentState.FAILED == declined_payment.state
    assert declined_payment.decline is not None
    assert (reason, excinfo.value.vendor_code) == (
        declined_payment.decline.reason,
        declined_payment.decline.vendor_code,
    )


@pytest.mark.parametrize("success", [True, False])
def test_pending_direct_debit(shop: SandboxHub, success: bool) -> None:
    """A direct debit at Square is pending until the money arrives or returns."""
    debit = shop.pay("bnon:bank-nonce-ok")
    shop.time += 60
    shop.sandbox.arrive(debit.ref.id, success=success)
    existing_payment = shop.payments.get(debit.ref)

    assert PaymentState.PENDING == debit.state
    assert (PaymentState.CAPTURED if success else PaymentState.FAILED) == existing_payment.state
    assert success or (
        existing_payment.decline is not None
        and DeclineReason.INSUFFICIENT_FUNDS == existing_payment.decline.reason
    )
    assert existing_payment.state == shop.payment_after_events(debit).state


def test_lost_payment_is_settled(shop: SandboxHub) -> None:
    """After a lost response, a Square payment is requested again with its idempotency key."""
    shop.sandbox.fail(Lost())
    declined_charge = order("cnon:card-nonce-declined")
    with pytest.raises(ConnectionFailed):
        shop.payments.charge(declined_charge, idempotency_key="k")
    (result,) = shop.payments.settle([Unsettled(charge=declined_charge, idempotency_key="k")])

    assert isinstance(result.error, PaymentDeclined)
    assert 1 == len(shop.sandbox.payments)
