"""PayPal: requests and authentication."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.contracts.payments import Customer, Money, PaymentState, ThreeDs
from moorage.contracts.routes import Account
from moorage.domain.auth.methods import Credentials
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    CredentialRefreshFailed,
    InvalidData,
    UnsupportedByVendor,
)
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.vendors.payments._paypal_answers import amount_body
from moorage.vendors.payments.paypal import PayPal
from tests.vendors.paypal_account import RETURN_URL, SETTINGS, SandboxHub, order
from tests.vendors.subjects.paypal import paypal_refusal

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(name="shop")
def _shop() -> Iterator[SandboxHub]:
    """Return a hub that accepts payments by PayPal."""
    shop = SandboxHub()
    with shop.hub:
        yield shop


# --- the account -----------------------------------------------------------


def test_base_url_is_live_sandbox_or_configured() -> None:
    """The URL is PayPal's live one, its sandbox's, or the one in the account's settings."""
    assert "https://api-m.paypal.com" == PayPal().services()[""].base_url
    assert "https://api-m.sandbox.paypal.com" == PayPal(sandbox=True).services()[""].base_url
    proxy_account = PayPal(base_url="https://proxy.example/", client_id="a", client_secret="b")
    assert (
        "https://proxy.example/v1/oauth2/token" == proxy_account.clients()[""].server.token_endpoint
    )
    assert "paypal" == PayPal().webhook_verification()["scheme"]


def test_app_needs_id_and_secret() -> None:
    """If a PayPal account has only an app id or only a secret, the error names the missing one."""
    with pytest.raises(ConfigurationError) as excinfo:
        PayPal(client_id="a")
    assert "client_secret" == excinfo.value.path
    with pytest.raises(ConfigurationError) as excinfo:
        PayPal(client_secret="b")
    assert "client_id" == excinfo.value.path


def test_sandbox_has_no_live_url() -> None:
    """A PayPal account whose settings say sandbox but whose URL is the live one is refused."""
    with pytest.raises(ConfigurationError) as excinfo:
        PayPal(sandbox=True, base_url="https://api-m.paypal.com")
    assert "base_url" == excinfo.value.path


def test_secret_needs_https() -> None:
    """A setting that would send PayPal's secret without TLS is refused; the error has its path."""
    vendor_settings = {"client_id": "a", "client_secret": "b", "base_url": "http://paypal.example"}
    with pytest.raises(ConfigurationError, match="not HTTPS") as excinfo:
        moorage.open({"vendors": {"paypal": vendor_settings}})

    assert "vendors.paypal.base_url" == excinfo.value.path


def test_token_from_the_provider(shop: SandboxHub) -> None:
    """Without app credentials, a PayPal account gets its token from the credential provider."""
    shop.charged()
    token = shop.last_request().bearer()
    assert token is not None
    existing_provider = MemoryCredentialProvider({("main", None): Credentials.bearer(token)})
    http = SandboxHttpClient(shop.sandbox)
    account = Account("main", PayPal(sandbox=True), settings=SETTINGS)
    with Hub([account], http=http, credentials=existing_provider) as hub:
        payment = hub.payments().charge(order(), idempotency_key="other")

    assert PaymentState.CAPTURED is payment.state
    assert 1 == shop.sandbox.token_endpoint.grants


def test_expired_token_is_renewed(shop: SandboxHub) -> None:
    """After a 401 from PayPal, a new token is requested, and the payment is made once."""
    shop.charged()
    shop.sandbox.token_endpoint.forget()
    shop.charged()

    assert (2, 2) == (shop.sandbox.token_endpoint.grants, len(shop.sandbox.charged_orders))


def test_wrong_app_secret(shop: SandboxHub) -> None:
    """A wrong PayPal secret gets no token, and the error does not show the secret."""
    vendor = PayPal(client_id="paypal-client", client_secret="wrong-secret", sandbox=True)
    account = Account("main", vendor, settings=SETTINGS)
    with Hub([account], http=SandboxHttpClient(shop.sandbox)) as hub:
        with pytest.raises(CredentialRefreshFailed) as excinfo:
            hub.payments().charge(order(), idempotency_key="k")
        assert "wrong-secret" not in f"{excinfo.value!r}{excinfo.value}{vendor!r}{account!r}{hub!r}"

    assert [] == shop.sandbox.requests


