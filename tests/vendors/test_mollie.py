"""Mollie: payments, and the steps that the buyer takes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from moorage.contracts.payments import (
    Customer,
    DeclineReason,
    MeansOfPayment,
    Money,
    NextActionType,
    PaymentState,
)
from moorage.errors import InvalidData, PaymentDeclined
from moorage.vendors.payments._mollie_answers import amount_body
from moorage.vendors.payments._mollie_requests import payment_body
from moorage.vendors.payments.mollie import Mollie
from tests.vendors.mollie_account import CUSTOMER, EUROS, RETURN_URL, SandboxHub, order

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(name="shop")
def _shop() -> Iterator[SandboxHub]:
    """Return a hub that accepts payments by Mollie."""
    shop = SandboxHub()
    with shop.hub:
        yield shop


# --- what is sent ----------------------------------------------------------


def test_metadata_does_not_replace_the_reference() -> None:
    """Metadata given by the caller do not replace a Mollie payment's reference."""
    charge = order(metadata={"reference": "PO-7", "order": "7"}, return_url=RETURN_URL)

    assert {"reference": "INV-2041", "order": "7"} == payment_body(Mollie(), charge)["metadata"]


def test_every_field_of_a_charge_is_sent() -> None:
    """Each field of a charge is sent to Mollie; extra options may override fields."""
    vendor = Mollie(return_url=RETURN_URL, webhook_url="https://shop.example/hook?token=t0k")
    charge = order(
        customer=Customer(id="cst_1", name="Ada", email="a@b.example", phone="+31", country="nl"),
        return_url="https://shop.example/7",
        description="Chairs",
        metadata={"order": "7"},
        store_method=True,
        extra={"mollie": {"locale": "nl_NL", "metadata": {"order": "8"}}, "adyen": {"x": 1}},
    )

    assert {
        "amount": {"currency": "EUR", "value": "149.90"},
        "description": "Chairs",
        "redirectUrl": "https://shop.example/7",
        "webhookUrl": "https://shop.example/hook?token=t0k",
        "metadata": {"reference": "INV-2041", "order": "8"},
        "method": "creditcard",
        "cardToken": "tkn_visa",
        "customerId": "cst_1",
        "billingAddress": {"email": "a@b.example", "phone": "+31", "country": "NL"},
        "sequenceType": "first",
        "captureMode": "manual",
        "locale": "nl_NL",
    } == payment_body(vendor, charge, captureMode="manual")


@pytest.mark.parametrize(
    "source, fields",
    [
        (None, {}),
        ("ideal", {"method": "ideal"}),
        ("tkn_1", {"method": "creditcard", "cardToken": "tkn_1"}),
        ("mdt_1", {"mandateId": "mdt_1"}),
    ],
)
def test_payment_source_fields(source: str | None, fields: dict[str, Any]) -> None:
    """A method, token or mandate is sent to Mollie; if none is given, the buyer chooses."""
    body = payment_body(Mollie(return_url=RETURN_URL), order(source))

    assert fields == {
        name: body[name] for name in ("method", "cardToken", "mandateId") if name in body
    }


@pytest.mark.parametrize(
    "money, value",
    [
        (Money("5", "ISK"), "5"),
        (Money("500", "JPY"), "500"),
        (Money("5", "EUR"), "5.00"),
        (Money("1.230", "BHD"), "1.230"),
    ],
)
def test_amounts_are_written_with_all_their_decimals(money: Money, value: str) -> None:
    """An amount for Mollie has exactly the decimals of its currency."""
    assert {"currency": money.currency, "value": value} == amount_body(money)


def test_redirect_payment_needs_a_return_url() -> None:
    """Mollie needs a return URL for a payment page; a payment without the buyer needs none."""
    with pytest.raises(InvalidData) as excinfo:
        payment_body(Mollie(), order())

    assert "return_url" == excinfo.value.field
    absent_charge = order("mdt_1", customer=CUSTOMER, off_session=True)
    assert "redirectUrl" not in payment_body(Mollie(), absent_charge)


@pytest.mark.parametrize("wish", ["off_session", "store_method"])
@pytest.mark.parametrize("customer", [None, Customer(email="a@b.example")], ids=["none", "no id"])
def test_stored_payment_methods_need_a_customer(wish: str, customer: Customer | None) -> None:
    """Storing or reusing a payment method at Mollie needs a customer's id."""
    fields: dict[str, Any] = {wish: True}
    with pytest.raises(InvalidData) as excinfo:
        payment_body(Mollie(return_url=RETURN_URL), order(customer=customer, **fields))

    assert "customer.id" == excinfo.value.field


def test_idempotency_key_and_api_key_are_sent_in_mollie_headers(shop: SandboxHub) -> None:
    """The idempotency key and the API key are sent in Mollie's headers."""
    shop.payments.charge(order(), idempotency_key="INV-2041/1")
    headers = shop.sandbox.requests[0].headers

    assert "INV-2041/1" == headers.get("idempotency-key")
    assert f"Bearer {shop.sandbox.api_key}" == headers.get("authorization")


