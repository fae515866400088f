"""The Square sandbox refuses what Square would refuse."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import Timeouts
from moorage.domain.http.requests import Request, Response
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.payments.square import SquareSandbox
from moorage.vendors.payments.square import API_VERSION


def reply_to(
    sandbox: SquareSandbox, method: str, path: str, body: object = None, **headers: str
) -> Response:
    """Return the Square sandbox's response to a request."""
    fields = {
        "Authorization": f"Bearer {sandbox.access_token}",
        "Square-Version": API_VERSION,
        **headers,
    }
    request = Request(method, path, headers=fields)
    if body is not None:
        make = Request.put if method == "PUT" else Request.post
        request = make(path, json=body, headers=fields)
    url = f"https://connect.squareup.com{path}"
    return SandboxHttpClient(sandbox).send(request, url, Timeouts())


def payment_body(**fields: Any) -> dict[str, Any]:
    """Return the request body that creates a Square payment, with the given changes."""
    default_payment = {
        "idempotency_key": "k",
        "source_id": "cnon:card-nonce-ok",
        "amount_money": {"amount": 100, "currency": "EUR"},
    }
    payment_fields = {**default_payment, **fields}
    return {name: value for name, value in payment_fields.items() if value is not None}


@pytest.mark.parametrize(
    "body, code",
    [
        ([], "EXPECTED_OBJECT"),
        (payment_body(source_id=None), "MISSING_REQUIRED_PARAMETER"),
        (payment_body(idempotency_key=None), "MISSING_REQUIRED_PARAMETER"),
        (payment_body(amount_money=None), "MISSING_REQUIRED_PARAMETER"),
        (payment_body(amount_money={"amount": 100}), "MISSING_REQUIRED_PARAMETER"),
        (payment_body(amount_money={"amount": "100", "currency": "EUR"}), "INCORRECT_TYPE"),
        (payment_body(amount_money={"amount": True, "currency": "EUR"}), "INCORRECT_TYPE"),
        (payment_body(amount_money={"amount": 0, "currency": "EUR"}), "VALUE_TOO_LOW"),
        (payment_body(amount_money={"amount": 100, "currency": "EURO"}), "INVALID_ENUM_VALUE"),
        (payment_body(amount_money=100), "EXPECTED_OBJECT"),
        (payment_body(idempotency_key="k" * 46), "VALUE_TOO_LONG"),
        (payment_body(idempotency_key=""), "VALUE_EMPTY"),
        (payment_body(reference_id=7), "EXPECTED_STRING"),
        (payment_body(refrence_id="x"), "UNKNOWN_BODY_PARAMETER"),
        (payment_body(customer_details={"x": 1}), "UNKNOWN_BODY_PARAMETER"),
        (payment_body(customer_id="C0"), "CUSTOMER_NOT_FOUND"),
        (payment_body(source_id="ccof:customer-card-id-ok"), "MISSING_REQUIRED_PARAMETER"),
        (payment_body(location_id="L0"), "INVALID_LOCATION"),
        (payment_body(source_id="cnon:gold"), "NOT_FOUND"),
    ],
)
def test_sandbox_refuses_invalid_payments(body: object, code: str) -> None:
    """The Square sandbox refuses missing, misspelt, too long or malformed fields."""
    response = reply_to(SquareSandbox(), "POST", "/v2/payments", body)

    assert code == response.json()["errors"][0]["code"]
    assert response.status in {400, 404}


def test_sandbox_refuses_impossible_operations() -> None:
    """The Square sandbox refuses operations that are unknown, forbidden or impossible."""
    sandbox = SquareSandbox()
    held_payment = reply_to(
        sandbox, "POST", "/v2/payments", payment_body(autocomplete=False)
    ).json()["payment"]
    payment_path = f"/v2/payments/{held_payment['id']}"
    tip = payment_body(idempotency_key="t", tip_money={"amount": 5, "currency": "EUR"})
    assert (
        105
        == reply_to(sandbox, "POST", "/v2/payments", tip).json()["payment"]["total_money"]["amount"]
    )
    euro = {"amount": 101, "currency": "EUR"}

    for code, method, path, body in (
        ("NOT_FOUND", "GET", "/v2/nothing", None),
        ("NOT_FOUND", "GET", "/v2/payments/p0", None),
        ("NOT_FOUND", "GET", "/v2/refunds/r0", None),
        ("UNKNOWN_QUERY_PARAMETER", "GET", "/v2/payments?since=1", None),
        ("UNKNOWN_QUERY_PARAMETER", "GET", "/v2/disputes?limit=1", None),
        ("INVALID_CURSOR", "GET", "/v2/payments?cursor=x", None),
        ("INVALID_CURSOR", "GET", "/v2/payments?limit=101", None),
        ("INVALID_TIME", "GET", "/v2/payments?begin_time=yesterday", None),
        ("UNKNOWN_BODY_PARAMETER", "POST", f"{payment_path}/complete", {"x": 1}),
        ("UNKNOWN_BODY_PARAMETER", "POST", f"{payment_path}/cancel", {}),
        ("NO_FIELDS_SET", "PUT", payment_path, {"idempotency_key": "1"}),
        (
            "VALUE_TOO_HIGH",
            "PUT",
            payment_path,
            {"idempotency_key": "2", "payment": {"amount_money": euro}},
        ),
        (
            "CURRENCY_MISMATCH",
            "PUT",
            payment_path,
            {
                "idempotency_key": "3",
                "payment": {"amount_money": {"amount": 1, "currency": "USD"}},
            },
        ),
    ):
        assert code == reply_to(sandbox, method, path, body).json()["errors"][0]["code"]
    assert 401 == reply_to(sandbox, "GET", payment_path, Authorization="Bearer EAAA-wrong").status
    assert 400 == reply_to(sandbox, "GET", payment_path, **{"Square-Version": "latest"}).status