def test_second_401_is_final(shop: SandboxHub) -> None:
    """If PayPal refuses a new token, AuthenticationFailed is raised."""
    shop.sandbox.fail(*[paypal_refusal(401, "AUTHENTICATION_FAILURE")] * 2)
    with pytest.raises(AuthenticationFailed) as excinfo:
        shop.charged()

    assert "AUTHENTICATION_FAILURE" == excinfo.value.vendor_code


# --- what is sent ----------------------------------------------------------


PARTNER = "PayPal-Partner-Attribution-Id"


def test_fields_of_an_order(shop: SandboxHub) -> None:
    """A PayPal order is sent with all its fields, key and token, and asks for a full response."""
    shop.charged(description="Two chairs " * 20, statement_descriptor="ACME CHAIRS")
    request = shop.last_request()

    assert ("POST", "/v2/checkout/orders") == (request.method, request.path)
    assert "k-1" == request.headers.get("PayPal-Request-Id")
    assert "return=representation" == request.headers.get("Prefer")
    assert "token-paypal-client-1" == request.bearer()
    context = {"return_url": RETURN_URL, "cancel_url": RETURN_URL}
    assert {
        "intent": "CAPTURE",
        "purchase_units": [
            {
                "amount": {"currency_code": "EUR", "value": "149.90"},
                "custom_id": "INV-2041",
                "description": ("Two chairs " * 20)[:127],
                "soft_descriptor": "ACME CHAIRS",
            }
        ],
        "payment_source": {"card": {"vault_id": "visa-1", "experience_context": context}},
    } == shop.sent_body()


def test_headers_of_the_account() -> None:
    """An account may add headers, but the header that asks for a full response is always sent."""
    shop = SandboxHub({"headers": {PARTNER: "ACME"}})
    with shop.hub:
        shop.payments.void(shop.authorized().ref, idempotency_key="v-1")
    reports = [
        (request.headers.get(PARTNER), request.headers.get("Prefer"))
        for request in shop.sandbox.requests
    ]

    assert [("ACME", "return=representation")] * 2 == reports


@pytest.mark.parametrize(
    "amount, value",
    [
        (Money("500", "JPY"), "500"),
        (Money("500.00", "HUF"), "500"),
        (Money("500.00", "TWD"), "500"),
        (Money("0.05", "EUR"), "0.05"),
        (Money("1.230", "BHD"), "1.23"),
        (Money("9999999999.99", "USD"), "9999999999.99"),
    ],
)
def test_amounts_are_texts(amount: Money, value: str) -> None:
    """An amount for PayPal has the decimals that PayPal accepts for its currency."""
    assert {"currency_code": amount.currency, "value": value} == amount_body(amount)


@pytest.mark.parametrize("amount", [Money("500.50", "HUF"), Money("1.234", "BHD")])
def test_unsupported_amount_is_refused(amount: Money, shop: SandboxHub) -> None:
    """An amount that PayPal cannot represent is refused and not rounded."""
    with pytest.raises(InvalidData):
        shop.charged(amount=amount)

    assert [] == shop.sandbox.requests


BUYER = Customer(id="ada-1", email="ada@example.com")
STORED = {"store_in_vault": "ON_SUCCESS", "usage_type": "MERCHANT"}
CONTEXT = {"return_url": RETURN_URL, "cancel_url": RETURN_URL}
MERCHANT = {
    "payment_initiator": "MERCHANT",
    "payment_type": "UNSCHEDULED",
    "usage": "SUBSEQUENT",
}