def test_repr_shows_no_secret() -> None:
    """The repr of Mollie's vendor hides the API key and the token of the webhook URL."""
    vendor = Mollie(credentials="live_secret", webhook_url="https://shop.example/?token=t0k3n")

    assert "live_secret" not in repr(vendor)
    assert "t0k3n" not in repr(vendor)
    assert Mollie().services()[""].needs_credentials


def test_tenants_share_no_keys(shop: SandboxHub) -> None:
    """Two tenants' payments with the same key are separate at a shared Mollie account."""
    payments = [
        shop.hub.payments(tenant).charge(order(), idempotency_key="k-1")
        for tenant in (None, "one", "two", "one")
    ]

    assert payments[1] == payments[3]
    assert 3 == len({str(payment.ref) for payment in payments})


# --- what happens ----------------------------------------------------------


def test_buyer_chooses_the_method(shop: SandboxHub) -> None:
    """Without a method, the buyer chooses one on Mollie's page, and then the payment completes."""
    intent = shop.payments.create_intent(order(None), idempotency_key=shop.key())
    action = intent.next_action
    assert action is not None
    assert (PaymentState.REQUIRES_ACTION, NextActionType.REDIRECT) == (intent.state, action.type)
    assert action.expires_at == datetime.fromtimestamp(shop.time + 900, UTC)
    assert str(action.url) not in repr(intent)
    shop.sandbox.visit(str(action.url))

    finished_payment = shop.payments.complete(intent.ref, idempotency_key=shop.key())

    assert (PaymentState.CAPTURED, EUROS) == (finished_payment.state, finished_payment.captured)
    assert finished_payment.next_action is None
    assert "INV-2041" == finished_payment.reference


@pytest.mark.parametrize(
    "status, reason, code",
    [
        ("canceled", DeclineReason.CANCELED_BY_BUYER, "canceled"),
        ("expired", DeclineReason.OTHER, "expired"),
        ("failed", DeclineReason.DO_NOT_HONOR, "refused_by_issuer"),
    ],
)
def test_return_without_payment_is_a_decline(
    shop: SandboxHub, status: str, reason: DeclineReason, code: str
) -> None:
    """An unsuccessful Mollie payment is a decline with a reason."""
    payment = shop.pay("ideal")
    shop.sandbox.visit(payment.ref.id, status)

    with pytest.raises(PaymentDeclined) as excinfo:
        shop.payments.complete(payment.ref, idempotency_key=shop.key())

    assert (reason, code) == (excinfo.value.reason, excinfo.value.vendor_code)
    assert str(payment.ref) == excinfo.value.payment


def test_mollie_payment_is_pending_until_money_arrives(shop: SandboxHub) -> None:
    """A Mollie payment is pending until the money arrives."""
    payment = shop.pay("banktransfer")
    shop.sandbox.visit(payment.ref.id, "pending")
    waiting = shop.payments.complete(payment.ref, idempotency_key=shop.key())
    shop.sandbox.arrive(payment.ref.id)

    assert PaymentState.PENDING == waiting.state
    assert PaymentState.CAPTURED == shop.payments.get(payment.ref).state


def test_card_with_3d_secure(shop: SandboxHub) -> None:
    """A card payment is pending if the bank asks the buyer; otherwise it is paid at once."""
    assert PaymentState.REQUIRES_ACTION == shop.pay("tkn_3dsecure").state
    paid_payment = shop.pay()

    assert PaymentState.CAPTURED == paid_payment.state
    assert (
        MeansOfPayment(type="creditcard", brand="visa", last4="1005", expires=(2034, 12))
        == paid_payment.means
    )


def test_decline_names_its_payment(shop: SandboxHub) -> None:
    """The error of a card that Mollie declined has the reference of its payment."""
    with pytest.raises(PaymentDeclined) as excinfo:
        shop.pay("tkn_card_expired")

    assert DeclineReason.EXPIRED_CARD == excinfo.value.reason
    declined_payment = shop.payments.get(excinfo.value.payment or "")
    assert PaymentState.FAILED == declined_payment.state
    assert declined_payment.decline is not None
    assert "card_expired" == declined_payment.decline.vendor_code
    assert EUROS == declined_payment.amount


def test_stored_payment_method(shop: SandboxHub) -> None:
    """The first Mollie payment creates a mandate for later payments without the buyer."""
    first = shop.pay(customer=CUSTOMER, store_method=True)
    assert first.means is not None
    mandate = first.means.stored
    assert mandate is not None
    assert mandate not in repr(first)
    repeated_payment = shop.pay(mandate, customer=CUSTOMER, off_session=True)

    assert PaymentState.CAPTURED == repeated_payment.state
    assert "redirectUrl" in shop.sent_body()
    assert ("recurring", mandate) == (
        shop.sent_body()["sequenceType"],
        shop.sent_body()["mandateId"],
    )


def test_pending_direct_debit(shop: SandboxHub) -> None:
    """A direct debit at Mollie is pending until the money arrives."""
    debit = shop.pay("directdebit", customer=CUSTOMER, off_session=True)
    shop.sandbox.arrive(debit.ref.id)

    assert PaymentState.PENDING == debit.state
    assert PaymentState.CAPTURED == shop.payments.settle([debit.ref])[0].unwrap().state
