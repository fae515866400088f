"""Requests to Adyen match Adyen's own API description."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from moorage.contracts.payments import (
    Customer,
    LinkRequest,
    Money,
    RefundReason,
    StoreRequest,
    ThreeDs,
)
from tests.support.openapi import Json, problems
from tests.vendors.adyen_account import IDEAL, SandboxHub, charge

SCHEME = '{"type": "scheme"}'
TEXT: Json = {"type": "string"}
AMOUNT: Json = {
    "type": "object",
    "required": ["currency", "value"],
    "properties": {"currency": {"type": "string", "maxLength": 3}, "value": {"type": "integer"}},
}
TEXTS: Json = {"type": "object", "additionalProperties": TEXT}


def _post(required: str, **properties: Json) -> Json:
    schema = {"type": "object", "required": required.split(), "properties": properties}
    return {"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}}}


OURS: Json = {
    "paths": {
        "/payments": _post(
            "amount merchantAccount paymentMethod reference returnUrl",
            additionalData=TEXTS,
            amount=AMOUNT,
            authenticationData={
                "type": "object",
                "properties": {"attemptAuthentication": {"enum": ["always", "never"]}},
            },
            captureDelayHours={"type": "integer"},
            countryCode={"type": "string", "maxLength": 100},
            merchantAccount=TEXT,
            metadata=TEXTS,
            paymentMethod={"type": "object"},
            recurringProcessingModel={
                "type": "string",
                "enum": ["CardOnFile", "Subscription", "UnscheduledCardOnFile"],
            },
            reference={"type": "string", "maxLength": 80},
            returnUrl={"type": "string", "maxLength": 1024},
            shopperEmail=TEXT,
            shopperIP={"type": "string", "maxLength": 50},
            shopperInteraction={"type": "string", "enum": ["Ecommerce", "ContAuth", "Moto", "POS"]},
            shopperName={
                "type": "object",
                "required": ["firstName", "lastName"],
                "properties": {"firstName": TEXT, "lastName": TEXT},
            },
            shopperReference={"type": "string", "maxLength": 256},
            shopperStatement=TEXT,
            storePaymentMethod={"type": "boolean"},
            telephoneNumber=TEXT,
        ),
        "/payments/details": _post("details", details=TEXTS, paymentData=TEXT),
        "/payments/{paymentPspReference}/captures": _post(
            "amount merchantAccount", amount=AMOUNT, merchantAccount=TEXT
        ),
        "/payments/{paymentPspReference}/cancels": _post("merchantAccount", merchantAccount=TEXT),
        "/payments/{paymentPspReference}/refunds": _post(
            "amount merchantAccount",
            amount=AMOUNT,
            merchantAccount=TEXT,
            merchantRefundReason={
                "enum": ["FRAUD", "CUSTOMER REQUEST", "RETURN", "DUPLICATE", "OTHER"]
            },
        ),
        "/storedPaymentMethods": _post(
            "merchantAccount paymentMethod recurringProcessingModel shopperReference",
            merchantAccount=TEXT,
            paymentMethod={"type": "object"},
            recurringProcessingModel={
                "type": "string",
                "enum": ["CardOnFile", "Subscription", "UnscheduledCardOnFile"],
            },
            shopperEmail=TEXT,
            shopperIP=TEXT,
            shopperReference={"type": "string", "maxLength": 256},
        ),
        "/paymentLinks": _post(
            "amount merchantAccount reference",
            amount=AMOUNT,
            description=TEXT,
            expiresAt=TEXT,
            merchantAccount=TEXT,
            reference=TEXT,
            returnUrl={"type": "string", "maxLength": 8000},
            reusable={"type": "boolean"},
        ),
        "/paymentLinks/{linkId}": {
            "patch": _post("status", status={"enum": ["expired"]})["post"],
        },
        "/cancels": _post(
            "merchantAccount paymentReference", merchantAccount=TEXT, paymentReference=TEXT
        ),
    }
}
"""The sent fields, as version 72 of Adyen's Checkout API describes them."""


def _all_requests() -> SandboxHub:
    """Return a hub that has sent each kind of request to Adyen."""
    shop = SandboxHub(multiple_captures=True)
    pay = shop.payments
    buyer = Customer(
        id="buyer-1", name="Ada de Vries", email="a@b.example", phone="+31", country="nl", ip="::1"
    )
    whole_charge = charge(
        customer=buyer,
        description="Two chairs",
        statement_descriptor="CHAIRS",
        metadata={"order": "7"},
        store_method=True,
        three_ds=ThreeDs.ALWAYS,
    )
    part = Money("10", "EUR")
    payment = pay.authorize(whole_charge, idempotency_key="1")
    pay.capture(payment.ref, part, final=False, idempotency_key="2")
    for reason in RefundReason:
        pay.refund(payment.ref, part, reason=reason, idempotency_key=f"refund-{reason}")
    pay.void(payment.ref, idempotency_key="3")
    pay.charge(charge(off_session=True), idempotency_key="4")
    other_payment = pay.charge(charge(IDEAL), idempotency_key="5")
    pay.void(other_payment.ref, idempotency_key="6")
    return_parameters = shop.sandbox.buyer_returns(list(shop.sandbox.payments)[-1])
    pay.complete(other_payment.ref, return_parameters, idempotency_key="7")
    pay.store_means(StoreRequest(SCHEME, customer=buyer), idempotency_key="8")
    link = LinkRequest(
        part,
        reference="INV-2041",
        description="Two chairs",
        return_url="https://shop.example/paid",
        expires_at=datetime(2026, 1, 5, tzinfo=UTC),
    )
    pay.close_link(pay.create_link(link, idempotency_key="9").ref, idempotency_key="10")
    return shop


def _wrong_requests(root: Json) -> list[str]:
    return [
        problem
        for request in _all_requests().sandbox.requests
        for problem in problems(
            root, request.method, request.path.removeprefix("/v72"), json.loads(request.body)
        )
    ]


def test_requests_match_our_excerpt() -> None:
    """Each request to Adyen matches our excerpt of Adyen's API description."""
    assert [] == _wrong_requests(OURS)


@pytest.mark.parametrize(
    "path, body, problem",
    [
        ("/nothing", {}, "There is no POST /nothing."),
        ("/payments/1/cancels", {}, "body has no merchantAccount."),
        ("/payments/1/cancels", {"merchantAccount": 1}, "body.merchantAccount is no string."),
        ("/payments/1/cancels", {"merchantAccount": "A", "x": 1}, "body.x is not known."),
    ],
    ids=["path", "missing", "type", "unknown"],
)
def test_checker_finds_mistakes(path: str, body: Json, problem: str) -> None:
    """The check reports a request that Adyen's API description does not allow."""
    assert [problem] == problems(OURS, "POST", path, body)
