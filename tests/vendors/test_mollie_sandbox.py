"""The Mollie sandbox refuses what Mollie would refuse."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import Timeouts
from moorage.domain.http.requests import Request, Response
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.payments.mollie import MollieSandbox
from tests.vendors.mollie_account import RETURN_URL


def payment_body(**fields: Any) -> dict[str, Any]:
    """Return the body that creates a payment, with the given changes."""
    default_payment = {
        "amount": {"currency": "EUR", "value": "1.00"},
        "description": "Chairs",
        "redirectUrl": RETURN_URL,
    }
    payment_fields = {**default_payment, **fields}
    return {name: value for name, value in payment_fields.items() if value is not None}


def reply_to(
    sandbox: MollieSandbox, method: str, path: str, body: object = None, **headers: str
) -> Response:
    """Return the Mollie sandbox's response to a request."""
    fields = {"Authorization": f"Bearer {sandbox.api_key}", **headers}
    http = SandboxHttpClient(sandbox)
    request = Request(method, path, headers=fields)
    if body is not None:
        request = Request.post(path, json=body, headers=fields)
    return http.send(request, f"https://api.mollie.com{path}", Timeouts())


@pytest.mark.parametrize(
    "body, field",
    [
        (payment_body(amount=None), "amount"),
        (payment_body(description=None), "description"),
        (payment_body(redirectUrl=None), "redirectUrl"),
        (payment_body(description="x" * 256), "description"),
        (payment_body(descriptoin="x"), "descriptoin"),
        (payment_body(description=7), "description"),
        (payment_body(amount={"currency": "EUR", "value": 1}), "amount.value"),
        (payment_body(amount={"currency": "EUR", "value": "1.0"}), "amount.value"),
        (payment_body(amount={"currency": "JPY", "value": "1.00"}), "amount.value"),
        (payment_body(amount={"currency": "EUR", "value": "1,00"}), "amount.value"),
        (payment_body(amount={"currency": "EUR", "value": "0.00"}), "amount"),
        (payment_body(amount={"currency": "EUR"}), "amount"),
        (payment_body(amount={"currency": "XXX", "value": "1.00"}), "amount.currency"),
        (payment_body(captureMode="later"), "captureMode"),
        (payment_body(sequenceType="first"), "customerId"),
        (payment_body(sequenceType="second"), "customerId"),
        (payment_body(webhookUrl="shop.example"), "webhookUrl"),
        (payment_body(method="creditcrad"), "method"),
        (payment_body(method=["ideal", "bitcoins"]), "method"),
        (payment_body(cardToken="tkn_gold"), "cardToken"),
        (payment_body(customerId="cst_0"), "customerId"),
        (payment_body(mandateId="mdt_sandbox"), "mandateId"),
        (payment_body(billingAddress={"phone": "+31"}), "billingAddress"),
        (
            payment_body(sequenceType="recurring", customerId="cst_sandbox", cardToken="tkn_visa"),
            "cardToken",
        ),
    ],
)
def test_sandbox_refuses_invalid_payments(body: object, field: str) -> None:
    """The Mollie sandbox refuses missing, misspelt or malformed fields."""
    response = reply_to(MollieSandbox(), "POST", "/v2/payments", body)

    assert (422, field) == (response.status, response.json()["field"])


