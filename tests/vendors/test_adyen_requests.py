"""Requests to Adyen: their amounts, fields, addresses and credentials."""

from __future__ import annotations

import asyncio
import json

import pytest

from moorage.contracts.payments import (
    Charge,
    Customer,
    Money,
    PaymentState,
)
from moorage.contracts.routes import Account
from moorage.errors import (
    ConfigurationError,
    InvalidData,
)
from moorage.hub.hub import AsyncHub, Hub
from moorage.testing.sandboxes.base import (
    AsyncSandboxHttpClient,
)
from moorage.testing.sandboxes.payments.adyen import AdyenSandbox
from moorage.vendors.payments._adyen_answers import UNITS
from moorage.vendors.payments._adyen_requests import payment_body
from moorage.vendors.payments.adyen import Adyen
from tests.vendors.adyen_account import EUR_149, IDEAL, Json, SandboxHub, charge, vendor


@pytest.fixture
def shop() -> SandboxHub:
    """Return a hub with an account at a new Adyen sandbox."""
    return SandboxHub()


@pytest.mark.parametrize(
    "amount, minor",
    [
        (Money("149.90", "EUR"), 14990),
        (Money("1499", "JPY"), 1499),
        (Money("1.234", "BHD"), 1234),
        (Money("1499", "CLP"), 149900),
        (Money("1499", "ISK"), 149900),
        (Money("1499.00", "CVE"), 1499),
        (Money("1499.00", "IDR"), 1499),
    ],
    ids=str,
)
def test_amounts_are_written_as_adyen_does(shop: SandboxHub, amount: Money, minor: int) -> None:
    """Amounts are converted to Adyen's minor units and back without loss."""
    payment = shop.payments.charge(charge(amount=amount), idempotency_key="k-1")
    assert {"currency": amount.currency, "value": minor} == shop.last_request["amount"]
    assert (amount, amount) == (payment.captured, UNITS.from_minor(minor, amount.currency))


def test_amounts_with_too_many_decimals_are_refused(shop: SandboxHub) -> None:
    """An amount with more decimals than Adyen accepts is refused and not rounded."""
    with pytest.raises(InvalidData):
        shop.payments.charge(charge(amount=Money("0.50", "IDR")), idempotency_key="k-1")
    assert [] == shop.sandbox.requests


def test_everything_of_a_charge_is_sent(shop: SandboxHub) -> None:
    """Each field of a charge is sent under Adyen's name; extra options may override fields."""
    buyer = Customer(
        id="buyer-1", name="Ada de Vries", email="a@b.example", phone="+31", country="nl", ip="::1"
    )
    shop.payments.charge(
        charge(
            customer=buyer,
            description="Two chairs",
            statement_descriptor="CHAIRS",
            metadata={"order": "7"},
            store_method=True,
            return_url="https://other.example",
            extra={
                "adyen": {"metadata": {"more": "8"}, "channel": "Web"},
                "stripe": {"nothing": 1},
            },
        ),
        idempotency_key="k-1",
    )
    assert {
        "merchantAccount": "SandboxMerchant",
        "amount": {"currency": "EUR", "value": 14990},
        "reference": "INV-2041",
        "returnUrl": "https://other.example",
        "shopperStatement": "CHAIRS",
        "captureDelayHours": 0,
        "shopperReference": "buyer-1",
        "shopperName": {"firstName": "Ada de", "lastName": "Vries"},
        "shopperEmail": "a@b.example",
        "shopperIP": "::1",
        "telephoneNumber": "+31",
        "countryCode": "NL",
        "metadata": {"order": "7", "description": "Two chairs", "more": "8"},
        "paymentMethod": {"type": "scheme", "storedPaymentMethodId": "APPROVED"},
        "shopperInteraction": "ContAuth",
        "storePaymentMethod": True,
        "recurringProcessingModel": "CardOnFile",
        "channel": "Web",
    } == shop.last_request


def test_off_session_charge(shop: SandboxHub) -> None:
    """A payment without the buyer present is marked as such for Adyen."""
    shop.payments.charge(
        charge(off_session=True, customer=Customer(id="buyer-1", name="Ada")),
        idempotency_key="k-1",
    )
    assert ("ContAuth", "UnscheduledCardOnFile", {"firstName": "Ada", "lastName": "Ada"}) == (
        shop.last_request["shopperInteraction"],
        shop.last_request["recurringProcessingModel"],
        shop.last_request["shopperName"],
    )