def test_sandbox_repeats_answers_by_key() -> None:
    """For a used key, Square repeats its first response; with other data the key is refused."""
    sandbox = SquareSandbox()
    first, repeated_response = (
        reply_to(sandbox, "POST", "/v2/payments", payment_body()) for _ in range(2)
    )
    other_response = reply_to(sandbox, "POST", "/v2/payments", payment_body(note="x"))
    wrong_location = payment_body(idempotency_key="w", location_id="L0")
    refused_responses = [
        reply_to(sandbox, "POST", "/v2/payments", wrong_location) for _ in range(2)
    ]

    assert first.json() == repeated_response.json()
    assert "IDEMPOTENCY_KEY_REUSED" == other_response.json()["errors"][0]["code"]
    assert refused_responses[0].json() == refused_responses[1].json()
    assert 1 == len(sandbox.payments)


def new_payment(sandbox: SquareSandbox, **fields: Any) -> dict[str, Any]:
    """Create a payment with a new key, and return it."""
    body = payment_body(idempotency_key=f"key-{sandbox.number()}", **fields)
    payment: dict[str, Any] = reply_to(sandbox, "POST", "/v2/payments", body).json()["payment"]
    return payment


def test_next_page_follows_the_last_one_while_payments_are_added() -> None:
    """A cursor names a payment, so that a new payment neither repeats nor hides another one."""
    sandbox = SquareSandbox()
    keys = [new_payment(sandbox)["id"] for _ in range(4)]
    first = reply_to(sandbox, "GET", "/v2/payments?limit=2").json()
    new_payment(sandbox)
    second = reply_to(sandbox, "GET", f"/v2/payments?limit=2&cursor={first['cursor']}").json()
    oldest = reply_to(sandbox, "GET", "/v2/payments?limit=2&sort_order=ASC").json()
    other_location = reply_to(sandbox, "GET", "/v2/payments?location_id=L0").json()

    listed = [item["id"] for page in (first, second) for item in page["payments"]]
    assert keys[::-1] == listed
    assert "cursor" not in second
    assert keys[:2] == [item["id"] for item in oldest["payments"]]
    assert {} == other_location


def test_stored_card_is_charged_until_it_is_disabled() -> None:
    """A stored card pays for its customer only, and no longer after it was disabled."""
    sandbox = SquareSandbox()
    sandbox.customers.add("ada-1")
    card_fields = {"customer_id": "ada-1"}
    body = {"idempotency_key": "c", "source_id": "cnon:card-nonce-ok", "card": card_fields}
    card = reply_to(sandbox, "POST", "/v2/cards", body).json()["card"]["id"]
    assert "COMPLETED" == new_payment(sandbox, source_id=card, customer_id="ada-1")["status"]

    refused = []
    for customer in ("CUSTOMER0SANDBOX", "ada-1"):
        body = payment_body(source_id=card, customer_id=customer, idempotency_key=customer)
        refused.append(reply_to(sandbox, "POST", "/v2/payments", body).status)
        reply_to(sandbox, "POST", f"/v2/cards/{card}/disable")
    assert [404, 404] == refused


def test_payout_has_each_payment_once() -> None:
    """A later payout has only the payments and refunds that no earlier payout has."""
    sandbox = SquareSandbox()
    payments: list[list[str]] = []
    for _ in range(2):
        new_payment(sandbox)
        entries = sandbox.entries[sandbox.pay_out_payments()]
        payments.append([entry["type_charge_details"]["payment_id"] for entry in entries])

    assert [1, 1] == [len(page) for page in payments]
    assert payments[0] != payments[1]


def test_authorisation_ends_after_seven_days() -> None:
    """A payment that was not completed within seven days is cancelled, as Square does it."""
    now = 0.0
    sandbox = SquareSandbox(now=lambda: now)
    key = new_payment(sandbox, autocomplete=False)["id"]
    now = 7 * 86_400.0
    response = reply_to(sandbox, "POST", f"/v2/payments/{key}/complete", {})

    assert (400, "CANCELED") == (response.status, sandbox.payments[key]["status"])
