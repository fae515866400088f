"""Requests to Mollie match Mollie's own API description."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from moorage import Account, Hub
from moorage.contracts.payments import (
    Charge,
    Customer,
    LinkRequest,
    Money,
    RefundReason,
    StoreRequest,
)
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.payments.mollie import MollieSandbox
from moorage.vendors.payments.mollie import Mollie
from tests.support.openapi import Json, problems

TEXT: Json = {"type": "string"}
AMOUNT: Json = {
    "type": "object",
    "required": ["currency", "value"],
    "properties": {"currency": TEXT, "value": TEXT},
}
METADATA: Json = {"type": ["object", "null"]}
ADDRESS: Json = {
    "type": "object",
    "properties": {"email": TEXT, "phone": TEXT, "country": TEXT},
}


def _post(required: str, **properties: Json) -> Json:
    schema = {"type": "object", "required": required.split(), "properties": properties}
    return {"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}}}


ANSWERED: Json = {"type": "string", "readOnly": True}
OURS: Json = {
    "paths": {
        "/v2/payments": _post(
            "id amount description redirectUrl",
            id=ANSWERED,
            amount=AMOUNT,
            billingAddress={"allOf": [ADDRESS]},
            captureMode={"type": ["string", "null"], "enum": ["automatic", "manual"]},
            cardToken=TEXT,
            customerId=TEXT,
            description={"type": "string", "maxLength": 255},
            mandateId={"type": ["string", "null"]},
            metadata=METADATA,
            method={"oneOf": [TEXT, {"type": "array", "items": TEXT}]},
            redirectUrl={"type": ["string", "null"]},
            sequenceType={"enum": ["oneoff", "first", "recurring"]},
            webhookUrl={"type": ["string", "null"]},
        ),
        "/v2/payments/{paymentId}/captures": _post("", amount=AMOUNT),
        "/v2/payments/{paymentId}/refunds": _post(
            "amount description metadata",
            amount=AMOUNT,
            description={"type": "string", "maxLength": 255},
            metadata=METADATA,
        ),
        "/v2/payments/{paymentId}/release-authorization": _post("", profileId=TEXT),
        "/v2/customers/{customerId}/mandates": _post(
            "",
            consumerAccount={"type": ["string", "null"]},
            consumerName=TEXT,
            method={"enum": ["creditcard", "directdebit", "paypal"]},
        ),
        "/v2/payment-links": _post(
            "description",
            amount=AMOUNT,
            description={"type": "string", "maxLength": 255},
            expiresAt={"type": ["string", "null"]},
            redirectUrl={"type": ["string", "null"]},
            reusable={"type": ["boolean", "null"]},
            webhookUrl={"type": ["string", "null"]},
        ),
        "/v2/payment-links/{paymentLinkId}": {
            "patch": _post("", archived={"type": "boolean"})["post"],
        },
    }
}
"""An excerpt of Mollie's API description with the fields that moorage sends."""


def _all_requests() -> MollieSandbox:
    """Return a sandbox that has received each kind of request with a body."""
    sandbox = MollieSandbox()
    vendor = Mollie(
        credentials=sandbox.api_key,
        return_url="https://shop.example/back",
        webhook_url=sandbox.webhook_url,
    )
    settings = {"retry": None, "circuit": None, "volatile_keys": True}
    hub = Hub([Account("mollie", vendor, settings=settings)], http=SandboxHttpClient(sandbox))
    pay, part = hub.payments(), Money("10", "EUR")
    buyer = Customer(id="cst_sandbox", email="a@b.example", phone="+31208202070", country="nl")
    amount = Money("149.90", "EUR")
    whole_charge = Charge(
        amount,
        "tkn_visa",
        reference="INV-2041",
        customer=buyer,
        description="Two chairs",
        metadata={"order": "7"},
        store_method=True,
    )
    authorization = pay.authorize(whole_charge, idempotency_key="1")
    pay.capture(authorization.ref, part, final=False, idempotency_key="2")
    pay.capture(authorization.ref, part, idempotency_key="3")
    pay.refund(authorization.ref, Money("1", "EUR"), reason=RefundReason.FRAUD, idempotency_key="4")
    pay.refund(authorization.ref, idempotency_key="5")
    absent_charge = Charge(amount, "mdt_sandbox", reference="2", customer=buyer, off_session=True)
    pay.charge(absent_charge, idempotency_key="6")
    pay.create_intent(Charge(amount, reference="3"), idempotency_key="7")
    repeated_payment = pay.authorize(Charge(amount, "tkn_visa", reference="4"), idempotency_key="8")
    pay.capture(repeated_payment.ref, idempotency_key="9")
    holder = Customer(id="cst_sandbox", name="Ada Byron")
    pay.store_means(StoreRequest("NL55INGB0000000000", customer=holder), idempotency_key="10")
    link = LinkRequest(part, reference="5", expires_at=datetime(2100, 1, 1, tzinfo=UTC))
    pay.close_link(pay.create_link(link, idempotency_key="11").ref, idempotency_key="12")
    return sandbox


def test_requests_match_the_description() -> None:
    """Each request matches Mollie's API description."""
    message = OURS
    requests = [request for request in _all_requests().requests if request.body]

    assert 13 == len(requests)
    assert [] == [
        problem
        for request in requests
        for problem in problems(message, request.method, request.path, json.loads(request.body))
    ]


@pytest.mark.parametrize(
    "path, body, wrong",
    [
        ("refunds", {"amount": {}, "description": None}, "body has no metadata."),
        ("refunds", {"amount": {}, "description": None}, "body.amount has no currency."),
        ("refunds", {"amount": {}, "description": None}, "body.description is no string."),
        ("captures", {"amount": None}, "body.amount is no object."),
        ("release-authorization", {"x": 1}, "body.x is not known."),
    ],
)
def test_checker_finds_mistakes(path: str, body: Json, wrong: str) -> None:
    """A request that Mollie's API description does not allow is reported."""
    assert wrong in problems(OURS, "POST", f"/v2/payments/tr_1/{path}", body)


def test_checker_handles_optional_types() -> None:
    """The checker reports a number in a field that is described as a string or null."""
    body = {"amount": {"currency": "EUR", "value": "1"}, "description": "x", "redirectUrl": 1}

    assert ["body.redirectUrl is no string or null."] == problems(
        OURS, "POST", "/v2/payments", body
    )
