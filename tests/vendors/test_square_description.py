"""Requests to Square match Square's own API description."""

from __future__ import annotations

import json

from moorage import Account, Hub
from moorage.contracts.payments import Charge, Customer, Money, RefundReason, StoreRequest
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.payments.square import SquareSandbox
from moorage.vendors.payments.square import Square
from tests.support.openapi import Json, problems

TEXT: Json = {"type": "string"}
KEY: Json = {"type": "string", "maxLength": 45}
MONEY: Json = {
    "type": "object",
    "properties": {"amount": {"type": "integer"}, "currency": TEXT},
}


def _operation(method: str, required: str, **properties: Json) -> Json:
    schema = {"type": "object", "required": required.split(), "properties": properties}
    return {method: {"requestBody": {"content": {"application/json": {"schema": schema}}}}}


OURS: Json = {
    "paths": {
        "/v2/payments": _operation(
            "post",
            "source_id idempotency_key",
            amount_money=MONEY,
            autocomplete={"type": "boolean"},
            buyer_email_address={"type": "string", "maxLength": 255},
            buyer_phone_number=TEXT,
            customer_details={
                "type": "object",
                "properties": {"customer_initiated": {"type": "boolean"}},
            },
            customer_id=TEXT,
            idempotency_key=KEY,
            location_id=TEXT,
            note={"type": "string", "maxLength": 500},
            reference_id={"type": "string", "maxLength": 40},
            source_id=TEXT,
            statement_description_identifier={"type": "string", "maxLength": 20},
        ),
        "/v2/payments/{payment_id}": _operation(
            "put",
            "idempotency_key",
            idempotency_key=KEY,
            payment={"type": "object", "properties": {"amount_money": MONEY}},
        ),
        "/v2/payments/{payment_id}/complete": _operation("post", "", version_token=TEXT),
        "/v2/cards": _operation(
            "post",
            "idempotency_key source_id card",
            card={
                "type": "object",
                "properties": {
                    "cardholder_name": {"type": "string", "maxLength": 96},
                    "customer_id": TEXT,
                },
            },
            idempotency_key=KEY,
            source_id={"type": "string", "maxLength": 16384},
        ),
        "/v2/refunds": _operation(
            "post",
            "idempotency_key amount_money",
            amount_money=MONEY,
            idempotency_key=TEXT,
            payment_id=TEXT,
            reason={"type": "string", "maxLength": 192},
        ),
    }
}
"""An excerpt of Square's API description with the fields that moorage sends."""


def _all_requests() -> SquareSandbox:
    """Return a sandbox that has received each kind of request with a body."""
    sandbox = SquareSandbox()
    vendor = Square(credentials=sandbox.access_token, location_id=sandbox.location_id)
    settings = {"retry": None, "circuit": None, "volatile_keys": True}
    hub = Hub([Account("square", vendor, settings=settings)], http=SandboxHttpClient(sandbox))
    pay, amount = hub.payments(), Money("149.90", "EUR")
    buyer = Customer(id="CUSTOMER0SANDBOX", email="a@b.example", phone="+14155550100")
    whole_charge = Charge(
        amount,
        "ccof:customer-card-id-ok",
        reference="INV-2041",
        customer=buyer,
        description="Two chairs",
        metadata={"order": "7"},
        statement_descriptor="CHAIRS",
        off_session=True,
    )
    authorization = pay.authorize(
        whole_charge, idempotency_key="a key that is longer than Square takes keys to be"
    )
    pay.capture(authorization.ref, Money("100", "EUR"), idempotency_key="2")
    for reason in RefundReason:
        part = Money("1", "EUR")
        pay.refund(authorization.ref, part, reason=reason, idempotency_key=f"refund-{reason}")
    sandbox.settle()
    pay.refund(authorization.ref, idempotency_key="3")
    holder = Customer(id="CUSTOMER0SANDBOX", name="Ada Byron")
    pay.store_means(StoreRequest("cnon:card-nonce-ok", customer=holder), idempotency_key="4")
    return sandbox


def test_requests_match_the_description() -> None:
    """Each request matches Square's API description."""
    message = OURS
    requests = [request for request in _all_requests().requests if request.body]

    assert 5 + len(RefundReason) == len(requests)
    assert [] == [
        problem
        for request in requests
        for problem in problems(message, request.method, request.path, json.loads(request.body))
    ]