@pytest.mark.parametrize(
    "source, fields, sent",
    [
        (
            "paypal",
            {"customer": BUYER, "store_method": True},
            {
                "paypal": {
                    "email_address": "ada@example.com",
                    "attributes": {"vault": STORED, "customer": {"id": "ada-1"}},
                    "experience_context": {**CONTEXT, "user_action": "PAY_NOW"},
                }
            },
        ),
        (
            "paypal:wallet-1",
            {"off_session": True, "return_url": None},
            {"paypal": {"vault_id": "wallet-1"}},
        ),
        ("venmo:venmo-1", {"customer": BUYER}, {"venmo": {"vault_id": "venmo-1"}}),
        (
            "card:visa-1",
            {"off_session": True, "return_url": None},
            {"card": {"vault_id": "visa-1", "stored_credential": MERCHANT}},
        ),
        (
            "card:visa-1",
            {"three_ds": ThreeDs.ALWAYS},
            {
                "card": {
                    "vault_id": "visa-1",
                    "experience_context": CONTEXT,
                    "attributes": {"verification": {"method": "SCA_ALWAYS"}},
                }
            },
        ),
    ],
)
def test_each_kind_of_payment_source_is_sent_in_paypal_form(
    source: str, fields: dict[str, Any], sent: dict[str, Any], shop: SandboxHub
) -> None:
    """Each kind of payment source is sent in PayPal's form."""
    shop.charged(source, **fields)

    assert sent == shop.sent_body()["payment_source"]


@pytest.mark.parametrize(
    "fields, sent",
    [
        ({"return_url": None}, None),
        ({"customer": Customer(id="ada-1")}, {"paypal": {"experience_context": CONTEXT}}),
        (
            {"return_url": None, "store_method": True, "three_ds": ThreeDs.ALWAYS},
            {
                "card": {
                    "attributes": {
                        "vault": {"store_in_vault": "ON_SUCCESS"},
                        "verification": {"method": "SCA_ALWAYS"},
                    }
                }
            },
        ),
    ],
)
def test_intent_leaves_the_payment_method_to_the_buyer(
    fields: dict[str, Any], sent: dict[str, Any] | None, shop: SandboxHub
) -> None:
    """A PayPal intent is unpaid until the buyer approves it, even with a stored method."""
    charge = order("card:visa-1", **fields)
    payment = shop.payments.create_intent(charge, idempotency_key="k")

    assert sent == shop.sent_body().get("payment_source")
    assert PaymentState.REQUIRES_ACTION is payment.state
    assert payment.ref.id == payment.client_token
    assert [] == shop.sandbox.charged_orders


@pytest.mark.parametrize(
    "source, fields, field",
    [
        ("8kk8451t", {}, "source"),
        ("card", {}, "source"),
        ("venmo", {}, "source"),
        ("paypal", {"off_session": True}, "source"),
        ("paypal", {"return_url": None}, "return_url"),
        ("card:visa-1", {"reference": "x" * 128}, "reference"),
        ("card:visa-1", {"statement_descriptor": "x" * 23}, "statement_descriptor"),
    ],
)
def test_invalid_charges_are_refused_before_sending(
    source: str, fields: dict[str, Any], field: str, shop: SandboxHub
) -> None:
    """A charge that PayPal could not take is refused before anything is sent."""
    with pytest.raises(InvalidData) as excinfo:
        shop.charged(source, **fields)

    assert field == excinfo.value.field
    assert [] == shop.sandbox.requests


def test_only_cards_are_confirmed(shop: SandboxHub) -> None:
    """Confirmation by the buyer's bank is refused for PayPal wallets, since only cards have it."""
    with pytest.raises(UnsupportedByVendor) as excinfo:
        shop.charged("paypal", three_ds=ThreeDs.ALWAYS)

    assert ("three_ds",) == excinfo.value.capabilities
    assert [] == shop.sandbox.requests


def test_long_and_tenants_keys_are_digests(shop: SandboxHub) -> None:
    """A key that is too long, or that belongs to a tenant, is sent to PayPal as its digest."""
    shop.payments.charge(order(), idempotency_key="k" * 109)
    assert 64 == len(shop.last_request().headers.get("PayPal-Request-Id") or "")
    shop.hub.payments(tenant="acme").charge(order(), idempotency_key="k")
    assert 64 == len(shop.last_request().headers.get("PayPal-Request-Id") or "")
