"""Requests to PayPal match PayPal's own API descriptions."""

from __future__ import annotations

import json
from typing import Any

from moorage.contracts.payments import Customer, Money, ThreeDs
from tests.support.openapi import Json, problems
from tests.vendors.paypal_account import RETURN_URL, SandboxHub, order

TEXT: Json = {"type": "string"}
TEN = Money("10.00", "EUR")


def fields(required: str, **properties: Json) -> Json:
    """Return the schema of an object with the given fields and no others."""
    return {"type": "object", "required": required.split(), "properties": properties}


def text_schema(letters: int) -> Json:
    """Return the schema of a text of at most the given length."""
    return {"type": "string", "maxLength": letters}


AMOUNT = fields("currency_code value", currency_code=text_schema(3), value=text_schema(32))
CUSTOMER = fields("", id=text_schema(22))
CONTEXT = {"return_url": TEXT, "cancel_url": TEXT}
EMPTY_OBJECT: Json = {"type": "object"}
ORDER = fields(
    "intent purchase_units",
    intent={"enum": ["CAPTURE", "AUTHORIZE"]},
    purchase_units={
        "type": "array",
        "items": fields(
            "amount",
            amount=AMOUNT,
            custom_id=text_schema(127),
            description=text_schema(127),
            soft_descriptor=text_schema(22),
        ),
    },
    payment_source=fields(
        "",
        paypal=fields(
            "",
            vault_id=text_schema(255),
            email_address=TEXT,
            attributes=fields(
                "",
                customer=CUSTOMER,
                vault=fields("usage_type", store_in_vault=TEXT, usage_type=TEXT),
            ),
            experience_context=fields("", user_action=TEXT, **CONTEXT),
        ),
        card=fields(
            "",
            vault_id=text_schema(255),
            attributes=fields("", verification=fields("", method=TEXT)),
            stored_credential=fields(
                "payment_initiator payment_type",
                payment_initiator={"enum": ["CUSTOMER", "MERCHANT"]},
                payment_type={"enum": ["ONE_TIME", "RECURRING", "UNSCHEDULED"]},
                usage={"enum": ["FIRST", "SUBSEQUENT", "DERIVED"]},
            ),
            experience_context=fields("", **CONTEXT),
        ),
        venmo=fields("", vault_id=text_schema(255)),
    ),
)


def path(schema: Json) -> Json:
    """Return an API path that accepts the given request body."""
    return {"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}}}


OURS_ORDERS: Json = {
    "paths": {
        "/v2/checkout/orders": path(ORDER),
        "/v2/checkout/orders/{id}/capture": path(EMPTY_OBJECT),
        "/v2/checkout/orders/{id}/authorize": path(EMPTY_OBJECT),
    }
}
OURS_PAYMENTS: Json = {
    "paths": {
        "/v2/payments/authorizations/{authorization_id}/capture": path(
            fields("", amount=AMOUNT, final_capture={"type": "boolean"})
        ),
        "/v2/payments/captures/{capture_id}/refund": path(
            fields("", amount=AMOUNT, custom_id=text_schema(127))
        ),
    }
}
"""An excerpt of PayPal's API descriptions with the fields that moorage sends."""


def test_payment_requests_match_the_descriptions() -> None:
    """Each field of a payment request is in PayPal's API description, with its type."""
    orders, payments = OURS_ORDERS, OURS_PAYMENTS
    charges: list[Any] = [
        order(
            "paypal",
            customer=Customer(id="ada-1", email="ada@example.com"),
            store_method=True,
            description="Two chairs",
            statement_descriptor="ACME",
        ),
        order("paypal:wallet-1", off_session=True),
        order("card:visa-1", off_session=True),
        order("venmo:venmo-1", return_url=None),
    ]
    charges.append(order("card:visa-1", three_ds=ThreeDs.ALWAYS))
    shop = SandboxHub()
    with shop.hub:
        for number, charge in enumerate(charges):
            shop.payments.charge(charge, idempotency_key=f"charge-{number}")
        shop.payments.create_intent(order(None, return_url=RETURN_URL), idempotency_key="i")
        waiting = shop.authorized("paypal")
        return_parameters = shop.sandbox.approve(waiting.ref.id)
        finished_payment = shop.payments.complete(
            waiting.ref, return_parameters, idempotency_key="back"
        )
        capture = shop.payments.capture(finished_payment.ref, TEN, final=False, idempotency_key="c")
        shop.payments.refund(capture.ref, TEN, idempotency_key="r")
    requests = [request for request in shop.sandbox.requests if request.method == "POST"]

    assert len(charges) + 5 == len(requests)
    for request in requests:
        message = orders if "/orders" in request.path else payments
        assert [] == problems(message, request.method, request.path, json.loads(request.body))