def test_browser_payment_method_is_sent_unchanged(shop: SandboxHub) -> None:
    """The payment method from Adyen's browser form is sent unchanged."""
    method = {"type": "scheme", "encryptedCardNumber": "test_4111111111111111"}
    request = charge(json.dumps(method), customer=None)
    shop.payments.charge(request, idempotency_key="k-1")
    assert method == shop.last_request["paymentMethod"]


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"source": "{not json"}, "source"),
        ({"source": '{"type": "scheme", "number": "4111111111111111"}'}, "source"),
        ({"customer": None}, "customer.id"),
        ({"source": IDEAL, "customer": None, "store_method": True}, "customer.id"),
        ({"reference": "r" * 81}, "reference"),
    ],
    ids=["no-json", "a-card", "nobodys", "for-nobody", "long"],
)
def test_invalid_charges_are_refused_before_sending(
    shop: SandboxHub, changes: Json, field: str
) -> None:
    """A charge that Adyen would refuse is refused before anything is sent."""
    with pytest.raises(InvalidData) as excinfo:
        shop.payments.charge(charge(**changes), idempotency_key="k-1")
    assert (field, []) == (excinfo.value.field, shop.sandbox.requests)


def test_all_missing_values_are_reported_at_once() -> None:
    """A charge without return URL and customer is refused with an error about both."""
    order = charge(customer=None)
    with pytest.raises(InvalidData, match=r"returnUrl.*belongs to a customer") as refused:
        payment_body(Adyen(merchant_account="A"), order, taken=True)

    assert "return_url" == refused.value.field
    assert "Set the charge's or the account's `return_url`" in refused.value.remedy
    assert "Pass the customer" in refused.value.remedy


def test_return_url_is_required() -> None:
    """A payment at Adyen without a return URL is refused."""
    bare_vendor = Adyen(merchant_account="A")
    with pytest.raises(InvalidData) as excinfo:
        payment_body(bare_vendor, charge(), taken=True)
    assert "return_url" == excinfo.value.field


def test_payment_method_is_required() -> None:
    """A payment at Adyen without a payment method is refused."""
    with pytest.raises(InvalidData) as excinfo:
        payment_body(vendor(), Charge(EUR_149, reference="INV-1"), taken=True)
    assert "source" == excinfo.value.field


# --- where Adyen is ----------------------------------------------------------


def test_live_platform_needs_a_prefix() -> None:
    """Each company has its own URL prefix on Adyen's live platform."""
    service = vendor(live_url_prefix="1797a841fbb37ca7-Acme").services()[""]
    expected = "https://1797a841fbb37ca7-Acme-checkout-live.adyenpayments.com/checkout"
    assert expected == service.base_url
    service = vendor().services()[""]
    assert "https://checkout-test.adyen.com" == service.base_url


def test_invalid_url_prefix_is_refused() -> None:
    """A URL in place of Adyen's live prefix is refused when the vendor is created."""
    with pytest.raises(ConfigurationError) as excinfo:
        vendor(live_url_prefix="https://evil.example/")
    assert "live_url_prefix" == excinfo.value.path


def test_prefix_selects_the_live_platform() -> None:
    """A payment goes to Adyen's live platform if the account has a live URL prefix."""
    live_shop = SandboxHub(live_url_prefix="acme")
    assert PaymentState.CAPTURED == live_shop.payments.charge(charge(), idempotency_key="k").state
    assert "/checkout/v72/payments" == live_shop.sandbox.requests[0].path


def test_missing_key_uses_the_credential_provider() -> None:
    """Without an API key, an Adyen account uses the credential provider."""
    service = vendor(credentials=None).services()[""]
    assert (None, True) == (service.credentials, service.needs_credentials)


def test_secrets_and_buyers_are_not_shown() -> None:
    """The repr of Adyen's vendor and charges hides the API key and the payment method."""
    representation = repr(vendor()) + repr(charge(IDEAL, customer=Customer(email="a@b.example")))
    assert not any(text in representation for text in ("adyen-sandbox-key", "ideal", "a@b.example"))


def test_payment_over_a_socket() -> None:
    """A payment at the Adyen sandbox also works over a real connection."""
    sandbox = AdyenSandbox()
    with sandbox.serving() as server:
        account = Account("shop", vendor(base_url=server.url), settings={"volatile_keys": True})
        with Hub([account]) as hub:
            payment = hub.payments().charge(charge(), idempotency_key="k-1")
    assert [payment.ref.id] == list(sandbox.payments)


def test_asynchronous_hub_takes_and_refunds_adyen_payments_like_synchronous_one() -> None:
    """An asynchronous hub takes and refunds Adyen payments like a synchronous one."""

    async def pay() -> PaymentState:
        sandbox = AdyenSandbox()
        account = Account("shop", vendor(), settings={"volatile_keys": True})
        async with AsyncHub([account], http=AsyncSandboxHttpClient(sandbox)) as hub:
            payment = await hub.payments().authorize(charge(), idempotency_key="k-1")
            return payment.state

    assert PaymentState.AUTHORIZED == asyncio.run(pay())
