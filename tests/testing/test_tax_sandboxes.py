"""The sandboxes of tax-calculation vendors are as strict as the vendors."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

import pytest

from moorage.domain.http.requests import Headers, Response
from moorage.testing.sandboxes.base import SandboxRequest
from moorage.testing.sandboxes.tax.base import rates_at, taxes_of
from moorage.testing.sandboxes.tax.stripe_tax import StripeTaxSandbox
from moorage.testing.sandboxes.tax.taxjar import TaxJarSandbox

NOW: Final = int(datetime.now(UTC).timestamp())
CALCULATE: Final[dict[str, Any]] = {
    "currency": "usd",
    "tax_date": NOW,
    "customer_details[address][country]": "US",
    "customer_details[address][state]": "NJ",
    "customer_details[address][postal_code]": "07446",
    "line_items[0][amount]": 1000,
    "line_items[0][quantity]": 1,
    "line_items[0][reference]": "1",
    "shipping_cost[amount]": 150,
}
ORDER: Final[dict[str, Any]] = {
    "transaction_id": "1",
    "transaction_date": "2026-05-14",
    "to_country": "US",
    "to_zip": "07446",
    "to_state": "NJ",
    "amount": 16.5,
    "shipping": 1.5,
    "sales_tax": 1.16,
    "line_items": [{"id": "1", "quantity": 1, "unit_price": 15}],
}


def stripe_answer(
    sandbox: StripeTaxSandbox, path: str, fields: dict[str, Any], **headers: str
) -> Response:
    """Return the sandbox's response to a form, without the fields that are None."""
    defaults = {
        "Authorization": f"Bearer {sandbox.api_key}",
        "Stripe-Version": "2025-09-30.clover",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    form = {name: value for name, value in fields.items() if value is not None}
    fixed = {name.replace("_", "-"): text for name, text in headers.items()}
    request = SandboxRequest(
        method="POST",
        host="api.stripe.com",
        path=f"/v1/tax/{path}",
        query=(),
        headers=Headers(defaults | fixed),
        body=urlencode(form).encode(),
    )
    return sandbox.answer(request)


def taxjar_answer(
    sandbox: TaxJarSandbox, path: str, body: dict[str, Any] | None, **headers: str
) -> Response:
    """Return the sandbox's response to a JSON body, or to a GET request if there is no body."""
    fields = {
        "Authorization": f"Bearer {sandbox.api_key}",
        "x-api-version": "2022-01-24",
        "Content-Type": "application/json",
    }
    fixed = {name.replace("_", "-"): text for name, text in headers.items()}
    request = SandboxRequest(
        method="GET" if body is None else "POST",
        host="api.taxjar.com",
        path=f"/v2/{path}",
        query=(),
        headers=Headers(fields | fixed),
        body=b"" if body is None else json.dumps(body).encode(),
    )
    return sandbox.answer(request)


def test_taxes_are_rounded_half_up() -> None:
    """Each tax is rounded half up, and tax-inclusive prices contain the taxes."""
    assert [2] == [part.tax for part in taxes_of(25, rates_at("US", "NJ"))]
    assert [(19, 100)] == [
        (part.tax, part.taxable) for part in taxes_of(119, rates_at("DE", ""), inclusive=True)
    ]
    assert [60] == [part.tax for part in taxes_of(1_150, rates_at("KW", ""), step=10)]
    assert () == rates_at("US", "OR")


@pytest.mark.parametrize(
    "changes",
    [
        {"currency": "dollars"},
        {"tax_date": NOW - 3 * 86_400},
        {"tax_date": "today"},
        {"line_items[0][amount]": -1},
        {"line_items[0][tax_behavior]": "free"},
        {"line_items[0][tax_code]": "shoes"},
        {"line_items[1][amount]": 1, "line_items[1][quantity]": 1, "line_items[1][reference]": "1"},
        {"line_items[2][amount]": 1, "line_items[2][quantity]": 1},
        {"customer_details[address][country]": ""},
        {"customer_details[address][postal_code]": None},
        {"customer_details[tax_ids][0][type]": "us_vat"},
        {"idempotency_key": "k"},
    ],
)
def test_stripe_refuses_a_wrong_calculation(changes: dict[str, Any]) -> None:
    """Stripe refuses unknown fields, wrong values and unknown locations with HTTP 400."""
    sandbox = StripeTaxSandbox()
    assert 200 == stripe_answer(sandbox, "calculations", CALCULATE).status
    assert 400 == stripe_answer(sandbox, "calculations", CALCULATE | changes).status
    assert 1 == len(sandbox.calculations)


def test_stripe_refuses_wrong_credentials_and_paths() -> None:
    """A wrong key, a missing version and an unknown path are refused."""
    sandbox = StripeTaxSandbox()
    path, form = "calculations", CALCULATE
    assert 401 == stripe_answer(sandbox, path, form, Authorization="Bearer sk_test_1").status
    assert 400 == stripe_answer(sandbox, path, form, Stripe_Version="1").status
    assert 404 == stripe_answer(sandbox, "rates", form).status
    assert {} == sandbox.calculations


def test_stripe_answers_a_key_once() -> None:
    """A repeated key gets the first response; another request under the same key is refused."""
    sandbox = StripeTaxSandbox()
    first = stripe_answer(sandbox, "calculations", CALCULATE, Idempotency_Key="k")
    repeat = stripe_answer(sandbox, "calculations", CALCULATE, Idempotency_Key="k")
    other = CALCULATE | {"currency": "eur"}
    refused = stripe_answer(sandbox, "calculations", other, Idempotency_Key="k")
    assert first.json()["id"] == repeat.json()["id"]
    assert "true" == repeat.headers.get("idempotent-replayed")
    assert (400, "idempotency_error") == (refused.status, refused.json()["error"]["type"])


def test_stripe_refuses_wrong_transactions() -> None:
    """A reference can be used only once, and at most the recorded amount can be reversed."""
    sandbox = StripeTaxSandbox()
    calculation = stripe_answer(sandbox, "calculations", CALCULATE).json()["id"]
    create, reverse = "transactions/create_from_calculation", "transactions/create_reversal"
    form = {"calculation": calculation, "reference": "INV-1"}
    transaction = stripe_answer(sandbox, create, form).json()
    line = transaction["line_items"]["data"][0]["id"]
    part = {
        "mode": "partial",
        "original_transaction": transaction["id"],
        "reference": "CN-1",
        "line_items[0][original_line_item]": line,
        "line_items[0][reference]": "CN-1/1",
        "line_items[0][amount]": -600,
        "line_items[0][amount_tax]": -42,
    }
    wrong_forms: list[tuple[str, dict[str, Any]]] = [
        (create, form),
        (create, {"calculation": calculation}),
        (create, form | {"calculation": "taxcalc_1", "reference": "INV-2"}),
        (reverse, part | {"mode": "half"}),
        (reverse, part | {"line_items[0][amount]": 600}),
        (reverse, part | {"line_items[0][amount]": -1001}),
        (reverse, part | {"shipping_cost[amount]": 1, "shipping_cost[amount_tax]": 0}),
        (reverse, part | {"reference": "INV-1"}),
        (reverse, part | {"original_transaction": "tax_1"}),
    ]
    for path, wrong_form in wrong_forms:
        assert stripe_answer(sandbox, path, wrong_form).status in {400, 404}
    assert 200 == stripe_answer(sandbox, reverse, part).status
    assert 400 == stripe_answer(sandbox, reverse, part | {"reference": "CN-2"}).status
    assert 2 == len(sandbox.transactions)


@pytest.mark.parametrize(
    "status, changes",
    [
        (406, {"transaction_date": "yesterday"}),
        (406, {"transaction_id": None}),
        (406, {"currency": "USD"}),
        (406, {"exemption_type": "friend"}),
        (400, {"to_zip": ""}),
        (400, {"amount": 16.51}),
        (400, {"shipping": 1.501}),
        (
            400,
            {"line_items": [{"id": "1", "quantity": 1, "unit_price": 15, "product_tax_code": "A"}]},
        ),
    ],
)
def test_taxjar_refuses_a_wrong_order(status: int, changes: dict[str, Any]) -> None:
    """Unknown fields, wrong values and amounts that do not add up are refused."""
    sandbox = TaxJarSandbox()
    assert status == taxjar_answer(sandbox, "transactions/orders", ORDER | changes).status
    assert {} == sandbox.orders
    assert 201 == taxjar_answer(sandbox, "transactions/orders", ORDER).status
    assert 422 == taxjar_answer(sandbox, "transactions/orders", ORDER).status


def test_taxjar_refuses_wrong_refunds() -> None:
    """A refund must belong to an order, and have negative amounts."""
    sandbox = TaxJarSandbox()
    taxjar_answer(sandbox, "transactions/orders", ORDER)
    refund = ORDER | {
        "transaction_id": "2",
        "transaction_reference_id": "1",
        "amount": -16.5,
        "shipping": -1.5,
        "sales_tax": -1.16,
        "line_items": [{"id": "1", "quantity": 1, "unit_price": -15}],
    }
    path = "transactions/refunds"
    assert 400 == taxjar_answer(sandbox, path, refund | {"transaction_reference_id": "9"}).status
    assert 400 == taxjar_answer(sandbox, path, refund | {"sales_tax": 1.16}).status
    assert 201 == taxjar_answer(sandbox, path, refund).status
    assert 200 == taxjar_answer(sandbox, "transactions/refunds/2", None).status
    assert 404 == taxjar_answer(sandbox, "transactions/refunds/3", None).status


def test_taxjar_refuses_wrong_credentials_and_paths() -> None:
    """A wrong token, a wrong version and an unknown path are refused."""
    sandbox = TaxJarSandbox()
    assert 401 == taxjar_answer(sandbox, "taxes", ORDER, Authorization="Bearer 1").status
    assert 400 == taxjar_answer(sandbox, "taxes", ORDER, x_api_version="2").status
    assert 404 == taxjar_answer(sandbox, "rates", None).status
    assert 200 == taxjar_answer(sandbox, "categories", None).status
