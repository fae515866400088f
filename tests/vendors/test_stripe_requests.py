"""Stripe: the fields and headers of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage.contracts.payments import Customer, Money, ThreeDs
from moorage.domain.auth.methods import Credentials
from moorage.vendors.payments._stripe_answers import MINOR
from moorage.vendors.payments._stripe_intents import confirmed_body, intent_body
from moorage.vendors.payments._stripe_requests import form_pairs
from moorage.vendors.payments.stripe import (
    API_VERSION,
    Stripe,
)
from tests.vendors.stripe_account import SandboxHub, order

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(name="shop")
def _shop() -> Iterator[SandboxHub]:
    """Return a hub that accepts payments by Stripe."""
    shop = SandboxHub()
    with shop.hub:
        yield shop


def test_forms_nest_in_brackets() -> None:
    """In Stripe's forms, lists use brackets, booleans are words, and None is left out."""
    body = {"a": {"b": [1, {"c": True}]}, "d": None, "e": "f", "g": False}

    assert [("a[b][0]", "1"), ("a[b][1][c]", "true"), ("e", "f"), ("g", "false")] == list(
        form_pairs(body)
    )


def test_metadata_does_not_replace_the_reference() -> None:
    """Metadata given by the caller do not replace a Stripe payment's reference."""
    body = intent_body(order("tok_visa", metadata={"reference": "PO-7", "order": "7"}))

    assert {"reference": "INV-2041", "order": "7"} == body["metadata"]


def test_every_field_of_a_charge_is_sent() -> None:
    """Each field of a charge is sent to Stripe; extra options may override fields."""
    charge = order(
        "tok_visa",
        customer=Customer(id="cus_1", name="Ada", email="ada@shop.example"),
        return_url="https://shop.example/back",
        description="Chairs",
        statement_descriptor="ACME",
        metadata={"order": "7"},
        off_session=True,
        store_method=True,
        three_ds=ThreeDs.ALWAYS,
        extra={"stripe": {"metadata": {"order": "8"}, "transfer_group": "g"}, "adyen": {"x": 1}},
    )

    assert {
        "amount": 14990,
        "currency": "eur",
        "automatic_payment_methods": {"enabled": True},
        "capture_method": "manual",
        "confirm": True,
        "customer": "cus_1",
        "description": "Chairs",
        "expand": ["latest_charge"],
        "metadata": {"reference": "INV-2041", "order": "8"},
        "off_session": True,
        "payment_method_data": {
            "type": "card",
            "card": {"token": "tok_visa"},
            "billing_details": {"name": "Ada", "email": "ada@shop.example"},
        },
        "payment_method_options": {"card": {"request_three_d_secure": "any"}},
        "return_url": "https://shop.example/back",
        "setup_future_usage": "off_session",
        "statement_descriptor_suffix": "ACME",
        "transfer_group": "g",
    } == confirmed_body(charge, capture_method="manual")


@pytest.mark.parametrize(
    "source, fields",
    [
        (None, {}),
        ("pm_1", {"payment_method": "pm_1"}),
        ("ctoken_1", {"confirmation_token": "ctoken_1"}),
        ("tok_1", {"payment_method_data": {"type": "card", "card": {"token": "tok_1"}}}),
    ],
)
def test_payment_source_fields(source: str | None, fields: dict[str, Any]) -> None:
    """Each kind of payment token is sent to Stripe in its own field."""
    body = intent_body(order(source))

    names = ("payment_method", "confirmation_token", "payment_method_data")
    assert fields == {name: body[name] for name in names if name in body}


def test_redirects_need_a_return_url() -> None:
    """Without a return URL, Stripe may offer only payment methods without a redirect."""
    body = confirmed_body(order(), capture_method="automatic")

    assert {"enabled": True, "allow_redirects": "never"} == body["automatic_payment_methods"]


def test_each_request_to_stripe_has_api_version_and_idempotency_key(shop: SandboxHub) -> None:
    """Each request to Stripe has the API version and the idempotency key."""
    shop.payments.charge(order(), idempotency_key="INV-2041/1")
    headers = shop.sandbox.requests[0].headers

    assert API_VERSION == headers.get("stripe-version")
    assert "INV-2041/1" == headers.get("idempotency-key")
    assert f"Bearer {shop.sandbox.api_key}" == headers.get("authorization")


def test_connected_stripe_account_is_named_in_header() -> None:
    """A connected account is sent in a header; without a key the credential provider is used."""
    service = Stripe(connected="acct_1").services()[""]

    assert "acct_1" == service.headers.get("Stripe-Account")
    assert service.needs_credentials
    assert Credentials.bearer("sk") == Stripe(credentials="sk").services()[""].credentials


@pytest.mark.parametrize(
    "money, minor",
    [
        (Money("5", "ISK"), 500),
        (Money("5", "UGX"), 500),
        (Money("5", "MGA"), 5),
        (Money("500", "JPY"), 500),
        (Money("5.120", "KWD"), 5120),
        (Money("1.5", "EUR"), 150),
    ],
)
def test_amounts_are_converted_to_stripe_own_minor_units_without_rounding(
    money: Money, minor: int
) -> None:
    """Amounts are converted to Stripe's own minor units without rounding."""
    assert minor == MINOR.to_minor(money)
    assert money == MINOR.from_minor(minor, money.currency)
