"""Checkout.com's requests, and its sandbox's responses, match its API description."""

from __future__ import annotations

import json
from typing import Any, Final

from moorage.contracts.payments import Customer, Money, RefundReason
from tests.support.openapi import Json, problems
from tests.vendors.checkout_com_account import SandboxHub
from tools.descriptions import Description, problems_of

TEXT: Final[Json] = {"type": "string"}
TRUTH: Final[Json] = {"type": "boolean"}
COUNT: Final[Json] = {"type": "integer"}
NAMES: Final[Json] = {"type": "object"}
SHORT_TEXT: Final[Json] = {"type": "string", "maxLength": 50}


def _schema(required: str, **properties: Json) -> Json:
    return {"type": "object", "required": required.split(), "properties": properties}


def _operation(method: str, body: Json) -> Json:
    return {method: {"requestBody": {"content": {"application/json": {"schema": body}}}}}


EXCERPT: Final[Json] = {
    "paths": {
        "/payments": _operation(
            "post",
            _schema(
                "currency",
                amount=COUNT,
                capture=TRUTH,
                currency={"type": "string", "maxLength": 3},
                customer=_schema("", id=TEXT, email=TEXT, name=TEXT),
                description={"type": "string", "maxLength": 100},
                failure_url={"type": "string", "maxLength": 255},
                merchant_initiated=TRUTH,
                metadata=NAMES,
                payment_ip=TEXT,
                payment_type=TEXT,
                processing_channel_id=TEXT,
                reference=SHORT_TEXT,
                source=_schema("type", type=TEXT, token=TEXT, id=TEXT, store_for_future_use=TRUTH),
                success_url={"type": "string", "maxLength": 255},
                **{"3ds": _schema("", enabled=TRUTH)},
            ),
        ),
        "/payments/{id}/captures": _operation(
            "post",
            _schema(
                "", amount=COUNT, capture_type={"type": "string", "enum": ["NonFinal", "Final"]}
            ),
        ),
        "/payments/{id}/refunds": _operation("post", _schema("", amount=COUNT, metadata=NAMES)),
        "/payments/{id}/voids": _operation("post", _schema("")),
    }
}
"""An excerpt of Checkout.com's API description with the fields that moorage sends."""

LINK: Final = _schema("href", href=TEXT)
BALANCES: Final = _schema(
    "",
    **dict.fromkeys(("total_authorized", "total_voided", "total_captured"), COUNT),
    **dict.fromkeys(("available_to_void", "available_to_capture", "total_refunded"), COUNT),
    available_to_refund=COUNT,
)
CARD: Final = _schema(
    "expiry_month expiry_year last4 fingerprint bin",
    **dict.fromkeys(("type", "id", "scheme", "last4", "fingerprint"), TEXT),
    **dict.fromkeys(("expiry_month", "expiry_year"), COUNT),
    bin={"type": "string", "maxLength": 6},
)
PAYMENT: Final = _schema(
    "id requested_on amount currency status approved _links",
    **dict.fromkeys(("id", "requested_on", "currency", "payment_type", "reference"), TEXT),
    amount=COUNT,
    approved=TRUTH,
    balances=BALANCES,
    customer=_schema("id", id=TEXT, email=TEXT, name=TEXT),
    description=TEXT,
    metadata=NAMES,
    source=CARD,
    status={
        "type": "string",
        "enum": [
            *("Pending", "Authorized", "Card Verified", "Voided", "Partially Captured", "Captured"),
            *("Partially Refunded", "Refunded", "Declined", "Canceled", "Expired", "Paid"),
        ],
    },
    _links=_schema("self actions", self=LINK, actions=LINK),
)
ACTION: Final = _schema(
    "id type amount response_code processed_on",
    **dict.fromkeys(("id", "processed_on", "response_code", "response_summary"), TEXT),
    amount=COUNT,
    approved=TRUTH,
    type={"type": "string", "enum": ["Authorization", "Void", "Capture", "Refund"]},
)
ACCEPTED: Final = _schema("action_id", action_id=TEXT, _links=_schema("payment", payment=LINK))


def _all_requests() -> tuple[SandboxHub, dict[str, Json]]:
    """Return a hub that has sent each kind of request, and some of the sandbox's responses."""
    shop = SandboxHub(processing_channel_id="pc_hpswyyx23geezflc2ocz3exn4y")
    shop.sandbox.store("cus_ada")
    buyer = Customer(id="cus_ada", email="ada@erp.example", name="Ada", ip="203.0.113.7")
    fields: dict[str, Any] = {
        "customer": buyer,
        "description": "Two chairs",
        "metadata": {"order": "7"},
    }
    with shop.hub:
        shop.hold(three_ds="always", store_method=True, **fields)
        voided = shop.pay(off_session=True, **fields)
        shop.sandbox.settle()
        authorization = shop.hold(**fields)
        capture = shop.payments.capture(
            authorization.ref, Money("100.00", "EUR"), idempotency_key="c-1", final=False
        )
        shop.sandbox.settle()
        refund = shop.payments.refund(
            authorization.ref, reason=RefundReason.OTHER, idempotency_key="r-1"
        )
        void = shop.payments.void(shop.hold().ref, idempotency_key="v-1")
        shop.sandbox.settle()
        payment = shop.payments.get(authorization.ref)
    assert voided.ref.id in shop.sandbox.payments
    actions = shop.sandbox.payments[authorization.ref.id].actions
    steps = {"capture": capture.raw, "refund": refund.raw, "void": void.raw}
    return shop, {**steps, "payment": payment.raw, "actions": actions}


def test_requests_match_the_description() -> None:
    """Each request matches Checkout.com's API description."""
    shop, _ = _all_requests()
    requests = [request for request in shop.sandbox.requests if request.method == "POST"]

    assert {"captures", "payments", "refunds", "voids"} == {
        request.path.rpartition("/")[2] for request in requests
    }
    assert [] == [
        problem
        for request in requests
        for problem in problems(EXCERPT, request.method, request.path, json.loads(request.body))
    ]


def test_answers_match_the_description() -> None:
    """The sandbox's payments, actions and accepted requests match Checkout.com's description."""
    _, answers = _all_requests()
    actions = answers.pop("actions")
    payment = answers.pop("payment")
    description = Description(EXCERPT)

    assert {"Authorization", "Capture", "Refund"} == {action["type"] for action in actions}
    for schema, values in ((PAYMENT, [payment]), (ACTION, actions), (ACCEPTED, answers.values())):
        for value in values:
            assert [] == problems_of(description, schema, value, "readOnly")