def test_sandbox_refuses_impossible_operations() -> None:
    """The Mollie sandbox refuses operations that are unknown, forbidden or impossible."""
    sandbox = MollieSandbox()
    sandbox.customers.add("cst_new")
    paid_response = reply_to(
        sandbox, "POST", "/v2/payments", payment_body(method=["ideal", "creditcard"])
    )
    payment_path = f"/v2/payments/{paid_response.json()['id']}"
    recurring_payment = payment_body(sequenceType="recurring", customerId="cst_new")

    assert "https://www.mollie.com/" in str(paid_response.json()["_links"])
    for status, method, path, body in (
        (404, "GET", "/v2/nothing", None),
        (404, "GET", "/v2/payments/tr_0", None),
        (404, "GET", f"{payment_path}/refunds/re_0", None),
        (400, "GET", f"{payment_path}?embed=everything", None),
        (400, "GET", f"{payment_path}?embde=refunds", None),
        (400, "GET", "/v2/payments?from=tr_0", None),
        (400, "GET", "/v2/payments?limit=0", None),
        (400, "GET", "/v2/payments?limit=all", None),
        (400, "POST", "/v2/payments", []),
        (422, "POST", "/v2/payments", recurring_payment),
        (422, "POST", f"{payment_path}/captures", {}),
        (422, "POST", f"{payment_path}/release-authorization", {}),
        (422, "POST", f"{payment_path}/refunds", {}),
        (422, "POST", f"{payment_path}/refunds", {"amount": {"currency": "EUR", "value": "1.00"}}),
    ):
        assert status == reply_to(sandbox, method, path, body).status
    assert 401 == reply_to(sandbox, "GET", payment_path, Authorization="Bearer test_wrong").status
    assert 200 == reply_to(sandbox, "DELETE", payment_path).status


def test_sandbox_repeats_answers_by_key() -> None:
    """For a used key, Mollie repeats its response or error; a different request is refused."""
    sandbox = MollieSandbox()
    key = {"Idempotency-Key": "k"}
    first = reply_to(sandbox, "POST", "/v2/payments", payment_body(), **key)
    repeated_response = reply_to(sandbox, "POST", "/v2/payments", payment_body(), **key)
    other_response = reply_to(
        sandbox, "POST", "/v2/payments", payment_body(description="Tables"), **key
    )
    key_header = {"Idempotency-Key": "w"}
    refused_responses = [
        reply_to(sandbox, "POST", "/v2/payments", {}, **key_header) for _ in range(2)
    ]

    assert first.json() == repeated_response.json()
    assert "true" == repeated_response.headers.get("idempotent-replayed")
    assert 400 == other_response.status
    assert refused_responses[0].json() == refused_responses[1].json()
    assert 1 == len(sandbox.payments)


def test_mollie_payment_without_webhook_url_sends_no_webhooks() -> None:
    """A Mollie payment without a webhook URL sends no webhooks."""
    sandbox = MollieSandbox()
    reply_to(
        sandbox, "POST", "/v2/payments", payment_body(method="creditcard", cardToken="tkn_visa")
    )

    assert [] == sandbox.sent


def test_mollie_forgets_keys_after_an_hour() -> None:
    """Mollie repeats the response to a key for an hour, and then creates another payment."""
    now = 0.0
    sandbox = MollieSandbox(now=lambda: now)
    ids: list[str] = []
    for delay in (0.0, 3_599.0, 3_600.0):
        now = delay
        response = reply_to(
            sandbox, "POST", "/v2/payments", payment_body(), **{"Idempotency-Key": "k"}
        )
        ids.append(response.json()["id"])

    assert ids[0] == ids[1] != ids[2]


def test_payment_that_was_charged_back_cannot_be_refunded() -> None:
    """Mollie refunds no more than what is left after refunds and chargebacks."""
    sandbox = MollieSandbox()
    payment = reply_to(sandbox, "POST", "/v2/payments", payment_body(cardToken="tkn_visa")).json()
    path = f"/v2/payments/{payment['id']}/refunds"
    refund = {"amount": {"currency": "EUR", "value": "1.00"}}
    chargeback = sandbox.charge_back(payment["id"])
    assert 422 == reply_to(sandbox, "POST", path, refund).status
    sandbox.reverse(chargeback)

    assert 201 == reply_to(sandbox, "POST", path, refund).status


def test_unknown_mandate_needs_a_customer() -> None:
    """A payment with an unknown mandate is refused even if it names no customer."""
    response = reply_to(
        MollieSandbox(), "POST", "/v2/payments", payment_body(mandateId="mdt_unknown")
    )

    assert (422, "mandateId") == (response.status, response.json()["field"])
